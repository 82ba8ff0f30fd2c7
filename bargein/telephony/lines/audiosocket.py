"""An AudioSocket server: Asterisk connects to it by TCP, one connection and one thread a call."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time

from bargein.errors import OptionError, ProtocolError
from bargein.runtime.waker import Waker

from ..codecs import audiosocket as codec
from ..codecs import events as ev
from ..line import Answer, EndReason
from . import base
from .listening import Listener

__all__ = ["AudioSocketServer"]

FIRST_AUDIO = 0.5
"""Seconds from the UUID in which a call's first audio tells its rate. A caller who sends none (a
muted softphone) gets the default rate then, so that the agent can begin to speak."""

READ = 16_384
"""Bytes read at a time: half a second of 16 kHz audio."""


class AudioSocketServer(base.Server):
    """Takes calls from Asterisk's ``AudioSocket()`` and ``Dial(AudioSocket/…)``.

    Args:
        on_call: what answers; runs on the call's own thread.
        host: address to listen on.
        port: TCP port; 0 takes a free one, see `address`.
        sample_rate: Hz that is assumed while no audio comes; ``AudioSocket()`` is 8,000 always.
        max_calls: connections at a time.
        handshake_timeout: seconds in which the UUID must come.
        idle_timeout: seconds without a frame after which a call is over.

    AudioSocket plays what it gets and can't be told to forget it: see `Line.paced_by_peer`.
    """

    name = "AudioSocket server"

    def __init__(
        self,
        on_call: Answer,
        host: str = "127.0.0.1",
        port: int = 9092,
        *,
        sample_rate: int = 8_000,
        max_calls: int = base.MAX_CALLS,
        handshake_timeout: float = base.HANDSHAKE_TIMEOUT,
        idle_timeout: float = base.IDLE_TIMEOUT,
    ) -> None:
        super().__init__(
            on_call,
            host,
            port,
            max_calls=max_calls,
            handshake_timeout=handshake_timeout,
            idle_timeout=idle_timeout,
        )
        if sample_rate not in codec.RATES.values():
            rates = ", ".join(str(rate) for rate in codec.RATES.values())
            raise OptionError(f"sample_rate must be one of {rates}; got {sample_rate!r}")
        self._sample_rate = sample_rate
        self._connections: set[_Connection] = set()

    @property
    def calls(self) -> int:
        return len(self._connections)

    def _open(self) -> None:
        listening = socket.create_server((self._host, self._port), backlog=128)
        self._listener = Listener(listening, self._short)
        self._address = listening.getsockname()[:2]
        self._thread = threading.Thread(
            target=self._accept, name="bargein-audiosocket", daemon=True
        )
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, peer = self._listener.accept()
            except OSError:
                return  # closed
            try:
                admitted = self._admit(sock, f"AudioSocket from {peer[0]}:{peer[1]}")
            except (OSError, RuntimeError) as error:  # no descriptor for its waker, or no thread
                self._short(error)
                sock.close()
                continue
            if not admitted:
                self._full(peer)
                sock.close()

    def _admit(self, sock: socket.socket, who: str) -> bool:
        with self._lock:
            if self._state == "closed" or len(self._connections) >= self._max_calls:
                return False
            connection = _Connection(self, sock, who)
            self._connections.add(connection)
        try:
            connection.thread.start()
        except RuntimeError:
            self._leave(connection)
            connection.waker.close()
            raise
        return True

    def _leave(self, connection: _Connection) -> None:
        with self._lock:
            self._connections.discard(connection)

    def _shut(self, deadline: float) -> None:
        self._listener.close()
        with self._lock:
            left = list(self._connections)
        for connection in left:
            connection.stop("shutdown")
        threads = [self._thread, *(connection.thread for connection in left)]
        if not base.join_all(threads, deadline):
            for connection in left:
                base.cut(connection.sock)


class _Line(base.LineBase):
    """Frames go out as they are written; what the socket doesn't take waits, up to a limit."""

    def __init__(self, started: ev.Started, connection: _Connection) -> None:
        super().__init__(started)
        self._connection = connection

    def _send_audio(self, audio: bytes) -> None:
        self._connection.send(codec.audio(audio, self.format.sample_rate))

    def _wake(self) -> None:
        self._connection.wake()


