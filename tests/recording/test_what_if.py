"""What other settings, or another judge, would have made of a recorded call."""

from __future__ import annotations

import json
import shutil
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bargein import AdaptiveInterruptionDetector, FunctionBackend, OptionError, Window
from bargein.analysis.options_file import write_options
from bargein.cli import main
from bargein.recording import CallRecording, Recorder, what_if
from bargein.testing.caller import Caller
from bargein.testing.sockets import BOUND

from .conftest import only_call


@pytest.fixture
def recording(recorder: Recorder) -> CallRecording:
    """Two overlaps: 0.75 at the first window, and three windows of 0.25."""
    answers = iter([0.75, 0.25, 0.25, 0.25])
    asked = threading.Semaphore(0)

    def judge(window: Window) -> Any:
        asked.release()
        return np.full(40, next(answers))

    with (
        AdaptiveInterruptionDetector(
            backend=judge, threshold=0.5, inference_timeout=BOUND, verdict_grace=BOUND
        ) as detector,
        Caller(detector, id="call 17", recorder=recorder) as caller,
    ):
        caller.interrupt()
        assert asked.acquire(timeout=BOUND)
        assert caller.event().is_interruption
        caller.stop()
        caller.begin()
        for step in range(3):  # each window is handed over before the next, or it would give way
            assert asked.acquire(timeout=BOUND)
            caller.speak(step < 2)
        caller.stop()
        assert not caller.event().is_interruption
        caller.stream.update_options(threshold=0.125)  # of no moment: no overlap follows
        caller.stream.end_input()
        caller.read_all()
    return only_call(recorder)


def outcomes(recording: CallRecording, **changes: object) -> list[tuple[str, str, bool]]:
    return [
        (one.recorded["outcome"], one.replayed.outcome.value, one.changed)
        for one in what_if(recording, **changes)
        if one.recorded is not None and one.replayed is not None
    ]


def test_nothing_changed_gives_the_same(recording: CallRecording) -> None:
    assert outcomes(recording) == [
        ("interruption", "interruption", False),
        ("backchannel", "backchannel", False),
    ]


def test_a_lower_threshold_cuts_off_more(recording: CallRecording) -> None:
    assert outcomes(recording, threshold=0.2)[1] == ("backchannel", "interruption", True)


def test_what_was_never_judged_is_unknown(recording: CallRecording) -> None:
    first, second = what_if(recording, detection_interval=0.05)

    assert (first.unknown, first.changed) == (True, False)
    assert (second.unknown, second.changed) == (True, False)


def test_another_judge_judges_all_anew(recording: CallRecording) -> None:
    backend = FunctionBackend(lambda window: np.full(200, 0.375), default_threshold=0.25)

    # By its own threshold, whatever the call's was for its judge, then and after an update.
    assert outcomes(recording, backend=backend) == [
        ("interruption", "interruption", False),
        ("backchannel", "interruption", True),
    ]
    assert outcomes(recording, backend=backend, threshold=0.5) == [
        ("interruption", "backchannel", True),
        ("backchannel", "backchannel", False),
    ]


def test_a_slower_judge_may_come_too_late(recording: CallRecording) -> None:
    assert outcomes(recording, latency=2 * BOUND) == [
        ("interruption", "inconclusive", True),
        ("backchannel", "inconclusive", True),
    ]


def test_settings_of_a_call_hold_where_none_are_chosen(recording: CallRecording) -> None:
    again = outcomes(recording, min_interruption_duration=0.1)

    assert [then for then, _, _ in again] == ["interruption", "backchannel"]
    assert not any(changed for _, _, changed in again)


@pytest.mark.parametrize("changes", [{"treshold": 0.5}, {"threshold": 1.5}, {"latency": -1}])
def test_an_option_that_cant_be_is_refused(
    recording: CallRecording, changes: dict[str, float]
) -> None:
    with pytest.raises(OptionError, match=r"treshold|1\.5|latency came as -1"):
        what_if(recording, **changes)


def test_times_are_those_of_the_call(recording: CallRecording) -> None:
    for one in what_if(recording, threshold=0.125):
        assert one.recorded is not None
        assert one.replayed is not None
        onset = one.recorded["overlap_started_at"]
        assert one.replayed.overlap_started_at == pytest.approx(onset, abs=1e-3)


