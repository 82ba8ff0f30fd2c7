"""Seconds of sustained speech to probabilities: onsets, pauses, frames; and the calibration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.backends.sustained import (
    calibrate,
    interruption_probabilities,
    newest_run,
    speech_seconds,
)
from bargein.vad.track import CHUNK, Speech

SECONDS = CHUNK / 16_000


def speech(pattern: str, first: int = 0) -> Speech:
    """One chunk a letter: ``#`` speech, ``.`` none."""
    return Speech(first, np.array([0.9 if letter == "#" else 0.1 for letter in pattern]))


def judged(pattern: str, *, onset: int | None = 0, first: int = 0) -> np.ndarray:
    """The probabilities of a window that begins and ends with the pattern's chunks."""
    return interruption_probabilities(
        speech(pattern, first), start=first * CHUNK, samples=len(pattern) * CHUNK, onset=onset
    )


def at_half_a_second() -> float:
    return float(calibrate(np.array([0.5]))[0])


def test_the_calibration_rises_and_crosses_a_half_at_about_half_a_second() -> None:
    probabilities = calibrate(np.linspace(0, 3, 100))
    assert (np.diff(probabilities) > 0).all()
    assert probabilities[0] < 0.15
    assert probabilities[-1] > 0.97
    crossed = np.interp(0.5, probabilities, np.linspace(0, 3, 100))
    assert 0.4 < crossed < 0.55


def test_each_frame_tells_what_was_heard_up_to_its_end() -> None:
    probabilities = judged("#" * 25)  # 0.8 s, 32 frames
    assert probabilities.dtype == np.float32
    expected = calibrate(np.arange(1, 33) * 0.025).astype(np.float32)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-6)


def test_nothing_before_the_onset_counts_or_is_told() -> None:
    probabilities = judged("#" * 25, onset=12_800 - 4_800)  # 0.5 s in
    assert not probabilities[:20].any()
    expected = calibrate(np.arange(1, 13) * 0.025).astype(np.float32)
    np.testing.assert_allclose(probabilities[20:], expected, rtol=1e-6)


def test_an_onset_before_the_window_leaves_only_what_the_window_holds() -> None:
    np.testing.assert_array_equal(judged("#" * 25, onset=-16_000), judged("#" * 25, onset=0))


def test_an_onset_behind_the_window_leaves_nothing() -> None:
    assert not judged("#" * 25, onset=20_000).any()


def test_a_short_pause_is_bridged_but_does_not_count() -> None:
    bridged = judged("#" * 10 + "." * 9 + "#" * 10)  # 0.288 s of pause
    np.testing.assert_allclose(bridged[-1], calibrate(np.array([20 * SECONDS]))[0], rtol=1e-6)
    assert bridged[20] == bridged[12]  # it holds while the pause lasts


def test_after_a_long_pause_it_counts_anew() -> None:
    anew = judged("#" * 10 + "." * 12 + "#" * 10)
    np.testing.assert_allclose(anew[-1], calibrate(np.array([10 * SECONDS]))[0], rtol=1e-6)
    assert anew[26] == calibrate(np.array([0.0])).astype(np.float32)[0]


def test_what_is_not_known_yet_is_as_the_newest_that_is() -> None:
    known = interruption_probabilities(speech("#" * 10), start=0, samples=6_000, onset=0)
    assert len(known) == 15
    np.testing.assert_allclose(known[12:], known[-1])
    np.testing.assert_allclose(known[-1], calibrate(np.array([0.32]))[0], rtol=1e-6)


def test_what_lies_before_the_known_is_silence() -> None:
    late = interruption_probabilities(speech("#" * 10, first=10), start=0, samples=10_240, onset=0)
    np.testing.assert_allclose(late[11], calibrate(np.array([0.0]))[0], rtol=1e-6)
    np.testing.assert_allclose(late[-1], calibrate(np.array([0.32]))[0], rtol=1e-6)


@pytest.mark.parametrize("samples", [0, 1, 399, 400, 401, 48_000])
def test_there_is_one_for_each_25_ms_begun(samples: int) -> None:
    known = interruption_probabilities(speech(""), start=70, samples=samples, onset=0)
    assert len(known) == -(-samples // 400)
    assert not known.any()


def test_the_newest_run_bridges_short_pauses_alone() -> None:
    assert newest_run(speech("")) is None
    assert newest_run(speech("......")) is None
    assert newest_run(speech("##..##", first=7)) == 7 * CHUNK
    assert newest_run(speech("##" + "." * 9 + "##...", first=-3)) == -3 * CHUNK
    assert newest_run(speech("##" + "." * 10 + "##" + "." * 30)) == 12 * CHUNK


def test_without_an_onset_it_begins_at_the_newest_run() -> None:
    pattern = "#" * 20 + "." * 12 + "#" * 5
    probabilities = judged(pattern, onset=None)
    np.testing.assert_array_equal(probabilities, judged(pattern, onset=32 * CHUNK))
    assert not probabilities[:40].any()
    assert not judged("." * 40, onset=None).any()


@given(
    pattern=st.text("#.", max_size=90),
    first=st.integers(-50, 5_000),
    onset=st.integers(-20_000, 60_000),
    more=st.text("#.", max_size=12),
)
def test_what_follows_changes_nothing_that_was_told(
    pattern: str, first: int, onset: int, more: str
) -> None:
    onset += first * CHUNK
    before = judged(pattern, onset=onset, first=first)
    after = judged(pattern + more, onset=onset, first=first)
    whole = len(pattern) * CHUNK // 400
    np.testing.assert_allclose(after[:whole], before[:whole], rtol=1e-6)
    seconds = speech_seconds(speech(pattern, first), onset)
    assert len(seconds) == len(pattern)
    assert max(seconds, default=0.0) <= (pattern.count("#") + 1e-9) * SECONDS
