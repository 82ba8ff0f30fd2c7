"""The tests' own helper: a wrong transcript must fail, and say where."""

from __future__ import annotations

import numpy as np
import pytest

from bargein.testing.machine import MachineCall as Call
from bargein.testing.sound import noise


@pytest.mark.parametrize(
    "transcript",
    [
        "0.0 agent started -> finish",
        "0.0 close",
        "0.0 close -> cancel 1; finish",
        "0.0 look -> speaking, 0 in flight",
        "0.0 audio 0.1 -> raises StateError",
    ],
)
def test_a_transcript_that_isnt_what_came_fails_with_a_diff(transcript: str) -> None:
    with pytest.raises(AssertionError, match=r"- 0\.0 .*(.|\n)*\+ 0\.0"):
        Call().play(transcript)


def test_noise_is_a_function_of_position_and_not_of_its_cutting() -> None:
    whole = noise(0, 1000)
    assert len(set(whole.tolist())) > 500
    np.testing.assert_array_equal(whole[300:], noise(300, 700))
