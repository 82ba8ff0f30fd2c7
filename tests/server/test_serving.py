"""The running server: verdicts, limits, health, the end."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest
import trustme
import websocket

from bargein import AdaptiveInterruptionDetector
from bargein.drivers.tls import TlsOptions
from bargein.testing.sockets import BOUND
from tests.server.running import (
    KEY,
    LOUD,
    QUIET,
    SECRET,
    Running,
    close_code,
    create_session,
    judge,
    receive,
    running,
    send_window,
)
from tests.streams.service import Caller

SPEECH = b"\x40\x1f" * 1600


def _verdict(server: Running, detector: AdaptiveInterruptionDetector, frame: bytes) -> str:
    judged = threading.Event()
    decide = server.service.decide

    def note(*arguments: Any) -> bool:
        judged.set()
        return decide(*arguments)

    server.service.decide = note  # type: ignore[method-assign]
    with detector, Caller(detector) as caller:
        caller.stream.agent_speech_started()
        caller.stream.push_frame(frame)
        caller.stream.overlap_speech_started(speech_duration=0.1)
        caller.stream.push_frame(frame)
        caller.stream.push_frame(frame)
        assert judged.wait(BOUND), caller.stream.stats()
        caller.stop()
        return caller.outcome()[0]


def _detector(url: str, **options: object) -> AdaptiveInterruptionDetector:
    return AdaptiveInterruptionDetector(
        base_url=url, inference_timeout=BOUND, verdict_grace=BOUND, **options
    )


@pytest.mark.parametrize("scheme", ["ws", "http"])
@pytest.mark.parametrize(
    ("frame", "outcome"), [(SPEECH, "interruption"), (bytes(3200), "backchannel")]
)
def test_our_client_gets_verdicts(scheme: str, frame: bytes, outcome: str) -> None:
    with running(keys={KEY: SECRET}) as server:
        detector = _detector(server.url(scheme), api_key=KEY, api_secret=SECRET)
        assert _verdict(server, detector, frame) == outcome
        label = "interruption" if outcome == "interruption" else "no_interruption"
        assert server.metric(f'bargein_windows_total{{outcome="{label}"}}') >= 1


@pytest.mark.parametrize("scheme", ["wss", "https"])
def test_tls(scheme: str, tmp_path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for pem in issued.cert_chain_pems:
        pem.write_to_path(tmp_path / "cert.pem", append=True)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    pair = {"certificate": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    with running(**pair) as server:
        tls = TlsOptions(ca_file=tmp_path / "ca.pem")
        detector = _detector(server.url(scheme), tls=tls)
        assert _verdict(server, detector, SPEECH) == "interruption"


def test_thresholds_are_the_sessions_own_and_ids_come_back() -> None:
    with running() as server, server.session() as low, server.session() as high:
        create_session(high, threshold=0.95)
        assert receive(high)["default_threshold"] == 0.5
        for client, kind in [(low, "bargein_detected"), (high, "inference_done")]:
            send_window(client, 2**64 - 1)
            reply = receive(client)
            assert (reply["type"], reply["created_at"]) == (kind, 2**64 - 1)
            assert len(reply["probabilities"]) == 12
            client.send('{"type":"session.close"}')
            assert receive(client) == {"type": "session.closed"}
            assert close_code(client) == 1000


# --- limits of a session ---


@pytest.mark.parametrize(
    ("payload", "code", "closed"),
    [
        ("x", 400, 1008),
        ('{"type":"session.create"}', 400, 1008),
        ("y" * 5000, 413, 1009),
        (bytes(3), 400, 1008),
        (bytes(8), 400, 1008),
        (bytes(11), 400, 1008),
        (bytes(96_010), 413, 1009),
    ],
)
def test_what_can_not_be_read_ends_the_session(
    payload: str | bytes, code: int, closed: int
) -> None:
    with running() as server, server.session() as client:
        client.send(payload, 1 if isinstance(payload, str) else 2)
        reply = receive(client)
        assert (reply["type"], reply["code"]) == ("error", code)
        assert close_code(client) == closed


def test_a_format_or_order_that_is_not_served() -> None:
    with running() as server:
        for settings in ({"sample_rate": 8000}, {"min_frames": 0}):
            with server.session(create=False) as client:
                create_session(client, **settings)
                assert receive(client)["code"] == 400
        with server.session(create=False) as client:
            send_window(client, 1)
            assert "session.create first" in receive(client)["message"]
        with server.session() as client:
            client.send('{"type":"hello"}')  # unknown ones are let be
            send_window(client, 7, QUIET)
            assert receive(client)["created_at"] == 7


def test_too_many_windows() -> None:
    with running(windows_per_second=1e-6) as server, server.session() as client:
        for number in (1, 2):
            send_window(client, number)
        # The answer to the first takes its time, the refusal of the second doesn't.
        first, second = sorted((receive(client) for _ in range(2)), key=lambda one: one["type"])
        assert first["created_at"] == 1
        assert second["code"] == 429
        assert server.metric('bargein_refused_total{reason="rate"}') == 1


def test_far_too_many_windows_are_the_end() -> None:
    with running(windows_per_second=1e-6) as server, server.session() as client:
        for number in range(1, 4):
            send_window(client, number)
        codes: list[int | None] = []
        assert close_code(client, lambda said: codes.append(json.loads(said).get("code"))) == 1008
        assert codes.count(429) == 2


def test_under_overload_the_newest_window_wins_and_replies_keep_their_ids() -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(window):
        begun.set()
        assert go.wait(BOUND)
        return judge(window)

    with running(slow) as server, server.session() as first, server.session() as second:
        send_window(first, 101)
        assert begun.wait(BOUND)
        for number in (102, 103, 104):
            send_window(first, number)
        send_window(second, 9)
        while server.metric('bargein_windows_total{outcome="superseded"}') < 2:
            pass
        while server.service.engine.waiting < 2:
            pass
        go.set()
        assert [receive(first)["created_at"] for _ in range(2)] == [101, 104]
        assert receive(second)["created_at"] == 9
        assert server.service.engine.dropped == 2


def test_no_session_create() -> None:
    with running() as server, server.session(create=False) as client:
        server.limit(create_timeout=1e-3)
        assert receive(client)["code"] == 408
        with server.session(create=False) as client:
            assert receive(client)["code"] == 408


@pytest.mark.parametrize("limit", ["idle_timeout", "max_session_length"])
def test_idle_and_long_sessions_are_closed(limit: str) -> None:
    with running() as server, server.session() as client:
        server.limit(**{limit: 1e-3})
        assert close_code(client) == 1001


@pytest.mark.parametrize(
    ("limits", "status"), [({"max_sessions": 1}, 503), ({"max_sessions_per_key": 1}, 429)]
)
def test_too_many_sessions(limits: dict[str, int], status: int) -> None:
    with running(**limits) as server, server.session() as client:
        with pytest.raises(websocket.WebSocketBadStatusException) as caught, server.session():
            pass
        assert caught.value.status_code == status
        assert {k.lower(): v for k, v in caught.value.resp_headers.items()}["retry-after"] == "1"
        send_window(client, 1)
        assert receive(client)["created_at"] == 1
        assert server.metric("bargein_sessions") == 1


# --- HTTP ---


def test_http_judges_a_window() -> None:
    with running() as server:
        path = "/bargein?threshold=0.95&min_frames=3&created_at=17"
        status, _, text = server.request("POST", path, LOUD)
        reply = json.loads(text)
        assert (status, reply["created_at"], reply["is_bargein"]) == (200, 17, False)
        reply = json.loads(server.request("POST", "/bargein?threshold=NOT_GIVEN", LOUD)[2])
        assert reply["is_bargein"] is True


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/bargein?threshold=2", LOUD, 400),
        ("/bargein?threshold=nan", LOUD, 400),
        ("/bargein?min_frames=0", LOUD, 400),
        ("/bargein?created_at=-1", LOUD, 400),
        ("/bargein?created_at=x", LOUD, 400),
        ("/bargein", b"", 400),
        ("/bargein", bytes(3), 400),
        ("/bargein", bytes(96_002), 413),
        ("/other", LOUD, 404),
    ],
)
def test_http_refuses(path: str, body: bytes, status: int) -> None:
    with running() as server:
        assert server.request("POST", path, body)[0] == status


def test_http_slow_and_gone() -> None:
    head = b"POST /bargein HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\nab"
    with running() as server:
        server.limit(create_timeout=0.05)
        with socket.create_connection(("127.0.0.1", server.port), BOUND) as slow:
            slow.sendall(head)
            assert b"408" in slow.recv(4096)
        server.limit(create_timeout=BOUND)
        with socket.create_connection(("127.0.0.1", server.port), BOUND) as gone:
            gone.sendall(head)
        assert server.request("POST", "/bargein", LOUD)[0] == 200


def test_http_busy_and_failing() -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(window):
        begun.set()
        assert go.wait(BOUND)
        return judge(window)

    with running(slow, max_waiting=1) as server:
        statuses: list[int] = []
        threads = []
        for _ in range(2):
            ask = threading.Thread(
                target=lambda: statuses.append(server.request("POST", "/bargein", LOUD)[0])
            )
            ask.start()
            threads.append(ask)
            assert begun.wait(BOUND)
        while not server.service.engine.waiting:
            server.request("GET", "/healthz")
        status, headers, text = server.request("POST", "/bargein", LOUD)
        assert (status, headers["retry-after"], "busy" in text) == (503, "1", True)
        go.set()
        for ask in threads:
            ask.join(BOUND)
        assert statuses == [200, 200]


def test_http_does_not_judge_for_who_is_gone() -> None:
    begun, go, judged = threading.Event(), threading.Event(), []

    def slow(window):
        begun.set()
        assert go.wait(BOUND)
        judged.append(len(window.samples))
        return judge(window)

    head = b"POST /bargein HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\n\r\n"
    with running(slow) as server:
        first = threading.Thread(target=lambda: server.request("POST", "/bargein", LOUD))
        first.start()
        assert begun.wait(BOUND)
        with socket.create_connection(("127.0.0.1", server.port), BOUND) as gone:
            gone.sendall(head + bytes(200))
            while not server.service.engine.waiting:
                server.request("GET", "/healthz")
        while server.service.engine.waiting:
            server.request("GET", "/healthz")
        go.set()
        first.join(BOUND)
    assert judged == [4800]


def test_a_judge_that_fails() -> None:
    def broken(window):
        raise ValueError("weights are missing")

    with running(broken) as server, server.session() as client:
        status, _, text = server.request("POST", "/bargein", LOUD)
        assert (status, "weights" in text) == (500, False)
        send_window(client, 1)
        assert receive(client)["code"] == 500


class Full:
    """A judge that takes nobody."""

    model = provider = "test"
    default_threshold = 0.5

    def open_session(self, stream_id: str | None) -> Any:
        raise RuntimeError("no memory on the device")


def test_a_judge_that_takes_no_session(caplog: pytest.LogCaptureFixture) -> None:
    with running(Full()) as server:
        status, _, text = server.request("POST", "/bargein", LOUD)
        assert (status, "device" in text) == (500, False)
        with (
            pytest.raises(websocket.WebSocketBadStatusException) as caught,
            server.session(create=False),
        ):
            pass
        assert caught.value.status_code == 500
        assert server.metric("bargein_sessions") == 0
    assert "no memory on the device" in caplog.text


def test_a_judge_that_hangs_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()

    def hang(window):
        begun.set()
        assert go.wait(BOUND)
        return judge(window)

    for name in ("READY_PATIENCE", "LIVE_PATIENCE", "JUDGE_PATIENCE"):
        monkeypatch.setattr(f"bargein.server.app.{name}", 0.05)
    with running(hang) as server:
        assert server.request("GET", "/readyz")[0] == 200
        try:
            status, headers, text = server.request("POST", "/bargein", LOUD)
            assert (status, headers["retry-after"], "too slow" in text) == (503, "1", True)
            assert begun.wait(BOUND)
            while server.request("GET", "/readyz")[0] == 200:
                pass  # it has only just begun to hang
            assert server.request("GET", "/readyz")[::2] == (503, "the judge hangs\n")
            assert server.request("GET", "/healthz")[::2] == (503, "the judge hangs\n")
        finally:
            go.set()
        while server.request("GET", "/healthz")[0] != 200:
            pass
        assert server.request("GET", "/readyz")[0] == 200


def test_health() -> None:
    with running() as server:
        assert server.request("GET", "/healthz")[::2] == (200, "ok\n")
        assert server.request("GET", "/readyz")[0] == 200
        server.service.draining = True
        assert server.request("GET", "/readyz")[0] == 503
        status, headers, _ = server.request("POST", "/bargein", LOUD)
        # Whoever balances connections sends the next one elsewhere.
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
