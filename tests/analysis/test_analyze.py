"""Recordings from end to end: what is found, when, and in how much memory."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import soundfile

from bargein.analysis import Analysis, AnalysisOptions, Timings, analyze, open_call
from bargein.cli.table import clock_time
from bargein.core import InterruptionOptions, Outcome, Prediction, Window
from bargein.errors import AudioFileError, OptionError
from tests.fresh import run_fresh

from .calls import EXAMPLE, ROOT, contents, example, steady, write


def run(path: Path, agent: Path | None = None, **keywords: Any) -> Analysis:
    with open_call(path, agent) as call:
        return analyze(call, **keywords)


@pytest.fixture(scope="module")
def found() -> Analysis:
    """The example call, judged by the local backend at its defaults."""
    return run(EXAMPLE, waveforms=True)


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """The example's first backchannel: 1.5 s of the agent, "mm-hmm" at 1.15 s."""
    return write(tmp_path / "short.wav", example(6.0, 8.5))


def over_agent() -> list[dict[str, Any]]:
    """The sounds in the example call that are the caller's, and over the agent."""
    return [
        sound for sound in contents()["caller"] if sound["over_agent"] and sound["label"] != "echo"
    ]


# --- the example call -----------------------------------------------------------------------


def test_every_overlap_is_found_and_echo_opens_none(found: Analysis) -> None:
    turns = contents()["agent"]
    sounds = over_agent()
    assert len(found.overlaps) == len(sounds) == 7
    for overlap, sound in zip(found.overlaps, sounds, strict=True):
        # Who spoke before the agent, talks over it from its start on.
        turn = min(turn["start"] for turn in turns if turn["end"] > sound["onset"])
        assert overlap.start == pytest.approx(max(sound["onset"], turn), abs=0.1)
        ends = [turn["end"] + 0.5 for turn in turns if turn["end"] > sound["onset"]]
        assert overlap.end == pytest.approx(min(sound["end"], *ends), abs=0.35)


def test_interruptions_are_found_within_a_second(found: Analysis) -> None:
    pairs = list(zip(found.overlaps, over_agent(), strict=True))

    interruptions = [overlap for overlap, sound in pairs if sound["label"] == "interruption"]
    assert len(interruptions) == 2
    for overlap in interruptions:
        assert overlap.event.outcome is Outcome.INTERRUPTION
        assert overlap.decided_at - overlap.start < 1.0
        assert overlap.event.detection_delay == pytest.approx(overlap.decided_at - overlap.start)


def test_backchannels_and_noises_are_let_pass(found: Analysis) -> None:
    pairs = list(zip(found.overlaps, over_agent(), strict=True))

    passed = [overlap.event for overlap, sound in pairs if sound["label"] != "interruption"]
    assert [event.outcome for event in passed] == [Outcome.BACKCHANNEL] * 5
    assert all(event.reason is None and 0 < event.probability < 0.5 for event in passed)


def test_the_page_shows_what_is_found(found: Analysis) -> None:
    page = (ROOT / "docs" / "analyze.md").read_text(encoding="utf-8")

    shown = re.findall(r"^(0:\d\d\.\d\d)  \d\.\d\d s  (\w+) ", page, re.MULTILINE)
    assert shown == [
        (clock_time(overlap.start), overlap.event.outcome.value) for overlap in found.overlaps
    ]


def test_the_agents_turns_are_found(found: Analysis) -> None:
    turns = contents()["agent"]

    assert len(found.turns) == len(turns)
    for heard, true in zip(found.turns, turns, strict=True):
        assert heard.start == pytest.approx(true["start"], abs=0.2)
        # The end is certain after half a second of silence.
        assert heard.end == pytest.approx(true["end"] + 0.5, abs=0.2)


def test_every_answer_lies_in_its_overlap(found: Analysis) -> None:
    for overlap in found.overlaps:
        assert overlap.answers
        for answer in overlap.answers:
            assert answer.cut == answer.at  # no latency
            assert overlap.start < answer.at <= overlap.decided_at
        last = overlap.answers[-1]
        assert last.probability == pytest.approx(overlap.event.probability)
        assert len(overlap.answers) == overlap.event.num_requests


