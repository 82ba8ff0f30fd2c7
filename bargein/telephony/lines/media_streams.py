"""Calls by media stream: Twilio and its family. Needs the extra ``telephony``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bargein.errors import OptionError

from ..codecs import dialects
from ..codecs import events as ev
from ..codecs.media_streams import MediaStream
from ..line import Answer
from . import base
from .websocket_connection import WebSocketConnection, WebSocketLine
from .websocket_server import WebSocketServer

if TYPE_CHECKING:
    from websockets.sync.server import ServerConnection

__all__ = ["MediaStreamsServer"]


class MediaStreamsServer(WebSocketServer):
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

    def _connect(self, websocket: ServerConnection, who: str) -> WebSocketConnection:
        stream = MediaStream(self._dialect)
        session = base.Session(self._on_call, who)
        return WebSocketConnection(websocket, stream, partial(_MediaLine, stream), session)


class _MediaLine(WebSocketLine):
    def __init__(
        self, stream: MediaStream, started: ev.Started, connection: WebSocketConnection
    ) -> None:
        super().__init__(started, connection)
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
