"""From windows to verdicts: who gets them, what answers make of an overlap, its one event.

The half of the interruption machine that knows no inputs; the other half,
:mod:`~bargein.core.machine`, says what each input does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .actions import Action, EmitVerdict, Finish, Verdict
from .cutter import Cutter, CutWindows
from .dispatch import Dispatcher
from .inputs import Reply
from .overlap import Answer, Overlap, judge_by_policy
from .slots import PendingWindow
from .states import State
from .verdicts import Reason, is_positive

__all__ = ["Settler"]


class Settler:
    """Follows the unsettled overlap to its verdict. Not thread-safe; the machine is built on it.

    ``out`` gets the actions, ``cutter`` and ``dispatch`` are the machine's.
    """

    def __init__(self, cutter: Cutter, dispatch: Dispatcher, out: list[Action]) -> None:
        self.state = State.SILENT
        self._cutter = cutter
        self._dispatch = dispatch
        self._out = out
        self._overlap: Overlap | None = None
        self._now = 0.0
        """The stamp of the input that is being handled."""
        self._clock = float("-inf")
        """The same, never going back."""

    # --- windows ----------------------------------------------------------------------------

    def _route(self, cut: CutWindows, overlap: Overlap) -> None:
        if cut.superseded:
            self._dispatch.count("superseded", cut.superseded)
        for window in cut.windows:
            policy = self._dispatch.route(window, overlap)
            if policy is not None:
                self._apply_policy(policy, window, overlap)
        self._mind_hand_over(overlap)

    def _apply_policy(self, policy: Reason, window: PendingWindow, overlap: Overlap) -> None:
        answer = judge_by_policy(policy, window, self._now)
        if answer is None:
            overlap.held_up = not self._dispatch.ready
        elif policy is Reason.FAIL_CLOSED:
            self._keep(overlap, answer)
        else:
            self._decide(overlap, answer)

    def _give_up(self, window: PendingWindow, reason: Reason) -> None:
        self._dispatch.give_up(window, reason)
        if reason is Reason.TIMEOUT:
            self._dispatch.count("timed_out")
        overlap = self._overlap_of(window)
        if overlap is not None:
            overlap.give_up(window, reason)

    def _after_freed(self) -> None:
        """A place may be free, or nothing may be left to wait for."""
        overlap = self._overlap
        if overlap is None:
            return
        if self.state is State.OPEN:
            rest = self._dispatch.promote(overlap) if self._dispatch.has_waiting else None
            self._mind_hand_over(overlap)
            if rest is not None:
                self._apply_policy(*rest, overlap)
        elif not self._dispatch.on_wire(overlap):
            self._settle(overlap)

    def _mind_hand_over(self, overlap: Overlap) -> None:
        if not self._dispatch.has_stand_in:
            return  # whatever the primary judge does, nobody else would
        if not self._dispatch.is_stuck():
            overlap.unsent_since = None
        elif overlap.unsent_since is None:
            overlap.unsent_since = self._clock

    # --- answers ----------------------------------------------------------------------------

    def _judge(self, overlap: Overlap, window: PendingWindow, item: Reply) -> bool:
        """Take an answer into account; return whether it was one."""
        if window.sent is None:  # answered before its hand-over was told
            overlap.handed_over(window)
        positive = is_positive(
            item.prediction,
            threshold=window.threshold,
            default=self._dispatch.default_threshold(window.judge),
            min_frames=window.min_frames,
        )
        if positive is None:
            overlap.give_up(window, Reason.ERROR)
            return False
        if positive or overlap.answer is None or overlap.answer.window_id < window.id:
            answer = Answer.of(window, item.prediction, self._now)
            if positive:
                self._decide(overlap, answer)
            else:
                self._keep(overlap, answer)
        return True

    def _keep(self, overlap: Overlap, answer: Answer) -> None:
        """Let an answer count until a newer one comes; only the last one's audio is ever copied."""
        if overlap.answer is not None and overlap.answer.window is not None:
            self._cutter.release(overlap.answer.window)
        overlap.answer = answer

    def _samples_of(self, answer: Answer | None) -> npt.NDArray[np.int16] | None:
        if answer is None or answer.window is None:
            return None
        return self._cutter.read(answer.window)

    def _welcome_back(self) -> None:
        """The primary judge gave a sign of health; with no answer owed, it gets windows again.

        A window that was given up is no such sign: where a stalled judge got the next one because
        its place came free, the fallback would be kept from judging by the very outage it is for.
        """
        overlap = self._overlap
        if overlap is not None and overlap.on_fallback and self._dispatch.is_back():
            overlap.on_fallback = False

    # --- verdicts ---------------------------------------------------------------------------

    def _unsettled(self) -> Overlap:
        assert self._overlap is not None
        return self._overlap

    def _overlap_of(self, window: PendingWindow) -> Overlap | None:
        """Return the overlap in which a window was cut, unless it is settled."""
        overlap = self._overlap
        return overlap if overlap is not None and overlap.id == window.overlap else None

    def _decide(self, overlap: Overlap, answer: Answer) -> None:
        samples, counts = self._samples_of(answer), self._dispatch.take_counts()
        self._conclude(overlap.decided(answer, samples, self._now, counts))

    def _settle(self, overlap: Overlap) -> None:
        unanswered = self._dispatch.on_wire(overlap)
        samples, counts = self._samples_of(overlap.answer), self._dispatch.take_counts()
        self._conclude(overlap.settled(samples, self._now, counts, unanswered=unanswered))

    def _conclude(self, verdict: Verdict) -> None:
        """The overlap's one event is out: forget it, and what was only for it."""
        self._stop_cutting()
        self._cutter.forget()
        self._out.append(EmitVerdict(verdict))
        self._overlap = None
        if self.state is State.DRAINING:
            self._end()
        else:
            self.state = State.SPEAKING

    def _stop_cutting(self) -> None:
        self._cutter.stop()
        self._dispatch.drop_unsent()

    def _end(self) -> None:
        self._dispatch.abandon()
        self.state = State.ENDED
        self._out.append(Finish())
