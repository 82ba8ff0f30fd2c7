"""``bargein answer`` with a caller on loopback who speaks AudioSocket, faster than in real time."""

from __future__ import annotations

import argparse
import gc
import io
import re
import socket
import threading
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bargein.analysis import open_call
from bargein.audio import AudioFormat, open_recording, write_wav
from bargein.cli.answer import _Floor, told
from bargein.cli.main import main
from bargein.telephony.call import CallEvent
from bargein.telephony.codecs import audiosocket as codec
from bargein.telephony.stereo import StereoRecorder

CALL = Path(__file__).parents[2] / "examples" / "call" / "call.flac"
WAIT = 60.0

MORE_THAN_A_TICK = 1_000
"""Bytes from the agent: more than its first three frames. They come of a second tick, and so after
the stream was told, by the first, that the agent speaks."""


def always(window: Any) -> Any:
    """A judge to whom everything is an interruption."""
    return np.full(40, 0.9)


def never(window: Any) -> Any:
    """A judge to whom nothing is."""
    return np.zeros(40)


class Output(io.StringIO):
    """What the command prints, for whoever waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()

    def write(self, text: str) -> int:
        with self.changed:
            count = super().write(text)
            self.changed.notify_all()
            return count

    def wait(self, pattern: str) -> re.Match[str]:
        def find() -> re.Match[str] | None:
            return re.search(pattern, self.getvalue(), re.DOTALL)

        with self.changed:
            assert self.changed.wait_for(find, WAIT), self.getvalue()
            found = find()
            assert found is not None
            return found


class Peer:
    """Asterisk's side of an AudioSocket call."""

    def __init__(self, port: int) -> None:
        self.id = uuid.uuid4()
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT)
        self.socket.sendall(codec.hello(self.id))
        self.reader = codec.AudioSocketReader()

    def say(self, samples: np.ndarray[Any, Any], pace: float = 0.0) -> None:
        """Speak, with so many seconds from a frame of 20 ms to the next."""
        pacer = threading.Event()
        for at in range(0, len(samples), 160):
            self.socket.sendall(codec.audio(samples[at : at + 160].astype("<i2").tobytes()))
            pacer.wait(pace)

    def hear(self, count: int) -> int:
        """Wait for so many bytes from the agent."""
        heard = 0
        while heard < count:
            data = self.socket.recv(4096)
            assert data
            heard += len(data)
        return heard

    def hang_up(self) -> None:
        # Not at once: a close with audio unread is a reset, which takes along what was said last.
        self.socket.shutdown(socket.SHUT_WR)
        while self.socket.recv(4096):
            pass
        self.socket.close()


def started(monkeypatch: pytest.MonkeyPatch, *options: str) -> tuple[threading.Thread, Output, Any]:
    """Run the command on a thread; return it, its output and its exit code to be."""
    out, codes = Output(), []
    monkeypatch.setattr("sys.stdout", out)
    thread = threading.Thread(
        target=lambda: codes.append(main(["answer", "audiosocket", "--port", "0", *options]))
    )
    thread.start()
    return thread, out, codes


def port_of(out: Output) -> int:
    return int(out.wait(r"answers audiosocket on 127\.0\.0\.1:(\d+)\n")[1])


def caller_speech() -> Any:
    with open_recording(CALL) as recording:
        samples = np.concatenate(list(recording.blocks()))[:, 0]
    return samples[16 * 8000 : 19 * 8000]


