"""Bounded queues of events: what nobody reads costs little, and what is lost is counted."""

from __future__ import annotations

import logging
import threading
from collections import deque
from types import TracebackType
from typing import Any, Generic, TypeVar

from bargein.errors import StreamEnded

__all__ = ["EventQueue", "without_arrays"]

logger = logging.getLogger("bargein")

E = TypeVar("E")


class EventQueue(Generic[E]):
    """Events for readers in any thread. ``limit`` are kept, arrays on the newest ``arrays``.

    Past the limit the oldest go; those that nobody else got are counted in :attr:`dropped`, which
    is logged once.
    """

    def __init__(self, name: str, *, limit: int, arrays: int) -> None:
        self._name = name
        self._limit = limit
        self._arrays = arrays
        self._events: deque[tuple[E, bool]] = deque()
        self._lock = threading.RLock()  # held by itself: see Latch
        self._changed = threading.Condition(self._lock)
        self._ended = False
        self._error: BaseException | None = None
        self._origin: TracebackType | None = None
        self.dropped = 0

    def put(self, event: E, *, delivered: bool = False) -> None:
        """Add an event; ``delivered`` if a listener or another queue got it as well."""
        warn = False
        with self._lock:
            if self._ended:
                return
            self._events.append((event, delivered))
            if len(self._events) > self._limit:
                _, known = self._events.popleft()
                warn = not known and not self.dropped
                self.dropped += not known
            if len(self._events) > self._arrays:
                at = len(self._events) - self._arrays - 1
                old, known = self._events[at]
                self._events[at] = (without_arrays(old), known)
            self._changed.notify()
        if warn:
            logger.warning(
                "%s: nobody reads its events; the oldest of %d go unread", self._name, self._limit
            )

    def end(self, error: BaseException | None = None) -> None:
        """No event comes after this; readers get what is queued, then ``error`` or StreamEnded."""
        with self._lock:
            if not self._ended:
                self._ended, self._error = True, error
                self._origin = None if error is None else error.__traceback__
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> E:
        """Return the next event, waiting at most ``timeout`` seconds (``None``: for ever).

        Raises ``TimeoutError``; at the end the error that ended it, else
        :class:`~bargein.errors.StreamEnded`.
        """
        with self._lock:
            if not self._events and not self._ended and timeout != 0:
                self._changed.wait_for(lambda: self._events or self._ended, timeout)
            if self._events:
                return self._events.popleft()[0]
            if not self._ended:
                raise TimeoutError(f"{self._name}: no event within {timeout} s")
            if self._error is not None:  # each time from its own beginning, or it would grow
                raise self._error.with_traceback(self._origin)
            raise StreamEnded(f"{self._name} has ended; it gives no more events")

    def __len__(self) -> int:
        return len(self._events)


def without_arrays(event: Any) -> Any:
    """Return an event without its windows; events of kinds that never had any as they are."""
    strip = getattr(event, "without_arrays", None)
    return event if strip is None else strip()
