"""How events reach users' listeners: in order for each stream or call, and at once.

A listener may block, and a reactor runs other streams as well. So a reactor's thread calls it only
after another thread has become the reactor; who else delivers leaves it to a thread of a pool.
Phone calls, whose listeners are told that they may take their time, each have a thread of their own
(:func:`on_own_thread`): any number of them may block without taking the pool from the streams.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from .pool import listener_pool
from .queue import without_arrays
from .reactor import lend

__all__ = ["Delivery", "Run", "on_own_thread"]

logger = logging.getLogger("bargein")

MAX_WAITING = 1024
"""Events that wait for a listener that hangs: a quarter of an hour of busy overlaps."""

STUCK = 1.0
"""Seconds after which a listener that hasn't come back is worth a word: it may never do so, and
what takes long is told of only at its end."""

MAX_ARRAYS = 16
"""Of them, those that keep their windows: 1.5 MB."""


Run = Callable[[Callable[[], None]], object]
"""Has a call made that may take long, on some thread, soon."""


def _lend_or_pool(call: Callable[[], None]) -> None:
    if not lend(call):
        listener_pool.call(call)


def on_own_thread(name: str) -> Run:
    """Have calls made on a thread that is started for each and ends with it."""

    def run(call: Callable[[], None]) -> None:
        try:
            threading.Thread(target=call, name=name, daemon=True).start()
        except RuntimeError:  # no thread can be had now; the pool makes do with those it has
            listener_pool.call(call)

    return run


class Delivery:
    """Events on their way to listeners, one after the other. Thread-safe.

    ``give`` is called with each, on a thread of ``run``'s choice: unless given, a reactor's that
    has lent its place to another, or one of the listeners' pool. An event that must wait because
    one before it takes over :data:`STUCK` seconds is logged, once. Past :data:`MAX_WAITING` the
    oldest go; that is counted, and logged once.
    """

    def __init__(
        self, name: str, give: Callable[[object], object], run: Run = _lend_or_pool
    ) -> None:
        self.dropped = 0
        self._name = name
        self._give = give
        self._run_soon = run
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
        if first:
            self._run_soon(self._run)

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
