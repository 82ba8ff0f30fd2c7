"""The audio of a window as a binary WebSocket frame (spec section 6).

An 8-byte little-endian unsigned id, opaque to the server and echoed in its reply, then the samples:
16 kHz mono signed 16-bit little-endian.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from bargein.errors import FrameError, ProtocolError
from bargein.wire.websocket_frames import Opcode, frame_header

__all__ = ["build_window", "pack_window", "unpack_window"]

_HEADER = struct.Struct("<Q")
_WORD = np.dtype("<u8")
_SAMPLE = np.dtype("<i2")
_PER_WORD = _WORD.itemsize // _SAMPLE.itemsize


def build_window(window_id: int, samples: npt.NDArray[np.int16], mask_key: bytes) -> memoryview:
    """A client's whole WebSocket frame, masked straight out of the samples: one copy of them.

    ``samples``: int16 ``(n,)``; ``window_id``: 0 <= id < 2**64; ``mask_key``: 4 random bytes.
    Raises ``FrameError`` for samples of another type or shape.
    """
    source = _little(samples)
    header = frame_header(Opcode.BINARY, _HEADER.size + source.nbytes, mask_key)
    # Header, id and samples each end where a word of 64 bits does, but for the last samples.
    begin = -(-len(header) // _WORD.itemsize)
    words, rest = divmod(len(source), _PER_WORD)
    frame = np.empty(begin + 1 + words + bool(rest), _WORD)
    key = int.from_bytes(mask_key * 2, "little")
    frame[begin] = window_id ^ key
    whole = source if not rest else source[: words * _PER_WORD]
    body = frame[begin + 1 : begin + 1 + words]
    np.bitwise_xor(whole.view(_WORD), np.frombuffer(mask_key * 2, _WORD), out=body)
    data = frame.data.cast("B")
    if rest:
        last = np.frombuffer(mask_key * 2, _SAMPLE)[:rest] ^ source[words * _PER_WORD :]
        frame[-1:].view(_SAMPLE)[:rest] = last
    start = begin * _WORD.itemsize - len(header)
    data[start : start + len(header)] = header
    return data[start : (begin + 1) * _WORD.itemsize + source.nbytes]


def _little(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """The samples as they go over the wire; copied only where they lie otherwise in memory."""
    if samples.dtype != np.int16 or samples.ndim != 1:
        raise FrameError(
            f"a window's samples are {samples.dtype} of shape {samples.shape}; expected int16, (n,)"
        )
    return np.ascontiguousarray(samples, dtype=_SAMPLE)


def pack_window(window_id: int, samples: npt.NDArray[np.int16]) -> bytes:
    """The payload of a window's frame, unmasked; see :func:`build_window`."""
    return _HEADER.pack(window_id) + _little(samples).tobytes()


def unpack_window(data: bytes | bytearray | memoryview) -> tuple[int, npt.NDArray[np.int16]]:
    """Take a binary frame apart (for servers): the id, and the samples as int16 ``(n,)``.

    The samples are a view of ``data`` where the machine is little-endian. Raises ``ProtocolError``.
    """
    size = len(data)
    if size < _HEADER.size or size % 2:
        raise ProtocolError(
            f"a binary frame has {size} bytes; expected 8 for the id and 2 for each sample"
        )
    samples = np.frombuffer(data, dtype="<i2", offset=_HEADER.size)
    return int(_HEADER.unpack_from(data)[0]), samples.astype(np.int16, copy=False)
