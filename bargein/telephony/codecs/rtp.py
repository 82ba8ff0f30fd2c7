"""RTP packets of G.711: reading them, putting them in order, and making them.

Sources: RFC 3550 (RTP), RFC 3551 (PCMU 0, PCMA 8), RFC 3389 (comfort noise 13), RFC 4733 (DTMF).

The fixed header, network byte order::

    V=2 (2 bits) P X CC (4) | M PT (7) | sequence (16) | timestamp (32) | SSRC (32) | CC * CSRC (32)

then, with X, an extension (profile 16, length 16 in words, the words), then the payload, whose
last byte with P counts the padding.
"""

from __future__ import annotations

import struct
from typing import Literal

import attrs
import numpy as np

from bargein.audio.formats import AudioFormat, silence
from bargein.audio.g711 import decode_alaw, decode_mulaw, encode_alaw, encode_mulaw
from bargein.errors import ProtocolError

from .events import Audio, Digit, Event, Gap, Ignored, refuse
from .reorder import ReorderWindow

__all__ = ["PCMA", "PCMU", "Packet", "RtpReceiver", "RtpSender", "parse_packet"]

PCMU = 0
PCMA = 8
COMFORT_NOISE = 13
RATE = 8_000
"""Hz of G.711's samples and of its timestamps, and so of DTMF's and comfort noise's beside it."""

FRAME = 160
"""Samples (20 ms) in a packet that is sent."""

MAX_PACKET = 1_500
"""Bytes; an Ethernet frame. A G.711 packet of 20 ms has 172."""

REORDER = 3
"""Packets (60 ms) that wait for one that is missing. A reordered packet is seldom later, and each
more delays a verdict by 20 ms where one is really lost."""

SHORT = RATE // 5
"""Samples (0.2 s). A pause in the timestamps (DTMF, a talker's silence that wasn't sent) up to
this is filled with silence; a longer one is told as a gap. It is where the detector draws the
same line."""

MAX_GAP = RATE * 600
"""Samples (10 min). A larger step in the timestamps is a new start, not a pause."""

_HEADER = struct.Struct("!BBHII")
_EVENT_KEYS = "0123456789*#ABCD"


@attrs.frozen
class Packet:
    """One RTP packet."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    marker: bool
    payload: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")

    def encode(self) -> bytes:
        """Return the packet's bytes."""
        second = self.payload_type | (0x80 if self.marker else 0)
        head = _HEADER.pack(0x80, second, self.sequence, self.timestamp, self.ssrc)
        return head + self.payload


def parse_packet(data: bytes) -> Packet:
    """Read one datagram; raises `ProtocolError` where it isn't an RTP packet."""
    if len(data) < _HEADER.size:
        refuse(f"RTP: got {len(data)} bytes, expected at least {_HEADER.size}")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if first >> 6 != 2:
        refuse(f"RTP: got version {first >> 6}, expected 2")
    start = _HEADER.size + 4 * (first & 15)
    if first & 0x10:
        if len(data) < start + 4:
            refuse("RTP: got a header that ends inside its extension")
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    stop = len(data)
    if first & 0x20:
        stop -= data[-1]
        if not data[-1]:
            refuse("RTP: got a padding of 0 bytes")
    if start > stop:
        refuse(f"RTP: got a packet of {len(data)} bytes that its header doesn't fit")
    return Packet(second & 0x7F, sequence, timestamp, ssrc, second > 0x7F, data[start:stop])


@attrs.define
class RtpStats:
    """What became of a call's packets."""

    received: int = 0
    lost: int = 0
    late: int = 0
    """Came twice, or after their place was given up."""
    bad: int = 0
    """Weren't RTP, or of no known payload type."""


