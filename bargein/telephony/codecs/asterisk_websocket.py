"""Asterisk's chan_websocket: audio in binary messages, events and commands in text messages.

Source: https://docs.asterisk.org/Configuration/Channel-Drivers/WebSocket/ (Asterisk 20.16, 21.11,
22.6, 23.0; JSON and MARK_MEDIA from 20.18, 22.8, 23.2) and what 22 was seen to do.

Two formats of text, the same names in both. Plain: ``MEDIA_START connection_id:x format:ulaw
optimal_frame_size:160 ptime:20``. JSON (``control_message_format = json``, or ``f(json)`` in the
dial string): ``{"event": "MEDIA_START", "format": "ulaw", …}``. The first message tells which of
them a call speaks, and it is answered in the same.

Asterisk buffers some 1,000 frames (20 s), and paces. It asks for a pause near the end of that
(MEDIA_XOFF) and drops what still comes. A flush is prompt; the marks in what was flushed never
come back. Audio that doesn't fill a frame is dropped, so it is kept here until it does.
"""

from __future__ import annotations

import json
from typing import Any

from bargein.audio.formats import AudioFormat, Encoding, silence

from .events import (
    Audio,
    Ended,
    Event,
    Flow,
    Ignored,
    MarkReached,
    Started,
    digits,
    refuse,
    short,
)
from .fields import MAX_TEXT, flatten, integer, parse_object, text

__all__ = ["FORMATS", "MAX_MESSAGE", "AsteriskMedia"]

MAX_MESSAGE = 65_500
"""Bytes; Asterisk closes the connection on a longer message."""

MAX_FRAME = 1 << 14
"""Bytes; 20 ms at 192 kHz are 7,680."""

FORMATS: dict[str, tuple[Encoding, int]] = {
    "ulaw": ("mulaw", 8_000),
    "alaw": ("alaw", 8_000),
    "slin": ("s16le", 8_000),
    "slin8": ("s16le", 8_000),
    "slin12": ("s16le", 12_000),
    "slin16": ("s16le", 16_000),
    "slin24": ("s16le", 24_000),
    "slin32": ("s16le", 32_000),
    "slin44": ("s16le", 44_100),
    "slin48": ("s16le", 48_000),
    "slin96": ("s16le", 96_000),
    "slin192": ("s16le", 192_000),
}
"""Asterisk's names of the formats that are read here: encoding and Hz."""

_QUIET = frozenset({"STATUS", "QUEUE_DRAINED", "MEDIA_BUFFERING_COMPLETED"})
"""Events that need no action: answers to what others may have asked."""


