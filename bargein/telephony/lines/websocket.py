"""WebSocket servers: media streams of Twilio and its family, and Asterisk's chan_websocket.

On the ``websockets`` package's threading server: a thread a connection reads, one writes, and the
package has one of its own. Needs the extra ``telephony``.
"""

from __future__ import annotations

import collections
import http
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bargein.errors import MissingExtraError, OptionError, ProtocolError

from ..codecs import asterisk_websocket, dialects, media_streams
from ..codecs import events as ev
from ..line import Answer, EndReason
from . import base

try:
    from websockets.exceptions import ConnectionClosed, ConnectionClosedOK
    from websockets.sync.server import Server as _WebSocketServer
    from websockets.sync.server import ServerConnection, serve
except ImportError as exc:  # pragma: no cover - the tests have it
    raise MissingExtraError("a WebSocket server for calls", "telephony") from exc

__all__ = ["AsteriskWebSocketServer", "Authorize", "MediaStreamsServer"]

Authorize = Callable[[str, Mapping[str, str]], bool]
"""Looks at a handshake's path (with its query) and headers (names in lower case): may it come in?
Runs on the connection's thread; raising means no."""

MAX_MESSAGE = 1 << 20
"""Bytes of an incoming message; the family's hold 20 to 100 ms, some 200 to 6,000."""

MAX_MARKS = 1_000
"""Marks that may be out at a time; past it the oldest are forgotten when they come back."""

TICK = 0.05
"""Seconds; how soon a reader sees what other threads ask for while its peer sends nothing."""

PING = 20.0
"""Seconds between pings, and until a peer that doesn't answer one is gone."""


class _Codec(Protocol):
    """What `MediaStream` and `AsteriskMedia` share."""

    def receive(self, message: str | bytes) -> list[ev.Event]: ...


class _WebSocketBase(base.Server):
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
        self._connections: set[_Connection] = set()

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
        base.logger.warning(
            "%s: %s isn't authorized", self.name, ev.short(connection.remote_address)
        )
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

    def _connect(self, websocket: ServerConnection, who: str) -> _Connection:
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


class MediaStreamsServer(_WebSocketBase):
    """Takes media streams: Twilio's, Telnyx', Plivo's, Exotel's.

    Args:
        on_call: what answers; runs on the connection's thread.
        host: address to listen on.
        port: TCP port; 0 takes a free one, see `address`.
        dialect: "twilio", "telnyx", "plivo", "exotel", or a `Dialect` of your own.
        authorize: looks at a handshake's path and headers; `codecs.authorize` makes some.
        ssl_context: for wss, where no proxy in front does that.
        max_calls: connections at a time.
        handshake_timeout: seconds for the WebSocket's handshake, and again until ``start``.
        idle_timeout: seconds without a message after which a call is over.
    """

    name = "media streams server"

    def __init__(
        self,
        on_call: Answer,
        host: str = "127.0.0.1",
        port: int = 8080,
        *,
        dialect: str | dialects.Dialect = "twilio",
        **limits: Any,
    ) -> None:
        super().__init__(on_call, host, port, **limits)
        if isinstance(dialect, str):
            found = dialects.DIALECTS.get(dialect)
            if found is None:
                raise OptionError(
                    f"dialect must be one of {', '.join(dialects.DIALECTS)} or a Dialect, "
                    f"got {dialect!r}"
                )
            dialect = found
        self._dialect = dialect
        self.name = f"{dialect.name} server"

    def _connect(self, websocket: ServerConnection, who: str) -> _Connection:
        stream = media_streams.MediaStream(self._dialect)
        return _Connection(websocket, stream, _MediaLine, base.Session(self._on_call, who))


class AsteriskWebSocketServer(_WebSocketBase):
    """Takes calls from Asterisk's ``Dial(WebSocket/…)`` (chan_websocket).

    Arguments as `MediaStreamsServer`'s, without a dialect. Both formats of control messages are
    understood; each call is answered in its own.
    """

    name = "chan_websocket server"
    subprotocols = ("media",)

    def __init__(
        self, on_call: Answer, host: str = "127.0.0.1", port: int = 8787, **limits: Any
    ) -> None:
        super().__init__(on_call, host, port, **limits)

    def _connect(self, websocket: ServerConnection, who: str) -> _Connection:
        media = asterisk_websocket.AsteriskMedia()
        return _Connection(websocket, media, _AsteriskLine, base.Session(self._on_call, who))


