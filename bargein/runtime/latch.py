"""Something that happens once, and can be waited for."""

from __future__ import annotations

import threading

__all__ = ["Latch"]


class Latch:
    """Set once, waited for by any thread; by a signal's handler, too.

    A ``threading.Event`` is no good there: its lock isn't reentrant, so a handler that waits for
    what the interrupted code was about to wait for would lock itself out, and whoever sets it.
    """

    def __init__(self) -> None:
        # Held by itself, here as elsewhere in this package: Ctrl-C can come in the middle of a
        # condition's own __exit__, and then nobody gives the lock back.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._is_set = False

    def set(self) -> None:
        """Let everybody go who waits, and who comes later."""
        with self._lock:
            self._is_set = True
            self._changed.notify_all()

    @property
    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most ``timeout`` seconds (``None``: for ever); return whether it has happened."""
        with self._lock:
            return self._changed.wait_for(lambda: self._is_set, timeout)
