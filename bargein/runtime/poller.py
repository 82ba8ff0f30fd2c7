"""What can be polled, and one way to poll it by ``epoll`` or ``poll``."""

from __future__ import annotations

import contextlib
import select
from typing import Any, Protocol

__all__ = ["Pollable", "Poller"]


class Pollable(Protocol):
    """Something with a descriptor."""

    def fileno(self) -> int:
        """Return the descriptor; -1 once it is closed."""


class Poller:
    """``epoll`` where there is one, else ``poll``, by the same calls. Timeouts are in seconds."""

    def __init__(self, use_epoll: bool) -> None:
        self._epoll: Any = select.epoll() if use_epoll else None
        self._poll: Any = None if use_epoll else select.poll()
        poller: Any = self._epoll or self._poll
        self.register, self.modify = poller.register, poller.modify

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """Wait for events, at most ``timeout`` seconds (``None``: for ever)."""
        events: list[tuple[int, int]]
        if self._epoll is not None:
            events = self._epoll.poll(timeout)
        else:
            events = self._poll.poll(None if timeout is None else timeout * 1e3)
        return events

    def unregister(self, fd: int) -> None:
        """Take a descriptor off, closed or not."""
        with contextlib.suppress(OSError):  # closed: epoll has forgotten it by itself
            (self._epoll or self._poll).unregister(fd)

    def close(self) -> None:
        """Give epoll's own descriptor back."""
        if self._epoll is not None:
            self._epoll.close()