def test_times_are_about_those_of_a_call_without_an_event(recording: CallRecording) -> None:
    path = recording.path / "call.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith('{"event"')))

    began = datetime.fromisoformat(recording.header["began"]).timestamp()
    for one in what_if(recording):
        assert one.replayed is not None
        assert abs(one.replayed.created_at - began) < 2 * BOUND


# --- the command --------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["replay", *arguments])
    return code, capsys.readouterr().out


def test_the_command_says_that_it_is_the_same(
    recording: CallRecording, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run(capsys, str(recording.path.parent))

    assert code == 0
    assert "identical: 2 events, 4 windows" in out
    assert "call 17" in out


def test_the_command_shows_what_would_change(
    recording: CallRecording, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run(capsys, str(recording.path), "--threshold", "0.2")
    (line,) = [line for line in out.splitlines() if line.startswith("*")]

    assert code == 0
    assert line.split()[:3] == ["*", "2", "backchannel"]
    assert "1 of 2 overlaps would have been another" in out


def test_the_command_says_what_it_cant_know(
    recording: CallRecording, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out = run(capsys, str(recording.path), "--detection-interval", "0.05")

    assert "unknown: not judged" in out
    assert "0 of 2 overlaps would have been another" in out
    assert "2 unknown: windows would be needed that nobody judged; give a --backend" in out


def test_the_command_takes_the_options_that_tune_writes(
    recording: CallRecording, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "options.json"
    write_options(file, {"backend": "local-sustained", "detection": {"threshold": 0.0}})

    _, out = run(capsys, str(recording.path), "--options", str(file))
    _, flag = run(capsys, str(recording.path), "--options", str(file), "--threshold", "1")

    assert "1 of 2 overlaps would have been another" in out
    assert "unknown" not in out  # local-sustained judged all anew
    assert "1 of 2 overlaps would have been another" in flag
    assert out != flag


def test_the_command_takes_another_judge(
    recording: CallRecording, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run(capsys, str(recording.path), "--backend", "local-sustained", "--json")
    plain = json.loads(out)

    assert code == 0
    assert [one["recorded"]["outcome"] for one in plain["overlaps"]] == [
        "interruption",
        "backchannel",
    ]
    assert plain["stream_id"] == "call 17"


def test_a_replay_that_differs_ends_with_one(
    recording: CallRecording, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recording.path / "call.jsonl"
    path.write_text(path.read_text().replace('"outcome":"interruption"', '"outcome":"cough"'))
    code, out = run(capsys, str(recording.path))
    as_json = run(capsys, str(recording.path), "--json")

    assert code == 1
    assert "NOT the same" in out
    assert json.loads(as_json[1])["identical"] is False


def test_a_recording_that_was_cut_short_is_said_to_be(
    recording: CallRecording, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recording.path / "call.jsonl"
    path.write_bytes(path.read_bytes()[:-4])
    code = main(["replay", str(recording.path)])

    assert code == 0
    assert "the line isn't whole" in capsys.readouterr().err
    assert main(["replay", str(recording.path), "--strict"]) == 3
    assert "the line isn't whole" in capsys.readouterr().err


def test_a_recording_without_an_end_is_said_to_have_none(
    recording: CallRecording, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recording.path / "call.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))

    assert main(["replay", str(recording.path)]) == 0
    assert "it has no end" in capsys.readouterr().err


def test_one_that_cant_be_read_does_not_keep_the_others_from_it(
    recording: CallRecording, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, version in enumerate(("0", "99", '"x"')):
        other = recording.path.parent / f"0{number}"  # before the good one
        shutil.copytree(recording.path, other)
        path = other / "call.jsonl"
        path.write_text(path.read_text().replace('"version":1', f'"version":{version}', 1))

    assert main(["replay", str(recording.path.parent)]) == 3
    out, err = capsys.readouterr()
    assert out.count("identical: 2 events") == 1
    assert err.startswith("bargein: left out 3 of 4 recordings:\n")
    assert "version 0; expected a whole number from 1" in err
    assert "version 99; this library reads up to 1: install a newer one" in err
    assert main(["replay", str(recording.path.parent), "--strict"]) == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_no_recording_is_unreadable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path)]) == 3
    assert "no recording of a call" in capsys.readouterr().err


def test_a_judge_that_cant_be_loaded_is_an_option(
    recording: CallRecording,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "broken_judge.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)

    assert main(["replay", str(recording.path), "--backend", "nobody"]) == 2
    assert main(["replay", str(recording.path), "--backend", "broken_judge:judge"]) == 2
    assert "ZeroDivisionError" in capsys.readouterr().err