def test_it_stops_for_an_interruption_and_keeps_the_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backend = f"{__name__}:always"
    thread, out, codes = started(
        monkeypatch,
        *("--backend", backend, "--record", str(tmp_path / "kept"), "--calls", "1"),
        # The agent's audio comes in bits among a caller's who is faster than real time: no echo
        # canceller can make sense of that.
        "--no-echo",
    )
    peer = Peer(port_of(out))
    peer.hear(MORE_THAN_A_TICK)
    peer.say(np.zeros(8000, np.int16))
    peer.say(caller_speech(), pace=0.02)  # faster, and the judge may have no turn
    out.wait("INTERRUPTED: the agent stops; .* were heard")
    peer.hang_up()
    thread.join(WAIT)

    assert codes == [0]
    text = out.getvalue()
    assert "answered" in text
    assert re.search(
        r"the agent speaks\n.*the caller speaks, too\n.*interruption: prob", text, re.S
    )
    assert "the call is over (hangup)" in text
    (path,) = (tmp_path / "kept").glob("*.wav")
    assert str(path) in text
    with open_call(path) as call:
        assert call.duration == pytest.approx(4.0)
        assert call.sample_rate == 8000


def test_it_goes_on_through_a_backchannel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.wav"
    write_wav(prompt, np.full(16_000 * 30, 900, np.int16), 16_000)
    thread, out, codes = started(
        monkeypatch,
        *("--backend", f"{__name__}:never", "--prompt", str(prompt), "--calls", "1"),
        *("--on-speech", "pause", "--no-echo"),
    )
    peer = Peer(port_of(out))
    peer.hear(MORE_THAN_A_TICK)
    peer.say(np.concatenate((np.zeros(8000), caller_speech(), np.zeros(8000))))
    out.wait("the agent waits.*(backchannel|inconclusive).*the agent goes on")
    peer.socket.sendall(codec.dtmf("7"))
    out.wait("key 7")
    peer.hang_up()
    thread.join(WAIT)

    assert codes == [0]
    assert "INTERRUPTED" not in out.getvalue()


def event(kind: str, **fields: Any) -> Any:
    return CallEvent(kind=kind, call_id="c", at=0.0, time=0.0, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("what", "line"),
    [
        (event("ducked", heard_up_to=10), "  the agent goes on softly"),
        (event("overlap_ended", reason="agent_ended"), ""),
        (event("error", error=ValueError("no key")), "trouble: no key"),
        (event("prompt_ended", heard_up_to=10), ""),
    ],
)
def test_what_is_told(what: Any, line: str) -> None:
    assert told(what) == line


def test_after_an_interruption_it_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # Longer than what an AudioSocket plays after a stop: a prompt that joins it is the same turn.
    monkeypatch.setattr("bargein.cli.answer._QUIET", 0.3)
    thread, out, codes = started(
        monkeypatch,
        *("--backend", f"{__name__}:always", "--on-speech", "stop", "--calls", "1", "--no-echo"),
    )
    peer = Peer(port_of(out))
    peer.hear(MORE_THAN_A_TICK)
    peer.say(caller_speech())
    out.wait("INTERRUPTED.*the agent speaks")
    peer.hang_up()
    thread.join(WAIT)
    assert codes == [0]


def test_a_prompt_that_was_heard_is_read_out_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bargein.cli.answer._QUIET", 0.05)
    prompt = tmp_path / "prompt.wav"
    write_wav(prompt, np.full(800, 900, np.int16), 8_000)
    thread, out, _ = started(
        monkeypatch,
        *("--backend", f"{__name__}:never", "--prompt", str(prompt), "--calls", "2"),
    )
    port = port_of(out)
    for _ in range(2):
        peer = Peer(port)
        peer.hear(MORE_THAN_A_TICK)
        out.wait("the prompt is over; 0.10 s were heard.*the agent speaks")
        peer.hang_up()
    thread.join(WAIT)
    assert not thread.is_alive()


def test_a_recording_ends_where_the_disk_does(tmp_path: Path) -> None:
    recorder = StereoRecorder(tmp_path / "call.wav", AudioFormat(8000))
    recorder.push(bytes(320), bytes(640), 0.0)
    recorder.push(b"", b"", 0.0)

    def full(data: bytes) -> None:
        raise OSError("no space left")

    recorder._file.writeframesraw = full  # type: ignore[assignment, method-assign]
    recorder.push(bytes(320), b"", 0.0)
    recorder.push(bytes(320), b"", 0.0)
    recorder.close()
    recorder.close()
    with open_recording(tmp_path / "call.wav") as recording:
        assert recording.frames == 160


