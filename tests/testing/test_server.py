"""The scripted server: what it does on command, over both transports, and what it records."""

from __future__ import annotations

import http.client
import itertools
import os
import ssl
from typing import Any

import pytest

from bargein.core.connect_options import APIConnectOptions
from bargein.testing import Caller, ScriptedServer, answers, refuse
from bargein.testing.sockets import BOUND, Peer

TRANSPORTS = ["websocket", "http"]
UNANSWERED = [
    *(answers.silence, answers.stall_inside, answers.drip(5), answers.garbage),
    answers.raw('{"type":"x","created_at":{id}}'),
]
SECRET = "-".join(["a", "secret", "of", "more", "than", "thirty", "bytes"])
PATIENT: dict[str, Any] = {
    "inference_timeout": BOUND,
    "verdict_grace": BOUND,
    "conn_options": APIConnectOptions(max_retry=None, retry_interval=0, timeout=BOUND),
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("answer", [answers.yes, answers.judged(0.9, after=0.01)], ids=str)
def test_both_transports_on_one_port(
    bargein_server: ScriptedServer, transport: Any, answer: answers.Answer
) -> None:
    bargein_server.answer(answer)
    with bargein_server.detector(transport, **PATIENT) as detector, Caller(detector) as caller:
        caller.interrupt()
        assert caller.outcome() == ("interruption", None)
    assert bargein_server.connections == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    "fault",
    [
        *(answers.drop, answers.reset, answers.drop_inside, answers.close(1011)),
        *(answers.error(503, "busy"), answers.drop.delayed(0.01)),
    ],
    ids=str,
)
def test_after_a_fault_that_is_noticed_the_call_goes_on(
    bargein_server: ScriptedServer, transport: Any, fault: answers.Answer
) -> None:
    bargein_server.answer(fault, answers.yes)
    with bargein_server.detector(transport, **PATIENT) as detector, Caller(detector) as caller:
        caller.interrupt()
        assert caller.error().recoverable
        assert caller.speak_until(caller.events).is_interruption


