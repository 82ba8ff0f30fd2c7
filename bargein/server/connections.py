"""uvicorn's protocols, made safe to be open to strangers: who doesn't speak, or doesn't listen.

uvicorn waits for ever for the end of a request's head, accepts connections until the process has no
descriptor left, and answers pings that nobody reads until it has no memory left.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame

from .service import RETRY_AFTER

__all__ = ["HttpProtocol", "Waiting", "WebSocketProtocol", "http_protocol"]

MAX_FRAGMENTS = 1_000
"""Frames of one message. A window is one, or a few dozen where a client sends it in pieces."""

MAX_UNREAD_BYTES = 1 << 20
"""Of what was written to a client that reads nothing, when it asks for more by a ping."""


class Waiting:
    """The connections whose next request isn't here whole, oldest first. For one event loop.

    ``most``: connections in all. Beyond, the one that has kept us waiting longest makes room for
    the next: who means to speak has spoken by then.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._oldest_first: dict[HttpProtocol, None] = {}

    def add(self, connection: HttpProtocol) -> None:
        """Note that a connection keeps us waiting."""
        self._oldest_first[connection] = None

    def discard(self, connection: HttpProtocol) -> None:
        """Note that it doesn't, or is gone."""
        self._oldest_first.pop(connection, None)

    def make_room(self) -> bool:
        """Cut off the oldest; return whether there was one."""
        oldest = next(iter(self._oldest_first), None)
        if oldest is None:
            return False
        self.discard(oldest)
        oldest.transport.abort()
        return True


class HttpProtocol(H11Protocol):
    """A connection that must send each request's head in time. :func:`http_protocol` makes one."""

    waiting: ClassVar[Waiting]
    head_timeout: ClassVar[float]
    """Seconds."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a head, if there is room for one more connection."""
        super().connection_made(transport)
        if len(self.connections) > self.waiting.most and not self.waiting.make_room():
            self._refuse("503 Service Unavailable", "the server has too many connections")
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._end_wait()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; wait where it is but the beginning of a head."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._wait()
        else:
            self._end_wait()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection on; it has spoken."""
        self._end_wait()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """Keep the connection, for uvicorn's time, or until somebody else needs the place."""
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.waiting.add(self)

    def _wait(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout, self._give_up)
            self.waiting.add(self)

    def _end_wait(self) -> None:
        self.waiting.discard(self)
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._end_wait()
        self._refuse("408 Request Timeout", "the request's head came too slowly")

    def _refuse(self, status: str, why: str) -> None:
        # By hand: h11 doesn't know of a request yet, to which this would be the response.
        self.transport.write(_refusal(status, why))
        self.transport.close()


def http_protocol(most: int, head_timeout: float) -> type[HttpProtocol]:
    """Return the class for a server: ``most`` connections, seconds for a request's head."""
    bound = {"waiting": Waiting(most), "head_timeout": head_timeout}
    return type("HttpProtocol", (HttpProtocol,), bound)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A connection that answers whatever its handshake is, and piles nothing up."""

    _pieces = 0
    """Frames of the message that is coming, after its first."""

    def data_received(self, data: bytes) -> None:
        """Take what came. The head comes at once, from HTTP; where it can't be read (too many
        fields, one too long) the parser stops, and tells nobody."""
        try:
            super().data_received(data)
        except InvalidState:  # text that isn't UTF-8, and the client's CLOSE right behind it
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
        if not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(
                _refusal("431 Request Header Fields Too Large", "the handshake can't be read")
            )
            self.transport.close()

    def handle_cont(self, event: Frame) -> None:
        """Take a piece of a message, if it hasn't too many."""
        if self.close_sent:
            return
        self._pieces = 0 if event.fin else self._pieces + 1
        if self._pieces >= MAX_FRAGMENTS:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many pieces")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer, if answers are read."""
        if self.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self.transport.abort()
            return
        super().handle_ping()


def _refusal(status: str, why: str) -> bytes:
    body = f"{why}\n".encode()
    lines = [
        f"HTTP/1.1 {status}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        f"Retry-After: {RETRY_AFTER}",
        "Connection: close",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
