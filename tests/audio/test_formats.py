"""Frames: what is taken, what it becomes, and what is said about the rest."""

from __future__ import annotations

import array
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.audio import (
    ENCODINGS,
    AudioFormat,
    decode,
    encode_alaw,
    encode_mulaw,
    formats,
    read_frame,
)
from bargein.errors import FrameError, OptionError, UsageError

MONO = AudioFormat()
STEREO = AudioFormat(48_000, 2)
MULAW = AudioFormat(8_000, encoding="mulaw")


@attrs.define
class Frame:
    """What LiveKit's rtc.AudioFrame shows of itself."""

    data: Any
    sample_rate: Any = 16_000
    num_channels: Any = 1
    samples_per_channel: Any = 160


# --- AudioFormat ---------------------------------------------------------------------------------


def test_defaults_are_16_khz_mono_s16le() -> None:
    assert (MONO.sample_rate, MONO.num_channels, MONO.encoding) == (16_000, 1, "s16le")
    assert str(MONO) == "s16le, 16000 Hz, mono"
    assert str(STEREO) == "s16le, 48000 Hz, 2 channels"
    assert repr(MULAW) == "AudioFormat(sample_rate=8000, num_channels=1, encoding='mulaw')"


@pytest.mark.parametrize(
    ("encoding", "width"), [("s16le", 2), ("s16be", 2), ("u8", 1), ("mulaw", 1), ("alaw", 1)]
)
def test_widths_are_counted_in_bytes(encoding: formats.Encoding, width: int) -> None:
    fmt = AudioFormat(8_000, 3, encoding)
    assert (fmt.sample_width, fmt.frame_width) == (width, 3 * width)


def test_formats_compare_and_hash_by_value() -> None:
    assert AudioFormat(np.int64(8_000), 1, "mulaw") == MULAW
    assert type(AudioFormat(np.int64(8_000)).sample_rate) is int
    assert len({MULAW, AudioFormat(8_000, encoding="mulaw"), MONO}) == 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        MONO.sample_rate = 8_000  # type: ignore[misc]


@pytest.mark.parametrize("rate", [7_999, 192_001, 0, -8_000, 16_000.0, "16000", None, True])
def test_a_wrong_rate_is_refused(rate: Any) -> None:
    with pytest.raises(OptionError, match=r"whole number of Hz from 8000 to 192000, got ") as info:
        AudioFormat(rate)
    assert repr(rate) in str(info.value)


@pytest.mark.parametrize("rate", [8_000, 8_001, 11_025, 191_999, 192_000])
def test_any_whole_rate_within_is_taken(rate: int) -> None:
    assert AudioFormat(rate).sample_rate == rate


@pytest.mark.parametrize("channels", [0, -1, 256, 1.5, None, True])
def test_a_wrong_number_of_channels_is_refused(channels: Any) -> None:
    with pytest.raises(OptionError, match=r"num_channels must be a whole number .* 1 to 255, got"):
        AudioFormat(num_channels=channels)


@pytest.mark.parametrize("encoding", ["pcm", "S16LE", None, 1, ["s16le"]])
def test_an_unknown_encoding_is_refused(encoding: Any) -> None:
    with pytest.raises(OptionError, match="encoding must be one of s16le, s16be, u8, mulaw, alaw"):
        AudioFormat(encoding=encoding)


# --- read_frame: bare samples --------------------------------------------------------------------

SAMPLES = np.array([0, 1, -1, 32_767, -32_768, 258], np.int16)
RAW = SAMPLES.astype("<i2").tobytes()


def test_bytes_come_back_as_they_are() -> None:
    data, fmt = read_frame(RAW, MONO)
    assert data is RAW
    assert fmt is MONO
    assert read_frame(RAW) == (RAW, AudioFormat())
    assert read_frame(b"", STEREO) == (b"", STEREO)


class OwnBytes(bytes):
    pass


@pytest.mark.parametrize(
    "frame",
    [
        OwnBytes(RAW),
        bytearray(RAW),
        memoryview(RAW),
        memoryview(bytearray(RAW)),
        memoryview(RAW).cast("b"),
        memoryview(RAW).cast("c"),
        memoryview(SAMPLES),
        memoryview(array.array("h", SAMPLES.tolist())),
        SAMPLES,
        SAMPLES.reshape(-1, 1),
        SAMPLES.astype(">i2"),
        np.repeat(SAMPLES, 2)[::2],
    ],
    ids=lambda frame: f"{type(frame).__name__}",
)
def test_other_bare_samples_become_the_same_bytes(frame: Any) -> None:
    for given_format in (MONO, None):
        data, fmt = read_frame(frame, given_format)
        assert type(data) is bytes
        assert data == RAW
        assert fmt == MONO


@pytest.mark.parametrize("encoding", ["s16be", "u8", "mulaw", "alaw"])
def test_bytes_are_read_in_the_streams_encoding(encoding: formats.Encoding) -> None:
    fmt = AudioFormat(8_000, 2, encoding)
    for frame in (RAW, bytearray(RAW), memoryview(RAW)):
        assert read_frame(frame, fmt) == (RAW, fmt)


