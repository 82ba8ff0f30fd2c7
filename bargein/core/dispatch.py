"""Which judge gets which window, and when: places in flight, the newest first, the fallback."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs

from bargein.errors import OptionError

from .actions import Action, CancelWindow, Counts, SendWindow
from .checks import probability, whole
from .cutter import Cutter
from .inputs import Judge, Settings
from .overlap import Overlap
from .slots import PendingWindow, Slots
from .verdicts import Reason

__all__ = ["DEFAULT_MAX_IN_FLIGHT", "Dispatcher", "JudgeSettings"]

DEFAULT_MAX_IN_FLIGHT = 2
"""Windows. One being judged and one on its way keep a request/response judge busy."""

_DEFAULT_MIN_FRAMES = 2
"""25 ms frames; what a stand-in judges by, whatever the primary's settings are."""

_threshold = attrs.validators.optional(probability)


@attrs.frozen(kw_only=True)
class JudgeSettings:
    """What the machine must know of a judge.

    ``default_threshold`` decides where the user gave no threshold and the judge makes no decision
    of its own. ``threshold`` and ``min_frames`` are a fallback's own; the primary's come from
    the options.
    """

    max_in_flight: int = attrs.field(default=DEFAULT_MAX_IN_FLIGHT, validator=whole)
    default_threshold: float | None = attrs.field(default=None, validator=_threshold)
    threshold: float | None = attrs.field(default=None, validator=_threshold)
    min_frames: int = attrs.field(default=_DEFAULT_MIN_FRAMES, validator=whole)

    def limited(self, max_in_flight: int) -> JudgeSettings:
        """Return the same with another number of windows in flight."""
        return attrs.evolve(self, max_in_flight=max_in_flight)


