"""Figures and how sure they are: rates, delays, and differences, with intervals over calls.

Overlaps of one call are alike, so a bootstrap draws whole calls (scipy's, percentiles, 95 %). Where
every one of them went the same way it has nothing to draw from; the exact binomial interval over
calls (Clopper and Pearson) stands in.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.errors import MissingExtraError

from .dataset import LABELS
from .results import Bools, Ints, Results
from .score import MOMENTS

__all__ = [
    "DELAYS",
    "Difference",
    "Moment",
    "Point",
    "Rate",
    "Resampling",
    "compare_points",
    "moments",
    "points",
]

DELAYS = (0.5, 0.9, 0.95)
"""Quantiles of delays that are told."""

_LEVEL = 0.95
_MOST_DRAWN = 4_000_000
"""Numbers drawn at a time: bounds the memory to some 100 MB."""

Array = npt.NDArray[Any]


def stats() -> Any:
    """Import scipy.stats, or say which extra has it."""
    try:
        import scipy.stats
    except ImportError as error:
        raise MissingExtraError("evaluating", "evaluate") from error
    return scipy.stats


@attrs.frozen
class Resampling:
    """How the bootstrap draws."""

    draws: int = 2000
    seed: int = 2025


@attrs.frozen
class Rate:
    """A share, its 95 % interval, and what it is of. ``value`` ``None``: of nothing."""

    value: float | None
    low: float | None
    high: float | None
    hits: int
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        interval = None if self.low is None else [_rounded(self.low), _rounded(self.high)]
        return {
            "value": _rounded(self.value),
            "interval": interval,
            "hits": self.hits,
            "n": self.n,
        }


@attrs.frozen(kw_only=True)
class Delay:
    """A quantile of the delays from onset to verdict, in seconds, and its 95 % interval."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        interval = None if self.low is None else [_rounded(self.low), _rounded(self.high)]
        return {"value": _rounded(self.value), "interval": interval}


@attrs.frozen(kw_only=True)
class Point:
    """One setting's figures."""

    threshold: float | None
    min_interruption_duration: float
    recall: Rate
    false_backchannel: Rate
    false_noise: Rate
    precision: Rate
    delays: tuple[Delay, ...]
    """Of :data:`DELAYS`."""
    early: int
    """Interruptions whose caller found the agent stopped already."""
    strays: int
    inconclusive: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        names = ("p50", "p90", "p95")
        return {
            "threshold": self.threshold,
            "min_interruption_duration": self.min_interruption_duration,
            "recall": self.recall.to_dict(),
            "false_backchannel": self.false_backchannel.to_dict(),
            "false_noise": self.false_noise.to_dict(),
            "precision": self.precision.to_dict(),
            "delay": {n: d.to_dict() for n, d in zip(names, self.delays, strict=True)},
            "early": self.early,
            "strays": self.strays,
            "inconclusive": self.inconclusive,
        }


@attrs.frozen(kw_only=True)
class Moment:
    """What is known so long after the onset."""

    seconds: float
    recall: Rate
    false_backchannel: Rate
    false_noise: Rate
    precision: Rate
    auc: float | None
    """Area under the ROC curve of the highest estimate so far: 0.5 is a coin, 1 is never wrong."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "seconds": self.seconds,
            "recall": self.recall.to_dict(),
            "false_backchannel": self.false_backchannel.to_dict(),
            "false_noise": self.false_noise.to_dict(),
            "precision": self.precision.to_dict(),
            "auc": _rounded(self.auc),
        }


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(float(value), digits)


# --- rates ----------------------------------------------------------------------------------


def by_group(values: Array, groups: Ints, count: int) -> Array:
    """(…, N) -> (…, G): sums over each call's labels."""
    flat = values.reshape(-1, values.shape[-1])
    sums = [np.bincount(groups, row, minlength=count) for row in flat]
    return np.asarray(sums, float).reshape(*values.shape[:-1], count)


def rates(hits: Bools, of: Bools, results: Results, how: Resampling) -> list[Rate]:
    """The share of ``hits`` in ``of``, (S, N) each, for each row, with intervals over calls."""
    top = by_group(hits & of, results.group, len(results.groups))
    base = by_group(of, results.group, len(results.groups))
    low, high = share_intervals(top, base, how)
    found = []
    for row in range(len(top)):
        n, k = int(base[row].sum()), int(top[row].sum())
        if n == 0:
            found.append(Rate(None, None, None, 0, 0))
        else:
            found.append(Rate(k / n, float(low[row]), float(high[row]), k, n))
    return found