class RtpReceiver:
    """One caller's packets in, audio and keys out. Not thread-safe.

    Args:
        encoding: what `Audio` is in, "mulaw" or "alaw"; packets of the other law are converted.
        dtmf: payload type of telephone events, None if none was agreed on.

    What isn't RTP is counted and dropped: on UDP anyone may send anything. Audio that was lost is
    a `Gap`, pauses that the sender made are silence up to 0.2 s and a `Gap` beyond. While comfort
    noise was announced the caller is silent and says so, so `advance` makes silence as time goes
    by: speech has to be seen to end.
    """

    def __init__(
        self, encoding: Literal["mulaw", "alaw"] = "mulaw", dtmf: int | None = 101
    ) -> None:
        self._law = PCMU if encoding == "mulaw" else PCMA
        self._format = AudioFormat(RATE, 1, encoding)
        self._dtmf = dtmf
        self._window = self._new_window()
        self._ssrc: int | None = None
        self._timestamp: int | None = None  # of the sample that comes next
        self._quiet_since: float | None = None
        self._quiet_made = 0  # samples of silence made since then
        self._key: tuple[int, int, int] | None = None  # event, timestamp, newest duration
        self._key_over = False
        self.stats = RtpStats()

    @staticmethod
    def _new_window() -> ReorderWindow[Packet]:
        return ReorderWindow(REORDER, 1 << 16)

    @property
    def ssrc(self) -> int | None:
        """Whom the packets are from; None before the first."""
        return self._ssrc

    @property
    def holding(self) -> bool:
        """Whether packets wait for one that is missing; see `flush`."""
        return self._window.holding

    @property
    def quiet(self) -> bool:
        """Whether the caller announced silence; see `advance`."""
        return self._quiet_since is not None

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take one datagram that came at `now` (monotonic seconds); never raises."""
        try:
            packet = parse_packet(data)
        except ProtocolError as exc:
            self.stats.bad += 1
            return [Ignored(exc.message)] if self.stats.bad == 1 else []
        self.stats.received += 1
        events: list[Event] = []
        if packet.ssrc != self._ssrc:
            events = self.flush(now)
            self._window = self._new_window()
            self._ssrc, self._timestamp, self._quiet_since = packet.ssrc, None, None
            self._key = None
        before = self._window.late
        due = self._window.put(packet.sequence, packet)
        self.stats.late += self._window.late - before
        for missing, piece in due:
            events += self._play(missing, piece, now)
        return events

    def flush(self, now: float) -> list[Event]:
        """Stop waiting for missing packets: nothing came for a while, or the call ends."""
        events: list[Event] = []
        for missing, piece in self._window.flush():
            events += self._play(missing, piece, now)
        return events

    def advance(self, now: float) -> list[Event]:
        """Return the silence up to `now` of a caller who announced it; nothing otherwise."""
        if self._quiet_since is None:
            return []
        due = int((now - self._quiet_since) * RATE) - self._quiet_made
        due -= due % FRAME
        if due <= 0:
            return []
        if due > RATE:  # the process stood still; what it missed isn't made up for
            self._quiet_since = now
            self._quiet_made = 0
            return [Gap(due)]
        self._quiet_made += due
        return [Audio(silence(self._format, due))]

    def _play(self, missing: int, packet: Packet, now: float) -> list[Event]:
        self.stats.lost += missing
        kind, payload = packet.payload_type, packet.payload
        if kind in (PCMU, PCMA):
            return self._audio(missing, packet) if payload else []
        if kind == COMFORT_NOISE:
            return self._comfort_noise(missing, packet, now)
        if kind == self._dtmf and len(payload) >= 4:
            return self._event(packet)
        self.stats.bad += 1
        if self.stats.bad == 1:
            return [Ignored(f"an RTP packet of payload type {kind}, {len(payload)} bytes")]
        return []

    def _audio(self, missing: int, packet: Packet) -> list[Event]:
        events = self._pause(missing, packet)
        self._quiet_since = None
        self._timestamp = (packet.timestamp + len(packet.payload)) & 0xFFFFFFFF
        events.append(Audio(self._in_law(packet)))
        return events

    def _comfort_noise(self, missing: int, packet: Packet, now: float) -> list[Event]:
        events: list[Event] = []
        if self._quiet_since is None:
            events = self._pause(missing, packet)
            self._quiet_since, self._quiet_made = now, 0
            self._timestamp = packet.timestamp
        return events

    def _pause(self, missing: int, packet: Packet) -> list[Event]:
        """Return what stands for the time between the newest audio and this packet."""
        if self._timestamp is None:
            return []
        step = (packet.timestamp - self._timestamp) & 0xFFFFFFFF
        made = self._quiet_made if self._quiet_since is not None else 0
        if step > MAX_GAP:  # also each step back
            return [Gap(missing * FRAME)] if missing else []
        step -= made
        if step <= 0:
            return []
        if missing or step > SHORT:
            return [Gap(step)]
        return [Audio(silence(self._format, step))]

    def _in_law(self, packet: Packet) -> bytes:
        if packet.payload_type == self._law:
            return packet.payload
        return packet.payload.translate(_FROM_ALAW if self._law == PCMU else _FROM_MULAW)

    def _event(self, packet: Packet) -> list[Event]:
        # A key is a run of packets with one timestamp, its end three times over. A key held for
        # longer than a duration can say goes on under a timestamp of its own.
        code = packet.payload[0]
        over = bool(packet.payload[1] & 0x80)
        duration = int.from_bytes(packet.payload[2:4], "big")
        last, was_over = self._key, self._key_over
        self._key, self._key_over = (code, packet.timestamp, duration), over
        if last is not None and last[:2] == self._key[:2]:
            self._key_over = was_over or over
            return []
        if last is not None and not was_over and last[0] == code:
            ahead = (packet.timestamp - last[1]) & 0xFFFFFFFF
            if last[2] <= ahead <= 0xFFFF and last[2] > RATE * 5:
                return []
        if code < len(_EVENT_KEYS):
            return [Digit(_EVENT_KEYS[code])]
        return [Ignored(f"telephone event {code}")]


class RtpSender:
    """Audio in, packets out, numbered and stamped. Not thread-safe.

    Timestamps follow the samples; after a pause of over 60 ms between two writes they jump by it
    and the packet is marked, so that the receiver's jitter buffer starts anew.
    """

    PAUSE = 0.06
    """Seconds."""

    def __init__(self, payload_type: int, ssrc: int, sequence: int = 0, timestamp: int = 0) -> None:
        self.payload_type = payload_type
        self.ssrc = ssrc
        self._sequence = sequence & 0xFFFF
        self._timestamp = timestamp & 0xFFFFFFFF
        self._end: float | None = None  # when what was written will have been played

    def packets(self, audio: bytes, now: float) -> list[bytes]:
        """Return the packets of `audio` (of the payload type's law), 20 ms or less in each."""
        marker = self._end is None
        if self._end is None:
            self._end = now
        elif now - self._end > self.PAUSE:
            self._timestamp += int((now - self._end) * RATE)
            self._end = now
            marker = True
        found = []
        for at in range(0, len(audio), FRAME):
            piece = audio[at : at + FRAME]
            packet = Packet(
                self.payload_type,
                self._sequence,
                self._timestamp & 0xFFFFFFFF,
                self.ssrc,
                marker,
                piece,
            )
            found.append(packet.encode())
            marker = False
            self._sequence = (self._sequence + 1) & 0xFFFF
            self._timestamp += len(piece)
            self._end += len(piece) / RATE
        return found


_CODES = np.arange(256, dtype=np.uint8).tobytes()
_FROM_ALAW = encode_mulaw(decode_alaw(_CODES))
_FROM_MULAW = encode_alaw(decode_mulaw(_CODES))
