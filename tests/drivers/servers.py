"""Servers on loopback that misbehave to order: the kit's (``bargein.testing.sockets``)."""

from __future__ import annotations

from bargein.testing.sockets import BOUND, Peer, Request, Script, Server, raw_listener

__all__ = ["BOUND", "Peer", "Request", "Script", "Server", "raw_listener"]