def share_intervals(top: Array, base: Array, how: Resampling) -> tuple[Array, Array]:
    """Intervals of sum(top) / sum(base), for each row of (S, G); NaN where there is nothing."""
    low, high = np.full(len(top), np.nan), np.full(len(top), np.nan)
    sums, bases = top.sum(axis=1), base.sum(axis=1)
    mixed = (sums > 0) & (sums < bases)
    for row in np.flatnonzero(~mixed & (bases > 0)):
        low[row], high[row] = _exact(sums[row] > 0, int((base[row] > 0).sum()))
    rows = np.flatnonzero(mixed)
    if len(rows):
        low[rows], high[rows] = _bootstrap((top[rows], base[rows]), _share, how)
    return low, high


def _exact(all_of_them: bool, calls: int) -> tuple[float, float]:
    """Clopper and Pearson's interval where all calls say yes, or all say no."""
    interval = stats().binomtest(calls if all_of_them else 0, calls).proportion_ci(_LEVEL)
    return float(interval.low), float(interval.high)


def _share(top: Array, base: Array, axis: int = -1) -> Array:
    total = base.sum(axis=axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(total > 0, top.sum(axis=axis) / total, np.nan))


def _bootstrap(data: tuple[Array, ...], statistic: Any, how: Resampling) -> tuple[Array, Array]:
    """Draw calls (the last axis), and take the percentiles of what comes of them."""
    drawn = _draws(data, statistic, how)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a row of NaN is a row of NaN
        tail = (1 - _LEVEL) / 2
        low, high = np.nanquantile(drawn, (tail, 1 - tail), axis=-1)
    return low, high


