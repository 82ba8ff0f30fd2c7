"""What comes out, and how it is read: iteration, recv, listeners, one queue for all, figures."""

from __future__ import annotations

import json
import queue
import sys
import threading
from typing import Any

import numpy as np
import pytest

from bargein.core import InterruptionDetectionError, InterruptionMetrics
from bargein.detector import AdaptiveInterruptionDetector
from bargein.errors import APIConnectionError, OptionError, StreamEnded
from bargein.testing.sockets import BOUND
from tests.streams.service import Caller, Service, answers


def yes(window: Any) -> list[float]:
    return [0.9] * 12


def local(**options: Any) -> AdaptiveInterruptionDetector:
    return AdaptiveInterruptionDetector(backend=yes, **options)


def test_iteration_gives_the_events_until_the_stream_has_ended() -> None:
    with local() as detector, Caller(detector) as caller:
        caller.interrupt()
        assert next(caller.stream).is_interruption
        caller.stop()
        caller.stream.overlap_speech_started()
        caller.stream.end_input()
        outcomes = [event.outcome.value for event in caller.stream]
        assert outcomes == ["inconclusive"]
        assert list(caller.stream) == []


def test_recv_waits_as_long_as_it_is_told() -> None:
    with local() as detector, Caller(detector) as caller:
        with pytest.raises(TimeoutError, match=f"{caller.stream.id}"):
            caller.stream.recv(0)
        with pytest.raises(TimeoutError):
            caller.stream.recv(timeout=0.01)
        caller.interrupt()
        assert caller.stream.recv().is_interruption
        caller.stream.end_input()
        with pytest.raises(StreamEnded):
            caller.stream.recv()


def test_a_reader_that_waits_is_woken_by_the_end() -> None:
    ended: queue.Queue[list[Any]] = queue.Queue()
    with local() as detector, Caller(detector) as caller:
        reader = threading.Thread(target=lambda: ended.put(list(caller.stream)))
        reader.start()
        caller.stream.close()
        assert ended.get(timeout=BOUND) == []
        reader.join()


def test_listeners_on_the_stream_and_on_the_detector() -> None:
    heard: queue.Queue[tuple[str, str]] = queue.Queue()
    with local() as detector:

        @detector.on("overlapping_speech")
        def everywhere(event: Any) -> None:
            heard.put(("detector", event.stream_id))

        first, second = detector.stream(id="1"), detector.stream(id="2")

        @first.on("overlapping_speech")
        def here(event: Any) -> None:
            heard.put(("stream", event.stream_id))

        for stream in (first, second):
            stream.agent_speech_started()
            stream.overlap_speech_started()
            stream.push_frame(bytes(3200))
            assert stream.recv(BOUND).is_interruption
        assert sorted(heard.get(timeout=BOUND) for _ in range(3)) == [
            ("detector", "1"),
            ("detector", "2"),
            ("stream", "1"),
        ]
        detector.off("overlapping_speech", everywhere)
        first.off("overlapping_speech", here)
        first.overlap_speech_ended()
        first.overlap_speech_started()
        first.push_frame(bytes(3200))
        assert first.recv(BOUND).is_interruption
        assert heard.empty()


def test_a_listener_that_raises_or_exits_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with local() as detector, Caller(detector) as caller:
        caller.stream.on("overlapping_speech", lambda event: 1 / 0)
        caller.stream.on("metrics_collected", lambda metrics: sys.exit("enough"))
        for _ in range(2):
            caller.interrupt()
            assert caller.outcome() == ("interruption", None)
            caller.stop()
        assert caller.stream.is_open
    assert caplog.text.count("ZeroDivisionError") == 2
    assert caplog.text.count("enough") >= 1


def test_an_event_that_nobody_can_listen_for() -> None:
    with local() as detector, Caller(detector) as caller:
        with pytest.raises(OptionError, match="overlapping_speech"):
            caller.stream.on("speech", print)  # type: ignore[call-overload]
        with pytest.raises(OptionError, match="function"):
            detector.on("error", 3)  # type: ignore[call-overload]
        with pytest.raises(OptionError):
            detector.off("speech", print)


def test_one_queue_for_all_calls() -> None:
    with local() as detector:
        early = Caller(detector)
        early.interrupt()
        early.event()
        early.stream.close()
        events = detector.events()  # it exists from here on
        callers = [Caller(detector, id=str(n)) for n in range(5)]
        for caller in callers:
            caller.interrupt()
        got = [detector.recv(BOUND) for _ in range(3)]
        got += [next(events) for _ in range(2)]
        assert sorted(event.stream_id or "" for event in got) == ["0", "1", "2", "3", "4"]
        with pytest.raises(TimeoutError):
            detector.recv(0)
        detector.close()
        assert list(events) == []
        with pytest.raises(StreamEnded):
            detector.recv()


def test_an_event_that_somebody_got_is_no_drop() -> None:
    with local() as detector:
        stream = detector.stream()
        done = threading.Semaphore(0)
        stream.on("metrics_collected", lambda _: done.release())
        for listens in (False, True):
            if listens:
                detector.events()
            for _ in range(257 if not listens else 300):
                stream.agent_speech_started()
                stream.overlap_speech_started()
                stream.agent_speech_ended()
            for _ in range(257 if not listens else 300):
                assert done.acquire(timeout=BOUND)
        # The first 257 nobody got: one was dropped by its successor, the others by those after.
        assert stream.stats().dropped_events == 257