def test_memory_is_not_spent_on_windows(found: Analysis) -> None:
    for overlap in found.overlaps:
        assert overlap.event.speech_input is None
        assert overlap.event.probabilities is None


# --- the same whatever the file -------------------------------------------------------------


def test_two_runs_are_the_same(short: Path) -> None:
    first, second = (json.dumps(run(short).to_dict()) for _ in range(2))

    assert first == second


def outline(analysis: Analysis) -> list[tuple[float, str]]:
    return [(overlap.start, overlap.event.outcome.value) for overlap in analysis.overlaps]


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 44_100, 48_000])
def test_any_rate(tmp_path: Path, rate: int) -> None:
    path = write(tmp_path / "call.wav", example(6.0, 8.5, rate), rate)
    analysis = run(path)

    assert analysis.recording["sample_rate"] == rate
    assert analysis.duration == pytest.approx(2.5, abs=0.001)
    ((start, outcome),) = outline(analysis)
    assert start == pytest.approx(1.15, abs=0.1)
    assert outcome == "backchannel"


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.wav", "ULAW"), ("a.wav", "FLOAT"), ("a.flac", "PCM_16")]
)
def test_any_encoding(tmp_path: Path, short: Path, name: str, subtype: str) -> None:
    path = write(tmp_path / name, example(6.0, 8.5), subtype=subtype)

    # The example went through u-law once already, so even that loses nothing.
    assert outline(run(path)) == outline(run(short))


def test_two_mono_files_are_the_same_call(tmp_path: Path, short: Path) -> None:
    sides = example(6.0, 8.5)
    caller = write(tmp_path / "caller.wav", sides[:, 0])
    agent = write(tmp_path / "agent.wav", sides[:, 1])

    one, two = run(short).to_dict(), run(caller, agent).to_dict()

    assert one["overlaps"] == two["overlaps"] != []
    assert two["recording"]["agent"]["file"] == str(agent)


def test_an_agent_at_another_rate(tmp_path: Path, short: Path) -> None:
    caller = write(tmp_path / "caller.wav", example(6.0, 8.5)[:, 0])
    agent = write(tmp_path / "agent.wav", example(6.0, 8.5, 48_000)[:, 1], 48_000)

    ((start, outcome),) = outline(run(caller, agent))
    assert (start, outcome) == (pytest.approx(1.15, abs=0.1), "backchannel")


def test_silence(tmp_path: Path) -> None:
    path = write(tmp_path / "silence.wav", np.zeros((16_000, 2), np.int16))
    analysis = run(path)

    assert (analysis.overlaps, analysis.turns) == ((), ())
    assert analysis.summary()["median_delay"] is None
    assert analysis.duration == 2.0


def test_one_sample(tmp_path: Path) -> None:
    analysis = run(write(tmp_path / "one.wav", np.ones((1, 2), np.int16)), waveforms=True)

    assert analysis.overlaps == ()


