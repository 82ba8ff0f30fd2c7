"""The figures of an evaluation: rates, delays, and how sure they are."""

from __future__ import annotations

import warnings
from typing import Any

import attrs
import numpy as np

from bargein.errors import MissingExtraError

from .dataset import LABELS
from .intervals import Array, Resampling, by_group, interval_of, share_intervals
from .results import Bools, Results
from .score import MOMENTS

__all__ = [
    "DELAYS",
    "Delay",
    "Moment",
    "Point",
    "Rate",
    "delay_table",
    "moments",
    "points",
    "quantiles",
]

DELAYS = (0.5, 0.9, 0.95)
"""Quantiles of delays that are told."""


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
        interval = None if self.low is None else [rounded(self.low), rounded(self.high)]
        return {
            "value": rounded(self.value),
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
        interval = None if self.low is None else [rounded(self.low), rounded(self.high)]
        return {"value": rounded(self.value), "interval": interval}


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
            "auc": rounded(self.auc),
        }


def rounded(value: float | None, digits: int = 4) -> float | None:
    """Return what JSON documents show."""
    return None if value is None else round(float(value), digits)


# --- rates ----------------------------------------------------------------------------------


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


# --- delays ---------------------------------------------------------------------------------


def delay_table(results: Results, row: int) -> Array:
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


def quantiles(table: Array, which: Any = DELAYS) -> Array:
    """(…, G, most) with NaN -> (quantiles, …); NaN where there is nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        values = table.reshape(*table.shape[:-2], -1)
        return np.asarray(np.nanquantile(values, which, axis=-1))


def delays(results: Results, row: int, how: Resampling | None = None) -> tuple[Delay, ...]:
    """Quantiles of the delays of one setting; with intervals where ``how`` is given."""
    table = delay_table(results, row)
    values = quantiles(table)
    if np.isnan(values).any():
        return tuple(Delay(value=None) for _ in DELAYS)
    calls = np.arange(len(table))
    if how is None or np.count_nonzero(~np.isnan(table[:, 0])) < 2:
        return tuple(Delay(value=float(value)) for value in values)

    def of_drawn(drawn: Array, axis: int = -1) -> Array:
        return quantiles(table[drawn])

    low, high = interval_of((calls,), of_drawn, how)
    return tuple(
        Delay(value=float(v), low=float(a), high=float(b))
        for v, a, b in zip(values, low, high, strict=True)
    )


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
