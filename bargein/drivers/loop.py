"""A connection machine at work: what it is told, what it wants done, in the right order."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from bargein.core.connection import NO_COUNTS, ConnectionMachine
from bargein.core.connection_items import AnnounceError, ConnectionAction, FailStream, Tell
from bargein.core.turns import Turns

from .protocol import Host

__all__ = ["ConnectionLoop"]

logger = logging.getLogger("bargein")


class ConnectionLoop:
    """Feeds a connection machine and carries out its actions, each list whole before more goes in.

    ``act`` does what only the transport can; the rest, the same for all, is done here. So is the
    log: an outage's beginning is its error event's line, its end one of this class.
    """

    def __init__(
        self, machine: ConnectionMachine, host: Host, act: Callable[[ConnectionAction, float], None]
    ) -> None:
        self.machine = machine
        self.reconnects = 0
        """Connections made, or servers tried, after the first time."""
        self.faults = 0
        """Faults of the server, announced or not."""
        self._host = host
        self._act = act
        self._turns = Turns(self._carry_out)
        self._state, self._outage = machine.state, machine.outage

    def feed(self, item: Any, now: float) -> None:
        """Give the machine an input; at once, or after those that are being seen to."""
        self._turns.take(self.machine.handle, item, now)

    def handle_deadline(self, now: float) -> None:
        """Do what is due."""
        self._turns.take(self._expire, None, now)

    def _expire(self, _: None, now: float) -> list[ConnectionAction]:
        return self.machine.handle_deadline(now=now)

    def _carry_out(self, actions: list[ConnectionAction], now: float) -> None:
        for action in actions:
            if isinstance(action, Tell):
                self._host.tell(action.item, now)
            elif isinstance(action, AnnounceError):
                self._host.announce(
                    action.error,
                    recoverable=action.recoverable,
                    failures=action.failures,
                    now=now,
                )
            elif isinstance(action, FailStream):
                self._host.fail(action.error)
            else:
                self._act(action, now)
        machine = self.machine
        if machine.state is not self._state or machine.outage is not self._outage:
            self._log()
        if machine.counts is not NO_COUNTS:
            counts = machine.take_counts()
            self.reconnects += counts.reconnects
            self.faults += counts.failures

    def _log(self) -> None:
        state, outage = self.machine.state, self.machine.outage
        if state is not self._state:
            self._state = state
            logger.debug("%s: the way to the server: %s", self._host.name, state.value)
        if outage is not self._outage:
            self._outage = outage
            if not outage:
                logger.info("%s: the server is well again", self._host.name)