class _WebSocketLine(base.LineBase):
    paced_by_peer = True
    marks = True

    def __init__(self, started: ev.Started, connection: _Connection) -> None:
        super().__init__(started)
        self._connection = connection
        self._waiting: collections.deque[str] = collections.deque(maxlen=MAX_MARKS)
        self._doubtful: collections.deque[str] = collections.deque(maxlen=MAX_MARKS)
        self._make = threading.Lock()
        """Held while messages are made and queued, so that they keep their order."""

    def marked(self, name: str) -> bool | None:
        """Take note that a mark came back; was it sent before a clear? None: it isn't ours."""
        with self._make:
            for cleared, marks in ((True, self._doubtful), (False, self._waiting)):
                if name in marks:
                    marks.remove(name)
                    return cleared
        return None

    def _forget_marks(self, come_back: bool) -> None:
        """Note a clear: its marks come back and prove nothing, or they are given back here."""
        gone = list(self._waiting)
        self._waiting.clear()
        self._doubtful.extend(gone)
        if not come_back:
            self._connection.give_back(gone)

    def _wake(self) -> None:
        self._connection.wake()


class _MediaLine(_WebSocketLine):
    def __init__(self, started: ev.Started, connection: _Connection) -> None:
        super().__init__(started, connection)
        stream = connection.codec
        assert isinstance(stream, media_streams.MediaStream)
        self._stream = stream
        dialect = stream.dialect
        self._least = self.format.sample_rate * dialect.min_send // 1000 * self.format.sample_width
        self._rest = b""

    def _send_audio(self, audio: bytes) -> None:
        with self._make:
            self._rest += audio
            if len(self._rest) >= self._least:
                self._send_rest()

    def _send_rest(self) -> None:
        rest, self._rest = self._rest, b""
        second = self.format.sample_rate * self.format.sample_width
        for at in range(0, len(rest), second):
            self._connection.send(self._stream.media(rest[at : at + second]))

    def mark(self, name: str) -> None:
        with self._make:
            if self._rest:
                self._send_rest()
            self._waiting.append(name)
            self._connection.send(self._stream.mark(name), is_mark=True)

    def clear(self) -> None:
        with self._make:
            self._rest = b""
            come_back = self._stream.dialect.marks_return_when_cleared
            self._connection.clear(self._stream.clear(), keep_marks=come_back)
            self._forget_marks(come_back)


class _AsteriskLine(_WebSocketLine):
    def __init__(self, started: ev.Started, connection: _Connection) -> None:
        super().__init__(started, connection)
        media = connection.codec
        assert isinstance(media, asterisk_websocket.AsteriskMedia)
        self._media = media

    def _send_audio(self, audio: bytes) -> None:
        with self._make:
            for message in self._media.media(audio):
                self._connection.send(message)

    def mark(self, name: str) -> None:
        with self._make:
            for message in self._media.pad():
                self._connection.send(message)
            self._waiting.append(name)
            self._connection.send(self._media.mark(name), is_mark=True)

    def clear(self) -> None:
        with self._make:
            self._connection.clear(self._media.clear(), keep_marks=False)
            self._forget_marks(False)


