"""Levels, trimming, echo and the telephone band."""

from __future__ import annotations

import numpy as np
import pytest

from training import noises
from training.sound import (
    RATE,
    Audio,
    active_level,
    add_at,
    band,
    db_to_gain,
    echo_of,
    fade,
    frame_levels,
    peak_limit,
    pink_noise,
    set_level,
    sounding_span,
    through_ulaw,
    to_rate,
    trim,
    white_noise,
)


def tone(hertz: float, seconds: float, amplitude: float = 0.1) -> Audio:
    times = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def test_a_level_is_that_of_the_speech_not_of_its_pauses() -> None:
    pause = np.zeros(RATE, np.float32)
    phrase = np.concatenate([tone(300, 0.5), pause, tone(300, 0.5)])

    assert active_level(set_level(phrase, -23.0)) == pytest.approx(-23.0, abs=0.01)
    assert active_level(phrase) == pytest.approx(active_level(tone(300, 1.0)), abs=0.1)


def test_silence_and_nothing_have_a_floor() -> None:
    assert active_level(np.zeros(RATE, np.float32)) == pytest.approx(-120.0)
    assert active_level(np.zeros(0, np.float32)) == pytest.approx(-120.0)
    assert sounding_span(np.zeros(5, np.float32)) == (0, 5)


def test_trimming_finds_onset_and_end() -> None:
    padded = np.concatenate([np.zeros(8_000), tone(400, 0.3), np.zeros(4_800)]).astype(np.float32)

    assert sounding_span(padded) == (8_000, 12_800)
    assert len(trim(padded)) == 4_800


def test_a_fade_touches_only_the_ends() -> None:
    faded = fade(np.ones(1_600, np.float32), 0.01)

    assert faded[0] == 0.0
    assert faded[-1] == 0.0
    assert np.all(faded[160:-160] == 1.0)


@pytest.mark.parametrize(
    ("position", "expected"),
    [(-2, [3, 0, 0, 0]), (0, [1, 2, 3, 0]), (2, [0, 0, 1, 2]), (9, [0, 0, 0, 0])],
)
def test_what_sticks_out_is_cut(position: int, expected: list[float]) -> None:
    target = np.zeros(4, np.float32)

    add_at(target, np.array([1, 2, 3], np.float32), position)

    assert target.tolist() == expected


def test_the_echo_is_late_and_low() -> None:
    agent = tone(200, 1.0)
    leak = echo_of(agent, -25.0, 0.08)

    assert np.all(leak[: round(0.08 * RATE)] == 0.0)
    assert active_level(leak) == pytest.approx(active_level(agent) - 25.0, abs=0.3)


def test_noise_has_the_level_it_was_asked_for() -> None:
    rng = np.random.default_rng(1)
    for noise in (white_noise(rng, RATE, -40.0), pink_noise(rng, RATE, -40.0)):
        assert 10 * np.log10(np.mean(noise**2)) == pytest.approx(-40.0, abs=0.2)


def test_pink_noise_falls_with_frequency() -> None:
    noise = pink_noise(np.random.default_rng(2), 4 * RATE, -20.0)
    power = np.abs(np.fft.rfft(noise)) ** 2
    octaves = [power[4 * low : 8 * low].mean() for low in (100, 400, 1_600)]

    assert octaves[0] > 3 * octaves[1] > 9 * octaves[2]


def test_a_band_keeps_its_middle_and_drops_the_rest() -> None:
    kept = band(tone(1_000, 0.5), 300, 3_400)
    dropped = band(tone(6_000, 0.5), 300, 3_400)

    assert active_level(kept) == pytest.approx(active_level(tone(1_000, 0.5)), abs=0.1)
    assert active_level(dropped) < -60.0


def test_a_peak_is_limited_without_clipping() -> None:
    loud = tone(300, 0.1, amplitude=2.0)

    assert np.abs(peak_limit(loud)).max() == pytest.approx(0.98)
    assert peak_limit(tone(300, 0.1)) == pytest.approx(tone(300, 0.1))


def test_the_telephone_keeps_time_and_speech_and_drops_the_high_end() -> None:
    spoken = tone(700, 0.5)
    heard = through_ulaw(spoken)

    assert len(heard) == len(spoken)
    middle = slice(1_600, -1_600)
    error = heard[middle] - spoken[middle]
    assert 10 * np.log10(np.mean(spoken[middle] ** 2) / np.mean(error**2)) > 30.0
    assert active_level(through_ulaw(tone(5_500, 0.5))) < -55.0


def test_resampling_to_the_same_rate_changes_nothing() -> None:
    assert to_rate(tone(300, 0.1), RATE, RATE) == pytest.approx(tone(300, 0.1))


def test_gains_and_frame_levels() -> None:
    assert db_to_gain(-20.0) == pytest.approx(0.1)
    assert frame_levels(np.full(330, 0.1, np.float32)) == pytest.approx([-20.0, -20.0])


@pytest.mark.parametrize("kind", noises.SYNTHETIC)
def test_computed_noises_sound_and_repeat(kind: str) -> None:
    make = noises.SYNTHETIC[kind]
    first, again = (make(np.random.default_rng(3)) for _ in range(2))

    assert np.array_equal(first, again)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    start, stop = sounding_span(first)
    assert 0.1 <= (stop - start) / RATE <= 4.0
