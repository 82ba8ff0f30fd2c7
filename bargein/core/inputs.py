"""What goes into the machines: audio, sentinels, and news from the transport.

All are immutable values. Where one names a time, it is either *epoch seconds* from the user,
which the machines echo and never compute with, or an *age* in seconds before the input's own
stamp, which they do.
"""

from __future__ import annotations

from enum import Enum
from fractions import Fraction
from typing import Any

import attrs

from bargein.audio import AudioFormat

from .checks import epoch, one_of, probability, seconds, whole, whole_or_zero
from .verdicts import GIVEN_UP, Reason
from .window import Prediction

__all__ = [
    "AgentAudio",
    "AgentSpeechEnded",
    "AgentSpeechStarted",
    "Audio",
    "Close",
    "EndOfInput",
    "Flush",
    "Gap",
    "Input",
    "Judge",
    "JudgeReady",
    "JudgeUnready",
    "OverlapSpeechEnded",
    "OverlapSpeechStarted",
    "Reply",
    "SetFormat",
    "Settings",
    "Skip",
    "VoiceActivity",
    "WindowFailed",
    "WindowSent",
]


class Judge(str, Enum):
    """Who judges a window: the backend that the user chose, or the one that stands in for it."""

    PRIMARY = "primary"
    FALLBACK = "fallback"


_optional_seconds = attrs.validators.optional(seconds)
_optional_epoch = attrs.validators.optional(epoch)


# --- the caller's audio ---------------------------------------------------------------------


@attrs.frozen
class Audio:
    """The caller's audio: whole samples in the stream's format, already validated."""

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")


@attrs.frozen
class Gap:
    """Audio that never came (a lost packet, a hold). ``duration`` in seconds, exact if a Fraction.

    Up to 0.2 s becomes silence and counts for the cadence; longer empties the window, and the
    cadence starts anew.
    """

    duration: float | Fraction = attrs.field(validator=seconds)


@attrs.frozen
class Skip:
    """Audio that came and was left unread because no window can need it; ``samples`` >= 0.

    Positions move on; nothing else does. Only whoever holds back audio for the machine (the
    inbox) may say this, and only of audio older than the longest window.
    """

    samples: int = attrs.field(validator=whole_or_zero)


@attrs.frozen
class SetFormat:
    """From here on audio comes in ``format``; counts as a long gap."""

    format: AudioFormat = attrs.field(validator=attrs.validators.instance_of(AudioFormat))


@attrs.frozen
class VoiceActivity:
    """A voice activity detector's ``probability``, 0..1, for the audio since the one before it.

    For the overlap tracker; the interruption machine knows none.
    """

    probability: float


@attrs.frozen
class AgentAudio:
    """The agent's audio as it is played: whole samples in ``format``. For the echo gate."""

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    format: AudioFormat = AudioFormat()

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.data) / (self.format.frame_width * self.format.sample_rate)


# --- sentinels ------------------------------------------------------------------------------


@attrs.frozen
class AgentSpeechStarted:
    """The agent's audio became audible to the caller."""


@attrs.frozen
class AgentSpeechEnded:
    """The agent's audio ceased to be audible to the caller."""


@attrs.frozen(kw_only=True)
class OverlapSpeechStarted:
    """The caller began to speak over the agent.

    ``speech_duration``
        Seconds of speech already heard when the VAD fired.
    ``started_at``
        Epoch seconds of the onset, echoed in the event; ``None``: derived at emission.
    ``age``
        Seconds from the onset to this input's stamp; ``None``: ``speech_duration``.
    ``span``
        An OpenTelemetry span on which the verdict is written.
    """

    speech_duration: float = attrs.field(default=0.0, validator=seconds)
    started_at: float | None = attrs.field(default=None, validator=_optional_epoch)
    age: float | None = attrs.field(default=None, validator=_optional_seconds)
    span: Any = attrs.field(default=None, eq=False, repr=False)


@attrs.frozen(kw_only=True)
class OverlapSpeechEnded:
    """The caller stopped, or (``agent_ended``) the agent did, which leaves the verdict open.

    ``ended_at`` is epoch seconds, echoed; ``age`` the seconds from the end to this stamp.
    """

    ended_at: float | None = attrs.field(default=None, validator=_optional_epoch)
    agent_ended: bool = False
    age: float | None = attrs.field(default=None, validator=_optional_seconds)


@attrs.frozen
class Flush:
    """A marker between segments; changes nothing."""


@attrs.frozen
class EndOfInput:
    """Nothing more will come: finish what is in flight, then end."""


@attrs.frozen
class Close:
    """End now: nothing is waited for."""


# --- news from the transport ----------------------------------------------------------------


@attrs.frozen
class WindowSent:
    """A window was handed over: a thread took it, or its first byte entered the socket."""

    window_id: int


@attrs.frozen
class Reply:
    """A window was answered."""

    window_id: int
    prediction: Prediction


@attrs.frozen
class WindowFailed:
    """A window will not be answered: ``connection``, ``timeout`` or ``error``.

    ``window_id`` ``None``: none of those that ``judge`` was handed will be.
    """

    window_id: int | None
    reason: Reason = attrs.field(default=Reason.ERROR, validator=one_of(GIVEN_UP))
    judge: Judge = Judge.PRIMARY


@attrs.frozen
class JudgeReady:
    """The primary judge can take windows (again)."""


@attrs.frozen
class JudgeUnready:
    """The primary judge can't take windows. ``lost``: those on its wire won't be answered."""

    lost: bool = False


@attrs.frozen
class Settings:
    """Windows sent from here on carry these (``update_options``)."""

    threshold: float | None = attrs.field(validator=attrs.validators.optional(probability))
    min_frames: int = attrs.field(validator=whole)


Input = (
    Audio
    | Gap
    | Skip
    | SetFormat
    | AgentSpeechStarted
    | AgentSpeechEnded
    | OverlapSpeechStarted
    | OverlapSpeechEnded
    | Flush
    | EndOfInput
    | Close
    | WindowSent
    | Reply
    | WindowFailed
    | JudgeReady
    | JudgeUnready
    | Settings
)
