"""WebSocket frames: built as websocket-client builds them, parsed however they are cut."""

from __future__ import annotations

import random

import pytest
import websocket
from hypothesis import given
from hypothesis import strategies as st

from bargein.errors import ProtocolError
from bargein.wire.websocket_frames import (
    Binary,
    Closed,
    FrameParser,
    Opcode,
    Ping,
    Pong,
    Text,
    WireEvent,
    build_frame,
    close_payload,
)

KEY = b"\x01\xf2\xa3\x54"
# Around each change of the length's form, and around the words that the mask works in.
SIZES = [0, 1, 2, 3, 4, 7, 8, 9, 125, 126, 127, 255, 65534, 65535, 65536, 65537, 96008]


def reference(opcode: int, payload: bytes, key: bytes) -> bytes:
    frame = websocket.ABNF.create_frame(payload, opcode)
    frame.get_mask_key = lambda size: key
    return bytes(frame.format())


def server_frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    return bytes(build_frame(opcode, payload, mask_key=None, fin=fin))


def parse(data: bytes, max_message: int = 1 << 20) -> tuple[list[WireEvent], ProtocolError | None]:
    return FrameParser(max_message=max_message).feed(data)


# ---- building


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_frames_are_those_of_websocket_client(opcode: Opcode, size: int) -> None:
    payload = random.Random(size).randbytes(size)

    assert bytes(build_frame(opcode, payload, mask_key=KEY)) == reference(opcode, payload, KEY)


@given(st.lists(st.binary(max_size=40), max_size=4), st.binary(min_size=4, max_size=4))
def test_parts_are_sent_in_order(parts: list[bytes], key: bytes) -> None:
    frame = build_frame(Opcode.BINARY, *parts, mask_key=key)

    assert bytes(frame) == reference(Opcode.BINARY, b"".join(parts), key)


def test_a_part_may_be_any_buffer_and_keeps_its_bytes() -> None:
    source = bytearray(b"0123456789")

    build_frame(Opcode.BINARY, memoryview(source), source, mask_key=KEY)

    assert source == b"0123456789"


def test_a_close_payload() -> None:
    assert close_payload(None) == b""
    assert close_payload(1000) == b"\x03\xe8"
    assert close_payload(1001, "bye") == b"\x03\xe9bye"
    long = close_payload(1001, "é" * 100)
    assert len(long) <= 125
    assert long[2:].decode() == "é" * 61  # no half character at the cut


# ---- parsing

CONVERSATION = b"".join(
    [
        server_frame(Opcode.TEXT, b'{"a":1}'),
        server_frame(Opcode.PING, b"are you there"),
        server_frame(Opcode.TEXT, b"frag", fin=False),
        server_frame(Opcode.PONG, b"x"),
        server_frame(Opcode.CONTINUATION, b"", fin=False),
        server_frame(Opcode.CONTINUATION, b"ment", fin=True),
        server_frame(Opcode.BINARY, bytes(300)),
        server_frame(Opcode.BINARY, b"", fin=False),
        server_frame(Opcode.CONTINUATION, b"", fin=True),
        server_frame(Opcode.TEXT, b""),
        server_frame(Opcode.CLOSE, close_payload(1001, "going")),
        b"and then noise",
    ]
)
EVENTS = [
    Text(b'{"a":1}'),
    Ping(b"are you there"),
    Pong(b"x"),
    Text(b"fragment"),
    Binary(bytes(300)),
    Binary(b""),
    Text(b""),
    Closed(1001, "going"),
]


def test_a_conversation_in_one_piece() -> None:
    assert parse(CONVERSATION) == (EVENTS, None)


def test_a_conversation_cut_at_every_byte() -> None:
    for cut in range(len(CONVERSATION) + 1):
        parser = FrameParser()
        first, error = parser.feed(CONVERSATION[:cut])
        second, later = parser.feed(CONVERSATION[cut:])
        assert (first + second, error, later) == (EVENTS, None, None), cut


def test_a_conversation_byte_by_byte() -> None:
    parser = FrameParser()
    found: list[WireEvent] = []
    for index in range(len(CONVERSATION)):
        events, error = parser.feed(CONVERSATION[index : index + 1])
        assert error is None
        found += events

    assert found == EVENTS
    assert not parser.partial


@pytest.mark.parametrize("size", SIZES)
def test_what_a_client_builds_a_server_parses(size: int) -> None:
    payload = random.Random(size).randbytes(size)
    frame = bytes(build_frame(Opcode.BINARY, payload, mask_key=KEY))

    assert FrameParser(masked=True).feed(frame) == ([Binary(payload)], None)
    assert parse(server_frame(Opcode.TEXT, payload)) == ([Text(payload)], None)


