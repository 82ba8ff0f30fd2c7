"""The sound of a scripted call: made up where none is given, and a function of position alone."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bargein.audio import AudioFormat
from bargein.audio.g711 import encode_alaw, encode_mulaw
from bargein.errors import FrameError, OptionError

if TYPE_CHECKING:
    from .script import CallScript

__all__ = ["encode", "load", "noise", "sound_of"]

LINE_NOISE = 64
"""The quiet line's amplitude (-54 dB): heard by nobody, and no two windows of it are alike."""

SPEECH_NOISE = 4096
"""The amplitude of somebody who speaks (-18 dB), where no words are given."""


def noise(position: int, samples: int, amplitude: int = 2048) -> npt.NDArray[np.int16]:
    """Return the noise from a position on: the same at a position, however it is cut."""
    at = np.arange(position, position + samples, dtype=np.uint64)
    steps = ((at * np.uint64(2654435761) >> np.uint64(13)) & np.uint64(0xFFF)).astype(np.int64)
    scaled: npt.NDArray[np.int16] = ((steps - 2048) * amplitude // 2048).astype(np.int16)
    return scaled


def load(source: npt.NDArray[np.int16] | str | PathLike[str], rate: int) -> npt.NDArray[np.int16]:
    """Return words as int16 ``(n,)`` at a rate, from an array or a recording's first channel."""
    if isinstance(source, np.ndarray):
        if source.dtype != np.int16 or source.ndim != 1:
            raise FrameError(
                f"the caller's words came as {source.dtype} of shape {source.shape}; expected "
                "int16 of shape (n,), in the script's sample rate"
            )
        return source
    from bargein.audio.files import open_recording

    with open_recording(source) as recording:
        if recording.sample_rate != rate:
            raise OptionError(
                f"{source} has {recording.sample_rate} Hz and the script {rate} Hz; give the "
                f"script format=AudioFormat({recording.sample_rate})"
            )
        return np.concatenate([block[:, 0] for block in recording.blocks()])


def sound_of(script: CallScript, length: float) -> npt.NDArray[np.int16]:
    """Return the caller's line for so many seconds, in the script's rate."""
    rate = script.format.sample_rate
    total = round(length * rate)
    line = noise(0, total, LINE_NOISE).astype(np.int32)
    for said in script.utterances:
        start = min(round(said.start * rate), total)
        until = total if said.until is None else min(round(said.until * rate), total)
        words = said.sound
        if words is None:
            words = noise(start, until - start, SPEECH_NOISE)
        words = words[: until - start]
        line[start : start + len(words)] += words
    return np.clip(line, -32768, 32767).astype(np.int16)


def encode(samples: npt.NDArray[np.int16], fmt: AudioFormat) -> bytes:
    """Return mono samples as bytes in a format, the same on each of its channels."""
    if fmt.num_channels > 1:
        samples = np.repeat(samples, fmt.num_channels)
    if fmt.encoding == "mulaw":
        return encode_mulaw(samples)
    if fmt.encoding == "alaw":
        return encode_alaw(samples)
    if fmt.encoding == "u8":
        return ((samples >> 8) + 128).astype(np.uint8).tobytes()
    return samples.astype("<i2" if fmt.encoding == "s16le" else ">i2").tobytes()
