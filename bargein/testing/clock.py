"""A clock that stands still until it is told to move: time in a test costs nothing.

>>> clock = FakeClock()
>>> clock.call_at(0.3, lambda: print(f"{clock():g} s"))
Timer(at=0.3)
>>> clock.advance(1.0)
0.3 s
>>> clock()
1.0
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

import attrs

from bargein.errors import OptionError

__all__ = ["FakeClock", "Timer"]

_NANOSECONDS = 1_000_000_000
"""A second. Instants are compared in whole nanoseconds: 0.1 s + 0.2 s is 0.3 s there."""


@attrs.define(order=True, repr=False)
class Timer:
    """Something that is to happen; :meth:`cancel` takes it back."""

    instant: int
    """Nanoseconds."""
    priority: int
    number: int
    call: Callable[[], object] | None = attrs.field(eq=False, order=False)

    @property
    def at(self) -> float:
        """When, in seconds of its clock."""
        return self.instant / _NANOSECONDS

    def cancel(self) -> None:
        """Let it not happen."""
        self.call = None

    def __repr__(self) -> str:
        return f"Timer(at={self.at:g})"


class FakeClock:
    """Seconds that pass only by :meth:`advance`. Call it to read it, as ``time.monotonic``.

    ``now`` is where it starts. Of what happens at one instant, the lower ``priority`` comes first,
    then what was asked for first. Not thread-safe, for there is nothing to wait for.
    """

    def __init__(self, now: float = 0.0) -> None:
        self._instant = _instant(now)
        self._timers: list[Timer] = []
        self._numbers = itertools.count()

    def __call__(self) -> float:
        return self._instant / _NANOSECONDS

    @property
    def now(self) -> float:
        """The time, in seconds."""
        return self()

    def call_at(self, at: float, call: Callable[[], object], *, priority: int = 0) -> Timer:
        """Have something happen at a time; in the past means at once, at the next move."""
        timer = Timer(max(_instant(at), self._instant), priority, next(self._numbers), call)
        heapq.heappush(self._timers, timer)
        return timer

    def call_later(self, delay: float, call: Callable[[], object], *, priority: int = 0) -> Timer:
        """Have something happen after so many seconds."""
        return self.call_at(self() + delay, call, priority=priority)

    def next_due(self) -> float | None:
        """Return when something happens next; ``None``: nothing will."""
        while self._timers and self._timers[0].call is None:
            heapq.heappop(self._timers)
        return self._timers[0].at if self._timers else None

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass; what falls due meanwhile happens, in order."""
        if seconds < 0:
            raise OptionError(f"a clock was advanced by {seconds!r} s; time doesn't run backwards")
        self.advance_to(self() + seconds)

    def advance_to(self, at: float) -> None:
        """Let time pass up to an instant, what falls due at it included."""
        end = _instant(at)
        while self.next_due() is not None and self._timers[0].instant <= end:
            self.step()
        self._instant = max(self._instant, end)

    def step(self) -> bool:
        """Go to the next thing that is due, and let it happen; return whether there was one."""
        if self.next_due() is None:
            return False
        timer = heapq.heappop(self._timers)
        self._instant = timer.instant
        call, timer.call = timer.call, None
        if call is not None:
            call()
        return True


def _instant(seconds: float) -> int:
    return round(seconds * _NANOSECONDS)
