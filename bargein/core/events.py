"""What consumers get: one event for each overlap, errors, metrics. Field names are upstream's.

All are immutable values, safe in any thread; arrays are read-only. Times are epoch seconds (in
a recording's analysis: seconds of the recording), durations seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs
import numpy as np
import numpy.typing as npt

from .actions import Verdict
from .options import min_frames as frames_in
from .verdicts import Outcome, Reason, estimate_probability

__all__ = [
    "InterruptionCacheEntry",
    "InterruptionDetectionError",
    "InterruptionMetrics",
    "Metadata",
    "OverlappingSpeechEvent",
]

_arrays_equal = attrs.cmp_using(eq=np.array_equal)
_ARRAYS = ("speech_input", "probabilities")

_UPSTREAM_MIN_FRAMES = frames_in(0.05)
"""A cache entry doesn't know its window's settings; upstream always estimates over 50 ms."""


@attrs.frozen(kw_only=True)
class InterruptionCacheEntry:
    """A window's result under upstream's name and shape, for code that builds events by hand.

    ``created_at`` is an identity in nanoseconds; ``speech_input`` int16 ``(n,)`` at 16 kHz,
    ``probabilities`` float32, one per 25 ms.
    """

    created_at: int = 0
    speech_input: npt.NDArray[np.int16] | None = attrs.field(
        default=None, eq=_arrays_equal, hash=False
    )
    total_duration: float | None = None
    prediction_duration: float | None = None
    detection_delay: float | None = None
    probabilities: npt.NDArray[np.float32] | None = attrs.field(
        default=None, eq=_arrays_equal, hash=False
    )
    is_interruption: bool | None = None

    def get_total_duration(self, default: float = 0.0) -> float:
        """Return the round trip in seconds, or ``default`` where unknown."""
        return default if self.total_duration is None else self.total_duration

    def get_prediction_duration(self, default: float = 0.0) -> float:
        """Return the backend's own time in seconds, or ``default`` where unknown."""
        return default if self.prediction_duration is None else self.prediction_duration

    def get_detection_delay(self, default: float = 0.0) -> float:
        """Return onset to reply in seconds, or ``default`` where unknown."""
        return default if self.detection_delay is None else self.detection_delay

    def get_probability(self, default: float = 0.0) -> float:
        """Return the conservative estimate over 50 ms, or ``default`` without probabilities."""
        if self.probabilities is None:
            return default
        return estimate_probability(self.probabilities, _UPSTREAM_MIN_FRAMES)


@attrs.frozen(kw_only=True)
class OverlappingSpeechEvent:
    """An overlap's one verdict.

    ``is_interruption`` is True for ``outcome == "interruption"`` alone: stop the agent. With
    ``outcome == "inconclusive"`` nobody could tell, and ``reason`` says why; what to do then is
    the caller's policy.
    """

    type: Literal["overlapping_speech"] = "overlapping_speech"
    is_interruption: bool = False
    outcome: Outcome = Outcome.INCONCLUSIVE
    reason: Reason | None = None
    """Why it is inconclusive; or the policy (``fail_open``, ``fail_closed``) that decided."""
    agent_ended: bool = False
    """Whether the agent's end closed it; the caller may still be talking."""
    overlap_started_at: float | None = None
    """The onset, as given or derived."""
    detected_at: float = 0.0
    """The deciding reply's arrival for an interruption, else the overlap's end."""
    created_at: float = 0.0
    """When this event was emitted."""
    detection_delay: float = 0.0
    """From the onset to the deciding (else the newest) reply; 0.0 if there was none."""
    total_duration: float = 0.0
    """That window's round trip, hand-over to arrival."""
    prediction_duration: float = 0.0
    """The backend's own time for it."""
    speech_input: npt.NDArray[np.int16] | None = attrs.field(
        default=None, eq=_arrays_equal, hash=False, repr=False
    )
    """That window: int16 ``(n,)``, 16 kHz mono, read-only."""
    probabilities: npt.NDArray[np.float32] | None = attrs.field(
        default=None, eq=_arrays_equal, hash=False, repr=False
    )
    """Its probabilities: float32, one per 25 ms, read-only."""
    probability: float = 0.0
    """The conservative estimate from them."""
    num_requests: int = 0
    """Windows handed to a transport for this overlap."""
    stream_id: str | None = None
    """Which call."""

    @classmethod
    def from_verdict(
        cls, verdict: Verdict, *, offset: float = 0.0, stream_id: str | None = None
    ) -> OverlappingSpeechEvent:
        """Turn a machine's verdict into an event; ``offset`` is epoch minus monotonic seconds."""

        def epoch(monotonic: float) -> float:
            return monotonic + offset

        return cls(
            is_interruption=verdict.is_interruption,
            outcome=verdict.outcome,
            reason=verdict.reason,
            agent_ended=verdict.agent_ended,
            overlap_started_at=(
                epoch(verdict.onset) if verdict.started_at is None else verdict.started_at
            ),
            detected_at=epoch(verdict.detected) if verdict.ended_at is None else verdict.ended_at,
            created_at=epoch(verdict.emitted),
            detection_delay=verdict.detection_delay,
            total_duration=verdict.total_duration,
            prediction_duration=verdict.prediction_duration,
            speech_input=verdict.speech_input,
            probabilities=verdict.probabilities,
            probability=verdict.probability,
            num_requests=verdict.num_requests,
            stream_id=stream_id,
        )

    @classmethod
    def from_cache_entry(
        cls,
        *,
        entry: InterruptionCacheEntry,
        is_interruption: bool,
        started_at: float | None = None,
        ended_at: float | None = None,
        agent_ended: bool = False,
        created_at: float = 0.0,
    ) -> OverlappingSpeechEvent:
        """Build an event by hand, as upstream does; times are epoch seconds.

        This layer reads no clock: without ``ended_at``, ``detected_at`` is ``created_at``.
        """
        if is_interruption:
            outcome, reason = Outcome.INTERRUPTION, None
        elif agent_ended:
            outcome, reason = Outcome.INCONCLUSIVE, Reason.AGENT_ENDED
        elif entry.probabilities is None:
            outcome, reason = Outcome.INCONCLUSIVE, Reason.NO_REQUEST
        else:
            outcome, reason = Outcome.BACKCHANNEL, None
        return cls(
            is_interruption=is_interruption,
            outcome=outcome,
            reason=reason,
            agent_ended=agent_ended,
            overlap_started_at=started_at,
            detected_at=created_at if ended_at is None else ended_at,
            created_at=created_at,
            detection_delay=entry.get_detection_delay(),
            total_duration=entry.get_total_duration(),
            prediction_duration=entry.get_prediction_duration(),
            speech_input=entry.speech_input,
            probabilities=entry.probabilities,
            probability=entry.get_probability(),
        )

    def without_arrays(self) -> OverlappingSpeechEvent:
        """Return the same event without its two arrays (what an old queued event is cut to)."""
        if self.speech_input is None and self.probabilities is None:
            return self
        return attrs.evolve(self, speech_input=None, probabilities=None)

    def to_dict(self, *, arrays: bool = False) -> dict[str, Any]:
        """Return plain JSON types; the two arrays are ``None``, or lists with ``arrays=True``."""
        plain: dict[str, Any] = {}
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            if field.name in _ARRAYS:
                value = value.tolist() if arrays and value is not None else None
            elif isinstance(value, (Outcome, Reason)):
                value = value.value
            plain[field.name] = value
        return plain


