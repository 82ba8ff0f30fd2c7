"""WebSocket frames (RFC 6455, section 5): built with a NumPy mask, parsed without I/O.

Why not websocket-client's own: its mask is pure Python (a 3 s window costs a third of a
millisecond), its ``recv`` can't be resumed where a socket has no more bytes, and it puts no limit
on what a frame may announce. This parser is fed with whatever came, holds what isn't whole yet,
and refuses a message as soon as a header says that it will be too long.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TypeAlias

import attrs
import numpy as np

from bargein.errors import ProtocolError
from bargein.wire.fields import MAX_REPLY_BYTES

__all__ = [
    "Binary",
    "Closed",
    "FrameParser",
    "Opcode",
    "Ping",
    "Pong",
    "Text",
    "WireEvent",
    "build_frame",
    "close_payload",
    "frame_header",
]

MAX_CONTROL_BYTES = 125
"""Bytes of payload that a control frame may have (RFC 6455, 5.5)."""

_FIN = 0x80
_RESERVED = 0x70
_MASKED = 0x80
_LENGTH_16 = 126  # the length follows in two bytes
_LENGTH_64 = 127  # the length follows in eight bytes
_WHOLE_TEXT = 0x81  # the first byte of a text message in one frame
_ALIGN = 8  # bytes; the payload starts on a 64-bit border, so that it can be masked in words


class Opcode(IntEnum):
    """What a frame is (RFC 6455, 5.2)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


@attrs.frozen
class Text:
    """A text message, not yet checked to be UTF-8 (``decode_server`` does, where errors belong)."""

    data: bytes


@attrs.frozen
class Binary:
    """A binary message."""

    data: bytes


@attrs.frozen
class Ping:
    """A ping, to be answered by a pong with the same data."""

    data: bytes = b""


@attrs.frozen
class Pong:
    """A pong, the answer to a ping or sent unasked."""

    data: bytes = b""


@attrs.frozen
class Closed:
    """The peer's CLOSE frame; nothing follows it. ``code`` is ``None`` where it gave none."""

    code: int | None = None
    reason: str = ""


WireEvent: TypeAlias = Text | Binary | Ping | Pong | Closed


# ---- building


def _mask(source: bytes | bytearray | memoryview, key: bytes, out: memoryview) -> None:
    """Mask or unmask into ``out``, whole words in one pass; both may be the same memory."""
    words = len(source) // _ALIGN
    body = np.frombuffer(source, dtype=np.uint64, count=words)
    target = np.frombuffer(out, dtype=np.uint64, count=words)
    np.bitwise_xor(body, np.frombuffer(key * 2, dtype=np.uint64)[0], out=target)
    done = words * _ALIGN
    if done < len(source):
        out[done:] = source[done:]
        _xor_bytes(out[done:], key, done)


def _xor_bytes(payload: memoryview, key: bytes, offset: int) -> None:
    """Mask a few bytes in place that lie ``offset`` into the payload."""
    for index in range(len(payload)):
        payload[index] ^= key[(offset + index) % 4]


def frame_header(opcode: int, length: int, mask_key: bytes | None, *, fin: bool = True) -> bytes:
    """What stands before ``length`` bytes of payload; ``mask_key`` as at :func:`build_frame`."""
    masked = _MASKED if mask_key is not None else 0
    first = (_FIN if fin else 0) | opcode
    if length < _LENGTH_16:
        header = struct.pack("!BB", first, masked | length)
    elif length < 1 << 16:
        header = struct.pack("!BBH", first, masked | _LENGTH_16, length)
    else:
        header = struct.pack("!BBQ", first, masked | _LENGTH_64, length)
    return header + (mask_key or b"")


def build_frame(
    opcode: int,
    *parts: bytes | bytearray | memoryview,
    mask_key: bytes | None,
    fin: bool = True,
) -> memoryview:
    """One whole frame, whose payload is the parts in order, in one buffer of its own.

    ``mask_key`` is 4 random bytes for what a client sends, ``None`` for what a server sends. A part
    must be bytes-like with items of one byte. One copy is made of each.
    """
    length = sum(map(len, parts))
    header = frame_header(opcode, length, mask_key, fin=fin)
    pad = -len(header) % _ALIGN
    start = begin = pad + len(header)
    buffer = np.empty(begin + length, np.uint8).data  # a bytearray would be filled with zeros first
    buffer[pad:begin] = header
    for part in parts:
        stop = start + len(part)
        if mask_key is not None and not (start - begin) % _ALIGN:
            _mask(part, mask_key, buffer[start:stop])
        else:
            buffer[start:stop] = part
            if mask_key is not None:
                _xor_bytes(buffer[start:stop], mask_key, start - begin)
        start = stop
    return buffer[pad:]


def close_payload(code: int | None, reason: str = "") -> bytes:
    """The payload of a CLOSE frame; the reason is cut to the 123 bytes that there are for it."""
    if code is None:
        return b""
    text = reason.encode("utf-8", "replace")[: MAX_CONTROL_BYTES - 2]
    return struct.pack("!H", code) + text.decode("utf-8", "ignore").encode()


# ---- parsing


@attrs.frozen
class _Header:
    fin: bool
    opcode: int
    key: bytes
    start: int  # offset of the payload in the buffer
    end: int


