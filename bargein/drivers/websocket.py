"""The WebSocket driver: sessions on sockets that never block, all on the reactor's thread.

A connection machine says when to connect, what to say and which session serves. This driver
connects on a pool's thread, carries bytes, and reports what came. A window is made into bytes only
when the socket has room for it, so what waits can be superseded.
"""

from __future__ import annotations

import logging
import select
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any

from bargein.core import Judge, Prediction, Reply, Settings, State, Window, WindowSent
from bargein.core.actions import CancelWindow
from bargein.core.connect_options import APIConnectOptions
from bargein.core.connection_items import (
    CallChanged,
    Connect,
    Connected,
    ConnectFailed,
    ConnectionAction,
    ConnectStarted,
    CreateSession,
    Disconnect,
    Garbled,
    Open,
    Ping,
    Pong,
    SayGoodbye,
    Serve,
    ServerError,
    SessionClosed,
    SessionCreated,
    SessionLost,
    Shut,
    Update,
)
from bargein.core.connection_states import ConnectionState
from bargein.core.verdicts import Reason
from bargein.core.websocket_connection import WebSocketConnection as WebSocketLife
from bargein.errors import APIConnectionError, APIError, ProtocolError
from bargein.runtime.poller import Pollable
from bargein.runtime.pool import Job, Lane, Pool
from bargein.wire import websocket_frames as frames
from bargein.wire.messages import (
    InterruptionWSDetectedMessage,
    InterruptionWSErrorMessage,
    InterruptionWSInferenceDoneMessage,
    InterruptionWSSessionClosedMessage,
    InterruptionWSSessionCloseMessage,
    InterruptionWSSessionCreatedMessage,
    InterruptionWSSessionCreateMessage,
    InterruptionWSSessionCreateSettings,
    UnknownMessage,
    decode_server,
    encode,
)
from bargein.wire.status import message_error

from .loop import ConnectionLoop
from .protocol import Host
from .websocket_connect import ConnectAttempt
from .websocket_connection import ConnectionEvent, Eof, WebSocketConnection

__all__ = ["WebSocketDriver"]

logger = logging.getLogger("bargein")

CONNECT_WIDTH = 2
"""Attempts of one stream at a time: one to serve, and one for an update of the settings."""


_ReplyMessage = InterruptionWSDetectedMessage | InterruptionWSInferenceDoneMessage


class _Attempt:
    """A connection in the making: run on a pool's thread, abandoned from the worker's."""

    def __init__(self, attempt: ConnectAttempt) -> None:
        self._attempt = attempt
        self._lock = threading.Lock()
        self._abandoned = False
        self.job: Job | None = None

    def run(self, post: Callable[[object], None]) -> None:
        """Connect, and post ``None`` at the start, then the connection or the error."""
        post(None)
        try:
            connection = self._attempt.run()
        except APIError as error:
            post(error)
        except Exception as error:  # a bug, or a limit of the system: it must not be silent
            wrapped = APIConnectionError(f"connecting failed: {error!r}")
            wrapped.__cause__ = error
            post(wrapped)
        else:
            with self._lock:
                if not self._abandoned:
                    post(connection)
                    return
            connection.close()

    def abandon(self) -> None:
        """Leave nothing of it: whatever comes of it from now on is closed."""
        with self._lock:
            self._abandoned = True
        if self.job is not None and not self.job.withdraw():
            self._attempt.cancel()


