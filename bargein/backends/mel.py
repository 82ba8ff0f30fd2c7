"""Log-mel spectra of chunks, for the learned judge."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bargein.vad.track import CHUNK, SAMPLE_RATE

__all__ = ["BANDS", "FRAMES", "OVERLAP", "log_mel"]

Floats = npt.NDArray[np.float32]

BANDS = 40
"""Mel bands, from 60 to 7,600 Hz; telephone lines fill the lower 30."""

FRAMES = 4
"""Spectra in a chunk, 8 ms apart."""

OVERLAP = 128
"""Samples (8 ms) before the chunk that its first spectrum needs."""

_WIDTH = 256
"""Samples (16 ms) in a spectrum."""

_HOP = CHUNK // FRAMES
_LOWEST, _HIGHEST = 60.0, 7_600.0
_FLOOR = 1e-9
"""Power below which everything counts as silence: -90 dBFS."""


def _mel(hertz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    # O'Shaughnessy 1987: 2595 log10(1 + f / 700).
    return 2595.0 * np.log10(1.0 + np.asarray(hertz, np.float64) / 700.0)


def _filters() -> Floats:
    """(129, 40): triangles, evenly spaced in mel."""
    edges = np.linspace(_mel(_LOWEST), _mel(_HIGHEST), BANDS + 2)
    bins = _mel(np.arange(_WIDTH // 2 + 1) * SAMPLE_RATE / _WIDTH)[:, None]
    rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0.0, np.minimum(rise, fall))
    # The lowest bands are narrower than a bin: each gets its nearest one at least.
    nearest = np.argmin(np.abs(bins - edges[1:-1]), axis=0)
    triangles[nearest, np.arange(BANDS)] = np.maximum(triangles[nearest, np.arange(BANDS)], 0.1)
    return triangles.astype(np.float32)


_WINDOW = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WIDTH) / _WIDTH)).astype(np.float32)
_SCALE = np.float32(1 / (32_768.0 * np.sqrt(_WIDTH * float(np.square(_WINDOW).sum()))))
_BANK = _filters()


def log_mel(samples: npt.NDArray[np.int16], before: Floats) -> Floats:
    """Spectra of consecutive chunks, in steps of 20 dB, 0 at -60 dBFS.

    Args:
        samples: int16 (k, 512).
        before: the 128 samples before them.

    Returns:
        float32 (k, 160): four spectra of 40 bands. The same to the last bit however chunks are
        grouped into calls, as every product has the same shape.
    """
    count = len(samples)
    audio = np.empty((count, OVERLAP + CHUNK), np.float32)
    audio[:, OVERLAP:] = samples
    audio[1:, :OVERLAP] = audio[:-1, CHUNK:]
    audio[:1, :OVERLAP] = before
    frames = np.empty((count, FRAMES, _WIDTH), np.float32)
    for i in range(FRAMES):
        np.multiply(audio[:, i * _HOP : i * _HOP + _WIDTH], _WINDOW * _SCALE, out=frames[:, i])
    spectrum = np.fft.rfft(frames)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    bands = power @ _BANK
    bands += np.float32(_FLOOR)
    # In float64, for np.log10 of float32 may treat the ends of an array in another way.
    decibels = 10 * np.log10(bands.astype(np.float64))
    return ((decibels + 60) / 20).astype(np.float32).reshape(count, FRAMES * BANDS)