def _draws(data: tuple[Array, ...], statistic: Any, how: Resampling) -> Array:
    """(…, draws): the statistic of each resample of the calls."""
    calls = data[0].shape[-1]
    if calls < 2:
        return np.asarray(statistic(*data))[..., None].repeat(2, axis=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on data without spread, of which we know
        found = stats().bootstrap(
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
    return np.asarray(found.bootstrap_distribution)


# --- delays ---------------------------------------------------------------------------------


def _delay_table(results: Results, row: int) -> Array:
    """(G, most): the delays of each call's interruptions, filled up with NaN."""
    of = results.of("interruption")
    rows: list[list[float]] = [[] for _ in results.groups]
    for group, delay in zip(results.group[of], results.delay[row][of], strict=True):
        if not np.isnan(delay):
            rows[group].append(float(delay))
    width = max(map(len, rows), default=0)
    table = np.full((len(rows), max(1, width)), np.nan)
    for at, values in enumerate(rows):
        table[at, : len(values)] = values
    return table


def _quantiles(values: Array) -> Array:
    """(…, n) with NaN -> (quantiles, …)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found: Array = np.nanquantile(values, DELAYS, axis=-1)
    return found


def delays(results: Results, row: int, how: Resampling | None = None) -> tuple[Delay, ...]:
    """Quantiles of the delays of one setting; with intervals where ``how`` is given."""
    table = _delay_table(results, row)
    values = _quantiles(table.ravel())
    if np.isnan(values).any():
        return tuple(Delay(value=None) for _ in DELAYS)
    if how is None or len(table) < 2:
        return tuple(Delay(value=float(value)) for value in values)
    rng = np.random.default_rng(how.seed)
    drawn = np.stack([_draw_delays(table, rng) for _ in range(how.draws)], axis=-1)
    low, high = np.nanquantile(drawn, ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2), axis=-1)
    return tuple(
        Delay(value=float(v), low=float(a), high=float(b))
        for v, a, b in zip(values, low, high, strict=True)
    )


def _draw_delays(table: Array, rng: np.random.Generator) -> Array:
    values = table[rng.integers(0, len(table), len(table))].ravel()
    values = values[~np.isnan(values)]
    return np.asarray(np.quantile(values, DELAYS)) if len(values) else _NOTHING


_NOTHING = np.full(len(DELAYS), np.nan)


# --- points ---------------------------------------------------------------------------------


def points(results: Results, how: Resampling) -> list[Point]:
    """The figures of each setting; the first one's delays come with intervals."""
    every = results.positive
    shape = every.shape
    asked = {
        "recall": np.broadcast_to(results.of("interruption"), shape),
        "false_backchannel": np.broadcast_to(results.of("backchannel"), shape),
        "false_noise": np.broadcast_to(results.of("noise"), shape),
    }
    found = {name: rates(every, of, results, how) for name, of in asked.items()}
    right = np.broadcast_to(results.of("interruption"), shape)
    precision = rates(right, every, results, how)
    early = (results.early & results.of("interruption")).sum(axis=1)
    return [
        Point(
            threshold=each.threshold,
            min_interruption_duration=each.detection.min_interruption_duration,
            **{name: values[row] for name, values in found.items()},
            precision=precision[row],
            delays=delays(results, row, how if row == 0 else None),
            early=int(early[row]),
            strays=int(results.strays[row]),
            inconclusive=int(results.inconclusive[row]),
        )
        for row, each in enumerate(results.settings)
    ]


def moments(results: Results, how: Resampling) -> list[Moment]:
    """What the first setting has decided at each of :data:`MOMENTS`."""
    limits = np.array(MOMENTS, np.float32)[:, None]
    # Microseconds of rounding must not push a verdict past a moment.
    by_then = results.early[0] | (results.delay[0] <= limits + np.float32(1e-6))
    shape = by_then.shape
    found = [
        rates(by_then, np.broadcast_to(results.of(label), shape), results, how) for label in LABELS
    ]
    right = np.broadcast_to(results.of("interruption"), shape)
    precision = rates(right, by_then, results, how)
    return [
        Moment(
            seconds=seconds,
            recall=found[0][row],
            false_backchannel=found[1][row],
            false_noise=found[2][row],
            precision=precision[row],
            auc=_auc(results, row),
        )
        for row, seconds in enumerate(MOMENTS)
    ]


def _auc(results: Results, moment: int) -> float | None:
    truth = results.of("interruption")
    if not truth.any() or truth.all():
        return None
    try:
        from sklearn.metrics import roc_auc_score
    except ImportError as error:
        raise MissingExtraError("evaluating", "evaluate") from error
    return float(roc_auc_score(truth, results.best[moment]))


# --- two settings on the same labels --------------------------------------------------------


@attrs.frozen(kw_only=True)
class Difference:
    """The other setting's figure less the first one's, on the same labels."""

    figure: str
    first: float | None
    other: float | None
    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves no difference out."""
        return self.low is not None and self.high is not None and not self.low <= 0.0 <= self.high

    @property
    def is_better(self) -> bool:
        """Whether the other one is better by this figure, as far as can be seen."""
        upwards = self.figure in ("recall", "precision")
        return self.value is not None and (self.value > 0 if upwards else self.value < 0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        interval = None if self.low is None else [_rounded(self.low), _rounded(self.high)]
        return {
            "figure": self.figure,
            "first": _rounded(self.first),
            "other": _rounded(self.other),
            "difference": _rounded(self.value),
            "interval": interval,
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
    found = [_difference(name, parts, first, how) for name, *parts in asked]
    return [*found, _delay_difference(first, other, how)]


def _difference(
    figure: str, parts: Sequence[Bools], results: Results, how: Resampling
) -> Difference:
    """``parts``: what is hit and what it is of, before and after; (N,) each."""
    a, b, of_a, of_b = parts
    count = len(results.groups)
    data = tuple(
        by_group(values, results.group, count) for values in (a & of_a, of_a, b & of_b, of_b)
    )

    def less(top_a: Array, base_a: Array, top_b: Array, base_b: Array, axis: int = -1) -> Array:
        return np.asarray(_share(top_b, base_b, axis) - _share(top_a, base_a, axis))

    one, two = (float(_share(data[k], data[k + 1])) for k in (0, 2))
    if np.isnan(one) or np.isnan(two):
        return Difference(
            figure=figure,
            first=None if np.isnan(one) else one,
            other=None if np.isnan(two) else two,
            value=None,
        )
    low, high = _bootstrap(data, less, how)
    return Difference(
        figure=figure, first=one, other=two, value=two - one, low=float(low), high=float(high)
    )


def _delay_difference(first: Results, other: Results, how: Resampling) -> Difference:
    tables = _delay_table(first, 0), _delay_table(other, 0)
    values = [float(_quantiles(table.ravel())[0]) for table in tables]
    told = [None if np.isnan(value) else value for value in values]
    if None in told or len(tables[0]) < 2:
        return Difference(figure="median_delay", first=told[0], other=told[1], value=None)
    rng = np.random.default_rng(how.seed)
    drawn = []
    for _ in range(how.draws):
        calls = rng.integers(0, len(tables[0]), len(tables[0]))
        a, b = (table[calls].ravel() for table in tables)
        a, b = a[~np.isnan(a)], b[~np.isnan(b)]
        if len(a) and len(b):
            drawn.append(float(np.median(b) - np.median(a)))
    low, high = np.quantile(drawn, ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2))
    return Difference(
        figure="median_delay",
        first=told[0],
        other=told[1],
        value=values[1] - values[0],
        low=float(low),
        high=float(high),
    )
