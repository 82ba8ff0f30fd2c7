"""The ASGI app: WebSocket and HTTP on one port, health and figures beside them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import time
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from bargein.backends import resolve_backend
from bargein.core import Prediction, Window
from bargein.wire.http import InterruptionResponse, encode_reply

from .config import ServerConfig
from .service import RETRY_AFTER, Refusal, Service, shortened
from .session import WebSocketSession

__all__ = ["create_app"]

logger = logging.getLogger("bargein.server")
access = logging.getLogger("bargein.server.access")

READY_PATIENCE, LIVE_PATIENCE = 5.0, 30.0
"""Seconds for which the judge may be busy with the same windows before the server isn't ready, and
before it is better started again: 10 and 60 times what one that is overloaded takes."""

JUDGE_PATIENCE = 10.0
"""Seconds after which a window over HTTP is answered without a verdict; clients wait for 0.7 s."""

_names = itertools.count(1)


def create_app(backend: Any = "local", config: ServerConfig | None = None) -> Starlette:
    """Return the server as a plain ASGI app, for any ASGI server.

    ``backend`` as :class:`~bargein.AdaptiveInterruptionDetector` takes it. The app's
    ``state.service`` is the :class:`~bargein.server.service.Service` that all requests share.
    """
    service = Service(resolve_backend(backend), config or ServerConfig())

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await service.engine.close()

    app = Starlette(
        routes=[
            WebSocketRoute("/bargein", _serve_websocket),
            Route("/bargein", _serve_window, methods=["POST"]),
            Route("/healthz", _healthz),
            Route("/readyz", _readyz),
            Route("/metrics", _metrics),
        ],
        lifespan=lifespan,
    )
    app.state.service = service
    return app


def _log_access(**fields: object) -> None:
    """Write one line of JSON: who, what, how it went; never audio or secrets."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    access.info("%s", json.dumps({"time": now, **fields}, separators=(",", ":")))


# --- health -------------------------------------------------------------------------------------


async def _healthz(request: Request) -> Response:
    service: Service = request.app.state.service
    if service.engine.busy_for() > LIVE_PATIENCE:
        return PlainTextResponse("the judge hangs\n", 503)
    return PlainTextResponse("ok\n")


async def _readyz(request: Request) -> Response:
    service: Service = request.app.state.service
    if service.draining:
        return PlainTextResponse("draining\n", 503)
    if service.engine.busy_for() > READY_PATIENCE:
        return PlainTextResponse("the judge hangs\n", 503)
    return PlainTextResponse("ready\n")


async def _metrics(request: Request) -> Response:
    service: Service = request.app.state.service
    return Response(service.metrics.render(), media_type="text/plain; version=0.0.4")


# --- WebSocket ----------------------------------------------------------------------------------


async def _serve_websocket(socket: WebSocket) -> None:
    service: Service = socket.app.state.service
    began = time.monotonic()
    name = f"{os.getpid()}-{next(_names)}"
    try:
        key = service.admit(socket.headers.get("authorization"))
        place = service.open_session(key, name)
    except Refusal as refusal:
        service.metrics.refused.labels(refusal.reason).inc()
        _log_access(path="/bargein", kind="websocket", status=refusal.status, why=str(refusal))
        await socket.send_denial_response(_refusal_response(refusal))
        return
    task = asyncio.current_task()
    assert task is not None
    service.sessions.add(task)
    why = "an error of the server's"
    try:
        await socket.accept()
        why = await WebSocketSession(service, socket, name, place).run()
    finally:
        service.sessions.discard(task)
        service.close_session(key, place)
        _log_access(
            path="/bargein",
            kind="websocket",
            session=name,
            key=key,
            seconds=round(time.monotonic() - began, 3),
            why=why,
        )


def _refusal_response(refusal: Refusal) -> Response:
    headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
    if refusal.reason == "draining":
        headers["Connection"] = "close"  # the next one may reach another server
    return PlainTextResponse(f"{refusal}\n", refusal.status, headers)


