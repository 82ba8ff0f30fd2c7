"""Faults of servers, row by row as in the table of docs/faults.md, on live streams."""

from __future__ import annotations

import contextlib
import queue
from pathlib import Path

import pytest

from bargein.core import retry, websocket_connection
from bargein.errors import APIConnectionError, APIStatusError, APITimeoutError, StreamEnded
from bargein.testing.certificates import server_context
from bargein.testing.sockets import BOUND, Peer
from bargein.wire.websocket_frames import Ping, Text
from tests.streams.service import STEP, Answer, Caller, Heard, Service, answers, refuse

BUSY = "503 Service Unavailable"


def stall(peer: Peer) -> None:
    peer.hold()


def drop(peer: Peer) -> None:
    peer.read_request()


def refusing(
    transport: str, line: str, body: str = "", *headers: str, then: Answer = answers.silence
) -> Service:
    """A service that refuses its first request, and is well from then on."""
    if transport in ("ws", "wss"):
        return Service(transport, then, greetings=[refuse(line, body, *headers)])
    return Service(transport, answers.status(line, body, *headers), then)


def goes_on(service: Service, caller: Caller) -> None:
    """What was said meanwhile isn't lost: the newest window is judged, in the same overlap."""
    answered = False
    while not answered:
        heard = caller.speak_until(service.heard)
        if not heard.answered:
            with contextlib.suppress(OSError):  # given up, with another connection that was lost
                heard.reply(True)
                answered = True
    assert caller.outcome() == ("interruption", None)
    assert caller.errors.empty()


# ---- cannot connect, connect timeout, connection lost, 5xx, 408, 499


