"""From labelled calls to figures, a report, recommended options, a board's files."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import attrs
import numpy as np
import pytest

from bargein.analysis import AnalysisOptions
from bargein.analysis.options_file import read_options, write_options
from bargein.core import InterruptionOptions
from bargein.errors import DatasetError, OptionError
from bargein.evaluation import (
    Candidate,
    Dataset,
    Evaluation,
    Resampling,
    evaluate,
    read_dataset,
)
from bargein.evaluation.html import render_report
from bargein.evaluation.tuning import Costs, Goal, tune
from bargein.evaluation.turnbench import conversations, export
from tests.evaluation import judges
from tests.evaluation.material import pieces, whole

PATIENT = Candidate(backend="tests.evaluation.judges:patient")
HOW = Resampling(100)
CURVE = (0.2, 0.5, 0.9)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def dataset(home: Path) -> Dataset:
    return read_dataset(pieces(home))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def evaluation(dataset: Dataset, store: str) -> Evaluation:
    return evaluate(
        dataset,
        PATIENT,
        against=PATIENT.changed({"threshold": "0.9", "verdict-grace": "0"}),
        thresholds=CURVE,
        resampling=HOW,
        store=store,
    )


def test_the_figures_of_the_example(evaluation: Evaluation) -> None:
    """Who sounds for 0.8 s interrupts, says this judge: coughs and knocks may as well."""
    point = evaluation.point

    assert (point.threshold, point.recall.value) == (0.5, 1.0)
    assert (point.false_backchannel.n, point.false_noise.n) == (3, 2)
    assert point.delays[0].value == pytest.approx(0.9, abs=0.25)
    assert [p.threshold for p in evaluation.sweep] == sorted(p.threshold for p in evaluation.sweep)
    at = next(p for p in evaluation.sweep if p.threshold == 0.5)
    assert at.recall == point.recall
    recalls = [p.recall.value or 0.0 for p in evaluation.sweep]
    assert recalls == sorted(recalls, reverse=True)
    assert evaluation.problems == ()


def test_the_other_candidate_is_compared(evaluation: Evaluation) -> None:
    comparison = evaluation.comparison
    assert comparison is not None
    assert comparison.point.threshold == 0.9
    assert comparison.candidate.options.detection.verdict_grace == 0.0
    found = {each.figure: each for each in comparison.differences}
    assert (found["false_noise"].value or 0.0) <= 0.0
    assert sum(comparison.changed.values()) >= 0


def test_nothing_is_judged_twice_and_the_result_is_the_same(
    dataset: Dataset, store: str, evaluation: Evaluation
) -> None:
    judges.asked.clear()

    again = evaluate(
        dataset,
        PATIENT,
        against=PATIENT.changed({"threshold": "0.9", "verdict_grace": "0"}),
        thresholds=CURVE,
        resampling=HOW,
        store=store,
    )

    assert judges.asked == []
    assert again.to_dict() == evaluation.to_dict()


def test_no_store_no_keeping_and_progress_is_told(dataset: Dataset) -> None:
    judges.asked.clear()
    told: list[tuple[int, int]] = []

    evaluate(
        attrs.evolve(dataset, calls=dataset.calls[:2]),
        PATIENT,
        thresholds=(),
        resampling=HOW,
        progress=lambda done, total: told.append((done, total)),
    )

    assert judges.asked
    assert told == [(1, 2), (2, 2)]


def test_the_document_is_plain_json(evaluation: Evaluation) -> None:
    document = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))

    assert document["dataset"]["overlaps"] == 7
    assert document["point"]["recall"]["n"] == 2
    assert len(document["sweep"]) == len(evaluation.sweep)
    assert document["comparison"]["point"]["threshold"] == 0.9
    assert all(entry["label"] != "interruption" for entry in document["false"])


class Links(HTMLParser):
    """Finds what a page would load, and whether its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [
            value for name, value in attributes if name in ("src", "href", "xlink:href") and value
        ]


