"""What a frame of audio looks like: its format, its bytes, and mono int16 samples from them.

`read_frame` runs in an audio callback: it checks and owns the bytes, and does no more. `decode`
runs where the samples are needed. Both are safe from any thread.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Any, Literal, get_args

import attrs
import numpy as np
import numpy.typing as npt

from bargein.audio.g711 import decode_alaw, decode_mulaw
from bargein.errors import FrameError, OptionError

__all__ = [
    "ENCODINGS",
    "MAX_CHANNELS",
    "MAX_SAMPLE_RATE",
    "MIN_SAMPLE_RATE",
    "AudioFormat",
    "Encoding",
    "decode",
    "read_frame",
    "silence",
]

Encoding = Literal["s16le", "s16be", "u8", "mulaw", "alaw"]

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)

MIN_SAMPLE_RATE = 8_000
"""Hz. Telephony's rate; below it too little of speech is left to judge."""

MAX_SAMPLE_RATE = 192_000
"""Hz. The highest rate that sound cards give."""

MAX_CHANNELS = 255
"""What audio files and sound servers go up to; more is a mistaken argument."""

_SAMPLE_WIDTH = {"s16le": 2, "s16be": 2, "u8": 1, "mulaw": 1, "alaw": 1}
"""Bytes of one sample of one channel."""

_SILENT = {"s16le": b"\0\0", "s16be": b"\0\0", "u8": b"\x80", "mulaw": b"\xff", "alaw": b"\xd5"}
"""One sample of silence."""

_BYTE_VIEWS = frozenset({"B", "b", "c"})
"""Formats of a memoryview over plain bytes (`memoryview.format`)."""

_INT16_VIEWS = frozenset({"h", "@h", "=h"})
"""Formats of a memoryview over int16 in machine order."""

_S16LE = np.dtype("<i2")

_BIG_ENDIAN = sys.byteorder == "big"


def _whole(value: Any, name: str, low: int, high: int, unit: str) -> int:
    try:
        # bool is an int to Python, and never what was meant here.
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not low <= number <= high:
        raise OptionError(
            f"{name} must be a whole number {unit} from {low} to {high}, got {value!r}"
        )
    return number


def _sample_rate(value: Any) -> int:
    return _whole(value, "sample_rate", MIN_SAMPLE_RATE, MAX_SAMPLE_RATE, "of Hz")


def _num_channels(value: Any) -> int:
    return _whole(value, "num_channels", 1, MAX_CHANNELS, "of channels")


def _encoding(value: Any) -> Encoding:
    if value not in ENCODINGS:
        raise OptionError(f"encoding must be one of {', '.join(ENCODINGS)}; got {value!r}")
    return value  # type: ignore[no-any-return]


@attrs.frozen
class AudioFormat:
    """How the bytes of a stream are to be read. Immutable, so any thread may share it.

    Raises `OptionError` (a ``ValueError``) where a value is outside its range.
    """

    sample_rate: int = attrs.field(default=16_000, converter=_sample_rate)
    """Hz, a whole number from 8,000 to 192,000."""

    num_channels: int = attrs.field(default=1, converter=_num_channels)
    """Channels, interleaved; 1 to 255."""

    encoding: Encoding = attrs.field(default="s16le", converter=_encoding)
    """One of `ENCODINGS`."""

    sample_width: int = attrs.field(init=False, eq=False, repr=False)
    """Bytes of one sample of one channel."""

    frame_width: int = attrs.field(init=False, eq=False, repr=False)
    """Bytes of one sample of all channels."""

    @sample_width.default
    def _get_sample_width(self) -> int:
        return _SAMPLE_WIDTH[self.encoding]

    @frame_width.default
    def _get_frame_width(self) -> int:
        return self.sample_width * self.num_channels

    def __str__(self) -> str:
        channels = "mono" if self.num_channels == 1 else f"{self.num_channels} channels"
        return f"{self.encoding}, {self.sample_rate} Hz, {channels}"