def test_cannot_connect_is_retried_and_the_overlap_stays_open(
    any_transport: str, tmp_path: Path
) -> None:
    with (
        Service(any_transport, listening=False) as service,
        service.detector(folder=tmp_path) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        problem = caller.error()
        assert problem.recoverable
        assert isinstance(problem.error, APIConnectionError)
        caller.speak()
        service.server.listen()
        heard = service.next()
        assert len(heard.samples) == 4800 + 1600  # the newest audio
        heard.reply(True)
        assert caller.outcome() == ("interruption", None)
        assert caller.errors.empty()  # one an outage


def test_a_connect_timeout_is_retried_and_the_overlap_stays_open() -> None:
    with (
        Service("ws", greetings=[stall, stall]) as service,
        service.detector(conn={"timeout": 0.2}) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        problem = caller.error()
        assert problem.recoverable
        assert isinstance(problem.error, APITimeoutError)
        goes_on(service, caller)


@pytest.mark.parametrize("lose", [answers.drop, answers.reset, answers.drop_inside], ids=str)
def test_a_lost_connection_is_made_again_and_the_newest_audio_resumes(
    any_transport: str, lose: Answer, tmp_path: Path
) -> None:
    with (
        Service(any_transport, lose, answers.silence) as service,
        service.detector(folder=tmp_path) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        service.next()
        problem = caller.error()
        assert problem.recoverable
        assert isinstance(problem.error, APIConnectionError)
        goes_on(service, caller)
        assert caller.stream.stats().reconnects == 1


@pytest.mark.parametrize("line", [BUSY, "500 Internal Error", "408 Timeout", "499 Client Gone"])
def test_5xx_408_and_499_are_retried(transport: str, line: str) -> None:
    with (
        refusing(transport, line, "busy, busy") as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        problem = caller.error()
        assert problem.recoverable
        assert isinstance(problem.error, APIStatusError)
        assert problem.error.status_code == int(line[:3])
        assert problem.error.body == "busy, busy"
        goes_on(service, caller)


def test_further_failures_until_recovery_are_counted_not_announced(transport: str) -> None:
    with (
        Service(transport, greetings=[drop] * 3) as service,
        # One request at a time: or one that failed may be given up before that is known.
        service.detector(max_in_flight=1) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        caller.error()
        goes_on(service, caller)
        assert caller.stream.stats().faults == 3


def test_a_server_stopped_in_an_overlap_and_started_again_is_one_error_then_verdicts(
    any_transport: str, tmp_path: Path
) -> None:
    with (
        Service(any_transport) as service,
        service.detector(folder=tmp_path) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        service.next()
        service.vanish()
        assert caller.error().recoverable
        caller.speak(3)
        service.come_back()
        goes_on(service, caller)  # the same overlap has its verdict
        for positive in (False, True):  # and so have those after it
            caller.stream.agent_speech_ended()
            caller.interrupt()
            while len((heard := service.next()).samples) > 3 * len(STEP) // 2:
                heard.reply(False)  # it was on its way when the overlap before was decided
            heard.reply(positive)
            caller.stop()
            assert caller.outcome()[0] == ("interruption" if positive else "backchannel")
        assert caller.errors.empty()


# ---- a clean close with nothing in flight and no overlap open


@pytest.mark.parametrize("code", [1000, 1001])
def test_a_clean_idle_close_is_no_fault(code: int) -> None:
    peers: queue.Queue[Peer] = queue.Queue()

    def idle(peer: Peer) -> None:
        peer.accept_websocket()
        peer.read_text()
        peer.send_close(code)
        peers.put(peer)
        peer.read_until_closed()

    with (
        Service("ws", answers.no, greetings=[idle]) as service,
        service.detector(conn={"max_retry": 0}) as detector,
        Caller(detector) as caller,
    ):
        peers.get(timeout=BOUND)
        assert service.lost.get(timeout=BOUND) == 1
        assert service.connections == 1
        caller.interrupt()
        service.next()
        caller.stop()
        assert caller.outcome() == ("backchannel", None)
        assert caller.errors.empty()
        assert service.connections == 2


def test_a_session_closed_by_an_idle_server_is_no_fault() -> None:
    def idle(peer: Peer) -> None:
        peer.accept_websocket()
        peer.read_text()
        peer.send_text('{"type":"session.closed"}')
        peer.hold()

    with (
        Service("ws", answers.no, greetings=[idle]) as service,
        service.detector(conn={"max_retry": 0}) as detector,
        Caller(detector) as caller,
    ):
        assert service.lost.get(timeout=BOUND) == 1
        caller.interrupt()
        service.next()
        caller.stop()
        assert caller.outcome() == ("backchannel", None)
        assert caller.errors.empty()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("code", [None, 1000, 1001, 1006 - 3, 1011, 4000])
def test_a_close_with_a_window_in_flight_is_a_loss(
    code: int | None, scheme: str, tmp_path: Path
) -> None:
    with (
        Service(scheme, answers.close(code), answers.silence) as service,
        service.detector(folder=tmp_path) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        service.next()
        problem = caller.error()
        assert problem.recoverable
        assert isinstance(problem.error, APIConnectionError)
        if code is not None:
            assert str(code) in str(problem.error)
        goes_on(service, caller)


# ---- 429


def test_a_429_with_retry_after_is_left_alone_as_long_as_it_asks(transport: str) -> None:
    with (
        refusing(transport, "429 Too Many Requests", "slow down", "Retry-After: 0.2") as service,
        service.detector(conn={"max_retry": 1}) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        problem = caller.error()
        assert problem.recoverable
        assert isinstance(problem.error, APIStatusError)
        assert problem.error.retry_after == 0.2
        goes_on(service, caller)


def test_a_429_without_retry_after_is_unrecoverable(transport: str) -> None:
    with (
        refusing(transport, "429 Too Many Requests", "go away") as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        problem = caller.error()
        assert not problem.recoverable
        with pytest.raises(APIStatusError, match="go away"):
            caller.read_all()


def test_after_a_429_within_the_session_nothing_is_sent_for_a_while() -> None:
    slow_down = answers.text('{"type":"error","message":"slow down","code":429}')
    with (
        Service("ws", slow_down, answers.silence) as service,
        service.detector(conn={"retry_interval": 1.0}) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        service.next()
        problem = caller.error()
        assert problem.recoverable
        caller.speak(2)
        heard = service.next()
        assert len(heard.samples) == 4800 + 2 * 1600  # the newest, by the same session
        assert heard.connection == 1
        heard.reply(False)
        caller.stop()
        assert caller.outcome() == ("backchannel", None)


# ---- other 4xx


@pytest.mark.parametrize("line", ["401 Unauthorized", "403 Forbidden", "404 Not Found", "400 Bad"])
def test_other_4xx_are_unrecoverable_at_once(transport: str, line: str) -> None:
    with (
        refusing(transport, line, "a" * 600) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        problem = caller.error()
        assert not problem.recoverable
        with pytest.raises(APIStatusError) as caught:
            caller.read_all()
        assert caught.value is problem.error
        assert caught.value.status_code == int(line[:3])
        assert caught.value.body == "a" * 500
        assert not caller.stream.is_open
        assert service.connections == 1


def test_a_redirect_is_not_followed(any_transport: str, tmp_path: Path) -> None:
    with (
        Service(any_transport) as stranger,
        refusing(
            any_transport, "307 Temporary Redirect", "", f"Location: {stranger.server.url('http')}"
        ) as service,
        service.detector(folder=tmp_path, api_key="key", api_secret="s" * 32) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        problem = caller.error()
        assert not problem.recoverable
        assert "redirect" in str(problem.error)
        assert stranger.connections == 0


def test_an_error_message_with_a_4xx_ends_the_stream() -> None:
    refused = answers.text('{"type":"error","message":"bad session","code":400,"session_id":"s"}')
    with (
        Service("ws", refused) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        assert caller.outcome() == ("inconclusive", "error")
        assert not caller.error().recoverable
        with pytest.raises(APIStatusError, match="bad session"):
            caller.read_all()


@pytest.mark.parametrize("more", ["", ',"code":500', ',"code":503,"session_id":"s"', ',"code":408'])
def test_an_error_message_fails_the_windows_in_flight_not_the_stream(more: str) -> None:
    error = answers.text('{"type":"error","message":"oh"' + more + "}")
    with (
        Service("ws", error, answers.silence) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        service.next()
        problem = caller.error()
        assert problem.recoverable
        assert isinstance(problem.error, APIStatusError)
        goes_on(service, caller)
        assert service.connections == 1


def test_no_threshold_anywhere_is_fatal_and_says_so() -> None:
    with (
        Service("ws", created='{"type":"session.created"}') as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        assert not caller.error().recoverable
        with pytest.raises(Exception, match="threshold"):
            caller.read_all()


# ---- a window's reply too late


def test_a_late_reply_costs_its_window_alone(transport: str) -> None:
    with (
        Service(transport) as service,
        service.detector(inference_timeout=1.0) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        late = service.next()
        problem = caller.error()
        assert problem.recoverable
        assert isinstance(problem.error, APITimeoutError)
        if transport == "ws":
            late.reply(True)
        caller.speak()
        service.next().reply(False)
        caller.stop()
        assert caller.outcome() == ("backchannel", None)
        metrics = caller.metrics.get(timeout=BOUND)
        assert (metrics.num_timed_out, metrics.num_answered) == (1, 1)
        assert metrics.num_late == (transport == "ws")
        assert caller.errors.empty()


@pytest.mark.parametrize("stalls", [answers.silence, answers.stall_inside, answers.drip])
def test_four_late_windows_in_a_row_count_as_a_lost_connection(
    any_transport: str, stalls: Answer, tmp_path: Path
) -> None:
    with (
        Service(any_transport, stalls) as service,
        service.detector(
            folder=tmp_path, inference_timeout=0.02, max_in_flight=1, conn={"max_retry": 0}
        ) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        caller.speak(30)
        assert caller.error().recoverable
        while caller.stream.is_open:
            caller.stream.push_frame(bytes(3200))
            try:
                caller.errors.get(timeout=0.01)
            except queue.Empty:
                continue
        with pytest.raises(APITimeoutError, match="4 window"):
            caller.read_all()
        assert caller.stream.stats().faults == 4


def test_a_pong_that_is_missing_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_connection, "PING_INTERVAL", 0.1)
    monkeypatch.setattr(websocket_connection, "PONG_TIMEOUT", 0.02)

    def deaf(peer: Peer) -> None:
        peer.accept_websocket()
        assert isinstance(peer.read_message(), Text)
        assert isinstance(peer.read_message(), Ping)
        # None for the next connection, whose pong might take too long, too.
        monkeypatch.setattr(websocket_connection, "PING_INTERVAL", BOUND)
        peer.hold()

    with (
        Service("ws", answers.no, greetings=[deaf]) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        problem = caller.error()
        assert problem.recoverable
        assert "pong" in str(problem.error)
        assert service.lost.get(timeout=BOUND) == 1
        caller.interrupt()
        service.next()
        caller.stop()
        assert caller.outcome() == ("backchannel", None)


def test_pings_keep_a_session_that_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_connection, "PING_INTERVAL", 0.01)
    pings: queue.Queue[bytes] = queue.Queue()

    def greet(peer: Peer) -> None:
        peer.accept_websocket()
        while True:
            message = peer.read_message()
            if isinstance(message, Ping):
                peer.send_frame(0xA, message.data)
                pings.put(message.data)

    with (
        Service("ws", greetings=[greet]) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        for _ in range(5):
            pings.get(timeout=BOUND)
        assert caller.errors.empty()
        assert service.connections == 1


# ---- retries used up, or unrecoverable


def test_retries_used_up_end_the_stream_by_raising_to_its_reader(transport: str) -> None:
    with (
        Service(transport, greetings=[drop] * 9) as service,
        service.detector(conn={"max_retry": 1}) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        assert caller.error().recoverable
        caller.speak()
        assert not caller.error().recoverable
        event = caller.stream.recv(BOUND)
        assert (event.outcome.value, event.reason and event.reason.value) == (
            "inconclusive",
            "connection",
        )
        with pytest.raises(APIConnectionError):
            caller.stream.recv(BOUND)
        with pytest.raises(APIConnectionError):  # and again
            next(caller.stream)
        assert service.connections == 2


def test_after_a_fatal_error_pushing_is_counted_and_does_nothing(transport: str) -> None:
    with (
        refusing(transport, "401 Unauthorized") as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        caller.error()
        with pytest.raises(APIStatusError):
            caller.read_all()
        caller.stream.push_frame(bytes(320))
        caller.stream.push_frame(b"odd")
        caller.stream.agent_speech_started()
        caller.stream.overlap_speech_started()
        caller.stream.voice_activity(0.5)
        caller.stream.agent_audio(bytes(320))
        caller.stream.update_options(threshold=0.3)
        caller.stream.end_input()
        detector.update_options(threshold=0.4)
        assert caller.stream.stats().lost_frames == 2
        assert caller.events.qsize() == 1


@pytest.fixture
def short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "REST", 0.05)


@pytest.mark.usefixtures("short_rest")
def test_with_a_fallback_a_remote_that_was_given_up_is_tried_again(transport: str) -> None:
    judged: queue.Queue[str] = queue.Queue()

    def fallback(window: object) -> list[float]:
        judged.put("by the fallback")
        return [0.0] * 12

    def remote(heard: Heard) -> None:
        judged.put("by the remote")
        heard.reply(True)

    with (
        refusing(transport, "401 Unauthorized", then=remote) as service,
        service.detector(fallback=fallback) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        assert not caller.error().recoverable
        assert caller.speak_until(judged) == "by the fallback"
        caller.stop()
        assert caller.outcome() == ("backchannel", None)
        by = None
        while by != "by the remote":  # overlaps of the fallback's, until the remote gets one again
            while not judged.empty():
                judged.get()
            caller.begin()
            by = judged.get(timeout=BOUND)
            caller.stop()
            outcome = "interruption" if by == "by the remote" else "backchannel"
            assert caller.outcome() == (outcome, None)
        assert caller.errors.empty()


# ---- TLS


@pytest.mark.parametrize("secure", ["wss", "https"])
def test_a_wrong_certificate_is_a_connection_error(secure: str, tmp_path: Path) -> None:
    with (
        Service(secure, tls=server_context("elsewhere.example")) as service,
        service.detector(folder=tmp_path, conn={"max_retry": 0}) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        problem = caller.error()
        assert isinstance(problem.error, APIConnectionError)
        assert "certificate" in str(problem.error)
        with pytest.raises(APIConnectionError):
            caller.read_all()


@pytest.mark.parametrize("secure", ["wss", "https"])
def test_an_authority_that_nobody_knows_is_not_trusted(secure: str) -> None:
    with (
        Service(secure) as service,
        service.detector(tls=None, conn={"max_retry": 0}) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        assert "certificate" in str(caller.error().error)


# ---- no fault keeps the end waiting


@pytest.mark.parametrize("stalls", [answers.silence, answers.stall_inside, answers.drip])
def test_the_end_of_input_waits_for_windows_no_longer_than_their_deadlines(
    transport: str, stalls: Answer
) -> None:
    with (
        Service(transport, stalls) as service,
        service.detector(inference_timeout=0.3) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        service.next()
        caller.stream.end_input()
        assert caller.outcome() == ("inconclusive", "input_ended")
        caller.read_all()
        with pytest.raises(StreamEnded):
            caller.stream.recv(0)
