"""What the parts of a connection machine share: sessions, timers, the actions that pile up."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from .connection_items import ConnectionAction
from .connection_states import Timer
from .inputs import Settings

__all__ = ["Desk", "Session"]


@attrs.define(eq=False)
class Session:
    """A connection to the remote, from the wish for it until it is gone."""

    number: int
    settings: Settings | None = None
    """What it was created with; ``None``: it isn't created yet."""
    windows: set[int] = attrs.Factory(set)
    """Those handed over to it and neither answered nor given up."""
    said_goodbye: bool = False


@attrs.define(eq=False)
class Desk:
    """The machine's clock, timers and actions. ``jitter`` gives a number from 0 to 1."""

    jitter: Callable[[], float]
    clock: float = float("-inf")
    out: list[ConnectionAction] = attrs.Factory(list)
    last_session: int = 0
    earliest: float | None = None
    """When the first timer runs out (monotonic seconds), or ``None``: kept, as it is asked for
    after all that happens, and timers hardly ever change."""
    _timers: dict[tuple[Timer, int], float] = attrs.Factory(dict)

    def act(self, *actions: ConnectionAction) -> None:
        """Add actions to what is to be done."""
        self.out += actions

    def take(self) -> list[ConnectionAction]:
        """Return what is to be done, and forget it."""
        actions = self.out[:]
        self.out.clear()
        return actions

    def new_session(self) -> Session:
        """Give the next session its number."""
        self.last_session += 1
        return Session(self.last_session)

    def start(self, timer: Timer, delay: float, session: int = 0) -> None:
        """Start a timer, or start it anew; ``delay`` is seconds from now."""
        self._timers[timer, session] = self.clock + delay
        self._note_earliest()

    def stop(self, *timers: Timer, session: int = 0) -> None:
        """Stop timers, whether they run or not."""
        for timer in timers:
            self._timers.pop((timer, session), None)
        self._note_earliest()

    def stop_session(self, session: int) -> None:
        """Stop all that was waited for with a session."""
        self.stop(*Timer, session=session)

    def stop_all(self) -> None:
        """Stop every timer."""
        self._timers.clear()
        self._note_earliest()

    def left(self, timer: Timer, session: int = 0) -> float:
        """Return the seconds that a running timer has left; 0.0: it doesn't run."""
        return self._timers.get((timer, session), self.clock) - self.clock

    def running(self) -> frozenset[Timer]:
        """Return which timers run."""
        return frozenset(timer for timer, _ in self._timers)

    def _note_earliest(self) -> None:
        self.earliest = min(self._timers.values(), default=None)

    def due(self) -> list[tuple[Timer, int]]:
        """Return the timers that have run out, the earliest first."""
        run_out = [key for key, at in self._timers.items() if at <= self.clock]
        return sorted(run_out, key=self._timers.__getitem__)

    def expire(self, timer: Timer, session: int) -> bool:
        """Take a timer off; False: it was stopped or started anew since it was found due."""
        if self._timers.get((timer, session), float("inf")) > self.clock:
            return False
        del self._timers[timer, session]
        self._note_earliest()
        return True
