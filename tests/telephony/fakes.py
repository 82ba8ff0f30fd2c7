"""A line, a stream and a detector that do nothing but write down what they are told."""

from __future__ import annotations

from typing import Any

from bargein.audio import AudioFormat
from bargein.core import (
    InterruptionDetectionError,
    OverlappingSpeechEvent,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
)
from bargein.core.verdicts import Outcome, Reason
from bargein.errors import APIConnectionError, StateError

ULAW = AudioFormat(8000, 1, "mulaw")


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class FakeLine:
    """A line that keeps what goes out."""

    def __init__(
        self, *, peer: bool = False, format: AudioFormat = ULAW, frame: int | None = None
    ) -> None:
        self.id = "call-1"
        self.format = format
        self.paced_by_peer = self.marks = peer
        self.frame = frame or format.sample_rate // 50
        self.details = {"from": "+15550100"}
        self.log: list[str] = []
        self.audio = b""
        self.hung_up = False

    def write(self, audio: bytes) -> None:
        self.audio += audio

    def mark(self, name: str) -> None:
        self.log.append(f"mark {name}")

    def clear(self) -> None:
        self.log.append("clear")

    def hang_up(self) -> None:
        self.hung_up = True


class FakeTicker:
    """Ticks nothing by itself."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def add(self, call: Any) -> None:
        if call not in self.calls:
            self.calls.append(call)


class FakeStream:
    """What a call tells its stream, in words; and what the stream finds, told by the test."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.log: list[str] = []
        self.caller = b""
        self.agent = b""
        self.over = False
        self.tap = options["shadow"].begin("call-1", None, {})

    def push_frame(self, frame: bytes) -> None:
        if self.over:
            raise StateError("over")
        self.caller += frame

    def push_gap(self, seconds: float) -> None:
        self.log.append(f"gap {seconds:g}")

    def agent_audio(self, frame: bytes, **format: Any) -> None:
        self.agent += frame

    def agent_speech_started(self) -> None:
        self.log.append("agent started")

    def agent_speech_ended(self) -> None:
        self.log.append("agent ended")

    def end_input(self) -> None:
        self.log.append("end of input")

    def close(self, timeout: float = 2.0) -> None:
        self.log.append("close")

    # --- what the test has it find ----------------------------------------------------------

    def overlap(self, speech: float = 0.1) -> None:
        self.tap.machine_input(OverlapSpeechStarted(speech_duration=speech), 0.0)

    def overlap_ended(self, agent_ended: bool = False) -> None:
        self.tap.machine_input(OverlapSpeechEnded(agent_ended=agent_ended), 0.0)

    def verdict(self, outcome: Outcome, reason: Reason | None = None, window: Any = None) -> None:
        event = OverlappingSpeechEvent(
            is_interruption=outcome is Outcome.INTERRUPTION,
            outcome=outcome,
            reason=reason,
            speech_input=window,
        )
        self.tap.event(event, 0.0)

    def fault(self) -> None:
        error = APIConnectionError("gone")
        self.tap.error(
            InterruptionDetectionError(timestamp=0.0, label="x", error=error, recoverable=True)
        )

    def end(self, error: BaseException | None = None) -> None:
        self.tap.end(error)


class FakeDetector:
    """Opens one fake stream."""

    has_fallback = False

    def __init__(self) -> None:
        self.opened: FakeStream | None = None

    def stream(self, **options: Any) -> FakeStream:
        self.opened = FakeStream(options)
        return self.opened
