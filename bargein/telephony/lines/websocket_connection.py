"""One call's WebSocket: a thread that reads, one that writes from a bounded queue, and its line."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from typing import Protocol

from bargein.errors import MissingExtraError, ProtocolError

from ..codecs import events as ev
from ..line import EndReason
from . import base

try:
    from websockets.exceptions import ConnectionClosed, ConnectionClosedOK
    from websockets.sync.server import ServerConnection
except ImportError as exc:  # pragma: no cover - the tests have it
    raise MissingExtraError("a WebSocket server for calls", "telephony") from exc

__all__ = ["WebSocketConnection", "WebSocketLine"]

MAX_MARKS = 1_000
"""Marks that may be out at a time; past it the oldest are forgotten when they come back."""

TICK = 0.05
"""Seconds; how soon a reader sees what other threads ask for while its peer sends nothing."""


class Codec(Protocol):
    """What `MediaStream` and `AsteriskMedia` share."""

    def receive(self, message: str | bytes) -> list[ev.Event]: ...


class WebSocketLine(base.LineBase):
    paced_by_peer = True
    marks = True

    def __init__(self, started: ev.Started, connection: WebSocketConnection) -> None:
        super().__init__(started)
        self._connection = connection
        self._waiting: collections.deque[str] = collections.deque(maxlen=MAX_MARKS)
        self._doubtful: collections.deque[str] = collections.deque(maxlen=MAX_MARKS)
        self._make = threading.Lock()
        """Held while messages are made and queued, so that they keep their order."""

    def marked(self, name: str) -> bool | None:
        """Take note that a mark came back; was it sent before a clear? None: it isn't ours."""
        with self._make:
            for cleared, marks in ((True, self._doubtful), (False, self._waiting)):
                if name in marks:
                    marks.remove(name)
                    return cleared
        return None

    def _forget_marks(self, come_back: bool) -> None:
        """Note a clear: its marks come back and prove nothing, or they are given back here."""
        gone = list(self._waiting)
        self._waiting.clear()
        self._doubtful.extend(gone)
        if not come_back:
            self._connection.give_back(gone)

    def _wake(self) -> None:
        self._connection.wake()