class _Connection:
    """One WebSocket: this thread reads, another writes from a bounded queue."""

    def __init__(
        self,
        websocket: ServerConnection,
        codec: _Codec,
        make_line: Callable[[ev.Started, _Connection], _WebSocketLine],
        session: base.Session,
    ) -> None:
        self.codec = codec
        self.socket = websocket.socket
        self._websocket = websocket
        self._make_line = make_line
        self._session = session
        self._line: _WebSocketLine | None = None
        self._asked: EndReason | None = None
        self._why = ""
        self._queue: collections.deque[tuple[str | bytes, bool]] = collections.deque()
        self._queued = 0
        self._inbox: collections.deque[str] = collections.deque()
        self._ready = threading.Condition()
        self._closing = False

    # ---- From any thread.

    def send(self, message: str | bytes, *, is_mark: bool = False) -> None:
        with self._ready:
            if self._closing:
                return
            self._queue.append((message, is_mark))
            self._queued += len(message)
            slow = self._queued > base.MAX_OUT
            self._ready.notify()
        if slow:
            self.stop("slow")

    def clear(self, message: str, *, keep_marks: bool) -> None:
        """Send a clear instead of the audio that waits here; its marks go first or not at all."""
        with self._ready:
            if self._closing:
                return
            marks = [entry for entry in self._queue if entry[1] and keep_marks]
            self._queue.clear()
            self._queue.extend([*marks, (message, False)])
            self._queued = sum(len(entry[0]) for entry in self._queue)
            self._ready.notify()

    def give_back(self, marks: list[str]) -> None:
        """Have the reader tell of marks that the peer never will."""
        self._inbox.extend(marks)

    def stop(self, reason: EndReason) -> None:
        if self._line is not None:
            self._line.stop(reason)
            return
        if self._asked is None:
            self._asked = reason
        self.wake()

    def _reason(self) -> EndReason | None:
        return self._asked or (self._line.reason if self._line is not None else None)

    def wake(self) -> None:
        with self._ready:
            self._closing = True
            self._ready.notify()

    # ---- The writer's thread.

    def _write(self) -> None:
        try:
            while True:
                with self._ready:
                    while not self._queue and not self._closing:
                        self._ready.wait()
                    if not self._queue:
                        break
                    message, _ = self._queue.popleft()
                    self._queued -= len(message)
                self._websocket.send(message)
            reason = self._reason()
            if reason == "closed" and isinstance(self.codec, asterisk_websocket.AsteriskMedia):
                self._websocket.send(self.codec.hang_up())
            self._websocket.close(*_CLOSE_CODES.get(reason or "closed", (1000, "")))
        except ConnectionClosed:
            pass
        except Exception:
            base.logger.exception("a WebSocket's writer failed")
            base.cut(self.socket)

    # ---- The reader's thread.

    def run(self, handshake_timeout: float, idle_timeout: float) -> None:
        writer = threading.Thread(target=self._write, name="bargein-writer", daemon=True)
        writer.start()
        reason: EndReason = "lost"
        try:
            reason = self._serve(handshake_timeout, idle_timeout)
        except ProtocolError as exc:
            reason, self._why = "protocol", exc.message
        except ConnectionClosedOK:
            reason = "hangup"
        except ConnectionClosed as exc:
            reason, self._why = _closed(exc)
        except Exception:
            base.logger.exception("a WebSocket's reader failed")
        finally:
            asked = self._reason()
            if asked is not None and reason in ("lost", "hangup"):
                reason = asked  # what looks like it is our own close
            if self._line is not None:
                self._line.stop(reason)
            else:
                self.stop(reason)
            writer.join(base.LINGER)
            if writer.is_alive():
                base.cut(self.socket)
            self._session.end(reason, self._why)

    def _serve(self, handshake_timeout: float, idle_timeout: float) -> EndReason:
        begun = heard = time.monotonic()
        while True:
            asked = self._reason()
            if asked is not None:
                return asked
            self._give_back()
            if self._line is None:
                deadline, late = begun + handshake_timeout, "no start came in time"
            else:
                deadline, late = heard + idle_timeout, "nothing came for the idle timeout"
            left = deadline - time.monotonic()
            if left <= 0:
                self._why = late
                return "timeout"
            try:
                # Woken by what comes, which during a call is something every 20 ms; TICK is for
                # the rest: a hang-up or a clear while the peer is silent.
                message = self._websocket.recv(timeout=min(left, TICK))
            except TimeoutError:
                continue
            heard = time.monotonic()
            over = self._answer(self.codec.receive(message))
            if over is not None:
                return over

    def _answer(self, events: list[ev.Event]) -> EndReason | None:
        if self._line is None:
            for event in events:
                if isinstance(event, ev.Started):
                    line = self._line = self._make_line(event, self)
                    if not self._session.begin(line, line.marked):
                        return "handler"
        return self._session.tell(events)

    def _give_back(self) -> None:
        """Tell of marks that a clear dropped, where the peer doesn't."""
        while self._inbox:
            self._session.tell([ev.MarkReached(self._inbox.popleft())])


_CLOSE_CODES: dict[str, tuple[int, str]] = {
    "closed": (1000, ""),
    "hangup": (1000, ""),
    "shutdown": (1001, "the server is closing"),
    "protocol": (1002, "not the protocol"),
    "timeout": (1000, "nothing came in time"),
    "slow": (1008, "too slow"),
    "handler": (1011, ""),
}


def _closed(exc: ConnectionClosed) -> tuple[EndReason, str]:
    sent = exc.sent
    if sent is not None and not exc.rcvd_then_sent and sent.code in (1002, 1003, 1007, 1009):
        return "protocol", f"{sent.reason or 'a bad frame'} ({sent.code})"
    if exc.rcvd is not None:
        return "hangup", f"closed by the peer with {exc.rcvd.code}"
    return "lost", "the connection broke"


def _quiet_logger() -> Any:
    """The package logs each bad handshake with a traceback; strangers may not fill the log."""
    import logging

    quiet = logging.getLogger("bargein.telephony.websockets")
    quiet.setLevel(logging.CRITICAL)
    return quiet
