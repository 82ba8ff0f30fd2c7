"""Where a stream's results go: its queue, its listeners, and the detector's."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

import attrs

from bargein.core import (
    InterruptionDetectionError,
    InterruptionMetrics,
    Metadata,
    OverlappingSpeechEvent,
    Verdict,
)
from bargein.core.taps import Tap
from bargein.errors import APIError
from bargein.runtime.delivery import Delivery
from bargein.runtime.listeners import Listeners
from bargein.runtime.queue import EventQueue
from bargein.telemetry import write_verdict
from bargein.worker import Outlet

__all__ = ["DriverCounts", "Hub", "Outbox"]

logger = logging.getLogger("bargein")

STREAM_EVENTS = 256
"""Events that wait unread in a stream: hours of a call."""

STREAM_ARRAYS = 4
"""Of them, those that keep their windows: 400 KB."""

ALL_EVENTS = 16_384
"""Events that wait unread in a detector's queue: minutes of a thousand busy calls."""

ALL_ARRAYS = 64
"""Of them, those that keep their windows: 6 MB."""


class Hub:
    """What a detector's streams share on the way out. Thread-safe."""

    def __init__(self, label: str, metadata: Metadata) -> None:
        self.label = label
        self.metadata = metadata
        self.listeners = Listeners()
        self._lock = threading.RLock()  # a signal's handler may close the detector
        self._events: EventQueue[OverlappingSpeechEvent] | None = None

    def events(self) -> EventQueue[OverlappingSpeechEvent]:
        """Return the queue of all streams' events; it exists from the first call on."""
        with self._lock:
            if self._events is None:
                self._events = EventQueue(
                    "the detector's queue of events", limit=ALL_EVENTS, arrays=ALL_ARRAYS
                )
            return self._events

    def put(self, event: OverlappingSpeechEvent) -> bool:
        """Queue an event if anybody ever asked for the queue; return whether that was so."""
        events = self._events
        if events is not None:
            events.put(event)
        return events is not None

    def close(self) -> None:
        """End the queue: its readers get what is there, then StreamEnded."""
        self.events().end()


@attrs.frozen
class DriverCounts:
    """What only the threads' side counts, since the stream began."""

    reconnects: int = 0
    dropped_audio: float = 0.0


class Outbox(Outlet):
    """Turns a machine's verdicts into events and gives them to whoever listens.

    Its :class:`~bargein.worker.Outlet` methods are called on a reactor's thread: queues are filled
    at once, listeners are called on other threads, in the same order.
    """

    def __init__(
        self,
        *,
        stream_id: str,
        listeners: Listeners,
        hub: Hub,
        taps: Sequence[Tap] = (),
    ) -> None:
        self.events: EventQueue[OverlappingSpeechEvent] = EventQueue(
            f"the stream {stream_id}", limit=STREAM_EVENTS, arrays=STREAM_ARRAYS
        )
        self.counts: Callable[[], DriverCounts] = DriverCounts
        self._stream_id = stream_id
        self._listeners = listeners
        self._hub = hub
        self._taps = tuple(taps)
        self._told = DriverCounts()
        self._delivery: Delivery | None = None

    def verdict(self, verdict: Verdict) -> None:
        """Emit the event and its metrics."""
        # One reading of both clocks: a step between two readings would tear the times apart.
        offset = time.time() - time.monotonic()
        event = OverlappingSpeechEvent.from_verdict(
            verdict, offset=offset, stream_id=self._stream_id
        )
        logger.info(
            "%s: overlap %d: %s%s, probability %.2f, %.0f ms after the onset",
            self._stream_id,
            verdict.overlap,
            event.outcome.value,
            "" if event.reason is None else f" ({event.reason.value})",
            event.probability,
            event.detection_delay * 1e3,
        )
        if verdict.span is not None:
            self._write_span(verdict.span, event)
        for tap in self._taps:
            tap.event(event, offset)
        metrics = self._metrics(event, verdict)
        # Whoever listens has most to lose by being late; then those who wait at a queue.
        heard = self._listens("overlapping_speech")
        if heard or self._listens("metrics_collected"):
            self._call_listeners(event, metrics)
        heard |= self._hub.put(event)
        self.events.put(event, delivered=heard)

    def _metrics(self, event: OverlappingSpeechEvent, verdict: Verdict) -> InterruptionMetrics:
        counts, told = self.counts(), self._told
        self._told = counts
        return InterruptionMetrics.of(
            event,
            verdict,
            self._hub.metadata,
            {
                "num_reconnects": counts.reconnects - told.reconnects,
                "dropped_audio": counts.dropped_audio - told.dropped_audio,
            },
        )

    def _write_span(self, span: object, event: OverlappingSpeechEvent) -> None:
        try:
            write_verdict(span, event)
        except Exception:
            logger.exception("%s: the span took no attributes", self._stream_id)

    def error(self, error: APIError, *, recoverable: bool, failures: int) -> None:
        """Emit an error event."""
        log = logger.warning if recoverable else logger.error
        log("%s: %s (%s)", self._stream_id, error, "goes on" if recoverable else "given up")
        if self._taps or self._listens("error"):
            event = InterruptionDetectionError(
                timestamp=time.time(),
                label=self._hub.label,
                error=error,
                recoverable=recoverable,
                stream_id=self._stream_id,
            )
            for tap in self._taps:
                tap.error(event)
            if self._listens("error"):
                self._call_listeners(event)

    def end(self, error: BaseException | None) -> None:
        """End the queue."""
        logger.info("%s: ended%s", self._stream_id, "" if error is None else f" by {error}")
        for tap in self._taps:
            tap.end(error)
        self.events.end(error)

    def is_current(self) -> bool:
        """Whether the calling thread is in one of this stream's listeners."""
        return self._delivery is not None and self._delivery.is_current

    def wait(self, timeout: float) -> bool:
        """Wait until the listeners have been called; see :class:`~bargein.worker.Outlet`."""
        return self._delivery is None or self._delivery.wait(timeout)

    def _listens(self, kind: str) -> bool:
        return self._listeners.any(kind) or self._hub.listeners.any(kind)

    def _call_listeners(self, *events: object) -> None:
        if self._delivery is None:
            self._delivery = Delivery(self._stream_id, self._emit)
        self._delivery.put(*events)

    def _emit(self, event: object) -> None:
        kind = _KINDS[type(event)]
        self._listeners.emit(kind, event, self._stream_id)
        self._hub.listeners.emit(kind, event, self._stream_id)


_KINDS = {
    OverlappingSpeechEvent: "overlapping_speech",
    InterruptionMetrics: "metrics_collected",
    InterruptionDetectionError: "error",
}
"""What each kind of event is listened for as."""
