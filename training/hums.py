"""Wordless sounds of a human voice, computed: hums ("mm-hmm", "uh-huh"), laughs, grunts.

Speech models say these badly and packages hold few, so a source (glottal pulses with a melody) is
sent through a filter (formants) here: every draw is another throat. Mono 16 kHz float32, unscaled.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.sound import RATE, Audio, white_noise

_Floats = npt.NDArray[np.float64]


def _formants(wave: _Floats, formants: list[tuple[float, float, float]]) -> _Floats:
    """Shapes a spectrum by resonances (Hz, bandwidth, gain), and by 6 dB an octave of lips."""
    spectrum = np.fft.rfft(wave)
    hertz = np.fft.rfftfreq(len(wave), 1 / RATE)
    gain = np.full(len(hertz), 0.003)
    for centre, width, strength in formants:
        gain += strength / (1 + ((hertz - centre) / (width / 2)) ** 2)
    gain *= np.clip(hertz / 80, 0, 1)
    return np.asarray(np.fft.irfft(spectrum * gain, len(wave)))


def _voice(rng: np.random.Generator, pitch: _Floats) -> _Floats:
    """Glottal pulses along a melody (Hz, per sample), with jitter, shimmer and breath."""
    knots = np.arange(0, len(pitch) + 800, 800)
    wander = np.interp(np.arange(len(pitch)), knots, rng.standard_normal(len(knots)))
    phase = np.cumsum(pitch * (1 + 0.012 * wander)) / RATE
    cycle = phase % 1.0
    open_share = rng.uniform(0.45, 0.7)
    pulse = np.where(cycle < open_share, np.sin(np.pi * cycle / open_share) ** 2, 0.0)
    pulse = np.diff(pulse, prepend=0.0) * 8
    breath = rng.standard_normal(len(pitch)) * pulse.std() * rng.uniform(0.02, 0.25)
    return np.asarray(pulse + breath)


def _throat(rng: np.random.Generator) -> tuple[float, float]:
    """A speaker's usual pitch in Hz, and the length of the throat as a factor on formants."""
    if rng.random() < 0.5:
        return float(rng.uniform(85, 155)), float(rng.uniform(0.88, 1.05))
    return float(rng.uniform(160, 270)), float(rng.uniform(1.0, 1.2))


def _vowel(rng: np.random.Generator, size: float, kind: str) -> list[tuple[float, float, float]]:
    tables = {
        "m": ((250, 90, 1.0), (1000, 250, 0.06), (2100, 300, 0.04)),
        "n": ((270, 100, 1.0), (1450, 300, 0.06), (2500, 300, 0.05)),
        "uh": ((620, 120, 1.0), (1200, 150, 0.5), (2450, 220, 0.12)),
        "ah": ((740, 130, 1.0), (1150, 150, 0.6), (2550, 220, 0.12)),
        "eh": ((550, 110, 1.0), (1800, 180, 0.4), (2550, 220, 0.15)),
        "oh": ((480, 100, 1.0), (880, 130, 0.6), (2450, 220, 0.06)),
    }
    return [
        (f * size * float(rng.uniform(0.93, 1.07)), w, g * float(rng.uniform(0.7, 1.4)))
        for f, w, g in tables[kind]
    ]


def _shape(count: int, attack: float, release: float) -> _Floats:
    rise = np.clip(np.arange(count) / (attack * RATE), 0, 1)
    fall = np.clip((count - np.arange(count)) / (release * RATE), 0, 1)
    return np.asarray(np.sin(0.5 * np.pi * rise) * np.sin(0.5 * np.pi * fall))


def _syllable(
    rng: np.random.Generator, kind: str, size: float, seconds: float, start: float, end: float
) -> _Floats:
    count = round(seconds * RATE)
    bow = rng.uniform(-0.06, 0.1) * np.sin(np.linspace(0, np.pi, count))
    melody = np.linspace(start, end, count) * (1 + bow)
    wave = _formants(_voice(rng, melody), _vowel(rng, size, kind))
    wave *= _shape(count, rng.uniform(0.02, 0.07), rng.uniform(0.05, 0.14))
    return np.asarray(wave / (np.abs(wave).max() + 1e-9))


