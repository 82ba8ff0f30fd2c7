"""What all lines and servers share: one end a call, bounded numbers, one log line a fault."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import TypeVar

from bargein.audio.formats import AudioFormat
from bargein.errors import FrameError, OptionError, StateError

from ..codecs import events as ev
from ..line import Answer, EndReason, LineHandler

__all__ = ["LineBase", "Server", "Session", "logger"]

logger = logging.getLogger("bargein.telephony")

MAX_CALLS = 100
"""Calls at a time; a thread or two each. More belong in a second process."""

HANDSHAKE_TIMEOUT = 5.0
"""Seconds in which a connection has to become a call."""

IDLE_TIMEOUT = 600.0
"""Seconds without a word from the peer after which a call is over. Media stops for the whole of a
hold, so this is long; a peer that is gone is found sooner, by keepalive."""

LINGER = 1.0
"""Seconds in which what was written before a hang-up may still go out."""

MAX_OUT = 2 << 20
"""Bytes that may wait to be sent on one call: some four minutes of u-law. A peer that lets more
pile up doesn't read."""

MAX_AHEAD = 60.0
"""Seconds by which a call's audio may be ahead of the time that it took to come. Networks send at
the pace of speech, and what a stall held up isn't ahead; a recording that is played to a server as
fast as it goes, to try it out, may be. Who sends more takes the CPU from others."""

_S = TypeVar("_S", bound="Server")


class LineBase:
    """A line, but for the way to the network: `_send_audio`, `_wake` and the like.

    Any thread may call the methods; the reader thread owns the end.
    """

    paced_by_peer = False
    marks = False

    def __init__(self, started: ev.Started) -> None:
        self.id = started.id
        self.format: AudioFormat = started.format
        self.frame = started.frame
        self.details: Mapping[str, str] = MappingProxyType(dict(started.details))
        self._lock = threading.Lock()
        self._reason: EndReason | None = None

    def write(self, audio: bytes) -> None:
        width = self.format.sample_width
        if len(audio) % width:
            raise FrameError(
                f"got {len(audio)} bytes of audio, expected whole samples of {width} bytes "
                f"({self.format})"
            )
        if audio and self._reason is None:
            self._send_audio(audio)

    def mark(self, name: str) -> None:
        """Nothing: this network has no marks."""

    def clear(self) -> None:
        """Nothing: this network plays what it got."""

    def hang_up(self) -> None:
        self.stop("closed")

    def stop(self, reason: EndReason) -> None:
        """Ask the reader to end the call; the first reason stays."""
        with self._lock:
            if self._reason is None:
                self._reason = reason
        self._wake()

    @property
    def reason(self) -> EndReason | None:
        """Why the call ends; None while it goes on."""
        return self._reason

    def _send_audio(self, audio: bytes) -> None:
        raise NotImplementedError

    def _wake(self) -> None:
        raise NotImplementedError


class Session:
    """One call between a codec's events and its handler. The reader thread only."""

    def __init__(self, on_call: Answer, who: str) -> None:
        self._on_call = on_call
        self._who = who
        self._handler: LineHandler | None = None
        self._line: LineBase | None = None
        self._ended = False
        self._begun = 0.0
        self._samples = 0
        """Of audio, so far."""
        self._ignored: set[str] = set()
        self._marked: Callable[[str], bool | None] = lambda name: None

    def begin(self, line: LineBase, marked: Callable[[str], bool | None] | None = None) -> bool:
        """Hand the line to ``on_call``; False if it refused, which is logged.

        `marked` tells what a mark that came back means: cleared or not, or None if it isn't ours.
        """
        self._who = f"{self._who}, call {ev.short(line.id)}"
        self._line = line
        self._begun = time.monotonic()
        self._marked = marked or self._marked
        try:
            self._handler = self._on_call(line)
        except BaseException:  # SystemExit too: the thread isn't the user's to end
            logger.exception("%s: refused, on_call raised", self._who)
            line.stop("handler")
            return False
        logger.info("%s: begins, %s", self._who, line.format)
        return True

    def tell(self, events: Iterable[ev.Event]) -> EndReason | None:
        """Tell the handler; the reason if the call is over thereby.

        Raises `ProtocolError` where audio comes much faster than it can have been spoken.
        """
        for event in events:
            if self._line is not None and self._line.reason is not None:
                return self._line.reason
            if isinstance(event, ev.Audio) and self._line is not None:
                self._keep_pace(self._line.format, event.data)
            try:
                over = self._one(event)
            except BaseException:
                logger.exception("%s: closed, its handler raised", self._who)
                return "handler"
            if over:
                return "hangup"
        return None

    def _keep_pace(self, fmt: AudioFormat, audio: bytes) -> None:
        self._samples += len(audio) // fmt.frame_width
        seconds, took = self._samples / fmt.sample_rate, time.monotonic() - self._begun
        if seconds - took > MAX_AHEAD:
            ev.refuse(f"got {seconds:.0f} s of audio in {took:.1f} s, expected it as it is spoken")

    def _one(self, event: ev.Event) -> bool:
        handler = self._handler
        if isinstance(event, ev.Ended):
            logger.debug("%s: %s", self._who, event.detail)
            return True
        if isinstance(event, ev.Ignored):
            self._note(event.what)
        elif handler is None:
            pass  # a key before the first audio
        elif isinstance(event, ev.Audio):
            handler.on_audio(event.data)
        elif isinstance(event, ev.Digit):
            handler.on_dtmf(event.digit)
        elif isinstance(event, ev.MarkReached):
            cleared = self._marked(event.name)
            if cleared is not None:
                handler.on_mark(event.name, cleared)
        elif isinstance(event, ev.Flow):
            handler.on_flow(event.writable)
        elif isinstance(event, ev.Gap) and self._line is not None:
            handler.on_gap(event.samples / self._line.format.sample_rate)
        return False

    def _note(self, what: str) -> None:
        if len(self._ignored) < 8 and what not in self._ignored:
            self._ignored.add(what)
            logger.info("%s: ignored %s", self._who, what)

    def end(self, reason: EndReason, why: str = "") -> None:
        """Tell the handler that the line is gone, once; log what was wrong, in one line."""
        if self._ended:
            return
        self._ended = True
        if reason in ("protocol", "slow", "timeout"):
            logger.warning("%s: closed (%s)%s", self._who, reason, f": {why}" if why else "")
        else:
            logger.info("%s: ended (%s)%s", self._who, reason, f": {why}" if why else "")
        if self._handler is not None:
            try:
                self._handler.on_end(reason)
            except BaseException:
                logger.exception("%s: its handler raised in on_end", self._who)


