"""All labels of a data set in one table of arrays, under every setting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from bargein.errors import DatasetError

from .dataset import LABELS, Label, LabelledCall, LabelledOverlap, Problem
from .score import MOMENTS, Scored
from .settle import Settings

__all__ = ["Results", "gather"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@attrs.frozen(kw_only=True, eq=False)
class Results:
    """N labels of G calls under S settings. Immutable."""

    settings: tuple[Settings, ...]
    entries: tuple[tuple[LabelledCall, LabelledOverlap], ...]
    """The N labels and where they are."""
    label: Ints
    """(N,): an index of :data:`LABELS`."""
    group: Ints
    """(N,): which call, counted from 0."""
    groups: tuple[str, ...]
    """The calls' ids."""
    positive: Bools
    """(S, N), and so on: see :class:`~bargein.evaluation.score.Scored`."""
    delay: Floats
    early: Bools
    best: Floats
    strays: Ints
    inconclusive: Ints
    found: Ints
    agent_speech: float
    duration: float
    windows: int
    failed: int
    error: str | None
    problems: tuple[Problem, ...]

    def of(self, label: Label) -> Bools:
        """(N,): which labels are of a class."""
        return np.asarray(self.label == LABELS.index(label))

    @property
    def mistakes_possible(self) -> Bools:
        """(N,): which labels are no interruptions."""
        return ~self.of("interruption")


def gather(
    calls: Sequence[LabelledCall],
    scored: Iterable[Scored | str],
    settings: Sequence[Settings],
    *,
    strict: bool = False,
) -> Results:
    """Put together what came of each call, in the calls' order.

    Raises :class:`~bargein.errors.DatasetError` at the first problem if ``strict``.
    """
    parts: list[Scored] = []
    problems: list[Problem] = []
    for call, part in zip(calls, scored, strict=True):
        if isinstance(part, str):
            problems += [overlap.problem(part) for overlap in call.overlaps]
        else:
            problems += part.problems
            parts.append(part)
        if problems and strict:
            raise DatasetError(str(problems[0]))
    groups: dict[str, int] = {}
    group = [
        groups.setdefault(part.call.id, len(groups)) for part in parts for _ in part.call.overlaps
    ]
    entries = tuple((part.call, overlap) for part in parts for overlap in part.call.overlaps)
    shape = (len(settings), 0)

    def joined(name: str, empty: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return np.concatenate([empty, *(getattr(part, name) for part in parts)], axis=1)

    def added(name: str) -> Ints:
        sums: Ints = np.zeros(len(settings), np.int64)
        for part in parts:
            sums = sums + getattr(part, name)
        return sums

    return Results(
        settings=tuple(settings),
        entries=entries,
        label=np.array([LABELS.index(overlap.label) for _, overlap in entries], np.int64),
        group=np.array(group, np.int64),
        groups=tuple(groups),
        positive=joined("positive", np.zeros(shape, bool)).astype(bool),
        delay=joined("delay", np.zeros(shape, np.float32)).astype(np.float32),
        early=joined("early", np.zeros(shape, bool)).astype(bool),
        best=joined("best", np.zeros((len(MOMENTS) + 1, 0), np.float32)).astype(np.float32),
        strays=added("strays"),
        inconclusive=added("inconclusive"),
        found=added("found"),
        agent_speech=sum(part.agent_speech for part in parts),
        duration=sum(part.duration for part in parts),
        windows=sum(part.windows for part in parts),
        failed=sum(part.failed for part in parts),
        error=next((part.error for part in parts if part.error), None),
        problems=tuple(problems),
    )