def silence(fmt: AudioFormat, samples: int) -> bytes:
    """Return so many samples of silence, on each channel."""
    return _SILENT[fmt.encoding] * (samples * fmt.num_channels)


_DEFAULT = AudioFormat()


def read_frame(frame: Any, fmt: AudioFormat | None = None) -> tuple[bytes, AudioFormat]:
    """Check a frame and return its bytes, owned by the caller, and their format.

    Args:
        frame: ``bytes``, ``bytearray``, ``memoryview``, or an int16 array of shape ``(n,)``
            (interleaved) or ``(n, num_channels)``, all read as `fmt` says; or an object with
            ``data``, ``sample_rate``, ``num_channels`` and ``samples_per_channel``, whose data
            are int16 in machine order (LiveKit's ``rtc.AudioFrame`` is one).
        fmt: the stream's format; ``None`` where it is still open, which makes it the frame's
            own, or 16 kHz mono ``s16le`` for bare samples.

    ``bytes`` come back as they are, without a copy; anything else, which its owner may reuse, is
    copied. An empty frame is a frame of no samples.

    Raises `FrameError` (a ``ValueError``) where type, length, shape or format are wrong.
    """
    if type(frame) is bytes:
        if fmt is None:
            fmt = _DEFAULT
        if len(frame) % fmt.frame_width:
            raise _odd_length(len(frame), fmt)
        return frame, fmt
    if isinstance(frame, np.ndarray):
        fmt = fmt or _DEFAULT
        return _array_bytes(frame, fmt), fmt
    if isinstance(frame, (bytearray, memoryview, bytes)):
        fmt = fmt or _DEFAULT
        return _buffer_bytes(frame, fmt), fmt
    return _object_bytes(frame, fmt)


def decode(data: bytes | bytearray | memoryview, fmt: AudioFormat) -> npt.NDArray[np.int16]:
    """Return the mono int16 samples ``(n,)``, in machine order, of whole frames of `fmt`.

    Channels are mixed as ``sum // num_channels``, rounded down. ``u8`` is offset binary (128 is
    silence), scaled to 16 bits by 256. The result of mono ``s16le`` is a view of `data`, and as
    writable as that; every other one is a new array.

    Raises `FrameError` where `data` isn't a whole number of frames.
    """
    size = memoryview(data).nbytes
    if size % fmt.frame_width:
        raise _odd_length(size, fmt)
    samples = _DECODERS[fmt.encoding](data)
    return samples if fmt.num_channels == 1 else _mix(samples, fmt.num_channels)


def _decode_u8(data: bytes | bytearray | memoryview) -> npt.NDArray[np.int16]:
    samples = np.frombuffer(data, np.uint8).astype(np.int16)
    samples -= 128
    samples <<= 8
    return samples


def _decode_words(
    stored: npt.DTypeLike,
) -> Callable[[bytes | bytearray | memoryview], npt.NDArray[np.int16]]:
    dtype = np.dtype(stored)
    return lambda data: np.frombuffer(data, dtype).astype(np.int16, copy=False)


_DECODERS = {
    "s16le": _decode_words("<i2"),
    "s16be": _decode_words(">i2"),
    "u8": _decode_u8,
    "mulaw": decode_mulaw,
    "alaw": decode_alaw,
}


def _mix(samples: npt.NDArray[np.int16], channels: int) -> npt.NDArray[np.int16]:
    # Adding channel by channel is several times faster than a sum over so short an axis.
    total = samples[::channels].astype(np.int32)
    for channel in range(1, channels):
        total += samples[channel::channels]
    total //= channels
    return total.astype(np.int16)


