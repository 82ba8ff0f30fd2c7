"""The windows that a judge holds: at most so many unanswered, none queued behind another."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from .buffer import Cut
from .inputs import Judge

__all__ = ["PendingWindow", "Slots"]


@attrs.define(eq=False)
class PendingWindow:
    """A window from its cut until it is answered, given up or superseded."""

    id: int
    overlap: int
    cut: Cut
    speech_start: int
    """Where the caller's speech began, on the 16 kHz grid."""
    agent_start: int
    """Where the agent's turn began, on the 16 kHz grid."""
    judge: Judge = Judge.PRIMARY
    threshold: float | None = None
    min_frames: int = 2
    sent: float | None = None
    """When it was handed over (the input's own stamp), monotonic seconds."""
    deadline: float | None = None


class Slots:
    """One judge's places in flight. A window holds its place until it is answered or given up."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.windows: dict[int, PendingWindow] = {}
        """By their ids, oldest first."""

    def __len__(self) -> int:
        return len(self.windows)

    def __iter__(self) -> Iterator[PendingWindow]:
        return iter(list(self.windows.values()))

    @property
    def free(self) -> int:
        """Windows that could be sent now."""
        return self.limit - len(self.windows)

    @property
    def open_to_newer(self) -> int:
        """Places that a newer window can have: free ones, and those not handed over yet."""
        if not self.windows:
            return self.limit
        return self.limit - sum([window.sent is not None for window in self.windows.values()])

    def pop(self, window_id: int) -> PendingWindow | None:
        """Give a place back."""
        return self.windows.pop(window_id, None)

    def oldest_unsent(self) -> PendingWindow | None:
        """Find the window that a newer one may supersede."""
        return next((w for w in self.windows.values() if w.sent is None), None)
