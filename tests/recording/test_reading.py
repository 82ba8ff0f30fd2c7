"""Recordings that are damaged, cut short, newer, or none at all; and lines there and back."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein import (
    AdaptiveInterruptionDetector,
    AgentSpeechEnded,
    AgentSpeechStarted,
    AudioFormat,
    EndOfInput,
    Flush,
    Gap,
    MissingExtraError,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    Prediction,
    Reason,
    RecordingError,
    SetFormat,
)
from bargein.core import (
    Audio,
    CancelWindow,
    Close,
    Finish,
    InterruptionOptions,
    Judge,
    JudgeReady,
    JudgeSettings,
    JudgeUnready,
    Reply,
    Settings,
    Skip,
    WindowFailed,
    WindowSent,
)
from bargein.core.inputs import AgentAudio, VoiceActivity
from bargein.core.setup import CallSetup
from bargein.recording import CallRecording, Recorder, find_recordings, load_recording, replay
from bargein.recording.entries import (
    dump_action,
    dump_input,
    dump_setup,
    load_input,
    load_setup,
    to_line,
)
from bargein.testing.caller import Caller

from .conftest import only_call


@pytest.fixture
def recording(recorder: Recorder) -> CallRecording:
    """A short call with one interruption."""
    with (
        AdaptiveInterruptionDetector(backend=lambda window: np.full(40, 0.75)) as detector,
        Caller(detector, recorder=recorder) as caller,
    ):
        caller.stream.agent_audio(bytes(640))
        caller.interrupt()
        caller.event()
    return only_call(recorder)


# --- lines there and back ---------------------------------------------------------------------

seconds = st.floats(0, 1e6)
maybe = st.none() | seconds
judges = st.sampled_from(Judge)
inputs = st.one_of(
    st.builds(Gap, seconds | st.fractions(0, 100)),
    st.builds(Skip, st.integers(0, 10**9)),
    st.builds(VoiceActivity, st.floats(0, 1)),
    st.sampled_from(
        [AgentSpeechStarted(), AgentSpeechEnded(), Flush(), EndOfInput(), Close(), JudgeReady()]
    ),
    st.builds(SetFormat, st.builds(AudioFormat, st.integers(8000, 192_000))),
    st.builds(OverlapSpeechStarted, speech_duration=seconds, started_at=maybe, age=maybe),
    st.builds(OverlapSpeechEnded, ended_at=maybe, agent_ended=st.booleans(), age=maybe),
    st.builds(Settings, st.none() | st.floats(0, 1), st.integers(1, 100)),
    st.builds(WindowSent, st.integers(1)),
    st.builds(JudgeUnready, st.booleans()),
    st.builds(
        WindowFailed,
        st.none() | st.integers(1),
        st.sampled_from([Reason.CONNECTION, Reason.TIMEOUT, Reason.ERROR]),
        judges,
    ),
    st.builds(
        Reply,
        st.integers(1),
        st.builds(
            Prediction,
            st.lists(st.floats(0, 1, width=32), max_size=120),
            st.none() | st.booleans(),
            seconds,
        ),
    ),
)


def nothing(who: str, count: int) -> np.ndarray[Any, Any]:
    raise AssertionError("no audio was told of")


@given(inputs, seconds, st.booleans())
def test_an_input_comes_back_as_it_was(item: Any, now: float, direct: bool) -> None:
    line = to_line(dump_input(item, now, direct=direct))
    plain = json.loads(line)

    assert load_input(plain, nothing) == item
    assert (plain["t"], plain.get("direct", False)) == (now, direct)
    assert line.count(b"\n") == 1


def test_a_third_of_a_second_stays_a_third() -> None:
    plain = json.loads(to_line(dump_input(Gap(Fraction(1, 3)), 0.0, direct=False)))

    assert load_input(plain, nothing).duration == Fraction(1, 3)


def test_audio_is_taken_from_its_side() -> None:
    def take(who: str, count: int) -> np.ndarray[Any, Any]:
        return np.full(count, {"caller": 1, "agent": 2}[who], np.int16)

    heard = load_input({"in": "Audio", "n": 2}, take)
    played = load_input({"in": "AgentAudio", "n": 1, "rate": 24_000}, take)

    assert heard == Audio(b"\1\0\1\0")
    assert played == AgentAudio(b"\2\0", AudioFormat(24_000))


@pytest.mark.parametrize("fallback", [None, Reason.FAIL_OPEN, JudgeSettings(threshold=0.7)])
@pytest.mark.parametrize("gate", [True, False])
def test_settings_come_back_as_they_were(fallback: Any, gate: bool) -> None:
    setup = CallSetup(
        options=InterruptionOptions(threshold=0.25),
        format=AudioFormat(8000),
        fallback=fallback,
        vad=True,
        ready=True,
        **({} if gate else {"gate": None, "tracker": None}),
    )

    assert load_setup(json.loads(json.dumps(dump_setup(setup)))) == setup


def test_actions_are_told_in_few_words() -> None:
    assert dump_action(CancelWindow(3)) == {
        "out": "CancelWindow",
        "judge": "primary",
        "window": 3,
        "reason": None,
    }
    assert dump_action(CancelWindow(3, Judge.FALLBACK, Reason.TIMEOUT))["reason"] == "timeout"
    assert dump_action(Finish()) == {"out": "Finish"}


# --- what can be wrong with a recording --------------------------------------------------------


def test_a_last_line_that_isnt_whole_ends_the_reading(recording: CallRecording) -> None:
    path = recording.path / "call.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:5])
    cut = load_recording(recording.path)

    assert replay(cut).identical
    assert cut.cut == f"{path}:{len(lines)}: the line isn't whole"
    assert not cut.complete


def test_audio_that_isnt_there_ends_the_reading(recording: CallRecording) -> None:
    for flac in recording.path.glob("caller-*.flac"):
        flac.unlink()
    cut = load_recording(recording.path)

    assert replay(cut).events == []
    assert cut.cut is not None
    assert "samples of the caller are missing" in cut.cut


def test_a_segment_that_isnt_there_ends_the_reading(recording: CallRecording) -> None:
    """What follows isn't taken for it."""
    (flac,) = recording.path.glob("caller-*.flac")
    flac.rename(flac.with_name(flac.name.replace("0001", "0002")))
    cut = load_recording(recording.path)

    assert replay(cut).identical
    assert cut.cut is not None
    assert "segment 1 of the caller's audio is missing" in cut.cut


