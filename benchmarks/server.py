"""A judge on loopback that costs next to nothing: ``python -m benchmarks.server --delay 0.02``.

One thread, one selector, both transports of the wire format on one port. It looks at a window's id
and throws the audio away unread, so that a machine with two cores has one of them for the client
that is being measured. It prints its port, and ends when its standard input does.

What is answered, and what is done wrong, is up to a *plan* (:class:`Steady`, or the chaos run's).
A positive reply tells when it was sent, in its last probabilities: see :func:`stamp`.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import heapq
import itertools
import json
import os
import select
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

__all__ = ["Connection", "Plan", "Server", "Steady", "serve", "stamp", "stamped"]

FRAMES = 120
"""Probabilities in a reply: one for each 25 ms of 3 s."""

STAMP_WORDS = 4
"""A time in nanoseconds, 16 bits at a time: each sixteenth fits a float32 without rounding."""

HEAD = 8192
"""Bytes in which a request's head, or a text message with its header, must fit."""

_QUIET = [round(0.01 + 0.0017 * (index % 37), 4) for index in range(FRAMES)]
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def stamp(probabilities: Sequence[float], nanoseconds: int) -> list[float]:
    """Put a time of the monotonic clock, which all processes share, into the last four."""
    words = [(nanoseconds >> shift & 0xFFFF) / 65536 for shift in (48, 32, 16, 0)]
    return [*probabilities[:-STAMP_WORDS], *words]


def stamped(probabilities: Sequence[float]) -> int:
    """Read back what :func:`stamp` wrote: nanoseconds."""
    value = 0
    for word in probabilities[-STAMP_WORDS:]:
        value = value << 16 | round(float(word) * 65536)
    return value


class Plan(Protocol):
    """What a server does with what comes. Times are seconds."""

    def connected(self, connection: Connection) -> bool:
        """A request's head is here; return whether to go on with it as usual."""

    def window(self, connection: Connection, window_id: int) -> None:
        """A window came whole; answer it with ``connection.reply``, or don't."""


class Steady:
    """Answers each window after ``delay`` seconds; every ``every``-th is an interruption."""

    def __init__(self, delay: float, every: int) -> None:
        self._delay = delay
        self._every = every
        self._requests = 0

    def connected(self, connection: Connection) -> bool:
        return True

    def window(self, connection: Connection, window_id: int) -> None:
        if connection.websocket:
            count = connection.windows
        else:  # a pool's connections serve all streams alike
            self._requests = count = self._requests + 1
        positive = bool(self._every) and count % self._every == 0
        connection.later(self._delay, lambda: connection.reply(window_id, positive))