def test_the_report_is_one_file_with_curves_and_sound(evaluation: Evaluation, home: Path) -> None:
    judges.asked.clear()

    page = render_report(evaluation)

    assert judges.asked == []  # the timelines come from the store
    links = Links()
    links.feed(page)
    assert all(link.startswith(("data:audio/flac;base64,", "#")) for link in links.loads)
    assert "@import" not in page
    mistakes = sum(map(len, evaluation.mistakes()))
    assert mistakes > 0
    assert links.tags.count("audio") == links.tags.count("article") == mistakes
    assert links.tags.count("svg") == mistakes + 2
    identifiers = re.findall(r' id="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))
    assert "of true interruptions are let in" in page
    assert "<b>The alternative:</b>" in page
    assert str(home) not in page  # the names of this machine's folders are nobody's business
    assert "nan" not in re.sub(r'src="[^"]*"', "", page).lower().replace("domin", "")


def test_a_judge_that_decides_by_itself_has_no_curve(dataset: Dataset) -> None:
    some = attrs.evolve(dataset, calls=dataset.calls[3:4])
    # A FunctionBackend has a default threshold; this judge never asks for it.
    found = evaluate(some, Candidate(backend="tests.evaluation.judges:stubborn"), thresholds=())

    assert found.point.recall.hits == 0
    assert "None." in render_report(attrs.evolve(found, sweep=()), mistakes=0)


def test_audio_that_goes_missing_is_told_for_each_label(dataset: Dataset, home: Path) -> None:
    first = dataset.calls[0]
    gone = attrs.evolve(first, caller=attrs.evolve(first.caller, path=str(home / "gone.wav")))
    found = evaluate(
        attrs.evolve(dataset, calls=(gone, dataset.calls[1])),
        PATIENT,
        thresholds=(),
        resampling=HOW,
        jobs=1,
    )

    assert len(found.results.entries) == 1
    assert "gone.wav: no such file" in str(found.problems[0])


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"colour": "red"}, "'colour' can't be changed"),
        ({"threshold": "high"}, "threshold came as 'high'"),
        ({"eager-first-window": "yes"}, "expected true or false"),
        ({"threshold": "2"}, "threshold"),
    ],
)
def test_changes_that_can_not_be(changes: dict[str, str], what: str) -> None:
    with pytest.raises(OptionError, match=what):
        PATIENT.changed(changes)


def test_another_backend_has_its_own_threshold() -> None:
    own = Candidate(options=AnalysisOptions(detection=InterruptionOptions(threshold=0.7)))

    other = own.changed({"backend": "local-sustained", "latency": "0.2", "max_in_flight": "1"})

    assert (other.backend, other.options.latency) == ("local-sustained", 0.2)
    assert other.options.detection.threshold is None
    assert other.options.detection.max_in_flight == 1
    assert own.changed({"eager_first_window": "true"}).options.detection.eager_first_window


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"jobs": 0}, "jobs came as 0"),
        ({"cluster": "slurm"}, "the cluster came as 'slurm'"),
        ({"cluster": "ray"}, "pip install 'ray"),
    ],
)
def test_who_can_not_do_the_work(dataset: Dataset, arguments: dict[str, object], what: str) -> None:
    with pytest.raises(OptionError, match=what):
        evaluate(dataset, PATIENT, **arguments)  # type: ignore[arg-type]


# --- tuning ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_dataset(pieces(tmp_path_factory.mktemp("many"), times=2))


def test_a_limit_is_kept_on_calls_not_looked_at(many: Dataset, store: str, tmp_path: Path) -> None:
    tuning = tune(
        many,
        Goal(max_false_positive_rate=0.0),
        PATIENT,
        thresholds=(0.2, 0.5, 0.8),
        durations=(0.05, 0.1),
        resampling=HOW,
        store=store,
    )

    assert tuning.tuned.false_backchannel.value == tuning.tuned.false_noise.value == 0.0
    assert sum(tuning.calls) == 14
    assert tuning.held_out.recall.n > 0
    assert tuning.finding in ("open", "refuted")  # so few calls confirm no 0 %
    path = tmp_path / "options.json"
    write_options(path, tuning.options())
    options = read_options(path)
    assert options["backend"] == PATIENT.backend
    assert InterruptionOptions(**options["detection"]).threshold == tuning.held_out.threshold
    assert json.loads(json.dumps(tuning.to_dict()))["calls"]["held_out"] == tuning.calls[1]


