"""How sure a figure is: 95 % intervals, by drawing whole calls anew.

Overlaps of one call are alike, so a bootstrap draws calls (scipy's, percentiles). Where all the
calls say the same, or there is but one, it has nothing to draw from. For shares the exact binomial
interval (Clopper and Pearson's) stands in, with the calls as its trials: what it would be if all
that a call holds went one way (Korn and Graubard's interval at its most careful).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.errors import MissingExtraError

__all__ = ["Resampling", "by_group", "interval_of", "share", "share_intervals"]

_LEVEL = 0.95
_MOST_DRAWN = 4_000_000
"""Numbers drawn at a time: bounds the memory to some 100 MB."""

Array = npt.NDArray[Any]


@attrs.frozen
class Resampling:
    """How the bootstrap draws."""

    draws: int = 2000
    seed: int = 2025


def _stats() -> Any:
    """Import scipy.stats, or say which extra has it."""
    try:
        import scipy.stats
    except ImportError as error:
        raise MissingExtraError("evaluating", "evaluate") from error
    return scipy.stats


def by_group(values: Array, groups: Array, count: int) -> Array:
    """(…, N) -> (…, G): sums over each call's labels."""
    flat = values.reshape(-1, values.shape[-1])
    sums = [np.bincount(groups, row, minlength=count) for row in flat]
    return np.asarray(sums, float).reshape(*values.shape[:-1], count)


def share(top: Array, base: Array, axis: int = -1) -> Array:
    """Return sum(top) / sum(base); NaN where that is of nothing."""
    total = base.sum(axis=axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(total > 0, top.sum(axis=axis) / total, np.nan))


def share_intervals(top: Array, base: Array, how: Resampling) -> tuple[Array, Array]:
    """Intervals of sum(top) / sum(base), for each row of (S, G); NaN where there is nothing."""
    low, high = np.full(len(top), np.nan), np.full(len(top), np.nan)
    values, calls = share(top, base), (base > 0).sum(axis=1)
    rows = np.flatnonzero((values > 0) & (values < 1) & (calls > 1))
    if len(rows):
        low[rows], high[rows] = interval_of((top[rows], base[rows]), share, how)
    for row in np.flatnonzero((calls > 0) & ~(low < high)):
        low[row], high[row] = _exact(values[row], calls[row])
    return low, high


def _exact(value: float, calls: int) -> tuple[float, float]:
    """Clopper and Pearson's interval, also where the hits aren't a whole number of calls."""
    hits, tail, beta = value * calls, (1 - _LEVEL) / 2, _stats().beta
    low = beta.ppf(tail, hits, calls - hits + 1) if hits > 0 else 0.0
    high = beta.ppf(1 - tail, hits + 1, calls - hits) if hits < calls else 1.0
    return float(low), float(high)


def interval_of(
    data: tuple[Array, ...], statistic: Callable[..., Array], how: Resampling
) -> tuple[Array, Array]:
    """Draw calls (the last axis of each of ``data``), two or more; return the percentiles.

    ``statistic(*data, axis=-1)`` works on many draws at once, and may give NaN for one that has
    nothing in it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on data without spread, of which we know
        drawn = _stats().bootstrap(
            data,
            statistic,
            paired=True,
            vectorized=True,
            axis=-1,
            n_resamples=how.draws,
            batch=max(1, _MOST_DRAWN // data[0].size),
            method="percentile",
            rng=np.random.default_rng(how.seed),
        )
        tail = (1 - _LEVEL) / 2
        low, high = np.nanquantile(drawn.bootstrap_distribution, (tail, 1 - tail), axis=-1)
    return low, high
