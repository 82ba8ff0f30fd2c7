"""Servers that say odd things: what can't be understood costs as little as it can."""

from __future__ import annotations

import json
import queue
from pathlib import Path
from typing import Any

import pytest

from bargein.errors import APIConnectionError, APIError, ProtocolError
from bargein.testing.sockets import BOUND, Peer
from bargein.wire.websocket_frames import Opcode
from tests.streams.service import Answer, Caller, Heard, Service, answers


def garbage(heard: Heard) -> None:
    heard.peer.send(b"\xff\x00\x17garbage\r\n" * 40)
    heard.peer.hold()


def two_mebibytes(heard: Heard) -> None:
    heard.reply(True, padding="x" * (2 << 20))


@pytest.mark.parametrize("odd", [garbage, two_mebibytes], ids=lambda f: f.__name__)
def test_what_cant_be_a_reply_fails_its_window_and_no_more(
    any_transport: str, odd: Answer, tmp_path: Path
) -> None:
    with (
        Service(any_transport, odd, answers.yes) as service,
        service.detector(folder=tmp_path) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        service.next()
        problem = caller.error()
        assert problem.recoverable
        assert isinstance(problem.error, APIError)
        assert caller.speak_until(caller.events).is_interruption
        assert caller.errors.empty()


@pytest.mark.parametrize(
    "text", ["", "no JSON", "[]", '"a"', "{", '{"created_at":"x"}', "\ufeff", '{"type":1}']
)
def test_undecodable_text_is_one_recoverable_error(transport: str, text: str) -> None:
    with (
        Service(transport, answers.text(text), answers.yes) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        service.next()
        problem = caller.error()
        assert problem.recoverable
        assert isinstance(problem.error, ProtocolError)
        caller.speak()
        assert caller.outcome() == ("interruption", None)
        assert service.connections == 1


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-0.1", "1.5", '"a"'])
def test_probabilities_that_cant_be_fail_their_window(transport: str, bad: str) -> None:
    kind = '"type":"bargein_detected",' if transport == "ws" else '"is_bargein":true,'
    text = f'{{{kind}"created_at":{{id}},"probabilities":[0.5,{bad}]}}'
    with (
        Service(transport, answers.text(text)) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        service.next()
        problem = caller.error()
        assert problem.recoverable
        assert isinstance(problem.error, ProtocolError)
        caller.stop()
        assert caller.outcome() == ("inconclusive", "error")


def test_probabilities_may_be_missing(transport: str) -> None:
    with (
        Service(
            transport, answers.fields(True, probabilities=None, prediction_duration=None)
        ) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        event = caller.event()
        assert event.is_interruption
        assert event.probability == 0.0
        assert event.probabilities is not None
        assert len(event.probabilities) == 0


def test_extra_fields_are_ignored(transport: str) -> None:
    with (
        Service(transport, answers.fields(True, mood="fine", nested={"a": [1]})) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        assert caller.outcome() == ("interruption", None)
        assert caller.errors.empty()


def test_replies_to_windows_that_nobody_knows_change_nothing() -> None:
    with Service("ws") as service, service.detector() as detector, Caller(detector) as caller:
        caller.interrupt()
        heard = service.next()
        for strange in (heard.id + 1000, 0, 2**63):
            heard.reply(True, created_at=strange)
        heard.reply(False)
        heard.reply(True)  # it was answered
        caller.speak()
        service.next().reply(False)
        caller.stop()
        assert caller.outcome() == ("backchannel", None)
        assert caller.metrics.get(timeout=BOUND).num_late == 4


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_messages_in_pieces_with_pings_between(scheme: str, tmp_path: Path) -> None:
    pongs: queue.Queue[bytes] = queue.Queue()

    def torn(peer: Peer) -> None:
        peer.accept_websocket()
        peer.read_text()
        window = int.from_bytes(peer.read_binary()[:8], "little")
        text = json.dumps({"type": "bargein_detected", "created_at": window}).encode()
        peer.send_frame(Opcode.TEXT, text[:5], fin=False)
        peer.send_frame(Opcode.PING, b"still there?")
        for at in range(5, len(text) - 1):
            peer.send_frame(Opcode.CONTINUATION, text[at : at + 1], fin=False)
        peer.send_frame(Opcode.CONTINUATION, text[-1:])
        while type(message := peer.read_message()).__name__ != "Pong":
            pass
        pongs.put(message.data)  # type: ignore[union-attr]
        peer.hold()

    with (
        Service(scheme, greetings=[torn]) as service,
        service.detector(folder=tmp_path) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        assert caller.outcome() == ("interruption", None)
        assert pongs.get(timeout=BOUND) == b"still there?"
        assert caller.errors.empty()


def test_a_binary_message_and_unknown_types_are_ignored_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def chatter(heard: Heard) -> None:
        for _ in range(3):
            heard.peer.send_frame(Opcode.BINARY, b"\x00\x01")
            heard.say('{"type":"weather"}')
            heard.say('{"type":"session.created","default_threshold":0.5,"region":"x"}')
        heard.reply(True)

    caplog.set_level("INFO", "bargein")
    with (
        Service("ws", chatter) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        assert caller.outcome() == ("interruption", None)
    for what in ("a binary message", "weather", "region"):
        assert sum(what in record.getMessage() for record in caplog.records) == 1


def test_session_created_isnt_waited_for() -> None:
    with (
        Service("ws", answers.yes, created=None) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        assert caller.outcome() == ("interruption", None)
        assert caller.errors.empty()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_close_that_isnt_followed_by_the_end_of_the_connection(
    scheme: str, tmp_path: Path
) -> None:
    """After CLOSE frames both ways the socket is ours to close."""

    def lingering(heard: Heard) -> None:
        heard.peer.send_close(1011, "tired")
        heard.peer.hold()

    with (
        Service(scheme, lingering, answers.yes) as service,
        service.detector(folder=tmp_path) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        problem = caller.error()
        assert isinstance(problem.error, APIConnectionError)
        assert "tired" in str(problem.error)
        assert caller.speak_until(caller.events).is_interruption


@pytest.mark.parametrize("status", ["200 OK", "101 Switching Protocols", "302 Found"])
def test_a_server_that_speaks_no_websocket(status: str) -> None:
    def http_only(peer: Peer) -> None:
        peer.read_request()
        peer.respond(status, "hello")

    with (
        Service("ws", greetings=[http_only] * 3) as service,
        service.detector(conn={"max_retry": 0}) as detector,
        Caller(detector) as caller,
    ):
        assert not caller.error().recoverable
        with pytest.raises(APIError):
            caller.read_all()


def test_windows_and_their_settings_on_the_wire(transport: str) -> None:
    options: dict[str, Any] = {"threshold": 0.25, "min_interruption_duration": 0.1}
    with (
        Service(transport, answers.no) as service,
        service.detector(**options) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        heard = service.next()
        request = service.requests.get(timeout=BOUND)
        assert request.headers["user-agent"].startswith("bargein/")
        assert "authorization" not in request.headers
        if transport == "ws":
            assert request.target == "/bargein"
            assert service.sessions.get(timeout=BOUND) == {
                "sample_rate": 16000,
                "num_channels": 1,
                "threshold": 0.25,
                "min_frames": 4,
                "encoding": "s16le",
            }
        else:
            assert request.target == f"/bargein?threshold=0.25&min_frames=4&created_at={heard.id}"
            assert request.headers["content-type"] == "application/octet-stream"