def test_costs_are_weighed(many: Dataset, store: str) -> None:
    def best(**costs: float) -> float | None:
        goal = Goal(costs=Costs(**costs))
        tuning = tune(
            many,
            goal,
            PATIENT,
            thresholds=(0.3, 0.98),
            durations=(0.05,),
            resampling=HOW,
            store=store,
        )
        assert tuning.costs is not None
        assert tuning.finding in ("open", "confirmed")
        return tuning.candidate.options.detection.threshold

    assert best(missed=100.0, false=0.0) == 0.3
    assert best(missed=0.0, false=1.0) == 0.98
    assert best(missed=0.0, false=0.0, second=1.0) == 0.3


def test_what_can_not_be_tuned(many: Dataset, dataset: Dataset, store: str) -> None:
    goal = Goal(max_false_positive_rate=0.0)
    with pytest.raises(OptionError, match="no settings keep false positives at 0 or below"):
        tune(many, goal, PATIENT, thresholds=(0.1,), durations=(0.05,), store=store)
    with pytest.raises(OptionError, match="expected the name of one"):
        tune(many, goal, Candidate(backend=judges.patient))
    with pytest.raises(DatasetError, match="expected at least 3"):
        tune(attrs.evolve(dataset, calls=dataset.calls[:2]), goal, PATIENT, store=store)
    with pytest.raises(OptionError, match="held_out came as"):
        tune(dataset, goal, PATIENT, held_out=0.9, store=store)
    real = [c for c in many.calls if {overlap.label for overlap in c.overlaps} == {"interruption"}]
    with pytest.raises(DatasetError, match="hold nothing but interruptions"):
        tune(attrs.evolve(many, calls=tuple(real)), goal, PATIENT, store=store)
    others = tuple(c for c in many.calls if c not in real)
    with pytest.raises(DatasetError, match="hold no interruption"):
        tune(attrs.evolve(many, calls=others), goal, PATIENT, store=store)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"max_false_positive_rate": 2.0},
        {"max_false_positive_rate": 0.1, "costs": Costs()},
        {"costs": Costs(missed=-1.0)},
    ],
)
def test_goals_that_can_not_be(arguments: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        Goal(**arguments)  # type: ignore[arg-type]


# --- a board's files ------------------------------------------------------------------------


def test_traces_and_events_of_both_speakers(home: Path, tmp_path: Path) -> None:
    call = read_dataset(whole(home))
    candidate = PATIENT.changed({"latency": "0.1"})

    assert export(call, candidate, tmp_path / "run", frame_rate=50) == 1

    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["frame_rate_hz"], manifest["task_ids"]) == (50, ["call"])
    assert manifest["schema_version"] == "1.0"
    with np.load(tmp_path / "run" / "traces" / "call.npz") as archive:
        arrays = dict(archive)
    names = {f"{what}_score_speaker_{k}" for what in ("eot", "interruption") for k in (1, 2)}
    assert set(arrays) == names
    assert {a.shape for a in arrays.values()} == {(48 * 50,)}
    assert {a.dtype for a in arrays.values()} == {np.dtype(np.float32)}
    document = json.loads((tmp_path / "run" / "predictions.json").read_text(encoding="utf-8"))
    assert document["schema_version"] == 1
    (entry,) = document["predictions"]
    assert entry["conversation_id"] == "call"
    times = entry["speaker_1"]["interruption"]
    assert times == sorted(set(times))
    assert times
    score = arrays["interruption_score_speaker_1"]
    for time in times:  # the trace is over the threshold from then on, and wasn't just before
        frame = int(np.ceil(time * 50 - 1e-6))
        assert score[frame] >= 0.5
        assert score[frame - 1] < 0.5
    assert not arrays["eot_score_speaker_1"].any()


def test_conversations_need_two_channels_and_a_name_each(dataset: Dataset) -> None:
    alone = attrs.evolve(dataset.calls[0], agent=None)
    with pytest.raises(DatasetError, match="no recording has an agent's channel"):
        conversations(attrs.evolve(dataset, calls=(alone,)))
    twins = tuple(attrs.evolve(call, id="one") for call in dataset.calls[:2])
    with pytest.raises(DatasetError, match="two conversations are called 'one'"):
        conversations(attrs.evolve(dataset, calls=twins))
    named = attrs.evolve(dataset.calls[0], id="a/b c")
    assert conversations(attrs.evolve(dataset, calls=(named,)))[0].id == "a_b_c"
    with pytest.raises(OptionError, match="frame_rate"):
        export(dataset, PATIENT, "nowhere", frame_rate=0)
