"""How events reach users' listeners: in order for each stream, and at once.

A listener may block, and a reactor runs other streams as well. So a reactor's thread calls it only
after another thread has become the reactor; who else delivers leaves it to a thread of a pool.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from .pool import Pool, listener_pool
from .queue import without_arrays
from .reactor import lend

__all__ = ["Delivery"]

logger = logging.getLogger("bargein")

MAX_WAITING = 1024
"""Events that wait for a listener that hangs: a quarter of an hour of busy overlaps."""

STUCK = 1.0
"""Seconds after which a listener that hasn't come back is worth a word: it may never do so, and
what takes long is told of only at its end."""

MAX_ARRAYS = 16
"""Of them, those that keep their windows: 1.5 MB."""


class Delivery:
    """A stream's events on their way to its listeners, one after the other. Thread-safe.

    ``give`` is called with each, by a reactor's thread that has lent its place to another, or by
    one of the pool's. An event that must wait because one before it takes over :data:`STUCK`
    seconds is logged, once. Past :data:`MAX_WAITING` the oldest go; that is counted, and logged
    once.
    """

    def __init__(
        self, name: str, give: Callable[[object], object], pool: Pool = listener_pool
    ) -> None:
        self.dropped = 0
        self._name = name
        self._give = give
        self._pool = pool
        self._events: deque[object] = deque()
        self._lock = threading.RLock()  # reentrant: see the worker's; held by itself: see Latch
        self._changed = threading.Condition(self._lock)
        self._busy = False
        self._since = 0.0
        """When the event that is given out now was begun with, or first waited for a thread."""
        self._told = False
        self._thread: int | None = None

    def put(self, *events: object) -> None:
        """Give events out after those before them; never waits."""
        now = time.monotonic()
        with self._lock:
            for event in events:
                self._append(event)
            first, self._busy = not self._busy, True
            if first:
                self._since = now
            late = 0.0 if self._told else now - self._since
            self._told |= late > STUCK
        if late > STUCK:
            logger.warning(
                "%s: a listener hasn't come back for %.1f s; the next events wait for it",
                self._name,
                late,
            )
        if first and not lend(self._run):
            self._pool.call(self._run)

    def _append(self, event: object) -> None:
        events = self._events
        events.append(event)
        if len(events) > MAX_ARRAYS:
            events[-MAX_ARRAYS - 1] = without_arrays(events[-MAX_ARRAYS - 1])
        if len(events) > MAX_WAITING:
            events.popleft()
            self.dropped += 1
            if self.dropped == 1:
                logger.warning(
                    "%s: a listener doesn't come back; the oldest of %d events go unheard",
                    self._name,
                    MAX_WAITING,
                )

    def _run(self) -> None:
        self._thread = threading.get_ident()
        while True:
            with self._lock:
                if not self._events:
                    self._busy = False
                    self._thread = None
                    self._changed.notify_all()
                    return
                event = self._events.popleft()
                self._since = time.monotonic()
            try:
                self._give(event)
            except BaseException:  # the thread isn't the event's to end
                logger.exception("%s: an event couldn't be given to its listeners", self._name)
            del event  # a window mustn't be kept until the next

    @property
    def is_current(self) -> bool:
        """Whether the calling thread is the one that gives an event out now."""
        return self._thread == threading.get_ident()

    def wait(self, timeout: float) -> bool:
        """Wait until no event is left to be given out; return whether that is so."""
        deadline = time.monotonic() + timeout
        with self._lock:
            while self._busy:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
            return True
