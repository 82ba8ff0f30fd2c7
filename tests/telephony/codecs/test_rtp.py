"""RTP: packets to the bit, order, loss, pauses, comfort noise, keys, and strangers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.audio.formats import AudioFormat, decode
from bargein.telephony.codecs.events import Audio, Digit, Event, Gap, Ignored
from bargein.telephony.codecs.rtp import (
    Packet,
    RtpReceiver,
    RtpSender,
    parse_packet,
)

from .feeding import complaint, joined

SSRC = 0x1234


def packet(
    sequence: int,
    payload: bytes = b"\x55" * 160,
    *,
    timestamp: int | None = None,
    kind: int = 0,
    ssrc: int = SSRC,
) -> bytes:
    timestamp = sequence * 160 if timestamp is None else timestamp
    return Packet(kind, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, False, payload).encode()


def heard(*packets: bytes, receiver: RtpReceiver | None = None) -> list[Event]:
    receiver = receiver or RtpReceiver()
    return [event for data in packets for event in receiver.receive(data, 0.0)]


def test_a_packet_to_the_bit() -> None:
    data = bytes.fromhex("80 88 0102 00000003 0a0b0c0d d5d4")

    assert parse_packet(data) == Packet(8, 0x102, 3, 0x0A0B0C0D, True, b"\xd5\xd4")
    assert parse_packet(data).encode() == data


def test_padding_extension_and_sources_are_taken_off() -> None:
    head = struct.pack("!BBHII", 0x80 | 0x20 | 0x10 | 2, 0, 1, 2, 3)
    data = head + bytes(8) + struct.pack("!HH", 0xBEDE, 1) + bytes(4) + b"sound" + b"\0\0\3"

    assert parse_packet(data).payload == b"sound"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "got 0 bytes"),
        (bytes(12), "version 0"),
        (b"\x83" + bytes(11), "its header doesn't fit"),
        (b"\x90" + bytes(11), "ends inside its extension"),
        (b"\x90" + bytes(13) + b"\1\1", "its header doesn't fit"),
        (b"\xa0" + bytes(11), "padding of 0 bytes"),
        (b"\xa0" + bytes(11) + b"\xff", "its header doesn't fit"),
    ],
)
def test_what_isnt_a_packet(data: bytes, said: str) -> None:
    assert said in complaint(lambda: parse_packet(data))


def test_audio_as_it_comes() -> None:
    assert heard(packet(1, b"a"), packet(2, b"b", timestamp=161)) == [Audio(b"a"), Audio(b"b")]
    assert heard(packet(1, b"")) == []


def test_numbers_and_timestamps_wrap() -> None:
    events = heard(
        packet(65_534, b"a" * 160, timestamp=2**32 - 320),
        packet(0, b"c" * 160, timestamp=0),
        packet(65_535, b"b" * 160, timestamp=2**32 - 160),
    )

    assert joined(events) == [Audio(b"a" * 160 + b"b" * 160 + b"c" * 160)]


def test_loss_is_a_gap() -> None:
    receiver = RtpReceiver()
    events = heard(*(packet(n) for n in (1, 2, 5, 6, 7, 8)), receiver=receiver)

    assert events[2:4] == [Gap(320), Audio(b"\x55" * 160)]
    assert (receiver.stats.lost, receiver.stats.received) == (2, 6)
    assert not receiver.holding


def test_what_waits_is_given_out_on_demand() -> None:
    receiver = RtpReceiver()
    assert len(heard(packet(1), packet(3), receiver=receiver)) == 1
    assert receiver.holding
    assert receiver.flush(0.0) == [Gap(160), Audio(b"\x55" * 160)]


def test_twice_and_too_late() -> None:
    receiver = RtpReceiver()
    events = heard(packet(1), packet(1), packet(2), packet(1), receiver=receiver)

    assert len(events) == 2
    assert receiver.stats.late == 2


def test_the_other_law_is_converted() -> None:
    loud = bytes(range(256))
    (event,) = heard(packet(1, loud, kind=8))
    assert isinstance(event, Audio)
    ours = decode(event.data, AudioFormat(8_000, 1, "mulaw")).astype(int)
    theirs = decode(loud, AudioFormat(8_000, 1, "alaw")).astype(int)
    assert abs(ours - theirs).max() <= 512
    (event,) = heard(packet(1, loud, kind=0), receiver=RtpReceiver("alaw"))
    assert event != Audio(loud)


def test_a_short_pause_is_silence_and_a_long_one_a_gap() -> None:
    # The numbers follow on: nothing was lost, nothing was sent.
    assert heard(packet(1), packet(2, timestamp=480))[1] == Audio(b"\xff" * 160)
    alaw = RtpReceiver("alaw")
    assert heard(packet(1, kind=8), packet(2, timestamp=480, kind=8), receiver=alaw)[1] == Audio(
        b"\xd5" * 160
    )
    assert heard(packet(1), packet(2, timestamp=160 * 2 + 8_000))[1] == Gap(8_000)


def test_timestamps_that_begin_anew_are_no_pause() -> None:
    assert heard(packet(1), packet(2, timestamp=2**31)) == [Audio(b"\x55" * 160)] * 2
    assert heard(packet(1), packet(2, timestamp=5)) == [Audio(b"\x55" * 160)] * 2
    events = heard(packet(1), packet(3, timestamp=9), receiver=(receiver := RtpReceiver()))
    assert [*events[1:], *receiver.flush(0.0)] == [Gap(160), Audio(b"\x55" * 160)]


def test_another_source_begins_anew() -> None:
    receiver = RtpReceiver()
    events = heard(packet(1), packet(3), packet(40_000, ssrc=9), receiver=receiver)

    assert events == [*([Audio(b"\x55" * 160)]), Gap(160), *([Audio(b"\x55" * 160)] * 2)]
    assert receiver.ssrc == 9


def key(sequence: int, code: int, timestamp: int, duration: int, *, over: bool = False) -> bytes:
    body = struct.pack("!BBH", code, 0x8A if over else 0x0A, duration)
    return packet(sequence, body, timestamp=timestamp, kind=101)


def test_a_key_is_told_once() -> None:
    events = heard(
        packet(1),
        key(2, 5, 320, 160),
        key(3, 5, 320, 320),
        *(key(n, 5, 320, 480, over=True) for n in (4, 5, 6)),
        packet(7, timestamp=800),
        key(8, 5, 960, 160),
        key(9, 11, 1280, 160),
    )

    assert events == [
        Audio(b"\x55" * 160),
        Digit("5"),
        Audio(b"\xff" * 480),
        Audio(b"\x55" * 160),
        Digit("5"),
        Digit("#"),
    ]


def test_a_key_whose_beginning_was_lost() -> None:
    assert heard(key(1, 0, 0, 800, over=True), key(2, 0, 0, 800, over=True)) == [Digit("0")]


def test_a_key_held_for_long_goes_on_under_another_timestamp() -> None:
    assert heard(
        key(1, 1, 0, 160),
        key(2, 1, 0, 65_535),
        key(3, 1, 65_535, 160),
        key(4, 1, 65_535, 320, over=True),
        key(5, 1, 70_000, 160),
    ) == [Digit("1"), Digit("1")]
    # The next key of the same name, although the end of the first was lost.
    assert heard(key(1, 1, 0, 160), key(2, 1, 4_000, 160)) == [Digit("1")] * 2


def test_an_event_that_is_no_key_and_packets_of_other_kinds() -> None:
    receiver = RtpReceiver()
    assert heard(key(1, 16, 0, 160), receiver=receiver) == [Ignored("telephone event 16")]
    assert heard(packet(2, b"x", kind=96), receiver=receiver) == [
        Ignored("an RTP packet of payload type 96, 1 bytes")
    ]
    assert heard(packet(3, b"x", kind=96), packet(4, b"", kind=101), receiver=receiver) == []
    assert receiver.stats.bad == 3
    assert heard(key(1, 1, 0, 0), receiver=RtpReceiver(dtmf=None))[0] == Ignored(
        "an RTP packet of payload type 101, 4 bytes"
    )


def test_comfort_noise_becomes_silence_as_time_goes_by() -> None:
    receiver = RtpReceiver()
    receiver.receive(packet(1), 10.0)
    assert receiver.advance(10.5) == []

    assert receiver.receive(packet(2, b"\x40", kind=13), 11.0) == []
    assert receiver.quiet
    assert receiver.advance(11.015625) == []
    assert receiver.advance(11.0625) == [Audio(b"\xff" * 480)]
    assert receiver.receive(packet(3, b"\x40", kind=13, timestamp=480), 11.0625) == []
    assert receiver.advance(11.125) == [Audio(b"\xff" * 480)]
    # 1,600 samples after the noise began: 960 were made already.
    assert receiver.receive(packet(4, b"x", timestamp=320 + 1_600), 11.25) == [
        Audio(b"\xff" * 640),
        Audio(b"x"),
    ]
    assert not receiver.quiet


def test_silence_that_ran_ahead_and_a_process_that_stood_still() -> None:
    receiver = RtpReceiver()
    receiver.receive(packet(1), 0.0)
    receiver.receive(packet(2, b"\x40", kind=13), 0.0)
    receiver.advance(0.125)
    assert receiver.receive(packet(3, b"x", timestamp=480), 0.125) == [Audio(b"x")]

    receiver.receive(packet(4, b"\x40", kind=13, timestamp=481), 1.0)
    assert receiver.advance(5.0) == [Gap(32_000)]
    assert receiver.advance(5.03125) == [Audio(b"\xff" * 160)]


def test_comfort_noise_first() -> None:
    assert heard(packet(1, b"\x40", kind=13), packet(2)) == [
        Audio(b"\xff" * 160),
        Audio(b"\x55" * 160),
    ]


def test_strangers_are_counted_and_said_once() -> None:
    receiver = RtpReceiver()
    assert heard(b"hello", b"again", receiver=receiver) == [
        Ignored("RTP: got 5 bytes, expected at least 12")
    ]
    assert receiver.stats.bad == 2


def test_what_is_sent() -> None:
    sender = RtpSender(8, SSRC, 65_535, 2**32 - 160)

    first, second = (parse_packet(data) for data in sender.packets(b"a" * 200, 5.0))
    assert first == Packet(8, 65_535, 2**32 - 160, SSRC, True, b"a" * 160)
    assert second == Packet(8, 0, 0, SSRC, False, b"a" * 40)
    (third,) = (parse_packet(data) for data in sender.packets(b"b", 5.03))
    assert (third.timestamp, third.marker) == (40, False)
    # A pause: what was written ended at 5.025; timestamps go on with the clock.
    (fourth,) = (parse_packet(data) for data in sender.packets(b"c", 6.025125))
    assert (fourth.timestamp, fourth.marker) == (41 + 8_000, True)


def test_what_is_sent_is_what_is_heard() -> None:
    sender = RtpSender(0, SSRC, 65_530, 2**32 - 500)
    sound = bytes(range(256)) * 10

    assert joined(heard(*sender.packets(sound, 0.0))) == [Audio(sound)]


@given(st.permutations(range(12)), st.integers(0, 65_535))
def test_any_order_gives_the_samples_in_order(order: list[int], first: int) -> None:
    receiver = RtpReceiver()
    events = [
        event
        for n in order
        for event in receiver.receive(packet(first + n, bytes([n]) * 160, timestamp=n * 160), 0.0)
    ]
    events += receiver.flush(0.0)

    numbers = [event.data[0] for event in events if isinstance(event, Audio)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + receiver.stats.late == 12


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_bytes_are_taken(datagrams: list[bytes]) -> None:
    receiver = RtpReceiver()
    for data in datagrams:
        receiver.receive(data, 0.0)
        receiver.receive(packet(1)[:12] + data, 0.0)
        receiver.receive(b"\x80" + data, 0.0)
    receiver.flush(0.0)
    assert not receiver.holding
