"""AudioSocket: transcripts, split at every byte, and what can't be AudioSocket."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.audio.formats import AudioFormat
from bargein.errors import ProtocolError
from bargein.telephony.codecs import audiosocket as codec
from bargein.telephony.codecs.events import Audio, Digit, Ended, Event, Ignored, Started

from .feeding import complaint

CALL = uuid.UUID("40325ec2-5efd-4bd3-805f-53576e581d13")


def read(*pieces: bytes) -> list[Event]:
    reader = codec.AudioSocketReader()
    return [event for piece in pieces for event in reader.feed(piece)]


def test_a_call_as_asterisk_brings_it() -> None:
    reader = codec.AudioSocketReader()

    assert reader.feed(bytes.fromhex("010010") + CALL.bytes) == []
    assert (reader.id, reader.started) == (str(CALL), False)
    assert reader.feed(bytes.fromhex("100004 0100 0200")) == [
        Started(str(CALL), AudioFormat(8_000), 160),
        Audio(b"\1\0\2\0"),
    ]
    assert reader.started
    assert reader.feed(bytes.fromhex("030001 35")) == [Digit("5")]
    assert reader.feed(bytes.fromhex("100002 0300")) == [Audio(b"\3\0")]
    assert reader.eof() == [Ended("end of the connection")]


@pytest.mark.parametrize(("kind", "rate"), list(codec.RATES.items()))
def test_every_rate(kind: int, rate: int) -> None:
    frame = bytes([kind, 0, 2, 7, 0])

    assert codec.audio(b"\7\0", rate) == frame
    assert read(codec.hello(CALL), frame) == [
        Started(str(CALL), AudioFormat(rate), rate // 50),
        Audio(b"\7\0"),
    ]


def test_split_at_every_byte() -> None:
    stream = (
        codec.hello(CALL)
        + codec.audio(bytes(64))
        + codec.dtmf("#")
        + codec.audio(b"")
        + (codec.audio(b"\1\0") + codec.end())
    )
    whole = read(stream)

    assert read(*(stream[at : at + 1] for at in range(len(stream)))) == whole
    for at in range(len(stream)):
        assert read(stream[:at], stream[at:]) == whole
    assert whole[-1] == Ended("the peer said so")
    assert whole[1:3] == [Audio(bytes(64)), Digit("#")]


def test_an_end_ends_it_whatever_follows() -> None:
    assert read(codec.hello(CALL), codec.end() + b"\x77garbage") == [Ended("the peer said so")]
    assert read(codec.end()) == [Ended("the peer said so")]


def test_an_error_of_the_peers() -> None:
    (event,) = read(codec.hello(CALL), codec.error(4))

    assert isinstance(event, Ended)
    assert "error b'\\x04'" in event.detail


def test_a_silent_caller_gets_the_rate_that_is_assumed() -> None:
    reader = codec.AudioSocketReader()
    reader.feed(codec.hello(CALL))

    assert reader.start(16_000) == [Started(str(CALL), AudioFormat(16_000), 320)]
    assert reader.feed(codec.audio(b"\1\0", 16_000)) == [Audio(b"\1\0")]
    assert "8000 Hz in a call at 16000 Hz" in complaint(lambda: reader.feed(codec.audio(b"\1\0")))


def test_nothing_at_all_is_no_call() -> None:
    assert "expected the call's UUID" in complaint(lambda: codec.AudioSocketReader().start(8_000))


def test_a_hangup_within_a_frame() -> None:
    reader = codec.AudioSocketReader()
    reader.feed(codec.hello(CALL) + b"\x10\x01")

    assert reader.eof() == [Ended("end of the connection in the middle of a frame")]


def test_a_key_that_is_none() -> None:
    (event,) = read(codec.hello(CALL), codec.dtmf("!"))

    assert event == Ignored("DTMF '!', which isn't a key")
    assert read(codec.hello(CALL), codec.dtmf("d")) == [Digit("D")]


def test_audio_longer_than_a_frame_can_be() -> None:
    data = bytes(range(250)) * 1_000

    events = read(codec.hello(CALL), codec.audio(data, 48_000))

    assert b"".join(e.data for e in events if isinstance(e, Audio)) == data


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"GET / HTTP/1.1\r\n", "type 0x47 and 17748 bytes first"),
        (codec.audio(b"\0\0"), "type 0x10 and 2 bytes first"),
        (b"\x01\x00\x0f", "type 0x01 and 15 bytes first"),
        (codec.hello(CALL) * 2, "a second UUID"),
        (codec.hello(CALL) + b"\x42\x00\x01", "unknown type 0x42"),
        (codec.hello(CALL) + b"\x10\x00\x03", "3 bytes of audio"),
        (codec.hello(CALL) + b"\x03\x00\x02", "type 0x03 of 2 bytes"),
        (codec.hello(CALL) + b"\x00\x00\x01", "an end of 1 bytes"),
        (codec.hello(CALL) + codec.audio(b"\0\0") + codec.audio(b"\0\0", 16_000), "at 16000 Hz"),
    ],
)
def test_what_is_refused(stream: bytes, said: str) -> None:
    assert said in complaint(lambda: read(stream))


def test_garbage_is_refused_before_its_payload_came() -> None:
    # The length that it claims is never waited for, nor kept.
    assert "unknown type" in complaint(lambda: read(codec.hello(CALL), b"\x99\xff\xff"))


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_events_or_a_protocol_error(data: bytes, begun: bool) -> None:
    reader = codec.AudioSocketReader()
    if begun:
        reader.feed(codec.hello(CALL))
    try:
        for at in range(0, len(data), 7):
            for event in reader.feed(data[at : at + 7]):
                if isinstance(event, Ended):
                    return
    except ProtocolError:
        return
    assert len(reader._buffer) <= codec.MAX_PAYLOAD + 3
