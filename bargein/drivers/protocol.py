"""What a stream's worker and its drivers are to each other. All of it on a reactor's thread."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from bargein.core import Input, Judge, Settings, State, Window
from bargein.core.verdicts import Reason
from bargein.errors import APIError
from bargein.runtime.poller import Pollable

__all__ = ["Driver", "Host"]


class Host(Protocol):
    """What a driver may ask of its worker. ``wake`` is for any thread, the rest for its reactor's.

    Times are monotonic seconds.
    """

    name: str
    """The call's, in log lines."""

    def tell(self, item: Input, now: float) -> None:
        """Give the interruption machine an input and carry out what it wants."""

    def announce(self, error: APIError, *, recoverable: bool, failures: int, now: float) -> None:
        """Emit an error event."""

    def fail(self, error: APIError) -> None:
        """End the stream by this error."""

    def watch(self, thing: Pollable, mask: int) -> None:
        """Poll a thing for this mask (``select.poll``'s), and tell :meth:`Driver.step`."""

    def forget(self, thing: Pollable) -> None:
        """Poll a thing no more: it is closed next."""

    def wake(self) -> None:
        """Have the worker call :meth:`Driver.step` soon."""


class Driver(Protocol):
    """A way to a judge: carries windows there and news back. It never blocks."""

    judge: Judge

    @property
    def done(self) -> bool:
        """Whether nothing is left to be said or waited for."""

    @property
    def reconnects(self) -> int:
        """Connections made after the first, ever."""

    @property
    def faults(self) -> int:
        """Faults of the judge, announced or not, ever."""

    def start(self, now: float) -> None:
        """The stream begins."""

    def send(self, window: Window, now: float) -> None:
        """Hand a window over as soon as that can be; tell the host when it went."""

    def cancel(self, window_id: int, reason: Reason | None, now: float) -> None:
        """Take a window back if it hasn't gone, else end its request and forget it."""

    def call_changed(self, state: State, now: float) -> None:
        """The interruption machine's state is another now."""

    def update(self, settings: Settings, now: float) -> None:
        """The user wants other settings."""

    def step(self, ready: Collection[Pollable] | None, now: float) -> bool:
        """Read what came and tell the host; return whether more is waiting already.

        ``ready`` are the polled things that have something, not all of them this driver's;
        ``None``: any may have.
        """

    def flush(self, now: float) -> None:
        """Send what was queued in this step."""

    def deadline(self) -> float | None:
        """Return when :meth:`handle_deadline` is due."""

    def handle_deadline(self, now: float) -> None:
        """Do what is due."""

    def finish(self, now: float, patience: float) -> None:
        """Nothing more will be judged: say goodbye, within ``patience`` seconds.

        May come again, with less patience.
        """

    def close(self) -> None:
        """Leave nothing open, at once."""
