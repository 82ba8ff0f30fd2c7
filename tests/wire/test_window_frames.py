"""A window's audio as a binary frame."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.errors import FrameError, ProtocolError
from bargein.wire.websocket_frames import Opcode, build_frame
from bargein.wire.window_frames import build_window, pack_window, unpack_window


def test_the_bytes_are_those_of_the_protocol() -> None:
    samples = np.array([1, -2, 32767], dtype=np.int16)

    assert pack_window(0x0102, samples) == (
        b"\x02\x01\0\0\0\0\0\0" + b"\x01\x00" + b"\xfe\xff" + b"\xff\x7f"
    )


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(-32768, 32767)))
def test_what_is_packed_is_unpacked(window_id: int, values: list[int]) -> None:
    samples = np.array(values, dtype=np.int16)

    found_id, found = unpack_window(pack_window(window_id, samples))

    assert found_id == window_id
    assert found.dtype == np.int16
    assert found.tolist() == values


@given(
    st.integers(0, 2**64 - 1),
    st.integers(0, 200) | st.integers(32_750, 32_780),  # up to where a length takes 8 bytes
    st.binary(min_size=4, max_size=4),
)
def test_a_windows_frame_is_that_of_any_message(window_id: int, count: int, key: bytes) -> None:
    samples = np.arange(count).astype(np.int16)

    assert bytes(build_window(window_id, samples, key)) == bytes(
        build_frame(Opcode.BINARY, pack_window(window_id, samples), mask_key=key)
    )


def test_a_frame_of_strided_samples() -> None:
    samples = np.arange(6, dtype=np.int16)[::2]
    frame = build_window(0, samples, bytes(4))
    assert bytes(frame[-6:]) == struct.pack("<3h", 0, 2, 4)


def test_strided_and_big_endian_samples_are_sent_as_they_sound() -> None:
    assert pack_window(0, np.arange(6, dtype=np.int16)[::2])[8:] == struct.pack("<3h", 0, 2, 4)


@pytest.mark.parametrize(
    "samples", [np.zeros(3, np.float32), np.zeros((2, 2), np.int16), np.zeros(3, np.uint8)]
)
def test_samples_of_another_kind_are_refused(samples: npt.NDArray[np.generic]) -> None:
    with pytest.raises(FrameError, match="expected int16"):
        pack_window(1, samples)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 7, 9, 11])
def test_a_frame_of_the_wrong_size_is_refused(size: int) -> None:
    with pytest.raises(ProtocolError, match=f"{size} bytes"):
        unpack_window(bytes(size))


@given(st.binary())
def test_any_bytes_give_a_window_or_a_protocol_error(data: bytes) -> None:
    try:
        window_id, samples = unpack_window(data)
    except ProtocolError:
        return
    assert pack_window(window_id, samples) == data