@attrs.frozen(kw_only=True)
class InterruptionDetectionError:
    """A fault of a backend or of the way to it; ``timestamp`` in epoch seconds.

    ``recoverable``: the stream goes on and tries again. One is given per outage, when it begins.
    """

    type: Literal["interruption_detection_error"] = "interruption_detection_error"
    timestamp: float
    label: str
    error: Exception
    recoverable: bool
    stream_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; the error becomes its class name and message."""
        plain = attrs.asdict(self)
        plain["error"] = f"{type(self.error).__name__}: {self.error}"
        return plain


@attrs.frozen
class Metadata:
    """Which model judged."""

    model_name: str
    model_provider: str


@attrs.frozen(kw_only=True)
class InterruptionMetrics:
    """Figures of one event, and what happened to windows since the last one.

    Durations in seconds. An inconclusive overlap counts as neither interruption nor backchannel.
    """

    type: Literal["interruption_metrics"] = "interruption_metrics"
    timestamp: float
    total_duration: float
    prediction_duration: float
    detection_delay: float
    num_interruptions: int
    num_backchannels: int
    num_requests: int
    metadata: Metadata
    num_answered: int = 0
    num_late: int = 0
    num_superseded: int = 0
    num_timed_out: int = 0
    num_fallback: int = 0
    """Windows that the fallback judged."""
    num_reconnects: int = 0
    dropped_audio: float = 0.0
    """Seconds of the caller's audio that came faster than it could be taken."""
    stream_id: str | None = None

    @classmethod
    def of(
        cls,
        event: OverlappingSpeechEvent,
        verdict: Verdict,
        metadata: Metadata,
        driver: Mapping[str, Any] | None = None,
    ) -> InterruptionMetrics:
        """Build the metrics that go with an event; ``driver`` adds what only a driver counts."""
        counts = verdict.counts
        return cls(
            timestamp=event.created_at,
            total_duration=event.total_duration,
            prediction_duration=event.prediction_duration,
            detection_delay=event.detection_delay,
            num_interruptions=int(event.outcome is Outcome.INTERRUPTION),
            num_backchannels=int(event.outcome is Outcome.BACKCHANNEL),
            num_requests=event.num_requests,
            metadata=metadata,
            num_answered=counts.answered,
            num_late=counts.late,
            num_superseded=counts.superseded,
            num_timed_out=counts.timed_out,
            num_fallback=counts.fallback,
            stream_id=event.stream_id,
            **(driver or {}),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return attrs.asdict(self)
