"""Conversion to 16 kHz: bytes that depend on positions alone, and a filter that keeps its word.

`whole` is the yardstick: a new converter that gets everything in one piece. It is itself compared
with sums in whole numbers, and with the signal that a converter without a fault would give.
"""

from __future__ import annotations

import itertools
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bargein.audio import (
    ENCODINGS,
    OUTPUT_RATE,
    AudioFormat,
    Converter,
    Encoding,
    decode,
    encode_alaw,
    encode_mulaw,
    resample,
)
from bargein.errors import FrameError, OptionError

Int16 = npt.NDArray[np.int16]
Float64 = npt.NDArray[np.float64]

TELEPHONY = [8_000, 16_000, 24_000, 48_000]
ODD = [8_001, 11_025, 12_345, 15_999, 16_001, 22_050, 44_100, 191_999, 192_000]
RATES = [*TELEPHONY, *ODD]

# -6 dBFS, as the sweep has it.
AMPLITUDE = 32_768 * 10 ** (-6 / 20)


def whole(samples: Int16, rate: int, position: int = 0) -> Int16:
    """What there is at 16 kHz of samples that come in one piece: up to their end."""
    converter = Converter(rate, position)
    return np.concatenate((converter.push(samples), converter.tail()))


def noise(size: int, seed: int = 0) -> Int16:
    return np.random.default_rng(seed).integers(-32_768, 32_768, size, np.int16)


def rounded(signal: Float64) -> Int16:
    return np.floor(signal + 0.5).astype(np.int16)


def in_pieces(samples: Int16, sizes: list[int]) -> list[Int16]:
    return np.split(samples, np.cumsum(sizes)[:-1])


def even_sizes(total: int, size: int) -> list[int]:
    return [min(size, total - at) for at in range(0, total, size)]


# --- Framing -------------------------------------------------------------------------------------


def check_framing(samples: Int16, rate: int, sizes: list[int], position: int = 0) -> None:
    """Every prefix of the pieces gives what its samples give in one piece."""
    converter = Converter(rate, position)
    first = converter.stable
    assert first == position * OUTPUT_RATE // rate
    stable: list[Int16] = []
    # Comparing all prefixes would take the square of their number.
    watched = set(np.linspace(0, len(sizes) - 1, 6).astype(int).tolist())
    for index, piece in enumerate(in_pieces(samples, sizes)):
        before = converter.stable
        got = converter.push(piece)
        assert converter.stable - before == len(got)
        stable.append(got)
        if index in watched:
            taken = converter.position - position
            everything = np.concatenate((*stable, converter.tail()))
            assert first + len(everything) == converter.position * OUTPUT_RATE // rate
            assert everything.tobytes() == whole(samples[:taken], rate, position).tobytes()
    assert converter.position == position + len(samples)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("seconds", [0.007, 0.010, 0.020, 1.0])
def test_frames_of_any_length_give_the_same_bytes(rate: int, seconds: float) -> None:
    samples = noise(int(1.2 * rate) + 5)
    check_framing(samples, rate, even_sizes(len(samples), int(seconds * rate)))


