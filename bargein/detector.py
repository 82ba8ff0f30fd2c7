"""The detector: options, a judge, and the streams that share them."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal

import attrs

from bargein.backends import Backend, resolve_backend
from bargein.core import (
    InterruptionOptions,
    Judge,
    JudgeSettings,
    Metadata,
    OverlappingSpeechEvent,
    Window,
)
from bargein.core.checks import optional_instance
from bargein.core.connect_options import APIConnectOptions
from bargein.core.tracker import TrackerOptions
from bargein.core.verdicts import Reason
from bargein.core.window import WINDOW_RATE
from bargein.drivers.calls import BackendDriver
from bargein.drivers.protocol import Driver
from bargein.errors import OptionError, StateError, StreamEnded
from bargein.outbox import Hub
from bargein.remote import Remote
from bargein.runtime.listeners import EventEmitter
from bargein.runtime.pool import inference_pool
from bargein.stream import InterruptionStreamBase, Watcher
from bargein.streams import (
    CALL_IN_FLIGHT,
    InterruptionBackendStream,
    InterruptionHttpStream,
    InterruptionWebSocketStream,
)
from bargein.worker import Worker

if TYPE_CHECKING:
    from bargein.check import CheckReport
    from bargein.drivers.tls import TlsOptions

__all__ = ["AdaptiveInterruptionDetector"]

logger = logging.getLogger("bargein")

_DEFAULTS = InterruptionOptions()
"""Where the defaults of the options have their one home."""

_POLICIES = {"fail_open": Reason.FAIL_OPEN, "fail_closed": Reason.FAIL_CLOSED}


class AdaptiveInterruptionDetector(EventEmitter):
    """Tells true interruptions from backchannels, for any number of calls. Thread-safe.

    Who judges: ``backend`` (``"local"``, a :class:`~bargein.backends.Backend`, or a function of a
    window), or else the server at ``base_url`` (by default LiveKit's gateway, with ``api_key`` and
    ``api_secret`` from the environment). ``fallback`` judges while a server can't: a backend in
    the same forms, ``"fail_open"`` (half a second of overlap is an interruption),
    ``"fail_closed"`` (nothing is), or ``None``.

    ``threshold`` and what follows it are the fields of
    :class:`~bargein.core.InterruptionOptions`, with its defaults; ``conn_options`` says how
    patiently a server is tried; ``transport`` is ``"websocket"`` or ``"http"``, by default what
    the address suggests; ``tls`` says how the server is verified.

    Raises :class:`~bargein.errors.OptionError` for options that can't be, or don't go together.
    """

    def __init__(
        self,
        *,
        backend: str | Backend | Callable[[Window], Any] | None = None,
        fallback: str | Backend | Callable[[Window], Any] | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        api_secret: str | None = None,
        transport: Literal["websocket", "http"] | None = None,
        tls: TlsOptions | None = None,
        conn_options: APIConnectOptions | None = None,
        threshold: float | EllipsisType | None = _DEFAULTS.threshold,
        min_interruption_duration: float = _DEFAULTS.min_interruption_duration,
        max_audio_duration: float = _DEFAULTS.max_audio_duration,
        audio_prefix_duration: float = _DEFAULTS.audio_prefix_duration,
        detection_interval: float = _DEFAULTS.detection_interval,
        inference_timeout: float = _DEFAULTS.inference_timeout,
        verdict_grace: float = _DEFAULTS.verdict_grace,
        max_in_flight: int | None = _DEFAULTS.max_in_flight,
        eager_first_window: bool = _DEFAULTS.eager_first_window,
        reset_window_per_overlap: bool = _DEFAULTS.reset_window_per_overlap,
        prefix_before_agent: bool = _DEFAULTS.prefix_before_agent,
    ) -> None:
        optional_instance("conn_options", conn_options, APIConnectOptions)
        self.conn_options = conn_options or APIConnectOptions()
        self._options = InterruptionOptions(
            threshold=None if threshold is ... else threshold,
            min_interruption_duration=min_interruption_duration,
            max_audio_duration=max_audio_duration,
            audio_prefix_duration=audio_prefix_duration,
            detection_interval=detection_interval,
            inference_timeout=inference_timeout,
            verdict_grace=verdict_grace,
            max_in_flight=max_in_flight,
            eager_first_window=eager_first_window,
            reset_window_per_overlap=reset_window_per_overlap,
            prefix_before_agent=prefix_before_agent,
        )
        self._backend = None if backend is None else resolve_backend(backend)
        self._remote: Remote | None = None
        if self._backend is None:
            self._remote = Remote(
                base_url=base_url,
                api_key=api_key,
                api_secret=api_secret,
                transport=transport,
                tls=tls,
                connect=self.conn_options,
            )
        elif base_url or api_key or api_secret or transport or tls:
            raise OptionError(
                "backend came together with base_url, api_key, api_secret, transport or tls; give "
                "a backend, or a server (and a backend as its fallback)"
            )
        self._policy = _POLICIES.get(fallback) if isinstance(fallback, str) else None
        self._fallback = None
        if fallback is not None and self._policy is None:
            self._fallback = resolve_backend(fallback)
        self._hub = Hub(self.label, Metadata(self.model, self.provider))
        self._listeners = self._hub.listeners
        # Reentrant: a signal's handler may close the detector.
        self._lock = threading.RLock()
        """For the three below, so that no stream opens unseen by close() or update_options()."""
        self._streams: weakref.WeakValueDictionary[int, InterruptionStreamBase]
        self._streams = weakref.WeakValueDictionary()
        self._keys = itertools.count()
        self._alone = itertools.count(1)
        self._closed = False
        logger.info("a detector with %s (%s)", self.model, self.provider)

    # --- who judges -------------------------------------------------------------------------

    @property
    def model(self) -> str:
        """The judge's model."""
        return "adaptive interruption" if self._backend is None else self._backend.model

    @property
    def provider(self) -> str:
        """Who provides it."""
        if self._backend is not None:
            return self._backend.provider
        return "livekit" if self.remote.endpoint.is_gateway else "custom"

    @property
    def label(self) -> str:
        """The detector's kind, as error events name it."""
        return f"{type(self).__module__}.{type(self).__name__}"

    @property
    def sample_rate(self) -> int:
        """Hz; what the judge gets, whatever the caller's audio comes as."""
        return WINDOW_RATE

    @property
    def base_url(self) -> str | None:
        """The server's address; ``None`` where the judge is in this process."""
        return None if self._remote is None else self._remote.endpoint.base_url

    @property
    def options(self) -> InterruptionOptions:
        """The options of streams opened from here on."""
        return self._options

    @property
    def remote(self) -> Remote:
        """The server."""
        if self._remote is None:
            raise StateError("this detector judges in this process; it has no server")
        return self._remote

    @property
    def has_fallback(self) -> bool:
        """Whether somebody judges while the server can't."""
        return self._fallback is not None or self._policy is not None

    def about(self) -> dict[str, Any]:
        """Return who judges, in JSON types and without secrets."""
        transport = None if self._remote is None else self._remote.endpoint.transport
        return {"model": self.model, "provider": self.provider, "transport": transport}

    def _fallback_settings(self) -> JudgeSettings | Reason | None:
        if self._fallback is None:
            return self._policy
        return JudgeSettings(
            max_in_flight=CALL_IN_FLIGHT, default_threshold=self._fallback.default_threshold
        )

    def _fallback_driver(self, worker: Worker, stream_id: str) -> Driver | None:
        if self._fallback is None:
            return None
        return BackendDriver(
            worker,
            inference_pool,
            judge=Judge.FALLBACK,
            backend=self._fallback,
            stream_id=stream_id,
        )

    def _next_alone(self) -> int:
        """Return an id for a window that belongs to no stream."""
        return next(self._alone)

    # --- streams ----------------------------------------------------------------------------

    def stream(
        self,
        *,
        id: str | None = None,
        sample_rate: int | None = None,
        num_channels: int | None = None,
        encoding: str | None = None,
        vad: Literal["silero"] | None = None,
        tracker: TrackerOptions | None = None,
        conn_options: APIConnectOptions | None = None,
        recorder: Watcher | None = None,
        shadow: Watcher | None = None,
    ) -> InterruptionStreamBase:
        """Open a stream: one call.

        ``id`` names it in events, errors, metrics and log lines. ``sample_rate`` (Hz),
        ``num_channels`` and ``encoding`` say how bare samples are read (16 kHz mono ``s16le``
        where only some are given); without any, the first frame decides. ``vad="silero"`` finds
        overlaps in the audio by itself; else push ``voice_activity()`` or sentinels.

        ``recorder``: a :class:`~bargein.recording.Recorder` that writes the call to disk.
        ``shadow``: a :class:`~bargein.Shadow` that judges the same windows and decides nothing.
        """
        kind: type[InterruptionStreamBase]
        if self._backend is not None:
            kind = InterruptionBackendStream
        elif self.remote.endpoint.transport == "http":
            kind = InterruptionHttpStream
        else:
            kind = InterruptionWebSocketStream
        self._check_open()
        for name, watcher in (("recorder", recorder), ("shadow", shadow)):
            if watcher is not None and not callable(getattr(watcher, "begin", None)):
                expected = f"{name.title()}(…), or None"
                raise OptionError(f"{name} came as {watcher!r}; expected {expected}")
        options = self._options
        # Not under the lock: a watcher makes a folder, or opens a stream of its own.
        stream = kind(
            model=self,
            conn_options=conn_options,
            id=id,
            sample_rate=sample_rate,
            num_channels=num_channels,
            encoding=encoding,
            vad=vad,
            tracker=tracker,
            watchers=[watcher for watcher in (recorder, shadow) if watcher is not None],
        )
        with self._lock:
            self._streams[next(self._keys)] = stream
            now = self._options
            if now is not options:
                stream.update_options(
                    threshold=now.threshold,
                    min_interruption_duration=now.min_interruption_duration,
                )
        if self._closed:  # meanwhile
            stream.close(0.0)
            self._check_open()
        return stream

    def _check_open(self) -> None:
        if self._closed:
            raise StateError("the detector was closed; make another for new streams")

    def _open_streams(self) -> list[InterruptionStreamBase]:
        found = (reference() for reference in self._streams.valuerefs())
        return [stream for stream in found if stream is not None]

    def update_options(
        self,
        *,
        threshold: float | EllipsisType | None = ...,
        min_interruption_duration: float | EllipsisType = ...,
    ) -> None:
        """Judge by other settings, in all live streams too; left out means unchanged.

        ``threshold`` ``None`` is the judge's own default.
        """
        given: dict[str, Any] = {}
        if threshold is not ...:
            given["threshold"] = threshold
        if min_interruption_duration is not ...:
            given["min_interruption_duration"] = min_interruption_duration
        with self._lock:
            self._options = attrs.evolve(self._options, **given)
            for stream in self._open_streams():  # under the lock: two threads' wishes in one order
                with contextlib.suppress(StateError):  # ended meanwhile
                    stream.update_options(**given)

    def events(self) -> Iterator[OverlappingSpeechEvent]:
        """Iterate over all streams' events, from the first call on; ends at ``close()``.

        Several iterators share them. At most 16,384 wait; past that the oldest go.
        """
        queue = self._hub.events()

        def each() -> Iterator[OverlappingSpeechEvent]:
            while True:
                try:
                    yield queue.get()
                except StreamEnded:
                    return

        return each()

    def recv(self, timeout: float | None = None) -> OverlappingSpeechEvent:
        """Return the next event of any stream; see :meth:`events` and the stream's ``recv``."""
        return self._hub.events().get(timeout)

    def check(self, *, timeout: float = 10.0) -> CheckReport:
        """Try the judge out: connect, have a second of silence judged twice, say how that went.

        Blocks, for at most ``timeout`` seconds. Nothing of it reaches listeners, queues or
        metrics; live streams don't notice. ``print(detector.check())`` reads as sentences; it
        raises nothing for what is wrong with the judge (see :attr:`CheckReport.error`) and shows
        no secret. Any thread. Raises :class:`~bargein.errors.StateError` after ``close()``.
        """
        from bargein.check import run_check

        if self._closed:
            raise StateError("the detector was closed; make another to check")
        return run_check(self, timeout)

    # --- the end ----------------------------------------------------------------------------

    def close(self, timeout: float = 5.0) -> None:
        """Close all streams, waiting at most ``timeout`` seconds for them together; idempotent."""
        with self._lock:
            self._closed = True
            streams = self._open_streams()
        deadline = time.monotonic() + timeout
        for stream in streams:
            stream.close(0.0)
        for stream in streams:
            stream.close(max(0.0, deadline - time.monotonic()))
        self._hub.close()
        if self._remote is not None:
            self._remote.close()

    def __enter__(self) -> AdaptiveInterruptionDetector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
