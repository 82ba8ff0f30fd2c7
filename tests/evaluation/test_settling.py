"""Verdicts from notes are a direct run's verdicts, at any settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import soundfile

from bargein.analysis import AnalysisOptions, analyze, open_call
from bargein.backends.protocol import as_backend
from bargein.core import InterruptionOptions, Outcome, Prediction, Window
from bargein.evaluation.dataset import LabelledCall, Track
from bargein.evaluation.hearing import Decision, hear
from bargein.evaluation.settle import Settings, estimates, settle, settle_all
from tests.evaluation.material import EXAMPLE, RATE, hearing


@pytest.fixture(scope="module")
def stretch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seconds 14.5 to 22 of the example call: a backchannel, an interruption."""
    samples, _ = soundfile.read(EXAMPLE, dtype="int16", always_2d=True)
    path = tmp_path_factory.mktemp("stretch") / "call.wav"
    soundfile.write(path, samples[29 * RATE // 2 : 22 * RATE], RATE)
    return path


def rising(window: Window) -> Prediction:
    """The longer the caller has spoken, the surer; once in a while it fails or decides itself."""
    assert window.speech_start is not None
    heard = (len(window.samples) - window.speech_start) / 16_000
    if 0.55 < heard < 0.65:
        raise RuntimeError("out of order")
    values = np.full(-(-len(window.samples) // 400), min(1.0, heard), np.float32)
    values[::3] *= 0.9
    return Prediction(values, True if heard > 0.97 else None)


def facts(verdicts: Sequence[Any]) -> list[tuple[object, ...]]:
    return [
        (
            v.outcome,
            v.reason,
            round(v.detection_delay, 6),
            round(v.probability, 6),
            v.num_requests,
            v.agent_ended,
        )
        for v in verdicts
    ]


@pytest.mark.parametrize(
    ("latencies", "changes"),
    [
        ((0.0, 0.3), {}),
        ((0.0,), {"min_interruption_duration": 0.1, "verdict_grace": 0.0}),
        ((0.3,), {"max_in_flight": 1, "inference_timeout": 0.25}),
        ((0.3,), {"eager_first_window": True, "max_in_flight": 1}),
    ],
    ids=["plain", "no grace", "too slow", "eager"],
)
def test_a_sweep_is_as_many_direct_runs(
    stretch: Path, latencies: Sequence[float], changes: dict[str, Any]
) -> None:
    """The same pass gives, for each threshold and latency, what a run under them gives."""
    backend = as_backend(rising)
    detection = InterruptionOptions(**changes)
    call = LabelledCall(id="x", caller=Track(str(stretch), 0), agent=Track(str(stretch), 1))
    noted = hear(call, backend, AnalysisOptions(detection=detection))
    for latency in latencies:
        for threshold in (0.2, 1.0):
            options = AnalysisOptions(
                detection=attrs.evolve(detection, threshold=threshold), latency=latency
            )
            with open_call(stretch) as opened:
                direct = analyze(opened, options=options, backend=backend)
            settings = Settings(threshold=threshold, detection=detection, latency=latency)

            found = settle(noted, settings)

            assert facts(found) == facts([overlap.event for overlap in direct.overlaps])
            assert [round(v.emitted, 6) for v in found] == [
                round(overlap.decided_at, 6) for overlap in direct.overlaps
            ]
            assert len(found) == 2


def test_many_settings_at_once_are_the_same_as_each_by_itself() -> None:
    noted = hearing((1.0, 2.0, [0.2, 0.5, 0.7]), (4.0, 4.5, [0.1, 0.7]))
    settings = [
        Settings(threshold=t, detection=InterruptionOptions(min_interruption_duration=d))
        for d in (0.05, 0.3)
        for t in (0.0, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.71, 1.0)
    ]

    assert [v for _, v in settle_all(noted, settings)] == [settle(noted, s) for s in settings]


def test_a_threshold_that_an_estimate_equals_is_reached() -> None:
    noted = hearing((1.0, 2.0, [0.2, 0.7]))

    (at,), (above,) = (settle(noted, Settings(threshold=t)) for t in (0.7, 0.701))

    assert (at.outcome, round(at.detected, 6)) == (Outcome.INTERRUPTION, 1.2)
    assert above.outcome is Outcome.BACKCHANNEL


def test_a_backend_that_decides_needs_no_threshold() -> None:
    yes = hearing((1.0, 1.2, [0.0, 0.0]), decision=Decision.YES)
    failed = hearing((1.0, 1.2, [0.0, 0.0]), decision=Decision.FAILED)

    assert settle(yes, Settings())[0].is_interruption
    assert settle(failed, Settings(threshold=0.5))[0].reason == "error"
    assert estimates(yes.windows, 2) == [1.0, 1.0]
    assert estimates(failed.windows, 2) == [0.0, 0.0]


def test_the_agents_turns_and_the_overlaps_ends() -> None:
    noted = hearing((1.0, 2.0, [0.1]), (6.0, 9.0, [0.1]), turn=(0.5, 8.0))

    assert noted.turns == [(0.5, 8.0)]
    assert noted.ends == {1: 2.0, 2: 8.0}
    assert noted.spoke(7.9, 8.5)
    assert not noted.spoke(8.0, 9.0)
    assert hearing().turns == [(0.0, 10.0)]


def test_the_agents_start_may_be_told_and_its_audio_may_be_missing(stretch: Path) -> None:
    """Then nobody guesses: the agent speaks from there to the end."""
    path = str(stretch)
    told = LabelledCall(id="x", caller=Track(path, 0), agent=Track(path, 1), agent_start=1.0)
    alone = LabelledCall(id="x", caller=Track(path, 0))
    backend = as_backend(lambda window: np.zeros(-(-len(window.samples) // 400)))
    options = AnalysisOptions()

    noted, without = (hear(call, backend, options) for call in (told, alone))

    assert noted.turns == [(1.0, 7.5)]
    assert without.turns == [(0.0, 7.5)]
    assert without.frames == 15 * RATE // 2
    assert len(without.windows) >= len(noted.windows) > 10
    two = LabelledCall(id="x", caller=Track(path, 0), agent=Track(str(EXAMPLE), 1), agent_start=0.0)
    assert hear(two, backend, options).frames == 48 * RATE