@pytest.mark.parametrize("cut", range(1, 18))
def test_a_masked_frame_cut_anywhere(cut: int) -> None:
    frame = bytes(build_frame(Opcode.TEXT, b"x" * 130, mask_key=KEY))
    parser = FrameParser(masked=True)

    assert parser.feed(frame[:cut]) == ([], None)
    assert parser.partial
    assert parser.held == cut
    assert parser.feed(frame[cut:]) == ([Text(b"x" * 130)], None)
    assert (parser.held, parser.partial) == (0, False)


def test_within_a_fragmented_message_the_parser_is_in_the_middle() -> None:
    parser = FrameParser()

    parser.feed(server_frame(Opcode.TEXT, b"ab", fin=False))
    assert (parser.held, parser.partial) == (2, True)
    parser.feed(server_frame(Opcode.CONTINUATION, b"c"))
    assert (parser.held, parser.partial) == (0, False)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", Closed(None, "")),
        (b"\x03", Closed(None, "")),
        (b"\x03\xe8", Closed(1000, "")),
        (b"\x00\x00", Closed(0, "")),
        (b"\x03\xf3went wr\xff", Closed(1011, "went wr�")),
    ],
)
def test_close_frames_are_read_kindly(payload: bytes, expected: Closed) -> None:
    assert parse(server_frame(Opcode.CLOSE, payload)) == ([expected], None)


GARBAGE = {
    "reserved bit": (b"\xc1\x00", "reserved bits"),
    "unknown data opcode": (b"\x83\x00", "unknown opcode 3"),
    "unknown control opcode": (b"\x8b\x00", "unknown opcode 11"),
    "masked": (b"\x81\x80\0\0\0\0", "is masked"),
    "fragmented ping": (b"\x09\x00", "control frame"),
    "long ping": (b"\x89\x7e\x00\x7e", "control frame"),
    "continues nothing": (b"\x80\x00", "continues nothing"),
    "begins inside another": (b"\x01\x01a\x81\x01b", "inside another"),
    "an HTTP reply": (b"HTTP/1.1 502 Bad Gateway\r\n", "reserved bits"),
    "a 64-bit length": (b"\x82\x7f" + b"\xff" * 8, "18446744073709551615 bytes"),
}


@pytest.mark.parametrize(("data", "complaint"), GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_a_protocol_error_for_ever(data: bytes, complaint: str) -> None:
    parser = FrameParser()
    events, error = parser.feed(server_frame(Opcode.TEXT, b"before") + data)

    assert events == [Text(b"before")]  # what came before it counts
    assert error is not None
    assert complaint in str(error)
    assert parser.feed(server_frame(Opcode.TEXT, b"after")) == ([], error)
    assert not parser.held


def test_a_client_must_mask() -> None:
    events, error = FrameParser(masked=True).feed(server_frame(Opcode.TEXT, b"x"))

    assert events == []
    assert "isn't masked" in str(error)


@pytest.mark.parametrize("size", [126, 1 << 16, 1 << 20])
def test_a_message_of_just_the_limit_passes(size: int) -> None:
    frame = server_frame(Opcode.TEXT, bytes(size))

    assert parse(frame, max_message=size) == ([Text(bytes(size))], None)
    assert "at most" in str(parse(frame, max_message=size - 1)[1])


def test_a_message_above_the_limit_is_refused_at_its_header() -> None:
    parser = FrameParser()

    _, error = parser.feed(server_frame(Opcode.TEXT, bytes(2 << 20))[:10])

    assert "2097152 bytes; at most 1048576" in str(error)
    assert not parser.held


def test_fragments_count_together() -> None:
    parser = FrameParser(max_message=10)

    assert parser.feed(server_frame(Opcode.TEXT, b"x" * 6, fin=False)) == ([], None)
    assert parser.feed(server_frame(Opcode.PING, b"x" * 9)) == ([Ping(b"x" * 9)], None)
    _, error = parser.feed(server_frame(Opcode.CONTINUATION, b"x" * 5))
    assert "11 bytes" in str(error)


@given(st.lists(st.binary()), st.booleans())
def test_any_bytes_give_messages_or_a_protocol_error(pieces: list[bytes], masked: bool) -> None:
    whole, split = FrameParser(masked=masked), FrameParser(masked=masked)

    expected, error = whole.feed(b"".join(pieces))
    found: list[WireEvent] = []
    later: ProtocolError | None = None
    for piece in pieces:
        events, later = split.feed(piece)
        found += events

    assert found == expected
    assert str(later) == str(error)


def test_a_million_tiny_fragments_cost_no_more_than_their_bytes() -> None:
    parser = FrameParser()
    parser.feed(server_frame(Opcode.TEXT, b"x", fin=False))
    for _ in range(50):
        parser.feed(server_frame(Opcode.CONTINUATION, b"x", fin=False) * 200)

    assert parser.held == 10_001