class WebSocketConnection:
    """One WebSocket: this thread reads, another writes from a bounded queue."""

    def __init__(
        self,
        websocket: ServerConnection,
        codec: Codec,
        make_line: Callable[[ev.Started, WebSocketConnection], WebSocketLine],
        session: base.Session,
        *,
        goodbye: Callable[[], str] | None = None,
    ) -> None:
        self._codec = codec
        self.socket = websocket.socket
        self._websocket = websocket
        self._make_line = make_line
        self._session = session
        self._goodbye = goodbye
        self._line: WebSocketLine | None = None
        self._asked: EndReason | None = None
        self._why = ""
        self._queue: collections.deque[tuple[str | bytes, bool]] = collections.deque()
        self._queued = 0
        self._inbox: collections.deque[str] = collections.deque()
        self._ready = threading.Condition()
        self._closing = False

    # ---- From any thread.

    def send(self, message: str | bytes, *, is_mark: bool = False) -> None:
        with self._ready:
            if self._closing:
                return
            self._queue.append((message, is_mark))
            self._queued += len(message)
            slow = self._queued > base.MAX_OUT
            self._ready.notify()
        if slow:
            self.stop("slow")

    def clear(self, message: str, *, keep_marks: bool) -> None:
        """Send a clear instead of the audio that waits here; its marks go first or not at all."""
        with self._ready:
            if self._closing:
                return
            marks = [entry for entry in self._queue if entry[1] and keep_marks]
            self._queue.clear()
            self._queue.extend([*marks, (message, False)])
            self._queued = sum(len(entry[0]) for entry in self._queue)
            self._ready.notify()

    def give_back(self, marks: list[str]) -> None:
        """Have the reader tell of marks that the peer never will."""
        self._inbox.extend(marks)

    def stop(self, reason: EndReason) -> None:
        if self._line is not None:
            self._line.stop(reason)
            return
        if self._asked is None:
            self._asked = reason
        self.wake()

    def _reason(self) -> EndReason | None:
        return self._asked or (self._line.reason if self._line is not None else None)

    def wake(self) -> None:
        with self._ready:
            self._closing = True
            self._ready.notify()

    # ---- The writer's thread.

    def _write(self) -> None:
        try:
            while True:
                with self._ready:
                    while not self._queue and not self._closing:
                        self._ready.wait()
                    if not self._queue:
                        break
                    message, _ = self._queue.popleft()
                    self._queued -= len(message)
                self._websocket.send(message)
            reason = self._reason()
            if reason == "closed" and self._goodbye is not None:
                self._websocket.send(self._goodbye())
            self._websocket.close(*_CLOSE_CODES.get(reason or "closed", (1000, "")))
        except ConnectionClosed:
            pass
        except Exception:
            base.logger.exception("a WebSocket's writer failed")
            base.cut(self.socket)

    # ---- The reader's thread.

    def run(self, handshake_timeout: float, idle_timeout: float) -> None:
        writer = threading.Thread(target=self._write, name="bargein-writer", daemon=True)
        writer.start()
        reason: EndReason = "lost"
        try:
            reason = self._serve(handshake_timeout, idle_timeout)
        except ProtocolError as exc:
            reason, self._why = "protocol", exc.message
        except ConnectionClosedOK:
            reason = "hangup"
        except ConnectionClosed as exc:
            reason, self._why = _closed(exc)
        except Exception:
            base.logger.exception("a WebSocket's reader failed")
        finally:
            asked = self._reason()
            if asked is not None and reason in ("lost", "hangup"):
                reason = asked  # what looks like it is our own close
            if self._line is not None:
                self._line.stop(reason)
            else:
                self.stop(reason)
            writer.join(base.LINGER)
            if writer.is_alive():
                base.cut(self.socket)
            self._session.end(reason, self._why)

    def _serve(self, handshake_timeout: float, idle_timeout: float) -> EndReason:
        begun = heard = time.monotonic()
        while True:
            asked = self._reason()
            if asked is not None:
                return asked
            self._give_back()
            if self._line is None:
                deadline, late = begun + handshake_timeout, "no start came in time"
            else:
                deadline, late = heard + idle_timeout, "nothing came for the idle timeout"
            left = deadline - time.monotonic()
            if left <= 0:
                self._why = late
                return "timeout"
            try:
                # Woken by what comes, which during a call is something every 20 ms; TICK is for
                # the rest: a hang-up or a clear while the peer is silent.
                message = self._websocket.recv(timeout=min(left, TICK))
            except TimeoutError:
                continue
            heard = time.monotonic()
            over = self._answer(self._codec.receive(message))
            if over is not None:
                return over

    def _answer(self, events: list[ev.Event]) -> EndReason | None:
        if self._line is None:
            for event in events:
                if isinstance(event, ev.Started):
                    line = self._line = self._make_line(event, self)
                    if not self._session.begin(line, line.marked):
                        return "handler"
        return self._session.tell(events)

    def _give_back(self) -> None:
        """Tell of marks that a clear dropped, where the peer doesn't."""
        while self._inbox:
            self._session.tell([ev.MarkReached(self._inbox.popleft())])


_CLOSE_CODES: dict[str, tuple[int, str]] = {
    "closed": (1000, ""),
    "hangup": (1000, ""),
    "shutdown": (1001, "the server is closing"),
    "protocol": (1002, "not the protocol"),
    "timeout": (1000, "nothing came in time"),
    "slow": (1008, "too slow"),
    "handler": (1011, ""),
}


def _closed(exc: ConnectionClosed) -> tuple[EndReason, str]:
    sent = exc.sent
    if sent is not None and not exc.rcvd_then_sent and sent.code in (1002, 1003, 1007, 1009):
        return "protocol", f"{sent.reason or 'a bad frame'} ({sent.code})"
    if exc.rcvd is not None:
        return "hangup", f"closed by the peer with {exc.rcvd.code}"
    return "lost", "the connection broke"