def test_mutable_buffers_are_copied() -> None:
    buffer = bytearray(RAW)
    samples = SAMPLES.copy()
    frame = Frame(memoryview(buffer).cast("h"), samples_per_channel=SAMPLES.size)
    taken = [read_frame(it, MONO)[0] for it in (buffer, memoryview(buffer), samples, frame)]
    buffer[:] = bytes(len(buffer))
    samples[:] = 0
    assert taken == [RAW] * 4


def test_arrays_may_have_a_column_per_channel() -> None:
    columns = SAMPLES.reshape(-1, 2)
    assert read_frame(columns, STEREO) == (RAW, STEREO)
    assert read_frame(np.asfortranarray(columns), STEREO) == (RAW, STEREO)
    assert read_frame(SAMPLES, STEREO) == (RAW, STEREO)


@pytest.mark.parametrize(
    ("frame", "fmt", "message"),
    [
        (b"abc", None, r"frame of 3 bytes, expected a multiple of 2 .*send whole samples"),
        (b"abc", MONO, r"frame of 3 bytes, expected a multiple of 2"),
        (bytearray(6), STEREO, r"6 bytes, expected a multiple of 4 \(2 channel"),
        (memoryview(bytes(6)), STEREO, r"6 bytes, expected a multiple of 4"),
        (memoryview(np.zeros(3, np.int16)), STEREO, r"6 bytes, expected a multiple of 4"),
        (np.zeros(3, np.int16), STEREO, r"6 bytes, expected a multiple of 4"),
        (np.zeros((3, 2), np.int16), MONO, r"shape \(3, 2\), expected \(n,\) or \(n, 1\)"),
        (np.zeros((2, 480), np.int16), STEREO, r"\(2, 480\), expected .*\(n, 2\): transpose"),
        (np.zeros((1, 1, 1), np.int16), MONO, r"shape \(1, 1, 1\)"),
        (np.zeros((), np.int16), MONO, r"shape \(\)"),
        (np.zeros(160, np.float32), MONO, r"array of float32, expected int16.*32767"),
        (np.zeros(160), None, r"array of float64, expected int16"),
        (np.zeros(160, np.int32), MONO, r"array of int32, expected int16"),
        (np.zeros(160, np.uint16), MONO, r"array of uint16, expected int16"),
        (np.zeros(160, np.int8), MONO, r"array of int8, expected int16"),
        (np.zeros(160, np.int16), MULAW, r"int16 array, but .* mulaw.*: send bytes"),
        (memoryview(np.zeros(4, np.int16)), MULAW, r"int16 array, but the stream's format is"),
        (memoryview(np.zeros(4, np.float32)), MONO, r"memoryview of format 'f', expected bytes"),
        ("abcd", MONO, r"frame of type str, expected bytes"),
        (None, MONO, r"frame of type NoneType"),
        ([0, 1], None, r"frame of type list"),
    ],
)
def test_wrong_bare_samples_are_refused(frame: Any, fmt: AudioFormat | None, message: str) -> None:
    with pytest.raises(FrameError, match=message) as info:
        read_frame(frame, fmt)
    assert isinstance(info.value, ValueError)
    assert isinstance(info.value, UsageError)


# --- read_frame: frames that carry their format --------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [bytes(640), bytearray(640), memoryview(bytes(640)).cast("h"), np.zeros(320, np.int16)],
    ids=lambda data: type(data).__name__,
)
def test_a_frame_brings_its_own_format(data: Any) -> None:
    frame = Frame(data, 48_000, 2, 160)
    own, fmt = read_frame(frame)
    assert (own, fmt) == (bytes(640), STEREO)
    assert read_frame(frame, fmt) == (own, fmt)
    assert read_frame(frame, fmt)[1] is fmt
    assert (own is data) == isinstance(data, bytes)


def test_a_frame_in_views_of_int16_is_counted_in_bytes() -> None:
    view = memoryview(bytearray(320)).cast("h")
    assert len(view) == 160
    assert read_frame(Frame(view), MONO) == (bytes(320), MONO)
    assert read_frame(Frame(memoryview(b""), samples_per_channel=0)) == (b"", MONO)


def test_numbers_of_a_frame_may_be_numpys() -> None:
    frame = Frame(bytes(320), np.int32(16_000), np.int32(1), np.int64(160))
    assert read_frame(frame, MONO) == (bytes(320), MONO)
    own, fmt = read_frame(frame)
    assert (own, fmt) == (bytes(320), MONO)
    assert type(fmt.sample_rate) is int


