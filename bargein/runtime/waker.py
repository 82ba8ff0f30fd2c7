"""A file descriptor that any thread can make readable, so that one poll() waits for everything."""

from __future__ import annotations

import os
import socket

__all__ = ["Waker"]


class Waker:
    """Wakes a worker that waits in ``select.poll`` on :meth:`fileno`.

    ``wake`` may be called from any thread, and after ``close`` (it then does nothing). One
    descriptor where the system has ``eventfd`` (Linux, Python 3.10), a socket pair elsewhere.
    """

    def __init__(self, *, use_eventfd: bool = hasattr(os, "eventfd")) -> None:
        self._pair: tuple[socket.socket, socket.socket] | None = None
        self._pending = False
        if use_eventfd:
            self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self._pair = socket.socketpair()
            for end in self._pair:
                end.setblocking(False)
            self._fd = self._pair[0].fileno()

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._fd

    def wake(self) -> None:
        """Make the descriptor readable; a wake-up that nobody has taken yet isn't doubled."""
        fd, pair = self._fd, self._pair
        if fd < 0 or self._pending:
            return
        try:
            self._pending = True
            if pair is None:
                os.eventfd_write(fd, 1)
            else:
                pair[1].send(b"\0")
        except (BlockingIOError, OSError):
            pass  # full: a wake-up is pending already; or closed by the worker meanwhile
        except BaseException:  # a signal's: one that is pending and isn't would be the last
            self._pending = False
            raise

    def drain(self) -> None:
        """Take all pending wake-ups. The woken thread only.

        What is to be found by the woken worker must have been left before ``wake``, and be looked
        for after this.
        """
        try:
            if self._pair is None:
                os.eventfd_read(self._fd)
            else:
                while self._pair[0].recv(4096):
                    pass
        except BlockingIOError:
            pass
        # After reading: were it before, a wake-up in between would be read with the others, and
        # counted as pending for ever. One that is left out until here is looked for from here on.
        self._pending = False

    def close(self) -> None:
        """Give the descriptors back; idempotent. No ``wake`` may run at the same time."""
        fd, self._fd = self._fd, -1
        if self._pair is not None:
            for end in self._pair:
                end.close()
        elif fd >= 0:
            os.close(fd)
