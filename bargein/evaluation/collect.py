"""Gathers labels into calls, whichever format they come in, and keeps book of what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from bargein.errors import OptionError

from .dataset import (
    IGNORED,
    LABELS,
    Dataset,
    Label,
    LabelledCall,
    LabelledOverlap,
    Problem,
    Track,
)

__all__ = ["Collector", "Row"]


@attrs.frozen(kw_only=True)
class Row:
    """One label, as it came. Channels count from 0; ``None``: not said."""

    audio: str
    start: float
    end: float
    text: str
    file: str
    line: int | None
    agent_audio: str | None = None
    caller_channel: int | None = None
    agent_channel: int | None = None
    call: str | None = None
    agent_start: float | None = None
    tags: Mapping[str, str] = attrs.field(factory=dict)


@attrs.define(eq=False)
class _Recording:
    caller: Track
    agent: Track | None
    call: str
    agent_start: float | None
    agent_assumed: bool
    reference: str
    overlaps: list[LabelledOverlap] = attrs.field(factory=list)


class Collector:
    """Takes rows and gives a dataset.

    ``names``
        A user's labels -> ours, or ``ignore``; ours are known as they are. Case doesn't matter.
    ``where``
        Only rows whose tags have these values; the others are counted.
    ``group_by``
        The column that tells calls apart; by default ``call``, else the audio file.
    """

    def __init__(
        self,
        *,
        names: Mapping[str, str] | None = None,
        where: Mapping[str, str] | None = None,
        group_by: str | None = None,
    ) -> None:
        for name, label in (names or {}).items():
            if label.lower() not in (*LABELS, IGNORED):
                known = ", ".join((*LABELS, IGNORED))
                raise OptionError(f"{name!r} is mapped to {label!r}; expected one of {known}")
        self.problems: list[Problem] = []
        self.ignored = 0
        self._filtered = 0
        self._names = {name.lower(): label.lower() for name, label in (names or {}).items()}
        self._where = dict(where or {})
        self._group_by = group_by
        self._columns: set[str] | None = None
        """All that the labels came with; ``None``: there is no label yet."""
        self._found: dict[tuple[Track, Track | None], _Recording] = {}
        self._unscored: dict[tuple[Track, Track | None], list[tuple[float, float]]] = {}

    def take(self, row: Row) -> None:
        """Take a label; what is wrong with it in itself is noted here."""
        label = self.label(row.text)
        self._columns = (self._columns or set()) | row.tags.keys()
        if any(row.tags.get(name) != value for name, value in self._where.items()):
            self._filtered += 1
            self._pass_over(row)
        elif label is None:
            known = ", ".join((*LABELS, IGNORED))
            what = f"the label came as {row.text!r}; expected one of {known}, or a mapping to one"
            self.problems.append(Problem(row.file, row.line, what))
            self._pass_over(row)
        elif label == "ignore":
            self.ignored += 1
            self._pass_over(row)
        elif (recording := self._recording(row)) is not None:
            recording.overlaps.append(
                LabelledOverlap(
                    start=row.start,
                    end=row.end,
                    label=label,
                    file=row.file,
                    line=row.line,
                    tags=row.tags,
                )
            )

    def _pass_over(self, row: Row) -> None:
        """Remember where something is that isn't scored."""
        if row.start < row.end:
            self._unscored.setdefault(_tracks(row), []).append((row.start, row.end))

    def label(self, text: str) -> Label | Literal["ignore"] | None:
        """Return the label that a word stands for; ``None``: nobody knows."""
        word = text.strip().lower()
        word = self._names.get(word, word)
        if word == IGNORED:
            return "ignore"
        return next((label for label in LABELS if label == word), None)

    def _recording(self, row: Row) -> _Recording | None:
        caller, agent = _tracks(row)
        call = (row.tags.get(self._group_by) if self._group_by else row.call) or row.audio
        found = self._found.get((caller, agent))
        if found is None:
            where = row.file if row.line is None else f"{row.file}:{row.line}"
            assumed = row.agent_audio is None and row.agent_channel is None
            found = _Recording(caller, agent, call, row.agent_start, assumed, where)
            self._found[caller, agent] = found
            return found
        for name, value, before in (
            ("agent_start", row.agent_start, found.agent_start),
            (self._group_by or "call", call, found.call),
        ):
            if value != before:
                what = (
                    f"{name} came as {value}; the same recording has {before} before "
                    f"({found.reference})"
                )
                self.problems.append(Problem(row.file, row.line, what))
                return None
        return found

    def dataset(self, name: str) -> Dataset:
        """Return what was gathered.

        Raises :class:`~bargein.errors.OptionError` where a column was asked for that no label has.
        """
        wanted = [*self._where, *([self._group_by] if self._group_by else [])]
        for column in wanted:
            if self._columns is not None and column not in self._columns:
                there = ", ".join(map(repr, sorted(self._columns))) or "none"
                raise OptionError(f"no label has the column {column!r}; there are: {there}")
        calls = tuple(
            LabelledCall(
                id=found.call,
                caller=found.caller,
                agent=found.agent,
                agent_start=found.agent_start,
                agent_assumed=found.agent_assumed,
                overlaps=tuple(sorted(found.overlaps, key=lambda overlap: overlap.start)),
                unscored=tuple(sorted(self._unscored.get((found.caller, found.agent), ()))),
                reference=found.reference,
            )
            for found in self._found.values()
        )
        return Dataset(
            name=name,
            calls=calls,
            problems=tuple(self.problems),
            ignored=self.ignored,
            filtered=self._filtered,
        )


def _tracks(row: Row) -> tuple[Track, Track | None]:
    """Caller and agent: two files, or two channels of one, the caller's first by default."""
    if row.agent_audio is not None:
        return Track(row.audio, row.caller_channel or 0), Track(
            row.agent_audio, row.agent_channel or 0
        )
    caller, agent = row.caller_channel, row.agent_channel
    if caller is None:
        caller = 0 if agent is None else 1 - min(agent, 1)
    if agent is None:
        agent = 1 - min(caller, 1)
    return Track(row.audio, caller), Track(row.audio, agent)
