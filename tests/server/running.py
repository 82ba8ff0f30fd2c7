"""The server in a thread of the test's process, and clients that speak to it by hand."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np
import websocket

from bargein.core import Prediction, Window
from bargein.server import ServerConfig, create_app
from bargein.server.run import _Server, build_server
from bargein.testing.sockets import BOUND, raw_listener
from bargein.wire.token import create_token

KEY, SECRET = "key", "a secret of thirty-two characters"
LOUD = np.full(4800, 8000, "<i2").tobytes()
QUIET = bytes(9600)


def judge(window: Window) -> Prediction:
    """Loud audio is an interruption: 0.9 a frame, else 0.1."""
    loud = bool(np.abs(window.samples.astype(int)).mean() > 1000)
    frames = -(-len(window.samples) // 400)
    return Prediction(np.full(frames, 0.9 if loud else 0.1, np.float32))


class Running:
    """A server that runs; its address, and what it holds."""

    def __init__(self, server: _Server, port: int, tls: bool) -> None:
        self.server, self.port, self.tls = server, port, tls
        self.service = server.service

    def url(self, scheme: str) -> str:
        return f"{scheme}://localhost:{self.port}"

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=BOUND)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            text = response.read().decode()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, text

    def limit(self, **limits: Any) -> None:
        """Change limits while it runs: what stands already, however slowly, meets them now."""
        self.service.config = attrs.evolve(self.service.config, **limits)

    def metric(self, line: str) -> float:
        text = self.request("GET", "/metrics")[2]
        found = [float(row.split()[-1]) for row in text.splitlines() if row.startswith(line + " ")]
        return found[0] if found else 0.0

    @contextlib.contextmanager
    def session(self, *, create: bool = True, token: str = "") -> Iterator[websocket.WebSocket]:
        headers = [f"Authorization: Bearer {token}"] if token else []
        client = websocket.create_connection(
            f"ws://127.0.0.1:{self.port}/bargein", timeout=BOUND, header=headers
        )
        try:
            if create:
                create_session(client)
                assert json.loads(client.recv())["type"] == "session.created"
            yield client
        finally:
            client.shutdown()


def create_session(client: websocket.WebSocket, **settings: Any) -> None:
    defaults = {"sample_rate": 16000, "num_channels": 1, "min_frames": 2, "encoding": "s16le"}
    client.send(json.dumps({"type": "session.create", "settings": defaults | settings}))


def send_window(client: websocket.WebSocket, number: int, audio: bytes = LOUD) -> None:
    client.send_binary(number.to_bytes(8, "little") + audio)


def receive(client: websocket.WebSocket) -> dict[str, Any]:
    return json.loads(client.recv())


def close_code(
    client: websocket.WebSocket, hear: Callable[[bytes], object] = lambda said: None
) -> int:
    """Read up to the CLOSE frame; its code. ``hear`` gets what was said before."""
    while True:
        # No answer to it: the server may have gone by then, and its reset would be an error here.
        frame = client.recv_frame()
        if frame.opcode == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(frame.data[:2], "big")
        hear(frame.data)


def token(key: str = KEY, secret: str = SECRET, *, age: float = 0.0) -> str:
    return create_token(key, secret, now=time.time() - age)


@contextlib.contextmanager
def running(
    backend: Any = judge, *, certificate: str | None = None, key: str | None = None, **limits: Any
) -> Iterator[Running]:
    """Run a server until the block ends."""
    config = ServerConfig(**limits)
    server = build_server(create_app(backend, config), config, certificate, key)
    listener = raw_listener(128)
    thread = threading.Thread(target=server.run, args=([listener],), name="server")
    thread.start()
    found = Running(server, listener.getsockname()[1], certificate is not None)
    try:
        if certificate is None:
            found.request("GET", "/healthz")  # answered once it is up
        yield found
    finally:
        server.service.draining = True
        server.should_exit = True
        thread.join(BOUND)
        listener.close()
        assert not thread.is_alive()
