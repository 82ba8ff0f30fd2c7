"""Recordings: read in blocks, so that a call of hours takes the memory of a second.

Reading needs soundfile (``pip install 'bargein[files]'``), which is imported at the first
`open_recording`; writing needs nothing. Whatever is wrong with a file becomes one line.
"""

from __future__ import annotations

import os
import re
import stat
import types
import wave
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.audio.formats import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from bargein.errors import AudioFileError, FrameError, MissingExtraError, OptionError, StateError

__all__ = ["Recording", "open_recording", "write_wav"]

_Path = str | os.PathLike[str]

_FLOATING = frozenset({"FLOAT", "DOUBLE", "VORBIS", "OPUS"})
"""Subtypes read as floats and clipped here: libsndfile doesn't scale the first two to int16, and
wraps what a lossy codec overshoots."""

_PROMISE = re.compile(
    r"^ *(?:data|SSND|Data Size|riff|Riff size) *: (\d+) \(should be (\d+)\)", re.M
)
"""What libsndfile logs where a WAV, AIFF, AU, W64 or RF64 header tells of more, or of less, than
the file holds: the two sizes in bytes. It reads such a file without an error."""

_PLACEHOLDER = 0x7FFF_0000
"""Bytes. A size from here on is what programs write that don't know it yet (to a pipe)."""

_UNKNOWN_LENGTH = 2**63 - 1
"""The frames that libsndfile gives where it can't tell: a FLAC header may leave it open."""

_OGG_HEADER = 27
"""Bytes of an Ogg page before its table of segment lengths (RFC 3533, section 6)."""

_OGG_PAGE = 65_307
"""Bytes of the longest Ogg page (RFC 3533, section 6)."""


@attrs.define(eq=False)
class Recording:
    """An audio file that can be read; a context manager that closes it. Not thread-safe."""

    path: str
    """As it was given."""
    sample_rate: int
    """Hz, 8,000 to 192,000."""
    num_channels: int
    frames: int
    """Samples of each channel, as the header tells."""
    closed: bool = attrs.field(default=False, init=False)
    _readers: list[Any] = attrs.field(factory=list, init=False, repr=False)

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frames / self.sample_rate

    def blocks(self, seconds: float = 1.0) -> Iterator[npt.NDArray[np.int16]]:
        """Yield the recording from its start as int16 arrays ``(n, num_channels)``.

        Each holds `seconds` of audio, the last one what is left. u-law, A-law and packed formats
        come decoded; 24 bits lose their lowest 8; floats are scaled by 32768, rounded half up
        and clipped. Any number of readers may be under way at once.

        Raises `AudioFileError` where the file turns out to be damaged or shorter than it says,
        and `StateError` after `close`.
        """
        if not seconds > 0:
            raise OptionError(f"seconds must be more than 0, got {seconds}")
        return self._blocks(max(1, round(seconds * self.sample_rate)))

    def close(self) -> None:
        """Close the file, whoever is reading it; more than once does no harm."""
        self.closed = True
        for file in self._readers:
            file.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.close()

    def _blocks(self, size: int) -> Iterator[npt.NDArray[np.int16]]:
        # Each reader opens the file anew: libsndfile misses the place when it seeks in Vorbis.
        with _open(self.path) as file:
            self._readers.append(file)
            try:
                yield from self._read(file, size)
            finally:
                self._readers.remove(file)

    def _read(self, file: Any, size: int) -> Iterator[npt.NDArray[np.int16]]:
        floating = file.subtype in _FLOATING
        position = 0
        while position < self.frames:
            if self.closed:
                raise StateError(f"{self.path}: the recording is closed: open it again to read it")
            try:
                block = file.read(size, dtype="float64" if floating else "int16", always_2d=True)
            except RuntimeError as exc:
                raise self._short(position) from exc
            if not len(block):
                raise self._short(position)
            position += len(block)
            yield _to_int16(block) if floating else block

    def _short(self, position: int) -> AudioFileError:
        return AudioFileError(
            f"{self.path}: truncated or damaged: its header promises {self.duration:.2f} s, but "
            f"nothing can be read past {position / self.sample_rate:.2f} s"
        )


def open_recording(path: _Path) -> Recording:
    """Open an audio file: WAV (PCM, float, u-law, A-law, …), FLAC, Ogg, or what else soundfile
    reads, but for MP3, whose length and positions it only estimates.

    Raises:
        AudioFileError: in one line, where there is no such file, it isn't audio, holds no
            samples, is truncated, or has a sample rate outside 8,000 to 192,000 Hz.
        MissingExtraError: where soundfile isn't installed.
    """
    name = os.fspath(path)
    with _open(name) as file:
        _check_audio(name, file)
        return Recording(name, file.samplerate, file.channels, file.frames)


