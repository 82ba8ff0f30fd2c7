"""detector.check(): real servers on loopback, right and wrong, and the words that come of them."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bargein import (
    AdaptiveInterruptionDetector,
    APIConnectionError,
    APIConnectOptions,
    APIError,
    APIStatusError,
    APITimeoutError,
    CheckReport,
    OptionError,
    Prediction,
    ProtocolError,
    StateError,
    TlsOptions,
    Window,
)
from bargein.runtime.pool import Lane, Pool, connect_pool, inference_pool
from bargein.testing.certificates import server_context, write_authority
from bargein.testing.sockets import BOUND, Peer, Server, raw_listener

SECRET = "a secret that nobody may ever see, 32+"
QUIET = 0.3
"""Seconds for checks of which nothing will come."""


# --- servers --------------------------------------------------------------------------------------


def judge_over_http(peer: Peer, probability: float = 0.0) -> None:
    while True:
        request = peer.read_request()
        assert len(request.body) == 32_000
        reply = {"is_bargein": probability > 0.5, "probabilities": [probability] * 40}
        peer.respond("200 OK", json.dumps(reply))


def judge_over_websocket(peer: Peer, created: str = '{"default_threshold":0.5}') -> None:
    peer.accept_websocket()
    assert '"session.create"' in peer.read_text()
    peer.send_text(json.dumps({"type": "session.created", **json.loads(created)}))
    for _ in range(2):
        window = peer.read_binary()
        assert len(window) == 8 + 32_000
        peer.send_text(
            json.dumps(
                {
                    "type": "inference_done",
                    "created_at": int.from_bytes(window[:8], "little"),
                    "prediction_duration": 0.012,
                    "probabilities": [0.01] * 40,
                }
            )
        )
    assert "session.close" in peer.read_text()
    peer.send_text('{"type":"session.closed"}')
    peer.hold()


def answer(status: str, *headers: str, body: str = "") -> Any:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.respond(status, body, headers)
        peer.hold()

    return script


def check(timeout: float = BOUND, **options: Any) -> CheckReport:
    # However long an answer takes here, it is in time unless a test is about that.
    patient = {"inference_timeout": BOUND, "detection_interval": BOUND}
    with AdaptiveInterruptionDetector(**(patient | options)) as detector:
        return detector.check(timeout=timeout)


def levels(report: CheckReport) -> dict[str, str]:
    """The worst level of each subject."""
    order = ("ok", "warning", "problem")
    worst: dict[str, str] = {}
    for found in report.findings:
        worst[found.subject] = max(worst.get(found.subject, "ok"), found.level, key=order.index)
    return worst


ALL_WELL = {"address": "ok", "credentials": "ok", "judgement": "ok", "latency": "ok"}


# --- what is right --------------------------------------------------------------------------------


def test_a_websocket_server_that_is_well() -> None:
    with Server(judge_over_websocket) as server:
        report = check(base_url=server.url("ws"))

    assert (report.ok, report.error, levels(report)) == (True, None, ALL_WELL)
    assert report.transport == "websocket"
    assert report.address == server.url("ws")
    assert report.connect_time is not None
    assert report.round_trip is not None
    assert report.first_round_trip is not None
    assert report.prediction_duration == 0.012
    assert server.connections == 1


def test_an_http_server_that_is_well() -> None:
    with Server(judge_over_http) as server:
        report = check(base_url=server.url("http"), api_key="key", api_secret=SECRET)

    assert (report.ok, report.error, levels(report)) == (True, None, ALL_WELL)
    assert report.transport == "http"
    assert report.connect_time is None
    assert "the server took the token" in str(report)
    assert server.connections == 1


def test_a_local_judge() -> None:
    report = check(backend="local")

    assert (report.ok, report.error, levels(report)) == (True, None, ALL_WELL)
    assert (report.transport, report.address) == ("in-process", None)
    assert str(report).startswith("bargein-judge-4 (bargein), in-process\n")


def test_a_report_is_plain_json_too() -> None:
    report = check(backend=lambda window: [0.0])

    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["ok"] is True
    assert plain["findings"][0]["subject"] == "address"
    assert plain["error"] is None


# --- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_nobody_listens_there(scheme: str) -> None:
    with raw_listener(listening=False) as taken:
        report = check(base_url=f"{scheme}://127.0.0.1:{taken.getsockname()[1]}")

    assert not report.ok
    assert type(report.error) is APIConnectionError
    assert levels(report)["address"] == "problem"
    assert "refused" in str(report).lower()
    assert "latency" not in levels(report)


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_name_that_nobody_has(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def no_such_name(*_: object, **__: object) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    report = check(base_url=f"{scheme}://no.such.host.example")

    assert levels(report)["address"] == "problem"
    assert "Name or service not known" in str(report)


@pytest.mark.parametrize("scheme", ["ws", "http"])
@pytest.mark.parametrize(
    ("status", "subject", "words"),
    [
        ("401 Unauthorized", "credentials", "check api_key and api_secret"),
        ("404 Not Found", "address", "check base_url"),
        ("307 Temporary Redirect", "address", "redirects aren't followed"),
        ("426 Upgrade Required", "address", "give transport="),
        ("429 Too Many Requests", "judgement", "too many requests"),
        ("503 Service Unavailable", "judgement", "status 503"),
    ],
)
def test_a_server_that_refuses(scheme: str, status: str, subject: str, words: str) -> None:
    with Server(answer(status, body="because")) as server:
        report = check(base_url=server.url(scheme), api_key="key", api_secret=SECRET)

    assert not report.ok
    assert isinstance(report.error, APIStatusError)
    assert report.error.status_code == int(status[:3])
    assert {s for s, level in levels(report).items() if level == "problem"} == {subject}
    assert words in str(report)
    assert "because" in str(report)
    assert report.to_dict()["error"].startswith("APIStatusError: ")
    assert server.connections == 1  # no retry


def test_a_401_where_no_credentials_were_given() -> None:
    with Server(answer("401 Unauthorized")) as server:
        report = check(base_url=server.url("http"))

    assert "none were given: api_key and api_secret must be arguments" in str(report)


def test_a_429_that_says_when_to_come_back_is_a_problem_all_the_same() -> None:
    with Server(answer("429 Too Many Requests", "Retry-After: 7")) as server:
        report = check(base_url=server.url("http"))

    assert not report.ok
    assert "asks to wait 7 s" in str(report)


@pytest.mark.parametrize("scheme", ["wss", "https"])
def test_a_certificate_that_nobody_vouches_for(scheme: str, tmp_path: Path) -> None:
    with Server(judge_over_http, tls=server_context()) as server:
        report = check(base_url=server.url(scheme))
    assert levels(report)["address"] == "problem"
    assert "TLS" in str(report)
    assert "certificate" in str(report)

    script = judge_over_websocket if scheme == "wss" else judge_over_http
    with Server(script, tls=server_context()) as server:
        tls = TlsOptions(ca_file=write_authority(tmp_path))
        assert check(base_url=server.url(scheme), tls=tls).ok


@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_server_that_accepts_and_stays_silent(scheme: str) -> None:
    with Server(Peer.hold) as server:
        report = check(QUIET, base_url=server.url(scheme))

    assert isinstance(report.error, APITimeoutError)
    assert not report.ok
    assert "0.3 s" in str(report)


def test_a_websocket_that_opens_and_never_answers() -> None:
    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.hold()

    with Server(script) as server:
        report = check(QUIET, base_url=server.url("ws"))

    assert levels(report) == {"address": "ok", "credentials": "ok", "judgement": "problem"}
    assert "no answer came within 0.3 s" in str(report)
    assert report.connect_time is not None


def test_a_name_lookup_that_hangs_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    let_go = threading.Event()

    def hang(*_: object, **__: object) -> Any:
        let_go.wait(BOUND)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        report = check(QUIET, base_url="ws://slow.name.example")
    finally:
        let_go.set()

    assert isinstance(report.error, APITimeoutError)
    assert not report.ok


def test_no_threshold_and_none_by_default() -> None:
    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.read_text()
        peer.send_text('{"type":"session.created"}')
        peer.hold()

    with Server(script) as server:
        report = check(base_url=server.url("ws"))
    assert "pass threshold=" in str(report)
    assert levels(report)["judgement"] == "problem"

    with Server(lambda peer: judge_over_websocket(peer, created="{}")) as server:
        assert check(base_url=server.url("ws"), threshold=0.5).ok


def test_probabilities_that_nothing_can_decide() -> None:
    def script(peer: Peer) -> None:
        while True:
            peer.read_request()
            peer.respond("200 OK", '{"probabilities":[0.1,0.2]}')

    with Server(script) as server:
        report = check(base_url=server.url("http"))

    assert levels(report)["judgement"] == "problem"
    assert "give threshold=" in str(report)


def test_something_else_listens_there() -> None:
    with Server(lambda peer: peer.send(b"SSH-2.0-OpenSSH_9.9\r\n")) as server:
        report = check(base_url=server.url("ws"))
    assert isinstance(report.error, ProtocolError)
    assert levels(report)["address"] == "problem"


def test_silence_judged_an_interruption_is_worth_a_word() -> None:
    with Server(lambda peer: judge_over_http(peer, probability=0.9)) as server:
        report = check(base_url=server.url("http"))

    assert report.ok
    assert levels(report)["judgement"] == "warning"
    assert "silence was judged an interruption" in str(report)


def test_too_slow_for_the_timeout_and_too_slow_for_the_cadence() -> None:
    with Server(judge_over_http) as server:
        slow = check(base_url=server.url("http"), inference_timeout=1e-6)
        coarse = check(base_url=server.url("http"), detection_interval=1e-6, max_in_flight=1)

    assert levels(slow)["latency"] == "problem"
    assert "every overlap would be inconclusive" in str(slow)
    assert not slow.ok
    assert levels(coarse)["latency"] == "warning"
    assert coarse.ok


def test_a_backend_that_raises() -> None:
    def broken(window: Window) -> Prediction:
        raise RuntimeError("no such model")

    report = check(backend=broken)

    assert type(report.error) is APIError
    assert levels(report)["judgement"] == "problem"
    assert "no such model" in str(report)


def test_a_backend_that_hangs() -> None:
    let_go = threading.Event()

    def hanging(window: Window) -> list[float]:
        let_go.wait(BOUND)
        return [0.0]

    try:
        report = check(QUIET, backend=hanging)
    finally:
        let_go.set()

    assert isinstance(report.error, APITimeoutError)
    assert levels(report)["judgement"] == "problem"


@pytest.mark.parametrize(
    ("pool", "options", "words"),
    [
        (inference_pool, {"backend": lambda window: [0.0]}, "couldn't be handed over"),
        (connect_pool, {"base_url": "ws://127.0.0.1:1"}, "no connection was made"),
    ],
    ids=["inference", "connect"],
)
def test_a_pool_whose_threads_all_hang(pool: Pool, options: Any, words: str) -> None:
    let_go = threading.Event()
    jobs = [Lane(pool).submit(lambda: bool(let_go.wait(BOUND))) for _ in range(pool.size)]
    try:
        report = check(QUIET, **options)
    finally:
        let_go.set()
        pool.stop(BOUND)

    assert isinstance(report.error, APITimeoutError)
    assert words in str(report)
    assert not any(job.withdraw() for job in jobs)


def test_a_garbled_reply() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.respond("200 OK", "<html>hello</html>")
        peer.hold()

    with Server(script) as server:
        report = check(base_url=server.url("http"))

    assert isinstance(report.error, ProtocolError)
    assert not report.ok


# --- what it leaves alone -------------------------------------------------------------------------


def test_nothing_of_it_reaches_listeners_or_queues() -> None:
    heard: list[object] = []
    with (
        Server(answer("500 Oh dear")) as server,
        AdaptiveInterruptionDetector(base_url=server.url("http"), fallback="local") as detector,
    ):
        detector.on("error", heard.append)
        detector.on("metrics_collected", heard.append)
        assert not detector.check(timeout=BOUND).ok
        with pytest.raises(TimeoutError):
            detector.recv(timeout=0)

    assert heard == []


def test_the_secret_shows_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen = []

    def script(peer: Peer) -> None:
        token = peer.read_request().headers["authorization"]
        seen.append(token.removeprefix("Bearer "))
        peer.respond("401 Unauthorized", f"bad token: {token}")
        peer.hold()

    with Server(script) as server:
        report = check(base_url=server.url("http"), api_key="key", api_secret=SECRET)

    told = f"{report} {report!r} {report.to_dict()} {report.error!r} {caplog.text}"
    assert seen
    assert SECRET not in told
    assert not any(token in told for token in seen)


def test_after_close_it_is_refused() -> None:
    detector = AdaptiveInterruptionDetector(backend=lambda window: np.zeros(40))
    detector.close()

    with pytest.raises(StateError, match="was closed"):
        detector.check()


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "soon"])
def test_a_timeout_that_is_none(timeout: Any) -> None:
    with (
        AdaptiveInterruptionDetector(backend=lambda window: [0.0]) as detector,
        pytest.raises(OptionError, match="timeout came as"),
    ):
        detector.check(timeout=timeout)


def test_the_connect_timeout_is_the_shorter_of_the_two() -> None:
    with Server(Peer.hold) as server:
        report = check(
            base_url=server.url("ws"), conn_options=APIConnectOptions(timeout=QUIET, max_retry=9)
        )

    assert "0.3 s" in str(report)  # the driver or the machine says so, whoever is first
