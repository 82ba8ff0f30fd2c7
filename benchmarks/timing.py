"""Paired timing: each subject against a floor, in turn, in one process.

A shared or throttled machine makes absolute times drift by half and more, but it slows neighbours
alike. So the floor and the subjects take turns in short rounds, each round gives one ratio per
subject, and what is reported is the median of the ratios, with the quartiles to show how steady it
was. CPU time of the whole process is the default clock: it leaves out what other processes took,
and counts the threads that a library starts. For what waits, pass ``clock=time.perf_counter``.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Mapping

import attrs

__all__ = ["Figure", "measure", "table"]

Clock = Callable[[], float]
Subject = Callable[[], object]


@attrs.frozen
class Figure:
    """What one subject cost."""

    name: str
    seconds: float
    """Median time of one call, in seconds."""
    ratio: float
    """Median, over the rounds, of this subject's time to the floor's in the same round."""
    low: float
    high: float
    """The quartiles of those ratios."""


def measure(
    floor: tuple[str, Subject],
    subjects: Mapping[str, Subject],
    *,
    rounds: int = 25,
    block: float = 0.005,
    clock: Clock = time.process_time,
) -> list[Figure]:
    """Time the floor and each subject in turn; return the floor's figure first.

    A subject is called as often in a row as fills ``block`` seconds, so that the clock's own cost
    (0.3 us) is lost in it; there are ``rounds`` such blocks of each, in an order that rotates. The
    garbage collector rests meanwhile. The whole takes about
    ``rounds * block * (1 + len(subjects))`` seconds.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}; at least 1 is needed")
    every = {floor[0]: floor[1], **subjects}
    if len(every) != 1 + len(subjects):
        raise ValueError(f"a subject has the floor's name, {floor[0]!r}; give it another")
    calls = {name: _calls_per_block(subject, block, clock) for name, subject in every.items()}
    times: dict[str, list[float]] = {name: [] for name in every}
    names = list(every)
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                times[name].append(_time(every[name], calls[name], clock) / calls[name])
    finally:
        if collecting:
            gc.enable()
    return [_figure(name, times[name], times[floor[0]]) for name in names]


def table(figures: Iterable[Figure], *, title: str = "") -> str:
    """Set figures out in columns; a ratio is to the first row, the floor.

    ``low`` and ``high`` are the quartiles of the ratio over the rounds.
    """
    rows = [("", "time", "ratio", "low", "high")]
    rows += [
        (f.name, _readable(f.seconds), f"{f.ratio:.2f}", f"{f.low:.2f}", f"{f.high:.2f}")
        for f in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [title] if title else []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _time(subject: Subject, calls: int, clock: Clock) -> float:
    turns = range(calls)
    begin = clock()
    for _ in turns:
        subject()
    return clock() - begin


def _calls_per_block(subject: Subject, block: float, clock: Clock) -> int:
    """Find how many calls fill a block; this warms caches and lazy tables up as well."""
    calls = 1
    while True:
        spent = _time(subject, calls, clock)
        if spent >= block:
            return max(1, round(calls * block / spent))
        # At most tenfold at once: the first call may have been slow for reasons of its own.
        calls = max(calls + 1, min(calls * 10, round(calls * 1.2 * block / max(spent, 1e-9))))


def _figure(name: str, times: list[float], floor: list[float]) -> Figure:
    ratios = [one / base for one, base in zip(times, floor, strict=True)]
    low, ratio, high = (
        statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    )
    return Figure(name, statistics.median(times), ratio, low, high)


def _readable(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
