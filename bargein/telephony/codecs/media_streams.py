"""Media streams as Twilio, Telnyx, Plivo and Exotel speak them: JSON text messages.

From the vendor: ``connected`` (not Plivo), ``start``, ``media``…, ``dtmf``, ``mark``, ``stop``. To
the vendor: audio, marks, clear. What differs is in `dialects`, with the sources.

A mark that comes back doesn't mean that it was heard: after a clear, Twilio's and Telnyx's all
come back at once, Plivo's never. `MediaStream` can't tell; who cleared can.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from bargein.audio.formats import AudioFormat
from bargein.errors import OptionError

from .dialects import Dialect
from .events import (
    Audio,
    Cleared,
    Ended,
    Event,
    Gap,
    Ignored,
    MarkReached,
    Started,
    digits,
    refuse,
    short,
)
from .fields import child, decode_base64, flatten, integer, parse_object, text
from .reorder import ReorderWindow

__all__ = ["MediaStream"]

REORDER = 5
"""Messages (100 ms) that wait for one that is missing, where a vendor doesn't keep their order."""

FRAME_MS = 20

_CONTENT_TYPES = {"mulaw": "audio/x-mulaw", "alaw": "audio/x-alaw", "s16le": "audio/x-l16"}


class MediaStream:
    """The bridge's end of one media stream. Not thread-safe.

    `receive` raises `bargein.errors.ProtocolError` where a message can't be one, audio comes
    before the start, or a second start comes; it must not be called after that.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._format: AudioFormat | None = None
        self._id = ""
        self._window: ReorderWindow[bytes] | None = None
        if not dialect.ordered:
            self._window = ReorderWindow(REORDER)

    def receive(self, message: str | bytes) -> list[Event]:
        """Take one message and return what it says."""
        who = self.dialect.name
        if isinstance(message, bytes):
            refuse(f"{who}: got a binary message of {len(message)} bytes, expected JSON text")
        fields = parse_object(message, who)
        event = fields.get("event")
        if event == "media":
            return self._media(fields)
        if event == "start":
            return self._start(fields)
        if event == "connected":
            return []
        if event == "stop":
            return [*self._flush(), Ended("stop")]
        if self._format is None:
            refuse(f"{who}: got {short(event)} before start, expected start")
        return self._other(event, fields)

    def _other(self, event: object, fields: dict[str, Any]) -> list[Event]:
        dialect = self.dialect
        if event == "dtmf":
            return digits(text(child(fields, "dtmf", dialect.name), "digit"))
        if event == dialect.mark_back:
            source = fields if dialect.mark_flat else child(fields, "mark", dialect.name)
            return [MarkReached(text(source, "name"))]
        if event == dialect.cleared:
            return [Cleared()]
        if event == "error":
            return [Ignored(f"error {short(flatten(fields), 300)}")]
        return [Ignored(f"event {short(event)}")]

    def _start(self, fields: dict[str, Any]) -> list[Event]:
        dialect = self.dialect
        if self._format is not None:
            refuse(f"{dialect.name}: got a second start, expected one call on each connection")
        start = child(fields, "start", dialect.name)
        self._id = text(start, dialect.stream_id) or text(fields, dialect.stream_id)
        if not self._id:
            refuse(f"{dialect.name}: got a start without {dialect.stream_id}")
        self._format = fmt = self._read_format(start.get(dialect.format_field))
        details = flatten(start, dialect.secrets | {dialect.format_field, "tracks"})
        extra = text(fields, "extra_headers")
        if extra:
            details["extra_headers"] = extra[:1000]
        return [Started(self._id, fmt, fmt.sample_rate * FRAME_MS // 1000, details)]

    def _read_format(self, told: object) -> AudioFormat:
        dialect = self.dialect
        if not isinstance(told, dict):
            return dialect.default
        name = text(told, "encoding").lower()
        encoding = dialect.encodings.get(name) if name else dialect.default.encoding
        rate = self._number(told, dialect.rate_field, dialect.default.sample_rate)
        channels = self._number(told, "channels", 1)
        if encoding is None or channels != 1:
            refuse(
                f"{dialect.name}: got audio of encoding {short(name)} with {channels} channel(s), "
                f"expected one channel of mu-law, A-law or 16-bit samples"
            )
        try:
            return AudioFormat(rate, 1, encoding)
        except OptionError as exc:
            refuse(f"{dialect.name}: {exc}")

    def _number(self, told: dict[str, Any], name: str, default: int) -> int:
        """Return what the format says of itself; what it says nothing of is as usual."""
        if told.get(name) in (None, ""):
            return default
        found = integer(told, name)
        if found is None:
            refuse(f"{self.dialect.name}: got {name} {short(told[name])}, expected a whole number")
        return found

    def _media(self, fields: dict[str, Any]) -> list[Event]:
        dialect = self.dialect
        if self._format is None:
            refuse(f"{dialect.name}: got audio before start")
        media = child(fields, "media", dialect.name)
        if text(media, "track", "inbound") not in ("inbound", "inbound_track"):
            return []  # the agent's own audio, where both tracks are streamed
        data = decode_base64(media.get("payload"), dialect.name)
        if len(data) % self._format.frame_width:
            refuse(f"{dialect.name}: got {len(data)} bytes of audio, expected whole samples")
        if not data:
            return []
        chunk = integer(media, dialect.chunk_field)
        if self._window is None or chunk is None:
            return [Audio(data)]
        return self._in_order(self._window.put(chunk, data))

    def _flush(self) -> list[Event]:
        return self._in_order(self._window.flush()) if self._window is not None else []

    def _in_order(self, due: list[tuple[int, bytes]]) -> list[Event]:
        events: list[Event] = []
        assert self._format is not None
        for missing, data in due:
            if missing:
                # They are of one length; a gap is a guess anyway once the vendor has lost some.
                events.append(Gap(missing * (len(data) // self._format.frame_width)))
            events.append(Audio(data))
        return events

    # ---- What the bridge sends; only after `Started`.

    def media(self, audio: bytes) -> str:
        """Return the message that plays `audio`, which is in the stream's format."""
        dialect = self.dialect
        assert self._format is not None
        media: dict[str, Any] = {"payload": base64.b64encode(audio).decode("ascii")}
        if dialect.play_format:
            media["contentType"] = _CONTENT_TYPES[self._format.encoding]
            media["sampleRate"] = self._format.sample_rate
        return self._message(dialect.play, media=media)

    def mark(self, name: str) -> str:
        """Return the message that asks for `name` to come back once all before it was played."""
        if self.dialect.mark_flat:
            return self._message(self.dialect.mark, name=name)
        return self._message(self.dialect.mark, mark={"name": name})

    def clear(self) -> str:
        """Return the message that drops what the vendor has buffered."""
        return self._message(self.dialect.clear)

    def _message(self, event: str, **fields: object) -> str:
        message: dict[str, object] = {"event": event}
        if self.dialect.send_stream_id:
            message[self.dialect.stream_id] = self._id
        message.update(fields)
        return json.dumps(message, separators=(",", ":"))