def test_a_call_that_ends_in_an_overlap(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.wav", example(18.0, 20.05))

    analysis = run(path, backend=steady(0.1))

    (overlap,) = analysis.overlaps
    assert overlap.end == pytest.approx(2.05)
    assert (overlap.event.outcome.value, overlap.event.reason) == ("inconclusive", "input_ended")
    (turn,) = analysis.turns
    assert turn.end == pytest.approx(2.05)


def test_damage_that_shows_while_reading(tmp_path: Path) -> None:
    path = write(tmp_path / "call.flac", example(0.0, 4.0))
    with open_call(path) as call:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(AudioFileError, match="truncated or damaged"):
            analyze(call, backend=steady(0.1))


# --- what it is analysed with ---------------------------------------------------------------


def test_the_judge_decides_and_its_time_does_not_count(short: Path) -> None:
    analysis = run(short, backend=steady(0.9))

    (overlap,) = analysis.overlaps
    assert overlap.event.is_interruption
    assert overlap.event.prediction_duration == 0.0
    assert overlap.event.num_requests == 1
    assert analysis.backend == {
        "model": "judge",
        "provider": "custom",
        "default_threshold": 0.5,
    }


def test_latency(short: Path) -> None:
    early = run(short, backend=steady(0.9)).overlaps[0]
    late = run(short, backend=steady(0.9), options=AnalysisOptions(latency=0.25)).overlaps[0]

    assert late.start == early.start
    assert late.decided_at == pytest.approx(early.decided_at + 0.25)
    assert late.event.total_duration == pytest.approx(0.25)


def test_a_latency_beyond_the_timeout_leaves_it_open(short: Path) -> None:
    options = AnalysisOptions(latency=2.0)
    analysis = run(short, backend=steady(0.9), options=options)

    (overlap,) = analysis.overlaps
    assert (overlap.event.outcome, overlap.event.reason) == (Outcome.INCONCLUSIVE, "timeout")
    assert overlap.answers == ()
    assert analysis.windows["answered"] == 0


@pytest.mark.parametrize("latency", [-0.1, math.nan, "1"])
def test_a_latency_that_cannot_be(latency: Any) -> None:
    with pytest.raises(OptionError, match=r"latency came as .*; expected seconds >= 0"):
        AnalysisOptions(latency=latency)


def test_without_the_gate_echo_opens_overlaps(tmp_path: Path) -> None:
    path = write(tmp_path / "echo.wav", example(1.0, 6.0))

    assert run(path, backend=steady(0.1)).overlaps == ()
    options = AnalysisOptions(echo_gate=None)
    assert run(path, backend=steady(0.1), options=options).overlaps != ()


@pytest.mark.parametrize(
    "detection",
    [
        InterruptionOptions(eager_first_window=True),
        InterruptionOptions(detection_interval=0.02),
        InterruptionOptions(verdict_grace=0.0),
        InterruptionOptions(threshold=0.05, max_in_flight=1),
    ],
)
@pytest.mark.parametrize("latency", [0.0, 0.13])
def test_how_much_is_played_at_once_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    detection: InterruptionOptions,
    latency: float,
) -> None:
    path = write(tmp_path / "call.wav", example(6.5, 8.2))
    options = AnalysisOptions(detection=detection, latency=latency)
    usual = run(path, options=options)
    monkeypatch.setattr("bargein.analysis.run._MOST_CHUNKS", 1)
    slowly = run(path, options=options)

    assert usual.to_dict() == slowly.to_dict()
    assert usual.overlaps != ()


def test_an_eager_window_is_handed_over_at_the_onsets_notice(short: Path) -> None:
    options = AnalysisOptions(detection=InterruptionOptions(eager_first_window=True))
    eager = run(short, backend=steady(0.9), options=options).overlaps[0]
    usual = run(short, backend=steady(0.9)).overlaps[0]

    assert usual.decided_at - eager.decided_at == pytest.approx(0.1)


def test_a_judge_that_fails(short: Path) -> None:
    def judge(window: Window) -> Prediction:
        raise RuntimeError("boom")

    analysis = run(short, backend=judge)

    assert (analysis.overlaps[0].event.outcome, analysis.overlaps[0].event.reason) == (
        Outcome.INCONCLUSIVE,
        "error",
    )
    assert str(analysis.error) == "boom"
    assert analysis.windows["failed"] == analysis.windows["sent"] > 0


def test_the_session_is_closed_whatever_happens(short: Path) -> None:
    class Watched:
        model = provider = "watched"
        default_threshold = None
        closed = 0

        def open_session(self, stream_id: str | None) -> Watched:
            return self

        def predict(self, window: Window) -> Prediction:
            raise KeyboardInterrupt

        def close(self) -> None:
            self.closed += 1

    backend = Watched()
    with pytest.raises(KeyboardInterrupt):
        run(short, backend=backend)
    assert backend.closed == 1


def test_what_is_no_backend() -> None:
    with pytest.raises(OptionError, match="a backend came as 7"):
        run(EXAMPLE, backend=7)


# --- beside the result ----------------------------------------------------------------------


def test_progress(short: Path) -> None:
    told: list[float] = []
    run(short, backend=steady(0.1), progress=told.append)

    assert [int(seconds) for seconds in told] == [1, 2]


def test_timings_only_where_a_clock_is_given(short: Path) -> None:
    ticks: Iterator[int] = iter(range(1000))
    timed = run(short, backend=steady(0.9), clock=lambda: float(next(ticks)))
    timings = timed.to_dict().pop("timings")

    assert timings["total"] > timings["judge"] == 1.0  # one window: one tick to the next
    assert timings["speed"] == pytest.approx(2.5 / timings["total"], abs=1e-6)
    untimed = run(short, backend=steady(0.9)).to_dict()
    assert {**untimed, "timings": timings} == timed.to_dict()


