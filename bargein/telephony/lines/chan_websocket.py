"""Calls by Asterisk's chan_websocket. Needs the extra ``telephony``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ..codecs import events as ev
from ..codecs.asterisk_websocket import AsteriskMedia
from ..line import Answer
from . import base
from .websocket_connection import WebSocketConnection, WebSocketLine
from .websocket_server import WebSocketServer

if TYPE_CHECKING:
    from websockets.sync.server import ServerConnection

__all__ = ["AsteriskWebSocketServer"]


class AsteriskWebSocketServer(WebSocketServer):
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

    def _connect(self, websocket: ServerConnection, who: str) -> WebSocketConnection:
        media = AsteriskMedia()
        session = base.Session(self._on_call, who)
        return WebSocketConnection(
            websocket, media, partial(_AsteriskLine, media), session, goodbye=media.hang_up
        )


class _AsteriskLine(WebSocketLine):
    def __init__(
        self, media: AsteriskMedia, started: ev.Started, connection: WebSocketConnection
    ) -> None:
        super().__init__(started, connection)
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
