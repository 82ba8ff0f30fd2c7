"""Running the app: uvicorn, worker processes, and a stop that loses no verdict."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette

from bargein.errors import OptionError

from .app import create_app
from .config import ServerConfig
from .metrics import MULTIPROCESS_DIR
from .service import Service

__all__ = ["serve"]

logger = logging.getLogger("bargein.server")

BACKLOG = 1024
"""Connections that may wait to be accepted: a fleet that reconnects after a restart."""


class _Server(uvicorn.Server):
    """uvicorn, but a first SIGTERM lets the sessions finish; a second one doesn't."""

    service: Service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.service.draining:
            super().handle_exit(sig, frame)
            return
        self.service.draining = True
        asyncio.get_running_loop().call_soon_threadsafe(self._begin_drain)

    def _begin_drain(self) -> None:
        self._drain = asyncio.ensure_future(self._drain_and_stop())

    async def _drain_and_stop(self) -> None:
        await self.service.drain()
        self.should_exit = True


def serve(
    backend: Any,
    config: ServerConfig,
    *,
    host: str,
    port: int,
    workers: int = 1,
    certificate: str | None = None,
    key: str | None = None,
    ready: Callable[[int], None] | None = None,
) -> int:
    """Listen and serve until told to stop; return an exit code.

    ``ready`` is called with the port once it listens. Blocks; SIGTERM and SIGINT drain.
    """
    with _listen(host, port) as listener:
        if ready is not None:
            ready(listener.getsockname()[1])
        if workers == 1:
            return _run(listener, backend, config, certificate, key)
        with tempfile.TemporaryDirectory(prefix="bargein-metrics-") as folder:
            os.environ[MULTIPROCESS_DIR] = folder
            return _supervise(workers, lambda: _run(listener, backend, config, certificate, key))


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise OptionError(f"can't listen on {host}:{port}: {error}") from error


def build_server(
    app: Starlette, config: ServerConfig, certificate: str | None = None, key: str | None = None
) -> _Server:
    """Return a server for the app that is still to be given its sockets."""
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            ws="websockets-sansio",
            ws_max_size=int(config.max_window_bytes) * 2,
            ws_per_message_deflate=False,  # audio doesn't shrink, and costs CPU not to
            server_header=False,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            timeout_graceful_shutdown=2,
        )
    )
    server.service = app.state.service
    return server


def _run(
    listener: socket.socket,
    backend: Any,
    config: ServerConfig,
    certificate: str | None,
    key: str | None,
) -> int:
    build_server(create_app(backend, config), config, certificate, key).run(sockets=[listener])
    return 0


def _supervise(workers: int, run: Callable[[], int]) -> int:
    """Keep so many processes running on one listener; pass the stop on to them."""
    children: set[int] = set()
    stopping = False

    def stop(sig: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        for child in children:
            os.kill(child, signal.SIGTERM)

    def start() -> None:
        child = os.fork()
        if child:
            children.add(child)
            return
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; ours decides
        os._exit(run())

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for _ in range(workers):
        start()
    while children:
        child, status = os.wait()
        children.discard(child)
        if not stopping:
            logger.error("worker %d ended with status %d; another is started", child, status)
            start()
    return 0
