"""What a client may not do for ever, or too often."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import types
from typing import Any

import pytest
import websocket
from starlette.websockets import WebSocketDisconnect

from bargein.backends import as_backend
from bargein.server import ServerConfig
from bargein.server.limits import Bucket
from bargein.server.service import Service
from bargein.server.session import WebSocketSession
from bargein.testing.sockets import BOUND
from tests.server.running import (
    KEY,
    LOUD,
    SECRET,
    close_code,
    judge,
    receive,
    running,
    send_window,
    token,
)


def test_a_bucket_holds_a_second_and_fills_with_time() -> None:
    bucket = Bucket(2.0, 10.0)
    assert [bucket.take(10.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(10.5) for _ in range(2)] == [True, False]
    assert [bucket.take(99.0) for _ in range(3)] == [True, True, False]
    assert Bucket(0.1, 0.0).take(0.0)  # a slow one lets the first through, too


def test_a_key_that_asks_too_often_is_told_when_to_come_back() -> None:
    keys = {KEY: SECRET, "other": SECRET}
    with running(keys=keys, requests_per_second=1e-6) as server:
        headers = {"Authorization": f"Bearer {token()}"}
        assert server.request("POST", "/bargein", LOUD, headers)[0] == 200
        status, answer, text = server.request("POST", "/bargein", LOUD, headers)
        assert (status, answer["retry-after"], "too often" in text) == (429, "1", True)
        with (
            pytest.raises(websocket.WebSocketBadStatusException) as caught,
            server.session(token=token()),
        ):
            pass
        assert caught.value.status_code == 429
        # A key has its own, and who has none doesn't use up anybody's.
        assert server.request("POST", "/bargein", LOUD)[0] == 401
        with server.session(token=token("other")) as client:
            send_window(client, 1)
            assert receive(client)["created_at"] == 1
        assert server.metric('bargein_refused_total{reason="rate"}') == 2


def test_a_client_that_never_stops_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bargein.server.session.OVERTIME", 0.1)
    with running(windows_per_second=1e6) as server, server.session() as on:
        server.limit(max_session_length=1e-3)
        number = 0
        while True:
            number += 1
            with contextlib.suppress(ConnectionError):  # it has gone, but what it said is there
                send_window(on, number)
            frame = on.recv_frame()
            if frame.opcode == websocket.ABNF.OPCODE_CLOSE:
                break
        assert int.from_bytes(frame.data[:2], "big") == 1001


def test_too_many_control_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bargein.server.session.TEXTS_PER_SECOND", 1e-6)
    with running() as server, server.session() as client:
        client.send('{"type":"hello"}')  # after session.create, which was one
        assert receive(client)["code"] == 429
        assert close_code(client) == 1008


def test_a_refused_handshake_is_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.INFO),
        running(keys={KEY: SECRET}) as server,
        pytest.raises(websocket.WebSocketBadStatusException),
        server.session(),
    ):
        pass
    assert [record.name for record in caplog.records] == ["bargein.server.access"]
    assert '"status":401' in caplog.text
    assert SECRET not in caplog.text


def test_text_that_is_not_utf_8_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), running() as server:
        with server.session() as client:
            bad = b"\x81\x82" + bytes(4) + b"\xff\xfe"
            client.sock.sendall(2 * bad)
            assert close_code(client) == 1007
        with server.session() as client:
            client.sock.sendall(bad + b"\x88\x82" + bytes(4) + b"\x03\xe8")
            assert close_code(client) == 1000
        assert server.request("GET", "/healthz")[0] == 200
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


class Deaf:
    """A connection whose client sends and sends, and reads nothing."""

    def __init__(self) -> None:
        self.stuck = asyncio.Event()
        self.number = 0
        self.closed: list[int] = []

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(0)
        self.number += 1
        if self.number == 1:
            settings = '{"sample_rate":16000,"num_channels":1,"min_frames":2,"encoding":"s16le"}'
            return {
                "type": "websocket.receive",
                "text": f'{{"type":"session.create","settings":{settings}}}',
            }
        data = self.number.to_bytes(8, "little") + LOUD
        return {"type": "websocket.receive", "bytes": data}

    async def send_text(self, text: str) -> None:
        await self.stuck.wait()

    async def close(self, code: int, reason: str) -> None:
        self.closed.append(code)
        raise WebSocketDisconnect(1006)


def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bargein.server.session.QUIET", 0.05)
    # Time stands still, or a slow machine would be allowed more windows.
    still = types.SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr("bargein.server.session.time", still)

    async def main() -> tuple[str, Deaf]:
        service = Service(as_backend(judge), ServerConfig(windows_per_second=300))
        socket, place = Deaf(), service.open_place("deaf")
        session = WebSocketSession(service, socket, "deaf", place)  # type: ignore[arg-type]
        why = await asyncio.wait_for(session.run(), BOUND)
        # Past it nothing is kept: what was queued is the limit, the word of the end, and what was
        # being judged or waited to be.
        assert session._outgoing.qsize() <= 256 + 5
        await service.engine.close()
        return why, socket

    why, socket = asyncio.run(main())
    assert why == "the client doesn't read"
    assert socket.closed == [1008]
    assert socket.number <= 300 + 256 + 5
