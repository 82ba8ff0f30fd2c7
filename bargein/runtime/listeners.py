"""Listeners: functions that are called with events."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar, overload

from bargein.core import (
    InterruptionDetectionError,
    InterruptionMetrics,
    OverlappingSpeechEvent,
)
from bargein.errors import OptionError

__all__ = ["EVENT_TYPES", "EventEmitter", "Listeners"]

logger = logging.getLogger("bargein")

EVENT_TYPES = ("overlapping_speech", "error", "metrics_collected")
"""What a stream can be listened for."""

SLOW = 0.1
"""Seconds. A listener that takes longer holds up its stream's next events and is worth a word."""

_OverlapListener = TypeVar("_OverlapListener", bound=Callable[[OverlappingSpeechEvent], object])
_ErrorListener = TypeVar("_ErrorListener", bound=Callable[[InterruptionDetectionError], object])
_MetricsListener = TypeVar("_MetricsListener", bound=Callable[[InterruptionMetrics], object])
_R = TypeVar("_R")
_Entry = tuple[Callable[[Any], object], bool]


class Listeners:
    """Who listens for what. Thread-safe; listeners are called outside any lock.

    ``kinds``: what can be listened for. ``slow``: seconds from which on a listener is logged for
    having taken them; ``None`` where it may take its time.
    """

    def __init__(self, kinds: Iterable[str] = EVENT_TYPES, *, slow: float | None = SLOW) -> None:
        self._lock = threading.RLock()  # for a signal's handler
        self._slow = slow
        self._listeners: dict[str, tuple[_Entry, ...]] = dict.fromkeys(kinds, ())

    def on(self, kind: str, listener: Callable[[Any], object], *, once: bool = False) -> None:
        """Add a listener; ``once``: for the next event alone."""
        self._check(kind)
        if not callable(listener):
            raise OptionError(f"a listener came as {listener!r}; expected a function of an event")
        with self._lock:
            self._listeners[kind] += ((listener, once),)

    def off(self, kind: str, listener: Callable[[Any], object]) -> None:
        """Remove a listener; one that isn't there is no error."""
        self._check(kind)
        with self._lock:
            self._listeners[kind] = tuple(
                entry for entry in self._listeners[kind] if entry[0] != listener
            )

    def any(self, kind: str) -> bool:
        """Whether anybody listens for it."""
        return bool(self._listeners[kind])

    def emit(self, kind: str, event: object, who: str) -> bool:
        """Call the listeners; return whether one was called. What they raise is logged."""
        heard = False
        for entry in self._listeners[kind]:
            listener, once = entry
            if once and not self._claim(kind, entry):
                continue
            heard = True
            started = time.monotonic()
            try:
                listener(event)
            except BaseException:  # SystemExit too: the thread isn't the listener's to end
                logger.exception("%s: a listener for %r raised", who, kind)
            took = time.monotonic() - started
            if self._slow is not None and took > self._slow:
                logger.warning("%s: a listener for %r took %.0f ms", who, kind, took * 1e3)
        return heard

    def _claim(self, kind: str, entry: _Entry) -> bool:
        """Remove a one-time listener; False if another thread was first."""
        with self._lock:
            if entry not in self._listeners[kind]:
                return False
            rest = list(self._listeners[kind])
            rest.remove(entry)
            self._listeners[kind] = tuple(rest)
            return True

    def _check(self, kind: str) -> None:
        if kind not in self._listeners:
            raise OptionError(
                f"there is no event {kind!r}; expected one of {', '.join(self._listeners)}"
            )


class EventEmitter:
    """What can be listened to: ``overlapping_speech``, ``error`` and ``metrics_collected``.

    Thread-safe. Listeners are called outside any lock, on a thread that runs no stream meanwhile
    (of their pool, or the one that read the answer, once another has taken its place), a stream's
    events one after the other; they may call anything, ``close()`` too. One that raises, or takes
    over 100 ms, is logged and harms nobody.
    """

    _listeners: Listeners

    # A listener that is passed is typed by its event alone, so that a lambda's argument is known;
    # one that is decorated stays what it was.

    @overload
    def on(
        self, event: Literal["overlapping_speech"], listener: Callable[[OverlappingSpeechEvent], _R]
    ) -> Callable[[OverlappingSpeechEvent], _R]: ...
    @overload
    def on(
        self, event: Literal["overlapping_speech"]
    ) -> Callable[[_OverlapListener], _OverlapListener]: ...

    @overload
    def on(
        self, event: Literal["error"], listener: Callable[[InterruptionDetectionError], _R]
    ) -> Callable[[InterruptionDetectionError], _R]: ...
    @overload
    def on(self, event: Literal["error"]) -> Callable[[_ErrorListener], _ErrorListener]: ...

    @overload
    def on(
        self, event: Literal["metrics_collected"], listener: Callable[[InterruptionMetrics], _R]
    ) -> Callable[[InterruptionMetrics], _R]: ...
    @overload
    def on(
        self, event: Literal["metrics_collected"]
    ) -> Callable[[_MetricsListener], _MetricsListener]: ...
    def on(self, event: str, listener: Any = None) -> Any:
        """Call ``listener`` with each event of a kind; without one, return a decorator."""
        return self._listen(event, listener, once=False)

    @overload
    def once(
        self, event: Literal["overlapping_speech"], listener: Callable[[OverlappingSpeechEvent], _R]
    ) -> Callable[[OverlappingSpeechEvent], _R]: ...
    @overload
    def once(
        self, event: Literal["overlapping_speech"]
    ) -> Callable[[_OverlapListener], _OverlapListener]: ...

    @overload
    def once(
        self, event: Literal["error"], listener: Callable[[InterruptionDetectionError], _R]
    ) -> Callable[[InterruptionDetectionError], _R]: ...
    @overload
    def once(self, event: Literal["error"]) -> Callable[[_ErrorListener], _ErrorListener]: ...

    @overload
    def once(
        self, event: Literal["metrics_collected"], listener: Callable[[InterruptionMetrics], _R]
    ) -> Callable[[InterruptionMetrics], _R]: ...
    @overload
    def once(
        self, event: Literal["metrics_collected"]
    ) -> Callable[[_MetricsListener], _MetricsListener]: ...
    def once(self, event: str, listener: Any = None) -> Any:
        """As :meth:`on`, for the next event alone."""
        return self._listen(event, listener, once=True)

    def off(self, event: str, listener: Callable[[Any], object]) -> None:
        """Remove a listener; one that isn't there is no error."""
        self._listeners.off(event, listener)

    def _listen(self, event: str, listener: Any, *, once: bool) -> Any:
        def add(function: Any) -> Any:
            self._listeners.on(event, function, once=once)
            return function

        return add if listener is None else add(listener)
