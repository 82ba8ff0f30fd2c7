"""One row of a call's picture: the agent, the caller and the probability above each other."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs
import numpy as np
import numpy.typing as npt

from .plot_style import (
    AGENT,
    AGENT_TURN,
    CALLER,
    DPI,
    FAINT,
    INK,
    LINE,
    ONE_ROW,
    ROWS,
    STYLES,
    Sizes,
    clock,
)
from .report import AnalysedOverlap, Analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Row"]

_Floats = npt.NDArray[np.float64]
_Label = tuple[float, str, str]
"""Where, in seconds; the text; its colour."""


@attrs.define(eq=False)
class Row:
    """Draws one row: agent, caller, probability."""

    figure: Figure
    analysis: Analysis
    sizes: Sizes
    top: float
    """Inches from the picture's foot."""
    start: float
    """Seconds of the call."""
    seconds: float

    @property
    def end(self) -> float:
        return self.start + self.seconds

    @property
    def last(self) -> float:
        """Where the call ends, if it does in this row."""
        return min(self.end, self.analysis.duration)

    @property
    def pixel(self) -> float:
        """Seconds of a pixel of the PNG."""
        return self.seconds / ((self.sizes.width - self.sizes.left - self.sizes.right) * DPI)

    def draw(self) -> None:
        sizes = self.sizes
        agent = self._lane(0.0, sizes.agent)
        at = sizes.agent + sizes.gap + sizes.labels
        caller = self._lane(at, sizes.caller)
        at += sizes.caller + sizes.gap
        probability = self._lane(at, sizes.probability)
        self._name(agent, "agent")
        self._name(caller, "caller")
        overlaps = [
            overlap
            for overlap in self.analysis.overlaps
            if overlap.start < self.end and max(overlap.end, overlap.decided_at) >= self.start
        ]
        self._agent(agent)
        self._caller(caller, overlaps)
        self._probability(probability, overlaps)
        if sizes is ONE_ROW:
            self._labels(caller, probability, overlaps)
        for overlap in overlaps:
            self._verdict((agent, caller, probability), overlap)

    def _lane(self, below: float, height: float) -> Axes:
        """Axes ``below`` inches under the row's top."""
        sizes = self.sizes
        total = self.figure.get_size_inches()[1]
        axes = self.figure.add_axes(
            (
                sizes.left / sizes.width,
                (self.top - below - height) / total,
                (sizes.width - sizes.left - sizes.right) / sizes.width,
                height / total,
            )
        )
        axes.set_xlim(self.start, self.end)
        axes.set_yticks([])
        axes.tick_params(axis="x", bottom=False, labelbottom=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        for turn in self.analysis.turns:
            if turn.start < self.end and turn.end > self.start:
                axes.axvspan(turn.start, turn.end, color=AGENT_TURN, linewidth=0, zorder=0)
        return axes

    def _name(self, axes: Axes, name: str, x: float = -0.012) -> None:
        axes.text(x, 0.5, name, transform=axes.transAxes, ha="right", va="center", color=INK)

    # --- lanes ------------------------------------------------------------------------------

    def _wave(self, who: str) -> tuple[_Floats, _Floats, _Floats]:
        """Times, lows and highs in this row, the loudest of the call at 1."""
        low, high = self.analysis.waveforms[who]
        duration, columns = self.analysis.duration, len(low)
        first = max(0, math.floor(self.start / duration * columns) - 1)
        last = min(columns, math.ceil(self.end / duration * columns) + 1)
        times: _Floats = np.arange(first + 0.5, last, dtype=np.float64) * (duration / columns)
        loudest = max(1, int(high.max(initial=1)), -int(low.min(initial=-1)))
        return times, low[first:last] / loudest, high[first:last] / loudest

    def _agent(self, axes: Axes) -> None:
        times, low, high = _thinned(*self._wave("agent"), self.pixel)
        axes.set_ylim(-1.08, 1.08)
        axes.fill_between(times, low, high, color=AGENT, linewidth=0.3, zorder=2)

    def _caller(self, axes: Axes, overlaps: Iterable[AnalysedOverlap]) -> None:
        times, low, high = _thinned(*self._wave("caller"), self.pixel)
        axes.set_ylim(-1.08, 1.08)
        axes.fill_between(times, low, high, color=CALLER, linewidth=0.3, zorder=2)
        for overlap in overlaps:
            color, _ = STYLES[overlap.event.outcome]
            start, end = self._extent(overlap)
            axes.axvspan(start, end, color=color, alpha=0.16, linewidth=0, zorder=1)
            inside = (times >= start) & (times <= end)
            axes.fill_between(
                times[inside], low[inside], high[inside], color=color, linewidth=0.3, zorder=3
            )

    def _extent(self, overlap: AnalysedOverlap) -> tuple[float, float]:
        """Where an overlap is drawn: wide enough to be seen in a long call."""
        return overlap.start, max(overlap.end, overlap.start + 3 * self.pixel)

    def _probability(self, axes: Axes, overlaps: Iterable[AnalysedOverlap]) -> None:
        axes.set_ylim(-0.04, 1.08)
        axes.set_yticks([0, 1] if self.sizes is ROWS else [0, 0.5, 1])
        axes.tick_params(axis="y", length=0, labelcolor=FAINT, labelsize=7.5, pad=2)
        self._name(axes, "probability", -0.034)
        axes.spines["bottom"].set(visible=True, color=LINE)
        self._ticks(axes)
        threshold = self.analysis.threshold
        if threshold is not None:
            axes.plot(
                [self.start, self.last], [threshold] * 2, color=FAINT, linewidth=0.9,
                linestyle=(0, (4, 3)), zorder=2,
            )  # fmt: skip
        for overlap in overlaps:
            self._course(axes, overlap)

    def _course(self, axes: Axes, overlap: AnalysedOverlap) -> None:
        """An overlap's probability, from its onset to its verdict."""
        color, _ = STYLES[overlap.event.outcome]
        start, end = self._extent(overlap)
        axes.axvspan(start, end, color=color, alpha=0.16, linewidth=0, zorder=1)
        if not overlap.answers:
            return
        times = [overlap.start, *(answer.at for answer in overlap.answers), overlap.decided_at]
        values = [0.0, *(answer.probability for answer in overlap.answers)]
        values.append(values[-1])
        axes.fill_between(
            times, 0, values, step="post", color=color, alpha=0.25, linewidth=0, zorder=2
        )
        axes.step(times, values, where="post", color=color, linewidth=1.5, zorder=3)

    def _ticks(self, axes: Axes) -> None:
        from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

        span = next((s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600)
                     if self.seconds / s <= 13), None)  # fmt: skip
        axes.xaxis.set_major_locator(MultipleLocator(span) if span else MaxNLocator(12))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: clock(value)))
        axes.tick_params(
            axis="x", bottom=True, labelbottom=True, color=LINE, labelcolor=FAINT, labelsize=8
        )

    def _verdict(self, lanes: tuple[Axes, Axes, Axes], overlap: AnalysedOverlap) -> None:
        """The moment of the verdict: a line through all lanes, a mark at the probability."""
        at = overlap.decided_at
        if not self.start <= at < self.end:
            return
        color, mark = STYLES[overlap.event.outcome]
        for axes in lanes[1:]:
            axes.axvline(at, color=color, linewidth=1.0, zorder=4)
        lanes[2].plot(
            [at], [overlap.event.probability], marker=mark, markersize=7, color=color,
            markeredgecolor="white", markeredgewidth=0.8, zorder=5, clip_on=False,
        )  # fmt: skip

    def _labels(self, caller: Axes, probability: Axes, overlaps: list[AnalysedOverlap]) -> None:
        """Name the overlaps and their delays, as far as there is room."""
        names: list[_Label] = []
        delays: list[_Label] = []
        for overlap in overlaps:
            color, _ = STYLES[overlap.event.outcome]
            delay = f"{overlap.decided_at - overlap.start:.2f} s"
            names.append((overlap.start, overlap.event.outcome.value, color))
            delays.append((overlap.decided_at + 6 * self.pixel, delay, color))
        self._place(caller, names, size=8, levels=(1.06, 1.22))
        self._place(probability, delays, size=7.5, levels=(0.82,))

    def _place(
        self, axes: Axes, labels: list[_Label], *, size: float, levels: tuple[float, ...]
    ) -> None:
        """Write labels from left to right, each on the lowest level where it has room, if any."""
        free_from = dict.fromkeys(levels, -math.inf)
        for at, label, color in sorted(labels):
            text = axes.text(
                at, 0, label, color=color, fontsize=size, va="bottom", zorder=6,
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip
            width = text.get_window_extent().width / axes.bbox.width * self.seconds
            at = min(at, self.end - width)
            level = next((level for level in levels if free_from[level] <= at), None)
            if level is None:
                text.remove()
                continue
            text.set_position((at, level))
            free_from[level] = at + width + 4 * self.pixel


def _thinned(
    times: _Floats, low: _Floats, high: _Floats, pixel: float
) -> tuple[_Floats, _Floats, _Floats]:
    """Fold columns that fall into one pixel, keeping the extremes."""
    if len(times) < 2:
        return times, low, high
    several = max(1, int(pixel / (times[1] - times[0])))
    starts = np.arange(0, len(times), several)
    first: _Floats = times[starts]
    return first, np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
