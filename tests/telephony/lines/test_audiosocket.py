"""The AudioSocket server on loopback: calls, bad peers, slow peers, many, and the stop."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from bargein.audio.formats import AudioFormat
from bargein.errors import FrameError, OptionError, StateError
from bargein.telephony import AudioSocketServer
from bargein.telephony.codecs import audiosocket as codec
from bargein.telephony.lines import audiosocket as lines
from bargein.telephony.lines import base

from .handlers import WAIT, Answerer, Broken, Echo, Starved, refuse

FRAME = bytes(range(160)) * 2


def connect(server: AudioSocketServer) -> socket.socket:
    sock = socket.create_connection(server.address, timeout=WAIT)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
    return sock


def dial(server: AudioSocketServer, *more: bytes) -> socket.socket:
    sock = connect(server)
    sock.sendall(codec.hello(uuid.uuid4()) + b"".join(more))
    return sock


def receive(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (piece := sock.recv(size - len(data))):
        data += piece
    return bytes(data)


def is_closed(sock: socket.socket) -> bool:
    """Read on until the server closes the connection."""
    try:
        while sock.recv(65_536):
            pass
    except ConnectionError:
        pass
    return True


@pytest.fixture
def answerer() -> Answerer:
    return Answerer(Echo)


@pytest.fixture
def server(answerer: Answerer) -> Iterator[AudioSocketServer]:
    with AudioSocketServer(answerer, port=0, handshake_timeout=WAIT) as server:
        yield server


def test_a_call(server: AudioSocketServer, answerer: Answerer) -> None:
    with closing(dial(server, codec.audio(FRAME), codec.dtmf("5"))) as sock:
        handler = answerer.wait().wait(lambda h: ("dtmf", "5") in h.told)
        line = handler.line
        assert (line.format, line.frame) == (AudioFormat(8_000), 160)
        assert (line.paced_by_peer, line.marks, dict(line.details)) == (False, False, {})
        assert receive(sock, 323) == codec.audio(FRAME)
        line.mark("m")
        line.clear()
        sock.shutdown(socket.SHUT_WR)
        assert handler.wait_end() == "hangup"
    assert handler.audio == FRAME


def test_we_hang_up(server: AudioSocketServer, answerer: Answerer) -> None:
    with closing(dial(server, codec.audio(FRAME, 16_000))) as sock:
        handler = answerer.wait().wait(lambda h: h.told)
        assert handler.line.format.sample_rate == 16_000
        handler.line.write(b"\1\0" * 8)
        handler.line.hang_up()
        handler.line.hang_up()
        assert handler.wait_end() == "closed"
        assert receive(sock, 10_000).endswith(codec.audio(b"\1\0" * 8, 16_000) + codec.end())
    handler.line.write(b"\0\0")


def test_half_a_sample_is_refused_where_it_is_written(
    server: AudioSocketServer, answerer: Answerer
) -> None:
    with closing(dial(server, codec.audio(FRAME))):
        handler = answerer.wait()
        with pytest.raises(FrameError, match="got 3 bytes"):
            handler.line.write(b"abc")


def test_a_silent_caller_is_answered_all_the_same(
    answerer: Answerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "FIRST_AUDIO", 0.01)
    with AudioSocketServer(answerer, port=0, sample_rate=24_000) as server, closing(dial(server)):
        assert answerer.wait().line.format.sample_rate == 24_000


BAD = {
    "garbage": b"GET / HTTP/1.1\r\n\r\n",
    "audio first": codec.audio(FRAME),
    "two UUIDs": codec.hello(uuid.uuid4()) * 2,
    "wrong rate": codec.hello(uuid.uuid4()) + codec.audio(FRAME) + codec.audio(FRAME, 16_000),
    "half a sample": codec.hello(uuid.uuid4()) + b"\x10\x00\x03abc",
}


@pytest.mark.parametrize("sent", BAD.values(), ids=BAD)
def test_a_bad_peer_is_closed_and_nobody_else_notices(
    server: AudioSocketServer,
    answerer: Answerer,
    caplog: pytest.LogCaptureFixture,
    sent: bytes,
) -> None:
    with closing(dial(server, codec.audio(FRAME))) as good, closing(connect(server)) as bad:
        handler = answerer.wait()
        bad.sendall(sent)
        assert is_closed(bad)
        good.sendall(codec.audio(FRAME))
        handler.wait(lambda h: len(h.audio) == 640)
        good.shutdown(socket.SHUT_WR)
        handler.wait_end()
        for other in answerer.handlers[1:]:
            assert other.wait_end() == "protocol"
    server.close()
    warnings = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "closed (protocol): AudioSocket: got" in warnings[0].getMessage()


def test_more_garbage_than_any_buffer_holds(server: AudioSocketServer) -> None:
    with closing(connect(server)) as bad, pytest.raises(ConnectionError):
        bad.sendall(bytes(100_000_000))


def test_nothing_in_time(answerer: Answerer, caplog: pytest.LogCaptureFixture) -> None:
    with (
        AudioSocketServer(answerer, port=0, handshake_timeout=0.05) as server,
        closing(connect(server)) as sock,
    ):
        assert is_closed(sock)
    assert "closed (timeout): no UUID came in time" in caplog.text
    assert answerer.handlers == []


def test_half_a_frame_and_then_nothing(
    answerer: Answerer, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        AudioSocketServer(answerer, port=0, idle_timeout=0.05) as server,
        closing(dial(server, codec.audio(FRAME) + b"\x10\x01\x40abc")) as sock,
    ):
        assert answerer.wait().wait_end() == "timeout"
        assert is_closed(sock)
    assert "closed (timeout): nothing came for the idle timeout" in caplog.text


def test_a_peer_that_doesnt_read(
    server: AudioSocketServer, answerer: Answerer, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(dial(server, codec.audio(b"\0\0"))) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        handler = answerer.wait()
        for _ in range(400):
            handler.line.write(bytes(64_000))
        assert handler.wait_end() == "slow"
    assert "closed (slow)" in caplog.text


def test_what_waits_goes_out_when_the_peer_reads_again(
    server: AudioSocketServer, answerer: Answerer
) -> None:
    with closing(dial(server, codec.audio(b"\0\0"))) as sock:
        line = answerer.wait().line
        assert receive(sock, 5) == codec.audio(b"\0\0")
        for _ in range(30):
            line.write(bytes(60_000))
        assert len(receive(sock, 30 * 60_003)) == 30 * 60_003
        for _ in range(30):
            line.write(bytes(60_000))
        line.hang_up()
        assert len(receive(sock, 31 * 60_003)) == 30 * 60_003 + 3


def test_a_broken_handler_ends_its_own_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answerer = Answerer(Broken)
    with (
        AudioSocketServer(answerer, port=0) as server,
        closing(dial(server, codec.audio(FRAME))) as sock,
    ):
        assert answerer.wait().wait_end() == "handler"
        assert receive(sock, 10) == codec.end()
    assert "its handler raised" in caplog.text


def test_an_on_call_that_raises_refuses(caplog: pytest.LogCaptureFixture) -> None:
    with (
        AudioSocketServer(refuse, port=0) as server,
        closing(dial(server, codec.audio(FRAME))) as sock,
    ):
        assert receive(sock, 10) == codec.end()
        assert is_closed(sock)
    assert "refused, on_call raised" in caplog.text


def test_too_many(answerer: Answerer, caplog: pytest.LogCaptureFixture) -> None:
    with AudioSocketServer(answerer, port=0, max_calls=1) as server:
        with closing(dial(server, codec.audio(FRAME))):
            answerer.wait()
            assert server.calls == 1
            for _ in range(2):
                with closing(connect(server)) as second:
                    assert is_closed(second)
        assert answerer.handlers[0].wait_end() == "hangup"
    assert caplog.text.count("1 connections are the limit") == 1


def test_thirty_calls_at_once(server: AudioSocketServer, answerer: Answerer) -> None:
    with ExitStack() as stack:
        socks = [
            stack.enter_context(closing(dial(server, codec.audio(bytes([n, 0]) * 160))))
            for n in range(30)
        ]
        answerer.wait(30)
        for n, sock in enumerate(socks):
            assert receive(sock, 323) == codec.audio(bytes([n, 0]) * 160)
        assert server.calls == 30
        server.close()
        assert [handler.wait_end() for handler in answerer.handlers] == ["shutdown"] * 30
        assert all(receive(sock, 10) == codec.end() for sock in socks)
    assert server.calls == 0


def test_a_connection_that_breaks(server: AudioSocketServer, answerer: Answerer) -> None:
    with closing(dial(server, codec.audio(FRAME))):
        handler = answerer.wait().wait(lambda h: h.told)
    # By a reset, with the echo unread: that is how Asterisk hangs up in the middle of a prompt.
    assert handler.wait_end() == "hangup"


def test_a_close_doesnt_wait_for_a_handler_that_hangs(answerer: Answerer) -> None:
    go = threading.Event()

    class Stuck(Echo):
        def on_audio(self, audio: bytes) -> None:
            go.wait(WAIT)

    stuck = Answerer(Stuck)
    server = AudioSocketServer(stuck, port=0).start()
    with closing(dial(server, codec.audio(FRAME))):
        handler = stuck.wait()
        server.close(timeout=0.05)
        assert server.calls == 1
        go.set()
        assert handler.wait_end() == "shutdown"


def test_a_stop_while_a_connection_begins(server: AudioSocketServer) -> None:
    with closing(connect(server)) as sock:
        sock.sendall(b"\x01")
        server.close()
        assert is_closed(sock)


def test_writing_to_a_peer_that_is_gone() -> None:
    answerer = Answerer()
    with AudioSocketServer(answerer, port=0) as server:
        with closing(dial(server, codec.audio(FRAME))):
            handler = answerer.wait().wait(lambda h: h.told)
        # Its reader and this writer both find out; the call has one end all the same.
        for _ in range(50):
            handler.line.write(FRAME)
        assert handler.wait_end() == "hangup"


def test_a_server_out_of_descriptors_goes_on(
    server: AudioSocketServer, answerer: Answerer, caplog: pytest.LogCaptureFixture
) -> None:
    starved = server._listener._sock = Starved(server._listener._sock)  # type: ignore[assignment]
    # The accept that is under way still takes this one; the next fails once.
    for number in (1, 2):
        with closing(dial(server, codec.audio(FRAME))):
            answerer.wait(number).wait(lambda h: h.told)
    assert starved.failed.is_set()
    assert "AudioSocket server: a connection can't be taken now: " in caplog.text


@pytest.mark.parametrize("lacking", ["descriptor", "thread"])
def test_a_connection_that_cant_be_had_is_closed_and_the_next_is_taken(
    server: AudioSocketServer,
    answerer: Answerer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    lacking: str,
) -> None:
    def none_left(*_: object) -> None:
        raise OSError(24, "Too many open files")

    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        if lacking == "descriptor":
            patched.setattr(lines, "Waker", none_left)
        else:
            patched.setattr(threading.Thread, "start", no_more)
        with closing(dial(server)) as sock:
            assert is_closed(sock)
    with closing(dial(server, codec.audio(FRAME))):
        answerer.wait().wait(lambda h: h.told)
    assert caplog.text.count("a connection can't be taken now") == 1
    assert len(answerer.handlers) == 1


def test_a_flood_of_audio_is_cut_off_and_nobody_else_notices(
    server: AudioSocketServer,
    answerer: Answerer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with closing(dial(server, codec.audio(FRAME))) as good:
        assert receive(good, 323) == codec.audio(FRAME)
        monkeypatch.setattr(base, "MAX_AHEAD", 1.0)
        with closing(dial(server)) as flood:
            with suppress(ConnectionError):
                flood.sendall(codec.audio(FRAME * 30) * 100)
            assert is_closed(flood)
        good.sendall(codec.audio(FRAME))
        assert receive(good, 323) == codec.audio(FRAME)
    assert answerer.handlers[1].wait_end() == "protocol"
    assert "s of audio in " in caplog.text


def test_life_and_options(answerer: Answerer) -> None:
    server = AudioSocketServer(answerer, port=0)
    assert server.start().start() is server
    assert server.address[1] > 0
    server.close()
    server.close()
    with pytest.raises(StateError, match="was closed"):
        server.start()
    with pytest.raises(OptionError, match="sample_rate must be one of 8000"):
        AudioSocketServer(answerer, sample_rate=11_025)
    with pytest.raises(OptionError, match="max_calls"):
        AudioSocketServer(answerer, max_calls=0)
    with pytest.raises(OptionError, match="idle_timeout must be over 0"):
        AudioSocketServer(answerer, idle_timeout=0)
