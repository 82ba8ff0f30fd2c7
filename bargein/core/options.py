"""The options of a stream: names, defaults, ranges, and the errors for what lies outside."""

from __future__ import annotations

import math
from fractions import Fraction
from types import EllipsisType
from typing import Final

import attrs

from bargein.errors import OptionError

from .checks import flag, number_in, positive_seconds, probability, seconds, whole
from .window import WINDOW_RATE

__all__ = [
    "FRAME_DURATION",
    "NOT_GIVEN",
    "InterruptionOptions",
    "min_frames",
    "number_in",
    "round_half_up",
]

NOT_GIVEN: Final[EllipsisType] = ...
"""An argument that was left out, where ``None`` means something else. Upstream's name for it."""

FRAME_DURATION = 0.025
"""Seconds that one probability of a backend speaks for."""

MAX_WINDOW = 3.0
"""Seconds. Models behind the protocol take no more in one window."""

_FLOAT_SLACK = 1e-6
"""Frames. 3 * 0.025 is a hair above 0.075 in binary; no user means 4 frames by it."""


def min_frames(min_interruption_duration: float) -> int:
    """Return the smallest whole number of 25 ms frames that covers a duration in seconds.

    >>> min_frames(0.05), min_frames(3 * 0.025), min_frames(0.06)
    (2, 3, 3)
    """
    return max(1, math.ceil(min_interruption_duration / FRAME_DURATION - _FLOAT_SLACK))


def round_half_up(value: Fraction) -> int:
    """Round to the nearest whole number, halves upwards, exactly."""
    return math.floor(value + Fraction(1, 2))


@attrs.frozen(kw_only=True)
class InterruptionOptions:
    """How overlaps are windowed and judged. Immutable; durations are in seconds.

    Raises :class:`~bargein.errors.OptionError` (a ``ValueError``) for a value outside its range.
    """

    threshold: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(probability)
    )
    """A probability at or above it is an interruption; ``None``: the backend's own default."""

    min_interruption_duration: float = attrs.field(default=0.05, validator=positive_seconds)
    """Consecutive speech that a backend must be sure of; sent as :attr:`min_frames`."""

    max_audio_duration: float = attrs.field(
        default=MAX_WINDOW,
        validator=number_in(lambda v: 0 < v <= MAX_WINDOW, f"seconds > 0, at most {MAX_WINDOW}"),
    )
    """The longest window: how far back a backend may listen."""

    audio_prefix_duration: float = attrs.field(default=1.0, validator=seconds)
    """Audio kept from before the onset of an agent turn's first overlap."""

    detection_interval: float = attrs.field(default=0.1, validator=positive_seconds)
    """The cadence: a window is cut each time so much audio has come in an overlap."""

    inference_timeout: float = attrs.field(default=0.7, validator=positive_seconds)
    """A window unanswered for so long after it was handed over is given up."""

    verdict_grace: float = attrs.field(default=0.2, validator=seconds)
    """How long past an overlap's end windows on the wire may still decide it."""

    max_in_flight: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(whole)
    )
    """Unanswered windows at a time; ``None``: what suits the transport (WebSocket 8, else 2)."""

    eager_first_window: bool = attrs.field(default=False, validator=flag)
    """Whether a window is cut at the overlap's start as well."""

    reset_window_per_overlap: bool = attrs.field(default=False, validator=flag)
    """Whether each overlap, not only the first of a turn, trims the window to its prefix."""

    prefix_before_agent: bool = attrs.field(default=False, validator=flag)
    """Whether the last ``audio_prefix_duration`` before the agent started is kept too."""

    def __attrs_post_init__(self) -> None:
        if self.audio_prefix_duration > self.max_audio_duration:
            raise OptionError(
                f"audio_prefix_duration came as {self.audio_prefix_duration!r}; expected at most "
                f"max_audio_duration, which is {self.max_audio_duration!r}: lower the one or raise "
                "the other"
            )

    @property
    def sample_rate(self) -> int:
        """Hz; what a backend gets, whatever the caller's audio comes as. Upstream's name."""
        return WINDOW_RATE

    @property
    def min_frames(self) -> int:
        """``min_interruption_duration`` in whole 25 ms frames, as it is sent to backends."""
        return min_frames(self.min_interruption_duration)

    @property
    def interval(self) -> Fraction:
        """``detection_interval`` as the decimal that was typed, so that cuts never drift."""
        return Fraction(repr(float(self.detection_interval)))

    def samples(self, duration: float, sample_rate: int) -> int:
        """Turn a duration in seconds into a whole number of samples, by rounding."""
        return round_half_up(Fraction(repr(float(duration))) * sample_rate)
