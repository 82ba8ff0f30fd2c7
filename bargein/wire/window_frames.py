"""The audio of a window as a binary WebSocket frame (spec section 6).

An 8-byte little-endian unsigned id, opaque to the server and echoed in its reply, then the samples:
16 kHz mono signed 16-bit little-endian.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from bargein.errors import FrameError, ProtocolError

__all__ = ["pack_window", "unpack_window", "window_parts"]

_HEADER = struct.Struct("<Q")


def window_parts(window_id: int, samples: npt.NDArray[np.int16]) -> tuple[bytes, memoryview]:
    """The two parts of a window's frame, without a copy: the id, then the samples.

    ``samples``: int16 ``(n,)``; ``window_id``: 0 <= id < 2**64. Raises ``FrameError`` for
    samples of another type or shape.
    """
    if samples.dtype != np.int16 or samples.ndim != 1:
        raise FrameError(
            f"a window's samples are {samples.dtype} of shape {samples.shape}; expected int16, (n,)"
        )
    little = np.ascontiguousarray(samples, dtype="<i2")
    return _HEADER.pack(window_id), little.data.cast("B")


def pack_window(window_id: int, samples: npt.NDArray[np.int16]) -> bytes:
    """A window's binary frame as one ``bytes``; see :func:`window_parts`."""
    return b"".join(window_parts(window_id, samples))


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
