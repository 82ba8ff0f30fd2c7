"""A backend that asks a server, window by window: for ``benchmarks.serving``'s verdicts."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import websocket

from bargein.backends import Session
from bargein.core import Prediction, Window

__all__ = ["ServedBackend"]

PATIENCE = 30.0
"""Seconds for a reply."""


class ServedBackend:
    """Judges by asking the server at an address; ``ws`` or ``http``."""

    model = provider = "served"
    default_threshold: float | None = 0.5

    def __init__(self, url: str) -> None:
        self._url = url

    def open_session(self, stream_id: str | None) -> Session:
        """Connect."""
        return _HttpSession(self._url) if self._url.startswith("http") else _WsSession(self._url)


def _prediction(reply: dict[str, Any]) -> Prediction:
    return Prediction(np.array(reply["probabilities"], np.float32))


class _WsSession:
    def __init__(self, url: str) -> None:
        self._socket = websocket.create_connection(f"{url}/bargein", timeout=PATIENCE)
        settings = {"sample_rate": 16_000, "num_channels": 1, "min_frames": 2, "encoding": "s16le"}
        self._socket.send(json.dumps({"type": "session.create", "settings": settings}))
        self._socket.recv()

    def predict(self, window: Window) -> Prediction:
        """Ask."""
        data = window.samples.astype("<i2").tobytes()
        self._socket.send_binary(window.id.to_bytes(8, "little") + data)
        reply = json.loads(self._socket.recv())
        if reply.get("created_at") != window.id:
            raise RuntimeError(f"a reply to window {window.id} came as {reply}")
        return _prediction(reply)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


class _HttpSession:
    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)

    def predict(self, window: Window) -> Prediction:
        """Ask."""
        data = window.samples.astype("<i2").tobytes()
        self._connection.request("POST", "/bargein?min_frames=2&created_at=1", data)
        with self._connection.getresponse() as response:
            return _prediction(json.loads(response.read()))

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
