"""The core's values: options, inputs, windows, predictions. Errors say what came and why not."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.audio import AudioFormat
from bargein.core import (
    Gap,
    InterruptionOptions,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    Prediction,
    Reason,
    SetFormat,
    Settings,
    Skip,
    Window,
    WindowFailed,
    estimate_probability,
)
from bargein.core.options import min_frames, round_half_up
from bargein.core.verdicts import is_positive
from bargein.core.window import Checked
from bargein.errors import OptionError, ProtocolError

POSITIVE = [0, -0.1, math.nan, math.inf, "1", None, True, 10**400, 1j]
NOT_NEGATIVE = [-1e-9, math.nan, math.inf, "1", None, False, [1]]
WRONG: dict[str, tuple[list[Any], str]] = {
    "threshold": ([-0.1, 1.1, math.nan, "0.5", True], "a probability from 0 to 1"),
    "min_interruption_duration": (POSITIVE, "seconds > 0"),
    "max_audio_duration": ([*POSITIVE, 3.01], "seconds > 0, at most 3.0"),
    "audio_prefix_duration": (NOT_NEGATIVE, "seconds >= 0"),
    "detection_interval": (POSITIVE, "seconds > 0"),
    "inference_timeout": (POSITIVE, "seconds > 0"),
    "verdict_grace": (NOT_NEGATIVE, "seconds >= 0"),
    "max_in_flight": ([0, -1, 1.5, 2.0, True, "8"], "a whole number >= 1"),
    "eager_first_window": ([1, None, "on"], "True or False"),
    "reset_window_per_overlap": ([0], "True or False"),
    "prefix_before_agent": ([np.True_], "True or False"),
}


def test_the_table_of_wrong_options_is_complete() -> None:
    assert set(WRONG) == {field.name for field in attrs.fields(InterruptionOptions)}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [(name, value, words) for name, (values, words) in WRONG.items() for value in values],
)
def test_a_wrong_option_is_refused_by_name_with_what_was_expected(
    name: str, value: Any, expected: str
) -> None:
    with pytest.raises(OptionError) as caught:
        InterruptionOptions(**{name: value})
    assert str(caught.value) == f"{name} came as {value!r}; expected {expected}"


def test_the_prefix_is_at_most_the_window() -> None:
    with pytest.raises(
        OptionError, match=r"audio_prefix_duration came as 1.0; .*max_audio_duration.* is 0.5"
    ):
        InterruptionOptions(max_audio_duration=0.5)
    InterruptionOptions(max_audio_duration=0.5, audio_prefix_duration=0.5)


def test_the_defaults() -> None:
    assert attrs.asdict(InterruptionOptions()) == {
        "threshold": None,
        "min_interruption_duration": 0.05,
        "max_audio_duration": 3.0,
        "audio_prefix_duration": 1.0,
        "detection_interval": 0.1,
        "inference_timeout": 0.7,
        "verdict_grace": 0.2,
        "max_in_flight": None,
        "eager_first_window": False,
        "reset_window_per_overlap": False,
        "prefix_before_agent": False,
    }


def test_numbers_of_other_kinds_are_numbers() -> None:
    options = InterruptionOptions(
        threshold=1,
        max_audio_duration=np.float32(2.5),  # type: ignore[arg-type]
        detection_interval=Fraction(1, 10),  # type: ignore[arg-type]
        max_in_flight=np.int64(3),  # type: ignore[arg-type]
    )
    assert options.interval == Fraction(1, 10)
    assert options.max_in_flight == 3
    assert options.sample_rate == 16_000


@pytest.mark.parametrize(
    ("seconds", "frames"),
    [(0.05, 2), (0.025, 1), (3 * 0.025, 3), (0.1 + 0.2, 12), (0.0251, 2), (0.001, 1), (1, 40)],
)
def test_min_frames_covers_the_duration(seconds: float, frames: int) -> None:
    assert min_frames(seconds) == frames
    assert InterruptionOptions(min_interruption_duration=seconds).min_frames == frames


@given(st.integers(1, 4000))
def test_whole_numbers_of_frames_are_those(frames: int) -> None:
    assert min_frames(frames * 0.025) == frames
    assert min_frames(frames / 40) == frames


def test_durations_become_samples_by_rounding_halves_up() -> None:
    assert [round_half_up(Fraction(n, 2)) for n in (-3, -1, 1, 2, 3)] == [-1, 0, 1, 1, 2]
    options = InterruptionOptions()
    assert options.samples(0.1, 11_025) == 1103
    assert options.samples(0.3, 8_000) == 2400  # 0.3 * 8000 is 2399.9999999999995 in binary


# --- inputs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gap(-0.1), "duration came as -0.1; expected seconds >= 0"),
        (lambda: Gap("1"), "duration came as '1'"),
        (lambda: Skip(-1), "samples came as -1; expected a whole number >= 0"),
        (lambda: Skip(1.5), "samples came as 1.5"),
        (lambda: OverlapSpeechStarted(speech_duration=-1), "speech_duration came as -1"),
        (lambda: OverlapSpeechStarted(speech_duration=None), "speech_duration came as None"),
        (lambda: OverlapSpeechStarted(started_at=math.nan), "started_at came as nan; expected a f"),
        (lambda: OverlapSpeechStarted(age=-1), "age came as -1; expected seconds >= 0"),
        (lambda: OverlapSpeechEnded(ended_at="now"), "ended_at came as 'now'"),
        (lambda: OverlapSpeechEnded(age=math.inf), "age came as inf"),
        (lambda: Settings(1.5, 2), "threshold came as 1.5; expected a probability"),
        (lambda: Settings(None, 0), "min_frames came as 0; expected a whole number >= 1"),
        (
            lambda: WindowFailed(1, Reason.CLOSED),
            "reason came as .*CLOSED.*; expected connection or timeout or error",
        ),
    ],
)
def test_a_wrong_input_is_refused(make: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()


def test_right_inputs_arent() -> None:
    assert Gap(Fraction(1, 3)).duration == Fraction(1, 3)
    assert SetFormat(AudioFormat()).format == AudioFormat()
    assert OverlapSpeechStarted(started_at=-5, age=0).started_at == -5
    assert OverlapSpeechStarted(span=object()) == OverlapSpeechStarted()


# --- predictions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [[1.1], [-0.01], [math.nan], [math.inf], [1e300], [[0.1]], 0.5, None, "no", {}, [[1], [1, 2]]],
)
def test_probabilities_that_cant_be_are_a_protocol_error(values: Any) -> None:
    with pytest.raises(ProtocolError, match="probabilities came"):
        Prediction(values)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, "soon", 10**400, object()])
def test_a_duration_that_cant_be_is_a_protocol_error(value: Any) -> None:
    with pytest.raises(ProtocolError, match=r"duration came as .*; expected seconds >= 0"):
        Prediction(duration=value)


def test_a_prediction_owns_its_probabilities() -> None:
    given_ = np.array([0.25, 0.5])
    prediction = Prediction(given_, duration=None)  # type: ignore[arg-type]
    given_[0] = 1.0
    assert prediction.probabilities.tolist() == [0.25, 0.5]
    assert prediction.probabilities.dtype == np.float32
    assert not prediction.probabilities.flags.writeable
    assert prediction.duration == 0.0
    frozen = prediction.probabilities
    assert Prediction(frozen).probabilities is frozen
    assert Prediction().probabilities.shape == (0,)


def test_values_with_arrays_compare_and_hash() -> None:
    same = [Prediction([0.5], True), Prediction([0.5], True)]
    assert same[0] == same[1]
    assert len(set(same)) == 1
    assert Prediction([0.5]) != Prediction([0.25])
    windows = [Window(id=1, overlap=1, samples=np.full(400, n, np.int16)) for n in (1, 1, 2)]
    assert windows[0] == windows[1] != windows[2]
    assert len(set(windows)) == 2


def test_a_windows_samples_cant_be_written() -> None:
    samples = np.zeros(8000, np.int16)
    window = Window(id=1, overlap=1, samples=samples)
    assert window.duration == 0.5
    with pytest.raises(ValueError, match="read-only"):
        window.samples[0] = 1
    samples[0] = 1  # its maker's own array stays as it was


# --- the estimate ----------------------------------------------------------------------------


@given(
    values=st.lists(st.floats(0, 1, width=32), max_size=30),
    frames=st.integers(1, 8),
)
def test_the_estimate_is_the_best_runs_worst_frame(values: list[float], frames: int) -> None:
    runs = [values[at : at + frames] for at in range(len(values) - frames + 1)]
    assert estimate_probability(values, frames) == max(map(min, runs), default=0.0)


def test_fewer_frames_than_a_run_are_nothing() -> None:
    assert estimate_probability([], 1) == 0.0
    assert estimate_probability([1.0], 2) == 0.0
    assert estimate_probability([1.0], 0) == 0.0


@pytest.mark.parametrize(
    ("prediction", "threshold", "default", "positive"),
    [
        (Prediction([0.7, 0.7]), 0.7, None, True),
        (Prediction([0.7, 0.7]), None, 0.7, True),
        (Prediction([0.7, 0.7]), 0.71, 0.1, False),
        (Prediction([0.7, 0.7]), 0.0, 0.9, True),  # zero is a threshold, too
        (Prediction([0.7, 0.7]), None, None, None),
        (Prediction([0.7, 0.7], False), None, None, False),
        (Prediction([0.0, 0.0], True), 1.0, None, True),
        (Prediction(), 0.5, None, False),
    ],
)
def test_the_backends_own_word_comes_before_the_estimate(
    prediction: Prediction, threshold: float | None, default: float | None, positive: bool | None
) -> None:
    found = is_positive(prediction, threshold=threshold, default=default, min_frames=2)
    assert found is positive


def test_probabilities_that_were_looked_through_are_taken_as_they_are() -> None:
    values = np.array([0.25, 0.5], np.float32)
    values.setflags(write=False)
    assert Prediction(Checked(values)).probabilities is values
    assert Prediction(Checked(values)) == Prediction(values.copy()) != Prediction(values[:1])
    assert Checked(values) != values.tolist()
