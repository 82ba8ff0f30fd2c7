"""One WebSocket session: settings in, windows in, replies out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time

from starlette.websockets import WebSocket, WebSocketDisconnect

from bargein.core import Prediction, Window
from bargein.errors import FrameError, ProtocolError
from bargein.wire.messages import (
    InterruptionWSDetectedMessage,
    InterruptionWSErrorMessage,
    InterruptionWSInferenceDoneMessage,
    InterruptionWSSessionClosedMessage,
    InterruptionWSSessionCloseMessage,
    InterruptionWSSessionCreatedMessage,
    InterruptionWSSessionCreateMessage,
    InterruptionWSSessionCreateSettings,
    decode_client,
    encode,
)
from bargein.wire.window_frames import unpack_window

from .align import Aligner
from .engine import Place
from .limits import Bucket
from .service import Service, shortened

__all__ = ["WebSocketSession"]

logger = logging.getLogger("bargein.server")

QUIET = 1.0
"""Seconds without a window after which no overlap is open: ten of the default cadence."""

OVERTIME = 30.0
"""Seconds that a session of full length may take to come to a quiet moment."""

TEXTS_PER_SECOND = 20.0
"""Control messages; a session takes two in all."""

MAX_UNREAD = 256
"""Replies that a client may leave unread: five seconds of the most that it may ask for."""

CLOSE_NORMAL, CLOSE_GOING_AWAY, CLOSE_POLICY, CLOSE_TOO_BIG = 1000, 1001, 1008, 1009
"""RFC 6455, 7.4.1."""


class _End(Exception):
    """The session is over: an ``error`` message to send first, and the close code."""

    def __init__(self, close_code: int, reason: str, message: str = "", code: int = 400) -> None:
        super().__init__(reason)
        self.close_code, self.reason = close_code, reason
        self.message, self.code = message, code


class WebSocketSession:
    """Serves one connection, from its handshake to its end. For the event loop's thread."""

    def __init__(self, service: Service, socket: WebSocket, name: str, place: Place) -> None:
        self._service = service
        self._socket = socket
        self._name = name
        self._settings: InterruptionWSSessionCreateSettings | None = None
        self._place = place
        self._aligner = Aligner()
        self._number = 0
        self._opened = self._last_message = self._last_window = time.monotonic()
        self._windows = Bucket(service.config.windows_per_second, self._opened)
        self._patience = Bucket(service.config.windows_per_second, self._opened)
        """Windows too many: refused by a message each, until there are too many of those, too."""
        self._texts = Bucket(TEXTS_PER_SECOND, self._opened)
        self._reading = True
        self._over: _End | None = None
        self._outgoing: asyncio.Queue[str | None] = asyncio.Queue()

    async def run(self) -> str:
        """Serve until it is over; return why it ended, for the log."""
        sender = asyncio.create_task(self._send())
        # Beside the reader, as a timeout for each message would cost more than the message.
        watch = asyncio.create_task(self._watch(asyncio.current_task()))
        try:
            end = await self._read()
            watch.cancel()
            if end.message:
                self._refuse(end.message, end.code)
            await self._finish(sender)
            await self._close(end.close_code, end.reason)
            return end.reason
        except WebSocketDisconnect as gone:
            return f"the client left ({gone.code})"
        finally:
            watch.cancel()
            sender.cancel()

    async def _read(self) -> _End:
        try:
            while True:
                await self._step()
        except _End as end:
            return end
        except asyncio.CancelledError:
            if self._over is None:
                raise
            return self._over
        finally:
            self._reading = False

    async def _watch(self, reader: asyncio.Task[object] | None) -> None:
        """End the session when its time has come, whatever its client does or doesn't send."""
        assert reader is not None
        try:
            while True:
                await asyncio.sleep(QUIET / 4)
                self._check_time()
        except _End as end:
            if self._reading:
                self._over = end
                reader.cancel()

    async def _step(self) -> None:
        message = await self._socket.receive()
        if self._outgoing.qsize() > MAX_UNREAD:
            raise _End(CLOSE_POLICY, "the client doesn't read")
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        self._last_message = time.monotonic()
        text, data = message.get("text"), message.get("bytes")
        if text is not None:
            await self._take_text(text)
        elif data is not None:
            self._take_window(data)

    # --- time -------------------------------------------------------------------------------

    def _check_time(self) -> None:
        """End the session if its time has come and no overlap is open."""
        config, now = self._service.config, time.monotonic()
        self._check_create()
        if now - self._opened > config.max_session_length + OVERTIME:
            raise _End(CLOSE_GOING_AWAY, "the session is longer than it may be")
        if now - self._last_message > config.idle_timeout:
            raise _End(CLOSE_GOING_AWAY, "idle")
        if not self._place.idle or now - self._last_window < QUIET:
            return
        if self._service.draining:
            raise _End(CLOSE_GOING_AWAY, "the server is stopping")
        if now - self._opened > config.max_session_length:
            raise _End(CLOSE_GOING_AWAY, "the session is as long as it may be")

    def _check_create(self) -> None:
        waited = time.monotonic() - self._opened
        if self._settings is None and waited > self._service.config.create_timeout:
            raise _End(CLOSE_POLICY, "no session.create", "session.create didn't come", 408)

    # --- what comes -------------------------------------------------------------------------

    async def _take_text(self, text: str) -> None:
        if not self._texts.take(time.monotonic()):
            raise _End(CLOSE_POLICY, "too many messages", "too many messages in a second", 429)
        if len(text) > self._service.config.max_text_bytes:
            raise _End(CLOSE_TOO_BIG, "a text too long", "the message is too long", 413)
        try:
            message = decode_client(text)
        except ProtocolError as error:
            raise _End(CLOSE_POLICY, "a message that can't be read", str(error)) from None
        if isinstance(message, InterruptionWSSessionCreateMessage):
            self._create(message.settings)
        elif isinstance(message, InterruptionWSSessionCloseMessage):
            while not self._place.idle:
                await asyncio.sleep(0.005)  # what was sent before it is answered before it
            self._outgoing.put_nowait(encode(InterruptionWSSessionClosedMessage()))
            raise _End(CLOSE_NORMAL, "the client closed the session")

    def _create(self, settings: InterruptionWSSessionCreateSettings) -> None:
        wanted = (settings.sample_rate, settings.num_channels, settings.encoding)
        if wanted != (16_000, 1, "s16le"):
            raise _End(
                CLOSE_POLICY,
                "a format that isn't served",
                f"audio would come as {wanted[2]}, {wanted[0]} Hz, {wanted[1]} channels; "
                "expected s16le, 16000 Hz, 1 channel",
            )
        if settings.min_frames < 1:
            raise _End(CLOSE_POLICY, "min_frames 0", "min_frames must be at least 1")
        self._settings = settings
        created = InterruptionWSSessionCreatedMessage(
            default_threshold=self._service.backend.default_threshold
        )
        self._outgoing.put_nowait(encode(created))

    def _take_window(self, data: bytes) -> None:
        metrics = self._service.metrics
        settings = self._settings
        if settings is None:
            raise _End(CLOSE_POLICY, "audio before session.create", "send session.create first")
        if len(data) > self._service.config.max_window_bytes + 8:
            raise _End(CLOSE_TOO_BIG, "a window too long", "the window is too long", 413)
        try:
            window_id, samples = unpack_window(data)
        except (ProtocolError, FrameError) as error:
            raise _End(CLOSE_POLICY, "a window that can't be read", str(error)) from None
        if not len(samples):
            raise _End(CLOSE_POLICY, "an empty window", "the window has no samples")
        now = time.monotonic()
        if not self._windows.take(now):
            metrics.refused.labels("rate").inc()
            if not self._patience.take(now):
                raise _End(CLOSE_POLICY, "far too many windows", "far too many windows", 429)
            self._refuse("too many windows in a second", 429)
            return
        self._last_window = now
        self._number += 1
        start = None
        if self._service.config.align:
            start = self._aligner.place(samples)
        window = Window(
            id=self._number,
            overlap=self._aligner.overlap,
            samples=samples,
            start=start,
            threshold=settings.threshold,
            min_frames=settings.min_frames,
        )

        def answer(result: Prediction | Exception) -> None:
            self._answer(window_id, settings, result, now)

        if self._service.engine.submit(self._place, window, answer):
            metrics.windows.labels("superseded").inc()

    # --- what goes --------------------------------------------------------------------------

    def _answer(
        self,
        window_id: int,
        settings: InterruptionWSSessionCreateSettings,
        result: Prediction | Exception,
        came: float,
    ) -> None:
        metrics = self._service.metrics
        metrics.latency.observe(time.monotonic() - came)
        if isinstance(result, Exception):
            metrics.windows.labels("failed").inc()
            self._refuse("the window couldn't be judged", 500)
            return
        probabilities = shortened(result.probabilities)
        positive = self._service.decide(result, settings.threshold, settings.min_frames)
        metrics.windows.labels("interruption" if positive else "no_interruption").inc()
        kind = InterruptionWSDetectedMessage if positive else InterruptionWSInferenceDoneMessage
        # As bargein.wire.encode does, but with as few digits as say it: 0.1 ms less.
        reply = {
            "type": kind.type.value,
            "created_at": window_id,
            "prediction_duration": round(result.duration, 6),
            "probabilities": probabilities,
        }
        self._outgoing.put_nowait(json.dumps(reply, separators=(",", ":")))

    def _refuse(self, message: str, code: int) -> None:
        error = InterruptionWSErrorMessage(message=message, code=code, session_id=self._name)
        self._outgoing.put_nowait(encode(error))

    async def _send(self) -> None:
        """Send what is queued, one after the other: at most a reply for each window came."""
        while (text := await self._outgoing.get()) is not None:
            try:
                await self._socket.send_text(text)
            except (WebSocketDisconnect, RuntimeError):
                return  # the client is gone; receive() says so too

    async def _finish(self, sender: asyncio.Task[None]) -> None:
        self._outgoing.put_nowait(None)
        await asyncio.wait({sender}, timeout=QUIET)

    async def _close(self, code: int, reason: str) -> None:
        # It may be gone already, or not answer: then the socket is closed under it.
        with contextlib.suppress(asyncio.TimeoutError, WebSocketDisconnect, RuntimeError):
            await asyncio.wait_for(self._socket.close(code, reason), QUIET)
