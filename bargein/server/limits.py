"""How often something may be done."""

from __future__ import annotations

__all__ = ["Bucket"]


class Bucket:
    """Holds a second's worth of what may be done, and is filled as time goes by. For one thread.

    ``rate`` is what may be done in a second, ``now`` monotonic seconds.
    """

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._most = self._left = max(1.0, rate)
        self._filled = now

    def take(self, now: float) -> bool:
        """Return whether it may be done once more, and count it if so."""
        self._left = min(self._most, self._left + (now - self._filled) * self._rate)
        self._filled = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