def _array_bytes(frame: npt.NDArray[Any], fmt: AudioFormat) -> bytes:
    if fmt.encoding != "s16le":
        raise FrameError(
            f"got an int16 array, but the stream's format is {fmt}: send bytes, or open the "
            f"stream with encoding='s16le'"
        )
    if frame.dtype != _S16LE:
        if frame.dtype.kind != "i" or frame.dtype.itemsize != 2:
            raise FrameError(
                f"got an array of {frame.dtype}, expected int16: scale and round it, for "
                f"instance (x * 32767).astype(np.int16) for floats from -1 to 1"
            )
        frame = frame.astype(_S16LE)  # the other byte order
    shape = frame.shape
    if len(shape) == 1:
        if shape[0] % fmt.num_channels:
            raise _odd_length(shape[0] * 2, fmt)
    elif len(shape) != 2 or shape[1] != fmt.num_channels:
        raise FrameError(
            f"got an array of shape {shape}, expected (n,) or (n, {fmt.num_channels}): transpose "
            f"it, or open the stream with the right num_channels"
        )
    return frame.tobytes()


def _buffer_bytes(frame: bytes | bytearray | memoryview, fmt: AudioFormat) -> bytes:
    if isinstance(frame, memoryview) and frame.format not in _BYTE_VIEWS:
        return _array_bytes(_int16_view(frame), fmt)
    data = bytes(frame)
    if len(data) % fmt.frame_width:
        raise _odd_length(len(data), fmt)
    return data


def _int16_view(view: memoryview) -> npt.NDArray[np.int16]:
    if view.format not in _INT16_VIEWS:
        raise FrameError(
            f"got a memoryview of format {view.format!r}, expected bytes ('B') or int16 ('h')"
        )
    return np.asarray(view)


def _object_bytes(frame: Any, fmt: AudioFormat | None) -> tuple[bytes, AudioFormat]:
    try:
        data = frame.data
        rate = frame.sample_rate
        channels = frame.num_channels
        count = frame.samples_per_channel
    except AttributeError:
        raise FrameError(
            f"got a frame of type {type(frame).__name__}, expected bytes, bytearray, memoryview, "
            f"an int16 array, or an object with data, sample_rate, num_channels and "
            f"samples_per_channel"
        ) from None
    if (
        fmt is None
        or rate != fmt.sample_rate
        or channels != fmt.num_channels
        or fmt.encoding != "s16le"
    ):
        fmt = _own_format(rate, channels, fmt)
    if type(count) is not int:
        count = _count(count)
    try:
        view = memoryview(data)
    except TypeError:
        raise FrameError(
            f"got a frame whose data are {type(data).__name__}, expected bytes or int16"
        ) from None
    # The length is counted in bytes: a memoryview of format 'h' has a len of half as many.
    if view.nbytes != fmt.frame_width * count:
        raise FrameError(
            f"got a frame of {view.nbytes} bytes, but its samples_per_channel is {count!r}, "
            f"expected {view.nbytes / fmt.frame_width:g} ({fmt.frame_width} bytes each)"
        )
    if view.format not in _BYTE_VIEWS and view.format not in _INT16_VIEWS:
        raise FrameError(f"got a frame with data of format {view.format!r}, expected int16 ('h')")
    owned = data if type(data) is bytes else view.tobytes()
    return (_swap(owned) if _BIG_ENDIAN else owned), fmt


def _count(value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise FrameError(
            f"got a frame whose samples_per_channel is {value!r}, expected a whole number"
        ) from None


def _own_format(rate: Any, channels: Any, fmt: AudioFormat | None) -> AudioFormat:
    """Return the format of a frame that brings its own, or say why the stream can't take it."""
    try:
        own = AudioFormat(rate, channels)
    except OptionError as exc:
        raise FrameError(f"got a frame with a format that can't be: {exc}") from exc
    if fmt is not None and own != fmt:
        raise FrameError(
            f"got a frame of {own}, but the stream's format is {fmt}: call set_format first "
            f"where the format changes"
        )
    return own


def _swap(data: bytes) -> bytes:
    return np.frombuffer(data, ">i2").astype("<i2").tobytes()


def _odd_length(size: int, fmt: AudioFormat) -> FrameError:
    return FrameError(
        f"got a frame of {size} bytes, expected a multiple of {fmt.frame_width} "
        f"({fmt.num_channels} channel(s) of {fmt.sample_width} byte(s), {fmt}): send whole samples"
    )
