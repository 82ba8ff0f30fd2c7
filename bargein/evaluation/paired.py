"""Two settings, or two judges, on the same labels: the differences, and how sure those are."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np

from .figures import delay_table, quantiles, rounded
from .intervals import Array, Resampling, by_group, interval_of, share
from .results import Bools, Results

__all__ = ["FEWEST", "Difference", "compare_points"]

FEWEST = 6
"""Calls in which two settings must differ before anything is sure: fewer may all go one way by
chance (a sign test: 2 * 0.5 ** 5 is above 5 %, 2 * 0.5 ** 6 below)."""


@attrs.frozen(kw_only=True)
class Difference:
    """The other setting's figure less the first one's, on the same labels."""

    figure: str
    first: float | None
    other: float | None
    value: float | None
    low: float | None = None
    """The 95 % interval; ``None`` where there are too few calls to tell one from."""
    high: float | None = None
    calls: int = 0
    """In how many calls the two differ."""

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves no difference out, and six calls or more differ."""
        if self.low is None or self.high is None or self.calls < FEWEST:
            return False
        return not self.low <= 0.0 <= self.high

    @property
    def differs_in_too_few(self) -> bool:
        """Whether the two differ, but in too few calls to be sure that it is no chance."""
        return bool(self.value) and self.calls < FEWEST

    @property
    def is_better(self) -> bool:
        """Whether the other one is better by this figure, as far as can be seen."""
        upwards = self.figure in ("recall", "precision")
        return self.value is not None and (self.value > 0 if upwards else self.value < 0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        interval = None if self.low is None else [rounded(self.low), rounded(self.high)]
        return {
            "figure": self.figure,
            "first": rounded(self.first),
            "other": rounded(self.other),
            "difference": rounded(self.value),
            "interval": interval,
            "calls": self.calls,
            "sure": self.is_sure,
        }


def compare_points(first: Results, other: Results, how: Resampling) -> list[Difference]:
    """Compare the first settings of two evaluations of the same labels, drawing the same calls."""
    a, b = first.positive[0], other.positive[0]
    real = first.of("interruption")
    asked = (
        ("recall", a, b, real, real),
        ("false_backchannel", a, b, first.of("backchannel"), first.of("backchannel")),
        ("false_noise", a, b, first.of("noise"), first.of("noise")),
        ("precision", real, real, a, b),
    )
    found = [_difference_of_shares(name, parts, first, how) for name, *parts in asked]
    return [*found, _difference_of_delays(first, other, how)]


def _difference_of_shares(
    figure: str, parts: list[Bools], results: Results, how: Resampling
) -> Difference:
    """``parts``: what is hit before and after, and what it is of; (N,) each."""
    a, b, of_a, of_b = parts
    count = len(results.groups)
    data = tuple(
        by_group(values, results.group, count) for values in (a & of_a, of_a, b & of_b, of_b)
    )

    def less(top_a: Array, base_a: Array, top_b: Array, base_b: Array, axis: int = -1) -> Array:
        return np.asarray(share(top_b, base_b, axis) - share(top_a, base_a, axis))

    differ = (data[0] != data[2]) | (data[1] != data[3])
    values = float(share(data[0], data[1])), float(share(data[2], data[3]))
    return _difference(figure, values, data, less, differ, how)


def _difference_of_delays(first: Results, other: Results, how: Resampling) -> Difference:
    one, two = delay_table(first, 0), delay_table(other, 0)

    def less(drawn: Array, axis: int = -1) -> Array:
        return np.asarray(quantiles(two[drawn], 0.5) - quantiles(one[drawn], 0.5))

    def calls(table: Array) -> Array:
        # A call's own median tells whether anything in it came sooner or later.
        return np.nan_to_num(quantiles(table[:, None, :], 0.5), nan=-1.0)

    values = float(quantiles(one, 0.5)), float(quantiles(two, 0.5))
    differ = ~np.isclose(calls(one), calls(two))
    return _difference("median_delay", values, (np.arange(len(one)),), less, differ, how)


def _difference(
    figure: str,
    values: tuple[float, float],
    data: tuple[Array, ...],
    less: Any,
    differ: Array,
    how: Resampling,
) -> Difference:
    """Put together what is known; ``differ``: (G,), in which calls anything differs."""
    first, other = (None if np.isnan(value) else value for value in values)
    if first is None or other is None:
        return Difference(figure=figure, first=first, other=other, value=None)
    low = high = None
    if len(differ) > 1:
        ends = interval_of(data, less, how)
        # Without any spread it's no interval, unless all that was seen is that nothing differs.
        if ends[0] < ends[1] or (len(differ) >= FEWEST and not differ.any()):
            low, high = (float(end) for end in ends)
    return Difference(
        figure=figure,
        first=first,
        other=other,
        value=other - first,
        low=low,
        high=high,
        calls=int(differ.sum()),
    )
