"""What no library can go below: sockets, a mask and a poll, as ``benchmarks.compare`` feeds them.

One thread, no library: ten times a second each connection masks the same 3 s of samples with NumPy,
sends them as a frame of the wire format, and reads the answer without looking at it. Over HTTP the
same without a mask.
"""

from __future__ import annotations

import base64
import os
import select
import socket

import numpy as np

from benchmarks.load import FRAME, STAGGER, WARM_UP, Watch, arguments, pace

SAMPLES = np.zeros(48_000, np.int16)
"""3 s at 16 kHz."""

TICKS = round(0.1 / FRAME)
"""Frames to a window."""


class Bare:
    """A connection."""

    def __init__(self, port: int, transport: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.websocket = transport == "websocket"
        self._windows = 0
        if self.websocket:
            key = base64.b64encode(os.urandom(16)).decode()
            self.sock.sendall(f"GET /bargein HTTP/1.1\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
            self.sock.recv(4096)

    def send(self) -> None:
        """Send a window."""
        self._windows += 1
        if self.websocket:
            key = np.frombuffer(os.urandom(4) * 2, np.uint64)[0]
            words = np.empty(3 + SAMPLES.nbytes // 8, np.uint64)
            np.bitwise_xor(SAMPLES.view(np.uint64), key, out=words[3:])
            np.bitwise_xor(np.uint64(self._windows), key, out=words[2:3])
            data = words.view(np.uint8)
            header = b"\x82\xff" + (SAMPLES.nbytes + 8).to_bytes(8, "big") + key.tobytes()[:4]
            data[2:16] = np.frombuffer(header, np.uint8)
            self.sock.sendall(data[2:].data)
        else:
            head = (
                f"POST /bargein?created_at={self._windows} HTTP/1.1\r\n"
                f"Content-Length: {SAMPLES.nbytes}\r\n\r\n"
            )
            self.sock.sendall(head.encode() + SAMPLES.tobytes())


def main() -> None:
    """Send, read, measure, print."""
    given = arguments()
    watch = Watch(given.port)
    Bare(given.port, given.transport).sock.close()
    watch.opened()
    bare = [Bare(given.port, given.transport) for _ in range(given.streams)]
    poller = select.epoll()
    for each in bare:
        poller.register(each.sock, select.POLLIN)
    found = {each.sock.fileno(): each.sock for each in bare}

    def tick(number: int) -> None:
        for at, each in enumerate(bare):
            if number % TICKS == at % STAGGER:
                each.send()
        for fd, _ in poller.poll(0):
            found[fd].recv(1 << 16)

    pace(tick, WARM_UP)
    watch.begin()
    late = pace(tick, given.seconds)
    watch.end(streams=given.streams, late=late, dead=0)
    for each in bare:
        each.sock.close()


if __name__ == "__main__":
    main()