class Connection:
    """A client's connection: a WebSocket, or HTTP requests one after the other."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self.server = server
        self.sock: socket.socket | None = sock
        self.websocket = False
        self.windows = 0
        """Windows that came."""
        self.size = 0
        """Bytes of the newest window's audio."""
        self._head = b""
        self._skip = 0
        self._window_id = 0
        self._out = bytearray()
        self._quits = False

    # --- what came --------------------------------------------------------------------------

    def feed(self, data: memoryview) -> None:
        """Take what the socket gave."""
        while len(data) and self.sock is not None:
            if self._skip:
                count = min(self._skip, len(data))
                self._skip -= count
                data = data[count:]
                if not self._skip:
                    self._end_window()
                continue
            head = self._head + bytes(data[:HEAD])
            size = (self._read_frame if self.websocket else self._read_request)(head)
            if size:
                data = data[size - len(self._head) :]
                self._head = b""
            elif len(head) > 2 * HEAD:
                self.close()
            else:
                self._head, data = head, data[HEAD:]

    def _read_request(self, head: bytes) -> int:
        end = head.find(b"\r\n\r\n")
        if end < 0:
            return 0
        lines = head[:end].split(b"\r\n")
        fields = dict(line.lower().partition(b":")[::2] for line in lines[1:])
        keys = [line for line in lines if line.lower().startswith(b"sec-websocket-key:")]
        if lines[0].startswith(b"GET /windows "):
            self.send(response(200, str(self.server.windows)))
            self.quit()
            return end + 4
        if not self.server.plan.connected(self):
            return end + 4
        if keys:
            accept = hashlib.sha1(keys[0].partition(b":")[2].strip() + _GUID).digest()
            self.send(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + base64.b64encode(accept) + b"\r\n\r\n"
            )
            self.websocket = True
        else:
            self._window_id = int(lines[0].partition(b"created_at=")[2].split()[0])
            self._skip = self.size = int(fields.get(b"content-length", b"0"))
            if b"100-continue" in fields.get(b"expect", b""):
                self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            if not self._skip:
                self._end_window()
        return end + 4

    def _read_frame(self, head: bytes) -> int:
        """Read a frame's header, and all of it unless it is a window; return the bytes read."""
        if len(head) < 2:
            return 0
        opcode, length, start = head[0] & 0x0F, head[1] & 0x7F, 2
        if length == 126:
            start = 4
            length = int.from_bytes(head[2:4], "big")
        elif length == 127:
            start = 10
            length = int.from_bytes(head[2:10], "big")
        key = head[start : start + 4]
        start += 4
        taken = min(length, 8) if opcode == _BINARY else length
        if len(head) < start + taken:
            return 0
        payload = bytes(byte ^ key[at & 3] for at, byte in enumerate(head[start : start + taken]))
        if opcode == _BINARY:
            (self._window_id,) = struct.unpack("<Q", payload)
            self._skip = self.size = length - taken
            if not self._skip:
                self._end_window()
        elif opcode == _TEXT:
            self._read_message(json.loads(payload))
        elif opcode == _PING:
            self.send_frame(_PONG, payload)
        elif opcode == _CLOSE:
            self.send_frame(_CLOSE, payload[:2])
            self.quit()
        return start + taken

    def _read_message(self, message: dict[str, object]) -> None:
        if message["type"] == "session.create":
            self.send_text('{"type":"session.created","default_threshold":0.5}')
        elif message["type"] == "session.close":
            self.send_text('{"type":"session.closed"}')

    def _end_window(self) -> None:
        self.windows += 1
        self.server.windows += 1
        self.server.plan.window(self, self._window_id)

    # --- what goes out ----------------------------------------------------------------------

    def later(self, delay: float, call: Callable[[], object]) -> None:
        """Make a call in ``delay`` seconds, unless the connection is gone by then."""
        self.server.at(time.monotonic() + delay, lambda: None if self.sock is None else call())

    def reply(self, window_id: int, positive: bool) -> None:
        """Answer a window."""
        self.send(self.reply_bytes(window_id, positive))

    def reply_bytes(self, window_id: int, positive: bool) -> bytes:
        """Return an answer as it goes over the wire."""
        values = stamp(_QUIET, time.monotonic_ns()) if positive else _QUIET
        listed = json.dumps(values, separators=(",", ":"))
        if not self.websocket:
            verdict = "true" if positive else "false"
            text = f'{{"created_at":{window_id},"is_bargein":{verdict},"probabilities":{listed}}}'
            return response(200, text)
        kind = "bargein_detected" if positive else "inference_done"
        text = (
            f'{{"type":"{kind}","created_at":{window_id},"prediction_duration":0.01,'
            f'"probabilities":{listed}}}'
        )
        return frame(_TEXT, text.encode())

    def send_text(self, text: str) -> None:
        """Send a text message."""
        self.send_frame(_TEXT, text.encode())

    def send_frame(self, opcode: int, payload: bytes) -> None:
        """Send a frame."""
        self.send(frame(opcode, payload))

    def send(self, data: bytes) -> None:
        """Send bytes as they are, as soon as the socket takes them."""
        if self.sock is None:
            return
        if not self._out:
            try:
                data = data[self.sock.send(data) :]
            except BlockingIOError:
                pass
            except OSError:
                self.close()
                return
        if data:
            self._out += data
            self.server.watch(self, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def flush(self) -> None:
        """Send what waits."""
        rest, self._out = bytes(self._out), bytearray()
        self.server.watch(self, selectors.EVENT_READ)
        self.send(rest)
        if self._quits and not self._out:
            self.close()

    def quit(self) -> None:
        """Close once all is sent."""
        self._quits = True
        if not self._out:
            self.close()

    def close(self, *, reset: bool = False) -> None:
        """Close now; ``reset``: by a reset, as a crash would."""
        sock, self.sock = self.sock, None
        if sock is not None:
            if reset:
                linger = struct.pack("ii", 1, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.server.forget(sock)
            sock.close()


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a server's frame: whole, unmasked."""
    if len(payload) < 126:
        return bytes((0x80 | opcode, len(payload))) + payload
    return bytes((0x80 | opcode, 126)) + len(payload).to_bytes(2, "big") + payload


def response(status: int, body: str, *fields: str) -> bytes:
    """Return an HTTP response."""
    lines = [f"HTTP/1.1 {status} Because", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *fields, "", body]
    return "\r\n".join(lines).encode()


class Server:
    """The loop: one selector, one heap of what is due."""

    def __init__(self, plan: Plan, port: int = 0) -> None:
        self.plan = plan
        self.windows = 0
        """Windows that came, over all connections; ``GET /windows`` tells."""
        self.listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.listener, selectors.EVENT_READ)
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers: Iterator[int] = itertools.count()
        self._scratch = memoryview(bytearray(1 << 18))

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        port: int = self.listener.getsockname()[1]
        return port

    def at(self, when: float, call: Callable[[], object]) -> None:
        """Make a call at a time of the monotonic clock."""
        heapq.heappush(self._due, (when, next(self._numbers), call))

    def watch(self, connection: Connection, mask: int) -> None:
        """Wait for a connection to be readable or writable."""
        if connection.sock is not None:
            self._selector.modify(connection.sock, mask, connection)

    def forget(self, sock: socket.socket) -> None:
        """Wait for a socket no more."""
        with suppress(KeyError):
            self._selector.unregister(sock)

    def step(self, timeout: float) -> None:
        """Wait at most ``timeout`` seconds, and do what there is to do."""
        if self._due:
            timeout = min(timeout, max(0.0, self._due[0][0] - time.monotonic()))
        for key, mask in self._selector.select(timeout):
            if key.data is None:
                self._accept()
                continue
            if mask & selectors.EVENT_WRITE:
                key.data.flush()
            if mask & selectors.EVENT_READ:
                self._read(key.data)
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                sock, _ = self.listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._selector.register(sock, selectors.EVENT_READ, Connection(self, sock))

    def _read(self, connection: Connection) -> None:
        if connection.sock is None:
            return
        try:
            size = connection.sock.recv_into(self._scratch)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            connection.close()
            return
        connection.feed(self._scratch[:size])


def serve(plan: Plan) -> None:
    """Serve until standard input ends; the port is printed first."""
    server = Server(plan)
    print(server.port, flush=True)
    while not select.select([0], [], [], 0)[0] or os.read(0, 1):
        stop = time.monotonic() + 1.0
        while time.monotonic() < stop:
            server.step(0.5)


def main() -> None:
    """Serve steadily."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=0.02, help="seconds to an answer")
    parser.add_argument("--every", type=int, default=10, help="each so many is an interruption")
    options = parser.parse_args()
    serve(Steady(options.delay, options.every))


if __name__ == "__main__":
    main()
