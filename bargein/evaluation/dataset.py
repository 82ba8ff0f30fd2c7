"""What an evaluation is made on: calls, what was labelled in them, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

import attrs

__all__ = [
    "IGNORED",
    "LABELS",
    "Dataset",
    "Label",
    "LabelledCall",
    "LabelledOverlap",
    "Problem",
    "Track",
]

Label = Literal["interruption", "backchannel", "noise"]

LABELS: Final[tuple[Label, ...]] = get_args(Label)
"""In the order in which they are told."""

IGNORED: Final = "ignore"
"""What a user's label may be mapped to: known, and not to be scored."""


@attrs.frozen
class Problem:
    """Something that can't be evaluated, and why. ``line`` counts from 1; None: the whole file."""

    file: str
    line: int | None
    what: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.what}"

    def to_dict(self) -> dict[str, object]:
        """Return plain JSON types."""
        return {"file": self.file, "line": self.line, "what": self.what}


@attrs.frozen
class Track:
    """One side of a call: a channel of an audio file. ``channel`` counts from 0."""

    path: str
    channel: int = 0


@attrs.frozen(kw_only=True)
class LabelledOverlap:
    """A stretch of the caller's audio of which somebody said what it is. Times in seconds."""

    start: float
    """The acoustic onset: delays count from here."""
    end: float
    label: Label
    file: str = ""
    """Where it is said: file and line."""
    line: int | None = None
    tags: Mapping[str, str] = attrs.field(factory=dict, eq=False, repr=False)
    """The manifest's other columns."""

    def problem(self, what: str) -> Problem:
        """Say what is wrong with this label."""
        return Problem(self.file, self.line, what)


@attrs.frozen(kw_only=True)
class LabelledCall:
    """A recording and its labels, in order of start.

    ``agent`` ``None``: the agent's audio isn't there, and the agent counts as speaking from
    ``agent_start`` (else the beginning) to the end. With it, ``agent_start`` says when the agent
    begins to speak, without ending again; ``None``: that is found in the agent's audio.
    """

    id: str
    """The call: uncertainty is over calls, so recordings of one call share it."""
    caller: Track
    agent: Track | None = None
    agent_start: float | None = None
    agent_assumed: bool = False
    """Nobody said where the agent is: a file of one channel holds the caller alone."""
    overlaps: tuple[LabelledOverlap, ...] = ()
    unscored: tuple[tuple[float, float], ...] = ()
    """Starts and ends of what was labelled and isn't scored (ignored, filtered, not understood), in
    seconds: a verdict about one of these is about no label."""
    reference: str = ""
    """Where the recording is named: a file and a line, for messages."""

    @property
    def name(self) -> str:
        """What it is called in reports: the caller's file."""
        return self.caller.path


@attrs.frozen(kw_only=True)
class Dataset:
    """Calls with labels, and what was left out of it on the way."""

    name: str
    calls: tuple[LabelledCall, ...]
    problems: tuple[Problem, ...] = ()
    ignored: int = 0
    """Labels that were mapped to ``ignore``, or that a format has for other things."""
    filtered: int = 0
    """Labels that ``where`` left out."""
    strict: bool = False
    """Whether what turns out to be wrong as the audio is heard stops an evaluation, too."""

    @property
    def overlaps(self) -> int:
        """How many labels there are."""
        return sum(len(call.overlaps) for call in self.calls)

    def count(self, label: Label) -> int:
        """Return how many labels of a class there are."""
        return sum(o.label == label for call in self.calls for o in call.overlaps)