def test_events_keep_their_windows_while_they_are_new() -> None:
    with local() as detector, Caller(detector) as caller:
        for _ in range(6):
            caller.interrupt()
            caller.event()
            caller.stop()
        events = [caller.stream.recv(BOUND) for _ in range(6)]
        assert [event.speech_input is not None for event in events] == [False] * 2 + [True] * 4
        newest = events[-1]
        assert newest.speech_input is not None
        assert newest.speech_input.dtype == np.int16
        assert not newest.speech_input.flags.writeable
        assert newest.probabilities is not None
        assert not newest.probabilities.flags.writeable
        assert json.loads(json.dumps(newest.to_dict()))["speech_input"] is None
        arrays = json.loads(json.dumps(newest.to_dict(arrays=True)))
        assert len(arrays["speech_input"]) == len(newest.speech_input)


def test_events_say_what_was_given_and_what_was_measured() -> None:
    with Service("ws") as service, service.detector() as detector, Caller(detector) as caller:
        caller.stream.agent_speech_started()
        caller.speak()
        caller.stream.overlap_speech_started(speech_duration=0.3, started_at=1000.25)
        caller.speak()
        heard = service.next()
        caller.stream.overlap_speech_ended(ended_at=2000.5)
        heard.reply(False)
        event = caller.event()
        assert (event.overlap_started_at, event.detected_at) == (1000.25, 2000.5)
        assert event.prediction_duration == 0.01
        assert event.total_duration > 0.0
        assert event.created_at > 1e9
        assert event.type == "overlapping_speech"
        np.testing.assert_array_equal(event.speech_input, heard.samples)  # type: ignore[arg-type]


def test_metrics_count_since_the_last() -> None:
    with Service("ws") as service, service.detector(max_in_flight=2) as detector:
        caller = Caller(detector, id="m")
        caller.interrupt()
        first = service.next()
        caller.speak()
        second = service.next()
        caller.speak(2)
        caller.wait_until_heard()
        first.reply(False)
        third = service.next()
        second.reply(False)
        third.reply(True)
        metrics: InterruptionMetrics = caller.metrics.get(timeout=BOUND)
        assert metrics.stream_id == "m"
        assert (metrics.num_interruptions, metrics.num_backchannels) == (1, 0)
        assert (metrics.num_requests, metrics.num_answered) == (3, 3)
        assert (metrics.num_superseded, metrics.num_timed_out, metrics.num_late) == (1, 0, 0)
        assert (metrics.num_fallback, metrics.num_reconnects, metrics.dropped_audio) == (0, 0, 0)
        assert metrics.metadata.model_name
        assert metrics.metadata.model_provider == "custom"
        caller.stop()
        caller.begin()
        service.next().reply(False)
        caller.stop()
        metrics = caller.metrics.get(timeout=BOUND)
        assert (metrics.num_interruptions, metrics.num_backchannels) == (0, 1)
        assert (metrics.num_answered, metrics.num_superseded) == (1, 0)
        assert json.dumps(metrics.to_dict())


def test_reconnects_are_counted_in_the_metrics() -> None:
    with (
        Service("ws", answers.drop, answers.yes) as service,
        service.detector() as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        caller.error()
        caller.speak_until(caller.events)
        assert caller.metrics.get(timeout=BOUND).num_reconnects == 1


def test_an_error_event_says_which_call_and_is_plain_json() -> None:
    with (
        Service("ws", listening=False) as service,
        service.detector(conn={"max_retry": 0}) as detector,
        Caller(detector, id="e") as caller,
    ):
        problem: InterruptionDetectionError = caller.error()
        assert problem.stream_id == "e"
        assert problem.type == "interruption_detection_error"
        assert problem.label.endswith("AdaptiveInterruptionDetector")
        assert json.loads(json.dumps(problem.to_dict()))["recoverable"] is False
        lengths = set()
        for _ in range(3):  # the same error each time, and no longer a traceback
            with pytest.raises(APIConnectionError) as caught:
                caller.read_all()
            lengths.add(len(caught.traceback))
        assert len(lengths) == 1


def test_stats_are_a_snapshot() -> None:
    with Service("ws") as service, service.detector() as detector, Caller(detector) as caller:
        assert caller.stream.stats().state == "silent"
        caller.interrupt()
        heard = service.next()
        stats = caller.stream.stats()
        assert (stats.state, stats.in_flight, stats.waiting_events) == ("open", 1, 0)
        heard.reply(True)
        caller.event()
        caller.metrics.get(timeout=BOUND)
        stats = caller.stream.stats()
        assert (stats.state, stats.in_flight, stats.waiting_events) == ("speaking", 0, 1)


def test_a_stream_may_follow_a_users_own_vad() -> None:
    with local() as detector, Caller(detector) as caller:
        caller.stream.agent_speech_started()
        for _ in range(40):
            caller.stream.push_frame(bytes(640))
            caller.stream.voice_activity(0.95)
        assert caller.outcome() == ("interruption", None)


def test_upstreams_way_to_push_sentinels() -> None:
    from bargein import AgentSpeechStarted, OverlapSpeechStarted

    with local() as detector, Caller(detector) as caller:
        caller.stream.push_frame(AgentSpeechStarted())
        caller.stream.push_frame(OverlapSpeechStarted(speech_duration=0.1))
        caller.speak()
        assert caller.outcome() == ("interruption", None)
