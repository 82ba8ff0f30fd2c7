"""The thread that receives for many UDP sockets: faults stay where they are, jobs run, it ends."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from bargein.telephony.lines.udp import BURST, UdpLoop

from .handlers import WAIT


def bound() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


def test_a_flood_a_fault_and_a_socket_that_goes(caplog: pytest.LogCaptureFixture) -> None:
    loop = UdpLoop("test", lambda now: now + 60.0)
    flooded, calm, going, sender = (bound() for _ in range(4))
    got: list[bytes] = []
    done = threading.Event()

    def flood(data: bytes, peer: tuple[str, int], now: float) -> None:
        if data == b"0":
            raise RuntimeError("a bug in a handler")
        got.append(data)

    def once(data: bytes, peer: tuple[str, int], now: float) -> None:
        loop.remove(going)
        loop.remove(going)
        got.append(data)

    def last(data: bytes, peer: tuple[str, int], now: float) -> None:
        done.set()

    for sock, handler in ((flooded, flood), (going, once), (calm, last)):
        loop.add(sock, handler)
    for number in range(2 * BURST):
        sender.sendto(str(number).encode(), flooded.getsockname())
    for _ in range(2):
        sender.sendto(b"going", going.getsockname())
    loop.start()
    try:
        sender.sendto(b"calm", calm.getsockname())
        assert done.wait(WAIT)
        finished = threading.Event()
        loop.call(lambda: 1 / 0)
        loop.call(finished.set)
        assert finished.wait(WAIT)
    finally:
        loop.stop(time.monotonic() + WAIT)
        sender.close()
    loop.call(lambda: pytest.fail("run after the end"))
    assert got.count(b"going") == 1
    assert "a datagram's work failed" in caplog.text
    assert "a call's work failed" in caplog.text


def test_an_answer_that_nobody_takes_is_no_fault() -> None:
    loop = UdpLoop("test", lambda now: now)
    sock, gone = bound(), bound()
    nowhere = gone.getsockname()
    gone.close()
    sock.connect(nowhere)
    sock.send(b"anybody there?")  # the next receive says that there is nobody
    loop.add(sock, lambda data, peer, now: None)
    loop.start()
    heard = threading.Event()
    loop.call(heard.set)
    assert heard.wait(WAIT)
    loop.stop(time.monotonic() + WAIT)
