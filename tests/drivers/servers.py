"""Servers on loopback that misbehave to order: the kit's (``bargein.testing.sockets``)."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from bargein.testing.sockets import BOUND, Peer, Request, Script, Server, raw_listener

__all__ = ["BOUND", "Peer", "Request", "Script", "Server", "full_listener", "raw_listener"]


@contextlib.contextmanager
def full_listener() -> Iterator[int]:
    """A port whose backlog is full: connecting to it hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(raw_listener(backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
