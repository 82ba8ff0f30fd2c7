"""The simulated transport: transcripts in the recording's own time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bargein.analysis.replay import Replay
from bargein.analysis.transport import SimulatedTransport, to_nanoseconds
from bargein.audio import AudioFormat
from bargein.core import (
    AgentSpeechEnded,
    AgentSpeechStarted,
    InterruptionMachine,
    InterruptionOptions,
    JudgeSettings,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    Prediction,
    Verdict,
    Window,
)
from bargein.core.pipeline import Pipeline


class Script:
    """A session that answers window by window from a list, the last for all that follow."""

    def __init__(self, *answers: float | Exception) -> None:
        self.answers = list(answers)
        self.windows: list[Window] = []

    def predict(self, window: Window) -> Prediction:
        self.windows.append(window)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Prediction(np.full(-(-len(window.samples) // 400), answer), duration=9.0)

    def close(self) -> None:
        raise AssertionError("not the replay's to close")


class Call:
    """Plays controls at their seconds, with silence between, and keeps a transcript."""

    def __init__(
        self, *answers: float | Exception, latency: float = 0.0, rate: int = 8000, **options: float
    ) -> None:
        self.session = Script(*(answers or (0.1,)))
        self.log: list[str] = []
        self.verdicts: list[Verdict] = []
        machine = InterruptionMachine(
            InterruptionOptions(**options),  # type: ignore[arg-type]
            format=AudioFormat(rate),
            primary=JudgeSettings(default_threshold=0.5),
        )
        self.rate = rate
        self.transport = SimulatedTransport(self.session, latency=latency)
        self.replay = Replay(
            Pipeline(machine),
            self.transport,
            on_verdict=self._verdict,
            on_answer=lambda window, p, now: self.log.append(
                f"{now:.3f} window {window.id}: {p:.1f}"
            ),
        )

    def _verdict(self, verdict: Verdict) -> None:
        why = f" ({verdict.reason.value})" if verdict.reason else ""
        self.verdicts.append(verdict)
        self.log.append(f"{verdict.emitted:.3f} {verdict.outcome.value}{why}")

    def until(self, seconds: str, step: int | None = None) -> Call:
        left = int(Fraction(seconds) * self.rate) - self.replay.position
        assert left >= 0
        while left:
            now = min(left, step or left)
            self.replay.audio(np.zeros(now, np.int16))
            left -= now
        return self

    def tell(self, item: object) -> Call:
        self.replay.control(item)
        return self

    def overlap(self, start: str, end: str) -> Call:
        self.tell(AgentSpeechStarted()).until(start)
        self.tell(OverlapSpeechStarted(speech_duration=0.1)).until(end)
        return self.tell(OverlapSpeechEnded())


def test_an_answer_without_latency_comes_at_its_cut() -> None:
    call = Call(0.1, 0.2, 0.9).overlap("1", "1.5")
    call.replay.finish()

    assert call.log == [
        "1.100 window 1: 0.1",
        "1.200 window 2: 0.2",
        "1.300 window 3: 0.9",
        "1.300 interruption",
    ]
    (verdict,) = call.verdicts
    assert verdict.detection_delay == pytest.approx(0.4)
    assert (verdict.total_duration, verdict.prediction_duration) == (0.0, 0.0)
    assert verdict.num_requests == 3


def test_an_answer_comes_a_latency_later() -> None:
    call = Call(0.1, 0.9, latency=0.15).overlap("1", "2")
    call.replay.finish()

    assert call.log == ["1.250 window 1: 0.1", "1.350 window 2: 0.9", "1.350 interruption"]
    assert call.verdicts[0].total_duration == pytest.approx(0.15)


def test_the_grace_waits_for_what_is_under_way() -> None:
    call = Call(0.1, 0.9, latency=0.15, verdict_grace=0.2).overlap("1", "1.25").until("2")

    assert call.log == ["1.250 window 1: 0.1", "1.350 window 2: 0.9", "1.350 interruption"]


def test_the_grace_ends_in_the_recordings_time() -> None:
    call = Call(0.1, latency=0.5, verdict_grace=0.2).overlap("1", "1.25").until("2")

    assert call.log == ["1.450 inconclusive (timeout)"]


def test_a_slow_judge_gets_the_newest_window() -> None:
    call = Call(0.1, latency=0.25, max_in_flight=1).overlap("1", "1.65").until("3")

    # The first is cut at 1.1. Those of 1.2 and 1.3 wait; at 1.35 the answer makes room for one.
    assert call.log == [
        "1.350 window 1: 0.1",
        "1.600 window 3: 0.1",
        "1.850 window 5: 0.1",
        "1.850 backchannel",
    ]
    assert [window.id for window in call.session.windows] == [1, 3, 5]
    assert call.verdicts[0].counts.superseded == 2


def test_a_reply_comes_before_the_audio_of_its_instant() -> None:
    # The answer to the first window is back when the second is cut: there is room for it, and
    # were it positive, there would be no second.
    call = Call(0.1, latency=0.1, max_in_flight=1).overlap("1", "1.35")
    call.replay.finish()
    assert [window.id for window in call.session.windows] == [1, 2, 3]
    assert call.verdicts[0].counts.superseded == 0

    call = Call(0.9, latency=0.1, max_in_flight=2).overlap("1", "1.35")
    assert call.log == ["1.200 window 1: 0.9", "1.200 interruption"]
    assert len(call.session.windows) == 1


def test_a_reply_comes_before_the_deadline_of_its_instant() -> None:
    in_time = Call(0.9, latency=0.3, inference_timeout=0.3).overlap("1", "1.15").until("3")
    assert in_time.log == ["1.350 inconclusive (timeout)"]  # the grace of 0.2 s ends first

    options = {"inference_timeout": 0.3, "verdict_grace": 1.0}
    in_time = Call(0.9, latency=0.3, **options).overlap("1", "1.15").until("3")
    assert in_time.log == ["1.400 window 1: 0.9", "1.400 interruption"]

    late = Call(0.9, latency=0.301, **options).overlap("1", "1.15").until("3")
    assert late.log == ["1.400 inconclusive (timeout)"]


def test_a_reply_comes_before_a_control_of_its_instant() -> None:
    call = Call(0.9, latency=0.1).overlap("1", "1.15").until("1.2")
    call.tell(AgentSpeechEnded())

    assert call.log == ["1.200 window 1: 0.9", "1.200 interruption"]


def test_a_deadline_comes_before_a_control_of_its_instant() -> None:
    call = Call(0.9, latency=5.0, inference_timeout=0.3, verdict_grace=1.0)
    call.overlap("1", "1.15").until("1.4").tell(AgentSpeechEnded())

    assert call.log == ["1.400 inconclusive (timeout)"]


def test_a_control_comes_before_the_audio_of_its_instant() -> None:
    """An overlap that ends where a window would be cut ends without it."""

    class Ending:
        """A handler that finds the overlap's end in the audio, where the cut lies."""

        def __init__(self, machine: InterruptionMachine) -> None:
            self.machine = machine

        def samples_to_sentinel(self) -> int | None:
            return None

        def handle(self, item: object, *, now: float) -> list[object]:
            actions: list[object] = list(self.machine.handle(item, now=now))
            if self.machine.position == 800:
                actions += self.machine.handle(OverlapSpeechEnded(), now=now)
            return actions

    verdicts: list[Verdict] = []
    session = Script(0.9)
    machine = InterruptionMachine(format=AudioFormat(8000))
    transport = SimulatedTransport(session)
    replay = Replay(Ending(machine), transport, on_verdict=verdicts.append)  # type: ignore[arg-type]
    replay.control(AgentSpeechStarted())
    replay.control(OverlapSpeechStarted())
    replay.audio(np.zeros(900, np.int16))

    assert session.windows == []
    assert [(v.emitted, v.reason) for v in verdicts] == [(0.1, "no_request")]


