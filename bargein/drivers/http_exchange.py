"""A request on a kept connection that needs no thread: a reactor goes on with it when it can.

It is for the plain case, which all windows but a connection's first are. What isn't plain (a reply
of another kind, a connection that turns out to be closed) is left to a thread that may wait.
"""

from __future__ import annotations

import select
import ssl

from bargein.errors import ProtocolError

from .http_adapter import Adapter
from .http_kept import READ, Arriving, KeptConnection

__all__ = ["Exchange"]


class Exchange:
    """A window's request from its first byte to its reply's last. For one thread at a time.

    Pollable for ``mask`` (``select.poll``'s). ``now`` and times are monotonic seconds; a server
    that is silent for ``timeout`` seconds fails it.
    """

    def __init__(
        self,
        adapter: Adapter,
        kept: KeptConnection,
        *,
        window_id: int,
        url: str,
        head: bytes,
        body: memoryview,
        timeout: float,
        now: float,
    ) -> None:
        self.adapter = adapter
        self.kept = kept
        self.window_id = window_id
        self.url = url
        self.body = body
        self.started = now
        self.reply = Arriving()
        self.error: OSError | ProtocolError | None = None
        """Why it failed, once it is over; ``None``: it didn't."""
        self.mask = select.POLLOUT
        self._timeout = timeout
        self._heard = now
        self._secure = isinstance(kept.sock, ssl.SSLSocket)
        # TLS has no sendmsg; two packets where one would do cost more than a copy.
        self._left = [memoryview(head + body)] if self._secure else [memoryview(head), body]
        kept.begin(blocking=False)

    def fileno(self) -> int:
        """Return the descriptor to poll; -1 once it is closed."""
        return self.kept.sock.fileno()

    @property
    def deadline(self) -> float:
        """When the server has been silent for too long."""
        return self._heard + self._timeout

    @property
    def lost(self) -> bool:
        """Whether the server had closed the connection before: nobody's fault, so ask it anew."""
        return isinstance(self.error, OSError) and not self.reply.data and not self._is_late

    @property
    def _is_late(self) -> bool:
        return isinstance(self.error, TimeoutError)

    @property
    def needs_thread(self) -> bool:
        """Whether it is over and what is left to do may block."""
        return self.lost or (self.error is None and self.reply.unusual)

    def advance(self, now: float) -> bool:
        """Send and read what can be; return whether it is over. Never blocks nor raises."""
        try:
            if self._left:
                self._send(now)
            elif self._read(now):
                return True
        except BlockingIOError:
            pass
        except ssl.SSLWantReadError:
            self.mask = select.POLLIN
        except ssl.SSLWantWriteError:
            self.mask = select.POLLOUT
        except (OSError, ProtocolError) as error:
            self.error = error
            return True
        if now < self.deadline:
            return False
        self.error = TimeoutError()
        return True

    def _send(self, now: float) -> None:
        """Send all that the socket takes."""
        self.mask = select.POLLOUT
        while self._left:
            sock = self.kept.sock
            sent = sock.send(self._left[0]) if self._secure else sock.sendmsg(self._left)
            self._heard = now
            while self._left and sent >= len(self._left[0]):
                sent -= len(self._left.pop(0))
            if sent:
                self._left[0] = self._left[0][sent:]
        self.mask = select.POLLIN

    def _read(self, now: float) -> bool:
        """Read all that is there; return whether the reply is whole."""
        self.mask = select.POLLIN
        while data := self.kept.sock.recv(READ):
            self._heard = now
            if self.reply.take(data):
                return True
        where = "inside the reply" if self.reply.data else "before its reply"
        raise ConnectionError(f"the connection ended {where}")
