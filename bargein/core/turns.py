"""Taking turns with a machine: all that it wants is carried out before it is given more to do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["Turns"]

A = TypeVar("A")


class Turns(Generic[A]):
    """Gives a machine its work, and its actions to ``carry_out``. For one thread.

    What carrying them out brings for the machine waits until the last of them: a window that is
    taken back must have been given before.
    """

    def __init__(self, carry_out: Callable[[list[A], float], None]) -> None:
        self._carry_out = carry_out
        self._waiting: deque[tuple[Callable[..., list[A]], Any, float]] = deque()
        self._busy = False

    def take(self, work: Callable[..., list[A]], item: Any, now: float) -> None:
        """Carry out what ``work(item, now=now)`` returns: at once, or after what is under way."""
        if self._busy:
            self._waiting.append((work, item, now))
            return
        self._busy = True
        try:
            self._carry_out(work(item, now=now), now)
            while self._waiting:
                work, item, now = self._waiting.popleft()
                self._carry_out(work(item, now=now), now)
        finally:
            self._busy = False