def test_a_clock_that_stands_still(short: Path) -> None:
    analysis = run(short, backend=steady(0.9), clock=lambda: 0.0)

    assert analysis.timings is not None
    assert analysis.timings.speed == math.inf


def test_waveforms_only_where_asked_for(short: Path) -> None:
    assert run(short, backend=steady(0.1)).waveforms == {}
    waveforms = run(short, backend=steady(0.1), waveforms=True).waveforms
    caller, agent = example(6.0, 8.5).T
    assert waveforms["caller"][1].max() == caller.max()
    assert waveforms["agent"][0].min() == agent.min()


KEYS = {
    "recording": {"duration", "sample_rate", "caller", "agent", "agent_turns"},
    "options": {
        *("backend", "latency", "threshold_used"),
        *("detection", "tracker", "echo_gate", "playout"),
    },
    "summary": {
        *("overlaps", "interruptions", "backchannels", "inconclusive"),
        *("median_delay", "agent_speech", "windows"),
    },
}
OVERLAP = {
    *("start", "end", "decided_at"),
    *("type", "is_interruption", "outcome", "reason", "agent_ended"),
    *("overlap_started_at", "detected_at", "created_at", "detection_delay"),
    *("total_duration", "prediction_duration", "speech_input", "probabilities"),
    *("probability", "num_requests", "stream_id"),
}


def test_the_document(found: Analysis) -> None:
    document = found.to_dict()

    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert set(document) == {"recording", "options", "overlaps", "summary"}
    for key, names in KEYS.items():
        assert set(document[key]) == names
    assert document["recording"]["caller"] == {
        "file": str(EXAMPLE),
        "channel": 1,
        "sample_rate": 8000,
        "duration": 48.0,
    }
    assert len(document["recording"]["agent_turns"]) == 4
    assert document["options"]["threshold_used"] == 0.5
    assert document["options"]["detection"]["detection_interval"] == 0.1
    summary = document["summary"]
    assert (
        summary["overlaps"]
        == 7
        == sum(summary[name] for name in ("interruptions", "backchannels", "inconclusive"))
    )
    for overlap in document["overlaps"]:
        assert set(overlap) == OVERLAP
        assert overlap["start"] == overlap["overlap_started_at"]
        assert overlap["start"] < overlap["end"]
        assert overlap["decided_at"] == overlap["created_at"]
        assert overlap["probability"] == round(overlap["probability"], 4)
        assert overlap["prediction_duration"] == 0.0


def keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def test_every_key_is_documented(found: Analysis) -> None:
    page = (ROOT / "docs" / "analyze.md").read_text(encoding="utf-8")
    document = attrs.evolve(found, timings=Timings(total=2.0, judge=1.0, speed=24.0)).to_dict()
    # What a settings class holds is documented with that class.
    for name in ("detection", "tracker", "echo_gate", "playout"):
        document["options"][name] = None

    assert {key for key in keys(document) if f"`{key}`" not in page} == set()


MEASURE = """
import pathlib, re, resource, sys
from bargein.analysis import analyze, open_call

with open_call(sys.argv[1]) as call:
    analyze(call, waveforms=True)
# On Linux ru_maxrss begins at what the parent held; the status doesn't.
status = pathlib.Path("/proc/self/status")
if status.exists():
    print(re.search(r"VmHWM:\\s*(\\d+)", status.read_text())[1])
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_call(tmp_path: Path) -> None:
    """A minute and ten, in which the agent speaks little, so that the test is quick."""
    talk, quiet = example(6.0, 9.0), np.zeros((57 * 16_000, 2), np.int16)
    used = []
    for minutes in (1, 10):
        path = tmp_path / f"{minutes}.wav"
        with soundfile.SoundFile(path, "w", 16_000, 2, subtype="ULAW") as file:
            for _ in range(minutes):
                file.write(talk)
                file.write(quiet)
        done = run_fresh("-c", MEASURE, str(path))
        assert done.returncode == 0, done.stderr
        used.append(int(done.stdout))

    # In KB. As samples the nine minutes more would be 34,560.
    assert used[1] - used[0] < 8_000