def test_audio_that_is_damaged_ends_the_reading(recording: CallRecording) -> None:
    (flac,) = recording.path.glob("caller-*.flac")
    flac.write_bytes(b"no audio")
    cut = load_recording(recording.path)

    assert replay(cut).events == []
    assert cut.cut is not None
    assert "can't be read" in cut.cut


def test_a_segment_that_is_there_twice_is_read_once(recording: CallRecording) -> None:
    (flac,) = recording.path.glob("caller-*.flac")
    flac.with_suffix(".pcm").write_bytes(b"half written")  # deleted after the .flac is whole

    assert replay(load_recording(recording.path)).identical


def test_the_agents_audio_may_change_its_rate(recording: CallRecording) -> None:
    files = [path.name for path in recording.path.glob("agent-*")]

    assert files == ["agent-0001-16000.flac"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"t":1,"in":"Sneeze"}\n', "'Sneeze' isn't known"),
        (b'{"colour":"red"}\n', "no kind that is known"),
        (b"{]\n", "Expecting"),
        (b"[]\n", "no kind that is known"),
        (b"7\n", "int"),
        (b'{"t":1,"in":"Gap"}\n', "duration"),
    ],
)
def test_a_damaged_line_ends_the_reading(recording: CallRecording, line: bytes, told: str) -> None:
    path = recording.path / "call.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[1], line, *lines[2:]]))
    cut = load_recording(recording.path)

    assert len(list(cut.entries())) == 1
    assert cut.cut is not None
    assert cut.cut.startswith(f"{path}:3: ")
    assert told in cut.cut


def test_a_newer_version_is_refused(recording: CallRecording) -> None:
    path = recording.path / "call.jsonl"
    header, rest = path.read_bytes().split(b"\n", 1)
    plain = json.loads(header) | {"version": 2, "bargein": "9.0"}
    path.write_bytes(json.dumps(plain).encode() + b"\n" + rest)

    with pytest.raises(RecordingError, match=r"reads up to 1.*bargein 9\.0"):
        load_recording(recording.path)


@pytest.mark.parametrize("header", [b"", b"no json\n", b"[]\n", b'{"format":"other"}\n'])
def test_another_kind_of_file_is_refused(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "call.jsonl").write_bytes(header)

    with pytest.raises(RecordingError, match="not a recording's header"):
        load_recording(tmp_path / "call.jsonl")


def test_a_header_without_settings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "call.jsonl").write_text('{"format":"bargein recording","version":1}\n')

    with pytest.raises(RecordingError, match="damaged header"):
        load_recording(tmp_path)


def test_a_folder_without_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no recording of a call: No such file"):
        load_recording(tmp_path)
    with pytest.raises(RecordingError, match="nor in its folders"):
        find_recordings(tmp_path)


def test_without_soundfile_it_says_what_to_install(
    recording: CallRecording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)

    with pytest.raises(MissingExtraError, match=r"bargein\[files\]"):
        replay(recording)


# --- a replay that differs ----------------------------------------------------------------------


def test_a_replay_that_differs_says_where(recording: CallRecording) -> None:
    path = recording.path / "call.jsonl"
    text = path.read_text()
    assert text.count('"samples":') == 1
    path.write_text(text.replace('"samples":', '"samples":1'))
    again = replay(load_recording(recording.path))

    assert not again.identical
    assert "SendWindow" in str(again.difference)


def test_an_output_too_many_or_too_few_is_a_difference(recording: CallRecording) -> None:
    path = recording.path / "call.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    (sent,) = (i for i, line in enumerate(lines) if b"SendWindow" in line)
    path.write_bytes(b"".join(lines[:sent] + lines[sent + 1 :]))
    fewer = replay(load_recording(recording.path)).difference
    path.write_bytes(b"".join([*lines[: sent + 1], lines[sent], *lines[sent + 1 :]]))
    more = replay(load_recording(recording.path)).difference

    assert fewer is not None
    assert (fewer.recorded, more is not None and more.replayed) == (None, None)
    assert "recorded nothing" in str(fewer)


def test_an_event_that_nothing_led_to_is_a_difference(recording: CallRecording) -> None:
    path = recording.path / "call.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    (event,) = (i for i, line in enumerate(lines) if line.startswith(b'{"event"'))
    path.write_bytes(b"".join([lines[0], lines[event], *lines[1:]]))
    again = replay(load_recording(recording.path))

    assert again.difference is not None
    assert again.difference.line == 2
    assert len(str(again.difference)) < 800