@pytest.mark.parametrize(
    ("frame", "fmt", "message"),
    [
        (Frame(bytes(320), sample_rate=0), None, r"sample_rate must be .*, got 0"),
        (Frame(bytes(320), sample_rate=0), MONO, r"sample_rate must be .*, got 0"),
        (Frame(bytes(320), num_channels=0), MONO, r"num_channels must be .*, got 0"),
        (Frame(bytes(320), 8_000), MONO, r"of s16le, 8000 Hz, mono, .*16000 Hz.*call set_format"),
        (Frame(bytes(640), 16_000, 2), MONO, r"2 channels, but .* mono: call set_format"),
        (Frame(bytes(320), 8_000), MULAW, r"s16le, 8000 Hz, mono, but .*mulaw.*call set_format"),
        (Frame(bytes(318)), MONO, r"318 bytes, but its samples_per_channel is 160, expected 159"),
        (Frame(bytes(321)), None, r"321 bytes, .* expected 160\.5 \(2 bytes each\)"),
        (Frame(bytes(320), num_channels=2), None, r"320 bytes, .* expected 80 \(4 bytes each\)"),
        (Frame(bytes(320), samples_per_channel=None), MONO, r"samples_per_channel is None"),
        (Frame(bytes(320), samples_per_channel=160.0), MONO, r"samples_per_channel is 160\.0"),
        (Frame("x" * 320), MONO, r"whose data are str, expected bytes or int16"),
        (Frame(np.zeros(80, np.float32)), MONO, r"data of format 'f', expected int16"),
    ],
)
def test_wrong_frames_are_refused(frame: Frame, fmt: AudioFormat | None, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        read_frame(frame, fmt)


def test_an_object_that_lacks_a_field_is_no_frame() -> None:
    with pytest.raises(FrameError, match=r"samples_per_channel"):
        read_frame(array.array("h", [1, 2]), MONO)


def test_frames_of_a_big_endian_machine_become_little_endian(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(formats, "_BIG_ENDIAN", True)
    swapped = SAMPLES.astype(">i2").tobytes()
    assert read_frame(Frame(swapped, samples_per_channel=SAMPLES.size), MONO) == (RAW, MONO)


# --- decode --------------------------------------------------------------------------------------


def test_s16_decodes_in_both_byte_orders() -> None:
    assert decode(RAW, MONO).tolist() == SAMPLES.tolist()
    swapped = SAMPLES.astype(">i2").tobytes()
    got = decode(swapped, AudioFormat(encoding="s16be"))
    assert got.tolist() == SAMPLES.tolist()
    assert got.dtype == np.dtype(np.int16)
    assert got.dtype.isnative


def test_mono_s16le_decodes_to_a_view() -> None:
    assert not decode(RAW, MONO).flags.writeable
    assert np.shares_memory(decode(RAW, MONO), np.frombuffer(RAW, np.uint8))


def test_u8_is_offset_binary() -> None:
    got = decode(bytes([0, 127, 128, 129, 255]), AudioFormat(encoding="u8"))
    assert got.dtype == np.int16
    assert got.tolist() == [-32_768, -256, 0, 256, 32_512]


def test_g711_decodes() -> None:
    samples = np.arange(-32_768, 32_768, 7, dtype=np.int32).astype(np.int16)
    for encoding, encode in (("mulaw", encode_mulaw), ("alaw", encode_alaw)):
        fmt = AudioFormat(8_000, encoding=encoding)
        data = encode(samples)
        got = decode(data, fmt)
        assert encode(got).replace(b"\x7f", b"\xff") == data.replace(b"\x7f", b"\xff")
        assert np.abs(got.astype(np.int32) - samples).max() < 1_100


@pytest.mark.parametrize(
    ("frame", "mixed"),
    [
        ([1, 2], 1),
        ([-1, -2], -2),
        ([-1, 0], -1),
        ([32_767, 32_767], 32_767),
        ([-32_768, -32_768], -32_768),
        ([1, 1, 0], 0),
        ([-1, -1, 1], -1),
        ([-32_768] * 255, -32_768),
    ],
)
def test_channels_are_mixed_rounding_down(frame: list[int], mixed: int) -> None:
    data = np.array(frame * 3, "<i2").tobytes()
    assert decode(data, AudioFormat(num_channels=len(frame))).tolist() == [mixed] * 3


@given(
    st.sampled_from(ENCODINGS), st.integers(1, 5), st.binary(max_size=60), st.sampled_from([0, 1])
)
def test_mixing_is_the_sum_divided_rounding_down(
    encoding: formats.Encoding, channels: int, data: bytes, kind: int
) -> None:
    fmt = AudioFormat(num_channels=channels, encoding=encoding)
    data = data[: len(data) // fmt.frame_width * fmt.frame_width]
    plain = decode(data, attrs.evolve(fmt, num_channels=1)).tolist()
    expected = [sum(plain[i : i + channels]) // channels for i in range(0, len(plain), channels)]
    got = decode(bytearray(data) if kind else data, fmt)
    assert got.tolist() == expected
    assert got.dtype == np.int16


def test_part_of_a_sample_does_not_decode() -> None:
    for data in (bytes(6), bytearray(6), memoryview(bytes(6))):
        with pytest.raises(FrameError, match="6 bytes, expected a multiple of 4"):
            decode(data, STEREO)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_silence_is_silent(encoding: formats.Encoding) -> None:
    fmt = AudioFormat(8_000, 2, encoding)
    heard = decode(formats.silence(fmt, 3), fmt)
    assert heard.shape == (3,)
    assert abs(heard).max() <= 8  # A-law has no zero
