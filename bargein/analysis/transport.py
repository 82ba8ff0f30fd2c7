"""A transport that takes no time but the recording's: windows are answered after a latency."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from bargein.backends.protocol import Session
from bargein.core import Prediction, Reason, Reply, Window, WindowFailed

__all__ = ["Answered", "SimulatedTransport", "to_nanoseconds"]

_NANOSECONDS = 1_000_000_000
"""A second. Instants are compared in whole nanoseconds: 0.1 s + 0.2 s is 0.3 s there, and no
sampling rate's period (5,208 ns at 192 kHz) is so short that two samples would fall together."""


def to_nanoseconds(time: float) -> int:
    """Return a time of the recording, in seconds, as an instant that can be compared exactly."""
    return round(time * _NANOSECONDS)


@attrs.define(eq=False)
class Answered:
    """A window that was handed over, and what will come back for it."""

    window: Window
    item: Reply | WindowFailed
    now: float
    """When it comes back, in seconds of the recording."""
    due: int
    """The same in nanoseconds."""
    wanted: bool = True
    """Whether nobody has given it up yet."""


class SimulatedTransport:
    """Hands windows to a session, and their answers back ``latency`` seconds of recording later.

    The session judges at the hand-over; the time that this takes doesn't count, and predictions
    come with a duration of 0.0. What a session raises fails that window alone, after the same
    latency. Answers come in the order of the windows. Not thread-safe.

    ``clock`` (seconds), where given, measures what judging costs, in :attr:`seconds`.
    """

    def __init__(
        self,
        session: Session,
        *,
        latency: float = 0.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.latency = latency
        self.seconds = 0.0
        """What the session's judging took so far, by the clock."""
        self.sent = 0
        """Windows handed over."""
        self.failed = 0
        """Windows that the session raised for."""
        self.error: Exception | None = None
        """The first of those."""
        self._session = session
        self._clock = clock or (lambda: 0.0)
        self._wire: deque[Answered] = deque()

    @property
    def due(self) -> int | None:
        """When the next answer comes, in nanoseconds of the recording; ``None``: none will."""
        return self._wire[0].due if self._wire else None

    def send(self, window: Window, *, now: float) -> None:
        """Hand a window over at ``now``, in seconds of the recording."""
        began = self._clock()
        item = self._judge(window)
        self.seconds += self._clock() - began
        self.sent += 1
        back = now + self.latency
        self._wire.append(Answered(window, item, back, to_nanoseconds(back)))

    def give_up(self, window_id: int) -> None:
        """Note that a window's answer isn't waited for any more; it comes all the same."""
        for answered in self._wire:
            if answered.window.id == window_id:
                answered.wanted = False

    def receive(self) -> Answered:
        """Take the next answer."""
        return self._wire.popleft()

    def _judge(self, window: Window) -> Reply | WindowFailed:
        try:
            found = self._session.predict(window)
            return Reply(window.id, Prediction(found.probabilities, found.is_interruption))
        except Exception as exc:
            self.failed += 1
            self.error = self.error or exc
            return WindowFailed(window.id, Reason.ERROR)
