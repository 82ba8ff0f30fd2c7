"""One thread for the pacing of all calls: every 20 ms it lets each that speaks write its audio."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

__all__ = ["TICK", "Ticked", "Ticker", "shared_ticker"]

logger = logging.getLogger("bargein")

TICK = 0.02
"""Seconds between ticks: a telephone's frame. A tick of a speaking call takes some 30 µs."""


class Ticked(Protocol):
    """What wants to be ticked."""

    def tick(self, now: float) -> bool:
        """Do what is due by ``now``, monotonic seconds; return whether to be called again."""


class Ticker:
    """Calls `Ticked.tick` of everything added, in a thread that lives while there is anything.

    Thread-safe. A call whose tick raises is logged and left out; the others don't notice. A tick
    must not block.
    """

    def __init__(self, name: str = "bargein-pacing") -> None:
        self._name = name
        self._changed = threading.Condition()
        self._calls: dict[int, Ticked] = {}
        self._thread: threading.Thread | None = None

    def add(self, call: Ticked) -> None:
        """Tick ``call`` from now on, until it says that it needs no more; again is no error."""
        with self._changed:
            self._calls[id(call)] = call
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()  # where it can't be had, the next call tries again
                self._thread = thread

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            with self._changed:
                if not self._calls:
                    self._thread = None
                    return
                # Taken out while they are ticked: one that is added meanwhile, for it has something
                # new to say, stays in even if its tick was done with what it knew.
                calls, self._calls = self._calls, {}
            for key, call in calls.items():
                if self._tick(call):
                    with self._changed:
                        self._calls[key] = call
            now = time.monotonic()
            # After trouble it goes on in its stride, without catching up: pacers look at the time.
            due = max(due + TICK, now)
            time.sleep(max(0.0, due - now))

    def _tick(self, call: Ticked) -> bool:
        try:
            return call.tick(time.monotonic())
        except Exception:
            logger.exception("%s: a call's tick failed; it is paced no more", self._name)
            return False


_shared = Ticker()


def shared_ticker() -> Ticker:
    """Return the process's own."""
    return _shared
