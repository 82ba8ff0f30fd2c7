"""G.711 u-law and A-law, both ways, as lookup tables.

Source: ITU-T Recommendation G.711, tables 1a/1b (A-law, 13-bit values) and 2a/2b (u-law, 14-bit
values), scaled to 16 bits by 8 and by 4. Tables are built on first use (0.6 KB to decode, 64 KB
each to encode) and shared by all threads; nothing here has any other state.
"""

from __future__ import annotations

import functools
from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["decode_alaw", "decode_mulaw", "encode_alaw", "encode_mulaw"]

_Buffer = bytes | bytearray | memoryview
_Int16 = npt.NDArray[np.int16]
_Scalar = TypeVar("_Scalar", bound=np.generic)

_MULAW_BIAS = 33
"""What u-law adds to a 14-bit magnitude, so that each segment starts at a power of two."""

_MULAW_MAX = 0x1FFF
"""The largest biased 14-bit magnitude: what is beyond the last decision value is clipped."""


def decode_mulaw(data: _Buffer) -> _Int16:
    """Return the int16 samples ``(n,)`` of `n` u-law bytes (a new array)."""
    return _mulaw_decoding().take(np.frombuffer(data, np.uint8))


def decode_alaw(data: _Buffer) -> _Int16:
    """Return the int16 samples ``(n,)`` of `n` A-law bytes (a new array)."""
    return _alaw_decoding().take(np.frombuffer(data, np.uint8))


def encode_mulaw(samples: _Int16) -> bytes:
    """Return the u-law bytes of int16 samples, in C order.

    A sample gets the interval of G.711's decision values in which it lies. A negative sample that
    lies on a decision value goes to the smaller magnitude, as in ITU-T G.191's reference code.
    """
    return _encode(samples, _mulaw_encoding())


def encode_alaw(samples: _Int16) -> bytes:
    """Return the A-law bytes of int16 samples, in C order; the rules are `encode_mulaw`'s."""
    return _encode(samples, _alaw_encoding())


def _encode(samples: _Int16, table: npt.NDArray[np.uint8]) -> bytes:
    native = np.ascontiguousarray(samples, np.int16)
    return table.take(native.view(np.uint16)).tobytes()


# functools.cache may build a table twice when two threads come at once; both get equal tables.


@functools.cache
def _mulaw_decoding() -> _Int16:
    code = ~np.arange(256, dtype=np.uint8)  # u-law is sent with all bits inverted
    exponent = (code >> 4 & 7).astype(np.int32)
    mantissa = (code & 15).astype(np.int32)
    magnitude = ((2 * mantissa + _MULAW_BIAS << exponent) - _MULAW_BIAS) * 4
    return _frozen(np.where(code & 0x80, -magnitude, magnitude).astype(np.int16))


@functools.cache
def _alaw_decoding() -> _Int16:
    code = np.arange(256, dtype=np.uint8) ^ 0x55  # A-law is sent with its even bits inverted
    exponent = (code >> 4 & 7).astype(np.int32)
    mantissa = (code & 15).astype(np.int32)
    # Segment 0 is as wide as segment 1, and has no leading one.
    leading = np.where(exponent > 0, 33, 1)
    magnitude = (2 * mantissa + leading << np.maximum(exponent - 1, 0)) * 8
    return _frozen(np.where(code & 0x80, magnitude, -magnitude).astype(np.int16))


def _magnitudes() -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Return magnitude and sign of every int16, in the order of its uint16 bits.

    The magnitude of a negative is its one's complement: -1 has 0, and -32768 has 32767.
    """
    values = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    negative = values < 0
    return np.where(negative, ~values, values), negative


def _bit_length(values: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    # frexp's exponent is the bit length, exactly: these integers have far fewer than 53 bits.
    return np.frexp(values.astype(np.float64))[1].astype(np.int32)


@functools.cache
def _mulaw_encoding() -> npt.NDArray[np.uint8]:
    magnitude, negative = _magnitudes()
    biased = np.minimum((magnitude >> 2) + _MULAW_BIAS, _MULAW_MAX)
    exponent = _bit_length(biased) - 6  # the smallest biased magnitude, 33, has 6 bits
    code = exponent << 4 | biased >> exponent + 1 & 15
    return _frozen((~(code | np.where(negative, 0x80, 0)) & 0xFF).astype(np.uint8))


@functools.cache
def _alaw_encoding() -> npt.NDArray[np.uint8]:
    magnitude, negative = _magnitudes()
    steps = magnitude >> 4  # the smallest interval is 2 of 13 bits: 16 of 16
    exponent = np.maximum(_bit_length(steps) - 4, 0)
    code = exponent << 4 | steps >> np.maximum(exponent - 1, 0) & 15
    return _frozen(((code | np.where(negative, 0, 0x80)) ^ 0x55).astype(np.uint8))


def _frozen(table: npt.NDArray[_Scalar]) -> npt.NDArray[_Scalar]:
    table.setflags(write=False)  # it is shared by everybody
    return table