class FrameParser:
    """Bytes in, messages out. For one thread at a time.

    ``masked`` says who is at the other end: a client's frames are masked, a server's aren't.
    After an error the parser is done, and each further ``feed`` gives the same one. After a CLOSE
    frame whatever comes is ignored (RFC 6455, 5.5.1).
    """

    def __init__(self, *, max_message: int = MAX_REPLY_BYTES, masked: bool = False) -> None:
        self._max_message = max_message
        self._masked = masked
        self._buffer = bytearray()
        self._fragments = bytearray()  # one buffer: a peer may send a million one-byte fragments
        self._opcode: int | None = None  # of the message that the fragments belong to
        self._closed = False
        self._error: ProtocolError | None = None

    @property
    def held(self) -> int:
        """Bytes held of messages that aren't whole yet; 0 between two messages."""
        return len(self._buffer) + len(self._fragments)

    @property
    def partial(self) -> bool:
        """Whether a message has begun that isn't whole yet."""
        return bool(self._buffer) or self._opcode is not None

    def feed(
        self, data: bytes | bytearray | memoryview
    ) -> tuple[list[WireEvent], ProtocolError | None]:
        """Take bytes; give the messages that are whole now, and what is wrong after them."""
        events: list[WireEvent] = []
        if self._closed or self._error is not None:
            return events, self._error
        whole = None if self._buffer else self._read_whole_text(data)
        if whole is not None:
            return [whole], None
        self._buffer += data
        position = 0
        try:
            while not self._closed:
                header = self._read_header(position)
                if header is None or header.end > len(self._buffer):
                    break
                event = self._take(header)
                position = header.end
                if event is not None:
                    events.append(event)
        except ProtocolError as error:
            self._error = error
            self._fragments.clear()
        if self._closed or self._error is not None:
            position = len(self._buffer)
        del self._buffer[:position]
        return events, self._error

    def _read_whole_text(self, data: bytes | bytearray | memoryview) -> Text | None:
        """Read what mostly comes, a text message that is whole and alone; ``None``: it isn't."""
        if len(data) < 2 or data[0] != _WHOLE_TEXT or self._masked or self._opcode is not None:
            return None
        start, length = 2, data[1]
        if length == _LENGTH_16 and len(data) > 4:
            start, length = 4, data[2] << 8 | data[3]
        elif length >= _LENGTH_16:
            return None
        if start + length != len(data) or length > self._max_message:
            return None
        return Text(bytes(data[start:]))

    def _read_header(self, at: int) -> _Header | None:
        """The header at ``at``, or ``None`` where it isn't all there; checks what it can."""
        buffer = self._buffer
        if len(buffer) < at + 2:
            return None
        first, second = buffer[at], buffer[at + 1]
        fin, opcode, length = bool(first & _FIN), first & 0x0F, second & 0x7F
        # The frame that nearly all are, a whole text message, isn't looked at any closer.
        if first != _WHOLE_TEXT or second & _MASKED or self._masked or self._opcode is not None:
            self._check(first, second)
        start = at + 2
        if length >= _LENGTH_16:
            size = 2 if length == _LENGTH_16 else 8
            if len(buffer) < start + size:
                return None
            length = int.from_bytes(buffer[start : start + size], "big")
            start += size
        whole = length + (len(self._fragments) if opcode == Opcode.CONTINUATION else 0)
        if whole > self._max_message:
            raise ProtocolError(
                f"the peer announced a message of {whole} bytes; "
                f"at most {self._max_message} are read"
            )
        key = b""
        if self._masked:
            key = bytes(buffer[start : start + 4])
            start += 4
        return _Header(fin, opcode, key, start, start + length)

    def _check(self, first: int, second: int) -> None:
        fin, opcode, length = bool(first & _FIN), first & 0x0F, second & 0x7F
        if first & _RESERVED:
            raise ProtocolError(
                "a WebSocket frame has reserved bits set, though no extension is used"
            )
        if opcode not in _OPCODES:
            raise ProtocolError(f"a WebSocket frame has the unknown opcode {opcode}")
        if bool(second & _MASKED) != self._masked:
            raise ProtocolError(
                "a client's WebSocket frame isn't masked"
                if self._masked
                else "a server's WebSocket frame is masked"
            )
        if opcode >= Opcode.CLOSE:
            if not fin or length > MAX_CONTROL_BYTES:
                raise ProtocolError(
                    "a WebSocket control frame is fragmented or longer than 125 bytes"
                )
        elif (opcode == Opcode.CONTINUATION) != (self._opcode is not None):
            raise ProtocolError(
                "a WebSocket message begins inside another"
                if self._opcode is not None
                else "a WebSocket continuation frame continues nothing"
            )

    def _take(self, header: _Header) -> WireEvent | None:
        data = bytes(memoryview(self._buffer)[header.start : header.end])
        if header.key:
            buffer = bytearray(data)
            _mask(data, header.key, memoryview(buffer))
            data = bytes(buffer)
        if header.opcode == Opcode.PING:
            return Ping(data)
        if header.opcode == Opcode.PONG:
            return Pong(data)
        if header.opcode == Opcode.CLOSE:
            self._closed = True
            return _read_close(data)
        if header.fin and self._opcode is None:
            return Text(data) if header.opcode == Opcode.TEXT else Binary(data)
        if self._opcode is None:
            self._opcode = header.opcode
        self._fragments += data
        if not header.fin:
            return None
        whole, opcode = bytes(self._fragments), self._opcode
        self._fragments, self._opcode = bytearray(), None
        return Text(whole) if opcode == Opcode.TEXT else Binary(whole)


_OPCODES = frozenset(int(code) for code in Opcode)


def _read_close(data: bytes) -> Closed:
    """A CLOSE frame, read kindly: the connection is over whatever it says."""
    if len(data) < 2:
        return Closed()
    return Closed(int.from_bytes(data[:2], "big"), data[2:].decode("utf-8", "replace"))
