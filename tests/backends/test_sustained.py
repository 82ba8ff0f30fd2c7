"""Seconds of sustained speech to probabilities: onsets, pauses, levels, frames; the calibration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.backends.sustained import (
    CALIBRATION,
    calibrate,
    interruption_probabilities,
    loud_speech,
    newest_run,
    sustained_seconds,
)
from bargein.vad.track import CHUNK, Speech

SECONDS = CHUNK / 16_000
LOUD, SOFT, FAINT = 10_000, 2_000, 1_400
"""Amplitudes: soft is 14 dB below loud, faint 17."""


def speech(pattern: str, first: int = 0) -> Speech:
    """One chunk a letter: ``#`` loud speech, ``+`` soft, ``-`` faint, ``.`` none (but loud)."""
    return Speech(first, np.array([0.1 if letter == "." else 0.9 for letter in pattern]))


def audio(pattern: str) -> np.ndarray:
    """Samples as loud as the pattern says."""
    amplitudes = [{"+": SOFT, "-": FAINT}.get(letter, LOUD) for letter in pattern]
    return np.repeat(np.array(amplitudes, np.int16), CHUNK)


def judged(pattern: str, *, onset: int | None = 0, first: int = 0) -> np.ndarray:
    """The probabilities of a window that begins and ends with the pattern's chunks."""
    return interruption_probabilities(
        speech(pattern, first), audio(pattern), start=first * CHUNK, onset=onset
    )


def certain(seconds: float) -> np.float32:
    """What so many seconds of speech tell."""
    return np.float32(calibrate(np.array([seconds]))[0])


def test_the_calibration_rises_and_crosses_a_half_at_about_half_a_second() -> None:
    seconds, probabilities = np.array(CALIBRATION).T
    assert (np.diff(seconds) > 0).all()
    assert (np.diff(probabilities) > 0).all()
    assert probabilities[0] < 0.05
    assert 0.9 < probabilities[-1] < 1.0
    assert 0.41 < np.interp(0.5, probabilities, seconds) < 0.43
    assert certain(7.0) == np.float32(probabilities[-1])


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
    np.testing.assert_allclose(bridged[-1], certain(20 * SECONDS), rtol=1e-6)
    assert bridged[20] == bridged[12]  # it holds while the pause lasts


def test_after_a_long_pause_it_counts_anew() -> None:
    anew = judged("#" * 10 + "." * 12 + "#" * 10)
    np.testing.assert_allclose(anew[-1], certain(10 * SECONDS), rtol=1e-6)
    assert anew[26] == certain(0.0)


def test_what_is_much_quieter_than_the_loudest_does_not_count() -> None:
    np.testing.assert_array_equal(judged("#" * 10 + "+" * 10), judged("#" * 20))
    np.testing.assert_array_equal(judged("#" * 10 + "-" * 10), judged("#" * 10 + "." * 10))
    # It rises to the loudest so far, and doesn't look ahead.
    rising = judged("-" * 10 + "#" * 10)
    np.testing.assert_allclose(rising[-1], certain(20 * SECONDS), rtol=1e-6)
    # What is loud but no speech is no measure, nor is what came before the onset.
    np.testing.assert_array_equal(judged("." * 5 + "-" * 10), judged("." * 5 + "#" * 10))
    onset = 10 * CHUNK
    np.testing.assert_array_equal(
        judged("#" * 10 + "-" * 10, onset=onset), judged("#" * 20, onset=onset)
    )


def test_an_echo_is_not_the_newest_run() -> None:
    echo = judged("#" * 10 + "." * 12 + "-" * 20, onset=None)
    np.testing.assert_array_equal(echo, judged("#" * 10 + "." * 32, onset=0))


def test_what_is_not_known_yet_is_as_the_newest_that_is() -> None:
    samples = audio("#" * 12)[:6_000]
    known = interruption_probabilities(speech("#" * 10), samples, start=0, onset=0)
    assert len(known) == 15
    np.testing.assert_allclose(known[12:], known[-1])
    np.testing.assert_allclose(known[-1], certain(0.32), rtol=1e-6)


def test_what_lies_before_the_known_is_silence() -> None:
    late = interruption_probabilities(speech("#" * 10, first=10), audio("#" * 20), start=0, onset=0)
    assert late[11] == certain(0.0)
    np.testing.assert_allclose(late[-1], certain(0.32), rtol=1e-6)


@pytest.mark.parametrize("samples", [0, 1, 399, 400, 401, 48_000])
def test_there_is_one_for_each_25_ms_begun(samples: int) -> None:
    known = interruption_probabilities(speech(""), np.zeros(samples, np.int16), start=70, onset=0)
    assert len(known) == -(-samples // 400)
    assert not known.any()


def test_the_newest_run_bridges_short_pauses_alone() -> None:
    def run(pattern: str) -> int | None:
        return newest_run([letter == "#" for letter in pattern])

    assert run("") is None
    assert run("......") is None
    assert run("##..##") == 0
    assert run("." + "##" + "." * 9 + "##...") == 1
    assert run("##" + "." * 10 + "##" + "." * 30) == 12


def test_loud_speech_needs_both() -> None:
    powers = [100.0, 2.0, 3.0, 100.0, 0.0]
    found = loud_speech(speech("####."), powers)
    assert found == [True, False, True, True, False]
    assert loud_speech(speech(""), []) == []


def test_without_an_onset_it_begins_at_the_newest_run() -> None:
    pattern = "#" * 20 + "." * 12 + "#" * 5
    probabilities = judged(pattern, onset=None)
    np.testing.assert_array_equal(probabilities, judged(pattern, onset=32 * CHUNK))
    assert not probabilities[:40].any()
    assert not judged("." * 40, onset=None).any()


@given(
    pattern=st.text("#+-.", max_size=90),
    first=st.integers(-50, 5_000),
    onset=st.integers(-20_000, 60_000),
    more=st.text("#+-.", max_size=12),
)
def test_what_follows_changes_nothing_that_was_told(
    pattern: str, first: int, onset: int, more: str
) -> None:
    onset += first * CHUNK
    before = judged(pattern, onset=onset, first=first)
    after = judged(pattern + more, onset=onset, first=first)
    whole = len(pattern) * CHUNK // 400
    np.testing.assert_allclose(after[:whole], before[:whole], rtol=1e-6)
    begins, seconds = sustained_seconds(
        speech(pattern, first), audio(pattern), start=first * CHUNK, onset=onset
    )
    assert first <= begins <= first + len(pattern)
    assert len(seconds) == first + len(pattern) - begins
    assert max(seconds, default=0.0) <= (len(pattern) - pattern.count(".") + 1e-9) * SECONDS
