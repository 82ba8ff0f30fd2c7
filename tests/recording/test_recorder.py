"""Live streams over real drivers, recorded and played again: the same events, byte for byte."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bargein import AdaptiveInterruptionDetector, Gap, RecordingError
from bargein.errors import MissingExtraError
from bargein.recording import CallRecording, Recorder, find_recordings, load_recording, replay
from bargein.recording import writer as writer_module
from bargein.testing.answers import drip, drop, error, garbage, judged, no, silence, twice, yes
from bargein.testing.caller import Caller
from bargein.testing.server import ScriptedServer
from bargein.testing.sockets import BOUND
from tests.fresh import run_fresh

from .conftest import only_call

ROOT = Path(__file__).resolve().parents[2]


def assert_replays(recording: CallRecording, count: int) -> None:
    again = replay(recording)
    assert (again.difference, len(again.events)) == (None, count)
    assert again.events == recording.events()
    assert recording.complete
    assert recording.cut is None


def test_a_call_replays_to_the_same_events(recorder: Recorder) -> None:
    with (
        AdaptiveInterruptionDetector(backend=lambda window: np.full(40, 0.75)) as detector,
        Caller(detector, id="call 17", recorder=recorder) as caller,
    ):
        caller.interrupt()
        first = caller.event()
        caller.stop()
        caller.stream.update_options(threshold=0.9)
        caller.begin()
        caller.speak(3)
        caller.stop()
        second = caller.event()
        caller.stream.end_input()
        caller.read_all()
    recording = only_call(recorder)

    assert (first.is_interruption, second.is_interruption) == (True, False)
    assert_replays(recording, 2)
    told = [event | {"speech_input": None, "probabilities": None} for event in recording.events()]
    assert told == [first.to_dict(), second.to_dict()]
    assert recording.stream_id == "call 17"
    assert recording.header["provider"] == "custom"


@pytest.mark.parametrize("transport", ["websocket", "http"])
def test_a_call_with_faults_replays_to_the_same_events(recorder: Recorder, transport: str) -> None:
    wanted = []
    with (
        ScriptedServer() as server,
        server.detector(transport, fallback=lambda window: np.full(40, 0.1)) as detector,
        Caller(detector, recorder=recorder) as caller,
    ):
        for answer in (yes, drop, no, silence, error(503), garbage, twice, drip(0.9), judged(0.3)):
            server.answer(answer, judged(0.8, after=0.01))
            caller.interrupt()
            caller.speak(3)
            caller.wait_until_heard()
            caller.stop()
            wanted.append(caller.event().to_dict())
            caller.stream.agent_speech_ended()
        caller.stream.end_input()
        caller.read_all()
    recording = only_call(recorder)

    assert_replays(recording, len(wanted))
    assert [event["outcome"] for event in recording.events()] == [w["outcome"] for w in wanted]


def test_what_the_library_hears_by_itself_is_found_again(recorder: Recorder) -> None:
    import soundfile

    call, rate = soundfile.read(ROOT / "examples/call/call.flac", dtype="int16", always_2d=True)
    call = call[15 * rate : 22 * rate]  # a cough, and "wait, no"
    step = rate // 10
    with (
        AdaptiveInterruptionDetector(backend="local") as detector,
        Caller(detector, sample_rate=rate, vad="silero", recorder=recorder) as caller,
    ):
        for i in range(0, len(call), step):
            caller.stream.agent_audio(call[i : i + step, 1].copy(), sample_rate=rate)
            caller.stream.push_frame(call[i : i + step, 0].copy())
            if i % (10 * step) == 0:
                caller.wait_until_heard()
        caller.stream.end_input()
        count = len(caller.read_all())

    assert count >= 1
    assert_replays(only_call(recorder), count)


def test_formats_gaps_and_idle_audio_are_kept(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "SEGMENT", 0.25)
    random = np.random.default_rng(7)
    with (
        AdaptiveInterruptionDetector(backend=lambda window: np.full(40, 0.75)) as detector,
        Caller(detector, sample_rate=8000, encoding="mulaw", recorder=recorder) as caller,
    ):
        stream = caller.stream
        for _ in range(10):  # while the agent is silent: no window can need it
            stream.push_frame(random.bytes(1600))
        stream.agent_audio(random.bytes(3200), sample_rate=16_000)
        stream.agent_audio(random.bytes(320))  # as the stream: mu-law, 8 kHz
        stream.agent_speech_started()
        stream.overlap_speech_started(speech_duration=0.25, started_at=1.0)
        stream.push_frame(random.bytes(333))
        stream.push_frame(Gap(1 / 3))
        stream.push_gap(0.1)
        stream.flush()
        stream.voice_activity(0.25)
        stream.set_format(sample_rate=48_000, num_channels=2)
        stream.push_frame(random.bytes(4 * 9600))
        assert caller.event().is_interruption
        stream.overlap_speech_ended(ended_at=2.0)
        stream.end_input()
        caller.read_all()
    recording = only_call(recorder)

    assert_replays(recording, 1)
    heard = sum(entry.plain["n"] for entry in recording.entries() if "n" in entry.plain)
    assert heard == 10 * 1600 + 1600 + 320 + 333 + 9600
    files = sorted(path.name for path in recording.path.iterdir())
    assert "caller-0001-8000.flac" in files
    assert any(name.endswith("-48000.flac") for name in files)
    assert not any(name.endswith(".pcm") for name in files)


def test_a_killed_process_leaves_what_was_written(tmp_path: Path) -> None:
    script = f"""
    import sys, threading
    import numpy as np
    from bargein import AdaptiveInterruptionDetector
    from bargein.recording import Recorder, writer
    from bargein.testing.caller import Caller

    written = threading.Semaphore(0)
    write = writer._Folder.write

    def note(folder, entry):
        write(folder, entry)
        if isinstance(entry, writer._Emitted):
            written.release()

    writer._Folder.write = note
    recorder = Recorder({str(tmp_path)!r})
    detector = AdaptiveInterruptionDetector(backend=lambda window: np.full(40, 0.75))
    caller = Caller(detector, recorder=recorder)
    caller.interrupt()
    caller.event()
    caller.stop()
    caller.begin()
    caller.event()
    assert written.acquire(timeout={BOUND}) and written.acquire(timeout={BOUND})
    print("ready", flush=True)
    sys.stdin.readline()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
        process.wait(BOUND)
    (path,) = find_recordings(tmp_path)
    recording = load_recording(path)
    again = replay(recording)

    assert again.difference is None
    assert len(again.events) == 2
    assert not recording.complete