class Dispatcher:
    """Keeps each judge's places, the one window that waits, and counts what becomes of windows.

    Not thread-safe; the machine owns it. ``out`` gets the actions; ``cutter`` makes a window's
    bytes when it is sent, and is told when its audio isn't needed any more.
    """

    def __init__(
        self,
        *,
        cutter: Cutter,
        judges: Mapping[Judge, JudgeSettings],
        policy: Reason | None,
        ready: bool,
        settings: Settings,
        out: list[Action],
    ) -> None:
        self.ready = ready
        self.settings = settings
        self._cutter = cutter
        self._judges = judges
        self._policy = policy
        self.has_stand_in = Judge.FALLBACK in judges or policy is not None
        """Whether somebody judges where the primary judge doesn't."""
        self._out = out
        self._slots = {judge: Slots(known.max_in_flight) for judge, known in judges.items()}
        self._waiting: PendingWindow | None = None
        self._newest_sent = 0
        self._counter: Counter[str] = Counter()

    # --- what is known ----------------------------------------------------------------------

    def in_flight(self, judge: Judge) -> int:
        """Return how many places a judge has taken."""
        return len(self._slots[judge]) if judge in self._slots else 0

    def on_wire(self, overlap: Overlap) -> bool:
        """Return whether a window of this overlap was handed over and isn't answered yet."""
        return any(w.overlap == overlap.id and w.sent is not None for w in self.windows())

    def overdue(self, clock: float) -> PendingWindow | None:
        """Return the window whose deadline passed first, if one's did."""
        due = [
            (w.deadline, w.id, w)
            for w in self.windows()
            if w.deadline is not None and w.deadline <= clock
        ]
        return min(due)[2] if due else None

    def windows(self) -> list[PendingWindow]:
        """Return all windows that hold a place, each judge's oldest first."""
        return [window for slots in self._slots.values() for window in slots]

    def default_threshold(self, judge: Judge) -> float | None:
        """Return what a judge decides by where no threshold was given."""
        return self._judges[judge].default_threshold

    def target(self, overlap: Overlap) -> Judge | Reason | None:
        """Return who judges this overlap's next window: a judge, a policy, or nobody now."""
        if self.ready and not overlap.on_fallback:
            return Judge.PRIMARY
        if Judge.FALLBACK in self._judges:
            return Judge.FALLBACK
        return self._policy or (Judge.PRIMARY if self.ready else None)

    def is_back(self) -> bool:
        """Return whether the primary judge is ready and owes no answer."""
        return self.ready and not self._slots[Judge.PRIMARY].windows

    def is_stuck(self) -> bool:
        """Return whether the primary judge takes no window."""
        return self._slots[Judge.PRIMARY].oldest_unsent() is not None

    def room(self, overlap: Overlap) -> int:
        """Return how many of the windows that one input cuts are worth cutting.

        One always is: where there is no place, the newest waits.
        """
        target = self.target(overlap)
        return max(1, self._slots[target].open_to_newer) if isinstance(target, Judge) else 1

    def count(self, what: str, n: int = 1) -> None:
        """Count what became of a window, by :class:`~bargein.core.Counts`' names."""
        self._counter[what] += n

    def take_counts(self) -> Counts:
        """Return the counts since the last call."""
        counts, self._counter = Counts(**self._counter), Counter()
        return counts

    # --- windows that come ------------------------------------------------------------------

    def route(self, window: PendingWindow, overlap: Overlap) -> Reason | None:
        """Send a window, or let it wait; return the policy that must judge it instead."""
        if self._waiting is not None:
            self._drop_waiting(superseded=True)
        target = self.target(overlap)
        if target is not Judge.PRIMARY and target is not None:
            overlap.on_fallback = True
        if isinstance(target, Reason):
            self._cutter.release(window)
            return target
        overlap.held_up = target is None
        slots = None if target is None else self._slots[target]
        if slots is None or (not slots.free and not self._make_room(slots)):
            self._waiting = window
            return None
        assert isinstance(target, Judge)
        known = self._judges[target]
        window.judge = target
        if target is Judge.PRIMARY:
            window.threshold, window.min_frames = self.settings.threshold, self.settings.min_frames
        else:
            window.threshold, window.min_frames = known.threshold, known.min_frames
        slots.windows[window.id] = window
        self._newest_sent = window.id
        self._out.append(SendWindow(self._cutter.build(window), target))
        return None

    def _make_room(self, slots: Slots) -> bool:
        """Supersede what isn't handed over yet, as every place is taken; return whether one was."""
        unsent = slots.oldest_unsent()
        if unsent is None:
            return False
        self.count("superseded")
        self._cancel(unsent, None)
        return True

    @property
    def has_waiting(self) -> bool:
        """Whether a window waits for a place."""
        return self._waiting is not None

    def promote(self, overlap: Overlap) -> tuple[Reason, PendingWindow] | None:
        """Route the window that waits, as a place may be free; return what `route` leaves to do."""
        window, self._waiting = self._waiting, None
        assert window is not None
        policy = self.route(window, overlap)
        return None if policy is None else (policy, window)

    def sent(self, window_id: int, *, at: float, deadline: float) -> PendingWindow | None:
        """Note that a window was handed over; ``None`` if it holds no place or was before."""
        for slots in self._slots.values():
            window = slots.windows.get(window_id)
            if window is not None and window.sent is None:
                window.sent, window.deadline = at, deadline
                return window
        return None

    def deadline(self) -> float | None:
        """Return the earliest deadline, monotonic seconds."""
        earliest = None  # a loop: this is asked for after everything that happens
        for slots in self._slots.values():
            for window in slots.windows.values():
                due = window.deadline
                if due is not None and (earliest is None or due < earliest):
                    earliest = due
        return earliest

    # --- windows that go --------------------------------------------------------------------

    def take(self, window_id: int) -> PendingWindow | None:
        """Give an answered window's place back; its audio is the caller's to release."""
        for slots in self._slots.values():
            window = slots.pop(window_id)
            if window is not None:
                return window
        return None

    def give_up(self, window: PendingWindow, reason: Reason) -> None:
        """Give a window's place back unanswered."""
        self._cancel(window, reason)

    def drop_unsent(self) -> None:
        """Forget the windows that weren't handed over: their overlap is decided or ended."""
        self._drop_waiting(superseded=False)
        for window in self.windows():
            if window.sent is None:
                self._cancel(window, None)

    def abandon(self) -> None:
        """Forget all windows, those under way too: the stream ends."""
        self._drop_waiting(superseded=False)
        for window in self.windows():
            self._cancel(window, None)

    def withdraw(self, judge: Judge) -> None:
        """Take back what ``judge`` wasn't handed yet; the newest waits for a judge again.

        It waits under a new id: news of it that is on its way must not be taken for news of what
        another judge then gets. Where a newer window was cut meanwhile, it isn't worth it.
        """
        unsent = [window for window in self._slots[judge] if window.sent is None]
        for window in unsent:
            self._slots[judge].pop(window.id)
            self._out.append(CancelWindow(window.id, judge))
            if self._waiting is None and window.id == self._newest_sent:
                self._waiting = self._cutter.renew(window)
            else:
                self.count("superseded")
                self._cutter.release(window)

    def _cancel(self, window: PendingWindow, reason: Reason | None) -> None:
        self._slots[window.judge].pop(window.id)
        self._cutter.release(window)
        self._out.append(CancelWindow(window.id, window.judge, reason))

    def _drop_waiting(self, *, superseded: bool) -> None:
        window, self._waiting = self._waiting, None
        if window is not None:
            self._cutter.release(window)
            if superseded:
                self.count("superseded")


def policy_of(fallback: JudgeSettings | Reason | str | None) -> Reason | None:
    """Return the policy that ``fallback`` names, if it does.

    Raises OptionError unless it is a judge's settings, a policy, or None.
    """
    if fallback is None or isinstance(fallback, JudgeSettings):
        return None
    for policy in (Reason.FAIL_OPEN, Reason.FAIL_CLOSED):
        if fallback is policy or fallback == policy.value:
            return policy
    raise OptionError(
        f"fallback came as {fallback!r}; expected a judge's settings, fail_open, fail_closed, "
        "or None"
    )