class _Connection:
    """One TCP connection and its thread."""

    def __init__(self, server: AudioSocketServer, sock: socket.socket, who: str) -> None:
        self.sock = sock
        self.waker = Waker()
        self.thread = threading.Thread(target=self._run, name=f"bargein-{who}", daemon=True)
        self._server = server
        self._reader = codec.AudioSocketReader()
        self._session = base.Session(server._on_call, who)
        self._line: _Line | None = None
        self._asked: EndReason | None = None
        self._out = bytearray()
        self._out_lock = threading.Lock()
        self._closed = False
        self._gone = False
        self._why = ""

    def send(self, data: bytes) -> None:
        """Send at once what the socket takes; from any thread, never blocking."""
        with self._out_lock:
            if self._closed:
                return
            if not self._out:
                try:
                    data = data[self.sock.send(data) :]
                except BlockingIOError:
                    pass
                except OSError:
                    # Asterisk closes with our audio unread, so a hangup may look like this too.
                    self._gone = True
            self._out += data
            waiting = len(self._out)
        if self._gone:
            self.stop("hangup")
        elif waiting > base.MAX_OUT:
            self.stop("slow")
        elif waiting:
            self.wake()

    def stop(self, reason: EndReason) -> None:
        if self._line is not None:
            self._line.stop(reason)
        elif self._asked is None:
            self._asked = reason
            self.wake()

    def wake(self) -> None:
        with self._out_lock:  # or the descriptor might be closed, and another's, by now
            if not self._closed:
                self.waker.wake()

    def _run(self) -> None:
        reason: EndReason = "lost"
        try:
            self.sock.setblocking(False)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            base.keep_alive(self.sock)
            reason = self._serve()
            if reason in ("closed", "shutdown", "handler"):
                self._say_goodbye()
        except ProtocolError as exc:
            reason, self._why = "protocol", exc.message
        except (ConnectionResetError, BrokenPipeError):
            reason, self._why = "hangup", "the connection was reset"
        except OSError as exc:
            reason, self._why = "lost", str(exc)
        except Exception:
            base.logger.exception("AudioSocket: a connection failed")
        finally:
            with self._out_lock:
                self._closed = True
                self.waker.close()
            self.sock.close()
            self._session.end(reason, self._why)
            self._server._leave(self)

    def _serve(self) -> EndReason:
        poller = select.poll()
        poller.register(self.waker.fileno(), select.POLLIN)
        begun = heard = time.monotonic()
        while True:
            asked = self._asked or (self._line.reason if self._line is not None else None)
            if asked is not None:
                return asked
            now = time.monotonic()
            deadline, late = self._deadline(begun, heard)
            if now >= deadline:
                if not late:
                    self._answer(self._reader.start(self._server._sample_rate))
                    continue
                self._why = late
                return "timeout"
            poller.register(self.sock, select.POLLIN | (select.POLLOUT if self._out else 0))
            ready = dict(poller.poll((deadline - now) * 1000 + 1))
            self.waker.drain()
            state = ready.get(self.sock.fileno(), 0)
            if state & select.POLLOUT:
                self._flush()
            if state & ~select.POLLOUT:
                heard = time.monotonic()
                over = self._read()
                if over is not None:
                    return over

    def _deadline(self, begun: float, heard: float) -> tuple[float, str]:
        """Return when to do something, and what to complain of then; nothing: begin the call."""
        server = self._server
        if self._line is not None:
            return heard + server._idle_timeout, "nothing came for the idle timeout"
        if self._reader.id:
            return heard + min(FIRST_AUDIO, server._handshake_timeout), ""
        return begun + server._handshake_timeout, "no UUID came in time"

    def _read(self) -> EndReason | None:
        try:
            data = self.sock.recv(READ)
        except BlockingIOError:
            return None
        events = self._reader.feed(data) if data else self._reader.eof()
        return self._answer(events)

    def _answer(self, events: list[ev.Event]) -> EndReason | None:
        if self._line is None:
            for event in events:
                if isinstance(event, ev.Started):
                    self._line = _Line(event, self)
                    if not self._session.begin(self._line):
                        return "handler"
        return self._session.tell(events)

    def _flush(self) -> None:
        with self._out_lock, contextlib.suppress(BlockingIOError):
            del self._out[: self.sock.send(self._out)]

    def _say_goodbye(self) -> None:
        """Send what waits, and that this is the end, for at most `base.LINGER`."""
        deadline = time.monotonic() + base.LINGER
        with self._out_lock:
            self._out += codec.end()
        poller = select.poll()
        poller.register(self.sock, select.POLLOUT)
        with contextlib.suppress(OSError):
            while self._out and (left := deadline - time.monotonic()) > 0:
                if poller.poll(left * 1000):
                    self._flush()
