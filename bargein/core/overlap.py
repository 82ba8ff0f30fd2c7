"""One overlap's life: what was cut, answered and given up in it, and the verdict that follows."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .actions import Counts, Verdict
from .inputs import Judge
from .slots import PendingWindow
from .verdicts import GIVEN_UP, Outcome, Reason, estimate_probability
from .window import WINDOW_RATE, Prediction

__all__ = ["FAIL_OPEN_SPEECH", "Answer", "Overlap", "judge_by_policy"]

FAIL_OPEN_SPEECH = 0.5
"""Seconds of overlap from the onset that the policy ``fail_open`` takes for an interruption:
about where sustained speech alone is more often one than not."""


@attrs.frozen(eq=False)
class Answer:
    """What counts for an overlap: a judge's reply, or (``policy``) what stands in for one."""

    arrived: float
    window_id: int
    judge: Judge
    total_duration: float = 0.0
    prediction: Prediction | None = None
    window: PendingWindow | None = None
    """What was judged; it stays readable for as long as the answer counts."""
    policy: Reason | None = None

    # Looked at when an event is made of it, as few answers ever are.

    @property
    def prediction_duration(self) -> float:
        """Seconds that the judge computed; 0.0 where it doesn't say."""
        return 0.0 if self.prediction is None else self.prediction.duration

    @property
    def probabilities(self) -> npt.NDArray[np.float32] | None:
        """What the judge found, one a frame of 25 ms."""
        return None if self.prediction is None else self.prediction.probabilities

    @property
    def probability(self) -> float:
        """The conservative estimate."""
        if self.probabilities is None or self.window is None:
            return 0.0
        return estimate_probability(self.probabilities, self.window.min_frames)

    @classmethod
    def of(cls, window: PendingWindow, prediction: Prediction, now: float) -> Answer:
        """Pair a window with what its judge said."""
        return cls(
            arrived=now,
            window_id=window.id,
            judge=window.judge,
            total_duration=0.0 if window.sent is None else max(0.0, now - window.sent),
            prediction=prediction,
            window=window,
        )


def judge_by_policy(policy: Reason, window: PendingWindow, now: float) -> Answer | None:
    """Return what a policy makes of a window in a judge's stead; ``None``: nothing yet."""
    heard = window.cut.end - window.speech_start
    if policy is Reason.FAIL_OPEN and heard < FAIL_OPEN_SPEECH * WINDOW_RATE:
        return None
    return Answer(arrived=now, window_id=window.id, judge=Judge.FALLBACK, policy=policy)


@attrs.define(eq=False)
class Overlap:
    """An unsettled overlap. Times are monotonic seconds."""

    id: int
    onset: float
    started_at: float | None
    span: Any = None
    first: int | None = None
    """The first window that the primary judge was handed."""
    on_fallback: bool = False
    """Whether windows go to the fallback though the primary judge may be ready."""
    num_requests: int = 0
    answer: Answer | None = None
    """The newest (highest id) answer."""
    given_up: dict[Reason, int] = attrs.field(factory=dict)
    """The newest window given up, by reason."""
    unsent_since: float | None = None
    """Since when the primary judge has a window of this overlap's and takes none; monotonic."""
    held_up: bool = False
    """Whether the newest window had nowhere to go because the backend wasn't ready."""
    ended: float | None = None
    ended_at: float | None = None
    agent_ended: bool = False
    cause: Reason | None = None
    """What ended it, where that leaves the verdict open: agent, input or close."""
    grace_until: float | None = None

    @property
    def newest_answer(self) -> int:
        """The id of the newest answered window; -1 if none is."""
        return -1 if self.answer is None else self.answer.window_id

    def end(
        self, ended: float, *, ended_at: float | None = None, cause: Reason | None = None
    ) -> None:
        """The caller stopped, or ``cause`` ended it and leaves the verdict open."""
        if self.ended is None:
            self.ended, self.ended_at = ended, ended_at
        self.cause = cause
        self.agent_ended = cause is Reason.AGENT_ENDED

    def handed_over(self, window: PendingWindow) -> None:
        """Count a window that its judge got."""
        self.num_requests += 1
        if window.judge is Judge.PRIMARY:
            self.unsent_since = None
            if self.first is None:
                self.first = window.id

    def give_up(self, window: PendingWindow, reason: Reason) -> None:
        """Note a window that will have no answer; after the first, the fallback judges."""
        self.given_up[reason] = max(window.id, self.given_up.get(reason, window.id))
        if window.judge is Judge.PRIMARY and self.first in (None, window.id):
            self.on_fallback = True

    def decided(
        self, answer: Answer, samples: npt.NDArray[np.int16] | None, now: float, counts: Counts
    ) -> Verdict:
        """Return the verdict of a positive answer; ``samples`` are its window's."""
        return self._verdict(
            Outcome.INTERRUPTION, answer.policy, answer, samples, now, counts, answer.arrived
        )

    def settled(
        self,
        samples: npt.NDArray[np.int16] | None,
        now: float,
        counts: Counts,
        *,
        unanswered: bool,
    ) -> Verdict:
        """Return the verdict of an overlap that ended without a positive answer.

        ``samples``: of the newest answer's window. ``unanswered``: windows are on the wire still.
        """
        reason = self.cause or self._open_question(unanswered)
        answer = self.answer
        if reason is None and answer is not None:
            return self._verdict(Outcome.BACKCHANNEL, answer.policy, answer, samples, now, counts)
        return self._verdict(Outcome.INCONCLUSIVE, reason, answer, samples, now, counts)

    def _open_question(self, unanswered: bool) -> Reason | None:
        """Return the first reason for which the answers don't settle it, if one does."""
        newest = self.newest_answer
        applies = {reason for reason, window_id in self.given_up.items() if window_id > newest}
        if self.held_up:  # the caller went on, and nobody was there to judge that
            applies.add(Reason.CONNECTION)
        if self.answer is None:
            applies |= {Reason.TIMEOUT} if unanswered else {Reason.NO_REQUEST}
        return next(
            (reason for reason in (*GIVEN_UP, Reason.NO_REQUEST) if reason in applies), None
        )

    def _verdict(
        self,
        outcome: Outcome,
        reason: Reason | None,
        answer: Answer | None,
        samples: npt.NDArray[np.int16] | None,
        now: float,
        counts: Counts,
        detected: float | None = None,
    ) -> Verdict:
        end = now if self.ended is None else self.ended
        judged = answer is not None and answer.policy is None
        given = answer or _NO_ANSWER
        return Verdict(
            overlap=self.id,
            outcome=outcome,
            reason=reason,
            agent_ended=self.agent_ended,
            onset=self.onset,
            started_at=self.started_at,
            detected=end if detected is None else detected,
            ended_at=self.ended_at if detected is None else None,
            emitted=now,
            num_requests=self.num_requests,
            counts=counts,
            span=self.span,
            detection_delay=max(0.0, given.arrived - self.onset),
            total_duration=given.total_duration,
            prediction_duration=given.prediction_duration,
            speech_input=samples,
            probabilities=given.probabilities,
            probability=given.probability,
            window_id=given.window_id if judged else None,
            judge=given.judge if judged else None,
        )


_NO_ANSWER = Answer(arrived=float("-inf"), window_id=-1, judge=Judge.PRIMARY)
