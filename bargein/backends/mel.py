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


_TENS = np.float32(0.5 / np.log(10.0))
"""Natural logarithms of power to steps of 20 dB."""


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


_HANN = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WIDTH) / _WIDTH)
_WINDOW = (_HANN / (32_768.0 * np.sqrt(_WIDTH * np.square(_HANN).sum()))).astype(np.float32)
"""Periodic Hann, scaled so that white noise at full scale has 0 dBFS in all bins together."""
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
    halves = audio.reshape(count, FRAMES + 1, _HOP)
    frames = np.empty((count, FRAMES, _WIDTH), np.float32)
    np.multiply(halves[:, :-1], _WINDOW[:_HOP], out=frames[:, :, :_HOP])
    np.multiply(halves[:, 1:], _WINDOW[_HOP:], out=frames[:, :, _HOP:])
    spectrum = np.fft.rfft(frames)
    # NumPy 1 transforms in float64; the power is rounded to float32 just the same.
    parts = spectrum.view(np.float64 if spectrum.itemsize == 16 else np.float32)
    np.multiply(parts, parts, out=parts)
    power = (parts[..., ::2] + parts[..., 1::2]).astype(np.float32, copy=False)
    bands: Floats = (power @ _BANK).reshape(count, FRAMES * BANDS)
    bands += np.float32(_FLOOR)
    np.log(bands, out=bands)  # natural, for which NumPy has vector instructions
    bands *= _TENS
    bands += 3.0
    return bands
