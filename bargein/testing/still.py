"""A detector and streams without threads: all happens in the test's own thread, on a fake clock.

Call logic gets them in place of real ones. What is pushed is seen to before the push returns,
listeners are called from within it or from within ``clock.advance``, and nothing waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import attrs

from bargein.audio import AudioFormat
from bargein.backends import Backend
from bargein.check import CheckReport
from bargein.core import (
    InterruptionDetectionError,
    InterruptionMetrics,
    Judge,
    JudgeSettings,
    OverlappingSpeechEvent,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    Settings,
    Verdict,
    Window,
)
from bargein.core.inbox import Inbox
from bargein.core.taps import Tap
from bargein.core.tracker import TrackerOptions
from bargein.detector import AdaptiveInterruptionDetector
from bargein.errors import APIError, StateError
from bargein.runtime.listeners import Listeners
from bargein.runtime.queue import EventQueue
from bargein.stream import InterruptionStreamBase, Watcher
from bargein.streams import CALL_IN_FLIGHT, WEBSOCKET_IN_FLIGHT
from bargein.telemetry import write_verdict
from bargein.worker import Outlet

from .answers import Answer, Kind
from .clock import FakeClock
from .heard import DEFAULT_THRESHOLD
from .simulated import CallDriver, RemoteDriver
from .still_worker import StillWorker, TranscriptTap
from .transcript import Transcript

__all__ = ["Choose", "StillDetector", "StillStream", "Transport"]

Transport = Literal["websocket", "http", "call"]
"""How the judge is reached: as a server, or (``call``) in this process."""

Choose = Callable[[Window], Answer]
"""What becomes of a window."""

_ADDRESSES = {"websocket": "ws://scripted.invalid", "http": "http://scripted.invalid"}
_QUEUED = 1 << 16
"""Events that wait unread: a test that makes more has lost its way."""


@attrs.define
class _Finalizer:
    """A still stream holds nothing, so one that is forgotten costs nothing."""

    def detach(self) -> None:
        pass


class _Outlet(Outlet):
    """Hands on at once, in the test's own thread."""

    def __init__(self, stream: StillStream, taps: Sequence[Tap]) -> None:
        self._stream = stream
        self._taps = taps
        self.events: EventQueue[OverlappingSpeechEvent] = EventQueue(
            f"the stream {stream.id}", limit=_QUEUED, arrays=_QUEUED
        )

    def verdict(self, verdict: Verdict) -> None:
        """Make an event of it, and metrics."""
        stream = self._stream
        event = OverlappingSpeechEvent.from_verdict(verdict, stream_id=stream.id)
        if verdict.span is not None:
            write_verdict(verdict.span, event)
        for tap in self._taps:
            tap.event(event, 0.0)
        self._emit("overlapping_speech", event)
        self.events.put(event)
        hub = stream._model._hub
        hub.put(event)
        self._emit("metrics_collected", InterruptionMetrics.of(event, verdict, hub.metadata))

    def error(self, error: APIError, *, recoverable: bool, failures: int) -> None:
        """Make an error event of it."""
        told = InterruptionDetectionError(
            timestamp=self._stream._clock(),
            label=self._stream._model.label,
            error=error,
            recoverable=recoverable,
            stream_id=self._stream.id,
        )
        for tap in self._taps:
            tap.error(told)
        self._emit("error", told)

    def end(self, error: BaseException | None) -> None:
        """End the queue."""
        for tap in self._taps:
            tap.end(error)
        self.events.end(error)

    def _emit(self, kind: Any, event: Any) -> None:
        """Call listeners; what one raises fails the test, where a real stream would log it."""
        for listeners in (self._stream._listeners, self._stream._model._hub.listeners):
            for entry in listeners._listeners[kind]:
                listener, once = entry
                if not once or listeners._claim(kind, entry):
                    listener(event)