def test_a_recording_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        StereoRecorder(tmp_path / "nowhere" / "call.wav", AudioFormat(8000))
    with pytest.raises(OSError, match="No such file"):
        write_wav(tmp_path / "nowhere" / "call.wav", np.zeros(80, np.int16), 8000)
    gc.collect()  # of what was half made nothing complains


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["rtp", "--calls", "0"], "--calls came as 0"),
        (["rtp", "--backend", "nobody:knows"], "nobody"),
        (["rtp", "--port", "0", "--prompt", "/nowhere/prompt.wav"], "prompt.wav"),
    ],
)
def test_what_cannot_be(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["answer", *options]) != 0
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    "network", ["twilio", "telnyx", "plivo", "exotel", "websocket", "rtp", "sip"]
)
def test_each_network_has_its_server(network: str) -> None:
    arguments = argparse.Namespace(network=network, host="127.0.0.1", public_host="")
    from bargein.cli.answer import _server

    with _server(arguments, lambda line: None, 0) as server:
        assert server.address[1] > 0


def test_the_bundled_prompt() -> None:
    from bargein.cli.answer import read_prompt

    samples, rate = read_prompt(None)
    assert (rate, samples.dtype) == (8000, np.int16)
    assert 30 < len(samples) / rate < 60


def test_the_agent_begins_again_when_the_caller_has_fallen_silent() -> None:
    floor = _Floor(AudioFormat(8_000, 1, "mulaw"))
    floor.given(10.0)
    for tick in range(100):  # two seconds more of the caller's, then silence
        floor.push(b"\x90" * 160, 10.0 + 0.02 * tick)
    assert not floor.free(13.0)
    floor.push(b"\xff" * 160, 13.4)
    assert not floor.free(13.4)
    assert floor.free(13.6)


def test_a_line_that_is_never_quiet_gets_the_agent_back() -> None:
    floor = _Floor(AudioFormat(8_000, 1, "mulaw"))
    floor.given(10.0)
    floor.push(b"\x90" * 160, 24.9)
    assert not floor.free(24.9)
    floor.push(b"\x90" * 160, 25.0)
    assert floor.free(25.0)


def test_a_recording_is_no_longer_than_a_wav_can_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bargein.telephony.stereo.MAX_FRAMES", 200)
    recorder = StereoRecorder(tmp_path / "call.wav", AudioFormat(192_000))
    recorder.push(bytes(320), bytes(320), 0.0)
    recorder.push(bytes(320), bytes(320), 0.0)
    recorder.close()
    assert (tmp_path / "call.wav").stat().st_size == 44 + 200 * 4


def test_a_folder_for_recordings_that_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    code = main(["answer", "audiosocket", "--port", "0", "--record", str(tmp_path / "file" / "x")])
    assert code == 1
    assert "Not a directory" in capsys.readouterr().err


def test_what_a_bad_peer_did_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = Output()
    monkeypatch.setattr("sys.stderr", errors)
    thread, out, codes = started(monkeypatch, "--backend", f"{__name__}:never", "--calls", "1")
    with socket.create_connection(("127.0.0.1", port_of(out)), WAIT) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        errors.wait(r"bargein: AudioSocket from 127\.0\.0\.1:\d+: closed \(protocol\): .* UUID")
    peer = Peer(port_of(out))
    peer.hear(MORE_THAN_A_TICK)
    peer.hang_up()
    thread.join(WAIT)
    assert codes == [0]


def test_a_port_that_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["answer", "rtp", "--port", "99999"]) == 2
    assert "port must be from 0 to 65535" in capsys.readouterr().err


def test_where_all_may_call_they_must_be_told_an_address(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["answer", "sip", "--host", "0.0.0.0", "--port", "0"]) == 2
    assert "public_host" in capsys.readouterr().err