# --- HTTP ---------------------------------------------------------------------------------------


async def _serve_window(request: Request) -> Response:
    service: Service = request.app.state.service
    came = time.monotonic()
    key, status = "", 200
    try:
        key = service.admit(request.headers.get("authorization"))
        response = await _judge_window(service, request, came)
    except Refusal as refusal:
        service.metrics.refused.labels(refusal.reason).inc()
        status, response = refusal.status, _refusal_response(refusal)
    except ClientDisconnect:
        status, response = 499, Response(status_code=400)
    took = round(time.monotonic() - came, 4)
    _log_access(path="/bargein", kind="http", key=key, status=status, seconds=took)
    return response


async def _judge_window(service: Service, request: Request, came: float) -> Response:
    threshold, min_frames, created_at = _parameters(request)
    try:
        samples = await asyncio.wait_for(
            _read_samples(service, request), service.config.create_timeout
        )
    except asyncio.TimeoutError:
        raise Refusal(408, "the window came too slowly", reason="slow") from None
    engine = service.engine
    if engine.waiting >= service.config.max_waiting:
        raise Refusal(503, "the server is busy", reason="busy", retry_after=RETRY_AFTER)
    place = service.open_place("http")
    future: asyncio.Future[Prediction | Exception] = asyncio.get_running_loop().create_future()

    def answer(result: Prediction | Exception) -> None:
        if not future.done():
            future.set_result(result)

    window = Window(id=1, overlap=1, samples=samples, threshold=threshold, min_frames=min_frames)
    try:
        engine.submit(place, window, answer)
        result = await _unless_gone(request, future)
    finally:
        engine.close_place(place)
    service.metrics.latency.observe(time.monotonic() - came)
    if isinstance(result, Exception):
        service.metrics.windows.labels("failed").inc()
        raise Refusal(500, "the window couldn't be judged", reason="failed")
    positive = service.decide(result, threshold, min_frames)
    service.metrics.windows.labels("interruption" if positive else "no_interruption").inc()
    reply = InterruptionResponse(
        created_at=created_at,
        is_bargein=positive,
        prediction_duration=result.duration,
        probabilities=result.probabilities,
    )
    return JSONResponse(encode_reply(reply) | {"probabilities": shortened(result.probabilities)})


async def _unless_gone(
    request: Request, future: asyncio.Future[Prediction | Exception]
) -> Prediction | Exception:
    """Wait for the answer while there is somebody to give it to: clients abort what is too late."""
    gone = asyncio.ensure_future(request.receive())  # all that still comes is the end
    either: set[asyncio.Future[Any]] = {gone, future}
    try:
        await asyncio.wait(either, timeout=JUDGE_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            return future.result()
        if gone.done():
            raise ClientDisconnect
        raise Refusal(503, "the judge is too slow", reason="busy", retry_after=RETRY_AFTER)
    finally:
        gone.cancel()


def _parameters(request: Request) -> tuple[float | None, int, int]:
    query = request.query_params
    try:
        given = query.get("threshold")
        # livekit-agents 1.5 writes its own name for "not given" into the address
        threshold = None if given in (None, "", "NOT_GIVEN") else float(given)
        min_frames = int(query.get("min_frames", "2"))
        created_at = int(query.get("created_at", "0"))
        if (threshold is not None and not 0 <= threshold <= 1) or min_frames < 1 or created_at < 0:
            raise ValueError("out of range")
    except ValueError:
        raise Refusal(
            400,
            "expected threshold from 0 to 1, min_frames >= 1 and created_at >= 0",
            reason="parameters",
        ) from None
    return threshold, min_frames, created_at


async def _read_samples(service: Service, request: Request) -> Any:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > service.config.max_window_bytes:
            raise Refusal(413, "the window is longer than 3 s", reason="size")
    if len(body) % 2 or not body:
        raise Refusal(400, f"the body has {len(body)} bytes; expected int16 samples", reason="size")
    return np.frombuffer(bytes(body), "<i2").astype(np.int16, copy=False)
