"""A detector and streams that stand still: what a bot sees of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bargein import APIConnectOptions, FrameError, OptionError, StateError, StreamEnded, Window
from bargein.core import OverlapSpeechEnded, OverlapSpeechStarted
from bargein.core.taps import Tap
from bargein.testing import CallScript, FakeClock, StillCall, StillDetector, answers

STEP = bytes(3200)  # 0.1 s
SCRIPT = CallScript().agent_speaks(0, 3).caller_speaks(1, 1.5)


def interrupt(call: StillCall) -> None:
    """An overlap, pushed by hand: its first window is due at once."""
    call.stream.agent_speech_started()
    call.stream.push_frame(STEP)
    call.stream.overlap_speech_started(speech_duration=0.05)
    call.stream.push_frame(STEP)


def test_listeners_hear_at_once_and_may_call_anything() -> None:
    call = StillCall()
    call.judge_by(lambda window: answers.judged(0.9, after=0.2))
    stream = call.detector.stream(id="call 7")
    heard: list[Any] = []

    @stream.on("overlapping_speech")
    def stop(event: Any) -> None:
        heard.append((event.stream_id, call.clock()))
        stream.agent_speech_ended()
        stream.close()

    metrics: list[Any] = []
    call.detector.on("metrics_collected", metrics.append)
    interrupt(call)
    assert stream.is_open
    call.clock.advance(0.19)
    assert heard == []
    call.clock.advance(0.01)
    assert heard == [("call 7", 0.2)]
    assert [m.num_interruptions for m in metrics] == [1]
    assert not stream.is_open
    assert stream.stats().state == "ended"


def test_what_a_listener_raises_fails_the_test() -> None:
    call = StillCall()
    call.judge_by(lambda window: answers.yes)
    call.detector.on("overlapping_speech", lambda event: 1 / 0)
    interrupt(call)

    with pytest.raises(ZeroDivisionError):
        call.clock.advance(0.1)


def test_a_listener_for_one_event_is_called_once() -> None:
    call, heard = StillCall(), []
    call.detector.once("overlapping_speech", heard.append)
    call.play(SCRIPT.caller_speaks(2, 2.4))

    assert len(heard) == 1
    assert len(call.events) == 2


def test_recv_lets_time_pass_on_the_clock() -> None:
    call = StillCall()
    call.judge_by(lambda window: answers.judged(0.9, after=0.2))
    interrupt(call)

    with pytest.raises(TimeoutError):
        call.stream.recv(timeout=0.1)
    assert call.clock() == pytest.approx(0.1)
    assert call.stream.recv(timeout=5).is_interruption
    assert call.clock() == pytest.approx(0.2)
    with pytest.raises(TimeoutError):
        call.stream.recv(timeout=5)
    call.stream.close()
    with pytest.raises(StreamEnded):
        call.stream.recv()
    assert list(call.stream) == []


def test_a_reader_who_would_wait_for_ever_is_told() -> None:
    call = StillCall(transport="call")

    with pytest.raises(TimeoutError):
        call.stream.recv()


def test_the_detectors_queue() -> None:
    call = StillCall()
    call.judge_by(lambda window: answers.judged(0.9, after=0.2))
    events = call.detector.events()
    interrupt(call)

    with pytest.raises(TimeoutError):
        call.detector.recv(timeout=0.1)
    assert call.detector.recv().is_interruption
    with pytest.raises(TimeoutError):
        call.detector.recv(timeout=0.1)
    call.detector.close()
    assert list(events) == []
    with pytest.raises(StateError, match="was closed"):
        call.detector.stream()


def test_it_is_as_strict_as_a_real_one() -> None:
    call = StillCall()
    with pytest.raises(FrameError):
        call.stream.push_frame(np.zeros(10))
    with pytest.raises(OptionError):
        StillCall(threshold=2)
    with pytest.raises(StateError, match="no judge to check"):
        call.detector.check()
    call.stream.end_input()
    with pytest.raises(StateError):
        call.stream.push_frame(STEP)


def test_a_fatal_error_ends_the_stream_as_it_ends_a_real_one() -> None:
    call = StillCall()
    run = call.play(SCRIPT.judged(answers.error(401, "no")))

    assert run.verdicts == [("inconclusive", "error")]
    assert [error.recoverable for error in run.errors] == [False]
    call.stream.push_frame(STEP)
    call.stream.voice_activity(0.5)
    call.stream.agent_audio(STEP)
    call.stream.agent_speech_started()
    assert call.stream.stats().lost_frames == 1
    assert not call.stream.is_open
    call.stream.recv()
    with pytest.raises(Exception, match="401"):
        call.stream.recv()


def test_times_that_are_given_are_the_clocks() -> None:
    call = StillCall()
    call.judge_by(lambda window: answers.no)
    call.clock.advance(100)
    call.stream.agent_speech_started()
    call.stream.push_frame(STEP)
    call.stream.push_frame(OverlapSpeechStarted(started_at=99.5))
    call.stream.push_frame(STEP)
    call.clock.advance(0.5)
    call.stream.push_frame(OverlapSpeechEnded(ended_at=100.25))
    event = call.stream.recv(timeout=1)

    assert (event.overlap_started_at, event.detected_at) == (99.5, 100.25)
    assert event.detection_delay == pytest.approx(0.5)


def test_a_script_is_counted_from_where_the_clock_stands() -> None:
    call = StillCall()
    first = call.play(SCRIPT.judged(0.9).expect_interruption(within=0.2))
    second = call.play(SCRIPT.judged(0.2, 0.9, after=0.05).expect_interruption(within=0.3))

    assert first.events[0].created_at == pytest.approx(1.1)
    assert second.events[0].created_at == pytest.approx(1.25)
    assert call.clock() > 6
    assert "window 1 " in str(call.transcript)


def test_a_bot_with_callbacks_of_its_own() -> None:
    class Bridge:
        """The methods of a stream, on their way through a bot."""

        def __init__(self, stream: Any) -> None:
            self.stream, self.frames = stream, 0

        def push_frame(self, frame: Any) -> None:
            self.frames += isinstance(frame, bytes)
            self.stream.push_frame(frame)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.stream, name)

    call = StillCall()
    bridge = Bridge(call.stream)
    call.play(SCRIPT.judged(0.9).expect_interruption(), into=bridge)

    assert bridge.frames > 100


def test_a_real_judge_listens_in_place_of_the_scripts() -> None:
    judged: list[Window] = []

    def loud(window: Window) -> list[float]:
        judged.append(window)
        return [0.9 * bool(np.abs(window.samples[-400:]).mean() > 500)] * 2

    run = StillCall(backend=loud).play(SCRIPT)

    assert run.verdicts == [("interruption", None)]
    assert judged[0].speech_start is not None

    def broken(window: Window) -> list[float]:
        raise ValueError("no")

    run = StillCall(backend=broken).play(SCRIPT)
    assert run.verdicts == [("inconclusive", "error")]
    assert len(run.errors) == 1


def test_a_detector_without_a_judge_of_the_scripts() -> None:
    clock = FakeClock()
    detector = StillDetector(clock=clock, backend=lambda window: [0.9, 0.9])
    stream = detector.stream(sample_rate=8000)
    stream.agent_speech_started()
    stream.overlap_speech_started()
    stream.push_frame(bytes(1600))
    assert stream.recv(1).is_interruption
    assert detector.streams == [stream]


def test_a_backend_as_the_fallback_judges_in_an_outage() -> None:
    call = StillCall(fallback=lambda window: [0.9] * 40)
    run = call.play(SCRIPT.judged(answers.drop))

    assert run.verdicts == [("interruption", None)]
    assert "for the fallback" in str(run)
    assert call.stream.stats().faults >= 1


@pytest.mark.parametrize("transport", ["websocket", "http", "call"])
def test_options_may_change_in_mid_call(transport: Any) -> None:
    call = StillCall(transport=transport, threshold=0.9)
    assert call.play(SCRIPT.judged(0.8)).verdicts == [("backchannel", None)]
    call.detector.update_options(threshold=0.7)
    call.clock.advance(1)

    assert call.play(SCRIPT.judged(0.8)).verdicts == [("interruption", None)]


def test_an_idle_connection_is_kept_alive() -> None:
    call = StillCall()
    call.play(SCRIPT)
    call.clock.advance(120)

    assert call.play(SCRIPT.judged(0.9)).verdicts == [("interruption", None)]
    assert call.stream.stats().reconnects == 0


def test_the_schedule_of_retries_is_the_real_ones() -> None:
    call = StillCall(conn_options=APIConnectOptions(max_retry=None, retry_interval=1.0))
    lost = answers.close(1011)
    call.play(CallScript().judged(lost).agent_speaks(0, 4).caller_speaks(0.5, 3.5))

    assert call.stream.stats().reconnects == 4  # 0.1 s after the first, then each second
    assert len(call.errors) == 1


def test_the_librarys_vad_can_hear_a_script() -> None:
    call = StillCall()
    stream = call.detector.stream(vad="silero", sample_rate=16_000)
    run = call.play(CallScript(lasts=0.5).agent_speaks(0).expect_no_verdict())

    assert run.events == ()
    assert stream.id == "call-1"


def test_who_watches_a_call_sees_it_all() -> None:
    class Watch(Tap):
        def __init__(self) -> None:
            self.seen: list[str] = []

        def begin(self, stream_id: str, setup: Any, about: Any) -> Tap:
            self.seen.append(stream_id)
            return self

        def close(self, timeout: float) -> None: ...

        def event(self, event: Any, offset: float) -> None:
            self.seen.append(event.outcome.value)

        def error(self, error: Any) -> None:
            self.seen.append("error")

        def end(self, error: Any) -> None:
            self.seen.append("end")

    call, watch = StillCall(), Watch()
    call.detector.stream(id="call 1", recorder=watch)
    call.play(SCRIPT.judged(answers.error(401)))

    assert watch.seen == ["call 1", "error", "inconclusive", "end"]


def test_spans_get_their_verdict() -> None:
    class Span:
        def __init__(self) -> None:
            self.told: dict[str, Any] = {}

        def set_attribute(self, name: str, value: Any) -> None:
            self.told[name] = value

    call, span = StillCall(), Span()
    call.judge_by(lambda window: answers.yes)
    call.stream.agent_speech_started()
    call.stream.overlap_speech_started(span=span)
    call.stream.push_frame(STEP)
    call.clock.advance(0.1)

    assert span.told["lk.is_interruption"] == "true"


@pytest.mark.parametrize("transport", ["websocket", "http", "call"])
@pytest.mark.parametrize("fault", answers.FAULTS, ids=str)
def test_whatever_happens_there_is_one_verdict(transport: Any, fault: answers.Answer) -> None:
    run = SCRIPT.judged(fault, answers.yes, fault).caller_speaks(2, 2.5).run(transport)

    assert len(run.events) == 2


def test_a_status_with_retry_after_is_waited_for() -> None:
    busy = answers.error(429, "busy", "Retry-After: 0.5")
    run = SCRIPT.judged(busy, answers.yes).run("http")

    assert "the judge can't be reached" in str(run)
    assert run.verdicts == [("inconclusive", "connection")]  # it was over before that
    waits = SCRIPT.with_options(verdict_grace=0.0).caller_speaks(2, 2.9).judged(busy, answers.yes)
    assert waits.run("http").verdicts[-1] == ("interruption", None)
