"""What the servers of calls by WebSocket share: the handshake, who may come in, and how many.

On the ``websockets`` package's threading server: a thread a connection reads, one writes, and the
package has one of its own. Needs the extra ``telephony``.
"""

from __future__ import annotations

import http
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from bargein.errors import MissingExtraError

from ..codecs.events import short
from ..line import Answer
from . import base
from .listening import Listener
from .websocket_connection import WebSocketConnection

try:
    from websockets.sync.server import Server as _WebSocketServer
    from websockets.sync.server import ServerConnection, serve
except ImportError as exc:  # pragma: no cover - the tests have it
    raise MissingExtraError("a WebSocket server for calls", "telephony") from exc

__all__ = ["Authorize", "WebSocketServer"]

Authorize = Callable[[str, Mapping[str, str]], bool]
"""Looks at a handshake's path (with its query) and headers (names in lower case): may it come in?
Runs on the connection's thread; raising means no."""

MAX_MESSAGE = 1 << 20
"""Bytes of an incoming message; the family's hold 20 to 100 ms, some 200 to 6,000."""

PING = 20.0
"""Seconds between pings, and until a peer that doesn't answer one is gone."""


class WebSocketServer(base.Server):
    subprotocols: tuple[str, ...] = ()

    def __init__(
        self,
        on_call: Answer,
        host: str,
        port: int,
        *,
        authorize: Authorize | None = None,
        ssl_context: ssl.SSLContext | None = None,
        max_calls: int = base.MAX_CALLS,
        handshake_timeout: float = base.HANDSHAKE_TIMEOUT,
        idle_timeout: float = base.IDLE_TIMEOUT,
    ) -> None:
        super().__init__(
            on_call,
            host,
            port,
            max_calls=max_calls,
            handshake_timeout=handshake_timeout,
            idle_timeout=idle_timeout,
        )
        self._authorize = authorize
        self._ssl = ssl_context
        self._sockets: dict[socket.socket, threading.Thread] = {}
        self._connections: set[WebSocketConnection] = set()

    @property
    def calls(self) -> int:
        return len(self._sockets)

    def _open(self) -> None:
        server = serve(
            self._talk,
            self._host,
            self._port,
            ssl=self._ssl,
            process_request=self._check,
            select_subprotocol=self._select if self.subprotocols else None,
            compression=None,  # it costs CPU and delay, and audio hardly shrinks
            open_timeout=self._handshake_timeout,
            close_timeout=base.LINGER,
            ping_interval=PING,
            ping_timeout=PING,
            max_size=MAX_MESSAGE,
            logger=_quiet_logger(),
        )
        # The package's loop would end at the first connection that can't be taken.
        server.socket = Listener(server.socket, self._short)  # type: ignore[assignment]
        self._server: _WebSocketServer = server
        self._inner = server.handler
        server.handler = self._limited
        self._address = server.socket.getsockname()[:2]
        self._thread = threading.Thread(
            target=server.serve_forever, name=f"bargein-{self.name}", daemon=True
        )
        self._thread.start()

    def _limited(self, sock: socket.socket, peer: Any) -> None:
        """Run one connection, from its TCP handshake on, unless there are too many."""
        with self._lock:
            full = self._state == "closed" or len(self._sockets) >= self._max_calls
            if not full:
                self._sockets[sock] = threading.current_thread()
        if full:
            self._full(peer)
            base.cut(sock)  # the package closes it, and takes note of this thread's end
        try:
            self._inner(sock, peer)
        finally:
            with self._lock:
                self._sockets.pop(sock, None)

    def _select(self, connection: ServerConnection, offered: Any) -> Any:
        return next((name for name in self.subprotocols if name in offered), None)

    def _check(self, connection: ServerConnection, request: Any) -> Any:
        if self._authorize is None:
            return None
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        try:
            if self._authorize(request.path, headers):
                return None
        except Exception:
            base.logger.exception("%s: authorize raised", self.name)
        base.logger.warning("%s: %s isn't authorized", self.name, short(connection.remote_address))
        return connection.respond(http.HTTPStatus.FORBIDDEN, "Not authorized.\n")

    def _talk(self, websocket: ServerConnection) -> None:
        peer = websocket.remote_address
        who = f"{self.name} from {peer[0]}:{peer[1]}"
        connection = self._connect(websocket, who)
        with self._lock:
            self._connections.add(connection)
            closed = self._state == "closed"
        if closed:
            connection.stop("shutdown")
        try:
            connection.run(self._handshake_timeout, self._idle_timeout)
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _connect(self, websocket: ServerConnection, who: str) -> WebSocketConnection:
        raise NotImplementedError

    def _shut(self, deadline: float) -> None:
        with self._lock:
            left = list(self._connections)
            waiting = list(self._sockets)
            threads = list(self._sockets.values())
        talking = {connection.socket for connection in left}
        for sock in waiting:
            if sock not in talking:
                base.cut(sock)  # in the middle of its handshake
        for connection in left:
            connection.stop("shutdown")
        if not base.join_all(threads, deadline):
            with self._lock:
                waiting = list(self._sockets)
            for sock in waiting:
                base.cut(sock)
        # Some versions of the package wait here until their threads are gone.
        last = threading.Thread(target=self._server.shutdown, daemon=True)
        last.start()
        last.join(max(0.5, deadline - time.monotonic()))
        self._thread.join(0.5)
        # Versions before 17 leave the pipe open by which they stop; later ones have no number here.
        for name in ("shutdown_watcher", "shutdown_notifier"):
            end = getattr(self._server, name, None)
            if isinstance(end, int) and not self._thread.is_alive():
                os.close(end)


def _quiet_logger() -> Any:
    """The package logs each bad handshake with a traceback; strangers may not fill the log."""
    quiet = logging.getLogger("bargein.telephony.websockets")
    quiet.setLevel(logging.CRITICAL)
    return quiet