@pytest.mark.parametrize(
    ("transport", "fault"),
    [
        *itertools.product(TRANSPORTS, UNANSWERED),
        ("websocket", answers.wrong_id),  # over HTTP the request says which window it is
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_a_window_that_isnt_answered_is_given_up(
    bargein_server: ScriptedServer, transport: Any, fault: answers.Answer
) -> None:
    bargein_server.answer(fault)
    options = {**PATIENT, "inference_timeout": 0.15}
    with bargein_server.detector(transport, **options) as detector, Caller(detector) as caller:
        caller.interrupt()
        caller.stop()
        assert caller.outcome()[0] == "inconclusive"


def test_two_replies_change_places(bargein_server: ScriptedServer) -> None:
    bargein_server.answer(answers.swapped, answers.judged(0.1))
    with bargein_server.detector(**PATIENT) as detector, Caller(detector) as caller:
        caller.interrupt()
        bargein_server.recorder.wait_for(windows=1)  # or the next would take its place unsent
        caller.speak()
        bargein_server.recorder.wait_for(windows=2)
        caller.stop()
        event = caller.event()
        assert event.outcome == "backchannel"
        assert event.num_requests == 2
        assert caller.metrics.get(timeout=BOUND).num_answered == 2


def test_a_reply_that_comes_twice_is_late_the_second_time(bargein_server: ScriptedServer) -> None:
    bargein_server.answer(answers.twice, answers.judged(0.1))
    with bargein_server.detector(**PATIENT) as detector, Caller(detector) as caller:
        caller.interrupt()
        bargein_server.recorder.wait_for(windows=1)  # or the next would take its place unsent
        caller.speak()
        bargein_server.recorder.wait_for(windows=2)
        caller.stop()
        assert caller.outcome() == ("backchannel", None)
        metrics = caller.metrics.get(timeout=BOUND)
        assert (metrics.num_answered, metrics.num_late) == (2, 1)


def test_the_server_decides_by_what_it_was_told(bargein_server: ScriptedServer) -> None:
    bargein_server.answer(answers.judged(0.6))
    for threshold, outcome in ((0.7, "backchannel"), (0.5, "interruption")):
        for transport in TRANSPORTS:
            options = {**PATIENT, "threshold": threshold}
            with (
                bargein_server.detector(transport, **options) as detector,  # type: ignore[arg-type]
                Caller(detector) as caller,
            ):
                caller.interrupt()
                bargein_server.next()
                caller.stop()
                assert caller.outcome() == (outcome, None)
    assert {window.threshold for window in bargein_server.recorder.windows} == {0.5, 0.7}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_came_is_recorded_without_secrets(
    bargein_server: ScriptedServer, transport: Any
) -> None:
    bargein_server.answer(answers.yes)
    recorder = bargein_server.recorder
    assert str(recorder) == "nothing came"
    options = {**PATIENT, "api_key": "key", "api_secret": SECRET}
    with bargein_server.detector(transport, **options) as detector, Caller(detector) as caller:
        caller.interrupt()
        caller.event()
        recorder.wait_for(windows=1)
    [window] = recorder.windows
    assert (len(window.samples), window.connection, window.min_frames) == (4800, 1, 2)
    [told] = recorder.requests
    assert told.request.headers["authorization"] == "***"
    assert (told.request.authorization or "").startswith("Bearer ey")
    for shown in (str(recorder), repr(told), repr(recorder.windows), repr(told.request)):
        assert "ey" not in shown.replace("key", "")
    if transport == "websocket":
        recorder.wait_for(goodbyes=1)
        assert recorder.sessions[0].settings["encoding"] == "s16le"
        assert "session.create on connection 1: sample_rate=16000" in str(recorder)
    assert "window 1 (0.3 s) on connection 1" in str(recorder)


def test_waiting_for_what_doesnt_come_says_what_came(bargein_server: ScriptedServer) -> None:
    with pytest.raises(TimeoutError, match="0 of 3 windows and 0 of 0 goodbyes:\nnothing came"):
        bargein_server.recorder.wait_for(windows=3, timeout=0.01)


def test_over_tls(bargein_tls_server: ScriptedServer) -> None:
    bargein_tls_server.answer(answers.yes)
    for transport in TRANSPORTS:
        with (
            bargein_tls_server.detector(transport, **PATIENT) as detector,  # type: ignore[arg-type]
            Caller(detector) as caller,
        ):
            caller.interrupt()
            assert caller.outcome() == ("interruption", None)
    assert bargein_tls_server.url("http").startswith("https://localhost:")
    assert bargein_tls_server.ca_file is not None
    ssl.create_default_context(cafile=bargein_tls_server.ca_file)


def test_a_plain_server_has_no_root(bargein_server: ScriptedServer) -> None:
    assert bargein_server.ca_file is None


def test_connections_that_are_refused_and_a_server_that_vanishes() -> None:
    with (
        ScriptedServer(answers.yes, greetings=[refuse("503 Busy", "later"), Peer.reset]) as server,
        server.detector(**PATIENT) as detector,
        Caller(detector) as caller,
    ):
        assert "later" in str(caller.error().error)
        caller.interrupt()
        assert caller.speak_until(caller.events).is_interruption
        assert server.connections == 3
        server.vanish()
        server.lost.get(timeout=BOUND)
        server.come_back()
        caller.stream.agent_speech_ended()
        caller.interrupt()
        assert caller.speak_until(caller.events).is_interruption


def test_seeded_faults(bargein_server: ScriptedServer) -> None:
    kinds = (answers.silence, answers.twice, answers.error(500), answers.wrong_id)
    bargein_server.answer(answers.seeded(3, share=0.5, faults=kinds, otherwise=answers.yes))
    with bargein_server.detector(**PATIENT) as detector, Caller(detector) as caller:
        caller.interrupt()
        assert caller.speak_until(caller.events).is_interruption


def test_any_client_is_served(bargein_server: ScriptedServer) -> None:
    bargein_server.answer(answers.yes)
    client = http.client.HTTPConnection("127.0.0.1", bargein_server.server.port, timeout=BOUND)
    try:
        client.request("POST", "/bargein?threshold=0.5&min_frames=2&created_at=7", bytes(3200))
        reply = client.getresponse()
        assert (reply.status, b'"is_bargein": true' in reply.read()) == (200, True)
    finally:
        client.close()


def test_what_a_function_of_a_window_raises_is_raised_at_the_end() -> None:
    def broken(heard: Any) -> None:
        raise RuntimeError("mine")

    def use() -> None:
        with (
            ScriptedServer(broken) as server,
            server.detector(**PATIENT) as detector,
            Caller(detector) as caller,
        ):
            caller.interrupt()
            caller.error()

    with pytest.raises(RuntimeError, match="mine"):
        use()


@pytest.mark.parametrize(
    ("before", "within"),
    [
        ({}, "localhost,127.0.0.1"),
        ({"NO_PROXY": "example.org"}, "example.org,localhost,127.0.0.1"),
        ({"no_proxy": "127.0.0.1,localhost"}, "127.0.0.1,localhost"),
        ({"no_proxy": "*"}, "*"),
    ],
)
@pytest.mark.parametrize("transport", ["websocket", "http"])
def test_a_proxy_of_the_environment_is_not_asked(
    transport: Any, before: dict[str, str], within: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody is
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    with ScriptedServer(answers.yes) as server:
        assert os.environ["no_proxy"] == within
        with server.detector(transport, inference_timeout=BOUND) as detector:
            caller = Caller(detector)
            caller.interrupt()
            assert caller.event().is_interruption
            caller.stream.close()
    assert {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")} == {
        name: before.get(name) for name in ("no_proxy", "NO_PROXY")
    }
