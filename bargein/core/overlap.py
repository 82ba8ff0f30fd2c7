"""One overlap's life: what was cut, answered and given up in it, and the verdict that follows."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .actions import Counts, Verdict
from .cadence import Cadence
from .inputs import Judge
from .slots import PendingWindow
from .verdicts import Outcome, Reason, estimate_probability
from .window import Prediction

__all__ = ["Answer", "Overlap"]

_GIVEN_UP = (Reason.CONNECTION, Reason.TIMEOUT, Reason.ERROR)
"""Why a window stays unanswered, in order of precedence."""


@attrs.frozen(eq=False)
class Answer:
    """What counts for an overlap: a judge's reply, or (``policy``) what stands in for one."""

    arrived: float
    window_id: int
    judge: Judge
    total_duration: float = 0.0
    prediction_duration: float = 0.0
    probabilities: npt.NDArray[np.float32] | None = None
    probability: float = 0.0
    samples: npt.NDArray[np.int16] | None = None
    policy: Reason | None = None

    @classmethod
    def of(
        cls,
        window: PendingWindow,
        prediction: Prediction,
        samples: npt.NDArray[np.int16],
        now: float,
    ) -> Answer:
        """Pair a window with what its judge said."""
        samples.flags.writeable = False
        return cls(
            arrived=now,
            window_id=window.id,
            judge=window.judge,
            total_duration=0.0 if window.sent is None else max(0.0, now - window.sent),
            prediction_duration=prediction.duration,
            probabilities=prediction.probabilities,
            probability=estimate_probability(prediction.probabilities, window.min_frames),
            samples=samples,
        )


@attrs.define(eq=False)
class Overlap:
    """An unsettled overlap. Times are monotonic seconds, positions lie on the 16 kHz grid."""

    id: int
    onset: float
    started_at: float | None
    cadence: Cadence
    speech_start: int
    """The onset's position."""
    span: Any = None
    first_sent: int | None = None
    """The id of the first window that the primary judge got."""
    prefer_fallback: bool = False
    num_requests: int = 0
    answer: Answer | None = None
    """The newest (highest id) answer."""
    given_up: dict[Reason, int] = attrs.field(factory=dict)
    """The newest window given up, by reason."""
    held_up: bool = False
    """Whether a window had nowhere to go because the backend wasn't ready."""
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

    def give_up(self, window_id: int, reason: Reason) -> None:
        """Note a window that will have no answer."""
        self.given_up[reason] = max(window_id, self.given_up.get(reason, window_id))

    def decided(self, answer: Answer, now: float, counts: Counts) -> Verdict:
        """Return the verdict of a positive answer."""
        return self._verdict(
            Outcome.INTERRUPTION, answer.policy, answer, now, counts, detected=answer.arrived
        )

    def settled(self, now: float, counts: Counts) -> Verdict:
        """Return the verdict of an overlap that ended without a positive answer."""
        reason = self.cause or self._open_question()
        answer = self.answer
        if reason is None and answer is not None:
            return self._verdict(Outcome.BACKCHANNEL, answer.policy, answer, now, counts)
        return self._verdict(Outcome.INCONCLUSIVE, reason, answer, now, counts)

    def _open_question(self) -> Reason | None:
        """Return why the answers don't settle it, if they don't."""
        for reason in _GIVEN_UP:
            if self.given_up.get(reason, -1) > self.newest_answer:
                return reason
        if self.answer is not None:
            return None
        if self.held_up:
            return Reason.CONNECTION
        return Reason.TIMEOUT if self.num_requests else Reason.NO_REQUEST

    def _verdict(
        self,
        outcome: Outcome,
        reason: Reason | None,
        answer: Answer | None,
        now: float,
        counts: Counts,
        detected: float | None = None,
    ) -> Verdict:
        end = now if self.ended is None else self.ended
        verdict = Verdict(
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
        )
        if answer is None:
            return verdict
        return attrs.evolve(
            verdict,
            detection_delay=max(0.0, answer.arrived - self.onset),
            total_duration=answer.total_duration,
            prediction_duration=answer.prediction_duration,
            speech_input=answer.samples,
            probabilities=answer.probabilities,
            probability=answer.probability,
            window_id=answer.window_id if answer.policy is None else None,
            judge=answer.judge if answer.policy is None else None,
        )
