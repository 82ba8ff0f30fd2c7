"""The WebSocket servers on loopback: vendors' sequences, marks, clears, bad and slow peers."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest
import trustme
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from bargein.audio.formats import AudioFormat
from bargein.errors import OptionError
from bargein.telephony import AsteriskWebSocketServer, MediaStreamsServer
from bargein.telephony.codecs import authorize
from bargein.telephony.lines import base

from .handlers import WAIT, Answerer, Broken, Echo, Starved, refuse, warnings

SOUND = bytes(range(160))
START = {
    "event": "start",
    "streamSid": "MZ1",
    "start": {
        "streamSid": "MZ1",
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    },
}
ASTERISK = "MEDIA_START connection_id:abc format:ulaw optimal_frame_size:160 ptime:20"


def media(data: bytes = SOUND) -> dict[str, Any]:
    return {
        "event": "media",
        "media": {"track": "inbound", "payload": base64.b64encode(data).decode()},
    }


@contextmanager
def opened(server: Any, path: str = "/", **options: Any) -> Iterator[ClientConnection]:
    address = "ws://{}:{}{}".format(*server.address, path)
    with connect(address, compression=None, open_timeout=WAIT, **options) as client:
        yield client


def send(client: ClientConnection, *messages: Any) -> None:
    for message in messages:
        client.send(json.dumps(message) if isinstance(message, dict) else message)


def get(client: ClientConnection) -> Any:
    message = client.recv(timeout=WAIT)
    return json.loads(message) if isinstance(message, str) and message[0] == "{" else message


def closed(client: ClientConnection) -> int:
    """Read on until the server closes the connection; return the code that it gave."""
    try:
        while True:
            client.recv(timeout=WAIT)
    except ConnectionClosed as exc:
        return exc.rcvd.code if exc.rcvd else 1006


@pytest.fixture
def answerer() -> Answerer:
    return Answerer(Echo)


@pytest.fixture
def server(answerer: Answerer) -> Iterator[MediaStreamsServer]:
    with MediaStreamsServer(answerer, port=0, handshake_timeout=WAIT) as server:
        yield server


@pytest.fixture
def asterisk(answerer: Answerer) -> Iterator[AsteriskWebSocketServer]:
    with AsteriskWebSocketServer(answerer, port=0, handshake_timeout=WAIT) as server:
        yield server


def test_a_call_of_twilios(server: MediaStreamsServer, answerer: Answerer) -> None:
    with opened(server) as client:
        send(client, {"event": "connected"}, START, media())
        handler = answerer.wait()
        line = handler.line
        assert (line.id, line.format) == ("MZ1", AudioFormat(8_000, 1, "mulaw"))
        assert (line.paced_by_peer, line.marks, line.frame) == (True, True, 160)
        assert base64.b64decode(get(client)["media"]["payload"]) == SOUND
        line.mark("one")
        assert get(client)["mark"] == {"name": "one"}
        send(client, {"event": "mark", "mark": {"name": "one"}})
        send(client, {"event": "mark", "mark": {"name": "a stranger's"}})
        send(client, {"event": "dtmf", "dtmf": {"digit": "9"}}, {"event": "stop"})
        assert handler.wait_end() == "hangup"
        assert closed(client) == 1000
    assert handler.others == [("mark", "one", False), ("dtmf", "9"), ("end", "hangup")]


def test_marks_that_come_back_after_a_clear_prove_nothing(
    server: MediaStreamsServer, answerer: Answerer
) -> None:
    with opened(server) as client:
        send(client, START)
        handler = answerer.wait()
        handler.line.mark("a")
        get(client)
        handler.line.clear()
        assert get(client) == {"event": "clear", "streamSid": "MZ1"}
        handler.line.mark("a")
        for _ in range(2):
            send(client, {"event": "mark", "mark": {"name": "a"}})
        handler.wait(lambda h: len(h.told) == 2)
        assert handler.told == [("mark", "a", True), ("mark", "a", False)]


def test_marks_that_never_come_back_are_given_back(answerer: Answerer) -> None:
    start = {"event": "start", "start": {"streamId": "s", "mediaFormat": {}}}
    with (
        MediaStreamsServer(answerer, port=0, dialect="plivo", handshake_timeout=WAIT) as server,
        opened(server) as client,
    ):
        send(client, start)
        handler = answerer.wait()
        handler.line.mark("a")
        assert get(client)["event"] == "checkpoint"
        handler.line.clear()
        handler.wait(lambda h: h.told == [("mark", "a", True)])
        assert get(client)["event"] == "clearAudio"
        send(client, {"event": "playedStream", "name": "a"}, {"event": "clearedAudio"})
        send(client, {"event": "dtmf", "dtmf": {"digit": "1"}})
        handler.wait(lambda h: len(h.told) == 2)
        assert handler.told[1] == ("dtmf", "1")


def test_exotel_gets_a_tenth_of_a_second_at_a_time(answerer: Answerer) -> None:
    start = {"event": "start", "stream_sid": "e", "start": {"stream_sid": "e"}}
    with (
        MediaStreamsServer(answerer, port=0, dialect="exotel", handshake_timeout=WAIT) as server,
        opened(server) as client,
    ):
        send(client, start)
        line = answerer.wait().line
        for _ in range(6):
            line.write(bytes(320))
        line.mark("m")
        sizes = [len(base64.b64decode(get(client)["media"]["payload"])) for _ in range(2)]
        assert (sizes, get(client)["event"]) == ([1_600, 320], "mark")
        line.write(bytes(20))
        line.clear()
        line.mark("n")
        assert [get(client)["event"] for _ in range(2)] == ["clear", "mark"]


def test_a_call_of_asterisks(asterisk: AsteriskWebSocketServer, answerer: Answerer) -> None:
    with opened(asterisk, subprotocols=["media"]) as client:
        assert client.subprotocol == "media"
        send(client, ASTERISK, SOUND)
        handler = answerer.wait()
        assert get(client) == SOUND
        handler.line.write(b"x")
        handler.line.mark("a")
        assert [get(client), get(client)] == [b"x" + b"\xff" * 159, "MARK_MEDIA a"]
        send(client, "MEDIA_XOFF", "MEDIA_XON", "DTMF_END digit:3")
        handler.wait(lambda h: ("dtmf", "3") in h.told)
        handler.line.clear()
        assert get(client) == "FLUSH_MEDIA"
        handler.wait(lambda h: ("mark", "a", True) in h.told)
        send(client, "MEDIA_MARK_PROCESSED correlation_id:a")
        handler.line.hang_up()
        assert get(client) == "HANGUP"
        assert closed(client) == 1000
        assert handler.wait_end() == "closed"
    assert handler.others == [
        ("flow", False),
        ("flow", True),
        ("dtmf", "3"),
        ("mark", "a", True),
        ("end", "closed"),
    ]


def test_without_the_subprotocol_as_well(
    asterisk: AsteriskWebSocketServer, answerer: Answerer
) -> None:
    with opened(asterisk) as client:
        send(client, ASTERISK)
        handler = answerer.wait()
    assert handler.wait_end() == "hangup"


BAD: dict[str, tuple[list[Any], int, str]] = {
    "garbage": (["hello"], 1002, "expected a JSON object"),
    "binary": ([b"\0\1"], 1002, "expected JSON text"),
    "audio before start": ([media()], 1002, "got audio before start"),
    "two starts": ([START, START], 1002, "a second start"),
    "wrong rate": (
        [{"event": "start", "streamSid": "M", "start": {"mediaFormat": {"sampleRate": 9}}}],
        1002,
        "sample_rate must be",
    ),
    "10 MB": (["x" * 10_000_000], 1009, "1009"),
}


@pytest.mark.parametrize(("sent", "code", "said"), BAD.values(), ids=BAD)
def test_a_bad_peer_is_closed_and_nobody_else_notices(
    server: MediaStreamsServer,
    answerer: Answerer,
    sent: list[Any],
    code: int,
    said: str,
) -> None:
    with warnings() as log, opened(server) as good:
        send(good, START, media())
        handler = answerer.wait()
        with opened(server) as bad:
            try:
                send(bad, *sent)
                assert closed(bad) == code
            except ConnectionClosed:
                pass  # cut off while it was still sending
        send(good, media(), {"event": "stop"})
        assert handler.wait_end() == "hangup"
        for other in answerer.handlers[1:]:
            assert other.wait_end() == "protocol"
        log.wait()  # before the server's own end can be the reason
        server.close()
    assert handler.audio == SOUND * 2
    assert len(log.messages) == 1, log.messages
    assert "closed (protocol)" in log.messages[0]
    assert said in log.messages[0]


def test_garbage_instead_of_a_handshake(server: MediaStreamsServer) -> None:
    with closing(socket.create_connection(server.address, timeout=WAIT)) as sock:
        sock.sendall(b"\x16\x03\x01garbage\r\n\r\n")
        while sock.recv(4_096):
            pass


def test_no_handshake_in_time(answerer: Answerer) -> None:
    with (
        MediaStreamsServer(answerer, port=0, handshake_timeout=0.05) as server,
        closing(socket.create_connection(server.address, timeout=WAIT)) as sock,
    ):
        while sock.recv(4_096):
            pass


def test_no_start_in_time_and_no_more_messages(
    answerer: Answerer, caplog: pytest.LogCaptureFixture
) -> None:
    with MediaStreamsServer(answerer, port=0, handshake_timeout=WAIT, idle_timeout=0.1) as server:
        # Only from the handshake to the start: the handshake itself may take its time here.
        server._handshake_timeout = 0.05
        with opened(server) as client:
            assert closed(client) == 1000
        server._handshake_timeout = WAIT
        with opened(server) as client:
            send(client, START)
            assert closed(client) == 1000
        assert answerer.wait().wait_end() == "timeout"
    assert "closed (timeout): no start came in time" in caplog.text
    assert "nothing came for the idle timeout" in caplog.text


def test_a_peer_that_doesnt_read(
    server: MediaStreamsServer,
    answerer: Answerer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(base, "LINGER", 0.05)
    with closing(socket.create_connection(server.address, timeout=WAIT)) as sock:
        sock.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        start = json.dumps(START).encode()
        sock.sendall(bytes([0x81, 0x80 | 126]) + len(start).to_bytes(2, "big") + bytes(4) + start)
        handler = answerer.wait()
        for _ in range(300):
            handler.line.write(bytes(80_000))
        assert handler.wait_end() == "slow"
    assert "closed (slow)" in caplog.text


def test_a_broken_handler_and_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    answerer = Answerer(Broken)
    with (
        MediaStreamsServer(answerer, port=0, handshake_timeout=WAIT) as server,
        opened(server) as client,
    ):
        send(client, START, media())
        assert answerer.wait().wait_end() == "handler"
        assert closed(client) == 1011
    with (
        MediaStreamsServer(refuse, port=0, handshake_timeout=WAIT) as server,
        opened(server) as client,
    ):
        send(client, START)
        assert closed(client) == 1011
    assert "its handler raised" in caplog.text
    assert "refused, on_call raised" in caplog.text


def test_a_connection_that_breaks(server: MediaStreamsServer, answerer: Answerer) -> None:
    with opened(server) as client:
        send(client, START)
        handler = answerer.wait()
        client.socket.shutdown(socket.SHUT_RDWR)
        assert handler.wait_end() == "lost"


def test_too_many(answerer: Answerer, caplog: pytest.LogCaptureFixture) -> None:
    with (
        MediaStreamsServer(answerer, port=0, max_calls=1, handshake_timeout=WAIT) as server,
        opened(server) as client,
    ):
        send(client, START)
        answerer.wait()
        with closing(socket.create_connection(server.address, timeout=WAIT)) as sock:
            assert sock.recv(10) == b""
        assert server.calls == 1
    assert "1 connections are the limit" in caplog.text


def test_a_connection_that_cant_be_taken_isnt_the_servers_end(
    server: MediaStreamsServer, answerer: Answerer, caplog: pytest.LogCaptureFixture
) -> None:
    listener: Any = server._server.socket
    starved = listener._sock = Starved(listener._sock)
    for number in (1, 2):
        with opened(server) as client:
            send(client, START, media())
            answerer.wait(number).wait(lambda h: h.told)
    assert starved.failed.is_set()
    assert "twilio server: a connection can't be taken now: " in caplog.text


def test_ten_calls_at_once_and_a_stop(server: MediaStreamsServer, answerer: Answerer) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(opened(server)) for _ in range(10)]
        for client in clients:
            send(client, START, media())
        answerer.wait(10)
        waiting = stack.enter_context(
            closing(socket.create_connection(server.address, timeout=WAIT))
        )
        for client in clients:
            assert get(client)["event"] == "media"
        server.close()
        assert [handler.wait_end() for handler in answerer.handlers] == ["shutdown"] * 10
        assert [closed(client) for client in clients] == [1001] * 10
        assert waiting.recv(10) == b""
    assert server.calls == 0


def raising(path: str, headers: object) -> bool:
    raise RuntimeError("a bug in a hook")


@pytest.mark.parametrize(
    ("check", "may"),
    [
        (authorize.basic("key", "secret"), True),
        (authorize.basic("key", "other"), False),
        (raising, False),
    ],
)
def test_who_may_come_in(answerer: Answerer, check: Callable[..., bool], may: bool) -> None:
    header = {"Authorization": "Basic " + base64.b64encode(b"key:secret").decode()}
    with MediaStreamsServer(answerer, port=0, authorize=check, handshake_timeout=WAIT) as server:
        if may:
            with opened(server, additional_headers=header) as client:
                send(client, START)
                answerer.wait()
        else:
            with (
                pytest.raises(InvalidStatus) as caught,
                opened(server, additional_headers=header),
            ):
                pass
            assert caught.value.response.status_code == 403


def test_over_tls(answerer: Answerer) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trust)
    with (
        MediaStreamsServer(
            answerer, "localhost", 0, ssl_context=context, handshake_timeout=WAIT
        ) as server,
        connect(f"wss://localhost:{server.address[1]}/", ssl=trust, open_timeout=WAIT) as client,
    ):
        send(client, START, media())
        assert get(client)["event"] == "media"
        send(client, {"event": "stop"})
        assert answerer.wait().wait_end() == "hangup"


def test_a_dialect_that_isnt_known(answerer: Answerer) -> None:
    with pytest.raises(OptionError, match="twilio, telnyx, plivo, exotel or a Dialect"):
        MediaStreamsServer(answerer, dialect="twillio")
