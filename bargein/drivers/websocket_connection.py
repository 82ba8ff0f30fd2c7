"""A WebSocket that never blocks, for one thread and its ``poll``.

websocket-client makes the connection (``websocket_connect``); from then on this class owns the
socket. websocket-client's ``recv`` isn't resumable, has no limit and hides CLOSE frames, and its
``send`` loops until all is sent, so a stalled peer would hold the worker: here frames are built
and parsed by ``wire/websocket_frames``, what the socket doesn't take waits in a queue of our own,
and what came is taken when it is there.

A worker's step::

    connection.read()       when readable, or ``read_now``
    connection.flush()      when writable, or something was queued
    poll for POLLIN, and for POLLOUT while ``wants_write``
"""

from __future__ import annotations

import os
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from bargein.errors import APIConnectionError, APIError
from bargein.wire.websocket_frames import (
    Closed,
    FrameParser,
    Opcode,
    Ping,
    Text,
    WireEvent,
    build_frame,
    close_payload,
)
from bargein.wire.window_frames import build_window

__all__ = ["MAX_BACKLOG", "ConnectionEvent", "Eof", "WebSocketConnection"]

MAX_BACKLOG = 1 << 20
"""Bytes that may wait for the socket: eight windows of 3 s (768 KB) and something to spare."""

_READ_SIZE = 1 << 13  # bytes asked of the socket at a time; a reply of a 3 s window is about 3 KB
_READ_BUDGET = 1 << 16  # bytes a step may read: a peer that floods must not hold the worker
_MOST_EVENTS = 64  # given out at a time, for the same reason: a frame may have two bytes
_KEYS_SIZE = 256  # bytes of randomness asked of the system at a time: 64 frames' mask keys
# Close codes that may stand in a frame (RFC 6455, 7.4); the others are for use inside a program.
_SENDABLE = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})


@attrs.frozen
class Eof:
    """Nothing more can be read: the connection is gone, or what it says can't be understood."""

    error: APIError


ConnectionEvent: TypeAlias = WireEvent | Eof


@attrs.define(eq=False)
class _Outgoing:
    data: memoryview  # what is still to be sent
    opcode: int
    window_id: int | None = None
    started: bool = False  # its first bytes are gone, or TLS has them: it can't be taken back