def test_a_disk_that_is_too_slow_ends_the_recording_and_nothing_else(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MAX_WAITING", 0)
    with (
        AdaptiveInterruptionDetector(backend=lambda window: np.full(40, 0.75)) as detector,
        Caller(detector, recorder=recorder) as caller,
    ):
        caller.interrupt()
        assert caller.event().is_interruption
    recording = only_call(recorder)

    assert list(recording.entries())[-1].kind == "lost"
    assert not recording.complete
    assert recording.cut is not None
    assert "too slow" in recording.cut
    assert recorder.broken_off == 1


def test_a_disk_that_fails_ends_the_recording_and_nothing_else(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer_module._Track, "write", full)
    monkeypatch.setattr(writer_module._Track, "rotate", full)
    with (
        AdaptiveInterruptionDetector(backend=lambda window: np.full(40, 0.75)) as detector,
        Caller(detector, recorder=recorder) as caller,
    ):
        caller.interrupt()
        assert caller.event().is_interruption
    recording = only_call(recorder)

    assert replay(recording).events == []
    assert not recording.complete
    assert "the recording ends here: [Errno 28] No space left on device" in caplog.text
    assert "not closed well" in caplog.text
    assert "Traceback" not in caplog.text
    assert recorder.broken_off == 1


def test_a_disk_that_has_room_for_a_part_is_full(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Short(io.FileIO):
        def write(self, data: Any) -> int:
            return super().write(bytes(data)[:100])

    def opened(path: Path, mode: str, buffering: int) -> Short:
        return Short(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        with (
            AdaptiveInterruptionDetector(backend=lambda window: np.full(40, 0.75)) as detector,
            Caller(detector, recorder=recorder) as caller,
        ):
            caller.interrupt()
            assert caller.event().is_interruption
        recorder.close()

    (path,) = recorder.folder.glob("*/call.jsonl")
    assert path.stat().st_size == 100  # the header's beginning, and nothing behind it
    assert "the recording ends here" in caplog.text
    assert recorder.broken_off == 1


def test_a_disk_that_fills_as_a_segment_is_encoded_loses_none_of_it(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import soundfile

    def full(path: Path, *_: object, **__: object) -> None:
        path.write_bytes(b"fLaC")
        raise RuntimeError("Error writing: System error.")

    monkeypatch.setattr(soundfile, "write", full)
    with (
        AdaptiveInterruptionDetector(backend=lambda window: np.full(40, 0.75)) as detector,
        Caller(detector, recorder=recorder) as caller,
    ):
        caller.interrupt()
        assert caller.event().is_interruption
    recording = only_call(recorder)

    assert_replays(recording, 1)
    assert {path.suffix for path in recording.path.iterdir()} == {".jsonl", ".pcm"}
    assert "not closed well" in caplog.text


def test_no_secret_is_written(recorder: Recorder) -> None:
    secret = "s3cr3t-and-long-enough-to-sign-with-it"
    with (
        ScriptedServer() as server,
        AdaptiveInterruptionDetector(
            base_url=server.url("websocket"),
            api_key="the-key",
            api_secret=secret,
            transport="websocket",
        ) as detector,
        Caller(detector, recorder=recorder) as caller,
    ):
        server.answer(yes)
        caller.interrupt()
        caller.event()
    written = b"".join(path.read_bytes() for path in only_call(recorder).path.iterdir())

    assert secret.encode() not in written
    assert b"the-key" not in written


def test_calls_of_one_recorder_are_kept_apart(recorder: Recorder) -> None:
    with AdaptiveInterruptionDetector(backend=lambda window: np.full(40, 0.75)) as detector:
        for name in ("a/b", "a?b", "../c"):
            with Caller(detector, id=name, recorder=recorder) as caller:
                caller.interrupt()
                caller.event()
    recorder.close()
    found = [load_recording(path) for path in find_recordings(recorder.folder)]

    assert [recording.stream_id for recording in found] == ["a/b", "a?b", "../c"]
    assert all(recording.path.parent == recorder.folder for recording in found)
    assert all(replay(recording).identical for recording in found)


def test_the_interpreters_end_waits_for_the_disk(tmp_path: Path) -> None:
    script = f"""
    import numpy as np
    from bargein import AdaptiveInterruptionDetector
    from bargein.recording import Recorder
    from bargein.testing.caller import Caller

    detector = AdaptiveInterruptionDetector(backend=lambda window: np.full(40, 0.75))
    caller = Caller(detector, recorder=Recorder({str(tmp_path)!r}))
    caller.interrupt()
    caller.event()
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    (path,) = find_recordings(tmp_path)
    recording = load_recording(path)

    assert replay(recording).identical
    assert recording.complete
    assert not list(path.glob("*.pcm"))


def test_without_soundfile_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)

    with pytest.raises(MissingExtraError, match=r"bargein\[files\]"):
        Recorder(tmp_path)


def test_a_folder_that_cant_be_made_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RecordingError, match="no folder for recordings"):
        Recorder(tmp_path / "file" / "calls")


def test_a_call_whose_folder_cant_be_made_is_refused(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with (
        AdaptiveInterruptionDetector(backend=lambda window: np.full(40, 0.75)) as detector,
        pytest.raises(RecordingError, match="can't be written: Permission denied"),
    ):
        detector.stream(recorder=recorder)


def test_errors_are_kept_too(recorder: Recorder) -> None:
    with (
        ScriptedServer() as server,
        server.detector("http") as detector,
        Caller(detector, recorder=recorder) as caller,
    ):
        server.answer(error(401))
        caller.interrupt()
        caller.error()
    recording = only_call(recorder)
    (told,) = [entry.plain for entry in recording.entries() if entry.kind == "error"]

    assert "401" in json.dumps(told)
    assert replay(recording).identical


def test_what_cant_be_written_ends_its_own_recording_alone(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """soundfile's errors are no OSErrors, nor is that of what JSON doesn't know."""

    def full(*_: object) -> None:
        raise RuntimeError("Error writing: System error.")

    with AdaptiveInterruptionDetector(backend=lambda window: np.full(40, 0.75)) as detector:
        with Caller(detector, id="bad", recorder=recorder) as caller:
            caller.stream.agent_speech_started()
            caller.stream.overlap_speech_started(started_at=np.float32(1e9))  # type: ignore[arg-type]
        with monkeypatch.context() as patch, Caller(detector, id="full", recorder=recorder) as two:
            patch.setattr(writer_module._Track, "rotate", full)
            two.interrupt()
            assert two.event().is_interruption
            two.stream.close()
            recorder.close()
        with Caller(detector, id="good", recorder=recorder) as caller:
            caller.interrupt()
            assert caller.event().is_interruption
    recorder.close()
    found = {call.stream_id: call for call in map(load_recording, find_recordings(recorder.folder))}
    assert len(list(found["good"].entries())) > 0
    assert found["good"].complete
    assert "the recording ends here" in caplog.text
    assert "not closed well" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")
def test_a_child_records_by_a_thread_of_its_own(tmp_path: Path) -> None:
    code = """
    import os, sys, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: a fork with threads
    from bargein import AdaptiveInterruptionDetector
    from bargein.recording import Recorder, find_recordings, load_recording

    recorder = Recorder(sys.argv[1])
    detector = AdaptiveInterruptionDetector(backend=lambda window: [0.75] * 40)
    stream = detector.stream(id="parent", recorder=recorder)
    recorder._lock.acquire()  # as it may be at a fork
    child = os.fork()
    if not child:
        with detector.stream(id="child", recorder=recorder) as own:
            own.agent_speech_started()
        recorder.close()
        calls = map(load_recording, find_recordings(sys.argv[1]))
        (own,) = (call for call in calls if call.stream_id == "child")
        list(own.entries())
        os._exit(0 if own.complete else 3)
    recorder._lock.release()
    _, status = os.waitpid(child, 0)
    stream.close()
    recorder.close()
    print(os.waitstatus_to_exitcode(status))
    """
    done = run_fresh("-c", textwrap.dedent(code), str(tmp_path))
    assert (done.stderr, done.stdout) == ("", "0\n")
