"""Pure functions on mono float32 audio in [-1, 1]: levels, trimming, mixing, the telephone.

All take and return 1-D arrays; nothing here draws random numbers that it wasn't handed a
generator for, so that the same seed gives the same samples.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr

Audio = npt.NDArray[np.float32]

RATE = 16_000
"""Hz, the rate of everything that is mixed here."""

FRAME = RATE // 100
"""Samples (10 ms), the step in which energy is measured."""

_FLOOR_DB = -120.0
"""dBFS that digital silence is said to have."""


def db_to_gain(db: float) -> float:
    """Amplitude factor of a gain in dB."""
    return float(10.0 ** (db / 20.0))


def frame_levels(samples: Audio) -> npt.NDArray[np.float64]:
    """RMS level, dBFS, of each whole 10 ms frame."""
    count = len(samples) // FRAME
    frames = samples[: count * FRAME].reshape(count, FRAME).astype(np.float64)
    levels: npt.NDArray[np.float64] = 10.0 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    return np.maximum(levels, _FLOOR_DB)


def active_level(samples: Audio, below_peak: float = 25.0) -> float:
    """RMS level, dBFS, over the frames within ``below_peak`` dB of the loudest one.

    Pauses don't count, so a phrase with a pause in it is set as loud as one without.
    """
    levels = frame_levels(samples)
    if not len(levels):
        return _FLOOR_DB
    power = 10.0 ** (levels[levels >= levels.max() - below_peak] / 10.0)
    return float(10.0 * np.log10(power.mean()))


def set_level(samples: Audio, level: float) -> Audio:
    """The same audio with an active level of ``level`` dBFS."""
    return (samples * db_to_gain(level - active_level(samples))).astype(np.float32)


def sounding_span(samples: Audio, below_peak: float = 35.0) -> tuple[int, int]:
    """First and one past the last sample of the frames within ``below_peak`` dB of the loudest."""
    levels = frame_levels(samples)
    if not len(levels):
        return 0, len(samples)
    loud = np.flatnonzero(levels >= levels.max() - below_peak)
    return int(loud[0]) * FRAME, (int(loud[-1]) + 1) * FRAME


def trim(samples: Audio, below_peak: float = 35.0) -> Audio:
    """Without leading and trailing silence: sample 0 is the acoustic onset (to 10 ms)."""
    return trim_from(samples, below_peak)[0]


def trim_from(samples: Audio, below_peak: float = 35.0) -> tuple[Audio, float]:
    """As :func:`trim`; and the second of ``samples`` that became the first."""
    start, stop = sounding_span(samples, below_peak)
    return fade(samples[start:stop]), start / RATE


def fade(samples: Audio, seconds: float = 0.004) -> Audio:
    """With a short ramp at both ends, so that a cut doesn't click."""
    count = min(round(seconds * RATE), len(samples) // 2)
    faded = samples.astype(np.float32, copy=True)
    if count:
        ramp = np.linspace(0.0, 1.0, count, dtype=np.float32)
        faded[:count] *= ramp
        faded[-count:] *= ramp[::-1]
    return faded


def add_at(target: Audio, samples: Audio, position: int) -> None:
    """Mix ``samples`` into ``target`` in place, from ``position`` on; what sticks out is cut."""
    start, stop = max(position, 0), min(position + len(samples), len(target))
    if start < stop:
        target[start:stop] += samples[start - position : stop - position]


def echo_of(agent: Audio, level_db: float, delay: float) -> Audio:
    """The agent's leak into the caller's line: ``level_db`` quieter, ``delay`` seconds later.

    The high end is damped by a three-tap average, as a handset's leak is.
    """
    damped = np.convolve(agent, np.array([0.25, 0.5, 0.25]))[1:-1].astype(np.float32)
    leak = np.zeros_like(agent)
    add_at(leak, damped * np.float32(db_to_gain(level_db)), round(delay * RATE))
    return leak


def white_noise(rng: np.random.Generator, count: int, level: float) -> Audio:
    """``count`` samples of Gaussian noise at ``level`` dBFS RMS."""
    return (rng.standard_normal(count) * db_to_gain(level)).astype(np.float32)


def pink_noise(rng: np.random.Generator, count: int, level: float) -> Audio:
    """Noise whose power falls 3 dB an octave (a room, a street), at ``level`` dBFS RMS."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    bins = np.arange(len(spectrum))
    # Below 40 Hz a telephone carries nothing; leaving it in would eat the level.
    lowest = max(1, round(40 * count / RATE))
    spectrum *= np.where(bins < lowest, 0.0, 1.0 / np.sqrt(np.maximum(bins, 1)))
    noise = np.fft.irfft(spectrum, count)
    rms = float(np.sqrt(np.mean(noise**2))) or 1.0
    return (noise * (db_to_gain(level) / rms)).astype(np.float32)


def band(samples: Audio, low: float, high: float) -> Audio:
    """Only the frequencies from ``low`` to ``high`` Hz, with edges a fifth of an octave wide."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1.0 / RATE)
    octave = 0.2
    with np.errstate(divide="ignore"):
        rise = np.clip(np.log2(hertz / low) / octave + 0.5, 0.0, 1.0)
        fall = np.clip(np.log2(high / hertz) / octave + 0.5, 0.0, 1.0)
    return np.fft.irfft(spectrum * rise * fall, len(samples)).astype(np.float32)


def convolve(samples: Audio, impulse: Audio) -> Audio:
    """A room's answer to ``samples``, cut to their length."""
    size = 1 << (len(samples) + len(impulse) - 2).bit_length()
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(impulse, size)
    return np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)


def peak_limit(samples: Audio, peak: float = 0.98) -> Audio:
    """Scaled down as a whole where it would clip."""
    loudest = float(np.abs(samples).max(initial=0.0))
    return samples if loudest <= peak else (samples * (peak / loudest)).astype(np.float32)


def to_rate(samples: Audio, source: int, target: int = RATE) -> Audio:
    """Resampled from ``source`` to ``target`` Hz."""
    if source == target:
        return samples.astype(np.float32, copy=False)
    return np.asarray(soxr.resample(samples, source, target), np.float32)


def through_ulaw(samples: Audio) -> Audio:
    """As a telephone delivers it: 8 kHz, G.711 u-law, and back to 16 kHz; the length is kept."""
    narrow = to_rate(samples, RATE, 8_000)
    coded = io.BytesIO()
    sf.write(coded, narrow, 8_000, format="WAV", subtype="ULAW")
    coded.seek(0)
    decoded, _ = sf.read(coded, dtype="float32")
    wide = to_rate(decoded, 8_000, RATE)
    result = np.zeros_like(samples)
    add_at(result, wide, 0)
    return result


def read_audio(path: Path) -> Audio:
    """A file's first channel at 16 kHz."""
    samples, rate = sf.read(path, dtype="float32", always_2d=True)
    return to_rate(np.ascontiguousarray(samples[:, 0]), int(rate))