class WebSocketConnection:
    """An open WebSocket. For one thread; nothing here blocks or raises for what a peer does."""

    def __init__(
        self, sock: socket.socket, *, received: bytes = b"", max_backlog: int = MAX_BACKLOG
    ) -> None:
        """Take over a connected socket, and what came on it after the handshake."""
        sock.setblocking(False)
        self._sock: socket.socket | None = sock
        self._tls = sock if isinstance(sock, ssl.SSLSocket) else None
        self._max_backlog = max_backlog
        self._queue: deque[_Outgoing] = deque()
        self.backlog = 0
        """Bytes queued that the socket hasn't taken."""
        self._parser = FrameParser()
        self._keys = b""
        self._unread: list[ConnectionEvent] = []  # parsed, not yet given out
        self._failure: APIError | None = None  # why sending failed
        self._close_sent = False
        self._ended = False  # nothing more will be read
        self._send_waits_for_read = False  # TLS wants to read before it can go on writing
        self._read_waits_for_write = False
        if received:
            self._take(received)

    # ---- what to wait for

    def fileno(self) -> int:
        """The descriptor to poll; -1 once closed."""
        return -1 if self._sock is None else self._sock.fileno()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._sock is None

    @property
    def wants_write(self) -> bool:
        """Whether to poll for POLLOUT, and call :meth:`flush` (and ``read``) when it comes."""
        if self._sock is None:
            return False
        return self._read_waits_for_write or (bool(self._queue) and not self._send_waits_for_read)

    @property
    def is_quiet(self) -> bool:
        """Whether :meth:`read` and :meth:`flush` have nothing to do before poll says so."""
        return not self._queue and not self._unread and self._failure is None and self._tls is None

    @property
    def read_now(self) -> bool:
        """Whether :meth:`read` has something that poll can't see."""
        if self._unread:
            return True
        if self._sock is None or self._ended:
            return False
        return self._failure is not None or (self._tls is not None and self._tls.pending() > 0)

    # ---- sending

    def send_text(self, text: str) -> None:
        """Queue a text message. After a CLOSE it is dropped."""
        self._put(Opcode.TEXT, text.encode("utf-8"))

    def send_window(self, window_id: int, samples: npt.NDArray[np.int16]) -> bool:
        """Queue a window; False, and nothing is queued, where the backlog has no room for it.

        The samples (int16 ``(n,)``) are copied. :meth:`flush` tells when it is on its way.
        """
        if self.backlog and self.backlog + samples.nbytes > self._max_backlog:
            return False
        if not self._takes_more:
            return False
        self._queue_frame(
            build_window(window_id, samples, self._mask_key()), Opcode.BINARY, window_id
        )
        return True

    def send_ping(self, data: bytes = b"") -> None:
        """Queue a ping; the peer sends ``data`` (at most 125 bytes) back in a ``Pong``."""
        self._put(Opcode.PING, data)

    def send_close(self, code: int | None = 1000, reason: str = "") -> None:
        """Queue a CLOSE frame, once; ``None``: one without a code. Windows that haven't begun are
        dropped: nothing may follow it.
        """
        self._drop_unstarted(lambda item: item.window_id is not None)
        self._put(Opcode.CLOSE, close_payload(code, reason))
        self._close_sent = True

    def discard(self, window_id: int) -> bool:
        """Take a queued window back; False where it isn't queued or has begun to be sent."""
        return self._drop_unstarted(lambda item: item.window_id == window_id) > 0

    def flush(self) -> list[int]:
        """Send what the socket takes. Returns the windows that began to be sent, in order.

        Where sending fails the queue is emptied, and :meth:`read` (``read_now`` is set) gives what
        the peer still said and then an :class:`Eof`.
        """
        begun: list[int] = []
        while self._queue and self._sock is not None:
            item = self._queue[0]
            sent = 0
            wait = failed = None
            try:
                sent = self._sock.send(item.data)
            except BlockingIOError:
                break
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                # TLS has encrypted the beginning: it must be given the same bytes again.
                wait = error
            except OSError as error:
                failed = error
            if failed is not None:
                self._fail_sending(failed)
                break
            if not item.started:
                item.started = True
                if item.window_id is not None:
                    begun.append(item.window_id)
            if wait is not None:
                self._send_waits_for_read = isinstance(wait, ssl.SSLWantReadError)
                break
            self.backlog -= sent
            if sent == len(item.data):
                self._queue.popleft()
            else:
                item.data = item.data[sent:]
        return begun

    def _put(self, opcode: int, payload: bytes) -> None:
        if self._takes_more:
            self._queue_frame(build_frame(opcode, payload, mask_key=self._mask_key()), opcode)

    @property
    def _takes_more(self) -> bool:
        return self._sock is not None and not self._close_sent and self._failure is None

    def _queue_frame(self, frame: memoryview, opcode: int, window_id: int | None = None) -> None:
        self._queue.append(_Outgoing(frame, opcode, window_id))
        self.backlog += len(frame)

    def _mask_key(self) -> bytes:
        """Return four bytes that nobody can foresee (RFC 6455, 5.3), drawn for many frames."""
        if not self._keys:
            self._keys = os.urandom(_KEYS_SIZE)
        key, self._keys = self._keys[:4], self._keys[4:]
        return key

    def _drop_unstarted(self, unwanted: Callable[[_Outgoing], bool]) -> int:
        dropped = [item for item in self._queue if not item.started and unwanted(item)]
        for item in dropped:
            self._queue.remove(item)
            self.backlog -= len(item.data)
        return len(dropped)

    def _fail_sending(self, cause: OSError) -> None:
        self._failure = _lost("sending to the server failed", cause)
        self._queue.clear()
        self.backlog = 0

    # ---- receiving

    def read(self) -> list[ConnectionEvent]:
        """What came, in order; ``[]`` where nothing did. At most 64 events: ``read_now`` tells
        whether there are more.

        Pings are answered (queued; flush). The last event of all is a ``Closed``, to be answered
        with :meth:`flush` and :meth:`close`, or an :class:`Eof`.
        """
        self._send_waits_for_read = self._read_waits_for_write = False
        budget = _READ_BUDGET
        while self._sock is not None and not self._ended and len(self._unread) < _MOST_EVENTS:
            try:
                data = self._sock.recv(_READ_SIZE)
            except (BlockingIOError, ssl.SSLWantReadError):
                break
            except ssl.SSLWantWriteError:
                self._read_waits_for_write = True
                break
            except OSError as error:
                self._end(_lost("the connection to the server was lost", error))
                break
            if not data:
                self._end(self._unannounced_end())
                break
            self._take(data)
            budget -= len(data)
            if budget <= 0:
                break  # poll, or read_now, tells that there is more
            if self._tls is None and len(data) < _READ_SIZE:
                break  # a short read has emptied the socket; TLS gives a record at a time
        if self._failure is not None:
            self._end(self._failure)
        events, self._unread = self._unread, []
        if len(events) > _MOST_EVENTS:
            events, self._unread = events[:_MOST_EVENTS], events[_MOST_EVENTS:]
        return events

    def _take(self, data: bytes) -> None:
        events, error = self._parser.feed(data)
        if len(events) == 1 and type(events[0]) is Text and error is None:  # as mostly
            self._unread.append(events[0])
            return
        pings = [event for event in events if isinstance(event, Ping)]
        if pings:
            # Only the newest ping needs an answer (RFC 6455, 5.5.3): no pile of pongs for a
            # peer that pings and doesn't read.
            self._drop_unstarted(lambda item: item.opcode == Opcode.PONG)
            self._put(Opcode.PONG, pings[-1].data)
        if events and isinstance(events[-1], Closed):  # nothing comes after it
            self._ended = True
            if not self._close_sent:
                self.send_close(events[-1].code if events[-1].code in _SENDABLE else None)
        self._unread += events
        if error is not None:
            self._end(error)

    def _unannounced_end(self) -> APIError:
        where = " in the middle of a message" if self._parser.partial else " without a CLOSE frame"
        return APIConnectionError(f"the server ended the connection{where}")

    def _end(self, error: APIError) -> None:
        if not self._ended:
            self._ended = True
            self._unread.append(Eof(error))

    # ---- the end

    def close(self) -> None:
        """Close the socket at once, whatever is queued. May be called again."""
        sock, self._sock, self._tls = self._sock, None, None
        self._queue.clear()
        self.backlog = 0
        if sock is not None:
            sock.close()


def _lost(what: str, cause: OSError) -> APIConnectionError:
    error = APIConnectionError(f"{what}: {cause.strerror or cause}")
    error.__cause__ = cause
    return error
