"""What an analysis found, and its JSON document: stable keys, rounded numbers, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.core import (
    InterruptionOptions,
    Outcome,
    OverlappingSpeechEvent,
)
from bargein.core.checks import seconds
from bargein.core.echo import EchoGateOptions
from bargein.core.playout import PlayoutOptions
from bargein.core.tracker import TrackerOptions

__all__ = ["AnalysedOverlap", "Analysis", "AnalysisOptions", "Answer", "Timings", "Turn"]

_TIME_DIGITS = 6
"""Microseconds: finer than a sample of any rate but the highest, coarser than float's noise."""

_PROBABILITY_DIGITS = 4
"""Processors add up in different orders, and a network's output differs from the sixth digit on.
Four say all that a judge can mean."""


@attrs.frozen(kw_only=True)
class AnalysisOptions:
    """How a recording is analysed. Immutable; durations in seconds.

    ``echo_gate`` ``None``: the agent's leak into the caller's channel isn't looked for.
    ``latency`` is how long a window takes to be answered, in seconds of the recording.
    """

    detection: InterruptionOptions = attrs.field(factory=InterruptionOptions)
    tracker: TrackerOptions = attrs.field(factory=TrackerOptions)
    echo_gate: EchoGateOptions | None = attrs.field(factory=EchoGateOptions)
    playout: PlayoutOptions = attrs.field(factory=PlayoutOptions)
    latency: float = attrs.field(default=0.0, validator=seconds)


@attrs.frozen
class Turn:
    """A stretch, in seconds of the recording, in which the agent counted as audible.

    It ends when its silence was long enough to be sure
    (:attr:`~bargein.core.playout.PlayoutOptions.min_silence`).
    """

    start: float
    end: float


@attrs.frozen
class Answer:
    """A window's answer."""

    cut: float
    """When the window was cut, in seconds of the recording."""
    at: float
    """When its answer came."""
    probability: float
    """The conservative estimate, which the threshold is compared with."""


@attrs.frozen(kw_only=True)
class AnalysedOverlap:
    """One overlap and its verdict; times in seconds of the recording."""

    start: float
    """The caller's onset, or the agent's start where the caller talked over that."""
    end: float
    """When the caller stopped, or the agent did, or the recording. A decided overlap has an
    end too."""
    event: OverlappingSpeechEvent
    """The verdict's event, without its arrays."""
    answers: tuple[Answer, ...] = ()
    """Those that came before the verdict."""

    @property
    def decided_at(self) -> float:
        """When the verdict was out."""
        return self.event.created_at

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types: start, end, decided_at, and the fields of the event."""
        times = {"start": self.start, "end": self.end, "decided_at": self.decided_at}
        return _rounded_dict({**times, **self.event.to_dict()})


@attrs.frozen(kw_only=True)
class Timings:
    """What an analysis cost, in seconds by the clock that it was given."""

    total: float
    judge: float
    """Of it, in the backend."""
    speed: float
    """Seconds of the recording per second."""


@attrs.frozen(kw_only=True, eq=False)
class Analysis:
    """What was found in a recording. Immutable."""

    recording: Mapping[str, Any]
    """What was read: ``duration``, ``sample_rate``, ``caller`` and ``agent``."""
    backend: Mapping[str, Any]
    """Which judge: ``model``, ``provider``, ``default_threshold``."""
    options: AnalysisOptions
    turns: tuple[Turn, ...]
    overlaps: tuple[AnalysedOverlap, ...]
    windows: Mapping[str, int]
    """What became of windows: ``sent``, ``answered``, ``late``, ``superseded``, ``timed_out``,
    ``failed``."""
    error: Exception | None = None
    """The first that the backend raised; each fails one window."""
    timings: Timings | None = None
    waveforms: Mapping[str, tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]] = attrs.field(
        factory=dict, repr=False
    )
    """``caller`` and ``agent``: lowest and highest samples by column, where they were asked for."""

    @property
    def duration(self) -> float:
        """Seconds of the recording."""
        duration: float = self.recording["duration"]
        return duration

    @property
    def threshold(self) -> float | None:
        """What decided: the option, else the backend's own; ``None``: the backend by itself."""
        given = self.options.detection.threshold
        default: float | None = self.backend["default_threshold"]
        return default if given is None else given

    def count(self, outcome: Outcome) -> int:
        """Return how many overlaps had an outcome."""
        return sum(overlap.event.outcome is outcome for overlap in self.overlaps)

    def summary(self) -> dict[str, Any]:
        """Return the figures of the whole call."""
        delays = [o.event.detection_delay for o in self.overlaps if o.event.is_interruption]
        return _rounded_dict(
            {
                "overlaps": len(self.overlaps),
                "interruptions": self.count(Outcome.INTERRUPTION),
                "backchannels": self.count(Outcome.BACKCHANNEL),
                "inconclusive": self.count(Outcome.INCONCLUSIVE),
                "median_delay": float(np.median(delays)) if delays else None,
                "agent_speech": sum(turn.end - turn.start for turn in self.turns),
                "windows": dict(self.windows),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document: recording, options, overlaps, summary; timings where taken."""
        turns = [{"start": turn.start, "end": turn.end} for turn in self.turns]
        document = {
            "recording": _rounded_dict({**self.recording, "agent_turns": turns}),
            "options": {
                "backend": dict(self.backend),
                "latency": self.options.latency,
                "threshold_used": self.threshold,
                "detection": attrs.asdict(self.options.detection),
                "tracker": attrs.asdict(self.options.tracker),
                "echo_gate": self.options.echo_gate and attrs.asdict(self.options.echo_gate),
                "playout": attrs.asdict(self.options.playout),
            },
            "overlaps": [overlap.to_dict() for overlap in self.overlaps],
            "summary": self.summary(),
        }
        if self.timings is not None:
            document["timings"] = _rounded_dict(attrs.asdict(self.timings))
        return document


def _rounded_dict(values: Mapping[str, Any]) -> dict[str, Any]:
    """Round every float in a document: probabilities coarser than times."""
    return {name: _rounded(entry, name) for name, entry in values.items()}


def _rounded(value: Any, key: str = "") -> Any:
    if isinstance(value, float):
        return round(value, _PROBABILITY_DIGITS if key == "probability" else _TIME_DIGITS)
    if isinstance(value, dict):
        return _rounded_dict(value)
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return value
