"""The media streams of Twilio and its family, as a table: what differs between the vendors.

Each vendor opens a WebSocket to the bridge and sends JSON text messages; audio is base64 in both
directions. They differ in names, casing and encodings only. Sources, as published in 2025/26:

* Twilio: https://www.twilio.com/docs/voice/media-streams/websocket-messages
* Telnyx: https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket
* Plivo: https://www.plivo.com/docs/voice/audio-streaming/audio-streaming
* Exotel: https://developer.exotel.com/docs/agentstream/stream-voicebot-applet

A vendor that isn't here, or an account with other settings, is an ``attrs.evolve`` away.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from bargein.audio.formats import AudioFormat, Encoding

__all__ = ["DIALECTS", "EXOTEL", "PLIVO", "TELNYX", "TWILIO", "Dialect"]

ENCODING_NAMES: Mapping[str, Encoding] = {
    "audio/x-mulaw": "mulaw",
    "audio/mulaw": "mulaw",
    "mulaw": "mulaw",
    "ulaw": "mulaw",
    "pcmu": "mulaw",
    "audio/x-alaw": "alaw",
    "audio/alaw": "alaw",
    "alaw": "alaw",
    "pcma": "alaw",
    "audio/x-l16": "s16le",
    "audio/l16": "s16le",
    "l16": "s16le",
    "raw/slin": "s16le",
    "slin": "s16le",
    "pcm": "s16le",
    "linear16": "s16le",
    # Exotel names how the payload is wrapped, not what is in it (which is 16-bit samples).
    "base64": "s16le",
}
"""What vendors call an encoding, in lower case. Their 16-bit samples are little-endian, although
the registered ``audio/L16`` is big-endian; set `Dialect.encodings` where one differs."""


@attrs.frozen
class Dialect:
    """How one vendor spells the messages that they all have."""

    name: str

    stream_id: str = "streamSid"
    """Field with the stream's id: in the message, or in its ``start``."""

    send_stream_id: bool = True
    """Whether what the bridge sends carries the stream's id."""

    format_field: str = "mediaFormat"
    """Field of ``start`` with the audio's format."""

    rate_field: str = "sampleRate"
    chunk_field: str = "chunk"

    default: AudioFormat = attrs.field(factory=lambda: AudioFormat(8_000, 1, "mulaw"))
    """What the audio is where ``start`` doesn't say."""

    encodings: Mapping[str, Encoding] = attrs.field(factory=lambda: ENCODING_NAMES)

    play: str = "media"
    """Event with which the bridge sends audio."""

    play_format: bool = False
    """Whether that carries ``contentType`` and ``sampleRate``."""

    mark: str = "mark"
    mark_flat: bool = False
    """Whether a mark's ``name`` is in the message itself, not in an object ``mark``."""
    mark_back: str = "mark"

    clear: str = "clear"
    cleared: str = ""
    """Event with which a clear is confirmed; empty if it isn't."""

    marks_return_when_cleared: bool = True
    """Whether the marks of what was cleared come back all at once, or never."""

    ordered: bool = True
    """Whether audio comes in order; if not, it is put in order by its chunk number."""

    min_send: int = 0
    """Milliseconds of audio that a message should hold at least."""

    secrets: frozenset[str] = frozenset()
    """Fields that are kept out of a call's details."""


TWILIO = Dialect("twilio", secrets=frozenset({"accountSid"}))

TELNYX = Dialect(
    "telnyx",
    stream_id="stream_id",
    send_stream_id=False,
    format_field="media_format",
    rate_field="sample_rate",
    ordered=False,  # "media frame order is not guaranteed"
    secrets=frozenset({"user_id", "x-telnyx-streaming-auth-token"}),
)

PLIVO = Dialect(
    "plivo",
    stream_id="streamId",
    play="playAudio",
    play_format=True,
    mark="checkpoint",
    mark_flat=True,
    mark_back="playedStream",
    clear="clearAudio",
    cleared="clearedAudio",
    marks_return_when_cleared=False,
    secrets=frozenset({"accountId", "auth_id"}),
)

EXOTEL = Dialect(
    "exotel",
    stream_id="stream_sid",
    format_field="media_format",
    rate_field="sample_rate",
    default=AudioFormat(8_000),
    min_send=100,  # "minimum 3.2 KB"; smaller ones are played with holes
    secrets=frozenset({"account_sid"}),
)

DIALECTS: Mapping[str, Dialect] = {d.name: d for d in (TWILIO, TELNYX, PLIVO, EXOTEL)}
"""By name."""
