"""What verdicts make of labels: which were taken for interruptions, and how soon."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from bargein.core import Verdict

from .dataset import LabelledCall, LabelledOverlap, Problem
from .hearing import Hearing
from .settle import Settings, estimates, settle_all

__all__ = ["AFTERMATH", "MOMENTS", "Scored", "leave_out", "score"]

AFTERMATH = 1.0
"""Seconds after a label's end in which a verdict is still about it: VADs let go late."""

MOMENTS = (0.2, 0.3, 0.5, 0.7)
"""Seconds of overlap at which recall is told; the field quotes 0.5."""


@attrs.frozen(kw_only=True, eq=False)
class Scored:
    """A call under so many settings (S) with so many labels (L). Immutable."""

    call: LabelledCall
    """With the labels that are scored."""
    positive: npt.NDArray[np.bool_]
    """(S, L): taken for an interruption."""
    delay: npt.NDArray[np.float32]
    """(S, L): seconds from the label's start to the verdict; NaN without one, or where it was out
    before (:attr:`early`)."""
    early: npt.NDArray[np.bool_]
    """(S, L): the agent had been stopped before the label's start, in the same overlap."""
    strays: npt.NDArray[np.int64]
    """(S,): interruptions that no label is about."""
    inconclusive: npt.NDArray[np.int64]
    """(S,): overlaps that stayed open questions."""
    found: npt.NDArray[np.int64]
    """(S,): overlaps in all."""
    best: npt.NDArray[np.float32]
    """(M + 1, L): the highest estimate until each moment of :data:`MOMENTS`, and in all, under the
    first settings' minimum duration."""
    agent_speech: float
    """Seconds."""
    duration: float
    """Seconds."""
    windows: int
    """How many were judged."""
    failed: int
    """How many windows the backend raised for."""
    error: str | None = None
    problems: tuple[Problem, ...] = ()


def leave_out(call: LabelledCall, hearing: Hearing) -> tuple[LabelledCall, tuple[Problem, ...]]:
    """Leave out labels during which the agent is silent: they are no overlaps."""
    kept, problems = [], []
    for overlap in call.overlaps:
        if hearing.spoke(overlap.start, overlap.end):
            kept.append(overlap)
        else:
            what = f"from {overlap.start:g} to {overlap.end:g} s the agent is silent: no overlap"
            problems.append(overlap.problem(what))
    return attrs.evolve(call, overlaps=tuple(kept)), tuple(problems)


def score(call: LabelledCall, hearing: Hearing, settings: Sequence[Settings]) -> Scored:
    """Score a call's labels under each of the settings."""
    call, problems = leave_out(call, hearing)
    shape = (len(settings), len(call.overlaps))
    positive, early = np.zeros(shape, bool), np.zeros(shape, bool)
    delay = np.full(shape, np.nan, np.float32)
    strays, open_questions, found = (np.zeros(len(settings), np.int64) for _ in range(3))
    for row, (_, verdicts) in enumerate(settle_all(hearing, settings)):
        found[row] = len(verdicts)
        open_questions[row] = sum(v.outcome.value == "inconclusive" for v in verdicts)
        taken = [v for v in verdicts if v.is_interruption]
        for verdict in taken:
            at = owner(call, verdict.detected)
            strays[row] += not is_labelled(call, verdict.detected)
            if at is not None and not positive[row, at]:
                positive[row, at] = True
                delay[row, at] = verdict.detected - call.overlaps[at].start
        for at, before in enumerate(_stopped_before(call.overlaps, taken, hearing)):
            if before and not positive[row, at]:
                positive[row, at] = early[row, at] = True
    return Scored(
        call=call,
        positive=positive,
        delay=delay,
        early=early,
        strays=strays,
        inconclusive=open_questions,
        found=found,
        best=_best(call, hearing, settings[0].detection.min_frames),
        agent_speech=sum(end - start for start, end in hearing.turns),
        duration=hearing.duration,
        windows=len(hearing.windows),
        failed=sum(window.decision == 2 for window in hearing.windows),
        error=hearing.error,
        problems=problems,
    )


def owner(call: LabelledCall, at: float) -> int | None:
    """Return which of a call's overlaps something at a time is about; ``None``: none of them.

    It is about the label in whose midst it falls, else about the last begun, if that isn't long
    over. Labels that aren't scored have their say, too: what is about them is about no overlap.
    """
    scored = [(overlap.start, overlap.end) for overlap in call.overlaps]
    for spans, number in ((scored, True), (call.unscored, False)):
        for k, (start, end) in enumerate(spans):
            if start <= at <= end:
                return k if number else None
    ended = [(end, k) for k, (_, end) in enumerate(scored) if end < at]
    ended += [(end, -1) for _, end in call.unscored if end < at]
    if not ended:
        return None
    end, last = max(ended)
    return None if last < 0 or at > end + AFTERMATH else last


def is_labelled(call: LabelledCall, at: float) -> bool:
    """Tell whether something at a time is about any label, scored or not."""
    spans = [*((overlap.start, overlap.end) for overlap in call.overlaps), *call.unscored]
    return any(start <= at <= end + AFTERMATH for start, end in spans)


def _stopped_before(
    overlaps: Sequence[LabelledOverlap], taken: Sequence[Verdict], hearing: Hearing
) -> list[bool]:
    """Tell of each label whether it began in an overlap that had been decided before."""
    if not taken:
        return [False] * len(overlaps)
    ends = hearing.ends
    return [
        any(v.detected < overlap.start < ends[v.overlap] for v in taken) for overlap in overlaps
    ]


def _best(call: LabelledCall, hearing: Hearing, min_frames: int) -> npt.NDArray[np.float32]:
    overlaps = call.overlaps
    best = np.zeros((len(MOMENTS) + 1, len(overlaps)), np.float32)
    values = estimates(hearing.windows, min_frames)
    for window, value in zip(hearing.windows, values, strict=True):
        at = owner(call, window.cut)
        if at is not None:
            heard = window.cut - overlaps[at].start
            reached = np.array([heard <= moment for moment in MOMENTS] + [True])
            best[reached, at] = np.maximum(best[reached, at], np.float32(value))
    return best