class AsteriskMedia:
    """The bridge's end of one chan_websocket connection. Not thread-safe.

    `receive` raises `bargein.errors.ProtocolError` where a message can't be one, audio comes
    before MEDIA_START, or a second one comes; it must not be called after that.
    """

    def __init__(self) -> None:
        self._format: AudioFormat | None = None
        self._frame_bytes = 0
        self._json = False
        self._rest = b""

    def receive(self, message: str | bytes) -> list[Event]:
        """Take one message and return what it says."""
        if isinstance(message, bytes):
            return self._audio(message)
        if len(message) > MAX_TEXT:
            refuse(f"chan_websocket: got a message of {len(message)} characters")
        stripped = message.strip()
        if stripped.startswith("{"):
            fields = parse_object(stripped, "chan_websocket")
            name = text(fields, "event")
        else:
            name, fields = self._plain(stripped)
        if name == "MEDIA_START":
            self._json = stripped.startswith("{")
            return self._start(fields)
        if self._format is None:
            refuse(f"chan_websocket: got {short(message)} first, expected MEDIA_START")
        return self._event(name, fields)

    @staticmethod
    def _plain(message: str) -> tuple[str, dict[str, Any]]:
        name, *words = message.split() or [""]
        fields: dict[str, Any] = {}
        for word in words:
            key, colon, value = word.partition(":")
            # A bare word is an id: MEDIA_BUFFERING_COMPLETED <id>, MEDIA_MARK_PROCESSED <id>.
            fields[key if colon else "correlation_id"] = value if colon else word
        return name, fields

    def _start(self, fields: dict[str, Any]) -> list[Event]:
        if self._format is not None:
            refuse("chan_websocket: got a second MEDIA_START, expected one call on each connection")
        name = text(fields, "format")
        known = FORMATS.get(name)
        if known is None:
            refuse(
                f"chan_websocket: got format {short(name)}, expected one of {', '.join(FORMATS)}: "
                f"set it in the dial string, c(ulaw)"
            )
        fmt = AudioFormat(known[1], 1, known[0])
        size = integer(fields, "optimal_frame_size")
        if size is None:
            size = fmt.sample_rate // 50 * fmt.sample_width
        if not 0 < size <= MAX_FRAME or size % fmt.sample_width:
            refuse(f"chan_websocket: got an optimal_frame_size of {size} bytes for {fmt}")
        self._format, self._frame_bytes = fmt, size
        call = text(fields, "channel_id") or text(fields, "connection_id") or "chan_websocket"
        details = flatten(fields, frozenset({"event", "format", "optimal_frame_size", "ptime"}))
        return [Started(call, fmt, size // fmt.sample_width, details)]

    def _event(self, name: str, fields: dict[str, Any]) -> list[Event]:
        if name == "DTMF_END":
            return digits(text(fields, "digit"))
        if name in ("MEDIA_XOFF", "MEDIA_XON"):
            return [Flow(name == "MEDIA_XON")]
        if name == "MEDIA_MARK_PROCESSED":
            return [MarkReached(text(fields, "correlation_id"))]
        if name in ("HANGUP", "MEDIA_END"):
            return [Ended(name)]
        if name in _QUIET:
            return []
        return [Ignored(f"event {short(name)} {short(fields, 200)}")]

    def _audio(self, data: bytes) -> list[Event]:
        if self._format is None:
            refuse(f"chan_websocket: got {len(data)} bytes of audio before MEDIA_START")
        if len(data) % self._format.sample_width:
            refuse(f"chan_websocket: got {len(data)} bytes of audio, expected whole samples")
        return [Audio(data)] if data else []

    # ---- What the bridge sends; only after `Started`.

    def media(self, audio: bytes) -> list[bytes]:
        """Return the binary messages for `audio`, in whole frames; the rest waits for more."""
        data = self._rest + audio
        whole = len(data) - len(data) % self._frame_bytes
        self._rest = data[whole:]
        # At most a second a message: small enough to share the connection, large enough to be few.
        step = min(MAX_MESSAGE // self._frame_bytes, 50) * self._frame_bytes
        return [data[at : min(at + step, whole)] for at in range(0, whole, step)]

    def pad(self) -> list[bytes]:
        """Return what waits for a whole frame, filled up with silence."""
        if not self._rest:
            return []
        assert self._format is not None
        missing = (self._frame_bytes - len(self._rest)) // self._format.sample_width
        last = self._rest + silence(self._format, missing)
        self._rest = b""
        return [last]

    def mark(self, name: str) -> str:
        """Return the command that asks for `name` to come back once all before it was played."""
        return self._command("MARK_MEDIA", name)

    def clear(self) -> str:
        """Return the command that drops what Asterisk has buffered; what waits here goes too."""
        self._rest = b""
        return self._command("FLUSH_MEDIA")

    def hang_up(self) -> str:
        """Return the command that ends the call."""
        return self._command("HANGUP")

    def _command(self, name: str, correlation_id: str = "") -> str:
        if not self._json:
            return f"{name} {correlation_id}" if correlation_id else name
        fields = {"command": name}
        if correlation_id:
            fields["correlation_id"] = correlation_id
        return json.dumps(fields)
