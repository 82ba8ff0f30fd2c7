"""A listening TCP socket that outlives what goes wrong with a single connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

from .base import cut

__all__ = ["Listener"]

PAUSE = 0.05
"""Seconds until a connection is tried again that couldn't be taken. What is missing is given back
by calls that end; the connection waits in the system's queue meanwhile."""


class Listener:
    """A listening socket whose `accept` raises when it is closed, and at nothing else.

    No descriptor may be left, or a peer may be gone before its TLS began: neither is a reason for
    a server to take no more calls for ever.

    Args:
        sock: listens already; plain or TLS.
        on_trouble: is told what was wrong, each time.

    `close` may be called from any thread; `accept` belongs to one.
    """

    def __init__(self, sock: socket.socket, on_trouble: Callable[[OSError], object]) -> None:
        self._sock = sock
        self._on_trouble = on_trouble
        self._closed = threading.Event()

    def accept(self) -> tuple[socket.socket, Any]:
        """Wait for a connection; raises ``OSError`` once this is closed."""
        while True:
            try:
                return self._sock.accept()
            except OSError as error:
                if self._closed.is_set():
                    raise
                self._on_trouble(error)
                self._closed.wait(PAUSE)

    def close(self) -> None:
        """Listen no more, and wake who waits in `accept`."""
        self._closed.set()
        cut(self._sock)
        with contextlib.suppress(OSError):
            self._sock.close()

    def __getattr__(self, name: str) -> Any:
        """Be a socket in all else, for who is handed it as one."""
        return getattr(self._sock, name)
