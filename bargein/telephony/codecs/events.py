"""What the codecs tell: one small vocabulary for all wire formats.

All are immutable. Audio is in the format that `Started` named, in whole samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import attrs

from bargein.audio.formats import AudioFormat
from bargein.errors import ProtocolError

__all__ = [
    "Audio",
    "Cleared",
    "Digit",
    "Ended",
    "Event",
    "Flow",
    "Gap",
    "Ignored",
    "MarkReached",
    "Started",
    "refuse",
]

DIGITS = frozenset("0123456789*#ABCD")
"""The keys of a telephone, with the fourth column that only some have."""


@attrs.frozen
class Started:
    """The call has told who it is and how its audio looks; once, before everything else."""

    id: str
    format: AudioFormat
    frame: int
    """Samples that the peer likes in one message of audio."""
    details: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Audio:
    """The caller's audio."""

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")


@attrs.frozen
class Gap:
    """Audio of this length (samples, > 0) is missing before what comes next."""

    samples: int


@attrs.frozen
class Digit:
    """A key was pressed: one of ``0123456789*#ABCD``."""

    digit: str


@attrs.frozen
class MarkReached:
    """A mark came back: played, or dropped by a clear; which of the two isn't known here."""

    name: str


@attrs.frozen
class Cleared:
    """The peer says that it has dropped what it had buffered."""


@attrs.frozen
class Flow:
    """The peer takes no more audio for now (False), or takes it again (True)."""

    writable: bool


@attrs.frozen
class Ended:
    """The peer ended the call; nothing comes after this. ``detail`` is for the log."""

    detail: str


@attrs.frozen
class Ignored:
    """Something that isn't understood and does no harm; for the log, once a kind."""

    what: str


Event = Started | Audio | Gap | Digit | MarkReached | Cleared | Flow | Ended | Ignored


def refuse(message: str) -> NoReturn:
    """Raise the one error that codecs raise; there is no way to go on after it."""
    raise ProtocolError(message, retryable=False)


def short(value: object, limit: int = 40) -> str:
    """Return what came as text that is safe and short enough for a log line."""
    text = ascii(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def digits(key: object) -> list[Event]:
    """Return the event of a pressed key, or say that it is no key (a hook flash, an empty one)."""
    name = str(key).upper()
    if name in DIGITS:
        return [Digit(name)]
    return [Ignored(f"DTMF {short(key)}, which isn't a key")]