def write_wav(path: _Path, samples: npt.NDArray[np.int16], sample_rate: int) -> None:
    """Write int16 samples ``(n,)`` or ``(n, num_channels)`` as a 16-bit PCM WAV file.

    Raises `FrameError` for any other array, and ``OSError`` where the file can't be written.
    """
    if samples.dtype != np.int16 or samples.ndim not in (1, 2):
        raise FrameError(
            f"got samples of {samples.dtype} and shape {samples.shape}, expected int16 of shape "
            f"(n,) or (n, num_channels)"
        )
    # Opened here: `wave` trips over itself where it can't open a file.
    with open(path, "wb") as raw, wave.open(raw, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.astype("<i2").tobytes())


def _open(name: str) -> Any:
    """Open `name` as a ``soundfile.SoundFile``, or raise what `open_recording` raises."""
    try:
        import soundfile
    except (ImportError, OSError) as exc:  # OSError: the package is there, its C library isn't
        raise MissingExtraError("reading WAV, FLAC and Ogg", "files") from exc
    _check_file(name)
    if name.lower().endswith(".raw"):
        raise AudioFileError(f"{name}: raw samples have no header: convert them to WAV or FLAC")
    try:
        return soundfile.SoundFile(name)
    except RuntimeError as exc:
        raise AudioFileError(
            f"{name}: not an audio file, or damaged at its start (expected WAV, FLAC or Ogg)"
        ) from exc


def _to_int16(block: npt.NDArray[np.float64]) -> npt.NDArray[np.int16]:
    # Clipped before it is scaled, so that the largest doubles don't overflow.
    bounded = np.clip(np.nan_to_num(block), -1, 1)
    return np.minimum(np.floor(bounded * 32768 + 0.5), 32767).astype(np.int16)


def _check_file(name: str) -> None:
    try:
        mode = os.stat(name).st_mode
        if stat.S_ISDIR(mode):
            raise AudioFileError(f"{name}: is a directory, expected an audio file")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for its writer
            raise AudioFileError(f"{name}: not a regular file; save the audio to a file first")
        with open(name, "rb") as file:
            first = file.read(1)
    except FileNotFoundError as exc:
        raise AudioFileError(f"{name}: no such file") from exc
    except OSError as exc:
        raise AudioFileError(f"{name}: can't be read: {exc.strerror or exc}") from exc
    if not first:
        raise AudioFileError(f"{name}: empty (0 bytes), expected an audio file")


def _check_audio(name: str, file: Any) -> None:
    """Raise `AudioFileError` where the open `file` isn't one that can be read to its end."""
    if file.format == "MP3":
        raise AudioFileError(f"{name}: MP3 isn't read: convert it to WAV, FLAC or Ogg")
    if not MIN_SAMPLE_RATE <= file.samplerate <= MAX_SAMPLE_RATE:
        raise AudioFileError(
            f"{name}: has a sample rate of {file.samplerate} Hz, expected {MIN_SAMPLE_RATE} to "
            f"{MAX_SAMPLE_RATE}: convert it"
        )
    if file.frames == 0:
        raise AudioFileError(f"{name}: empty: it has a header, but no samples")
    if file.format == "OGG" and _is_ogg_cut(name):
        raise AudioFileError(f"{name}: truncated: it ends in the middle of an Ogg page")
    if file.frames == _UNKNOWN_LENGTH:
        raise AudioFileError(f"{name}: its header doesn't tell its length: encode it again")
    for promised, there in _PROMISE.findall(file.extra_info):
        if int(there) < int(promised) < _PLACEHOLDER:
            raise AudioFileError(
                f"{name}: truncated: its header promises {promised} bytes of audio, "
                f"{there} are there"
            )
    if file.format == "FLAC" and not _has_end(file):
        raise AudioFileError(
            f"{name}: truncated or damaged: its header promises "
            f"{file.frames / file.samplerate:.2f} s, but the end can't be read"
        )


def _is_ogg_cut(name: str) -> bool:
    """Tell whether the last page of an Ogg file is longer than what is there of it."""
    with open(name, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - _OGG_PAGE))
        end = file.read()
    page = end[end.rfind(b"OggS") :]
    lengths = page[_OGG_HEADER:]
    if not lengths:
        return True
    segments = page[_OGG_HEADER - 1]
    return len(lengths) < segments + sum(lengths[:segments])


def _has_end(file: Any) -> bool:
    """Tell whether the last sample can be read."""
    try:
        file.seek(file.frames - 1)
        return len(file.read(1)) == 1
    except RuntimeError:
        return False