def test_late_answers_are_counted_and_change_nothing() -> None:
    call = Call(0.9, latency=1.0, inference_timeout=0.3).overlap("1", "1.6").until("3")

    assert call.log == ["1.800 inconclusive (timeout)"]
    call.tell(OverlapSpeechStarted()).until("3.05").tell(OverlapSpeechEnded())
    assert call.verdicts[-1].counts.late == len(call.session.windows) > 0


def test_a_window_is_given_up_at_its_deadline_not_at_the_next_send() -> None:
    call = Call(0.1, latency=1.0, inference_timeout=0.25, max_in_flight=1)
    call.overlap("1", "1.3").until("3")

    # Sent at 1.1, given up at 1.35, when nothing waits any more.
    assert call.verdicts[0].counts.timed_out == 1
    assert call.log == ["1.350 inconclusive (timeout)"]


def test_what_a_session_raises_fails_that_window_alone() -> None:
    call = Call(RuntimeError("boom"), 0.9, latency=0.1).overlap("1", "1.5")
    call.replay.finish()

    assert call.log == ["1.300 window 2: 0.9", "1.300 interruption"]
    assert call.transport.failed == 1
    assert str(call.transport.error) == "boom"


def test_only_the_first_error_is_kept() -> None:
    call = Call(ValueError("one"), ValueError("two")).overlap("1", "1.25")
    call.replay.finish()

    assert call.log == ["1.250 inconclusive (error)"]
    assert (call.transport.failed, str(call.transport.error)) == (2, "one")


def test_the_end_of_input_waits_for_what_is_under_way() -> None:
    call = Call(0.1, 0.9, latency=0.4)
    call.tell(AgentSpeechStarted()).tell(OverlapSpeechStarted()).until("0.25")
    call.replay.finish()
    assert call.log == ["0.500 window 1: 0.1", "0.600 window 2: 0.9", "0.600 interruption"]

    call = Call(0.9, latency=9.0)
    call.tell(AgentSpeechStarted()).tell(OverlapSpeechStarted()).until("0.25")
    call.replay.finish()
    assert call.log == ["0.900 inconclusive (input_ended)"]  # its deadline: cut at 0.2 and 0.7


def test_no_audio_at_all() -> None:
    call = Call()
    call.replay.finish()

    assert call.log == []
    assert call.replay.now == 0.0


@settings(max_examples=25)
@given(
    rate=st.sampled_from([8000, 11_025, 16_000]),
    step=st.integers(61, 3000),
    latency=st.sampled_from([0.0, 0.05, 0.1, 0.33, 0.7]),
    limit=st.integers(1, 3),
)
def test_how_audio_is_cut_into_calls_changes_nothing(
    rate: int, step: int, latency: float, limit: int
) -> None:
    def play(step: int | None) -> list[str]:
        call = Call(0.1, 0.2, 0.3, 0.9, latency=latency, rate=rate, max_in_flight=limit)
        call.tell(AgentSpeechStarted()).until("0.2", step).tell(OverlapSpeechStarted())
        call.until("0.5", step).tell(OverlapSpeechEnded()).until("0.55", step)
        call.tell(OverlapSpeechStarted()).until("1", step)
        call.replay.finish()
        return call.log

    assert play(step) == play(None)


def test_instants_are_exact() -> None:
    assert to_nanoseconds(0.1 + 0.2) == to_nanoseconds(0.3)
    assert to_nanoseconds(7200.1) == 7_200_100_000_000
