"""Putting numbered pieces back in order, within a small window."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["ReorderWindow"]

T = TypeVar("T")


class ReorderWindow(Generic[T]):
    """Hands numbered pieces on in order; waits for a missing one while at most `limit` wait.

    Numbers count up, modulo `modulus` where there is one (RTP: 65,536). What comes a second time
    or too late is dropped. A number further than `restart` from what is expected means that the
    sender began anew.

    In order, nothing is held and nothing is delayed. Not thread-safe.
    """

    def __init__(self, limit: int, modulus: int = 0, restart: int = 3_000) -> None:
        self._limit = limit
        self._modulus = modulus
        self._restart = restart
        self._next: int | None = None
        self._held: dict[int, T] = {}
        self.late = 0
        """Pieces dropped because they came twice or too late."""

    @property
    def holding(self) -> bool:
        """Whether something waits for a missing piece."""
        return bool(self._held)

    def put(self, number: int, piece: T) -> list[tuple[int, T]]:
        """Take a piece; return those that are due, each with how many are missing before it."""
        if self._next is None:
            self._next = number
        ahead = self._ahead(number)
        if abs(ahead) > self._restart:
            done = self.flush()
            self._next = self._wrap(number + 1)
            return [*done, (0, piece)]
        if ahead < 0 or number in self._held:
            self.late += 1
            return []
        self._held[number] = piece
        due = self._take_ready(0)
        while len(self._held) > self._limit:
            due += self._skip()
        return due

    def flush(self) -> list[tuple[int, T]]:
        """Return all that waits, given up waiting."""
        due: list[tuple[int, T]] = []
        while self._held:
            due += self._skip()
        return due

    def _skip(self) -> list[tuple[int, T]]:
        nearest = min(self._held, key=self._ahead)
        missing = self._ahead(nearest)
        self._next = nearest
        return self._take_ready(missing)

    def _take_ready(self, missing: int) -> list[tuple[int, T]]:
        due = []
        assert self._next is not None
        while self._next in self._held:
            due.append((missing, self._held.pop(self._next)))
            missing = 0
            self._next = self._wrap(self._next + 1)
        return due

    def _ahead(self, number: int) -> int:
        assert self._next is not None
        ahead = number - self._next
        if not self._modulus:
            return ahead
        half = self._modulus // 2
        return (ahead + half) % self._modulus - half

    def _wrap(self, number: int) -> int:
        return number % self._modulus if self._modulus else number
