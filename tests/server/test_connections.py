"""Strangers at the door: who doesn't finish a request, who doesn't read, who comes in crowds."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator

import pytest
import websocket

from bargein.server import ServerConfig, connections, run
from bargein.testing.sockets import BOUND
from tests.server.running import LOUD, Running, close_code, receive, running, send_window

HALF = b"POST /bargein HTTP/1.1\r\nHost: "
HANDSHAKE = (
    b"GET /bargein HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


@contextlib.contextmanager
def _sent(server: Running, data: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), BOUND) as client:
        client.sendall(data)
        yield client


def _rest(client: socket.socket) -> bytes:
    """Read to the end."""
    return b"".join(iter(lambda: client.recv(65_536), b""))


def _until(client: socket.socket, end: bytes) -> None:
    said = b""
    while not said.endswith(end):
        more = client.recv(65_536)
        assert more, said
        said += more


# --- who doesn't finish ---


@pytest.mark.parametrize("data", [b"", HALF])
def test_a_head_that_does_not_come_is_not_waited_for(data: bytes) -> None:
    with running(create_timeout=0.2) as server, _sent(server, data) as client:
        said = _rest(client)
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b"too slowly" in said


def test_a_second_request_must_come_whole_too() -> None:
    whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with running() as server, _sent(server, whole) as client:
        _until(client, b"ok\n")
        client.sendall(whole)  # kept alive meanwhile
        _until(client, b"ok\n")
        server.server.config.http_protocol_class.head_timeout = 0.05
        client.sendall(HALF)
        assert _rest(client).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("more", [b"X-A: b\r\n" * 500, b"X-A: " + b"b" * 9000 + b"\r\n"])
def test_a_handshake_that_can_not_be_read_is_answered(more: bytes) -> None:
    with running() as server, _sent(server, HANDSHAKE + more + b"\r\n") as client:
        assert _rest(client).startswith(b"HTTP/1.1 431 ")


def test_a_crowd_that_does_not_speak_makes_room_for_who_does() -> None:
    with running(max_sessions=1) as server, server.session() as session:
        most = 2 + run.SPARE_CONNECTIONS
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(_sent(server, HALF)) for _ in range(most + 3)]
            assert server.request("GET", "/healthz")[0] == 200
            send_window(session, 1)
            assert receive(session)["created_at"] == 1
            with contextlib.suppress(ConnectionResetError):
                assert crowd[0].recv(4096) == b""  # it had its time


def test_who_is_idle_makes_room_and_who_is_served_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "SPARE_CONNECTIONS", 0)
    with running(max_sessions=1) as server:
        whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        with _sent(server, whole) as idle:
            _until(idle, b"ok\n")
            with server.session() as session, _sent(server, HANDSHAKE + b"\r\n") as second:
                assert b"503" in second.recv(4096)  # one session is all
                with contextlib.suppress(ConnectionResetError):
                    assert idle.recv(4096) == b""
                head = HALF + b"x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
                with _sent(server, head) as served:
                    assert b" 100 " in served.recv(4096)  # its body is waited for
                    with _sent(server, b"") as late:
                        assert _rest(late).startswith(b"HTTP/1.1 503 ")
                    send_window(session, 1)
                    assert receive(session)["created_at"] == 1


# --- who doesn't read ---


def test_pings_are_not_answered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_UNREAD_BYTES", 4096)
    with running() as server, server.session() as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        ping = b"\x89\xfd" + bytes(4) + b"p" * 125
        with contextlib.suppress(OSError):  # a reset, or a broken pipe
            while True:
                client.sock.sendall(ping * 500)
        with server.session() as other:
            other.ping("x")
            assert other.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"x")


def test_a_message_in_pieces_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_FRAGMENTS", 50)
    with running() as server, server.session() as client:
        pieces = [bytes(8), *(LOUD[at : at + 400] for at in range(0, len(LOUD), 400))]
        for number, piece in enumerate(pieces):
            opcode = websocket.ABNF.OPCODE_CONT if number else websocket.ABNF.OPCODE_BINARY
            last = number == len(pieces) - 1
            client.send_frame(websocket.ABNF.create_frame(piece, opcode, int(last)))
        assert receive(client)["created_at"] == 0
        client.send_frame(websocket.ABNF.create_frame(b"", websocket.ABNF.OPCODE_BINARY, 0))
        empty = b"\x00\x80" + bytes(4)
        client.sock.sendall(empty * 60)
        assert close_code(client) == 1009


# --- descriptors ---


def test_as_many_descriptors_as_connections_or_fewer_connections(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    resource = pytest.importorskip("resource")
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: asked.append(limits))
    config = ServerConfig(max_sessions=1000)
    for limits, most in [
        ((1024, 4096), 2064),
        ((1024, 1024), 960),
        ((1024, resource.RLIM_INFINITY), 2064),
        ((8192, 8192), 2064),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 2064),
    ]:
        monkeypatch.setattr(resource, "getrlimit", lambda which, limits=limits: limits)
        assert run._connections(config) == most
    assert [soft for soft, _ in asked] == [2128, 1024, 2128]
    assert "1024 descriptors are allowed" in caplog.text


def test_a_lack_of_descriptors_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    told: list[dict[str, object]] = []

    class Loop:
        def default_exception_handler(self, context: dict[str, object]) -> None:
            told.append(context)

    handle = run._say_once()
    for _ in range(3):
        handle(Loop(), {"exception": OSError(24, os.strerror(24))})  # type: ignore[arg-type]
    handle(Loop(), {"message": "another"})  # type: ignore[arg-type]
    assert told == [{"message": "another"}]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
