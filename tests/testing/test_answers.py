"""Answers and faults as values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bargein.errors import OptionError
from bargein.testing import answers


def test_one_probability_is_for_every_frame() -> None:
    np.testing.assert_allclose(answers.judged(0.8).probabilities(900), [0.8] * 3)
    assert answers.judged(0.8).prediction(0).probabilities.shape == (0,)


def test_of_several_the_newest_count() -> None:
    answer = answers.judged([0.1, 0.2, 0.9])

    assert answer.probabilities(800) == [0.2, 0.9]
    assert answer.probabilities(2000) == [0.1, 0.1, 0.1, 0.2, 0.9]
    assert str(answer) == "judged 3 probabilities"


def test_an_answer_may_say_nothing() -> None:
    assert answers.Answer().probabilities(800) == []
    assert str(answers.Answer()) == "judged nothing"
    assert repr(answers.silence) == "Answer(Kind.SILENCE)"


@pytest.mark.parametrize("value", [1.1, -0.1, float("nan"), [0.5, 2]])
def test_what_is_no_probability_is_refused(value: object) -> None:
    with pytest.raises(OptionError, match="expected 0 to 1"):
        answers.judged(value)  # type: ignore[arg-type]


def test_seeded_faults_are_the_same_each_time_and_as_many_as_asked_for() -> None:
    first, again, other = (list(itertools.islice(answers.seeded(n), 500)) for n in (1, 1, 2))

    assert first == again
    assert first != other
    assert 60 < sum(answer != answers.no for answer in first) < 140
    assert set(itertools.islice(answers.seeded(1, share=0.0), 50)) == {answers.no}


def test_seeded_delays() -> None:
    late = list(itertools.islice(answers.seeded(1, share=0, jitter=0.3), 50))

    assert len({answer.after for answer in late}) == 50
    assert all(0 <= answer.after < 0.3 for answer in late)
