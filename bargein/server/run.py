"""Running the app: uvicorn, worker processes, and a stop that loses no verdict."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn

from bargein.errors import OptionError
from bargein.wire.addresses import bracketed

from .config import MULTIPROCESS_DIR, ServerConfig
from .supervise import Supervisor, attempt

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from .service import Service

__all__ = ["build_server", "serve"]

logger = logging.getLogger("bargein.server")

BACKLOG = 1024
"""Connections that may wait to be accepted: a fleet that reconnects after a restart."""


KEEP_ALIVE = 75
"""Seconds that an HTTP connection may be idle: longer than load balancers keep theirs (60 s as a
rule), or a request of theirs could meet the end of one; and longer than overlaps lie apart."""

SPARE_CONNECTIONS = 64
"""Beside two for each session: health checks, scrapes, who is about to be refused."""

SPARE_FILES = 64
"""Descriptors that a process needs beside its connections: listeners, logs, the judge's files."""

SWITCH_INTERVAL = 0.0003
"""Seconds after which the event loop lets the judge have the interpreter, and back. Python's own
5 ms are as long as a batch takes: with 130 sessions on a core p99 was 106 ms by it, 16 by this."""

_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

SHARES_PORTS = sys.platform == "linux"
"""Whether each worker can listen on the port by itself, and the system spreads connections evenly.
Elsewhere they take them from one listener, and the worker that is awake first takes most."""


class _Quiet(logging.Filter):
    """Takes away errors that are none, so that the log's errors are to be looked at: a client that
    sends what isn't UTF-8, and a handshake that was answered by a refusal."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.exc_info, tuple) and record.exc_info[0] is UnicodeDecodeError:
            record.exc_info = None
            record.levelno, record.levelname = logging.INFO, "INFO"
        return not record.getMessage().startswith("ASGI callable returned without completing")


_QUIET = _Quiet()


class _Server(uvicorn.Server):
    """uvicorn, but a first SIGTERM lets the sessions finish; a second one doesn't."""

    service: Service
    parent: int | None = None
    """Of a worker: the process without which it isn't to go on."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.service.draining:
            super().handle_exit(sig, frame)
            return
        self.service.draining = True
        asyncio.get_running_loop().call_soon_threadsafe(self._begin_drain)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; what asyncio says of having no descriptors left is said once, not for each try."""
        asyncio.get_running_loop().set_exception_handler(_say_once())
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Look about, ten times a second."""
        if self.parent not in (None, os.getppid()) and not self.service.draining:
            logger.error("the process that started this worker is gone; it ends, too")
            self.service.draining = True
            self._begin_drain()
        return await super().on_tick(counter)

    def _begin_drain(self) -> None:
        self._drain = asyncio.ensure_future(self._drain_and_stop())

    async def _drain_and_stop(self) -> None:
        await self.service.drain()
        self.should_exit = True


def _say_once() -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    said = False

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal said
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _OUT_OF_FILES:
            if not said:
                logger.error("connections can't be accepted: %s (said once)", error)
            said = True
            return
        loop.default_exception_handler(context)

    return handle


def serve(
    load: Callable[[], Any],
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

    ``load`` gives the judge, as ``backend=`` takes it, in each process that serves. ``ready`` is
    called with the port once it listens. Blocks; SIGTERM and SIGINT drain. Raises
    :class:`~bargein.errors.OptionError` where it can't listen, or the judge can't be loaded.
    """
    _check_certificate(certificate, key)
    if workers == 1:
        with _listen(host, port) as listener:
            return _run(listener, load, config, certificate, key, ready)
    # Once, where what is wrong can be said plainly, and not by each worker, again and again.
    if (wrong := attempt(load)) is not None:
        raise OptionError(wrong)
    parent = os.getpid()
    with contextlib.ExitStack() as stack:
        listeners = _listen_for(workers, host, port)
        for listener in listeners:
            stack.enter_context(listener)
        if ready is not None:
            ready(listeners[0].getsockname()[1])

        def close() -> None:
            for listener in listeners:
                listener.close()

        def work(place: int) -> int:
            own = listeners[place % len(listeners)]
            for listener in listeners:
                if listener is not own:
                    listener.close()
            return _run(own, load, config, certificate, key, parent=parent)

        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bargein-metrics-"))
        os.environ[MULTIPROCESS_DIR] = folder
        stack.callback(os.environ.pop, MULTIPROCESS_DIR)
        return Supervisor(workers, work, stopped=close, ended=_forget).run()


def _forget(worker: int) -> None:
    from .metrics import forget_process

    forget_process(worker)


def _check_certificate(certificate: str | None, key: str | None) -> None:
    """Try them here, where what is wrong can be said once and plainly."""
    if certificate is None:
        return

    def refuse() -> str:  # OpenSSL would ask on the terminal, each worker for itself
        raise OptionError(f"the key {key!r} has a pass phrase; expected one without")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, refuse)
    except OSError as error:
        raise OptionError(
            f"can't serve TLS with the certificate {certificate!r} and the key {key!r}: {error}; "
            "expected two PEM files that belong together"
        ) from error


def _listen_for(workers: int, host: str, port: int) -> list[socket.socket]:
    """Return the listeners of so many workers, all on one port: one each where that can be."""
    if not SHARES_PORTS:
        return [_listen(host, port)]
    if port:  # or another server with workers, started by mistake, would share it in silence
        _listen(host, port).close()
    listeners = [_listen(host, port, shared=True)]
    port = listeners[0].getsockname()[1]
    return listeners + [_listen(host, port, shared=True) for _ in range(workers - 1)]


def _listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind(address)
            bound.listen(BACKLOG)
        except BaseException:
            bound.close()
            raise
        return bound
    except OSError as error:
        where = f"{bracketed(host)}:{port}"
        raise OptionError(f"can't listen on {where}: {error.strerror or error}") from error


def _run(
    listener: socket.socket,
    load: Callable[[], Any],
    config: ServerConfig,
    certificate: str | None,
    key: str | None,
    ready: Callable[[int], None] | None = None,
    parent: int | None = None,
) -> int:
    from .app import create_app

    sys.setswitchinterval(SWITCH_INTERVAL)
    server = build_server(create_app(load(), config), config, certificate, key)
    server.parent = parent
    if ready is not None:  # now that the judge is there
        ready(listener.getsockname()[1])
    server.run(sockets=[listener])
    return 0


def build_server(
    app: Starlette, config: ServerConfig, certificate: str | None = None, key: str | None = None
) -> _Server:
    """Return a server for the app that is still to be given its sockets."""
    from .connections import WebSocketProtocol, http_protocol

    logging.getLogger("uvicorn.error").addFilter(_QUIET)
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",  # ours are the lines that matter
            access_log=False,
            loop="asyncio",  # what was measured
            http=http_protocol(_connections(config), config.create_timeout),
            ws=WebSocketProtocol,
            ws_max_size=int(config.max_window_bytes) * 2,
            ws_per_message_deflate=False,  # audio doesn't shrink, and costs CPU not to
            backlog=BACKLOG,
            server_header=False,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=2,
        )
    )
    server.service = app.state.service
    return server


def _connections(config: ServerConfig) -> int:
    """Return how many connections there may be; have the system allow as many where it can."""
    wanted = 2 * int(config.max_sessions) + SPARE_CONNECTIONS
    try:
        import resource
    except ModuleNotFoundError:  # not a Unix
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < needed:
            logger.warning("%d descriptors are allowed; %d would be needed", soft, needed)
            return max(1, soft - SPARE_FILES)
    return wanted
