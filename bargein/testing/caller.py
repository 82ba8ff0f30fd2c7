"""Who talks over the agent, and hears what comes of it: a live stream, driven by hand.

For tests in which the order of things counts and time doesn't: audio is pushed as fast as it is
taken, and each wait is for something that happens::

    with ScriptedServer() as server, server.detector() as detector, Caller(detector) as caller:
        caller.interrupt()
        server.next().reply(True)
        assert caller.event().is_interruption
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from typing import Any

from bargein.core import (
    InterruptionDetectionError,
    InterruptionMetrics,
    OverlappingSpeechEvent,
)
from bargein.detector import AdaptiveInterruptionDetector
from bargein.errors import StreamEnded

from .sockets import BOUND

__all__ = ["Caller"]

STEP = bytes(3200)
"""0.1 s of 16 kHz mono: one window's time by the default interval."""

_numbers = itertools.count(1)


class Caller:
    """A stream, and all that it tells: events, errors, metrics, each in a queue to be taken.

    Listens before the stream opens, so that nothing is missed. ``options``: the stream's. Every
    wait is bounded by half a minute.
    """

    def __init__(self, detector: AdaptiveInterruptionDetector, **options: Any) -> None:
        self.events: queue.Queue[OverlappingSpeechEvent] = queue.Queue()
        self.errors: queue.Queue[InterruptionDetectionError] = queue.Queue()
        self.metrics: queue.Queue[InterruptionMetrics] = queue.Queue()
        self._id = options.setdefault("id", f"call-{next(_numbers)}")
        detector.on("overlapping_speech", lambda event: self._hear(self.events, event))
        detector.on("error", lambda error: self._hear(self.errors, error))
        detector.on("metrics_collected", lambda metrics: self._hear(self.metrics, metrics))
        self.stream = detector.stream(**options)

    def _hear(self, queue: queue.Queue[Any], told: Any) -> None:
        if told.stream_id == self._id:
            queue.put(told)

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    # --- what the caller does ---------------------------------------------------------------

    def interrupt(self, speech_duration: float = 0.2) -> None:
        """The agent speaks, the caller begins to, and a window is due."""
        self.stream.agent_speech_started()
        self.begin(speech_duration)

    def begin(self, speech_duration: float = 0.2) -> None:
        """An overlap begins while the agent speaks; its first window is due."""
        self.speak(2)
        self.stream.overlap_speech_started(speech_duration=speech_duration)
        self.speak()

    def speak(self, windows: int = 1) -> None:
        """Go on for so many windows' time."""
        for _ in range(windows):
            self.stream.push_frame(STEP)

    def speak_until(self, told: queue.Queue[Any]) -> Any:
        """Go on until something comes in this queue; return it."""
        for _ in range(int(BOUND / 0.05)):
            self.speak()
            with contextlib.suppress(queue.Empty):
                return told.get(timeout=0.05)
        raise AssertionError("nothing came")

    def stop(self) -> None:
        """The caller stops."""
        self.stream.overlap_speech_ended()

    # --- what comes of it -------------------------------------------------------------------

    def wait_until_heard(self) -> None:
        """Wait until the stream has taken all audio (and all that came before it)."""
        moment = threading.Event()
        for _ in range(int(BOUND / 0.001)):
            if not self.stream.stats().waiting_audio:
                return
            moment.wait(0.001)
        raise AssertionError("the stream takes no audio")

    def event(self) -> OverlappingSpeechEvent:
        """Wait for the next event."""
        return self.events.get(timeout=BOUND)

    def outcome(self) -> tuple[str, str | None]:
        """Wait for the next event; return its outcome and reason."""
        event = self.event()
        return event.outcome.value, None if event.reason is None else event.reason.value

    def error(self) -> InterruptionDetectionError:
        """Wait for the next error."""
        return self.errors.get(timeout=BOUND)

    def read_all(self) -> list[OverlappingSpeechEvent]:
        """Read the stream to its end; raises what ended it."""
        events = []
        with contextlib.suppress(StreamEnded):
            while True:
                events.append(self.stream.recv(BOUND))
        return events
