"""Which verdict is about which label, and the figures that follow."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import pytest

from bargein.core import InterruptionOptions
from bargein.evaluation.dataset import Label
from bargein.evaluation.figures import delays, moments, points
from bargein.evaluation.intervals import Resampling, share_intervals
from bargein.evaluation.paired import compare_points
from bargein.evaluation.results import Results, gather
from bargein.evaluation.score import Scored, score
from bargein.evaluation.settle import Settings
from tests.evaluation.material import call, hearing

HALF = Settings(threshold=0.5)
HOW = Resampling(400, 1)


def scored(*labels: tuple[float, float, Label], noted: object, settings: Settings = HALF) -> Scored:
    return score(call(*labels), noted, [settings])  # type: ignore[arg-type]


def test_a_verdict_is_about_the_label_that_it_follows() -> None:
    noted = hearing((1.0, 2.0, [0.1, 0.6]), (5.0, 6.0, [0.9]))

    found = scored((0.95, 2.0, "interruption"), (4.5, 6.0, "noise"), noted=noted)

    assert found.positive.tolist() == [[True, True]]
    assert found.delay[0] == pytest.approx([0.25, 0.6])
    assert (found.strays.tolist(), found.found.tolist()) == ([0], [2])
    assert found.best[:, 0] == pytest.approx([0.1, 0.6, 0.6, 0.6, 0.6])


def test_a_verdict_counts_a_second_past_the_label_and_no_longer() -> None:
    noted = hearing((1.9, 4.0, [0.1] * 9 + [0.9]))

    near = scored((1.0, 2.0, "interruption"), noted=noted)
    far = scored((1.0, 1.85, "interruption"), noted=noted)

    assert (near.positive.tolist(), near.strays.tolist()) == ([[True]], [0])
    assert (far.positive.tolist(), far.strays.tolist()) == ([[False]], [1])


def test_a_verdict_about_what_is_not_scored_is_about_no_label() -> None:
    """A turn that is to be ignored begins half a second after a backchannel."""
    noted = hearing((2.0, 4.0, [0.1, 0.1, 0.1, 0.9]))
    backchannel = call((1.0, 1.6, "backchannel"))

    alone = score(backchannel, noted, [HALF])
    beside = score(attrs.evolve(backchannel, unscored=((1.9, 4.0),)), noted, [HALF])

    assert (alone.positive.tolist(), alone.strays.tolist()) == ([[True]], [0])
    assert (beside.positive.tolist(), beside.strays.tolist()) == ([[False]], [0])
    assert (alone.best[-1, 0], beside.best[-1, 0]) == pytest.approx((0.9, 0.0))


def test_what_is_not_scored_takes_nothing_from_the_label_around_it() -> None:
    """Somebody laughs in the midst of an interruption."""
    noted = hearing((1.0, 3.0, [0.1] * 9 + [0.9]))
    interruption = call((1.0, 3.0, "interruption"))

    found = score(attrs.evolve(interruption, unscored=((1.5, 1.8),)), noted, [HALF])

    assert found.positive.tolist() == [[True]]


def test_who_finds_the_agent_stopped_already_is_let_in_without_a_delay() -> None:
    """The overlap that a cough opened goes on, and was decided."""
    noted = hearing((1.0, 4.0, [0.9]))

    found = scored((1.0, 1.5, "noise"), (2.0, 4.0, "interruption"), noted=noted)

    assert found.positive.tolist() == [[True, True]]
    assert found.early.tolist() == [[False, True]]
    assert np.isnan(found.delay[0, 1])


def test_a_label_while_the_agent_is_silent_is_told_and_left_out() -> None:
    noted = hearing((1.0, 2.0, [0.9]), turn=(0.5, 3.0))

    found = scored((1.0, 2.0, "interruption"), (5.0, 6.0, "noise"), noted=noted)

    assert [o.label for o in found.call.overlaps] == ["interruption"]
    assert [str(p) for p in found.problems] == [
        "m.csv:3: from 5 to 6 s the agent is silent: no overlap"
    ]


# --- figures --------------------------------------------------------------------------------


def results(
    rows: Sequence[tuple[Label, float | None]], *, settings: Sequence[Settings] = (HALF,)
) -> Results:
    """A call each: its label, and when (seconds after the onset) the estimate is 0.8."""
    calls, parts = [], []
    for number, (label, after) in enumerate(rows):
        values = [0.1] * 10 if after is None else [0.1] * (round(after * 10) - 1) + [0.8]
        noted = hearing((2.0, 3.2, values))
        one = call((2.0, 3.0, label), name=str(number))
        calls.append(one)
        parts.append(score(one, noted, settings))
    return gather(calls, parts, settings)


MIXED: list[tuple[Label, float | None]] = [
    *[("interruption", 0.3)] * 4,
    *[("interruption", 0.6)] * 4,
    *[("interruption", None)] * 2,
    *[("backchannel", 0.4)] * 2,
    *[("backchannel", None)] * 8,
    *[("noise", None)] * 5,
]


def test_rates_delays_and_their_intervals() -> None:
    (point,) = points(results(MIXED), HOW)

    assert (point.recall.value, point.recall.hits, point.recall.n) == (0.8, 8, 10)
    assert (point.false_backchannel.value, point.false_noise.value) == (0.2, 0.0)
    assert (point.precision.value, point.precision.n) == (0.8, 10)
    assert point.recall.low is not None
    assert point.recall.high is not None
    # Around the normal approximation, 0.8 ± 1.96 * sqrt(0.8 * 0.2 / 10).
    assert point.recall.low == pytest.approx(0.55, abs=0.12)
    assert point.recall.high == pytest.approx(1.0, abs=0.05)
    # None of five: Clopper and Pearson's upper end is 1 - 0.025 ** (1 / 5).
    assert (point.false_noise.low, point.false_noise.high) == pytest.approx((0.0, 0.5218), abs=1e-3)
    assert [delay.value for delay in point.delays] == pytest.approx([0.45, 0.6, 0.6])
    assert point.delays[0].low == pytest.approx(0.3)
    assert point.delays[0].high == pytest.approx(0.6)


def test_moments_tell_what_was_known_by_then() -> None:
    found = moments(results(MIXED), HOW)

    assert [moment.recall.value for moment in found] == [0.0, 0.4, 0.4, 0.8]
    assert [moment.false_backchannel.value for moment in found] == [0.0, 0.0, 0.2, 0.2]
    assert found[1].auc == pytest.approx(0.5 + 0.5 * 0.4)


def test_more_of_the_threshold_never_lets_more_in() -> None:
    settings = [Settings(threshold=t) for t in (0.05, 0.5, 0.9)]

    found = points(results(MIXED, settings=settings), HOW)

    assert [point.recall.value for point in found] == [1.0, 0.8, 0.0]
    assert [point.false_backchannel.value for point in found] == [1.0, 0.2, 0.0]
    assert found[2].precision.value is None
    assert found[2].delays[0].value is None


def test_nothing_of_a_class_is_nothing_said() -> None:
    only = results([("interruption", 0.3)] * 3)

    (point,) = points(only, HOW)

    assert point.false_noise.to_dict() == {"value": None, "interval": None, "hits": 0, "n": 0}
    assert moments(only, HOW)[0].auc is None
    assert delays(only, 0)[0].low is None


def test_whole_calls_are_drawn() -> None:
    """Ten labels of one call, all alike, are worth one."""
    top, base = np.array([[10.0, 0.0, 0.0, 0.0]]), np.array([[10.0, 10.0, 10.0, 10.0]])

    low, high = share_intervals(top, base, HOW)

    assert (low[0], high[0]) == (0.0, 0.75)


def test_calls_without_spread_are_worth_as_many_trials() -> None:
    """Half of one call's labels, or of each of three calls' labels: that is known of few calls."""
    half = np.array([[5.0]]), np.array([[10.0]])
    thrice = np.array([[5.0, 5.0, 5.0]]), np.array([[10.0, 10.0, 10.0]])

    (low,), (high,) = share_intervals(*half, HOW)
    (nearer,), (farther,) = share_intervals(*thrice, HOW)

    assert low < 0.01
    assert high > 0.99
    # By the binomial interval, 1 of 3 begins at 0.008 and 2 of 3 ends at 0.992.
    assert 0.008 < nearer < 0.1
    assert 0.9 < farther < 0.992
    none = share_intervals(np.array([[0.0]]), np.array([[0.0]]), HOW)
    assert np.isnan(none).all()


@pytest.mark.parametrize(("calls", "sure"), [(1, False), (2, False), (5, False), (6, True)])
def test_few_calls_are_never_sure(calls: int, sure: bool) -> None:
    """Five calls that all go one way do so once in sixteen times by chance."""
    missed: list[tuple[Label, float | None]] = [("interruption", None)]
    heard: list[tuple[Label, float | None]] = [("interruption", 0.3), ("backchannel", None)]
    first = results([*missed * calls, *heard * 3])
    other = results([*heard[:1] * calls, *heard * 3])

    recall = compare_points(first, other, HOW)[0]

    assert (recall.figure, recall.calls, recall.is_sure) == ("recall", calls, sure)
    assert recall.is_better
    alone = compare_points(results(missed), results(heard[:1]), HOW)[0]
    assert (alone.value, alone.low, alone.is_sure) == (1.0, None, False)


def test_two_settings_are_compared_on_the_same_calls() -> None:
    better: list[tuple[Label, float | None]] = [
        (label, 0.3 if label == "interruption" else None) for label, _ in MIXED
    ]
    first, other = results(MIXED), results(better)

    found = {each.figure: each for each in compare_points(first, other, HOW)}

    assert found["recall"].value == pytest.approx(0.2)
    assert found["recall"].is_better
    assert found["median_delay"].value == pytest.approx(-0.15)
    assert found["median_delay"].is_better
    assert found["false_noise"].value == 0.0
    assert not found["false_noise"].is_sure
    assert found["precision"].to_dict()["difference"] == pytest.approx(0.2)
    same = compare_points(first, first, HOW)
    assert {each.value for each in same} == {0.0}
    assert not any(each.is_sure for each in same)


def test_what_can_not_be_compared_is_none() -> None:
    none = results([("noise", None)] * 3)

    assert {
        each.value for each in compare_points(none, none, HOW) if each.figure != "false_noise"
    } == {None}


def test_intervals_are_the_same_each_time() -> None:
    some = results(MIXED)

    assert points(some, HOW) == points(some, HOW)
    assert points(some, HOW) != points(some, Resampling(400, 2))


def test_the_minimum_duration_is_heeded() -> None:
    """Windows of eight frames hold no run of twelve."""
    long = Settings(threshold=0.5, detection=InterruptionOptions(min_interruption_duration=0.3))

    (point,) = points(results([("interruption", 0.3)] * 3, settings=[long]), HOW)

    assert point.recall.value == 0.0
