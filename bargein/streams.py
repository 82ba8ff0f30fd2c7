"""The streams by transport. Each is the same stream; what differs is who judges, and the driver."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bargein.core import InterruptionOptions, Judge, JudgeSettings, Settings
from bargein.core.connect_options import APIConnectOptions
from bargein.drivers.calls import BackendDriver
from bargein.drivers.http import HttpDriver
from bargein.drivers.http_adapter import HttpRequest
from bargein.drivers.protocol import Driver, Host
from bargein.drivers.websocket import WebSocketDriver
from bargein.errors import APITimeoutError, FrameError
from bargein.runtime.pool import Lane, connect_pool, http_pool, inference_pool
from bargein.stream import InterruptionStreamBase
from bargein.wire.http import InterruptionResponse
from bargein.worker import Worker

if TYPE_CHECKING:
    from bargein.detector import AdaptiveInterruptionDetector

__all__ = [
    "InterruptionBackendStream",
    "InterruptionHttpStream",
    "InterruptionWebSocketStream",
]

WEBSOCKET_IN_FLIGHT = 8
"""Windows: 0.8 s of cadence, about what `inference_timeout` allows a reply."""

CALL_IN_FLIGHT = 2
"""Windows. One being judged and one on its way keep a request/response judge busy."""


# --- drivers: a stream's, and the check's ---------------------------------------------------------


def in_flight(options: InterruptionOptions, default: int) -> int:
    """How many windows may be unanswered at a time."""
    return options.max_in_flight or default


def settings_of(options: InterruptionOptions) -> Settings:
    """What a server is told of the options."""
    return Settings(options.threshold, options.min_frames)


def backend_driver(
    model: AdaptiveInterruptionDetector, host: Host, *, stream_id: str
) -> BackendDriver:
    """Build the driver of the detector's own backend."""
    backend = model._backend
    assert backend is not None
    return BackendDriver(
        host, inference_pool, judge=Judge.PRIMARY, backend=backend, stream_id=stream_id
    )


def http_driver(
    model: AdaptiveInterruptionDetector,
    host: Host,
    *,
    options: InterruptionOptions,
    connect: APIConnectOptions,
    has_fallback: bool,
) -> HttpDriver:
    """Build the driver of the detector's server over HTTP."""
    return HttpDriver(
        host,
        http_pool,
        client=model.remote.client,
        options=connect,
        settings=settings_of(options),
        width=in_flight(options, CALL_IN_FLIGHT),
        has_fallback=has_fallback,
        jitter=random.random,
    )


def websocket_driver(
    model: AdaptiveInterruptionDetector,
    host: Host,
    *,
    options: InterruptionOptions,
    connect: APIConnectOptions,
    has_fallback: bool,
) -> WebSocketDriver:
    """Build the driver of the detector's server over a WebSocket."""
    remote = model.remote
    return WebSocketDriver(
        host,
        connect_pool,
        url=remote.endpoint.websocket_url,
        headers=remote.headers,
        tls=remote.tls,
        options=connect,
        settings=settings_of(options),
        has_fallback=has_fallback,
        jitter=random.random,
    )


# --- streams --------------------------------------------------------------------------------------


class InterruptionBackendStream(InterruptionStreamBase):
    """A stream that is judged in this process: the local backend, or the user's own."""

    def _judge_settings(self) -> JudgeSettings:
        backend = self._model._backend
        assert backend is not None
        return JudgeSettings(
            max_in_flight=in_flight(self._options, CALL_IN_FLIGHT),
            default_threshold=backend.default_threshold,
        )

    def _build_driver(self, worker: Worker) -> Driver:
        return backend_driver(self._model, worker, stream_id=self.id)


class InterruptionHttpStream(InterruptionStreamBase):
    """A stream whose windows are HTTP requests."""

    def _judge_settings(self) -> JudgeSettings:
        return JudgeSettings(max_in_flight=in_flight(self._options, CALL_IN_FLIGHT))

    def _build_driver(self, worker: Worker) -> Driver:
        return http_driver(
            self._model,
            worker,
            options=self._options,
            connect=self._conn_options,
            has_fallback=self._model.has_fallback,
        )

    def predict(
        self, waveform: npt.NDArray[np.int16], *, timeout: float | None = None
    ) -> InterruptionResponse:
        """Have a waveform judged by itself: int16 ``(n,)``, 16 kHz mono; blocks.

        It belongs to no overlap, makes no event, and may be called in any thread. Waits
        ``timeout`` seconds, by default the stream's ``inference_timeout``. Raises
        :class:`~bargein.errors.FrameError` for a wrong array, else an
        :class:`~bargein.errors.APIError`.
        """
        if getattr(waveform, "dtype", None) != np.int16 or waveform.ndim != 1:
            came = getattr(waveform, "dtype", type(waveform).__name__)
            shape = getattr(waveform, "shape", "no shape")
            raise FrameError(
                f"a waveform came as {came} of {shape}; expected an int16 array of shape (n,), "
                "16 kHz mono"
            )
        return _judge_alone(self, waveform, timeout or self._options.inference_timeout)


def _judge_alone(
    stream: InterruptionHttpStream, waveform: npt.NDArray[np.int16], timeout: float
) -> InterruptionResponse:
    request, done = HttpRequest(), threading.Event()
    result: list[Any] = []

    def judge() -> None:
        settings = settings_of(stream._options)
        try:
            result.append(
                stream._model.remote.client.judge(
                    request,
                    stream._model._next_alone(),
                    waveform,
                    threshold=settings.threshold,
                    min_frames=settings.min_frames,
                )
            )
        except Exception as error:
            result.append(error)
        done.set()

    job = Lane(http_pool).submit(judge)
    if not done.wait(timeout):
        if not job.withdraw():
            request.abort()
        raise APITimeoutError(f"no reply within {timeout:g} s; the request was aborted")
    if isinstance(result[0], Exception):
        raise result[0]
    response: InterruptionResponse = result[0]
    return response


class InterruptionWebSocketStream(InterruptionStreamBase):
    """A stream whose windows go over a WebSocket."""

    def _judge_settings(self) -> JudgeSettings:
        return JudgeSettings(max_in_flight=in_flight(self._options, WEBSOCKET_IN_FLIGHT))

    def _build_driver(self, worker: Worker) -> Driver:
        return websocket_driver(
            self._model,
            worker,
            options=self._options,
            connect=self._conn_options,
            has_fallback=self._model.has_fallback,
        )
