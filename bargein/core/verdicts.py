"""From probabilities to a decision, the outcomes, and why one is open. Pure functions."""

from __future__ import annotations

from enum import Enum

import numpy as np
import numpy.typing as npt

from .window import Prediction

__all__ = ["GIVEN_UP", "Outcome", "Reason", "estimate_probability", "is_positive"]


class Outcome(str, Enum):
    """What an overlap was."""

    INTERRUPTION = "interruption"
    BACKCHANNEL = "backchannel"
    INCONCLUSIVE = "inconclusive"


class Reason(str, Enum):
    """Why an overlap is inconclusive, in order of precedence; or which policy decided it."""

    CLOSED = "closed"
    AGENT_ENDED = "agent_ended"
    INPUT_ENDED = "input_ended"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    ERROR = "error"
    NO_REQUEST = "no_request"
    FAIL_OPEN = "fail_open"
    FAIL_CLOSED = "fail_closed"


GIVEN_UP = (Reason.CONNECTION, Reason.TIMEOUT, Reason.ERROR)
"""Why a window stays unanswered, in order of precedence."""


def estimate_probability(probabilities: npt.ArrayLike, min_frames: int) -> float:
    """Return the conservative estimate: the best run's worst frame.

    The maximum, over every run of ``min_frames`` consecutive frames, of the run's minimum; 0.0
    where there are fewer frames than that. Two lone spikes therefore count for nothing, which is
    where this departs from upstream (it takes the second largest frame, wherever it stands).

    >>> round(estimate_probability([0.9, 0.1, 0.9, 0.8, 0.2], 2), 3)
    0.8
    >>> estimate_probability([0.9], 2)
    0.0
    """
    values = np.asarray(probabilities, dtype=np.float32)
    if min_frames < 1 or len(values) < min_frames:
        return 0.0
    # Each round takes the minimum over runs twice as long, until they have min_frames: this is
    # done for each reply, and a view of overlapping runs costs ten times as much.
    length = 1
    while length < min_frames:
        step = min(length, min_frames - length)
        values = np.minimum(values[:-step], values[step:])
        length += step
    return float(values.max())


def is_positive(
    prediction: Prediction, *, threshold: float | None, default: float | None, min_frames: int
) -> bool | None:
    """Decide a window: the backend's own word first, else its estimate against the threshold.

    Returns ``None`` where nothing can decide: the backend made no decision, and neither a
    ``threshold`` nor a ``default`` is known. An estimate equal to the threshold is positive;
    both are compared as float32, or 0.7 would never reach 0.7.
    """
    if prediction.is_interruption is not None:
        return prediction.is_interruption
    limit = default if threshold is None else threshold
    if limit is None:
        return None
    estimate = estimate_probability(prediction.probabilities, min_frames)
    return bool(np.float32(estimate) >= np.float32(limit))