def hum(rng: np.random.Generator) -> Audio:
    """A listener's noise: one syllable ("mm", "hm", "ah", "oh") or two ("mm-hmm", "uh-huh")."""
    pitch, size = _throat(rng)
    kind = str(rng.choice(["m", "m", "m", "n", "uh", "uh", "ah", "eh", "oh"]))
    if rng.random() < 0.4:
        length = float(rng.uniform(0.18, 0.6))
        wave = _syllable(
            rng, kind, size, length, pitch * rng.uniform(0.9, 1.3), pitch * rng.uniform(0.75, 1.15)
        )
        return wave.astype(np.float32)
    rises = rng.random() < 0.65
    low, high = pitch * rng.uniform(0.85, 1.0), pitch * rng.uniform(1.05, 1.35)
    first, second = (low, high) if rises else (high, low)
    gap = round(float(rng.uniform(0.0, 0.09)) * RATE)
    one = _syllable(
        rng, kind, size, float(rng.uniform(0.12, 0.28)), first * rng.uniform(0.95, 1.08), first
    )
    two = _syllable(
        rng,
        kind,
        size,
        float(rng.uniform(0.16, 0.4)),
        second * rng.uniform(0.92, 1.0),
        second * rng.uniform(0.95, 1.15),
    )
    aspirated = white_noise(rng, max(gap, round(0.04 * RATE)), -30.0).astype(np.float64)
    aspirated = _formants(aspirated, _vowel(rng, size, "uh"))
    aspirated *= rng.uniform(0.01, 0.15) / (np.abs(aspirated).max() + 1e-9)
    weight = rng.uniform(0.6, 1.4)
    return np.concatenate([one, aspirated, two * weight]).astype(np.float32)


def laugh(rng: np.random.Generator) -> Audio:
    """Two to seven bursts of voice and breath, four to six a second, that fall and fade."""
    pitch, size = _throat(rng)
    pitch *= rng.uniform(1.1, 1.9)
    kind = str(rng.choice(["ah", "eh", "uh", "oh"]))
    bursts = []
    count = int(rng.integers(2, 8))
    for number in range(count):
        fade = (1 - 0.6 * number / count) * rng.uniform(0.8, 1.2)
        breath = rng.standard_normal(round(float(rng.uniform(0.05, 0.12)) * RATE))
        breath = _formants(breath, _vowel(rng, size, kind))
        breath *= 0.12 * fade / (np.abs(breath).max() + 1e-9)
        high = pitch * (1 - 0.25 * number / count)
        voiced = _syllable(
            rng, kind, size, float(rng.uniform(0.06, 0.13)), high * 1.05, high * 0.92
        )
        bursts += [breath, voiced * fade]
    return np.concatenate(bursts).astype(np.float32)


def grunt(rng: np.random.Generator) -> Audio:
    """One rough, pressed sound of 0.12 to 0.5 s: effort, surprise, a groan."""
    pitch, size = _throat(rng)
    kind = str(rng.choice(["uh", "ah", "eh", "oh", "m"]))
    seconds = float(rng.uniform(0.12, 0.5))
    wave = _syllable(
        rng, kind, size, seconds, pitch * rng.uniform(0.9, 1.4), pitch * rng.uniform(0.6, 0.9)
    )
    flutter = 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(25, 60) * np.arange(len(wave)) / RATE)
    rough = np.tanh(wave * flutter * rng.uniform(1.0, 4.0))
    noise = _formants(rng.standard_normal(len(wave)), _vowel(rng, size, "uh"))
    noise *= rng.uniform(0.02, 0.3) / (np.abs(noise).max() + 1e-9) * np.abs(wave)
    return (rough + noise).astype(np.float32)