class Server:
    """A server with a thread that accepts and a bounded number of calls.

    A context manager: entering starts it, leaving closes it. `start` and `close` are idempotent;
    a closed server can't be started again.
    """

    name = "server"

    def __init__(
        self,
        on_call: Answer,
        host: str,
        port: int,
        *,
        max_calls: int = MAX_CALLS,
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
        idle_timeout: float = IDLE_TIMEOUT,
    ) -> None:
        for what, value in (("handshake", handshake_timeout), ("idle", idle_timeout)):
            if not value > 0:
                raise OptionError(f"{what}_timeout must be over 0 seconds, got {value!r}")
        if not 0 <= port <= 65_535:
            raise OptionError(f"port must be from 0 to 65535, got {port!r}")
        if max_calls < 1:
            raise OptionError(f"max_calls must be at least 1, got {max_calls!r}")
        self._on_call = on_call
        self._host, self._port = host, port
        self._max_calls = max_calls
        self._handshake_timeout = handshake_timeout
        self._idle_timeout = idle_timeout
        self._lock = threading.Lock()
        self._state = "new"
        self._address: tuple[str, int] = (host, port)
        self._said: dict[str, float] = {}
        """What is said once a minute, and when it was."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; the real ones once it is started."""
        return self._address

    @property
    def calls(self) -> int:
        """Connections now, those that are still beginning included."""
        raise NotImplementedError

    def start(self: _S) -> _S:
        """Bind and begin to take calls; raises ``OSError`` where the port can't be had."""
        with self._lock:
            if self._state == "closed":
                raise StateError(f"this {self.name} was closed; make a new one")
            if self._state == "new":
                self._open()
                self._state = "open"
                logger.info("%s listens on %s:%d", self.name, *self._address)
        return self

    def close(self, timeout: float = 5.0) -> None:
        """Take no more calls, end those that there are (``shutdown``), and wait for them.

        Returns after `timeout` seconds in any case; connections that are left by then are cut.
        Not from a handler's callback.
        """
        with self._lock:
            state, self._state = self._state, "closed"
        if state == "open":
            self._shut(time.monotonic() + timeout)
            logger.info("%s closed", self.name)

    def __enter__(self: _S) -> _S:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _full(self, peer: object) -> None:
        """Log that a connection was turned away."""
        self._say_at_times(
            "turned %s away, %d connections are the limit (max_calls)", peer, self._max_calls
        )

    def _short(self, error: Exception) -> None:
        """Log that a connection can't be taken for lack of descriptors, threads, memory."""
        self._say_at_times("a connection can't be taken now: %s", str(error))

    def _say_at_times(self, message: str, *arguments: object) -> None:
        """Log a warning once a minute: it may be an attack."""
        now = time.monotonic()
        if now - self._said.get(message, now - 60) >= 60:
            self._said[message] = now
            logger.warning(f"%s: {message}; said once a minute", self.name, *arguments)

    def _open(self) -> None:
        raise NotImplementedError

    def _shut(self, deadline: float) -> None:
        raise NotImplementedError


def keep_alive(sock: socket.socket) -> None:
    """Have the system find out, within a minute or so, that a TCP peer is gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def cut(sock: socket.socket) -> None:
    """End a connection for both directions, whoever is reading or writing it."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def join_all(threads: Iterable[threading.Thread], deadline: float) -> bool:
    """Wait for threads; False if one is left at the deadline."""
    me = threading.current_thread()
    alive = False
    for thread in threads:
        if thread is not me:
            thread.join(max(0.0, deadline - time.monotonic()))
            alive |= thread.is_alive()
    return not alive
