"""What comes out of the interruption machine: things for its driver to do, in this order."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .inputs import Judge
from .verdicts import Outcome, Reason
from .window import Window

__all__ = ["Action", "CancelWindow", "Counts", "EmitVerdict", "Finish", "SendWindow", "Verdict"]

_arrays_equal = attrs.cmp_using(eq=np.array_equal)


@attrs.frozen
class SendWindow:
    """Hand this window to this judge, and report :class:`~bargein.core.WindowSent` when it went."""

    window: Window
    judge: Judge = Judge.PRIMARY


@attrs.frozen
class CancelWindow:
    """Stop caring about a window: don't send it if it isn't sent, abort its request if it is.

    ``reason`` ``None``: superseded by a newer one or no longer wanted; else why it was given up.
    """

    window_id: int
    judge: Judge = Judge.PRIMARY
    reason: Reason | None = None


@attrs.frozen
class Counts:
    """What happened to windows since the last verdict."""

    answered: int = 0
    late: int = 0
    superseded: int = 0
    timed_out: int = 0
    fallback: int = 0


@attrs.frozen(kw_only=True)
class Verdict:
    """An overlap's one verdict, with times on the machine's (monotonic) clock, in seconds.

    ``started_at`` and ``ended_at`` are the user's epoch seconds, verbatim, where they were given.
    The other fields are those of :class:`~bargein.core.OverlappingSpeechEvent`.
    """

    overlap: int
    outcome: Outcome
    reason: Reason | None = None
    agent_ended: bool = False
    onset: float
    started_at: float | None = None
    detected: float
    ended_at: float | None = None
    emitted: float
    detection_delay: float = 0.0
    total_duration: float = 0.0
    prediction_duration: float = 0.0
    speech_input: npt.NDArray[np.int16] | None = attrs.field(
        default=None, eq=_arrays_equal, hash=False, repr=False
    )
    probabilities: npt.NDArray[np.float32] | None = attrs.field(
        default=None, eq=_arrays_equal, hash=False, repr=False
    )
    probability: float = 0.0
    num_requests: int = 0
    window_id: int | None = None
    judge: Judge | None = None
    counts: Counts = Counts()
    span: Any = attrs.field(default=None, eq=False, repr=False)

    @property
    def is_interruption(self) -> bool:
        """True for an interruption alone."""
        return self.outcome is Outcome.INTERRUPTION


@attrs.frozen
class EmitVerdict:
    """Give this verdict to whoever listens."""

    verdict: Verdict


@attrs.frozen
class Finish:
    """All is settled and nothing more will come: say goodbye to the backend and end."""


Action = SendWindow | CancelWindow | EmitVerdict | Finish