class WebSocketDriver:
    """Carries a stream's windows over a WebSocket; see :class:`~bargein.drivers.protocol.Driver`.

    ``headers`` makes the handshake's headers, a token of its own among them, for each connection.
    """

    judge = Judge.PRIMARY

    def __init__(
        self,
        host: Host,
        pool: Pool,
        *,
        url: str,
        headers: Callable[[], Mapping[str, str]],
        tls: ssl.SSLContext | None,
        options: APIConnectOptions,
        settings: Settings,
        has_fallback: bool,
        jitter: Callable[[], float],
    ) -> None:
        machine = WebSocketLife(
            options, settings=settings, has_fallback=has_fallback, jitter=jitter
        )
        self._host = host
        self._lane = Lane(pool, CONNECT_WIDTH)
        self._url, self._headers, self._tls = url, headers, tls
        self._timeout = options.timeout
        self._loop = ConnectionLoop(machine, host, self._act)
        self._attempts: dict[int, _Attempt] = {}
        self._connections: dict[int, WebSocketConnection] = {}
        self._watched: dict[int, bool] = {}
        """Whether each connection is polled for writing, beside reading."""
        self._serving: int | None = None
        self._queue: dict[int, Window] = {}
        self._news: deque[tuple[int, object, float]] = deque()
        self._odd: set[str] = set()

    # --- the driver -------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether all is shut: after a goodbye, or because the server was given up."""
        return self._loop.machine.state is ConnectionState.ENDED

    @property
    def reconnects(self) -> int:
        """Connections made after the first, ever."""
        return self._loop.reconnects

    @property
    def faults(self) -> int:
        """Faults of the server, announced or not, ever."""
        return self._loop.faults

    def start(self, now: float) -> None:
        """See :class:`~bargein.drivers.protocol.Driver`, here and below."""
        self._loop.feed(Open(), now)

    def send(self, window: Window, now: float) -> None:
        self._queue[window.id] = window

    def cancel(self, window_id: int, reason: Reason | None, now: float) -> None:
        if self._queue.pop(window_id, None) is None:
            for connection in self._connections.values():
                connection.discard(window_id)
        self._loop.feed(CancelWindow(window_id, self.judge, reason), now)

    def call_changed(self, state: State, now: float) -> None:
        self._loop.feed(CallChanged(state), now)

    def update(self, settings: Settings, now: float) -> None:
        self._loop.feed(Update(settings), now)

    def step(self, ready: Collection[Pollable] | None, now: float) -> bool:
        while self._news:
            self._take_news(*self._news.popleft())
        again = False
        for session, connection in tuple(self._connections.items()):
            if ready is None or connection in ready or connection.read_now:
                for event in connection.read():
                    self._take_event(session, event, now)
                again |= connection.read_now
        return again

    def flush(self, now: float) -> None:
        for session, connection in tuple(self._connections.items()):
            if connection.backlog:
                self._note_sent(connection.flush(), now)
            if self._queue and session == self._serving:
                self._send_windows(connection, now)
            if connection.is_quiet and self._watched.get(session) is False:
                continue
            if connection.read_now:
                self._host.wake()
            writes = connection.wants_write
            if writes is not self._watched.get(session):
                self._watched[session] = writes
                self._host.watch(connection, select.POLLIN | (select.POLLOUT if writes else 0))

    def _send_windows(self, connection: WebSocketConnection, now: float) -> None:
        while self._queue and not connection.backlog:
            window = self._queue.pop(next(iter(self._queue)))
            connection.send_window(window.id, window.samples)
            self._note_sent(connection.flush(), now)
            if connection.read_now:
                break  # sending failed: what is left goes to another connection

    def _note_sent(self, begun: list[int], now: float) -> None:
        for window_id in begun:
            sent = WindowSent(window_id)
            self._loop.feed(sent, now)
            self._host.tell(sent, now)

    def deadline(self) -> float | None:
        return self._loop.machine.next_deadline()

    def handle_deadline(self, now: float) -> None:
        self._loop.handle_deadline(now)

    def finish(self, now: float, patience: float) -> None:
        self._queue.clear()
        self._loop.feed(Shut(patience), now)

    def close(self) -> None:
        self._queue.clear()
        for attempt in self._attempts.values():
            attempt.abandon()
        self._attempts.clear()
        while self._news:  # connections that were made and not taken yet
            _, result, _ = self._news.popleft()
            if isinstance(result, WebSocketConnection):
                result.close()
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    # --- what the connection machine wants --------------------------------------------------

    def _act(self, action: ConnectionAction, now: float) -> None:
        if isinstance(action, Connect):
            self._connect(action.session, now)
        elif isinstance(action, CreateSession):
            settings = InterruptionWSSessionCreateSettings(
                threshold=action.settings.threshold, min_frames=action.settings.min_frames
            )
            self._say(action.session, InterruptionWSSessionCreateMessage(settings=settings))
        elif isinstance(action, Serve):
            self._serving = action.session
        elif isinstance(action, Ping):
            self._connections[action.session].send_ping()
        elif isinstance(action, SayGoodbye):
            self._say(action.session, InterruptionWSSessionCloseMessage())
        elif isinstance(action, Disconnect):
            self._disconnect(action.session)

    def _connect(self, session: int, now: float) -> None:
        attempt = _Attempt(
            ConnectAttempt(self._url, self._headers(), timeout=self._timeout, tls=self._tls)
        )
        self._attempts[session] = attempt

        def post(result: object) -> None:
            self._news.append((session, result, time.monotonic()))
            self._host.wake()

        attempt.job = self._lane.submit(lambda: attempt.run(post))

    def _say(self, session: int, message: Any) -> None:
        connection = self._connections.get(session)
        if connection is not None:
            connection.send_text(encode(message))

    def _disconnect(self, session: int) -> None:
        attempt = self._attempts.pop(session, None)
        if attempt is not None:
            attempt.abandon()
        connection = self._connections.pop(session, None)
        if connection is not None:
            connection.flush()  # the answer to its CLOSE, if that is what is queued
            if self._watched.pop(session, None) is not None:
                self._host.forget(connection)
            connection.close()
        if self._serving == session:
            self._serving = None

    # --- what came --------------------------------------------------------------------------

    def _take_news(self, session: int, result: object, now: float) -> None:
        if session not in self._attempts:
            if isinstance(result, WebSocketConnection):
                result.close()  # made just before it was abandoned
        elif result is None:
            self._loop.feed(ConnectStarted(session), now)
        elif isinstance(result, WebSocketConnection):
            del self._attempts[session]
            self._connections[session] = result
            self._loop.feed(Connected(session), now)
        elif isinstance(result, APIError):
            del self._attempts[session]
            self._loop.feed(ConnectFailed(session, result), now)

    def _take_event(self, session: int, event: ConnectionEvent, now: float) -> None:
        if isinstance(event, frames.Text):
            self._take_text(session, event.data, now)
        elif isinstance(event, frames.Pong):
            self._loop.feed(Pong(session), now)
        elif isinstance(event, frames.Binary):
            self._note_odd("a binary message")
        elif isinstance(event, (frames.Closed, Eof)):
            self._disconnect(session)
            self._loop.feed(_lost(session, event), now)

    def _take_text(self, session: int, text: bytes, now: float) -> None:
        try:
            message = decode_server(text)
        except ProtocolError as error:
            self._loop.feed(Garbled(error), now)
            return
        for name in () if isinstance(message, UnknownMessage) else message.extra:
            self._note_odd(f"the field {name!r} in a message of type {message.type!s}")
        if isinstance(message, (InterruptionWSDetectedMessage, InterruptionWSInferenceDoneMessage)):
            self._take_reply(message, now)
        elif isinstance(message, InterruptionWSSessionCreatedMessage):
            self._loop.feed(SessionCreated(session, message.default_threshold), now)
        elif isinstance(message, InterruptionWSSessionClosedMessage):
            self._loop.feed(SessionClosed(session), now)
        elif isinstance(message, InterruptionWSErrorMessage):
            self._loop.feed(ServerError(session, message_error(message)), now)
        else:
            self._note_odd(f"a message of type {message.type!r}")

    def _take_reply(
        self,
        message: InterruptionWSDetectedMessage | InterruptionWSInferenceDoneMessage,
        now: float,
    ) -> None:
        if message.invalid is not None:
            self._loop.feed(Garbled(ProtocolError(message.invalid), message.created_at), now)
            return
        prediction = Prediction(
            message.checked,
            isinstance(message, InterruptionWSDetectedMessage),
            message.prediction_duration,
        )
        reply = Reply(message.created_at, prediction)
        self._loop.feed(reply, now)
        self._host.tell(reply, now)

    def _note_odd(self, what: str) -> None:
        """Log what isn't in the protocol, once each: it is ignored."""
        if what not in self._odd and len(self._odd) < MAX_ODD:
            self._odd.add(what)
            logger.info("%s: the server sent %s, which is ignored", self._host.name, what)


MAX_ODD = 64
"""Kinds of oddities that are logged; a server that makes up names mustn't fill the memory."""


def _lost(session: int, event: frames.Closed | Eof) -> SessionLost:
    if isinstance(event, Eof):
        return SessionLost(session, event.error)
    why = f"with code {event.code}" if event.code is not None else "without a code"
    if event.reason:
        why += f": {event.reason}"
    return SessionLost(
        session, APIConnectionError(f"the server closed the connection {why}"), event.code
    )