class StillStream(InterruptionStreamBase):
    """A stream that stands still unless something is pushed or its clock is moved.

    Its times are the clock's, also where a real stream's are epoch seconds. ``recv(timeout)``
    lets up to ``timeout`` seconds pass on the clock, and returns at once.
    """

    def __init__(
        self,
        *,
        model: StillDetector,
        id: str | None = None,
        sample_rate: int | None = None,
        num_channels: int | None = None,
        encoding: str | None = None,
        vad: Literal["silero"] | None = None,
        tracker: TrackerOptions | None = None,
        conn_options: Any = None,
        recorder: Watcher | None = None,
        shadow: Watcher | None = None,
    ) -> None:
        self.id = id if id is not None else f"call-{len(model.streams) + 1}"
        self.transcript = Transcript()
        """What happened."""
        self._model = model
        self._options = model.options
        self._conn_options = conn_options or model.conn_options
        self._listeners = Listeners()
        self._clock = model.clock
        self._finalizer = _Finalizer()  # type: ignore[assignment]
        given = (sample_rate, num_channels, encoding)
        fmt = None
        if given != (None, None, None):
            fmt = AudioFormat(sample_rate or 16_000, num_channels or 1, encoding or "s16le")
        self._inbox = Inbox(fmt)
        setup = self._setup(vad, tracker)
        watchers = [watcher for watcher in (recorder, shadow) if watcher is not None]
        taps = [watcher.begin(self.id, setup, model.about()) for watcher in watchers]
        writer = TranscriptTap(self.transcript)
        self._pipeline = setup.build([writer, *taps])
        writer.machine = self._pipeline.machine
        outlet = _Outlet(self, taps)
        self._outbox = outlet  # type: ignore[assignment]
        self._events = outlet.events
        worker = StillWorker(
            self._pipeline,
            name=self.id,
            inbox=self._inbox,
            clock=self._clock,
            outlet=outlet,
            transcript=self.transcript,
        )
        self._worker = worker  # type: ignore[assignment]
        worker.drivers = self._drivers(worker)
        worker.start()

    def _judge_settings(self) -> JudgeSettings:
        model = self._detector
        flights = WEBSOCKET_IN_FLIGHT if model.transport == "websocket" else CALL_IN_FLIGHT
        return JudgeSettings(
            max_in_flight=self._options.max_in_flight or flights,
            default_threshold=None if model._backend is None else model.default_threshold,
        )

    def _drivers(self, worker: StillWorker) -> dict[Judge, Any]:
        model = self._detector

        def note(words: str) -> None:
            self.transcript.note(self._clock(), words)

        drivers: dict[Judge, Any] = {}
        if model.transport == "call":
            judge = CallDriver(worker, self._clock, model.judge_for(self.id), note)
            drivers[Judge.PRIMARY] = judge
        else:
            drivers[Judge.PRIMARY] = RemoteDriver(
                worker,
                self._clock,
                model.judge_for(self.id),
                note,
                transport=model.transport,
                options=self._conn_options,
                settings=Settings(self._options.threshold, self._options.min_frames),
                has_fallback=model.has_fallback,
            )
        if model._fallback is not None:
            choose = _by_session(model._fallback, self.id)
            drivers[Judge.FALLBACK] = CallDriver(
                worker, self._clock, choose, note, judge=Judge.FALLBACK
            )
        return drivers

    @property
    def _detector(self) -> StillDetector:
        assert isinstance(self._model, StillDetector)
        return self._model

    # --- what differs for who uses it -------------------------------------------------------

    def push_frame(self, frame: Any) -> None:
        """Take the caller's audio, or a sentinel; see the base class."""
        now = self._clock()
        if isinstance(frame, OverlapSpeechStarted) and _is_undated(frame, frame.started_at):
            frame = attrs.evolve(frame, age=max(0.0, now - (frame.started_at or 0.0)))
        elif isinstance(frame, OverlapSpeechEnded) and _is_undated(frame, frame.ended_at):
            frame = attrs.evolve(frame, age=max(0.0, now - (frame.ended_at or 0.0)))
        if isinstance(frame, (OverlapSpeechStarted, OverlapSpeechEnded)):
            self._worker.put(frame)
        else:
            super().push_frame(frame)

    def recv(self, timeout: float | None = None) -> OverlappingSpeechEvent:
        """Return the next event, letting at most ``timeout`` seconds pass on the clock.

        Raises ``TimeoutError``; also where no time would ever bring one, since a real stream's
        reader would wait there for ever.
        """
        until = None if timeout is None else self._clock() + timeout
        while not len(self._events) and not self._worker.over:
            due = self._clock.next_due()
            if due is None or (until is not None and due > until):
                self._clock.advance_to(until if until is not None else self._clock())
                break
            self._clock.step()
        return self._events.get(0.0)

    @property
    def is_open(self) -> bool:
        """Whether it still takes input: neither ended, closed nor failed."""
        return not (self._worker.over or self._inbox.ended or self._worker.failure)

    def close(self, timeout: float = 0.0) -> None:
        """End now; again does nothing."""
        self._worker.close(timeout)


