"""A recorded call becomes a script, and a script a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from bargein import RecordingError
from bargein.recording import Recorder, find_recordings
from bargein.testing import CallScript, ScriptFailure, StillCall, load_recording
from bargein.testing.answers import Answer, silence

yes_at_half = Answer(probability=0.5, decision=True)

ROOT = Path(__file__).resolve().parents[2]


def recorded(folder: Path) -> Path:
    (path,) = find_recordings(folder)
    return path


@pytest.fixture
def call(tmp_path: Path) -> Path:
    """An interruption at the second window, then an overlap that nobody judged in time."""
    with Recorder(tmp_path) as recorder:
        still = StillCall(threshold=0.75)
        still.detector.stream(id="call 17", recorder=recorder)
        still.play(
            CallScript()
            .agent_speaks(0, 6)
            .caller_speaks(1, 1.5)
            .judged(0.5, 0.875, after=0.02)
            .expect_interruption()
            .caller_speaks(3, 3.25)
            .judged(silence)
            .expect_inconclusive()
        )
        still.stream.close()
    return recorded(tmp_path)


@pytest.mark.parametrize("transport", ["websocket", "http", "call"])
def test_the_same_comes_of_the_script(call: Path, transport: str) -> None:
    script = load_recording(call)
    run = script.run(transport)

    assert script.name == "call 17"
    assert [verdict for verdict, _ in run.verdicts] == ["interruption", "inconclusive"]


def test_what_should_have_come_is_said_by_number(call: Path) -> None:
    script = load_recording(call, expect={1: "backchannel"})

    with pytest.raises(ScriptFailure, match="1 of 2 expectations not met"):
        script.run()


def test_another_option_is_tried_on_it(call: Path) -> None:
    script = load_recording(call, expect={1: "backchannel"})

    assert script.with_options(threshold=0.9).run().verdicts[0] == ("backchannel", None)


def test_a_judge_that_knows_better_than_the_threshold_is_believed(tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        still = StillCall(threshold=0.75)
        still.detector.stream(recorder=recorder)
        still.play(
            CallScript()
            .agent_speaks(0, 3)
            .caller_speaks(1, 1.5)
            .judged(yes_at_half)
            .expect_interruption()
        )
        still.stream.close()

    load_recording(recorded(tmp_path)).with_options(threshold=0.9).run()


def test_an_outcome_that_there_isnt_is_refused(call: Path) -> None:
    with pytest.raises(ValueError, match="cough"):
        load_recording(call, expect={1: "cough"})


def test_what_the_library_heard_needs_no_vad_any_more(tmp_path: Path) -> None:
    import soundfile

    line, rate = soundfile.read(ROOT / "examples/call/call.flac", dtype="int16", always_2d=True)
    line = line[15 * rate : 22 * rate]  # a cough, and "wait, no"
    step = rate // 50
    with Recorder(tmp_path) as recorder:
        still = StillCall(transport="call", backend="local", fallback="fail_open")
        stream = still.detector.stream(sample_rate=rate, vad="silero", recorder=recorder)
        for i in range(0, len(line), step):
            still.clock.advance(step / rate)
            stream.agent_audio(line[i : i + step, 1].copy(), sample_rate=rate)
            stream.push_frame(line[i : i + step, 0].copy())
        stream.end_input()
        still.clock.advance(2.0)
        stream.close()
    script = load_recording(recorded(tmp_path))

    assert [event.outcome.value for event in still.events] == ["backchannel", "interruption"]
    assert script.options["fallback"] == "fail_open"
    assert script.run("call").verdicts == [("backchannel", None), ("interruption", None)]


def test_no_recording_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError):
        load_recording(tmp_path)
