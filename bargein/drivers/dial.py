"""Connecting to a host by its name: the first of its addresses that answers."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

__all__ = ["NEXT_ADDRESS", "dial"]

NEXT_ADDRESS = 0.25
"""Seconds until the next of a name's addresses is tried, as RFC 8305 would have it: where the first
leads nowhere, as IPv6 may, a window's time mustn't run out with it. The last has all that is left.
"""


def dial(
    host: str, port: int, *, deadline: float, hold: Callable[[socket.socket], None]
) -> socket.socket:
    """Connect by ``deadline`` (monotonic seconds; a lookup knows none), or raise ``OSError``.

    ``hold`` is told of each socket before it connects, so that somebody else can shut it down; it
    raises ``OSError`` to call it all off. Only the socket that is returned is left open.
    """
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    problem = OSError(f"{host} has no address")
    last = len(addresses) - 1
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = None
        try:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            sock = socket.socket(family, kind, protocol)
            sock.settimeout(left if number == last else min(left, NEXT_ADDRESS))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            hold(sock)
            sock.connect(address)
        except OSError as error:
            if sock is not None:
                sock.close()
            problem = error
        else:
            return sock
    raise problem
