"""AudioSocket, Asterisk's TCP protocol: typed frames, no pacing, no flush.

A frame is a type (1 byte), the payload's length (2 bytes, big-endian) and the payload:

====  =======  ==========================================================================
type  payload  meaning
====  =======  ==========================================================================
0x00  none     the end; Asterisk seldom sends it, a hangup is simply the connection's end
0x01  16       the call's UUID, the first frame and only once
0x03  1        a DTMF key in ASCII
0x10  2 n      s16le mono at 8 kHz; 0x11 12 k, 0x12 16 k, 0x13 24 k, 0x14 32 k, 0x15 44.1 k,
               0x16 48 k, 0x17 96 k, 0x18 192 k
0xff  1        an error of the peer's
====  =======  ==========================================================================

Source: https://docs.asterisk.org/Configuration/Channel-Drivers/AudioSocket/ and what Asterisk 22
was seen to send. Frames needn't be 20 ms long, and media stops without notice on hold.
"""

from __future__ import annotations

import struct
import uuid

from bargein.audio.formats import AudioFormat

from .events import Audio, Ended, Event, Started, digits, refuse, short

__all__ = ["MAX_PAYLOAD", "RATES", "AudioSocketReader", "audio", "dtmf", "end", "error", "hello"]

END, UUID, DTMF, ERROR = 0x00, 0x01, 0x03, 0xFF

RATES = {
    0x10: 8_000,
    0x11: 12_000,
    0x12: 16_000,
    0x13: 24_000,
    0x14: 32_000,
    0x15: 44_100,
    0x16: 48_000,
    0x17: 96_000,
    0x18: 192_000,
}
"""Hz, by the type of an audio frame."""

_TYPES = {rate: kind for kind, rate in RATES.items()}

MAX_PAYLOAD = 0xFFFF
"""Bytes; what the length field can say. A reader never holds more than one frame."""

_HEADER = struct.Struct("!BH")

FRAME_SECONDS = 0.02
"""What Asterisk reads at a time."""


class AudioSocketReader:
    """The server's end: bytes as they come in, events out. Not thread-safe.

    The rate of a call is known from its first audio only. Until then `Started` is withheld;
    `start` gives it for a rate that is assumed, for a caller who stays silent. From then on audio
    at another rate is an error.

    Every method raises `bargein.errors.ProtocolError` where the bytes can't be AudioSocket, and
    must not be called after that, nor after an `Ended`.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._id = ""
        self._rate = 0

    @property
    def id(self) -> str:
        """The call's UUID; empty until it came."""
        return self._id

    @property
    def started(self) -> bool:
        """Whether `Started` was given."""
        return self._rate > 0

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes, split anywhere, and return what they complete."""
        buffer = self._buffer
        buffer += data
        events: list[Event] = []
        at = 0
        while len(buffer) - at >= _HEADER.size:
            kind, length = _HEADER.unpack_from(buffer, at)
            self._check_header(kind, length)
            stop = at + _HEADER.size + length
            if stop > len(buffer):
                break
            payload = bytes(buffer[at + _HEADER.size : stop])
            at = stop
            events += self._frame(kind, payload)
            if events and type(events[-1]) is Ended:
                break
        del buffer[:at]
        return events

    def eof(self) -> list[Event]:
        """The connection ended: the way in which a hangup arrives."""
        where = " in the middle of a frame" if self._buffer else ""
        return [Ended(f"end of the connection{where}")]

    def start(self, sample_rate: int) -> list[Event]:
        """Assume the rate of a call that has sent its UUID but no audio yet."""
        if not self._id:
            refuse("AudioSocket: got nothing in time, expected the call's UUID (a frame of type 1)")
        self._rate = sample_rate
        frame = int(sample_rate * FRAME_SECONDS)
        return [Started(self._id, AudioFormat(sample_rate), frame)]

    def _check_header(self, kind: int, length: int) -> None:
        # Looked at before the payload is there: garbage is refused at its third byte.
        if not self._id:
            if kind == UUID and length == 16:
                return
            if kind != END:
                refuse(
                    f"AudioSocket: got a frame of type {kind:#04x} and {length} bytes first, "
                    f"expected the call's UUID (type 0x01, 16 bytes)"
                )
        if kind in RATES:
            if length % 2:
                refuse(f"AudioSocket: got {length} bytes of audio, expected whole 16-bit samples")
            if self._rate and RATES[kind] != self._rate:
                refuse(
                    f"AudioSocket: got audio at {RATES[kind]} Hz in a call at {self._rate} Hz: "
                    f"set the server's rate, or the dialplan's, so that they agree"
                )
        elif kind == UUID:
            refuse("AudioSocket: got a second UUID on one connection, expected one call on each")
        elif kind == END:
            if length:
                refuse(f"AudioSocket: got an end of {length} bytes, expected none")
        elif kind in (DTMF, ERROR):
            if length > 1:
                refuse(f"AudioSocket: got a frame of type {kind:#04x} of {length} bytes, not 1")
        else:
            refuse(
                f"AudioSocket: got a frame of unknown type {kind:#04x} ({length} bytes): not "
                f"AudioSocket, or out of step"
            )

    def _frame(self, kind: int, payload: bytes) -> list[Event]:
        if kind in RATES:
            events = [] if self._rate else self.start(RATES[kind])
            return [*events, Audio(payload)] if payload else events
        if kind == UUID:
            self._id = str(uuid.UUID(bytes=payload))
            return []
        if kind == DTMF:
            return digits(payload.decode("latin-1"))
        if kind == END:
            return [Ended("the peer said so")]
        return [Ended(f"the peer reports error {short(payload)}")]


def audio(data: bytes, sample_rate: int = 8_000) -> bytes:
    """Return the frames of s16le audio; `sample_rate` must be one of `RATES`' values."""
    kind = _TYPES[sample_rate]
    step = MAX_PAYLOAD - 1  # whole samples
    if len(data) <= step:
        return _HEADER.pack(kind, len(data)) + data
    pieces = (data[at : at + step] for at in range(0, len(data), step))
    return b"".join(_HEADER.pack(kind, len(piece)) + piece for piece in pieces)


def hello(call: uuid.UUID) -> bytes:
    """Return the frame with which a client begins."""
    return _HEADER.pack(UUID, 16) + call.bytes


def dtmf(digit: str) -> bytes:
    """Return the frame of a pressed key."""
    return _HEADER.pack(DTMF, 1) + digit.encode("ascii")


def end() -> bytes:
    """Return the frame that asks Asterisk to hang up."""
    return _HEADER.pack(END, 0)


def error(code: int) -> bytes:
    """Return the frame of an error."""
    return _HEADER.pack(ERROR, 1) + bytes([code])
