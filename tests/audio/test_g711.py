"""G.711 against its own tables, built here from what the Recommendation says in words."""

from __future__ import annotations

import bisect
import itertools

import numpy as np
import pytest

from bargein.audio import decode_alaw, decode_mulaw, encode_alaw, encode_mulaw

ALL_CODES = bytes(range(256))
ALL_SAMPLES = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)


def decision_values(runs: list[tuple[int, int]]) -> list[int]:
    """The decision values x of a positive half, from (number of intervals, interval size)."""
    values = [0]
    for count, size in runs:
        values += [values[-1] + size * (i + 1) for i in range(count)]
    return values


# G.711 table 2a, u-law, values of 14 bits: x1..x128, and x0 = 0. Interval 0 is of size 1.
MULAW_X = decision_values([(1, 1), (15, 2), *((16, 4 << k) for k in range(7))])
# y0 = 0, and each other output is the middle of its interval.
MULAW_Y = [0] + [(low + high) // 2 for low, high in itertools.pairwise(MULAW_X[1:])]
# G.711 table 1a, A-law, values of 13 bits.
ALAW_X = decision_values([(32, 2), *((16, 4 << k) for k in range(6))])
ALAW_Y = [(low + high) // 2 for low, high in itertools.pairwise(ALAW_X)]


def mulaw_signal(interval: int, positive: bool) -> int:
    return (interval | (0x80 if positive else 0)) ^ 0x7F  # the magnitude is inverted


def alaw_signal(interval: int, positive: bool) -> int:
    return (interval | (0x80 if positive else 0)) ^ 0x55  # even bits inverted


def reference_interval(sample: int, decisions: list[int], scale: int) -> int:
    magnitude = sample if sample >= 0 else ~sample
    return min(bisect.bisect_right(decisions, magnitude // scale) - 1, 127)


def test_the_reference_is_the_recommendations() -> None:
    # Spot values printed in G.711's tables.
    assert (MULAW_X[1], MULAW_X[16], MULAW_X[32], MULAW_X[112], MULAW_X[128]) == (
        *(1, 31, 95, 4063),
        8159,
    )
    assert (MULAW_Y[1], MULAW_Y[16], MULAW_Y[127]) == (2, 33, 8031)
    assert len(MULAW_Y) == 128
    assert (ALAW_X[1], ALAW_X[32], ALAW_X[112], ALAW_X[128]) == (2, 64, 2048, 4096)
    assert (ALAW_Y[0], ALAW_Y[127]) == (1, 4032)
    assert len(ALAW_Y) == 128
    # Character signals: u-law +max is 1000 0000, -0 is 0111 1111; A-law +min is 1101 0101.
    assert mulaw_signal(127, True) == 0x80
    assert mulaw_signal(0, False) == 0x7F
    assert alaw_signal(0, True) == 0xD5
    assert alaw_signal(127, False) == 0x2A


@pytest.mark.parametrize(
    ("decode", "signal", "outputs", "scale"),
    [(decode_mulaw, mulaw_signal, MULAW_Y, 4), (decode_alaw, alaw_signal, ALAW_Y, 8)],
)
def test_all_256_codes_decode_as_in_the_tables(decode, signal, outputs, scale) -> None:
    expected = np.full(256, 99_999)
    for interval, output in enumerate(outputs):
        expected[signal(interval, True)] = output * scale
        expected[signal(interval, False)] = -output * scale
    got = decode(ALL_CODES)
    assert got.dtype == np.int16
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("encode", "signal", "decisions", "scale"),
    [(encode_mulaw, mulaw_signal, MULAW_X, 4), (encode_alaw, alaw_signal, ALAW_X, 8)],
)
def test_all_65536_samples_encode_to_their_interval(encode, signal, decisions, scale) -> None:
    samples = ALL_SAMPLES.tolist()
    expected = bytes(
        signal(reference_interval(sample, decisions, scale), sample >= 0) for sample in samples
    )
    assert encode(ALL_SAMPLES) == expected


@pytest.mark.parametrize(
    ("decode", "encode"), [(decode_mulaw, encode_mulaw), (decode_alaw, encode_alaw)]
)
def test_decoded_codes_encode_to_themselves(decode, encode) -> None:
    # u-law has a code for -0 that no sample can bring back.
    expected = ALL_CODES if decode is decode_alaw else ALL_CODES.replace(b"\x7f", b"\xff")
    assert encode(decode(ALL_CODES)) == expected


@pytest.mark.parametrize(
    ("decode", "encode"), [(decode_mulaw, encode_mulaw), (decode_alaw, encode_alaw)]
)
def test_coding_is_as_near_as_the_law_allows(decode, encode) -> None:
    error = np.abs(decode(encode(ALL_SAMPLES)).astype(np.int32) - ALL_SAMPLES)
    magnitude = np.abs(ALL_SAMPLES.astype(np.int32))
    # Half an interval, and an interval is at most 1/16 of its magnitude wide, or 16 near 0. What
    # lies past the last decision value of u-law (8159 of 14 bits) is clipped.
    assert (error <= magnitude / 32 + 8)[magnitude < 8_159 * 4].all()


@pytest.mark.parametrize("decode", [decode_mulaw, decode_alaw])
def test_decoding_takes_any_bytes_and_gives_a_new_array(decode) -> None:
    for data in (ALL_CODES, bytearray(ALL_CODES), memoryview(ALL_CODES)):
        got = decode(data)
        got[0] = 0  # the shared table must not be what comes out
        assert got.flags.owndata
    assert decode(b"").size == 0
    assert decode(ALL_CODES)[0] != 0


@pytest.mark.parametrize("encode", [encode_mulaw, encode_alaw])
def test_encoding_takes_any_layout(encode) -> None:
    strided = np.stack((ALL_SAMPLES, ALL_SAMPLES), axis=1)[:, 0]
    assert encode(strided) == encode(ALL_SAMPLES)
    assert encode(ALL_SAMPLES.astype(">i2")) == encode(ALL_SAMPLES)
    assert encode(np.empty(0, np.int16)) == b""
