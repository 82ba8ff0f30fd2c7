"""Waveforms folded into columns."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bargein.analysis.envelope import Envelope


@given(
    st.lists(st.integers(-32768, 32767), min_size=1, max_size=60),
    st.integers(1, 80),
    st.integers(1, 60),
)
def test_each_column_holds_its_extremes_and_silence(
    values: list[int], columns: int, step: int
) -> None:
    samples = np.array(values, np.int16)
    envelope = Envelope(len(samples), columns)
    for begin in range(0, len(samples), step):
        envelope.push(samples[begin : begin + step])

    n = min(columns, len(samples))
    assert len(envelope.low) == len(envelope.high) == n
    for column in range(n):
        inside = [v for i, v in enumerate(values) if i * n // len(values) == column]
        assert envelope.low[column] == min([0, *inside])
        assert envelope.high[column] == max([0, *inside])


def test_what_exceeds_the_length_is_left_out() -> None:
    envelope = Envelope(2, 2)
    envelope.push(np.array([1, -2, 30], np.int16))
    envelope.push(np.array([40], np.int16))

    assert envelope.high.tolist() == [1, 0]
    assert envelope.low.tolist() == [0, -2]
