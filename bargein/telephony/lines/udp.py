"""One thread that receives on many UDP sockets and looks at a clock in between."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable

from bargein.runtime.waker import Waker

from . import base

__all__ = ["UdpLoop"]

Address = tuple[str, int]
OnDatagram = Callable[[bytes, Address, float], None]

BURST = 64
"""Datagrams taken from one socket before the next has its turn: a flood on one harms only it."""

MAX_DATAGRAM = 8_193
"""Bytes; one more than a SIP message may have, so that a longer one is seen to be too long."""

RECEIVE_BUFFER = 1 << 18
"""Bytes the system keeps for a socket: a second and more of G.711 for many calls."""


class UdpLoop:
    """Receives for all calls of a server. `add`, `remove` and the rest on its own thread only.

    Args:
        name: of the thread.
        tick: called with the time after each round; returns when it wants to be called at the
            latest, in monotonic seconds.
    """

    def __init__(self, name: str, tick: Callable[[float], float]) -> None:
        self._tick = tick
        self._sockets: dict[int, tuple[socket.socket, OnDatagram]] = {}
        self._poller = select.poll()
        self._waker = Waker()
        self._poller.register(self._waker.fileno(), select.POLLIN)
        self._jobs: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._lock = threading.Lock()
        self._over = False
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def call(self, job: Callable[[], None]) -> None:
        """Have the loop's thread run something soon; from any thread, never blocks.

        After the loop's end nothing is run.
        """
        with self._lock:  # or the waker's descriptor might be closed, and another's, by now
            if not self._over:
                self._jobs.append(job)
                self._waker.wake()

    def stop(self, deadline: float) -> None:
        """Run what was asked for so far, end the thread, close the sockets."""

        def end() -> None:
            self._stopping = True

        self.call(end)
        base.join_all([self.thread], deadline)

    def add(self, sock: socket.socket, on_datagram: OnDatagram) -> None:
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._sockets[sock.fileno()] = (sock, on_datagram)
        self._poller.register(sock, select.POLLIN)

    def remove(self, sock: socket.socket) -> None:
        """Receive no more from a socket, and close it."""
        if self._sockets.pop(sock.fileno(), None) is not None:
            self._poller.unregister(sock)
        sock.close()

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._round()
        finally:
            for sock, _ in list(self._sockets.values()):
                sock.close()
            with self._lock:
                self._over = True
                self._waker.close()

    def _round(self) -> None:
        wanted = self._tick(time.monotonic())
        wait = max(0.0, wanted - time.monotonic())
        for fd, _ in self._poller.poll(wait * 1000 + 0.5 if wait else 0):
            found = self._sockets.get(fd)
            if found is not None:
                self._receive(*found)
        self._waker.drain()
        while self._jobs:
            try:
                self._jobs.popleft()()
            except Exception:
                base.logger.exception("RTP: a call's work failed")

    def _receive(self, sock: socket.socket, on_datagram: OnDatagram) -> None:
        for _ in range(BURST):
            try:
                data, peer = sock.recvfrom(MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error about something that was sent
            try:
                on_datagram(data, peer[:2], time.monotonic())
            except Exception:
                base.logger.exception("RTP: a datagram's work failed")
            if sock.fileno() < 0:
                return  # closed by what it brought