@pytest.mark.parametrize("rate", RATES)
def test_frames_of_one_sample_give_the_same_bytes(rate: int) -> None:
    samples = noise(rate // 100 + 100)
    check_framing(samples, rate, [1] * len(samples))


@given(
    st.one_of(st.sampled_from(RATES), st.integers(8_000, 192_000)),
    st.lists(st.one_of(st.integers(0, 40), st.integers(0, 3_000)), min_size=1, max_size=10),
    st.integers(0, 2**40),
)
def test_random_pieces_give_the_same_bytes(rate: int, sizes: list[int], position: int) -> None:
    check_framing(noise(sum(sizes), len(sizes)), rate, sizes, position)


@given(st.sampled_from(ENCODINGS), st.sampled_from([8_000, 11_025, 48_000]), st.data())
def test_encoded_frames_give_the_same_bytes(encoding: Encoding, rate: int, data: Any) -> None:
    fmt = AudioFormat(rate, 2, encoding)
    raw = np.random.default_rng(rate).bytes(fmt.frame_width * (rate // 20))
    cuts = data.draw(st.lists(st.integers(0, rate // 20), max_size=6))
    edges = [0, *sorted(cuts), rate // 20]
    converter = Converter(rate)
    pieces = [
        converter.push(decode(raw[low * fmt.frame_width : high * fmt.frame_width], fmt))
        for low, high in itertools.pairwise(edges)
    ]
    expected = whole(decode(raw, fmt), rate)
    assert np.concatenate((*pieces, converter.tail())).tobytes() == expected.tobytes()


@given(st.sampled_from(RATES), st.integers(0, 100_000), st.integers(0, 400))
@example(8_000, 3, 100)
def test_output_depends_on_the_position_not_on_when_conversion_began(
    rate: int, position: int, size: int
) -> None:
    """Starting anew at a position is starting at 0 with silence up to there."""
    samples = noise(size)
    late = whole(samples, rate, position)
    silence = np.zeros(position, np.int16)
    early = whole(np.concatenate((silence, samples)), rate)
    start = position * OUTPUT_RATE // rate
    assert late.tobytes() == early[start:].tobytes()


def test_the_tail_changes_nothing() -> None:
    converter = Converter(8_000)
    converter.push(noise(500))
    state = (converter.position, converter.stable)
    assert converter.tail().tobytes() == converter.tail().tobytes()
    assert (converter.position, converter.stable) == state
    rest = converter.push(noise(500, 1))
    untouched = Converter(8_000)
    untouched.push(noise(500))
    assert rest.tobytes() == untouched.push(noise(500, 1)).tobytes()


@pytest.mark.parametrize("rate", RATES)
def test_there_is_audio_up_to_the_newest_sample(rate: int) -> None:
    converter = Converter(rate)
    for size in (1, 7, rate // 100, rate // 50, rate):
        converter.push(noise(size))
        end = converter.stable + len(converter.tail())
        # Less than one output sample, 1/16 of a millisecond, is missing.
        assert end == converter.position * OUTPUT_RATE // rate
        # A stable sample is never more than 3 ms off.
        assert end - converter.stable <= 0.003 * OUTPUT_RATE + 1


@pytest.mark.parametrize("rate", [8_000, 11_025, 48_000])
def test_a_sound_is_in_the_window_within_a_millisecond(rate: int) -> None:
    """A tone that began 1 ms before the cut is there, as loud as it is."""
    millisecond = rate // 1_000
    samples = np.zeros(rate // 10, np.int16)
    samples[-millisecond:] = 10_000
    newest = whole(samples, rate)[-16:]
    assert np.abs(newest[4:].astype(int) - 10_000).max() < 1_500


# --- 16 kHz passes -------------------------------------------------------------------------------


def test_16_khz_passes_unchanged_and_at_once() -> None:
    converter = Converter(OUTPUT_RATE, 77)
    samples = noise(320)
    assert converter.push(samples) is samples
    assert (converter.position, converter.stable) == (397, 397)
    assert converter.tail().size == 0
    assert converter.tail().dtype == np.int16


# --- Exactness -----------------------------------------------------------------------------------


def exact(samples: Int16, rate: int, index: int) -> int:
    """Output sample `index` in Python's whole numbers, from the bank's coefficients."""
    bank = resample._filter_bank(rate)
    group, row = divmod(index, 32)
    base, part = divmod(group * 32 * rate, OUTPUT_RATE)
    table, rest = divmod(part * bank.phases, OUTPUT_RATE)

    def total(number: int) -> int:
        column = (bank.matrices[number][:, row] * 2**20).astype(int).tolist()
        first = base - bank.half + 1
        return sum(
            coefficient * int(samples[first + tap])
            for tap, coefficient in enumerate(column)
            if coefficient and 0 <= first + tap < len(samples)
        )

    both = total(table) * (OUTPUT_RATE - rest) + (total(table + 1) * rest if rest else 0)
    unit = 2**20 * OUTPUT_RATE
    return max(-32_768, min(32_767, (2 * both + unit) // (2 * unit)))  # half up


@pytest.mark.parametrize("rate", [8_000, 8_001, 11_025, 44_100, 48_000, 191_999])
def test_sums_are_exact(rate: int) -> None:
    # Full scale: signs at random make the largest sums, a square wave overshoots and is clipped.
    samples = np.where(noise(rate // 10) < 0, -32_768, 32_767).astype(np.int16)
    wave = np.sin(2 * np.pi * 500 * np.arange(rate // 20) / rate + 0.1)
    samples[: rate // 20] = np.where(wave < 0, -32_768, 32_767)
    converter = Converter(rate)
    got = converter.push(samples)
    indexes = np.random.default_rng(1).integers(0, len(got), 40).tolist()
    assert [int(got[i]) for i in indexes] == [exact(samples, rate, i) for i in indexes]
    assert got.max() == 32_767
    assert got.min() == -32_768


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("level", [-32_768, -1, 0, 1, 12_345, 32_767])
def test_a_constant_stays_what_it_is(rate: int, level: int) -> None:
    got = whole(np.full(rate // 10, level, np.int16), rate)
    assert (got[48:] == level).all()  # 3 ms in, where the silence before it no longer counts


@pytest.mark.parametrize("rate", [8_000, 44_100, 8_001, 191_999])
def test_banks_stay_small_and_are_exact_multiples(rate: int) -> None:
    bank = resample._filter_bank(rate)
    assert sum(matrix.nbytes for matrix in bank.matrices) < 3_000_000
    for matrix in bank.matrices:
        assert (matrix * 2**20 == np.rint(matrix * 2**20)).all()
        assert (matrix.sum(axis=0) == 1).all()
        assert not matrix.flags.writeable


def test_threads_share_a_bank() -> None:
    resample._filter_bank.cache_clear()
    samples = noise(4_000)
    expected = whole(samples, 8_000).tobytes()
    resample._filter_bank.cache_clear()
    barrier = threading.Barrier(4)
    found: list[bool] = []

    def work() -> None:
        barrier.wait(10)
        found.append(whole(samples, 8_000).tobytes() == expected)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [True] * 4
    assert Converter(8_000)._bank is Converter(8_000)._bank


# --- Quality -------------------------------------------------------------------------------------


def chirp(rate: int, high: float, seconds: float, times: Float64 | None = None) -> Float64:
    """A sine of -6 dBFS that sweeps from 50 Hz to `high` evenly."""
    time = np.arange(int(rate * seconds)) / rate if times is None else times
    return AMPLITUDE * np.sin(2 * np.pi * (50 * time + (high - 50) * time**2 / (2 * seconds)))


def block_snr(got: Int16, wanted: Float64) -> Float64:
    """dB of each whole 10 ms block but the first and the newest."""
    error = got - wanted
    blocks = len(got) // 160
    power = (wanted[: blocks * 160].reshape(-1, 160) ** 2).sum(axis=1)
    fault = (error[: blocks * 160].reshape(-1, 160) ** 2).sum(axis=1)
    return 10 * np.log10(power / fault)[1:-1]


@pytest.mark.parametrize("rate", RATES)
def test_a_sweep_comes_through_at_60_db_in_every_block(rate: int) -> None:
    high = 0.45 * min(rate, OUTPUT_RATE)
    got = whole(rounded(chirp(rate, high, 1.0)), rate)
    wanted = chirp(rate, high, 1.0, np.arange(len(got)) / OUTPUT_RATE)
    # 60 dB is the promise; the filter does 72, so that a seam of 1/1000 would show.
    assert block_snr(got, wanted).min() > 70


@pytest.mark.parametrize(("encoding", "encode"), [("mulaw", encode_mulaw), ("alaw", encode_alaw)])
def test_g711_costs_no_more_than_its_own_noise(encoding: Encoding, encode: Any) -> None:
    """Against the decoded signal: its parts between the samples are those of a long ideal sinc."""
    rate = 8_000
    decoded = decode(encode(rounded(chirp(rate, 3_600, 0.5))), AudioFormat(rate, 1, encoding))
    # Quantisation noise lies in the transition band too, where no filter is ideal: it goes first.
    spectrum = np.fft.rfft(decoded * np.hanning(len(decoded)))
    spectrum[np.fft.rfftfreq(len(decoded), 1 / rate) > 0.45 * rate] = 0
    clean = np.fft.irfft(spectrum)
    wide = np.concatenate((spectrum, np.zeros(len(decoded) // 2)))
    wanted = np.fft.irfft(wide, 2 * len(decoded)) * 2
    got = whole(rounded(clean), rate)
    inner = slice(1_600, 6_400)  # the window leaves too little at the ends
    error = got[inner] - wanted[inner]
    blocks = 10 * np.log10(
        (wanted[inner].reshape(-1, 160) ** 2).sum(axis=1)
        / (error.reshape(-1, 160) ** 2).sum(axis=1)
    )
    assert blocks.min() > 60


@pytest.mark.parametrize("rate", [22_050, 24_000, 44_100, 48_000, 96_000, 191_999, 192_000])
def test_tones_above_the_band_vanish(rate: int) -> None:
    time = np.arange(rate // 10) / rate
    for tone in (8_800, 9_500, 0.31 * rate, 0.45 * rate, 0.499 * rate):
        if tone < 8_800:
            continue
        got = whole(rounded(AMPLITUDE * np.sin(2 * np.pi * tone * time)), rate)[160:-160]
        # Rounding to int16 alone leaves -92 dB, and -inf where nothing is left of it.
        power = np.mean(got.astype(float) ** 2) / (AMPLITUDE**2 / 2)
        assert power < 10 ** (-75 / 10)


@pytest.mark.parametrize("rate", [8_000, 11_025, 12_345])
def test_tones_leave_no_image_above_the_band(rate: int) -> None:
    time = np.arange(rate) / rate
    for tone in (200, 0.25 * rate, 0.45 * rate):
        got = whole(rounded(AMPLITUDE * np.sin(2 * np.pi * tone * time)), rate)[800:-800]
        spectrum = np.abs(np.fft.rfft(got * np.kaiser(len(got), 14))) ** 2
        frequencies = np.fft.rfftfreq(len(got), 1 / OUTPUT_RATE)
        above = spectrum[frequencies > 0.549 * rate].sum()
        assert above / spectrum.sum() < 10 ** (-75 / 10)


@pytest.mark.parametrize("rate", RATES)
def test_nothing_is_delayed(rate: int) -> None:
    """An impulse at an input sample peaks at the same time at 16 kHz."""
    samples = np.zeros(rate // 10, np.int16)
    at = rate // 20
    samples[at] = 30_000
    got = whole(samples, rate).astype(float)
    centre = (np.arange(len(got)) * got**2).sum() / (got**2).sum()
    assert abs(centre - at * OUTPUT_RATE / rate) < 0.51


# --- Large and wrong -----------------------------------------------------------------------------


def test_a_piece_of_minutes_is_taken_a_second_at_a_time() -> None:
    samples = noise(8_000 * 5 + 3)
    converter = Converter(8_000)
    sizes: list[int] = []
    inner = Converter.push

    class Watched(Converter):
        __slots__ = ()

        def push(self, samples: Int16) -> Int16:
            sizes.append(len(samples))
            return inner(self, samples)

    watched = Watched(8_000)
    got = watched.push(samples)
    assert sizes == [40_003, *[8_000] * 5, 3]
    parts = [converter.push(piece) for piece in in_pieces(samples, even_sizes(40_003, 977))]
    assert got.tobytes() == np.concatenate(parts).tobytes()


def test_samples_of_any_stride_are_taken() -> None:
    samples = noise(2_000)
    assert whole(samples[::2], 8_000).tobytes() == whole(samples[::2].copy(), 8_000).tobytes()


def test_what_was_pushed_may_be_overwritten() -> None:
    samples = noise(400)
    converter = Converter(8_000)
    first = converter.push(samples)
    kept = first.copy()
    samples[:] = 0
    np.testing.assert_array_equal(first, kept)
    expected = Converter(8_000)
    expected.push(noise(400))
    assert converter.tail().tobytes() == expected.tail().tobytes()


@pytest.mark.parametrize(
    "samples",
    [np.zeros(80), np.zeros(80, np.float32), np.zeros((80, 1), np.int16), np.zeros(80, np.int32)],
)
@pytest.mark.parametrize("rate", [8_000, 16_000])
def test_anything_but_mono_int16_is_refused(samples: Any, rate: int) -> None:
    converter = Converter(rate)
    with pytest.raises(FrameError, match=r"expected mono int16 of shape \(n,\)"):
        converter.push(samples)
    assert converter.position == 0


@pytest.mark.parametrize("rate", [7_999, 192_001, 16_000.0])
def test_a_rate_outside_the_range_is_refused(rate: Any) -> None:
    with pytest.raises(OptionError, match="8000 to 192000"):
        Converter(rate)


def test_a_negative_position_is_refused() -> None:
    with pytest.raises(OptionError, match="position must be 0 or more input samples, got -1"):
        Converter(8_000, -1)
