"""Noises that are computed, not recorded: coughs, knocks, breath, hiss, typing, hum, tones.

Each takes a generator and returns about one event of mono 16 kHz float32 audio, unscaled and
untrimmed; :data:`SYNTHETIC` is the table of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from training.sound import RATE, Audio, add_at, band, white_noise


def _envelope(count: int, attack: float, decay: float) -> Audio:
    """A rise of ``attack`` s to 1, then an exponential fall with time constant ``decay`` s."""
    seconds = np.arange(count) / RATE
    rise = np.clip(seconds / max(attack, 1e-4), 0.0, 1.0)
    return (rise * np.exp(-np.maximum(seconds - attack, 0.0) / decay)).astype(np.float32)


def _burst(rng: np.random.Generator, seconds: float, attack: float, decay: float) -> Audio:
    count = round(seconds * RATE)
    return white_noise(rng, count, -12.0) * _envelope(count, attack, decay)


def _voiced(rng: np.random.Generator, seconds: float, pitch: float) -> Audio:
    """A rough glottal pulse train whose pitch falls and jitters."""
    count = round(seconds * RATE)
    hertz = pitch * np.linspace(1.1, 0.75, count) * (1 + 0.04 * rng.standard_normal(count))
    phase = np.cumsum(hertz) / RATE
    return (0.5 * (1.0 - 2.0 * (phase % 1.0))).astype(np.float32)


def cough(rng: np.random.Generator) -> Audio:
    """One or two coughs: an explosive burst, a hollow middle, often a short voiced end."""
    sound = np.zeros(round(1.2 * RATE), np.float32)
    position = 0.0
    for _ in range(int(rng.integers(1, 3))):
        throat = rng.uniform(500, 900)
        burst = band(_burst(rng, 0.09, 0.004, 0.03), 300, 6_500)
        middle = _burst(rng, 0.28, 0.02, rng.uniform(0.05, 0.09))
        middle = 0.9 * band(middle, throat, 3.2 * throat) + 0.35 * band(middle, 1_800, 4_500)
        at = round(position * RATE)
        add_at(sound, burst, at)
        add_at(sound, middle, at + round(0.035 * RATE))
        if rng.random() < 0.6:
            end = _voiced(rng, 0.13, rng.uniform(110, 240))
            end = band(end, 250, 1_400) * _envelope(len(end), 0.03, 0.05) * np.float32(0.2)
            add_at(sound, end, at + round(rng.uniform(0.12, 0.18) * RATE))
        position += rng.uniform(0.33, 0.5)
    return sound


def throat_clearing(rng: np.random.Generator) -> Audio:
    """A rough, low, half-voiced scrape of 0.3 to 0.5 s."""
    seconds = float(rng.uniform(0.3, 0.5))
    count = round(seconds * RATE)
    flutter = 0.6 + 0.4 * np.sin(2 * np.pi * rng.uniform(22, 38) * np.arange(count) / RATE)
    voice = band(_voiced(rng, seconds, rng.uniform(70, 110)), 150, 1_200)
    scrape = band(white_noise(rng, count, -14.0), 400, 2_600)
    shape = _envelope(count, 0.05, seconds / 2)
    return ((0.3 * voice + scrape) * flutter * shape).astype(np.float32)


def knock(rng: np.random.Generator) -> Audio:
    """Two to four knocks on wood or a desk."""
    sound = np.zeros(round(1.3 * RATE), np.float32)
    resonance = rng.uniform(120, 420)
    position = 0.0
    for _ in range(int(rng.integers(2, 5))):
        count = round(0.12 * RATE)
        seconds = np.arange(count) / RATE
        body = np.sin(2 * np.pi * resonance * seconds) * np.exp(-seconds / rng.uniform(0.012, 0.03))
        click = white_noise(rng, count, -14.0) * np.exp(-seconds / 0.003)
        add_at(sound, (0.7 * body + click).astype(np.float32), round(position * RATE))
        position += rng.uniform(0.16, 0.28)
    return sound


def typing(rng: np.random.Generator) -> Audio:
    """Keys for one to two seconds."""
    seconds = float(rng.uniform(1.0, 2.0))
    sound = np.zeros(round(seconds * RATE), np.float32)
    position = 0.0
    while position < seconds - 0.1:
        count = round(0.03 * RATE)
        key = white_noise(rng, count, -14.0) * _envelope(count, 0.001, rng.uniform(0.003, 0.007))
        key = band(key, rng.uniform(700, 1_600), rng.uniform(3_500, 7_000))
        add_at(sound, key * np.float32(rng.uniform(0.4, 1.0)), round(position * RATE))
        position += float(rng.uniform(0.07, 0.24))
    return sound


def breath(rng: np.random.Generator) -> Audio:
    """A breath blown into the microphone, 0.5 to 1.1 s."""
    count = round(float(rng.uniform(0.5, 1.1)) * RATE)
    low = rng.uniform(150, 500)
    shape = np.sin(np.linspace(0.0, np.pi, count)) ** 1.5
    return (band(white_noise(rng, count, -14.0), low, rng.uniform(2_000, 5_000)) * shape).astype(
        np.float32
    )


def hiss(rng: np.random.Generator) -> Audio:
    """Line hiss that comes up suddenly for one to three seconds."""
    count = round(float(rng.uniform(1.0, 3.0)) * RATE)
    return band(white_noise(rng, count, -14.0), rng.uniform(300, 1_500), 7_500)


def crackle(rng: np.random.Generator) -> Audio:
    """A bad contact: sparse clicks for about a second."""
    count = round(float(rng.uniform(0.6, 1.6)) * RATE)
    clicks = (rng.random(count) < 0.002) * rng.standard_normal(count)
    return band(clicks.astype(np.float32), 200, 7_000)


def hum(rng: np.random.Generator) -> Audio:
    """Mains hum with odd harmonics, one to three seconds."""
    seconds = np.arange(round(float(rng.uniform(1.0, 3.0)) * RATE)) / RATE
    mains = float(rng.choice([50.0, 60.0]))
    wave = sum(np.sin(2 * np.pi * mains * k * seconds) / k for k in (1, 2, 3, 5, 7, 9))
    return (0.2 * np.asarray(wave)).astype(np.float32)


_DTMF_LOW = (697.0, 770.0, 852.0, 941.0)
_DTMF_HIGH = (1209.0, 1336.0, 1477.0)
"""Hz, ITU-T Q.23."""


def dtmf(rng: np.random.Generator) -> Audio:
    """One to four keys of a telephone's pad."""
    keys = []
    for _ in range(int(rng.integers(1, 5))):
        seconds = np.arange(round(0.12 * RATE)) / RATE
        low, high = float(rng.choice(_DTMF_LOW)), float(rng.choice(_DTMF_HIGH))
        tone = np.sin(2 * np.pi * low * seconds) + np.sin(2 * np.pi * high * seconds)
        keys += [0.25 * tone, np.zeros(round(float(rng.uniform(0.08, 0.2)) * RATE))]
    return np.concatenate(keys).astype(np.float32)


def ring(rng: np.random.Generator) -> Audio:
    """Another telephone's ring: a warbled pair of tones for one to two seconds."""
    seconds = np.arange(round(float(rng.uniform(1.0, 2.0)) * RATE)) / RATE
    low = rng.uniform(400, 900)
    warble = np.sign(np.sin(2 * np.pi * rng.uniform(8, 25) * seconds))
    return (0.3 * np.sin(2 * np.pi * np.where(warble > 0, low, 1.25 * low) * seconds)).astype(
        np.float32
    )


SYNTHETIC: Mapping[str, Callable[[np.random.Generator], Audio]] = {
    "cough": cough,
    "throat": throat_clearing,
    "knock": knock,
    "typing": typing,
    "breath": breath,
    "hiss": hiss,
    "crackle": crackle,
    "hum": hum,
    "dtmf": dtmf,
    "ring": ring,
}
"""Kind of noise -> the function that makes one."""
