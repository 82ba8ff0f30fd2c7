"""What upstream gets wrong, line by line, on live streams: with threads, sockets and clocks.

The lines are those of the list in the documentation of what differs from upstream.
``tests/core/test_mistakes.py`` has what the core alone can show of them.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

import pytest

from bargein.core import session_update
from bargein.detector import AdaptiveInterruptionDetector
from bargein.errors import APIStatusError
from bargein.testing.sockets import BOUND, Peer
from tests.streams.service import Answer, Caller, Heard, Service, answers, refuse


def test_mistake_1_no_reply_at_all_is_inconclusive_not_a_backchannel(transport: str) -> None:
    with (
        Service(transport, answers.silence) as service,
        service.detector(verdict_grace=0.02) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        service.next()
        caller.stop()
        assert caller.outcome() == ("inconclusive", "timeout")


def test_mistake_2_a_timeout_needs_no_further_audio(transport: str) -> None:
    with (
        Service(transport, answers.silence) as service,
        service.detector(inference_timeout=0.3) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        assert "inference_timeout" in str(caller.error().error)
        caller.stop()
        assert caller.outcome() == ("inconclusive", "timeout")
        assert caller.metrics.get(timeout=BOUND).num_timed_out == 1


def test_mistake_3_one_late_reply_doesnt_end_detection(transport: str) -> None:
    with (
        Service(transport, answers.silence, answers.yes) as service,
        service.detector(inference_timeout=0.3) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        assert caller.error().recoverable
        assert caller.speak_until(caller.events).is_interruption


@pytest.mark.parametrize(
    "loss", [answers.close(1000), answers.drop, answers.reset], ids=["idle close", "drop", "reset"]
)
def test_mistake_4_a_reconnect_with_a_window_in_flight_is_seamless(loss: Answer) -> None:
    with (
        Service("ws", loss, answers.yes) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        assert caller.error().recoverable
        caller.speak()
        assert caller.outcome() == ("interruption", None)
        assert service.connections == 2


def test_mistake_4_an_update_with_a_window_in_flight_is_seamless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_update, "UPDATE_SPREAD", 0.0)
    with (
        Service("ws") as service,
        service.detector(threshold=0.5) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        old = service.next()
        assert service.sessions.get(timeout=BOUND)["threshold"] == 0.5
        detector.update_options(threshold=0.7)
        assert service.sessions.get(timeout=BOUND)["threshold"] == 0.7
        while (new := caller.speak_until(service.heard)).connection == 1:
            new.reply(False)  # or all places are taken before the new session is created
        old.reply(True)  # the old one's word counts still
        assert caller.outcome() == ("interruption", None)
        assert caller.errors.empty()


def test_mistake_5_a_window_cut_in_one_overlap_cant_decide_the_next() -> None:
    with Service("ws") as service, service.detector() as detector, Caller(detector) as caller:
        caller.interrupt()
        first = service.next()
        caller.stop()
        caller.begin()  # settles the one before
        assert caller.outcome() == ("inconclusive", "timeout")
        second = service.next()
        first.reply(True)
        second.reply(False)
        caller.stop()
        assert caller.outcome() == ("backchannel", None)


@pytest.mark.parametrize(
    "odd",
    [
        '{"type":"weather","sky":"blue"}',
        '{"type":"inference_done","created_at":{id},"probabilities":null}',
        '{"type":"inference_done","created_at":{id}}',
        '{"type":"error","message":"oh"}',
    ],
)
def test_mistake_6_odd_messages_are_tolerated(odd: str) -> None:
    with (
        Service("ws", answers.text(odd), answers.yes) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        service.next()
        assert caller.speak_until(caller.events).is_interruption
        assert service.connections == 1
        assert caller.errors.empty() == ("error" not in odd)


def test_mistake_7_one_error_message_doesnt_end_the_stream() -> None:
    error = answers.text('{"type":"error","message":"oh","code":500,"session_id":"s"}')
    with (
        Service("ws", error, answers.yes) as service,
        service.detector(conn={"max_retry": 0}) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        assert caller.error().recoverable
        caller.speak()
        assert caller.outcome() == ("interruption", None)


def test_mistake_7_one_clean_close_by_an_idle_server_doesnt_end_the_stream() -> None:
    def idle(peer: Peer) -> None:
        peer.accept_websocket()
        peer.send_close(1001)
        peer.read_until_closed()

    with (
        Service("ws", answers.yes, greetings=[idle]) as service,
        service.detector(conn={"max_retry": 0}) as detector,
        Caller(detector) as caller,
    ):
        assert service.lost.get(timeout=BOUND) == 1
        caller.interrupt()
        assert caller.outcome() == ("interruption", None)
        assert caller.errors.empty()


def test_mistake_8_the_retry_count_starts_again_after_a_reply(transport: str) -> None:
    answered: queue.Queue[Heard] = queue.Queue()

    def no(heard: Heard) -> None:
        answered.put(heard)
        heard.reply(False)

    with (
        Service(transport) as service,
        service.detector(conn={"max_retry": 1}) as detector,
        Caller(detector) as caller,
    ):
        for _ in range(3):
            while not answered.empty():
                answered.get()
            service.answer(answers.drop)
            caller.interrupt()
            assert caller.error().recoverable
            service.answer(no)
            caller.speak_until(answered)
            caller.stop()
            assert caller.outcome() == ("backchannel", None)
        assert caller.stream.is_open


def test_mistake_9_the_newest_alone_goes_out_after_a_long_connect() -> None:
    go = threading.Event()

    def slow(peer: Peer) -> None:
        request = peer.read_request()
        assert go.wait(BOUND)
        peer.send(peer.handshake_answer(request))
        windows.put(peer.read_binary())
        peer.hold()

    windows: queue.Queue[bytes] = queue.Queue()
    with (
        Service("ws", greetings=[slow]) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        caller.speak(3)
        caller.stop()  # heard while it connects
        assert caller.outcome() == ("inconclusive", "connection")
        caller.begin()
        caller.speak(3)
        caller.wait_until_heard()
        go.set()
        window = windows.get(timeout=BOUND)
        assert len(window) - 8 == 2 * 1600 * (3 + 3 + 3 + 3)  # all that was said in this turn


def test_mistake_10_two_lone_spikes_are_no_high_probability(transport: str) -> None:
    spikes = answers.fields(False, probabilities=[0.9, 0.1, 0.9, 0.1])
    with (
        Service(transport, spikes) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        service.next()
        caller.stop()
        assert caller.event().probability == pytest.approx(0.1)


def test_mistake_11_what_nobody_reads_is_bounded_and_counted() -> None:
    detector = AdaptiveInterruptionDetector(backend=lambda window: [0.0] * 12)
    told: queue.Queue[Any] = queue.Queue()
    with detector, detector.stream() as stream:
        stream.on("metrics_collected", told.put)
        for _ in range(300):
            stream.agent_speech_started()
            stream.overlap_speech_started()
            stream.agent_speech_ended()
        for _ in range(300):
            told.get(timeout=BOUND)
        stats = stream.stats()
        assert (stats.waiting_events, stats.dropped_events) == (256, 44)


def test_mistake_11_unread_events_keep_few_windows() -> None:
    detector = AdaptiveInterruptionDetector(backend=lambda window: [0.9] * 12)
    with detector, Caller(detector) as caller:
        for _ in range(6):
            caller.interrupt()
            assert caller.event().is_interruption
            caller.stream.agent_speech_ended()
        kept = [caller.stream.recv(BOUND).speech_input is not None for _ in range(6)]
        assert kept == [False, False, True, True, True, True]


def test_mistake_11_audio_that_comes_faster_than_it_can_be_taken_is_bounded_and_counted() -> None:
    go, reached = threading.Event(), threading.Event()

    class Span:  # a listener can't hold the worker up, but this can
        def set_attribute(self, name: str, value: object) -> None:
            reached.set()
            go.wait(BOUND)

    detector = AdaptiveInterruptionDetector(backend=lambda window: [0.0])
    with detector, detector.stream(sample_rate=16_000) as stream:
        stream.agent_speech_started()
        stream.overlap_speech_started(span=Span())
        stream.agent_speech_ended()
        assert reached.wait(BOUND)
        stream.agent_speech_started()
        stream.overlap_speech_started()
        for _ in range(120):
            stream.push_frame(bytes(3200))
        stats = stream.stats()
        go.set()
        assert stats.waiting_audio <= 5.2
        assert stats.dropped_audio + stats.waiting_audio == pytest.approx(12.0)


def test_mistake_12_a_slow_backend_makes_the_cadence_coarser_not_a_backlog() -> None:
    with (
        Service("http") as service,
        service.detector(max_in_flight=1) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        first = service.next()
        for _ in range(5):
            caller.speak()
            caller.wait_until_heard()
        first.reply(False)
        second = service.next()
        assert len(second.samples) == 4800 + 5 * 1600  # the newest, and no other
        second.reply(False)
        caller.stop()
        assert caller.outcome() == ("backchannel", None)
        assert service.heard.empty()
        metrics = caller.metrics.get(timeout=BOUND)
        assert (metrics.num_answered, metrics.num_superseded) == (2, 4)


def test_mistake_13_http_requests_are_counted(transport: str) -> None:
    with (
        Service(transport, answers.no) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        service.next()
        for _ in range(2):
            caller.speak()
            service.next()
        caller.stop()
        assert caller.event().num_requests == 3


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("agent_speech_ended", "agent_ended"),
        ("end_input", "input_ended"),
        ("close", "closed"),
    ],
)
def test_mistake_14_an_overlap_that_is_cut_short_has_its_event_and_its_requests(
    transport: str, how: str, reason: str
) -> None:
    with (
        Service(transport, answers.no, answers.silence) as service,
        service.detector(inference_timeout=1.0) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        service.next()
        caller.stream.agent_speech_started()
        caller.stream.overlap_speech_started()  # another, which there can't be
        getattr(caller.stream, how)()
        event = caller.event()
        assert (event.outcome.value, event.reason and event.reason.value) == (
            "inconclusive",
            reason,
        )
        assert event.num_requests == 1
        if how == "agent_speech_ended":
            assert caller.stream.stats().ignored_overlaps == 1
            caller.interrupt()
            service.next()
            caller.stream.close()
            assert caller.event().num_requests == 1


def test_mistake_15_a_frame_longer_than_the_window_and_another_rate_are_fine() -> None:
    with Service("ws") as service, service.detector() as detector, Caller(detector) as caller:
        caller.stream.agent_speech_started()
        caller.stream.overlap_speech_started()
        caller.stream.push_frame(bytes(2 * 16_000 * 10))
        assert len(service.next().samples) == 48_000
        caller.stream.set_format(sample_rate=8_000, encoding="mulaw")
        caller.stream.push_frame(bytes(1600))
        while len(heard := service.next().samples) == 48_000:
            pass
        assert len(heard) in (1600, 3200)
        assert caller.stream.is_open


def test_mistake_16_a_clock_step_makes_no_negative_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = time.time
    with (
        Service("ws") as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        heard = service.next()
        monkeypatch.setattr(time, "time", lambda: wall() - 3600)
        heard.reply(True)
        event = caller.event()
        assert 0.2 <= event.detection_delay < BOUND
        assert event.created_at >= event.detected_at > (event.overlap_started_at or 0.0)


def test_mistake_17_a_positive_on_its_way_at_the_end_of_input_isnt_lost(transport: str) -> None:
    with Service(transport) as service, service.detector() as detector, Caller(detector) as caller:
        caller.interrupt()
        heard = service.next()
        caller.stream.end_input()
        heard.reply(True)
        assert caller.outcome() == ("interruption", None)
        assert len(caller.read_all()) == 1
        if transport == "ws":
            assert service.goodbyes.get(timeout=BOUND) == 1


def test_mistake_18_a_401_isnt_retried(transport: str) -> None:
    kind: dict[str, Any] = {"greetings": [refuse("401 Unauthorized")]} if transport == "ws" else {}
    refusals = [answers.status("401 Unauthorized")] if transport == "http" else []
    with (
        Service(transport, *refusals, **kind) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        with pytest.raises(APIStatusError, match="401"):
            caller.read_all()
        assert service.connections == 1


def test_mistake_18_a_connect_timeout_is_retried() -> None:
    with (
        Service("ws", answers.yes, greetings=[Peer.hold]) as service,
        service.detector(conn={"timeout": 0.3}) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        assert caller.error().recoverable
        assert caller.outcome() == ("interruption", None)