class StillDetector(AdaptiveInterruptionDetector):
    """A detector for call logic under test; made by :class:`~bargein.testing.StillCall`.

    ``choose`` says what becomes of each window; or ``backend`` judges them, in no time. The
    options are the real one's, and so are their errors.
    """

    def __init__(
        self,
        choose: Choose | None = None,
        *,
        clock: FakeClock | None = None,
        transport: Transport = "websocket",
        backend: Backend | Callable[[Window], Any] | str | None = None,
        **options: Any,
    ) -> None:
        self.clock = clock or FakeClock()
        self.transport: Transport = "call" if backend is not None else transport
        self.default_threshold: float | None = DEFAULT_THRESHOLD
        self.streams: list[StillStream] = []
        """All that were opened, in order."""
        self._choose = choose
        if self.transport == "call":
            super().__init__(backend=backend or _no_judge, **options)
            if backend is not None and self._backend is not None:
                self.default_threshold = self._backend.default_threshold
        else:
            super().__init__(base_url=_ADDRESSES[self.transport], **options)

    def judge_for(self, stream_id: str) -> Choose:
        """Return what judges a stream's windows."""
        if self._choose is not None:
            return self._choose
        assert self._backend is not None
        return _by_session(self._backend, stream_id)

    def stream(self, **kind: Any) -> StillStream:
        """Open a stream: one call. Parameters as the real detector's."""
        if self._closed:
            raise StateError("the detector was closed; make another for new streams")
        stream = StillStream(model=self, **kind)
        self.streams.append(stream)
        with self._lock:
            self._streams[next(self._keys)] = stream
        return stream

    def recv(self, timeout: float | None = None) -> OverlappingSpeechEvent:
        """Return the next event of any stream, letting at most ``timeout`` seconds pass."""
        queue = self._hub.events()
        until = self.clock() + (timeout or 0.0)
        while not len(queue):
            due = self.clock.next_due()
            if due is None or (timeout is not None and due > until):
                self.clock.advance_to(until)
                break
            self.clock.step()
        return queue.get(0.0)

    def check(self, *, timeout: float = 10.0) -> CheckReport:
        """Refuse: there is no server to be tried out."""
        raise StateError("a detector that stands still has no judge to check; use a real one")


def _is_undated(frame: OverlapSpeechStarted | OverlapSpeechEnded, given: float | None) -> bool:
    """Return whether a sentinel has a public time that wasn't turned into an age yet."""
    return given is not None and frame.age is None


def _no_judge(window: Window) -> Sequence[float]:
    raise StateError("nobody judges here")  # the detector's `choose` does


def _by_session(backend: Backend, stream_id: str) -> Choose:
    """Judge by a backend's session, in no time on the clock."""
    session = backend.open_session(stream_id)

    def choose(window: Window) -> Answer:
        try:
            found = session.predict(window)
        except Exception as exc:  # as in a real stream: this window fails, and the call goes on
            return Answer(Kind.ERROR, text=repr(exc))
        known = tuple(found.probabilities.tolist())
        return Answer(probability=known or None, decision=found.is_interruption)

    return choose
