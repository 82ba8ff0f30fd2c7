"""The playout clock: of what was handed to the network, what has the caller heard by now?

Nobody tells a bridge what its caller hears. It knows what it handed over and when, that audio is
played in real time and in order, and, where the network has marks, when a mark came back. The
clock turns that into a position, in samples of what was handed over. Sans-IO: *now* is monotonic
seconds, handed in.

It can be wrong by what no one tells: the way to the caller's ear (`PlayoutClock.latency`, which the
user may know) and, without marks, how long the peer buffers before it plays.
"""

from __future__ import annotations

from collections import deque

import attrs

__all__ = ["MARK_PATIENCE", "PlayoutClock"]

MARK_PATIENCE = 1.0
"""Seconds after which a mark that should have come back counts as lost. A mark's way to a media
server and back takes 50 to 300 ms; without a limit one lost mark would keep the agent's turn open
for ever."""


@attrs.frozen
class _Anchor:
    """A sample is played at a time, and those after it follow in real time."""

    position: int
    time: float


@attrs.frozen
class _Mark:
    name: str
    position: int
    earliest: float
    """When what is before it could have been played at the earliest."""


class PlayoutClock:
    """Follows one call's playout. Positions count the samples handed over. Not thread-safe.

    Args:
        sample_rate: Hz of what is handed over.
        latency: seconds between the peer's playing a sample and the caller's hearing it: a
            phone's jitter buffer, a radio link. 0 counts a sample as heard when it is played.
    """

    def __init__(self, sample_rate: int, *, latency: float = 0.0) -> None:
        self.sample_rate = sample_rate
        self.latency = latency
        self.handed = 0
        """The position after the newest sample handed over."""
        self.lost_marks = 0
        """Marks that never came back."""
        self._anchors: deque[_Anchor] = deque([_Anchor(0, 0.0)])
        """Runs of unbroken audio that aren't heard to their ends yet."""
        self._end = 0.0
        """When all that was handed over will have been played."""
        self._earliest = 0.0
        """The same for a peer that plays at once, whatever marks told of this one."""
        self._marks: deque[_Mark] = deque()

    # --- what is done -----------------------------------------------------------------------

    def hand_over(self, samples: int, now: float) -> None:
        """Note that so many samples went to the network. They follow on what waits there."""
        if now > self._end:
            self._forget(now)
            self._anchors.append(_Anchor(self.handed, now))
            self._end = now
        self.handed += samples
        self._end += samples / self.sample_rate
        self._earliest = max(self._earliest, now) + samples / self.sample_rate

    def mark(self, name: str) -> None:
        """Note that a mark was set behind all that was handed over."""
        self._marks.append(_Mark(name, self.handed, self._earliest))

    def clear(self, now: float) -> int:
        """Note that the peer was told to drop what it hasn't played; return up to where it has.

        What was handed over beyond that counts as never handed over, and its marks as gone:
        whether they come back or not, they prove nothing.
        """
        self.handed = self.played(now)
        self._marks.clear()
        self._anchors = deque([_Anchor(self.handed, now)])
        self._end = min(self._end, now)
        self._earliest = min(self._earliest, now)
        return self.handed

    # --- what comes back --------------------------------------------------------------------

    def mark_returned(self, name: str, cleared: bool, now: float) -> None:
        """Take a mark that came back. An unknown one, or a ``cleared`` one, tells nothing.

        Marks come in order, so those before it are done as well. It tells where the peer is,
        sooner or later than was thought, unless it came earlier than the audio could have been
        played: nothing is heard faster than in real time.
        """
        if all(mark.name != name for mark in self._marks):
            return
        while True:
            mark = self._marks.popleft()
            if mark.name == name:
                break
        if not cleared and now >= mark.earliest - 1e-9:
            self._move(mark.position, now)

    def expire(self, now: float) -> None:
        """Give up marks that are overdue."""
        while self._marks and now > self._time_of(self._marks[0].position) + MARK_PATIENCE:
            self._marks.popleft()
            self.lost_marks += 1

    # --- what is known ----------------------------------------------------------------------

    def played(self, now: float) -> int:
        """Return the position up to which the peer has played by now, as far as is known."""
        position = self._anchors[0].position
        for anchor, end in zip(self._anchors, self._ends(), strict=True):
            if anchor.time > now:
                break
            position = anchor.position + int((now - anchor.time) * self.sample_rate + 1e-6)
            position = min(position, end)
        if self._marks:  # it has not come back, so what follows it has not been played
            position = min(position, self._marks[0].position)
        return position

    def heard(self, now: float) -> int:
        """Return the position up to which the caller has heard by now, most likely."""
        return self.played(now - self.latency)

    def ahead(self, now: float) -> float:
        """Return how many seconds of audio wait to be played."""
        return max(0.0, self._end - now)

    def silent_from(self) -> float | None:
        """When the caller will have heard all; ``None``: not before a mark comes back."""
        return None if self._marks else self._end + self.latency

    def all_heard(self, now: float) -> bool:
        """Whether the caller has heard all that was handed over."""
        return not self._marks and now >= self._end + self.latency - 1e-9

    # --- inside -----------------------------------------------------------------------------

    def _ends(self) -> list[int]:
        """Where each anchor's run ends."""
        return [*[anchor.position for anchor in self._anchors][1:], self.handed]

    def _time_of(self, position: int) -> float:
        """When the sample before a position is played."""
        before = (each for each in reversed(self._anchors) if each.position < position)
        anchor = next(before, self._anchors[0])
        return anchor.time + (position - anchor.position) / self.sample_rate

    def _move(self, position: int, now: float) -> None:
        """What follows a position is played from now on."""
        rest = (self.handed - position) / self.sample_rate
        while self._anchors and self._anchors[-1].position >= position:
            self._anchors.pop()
        self._anchors.append(_Anchor(position, now))
        self._end = now + rest

    def _forget(self, now: float) -> None:
        """Drop runs that were heard to their ends."""
        while len(self._anchors) > 1 and self._anchors[1].time < now - self.latency:
            self._anchors.popleft()
