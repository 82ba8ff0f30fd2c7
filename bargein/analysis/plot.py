"""A call's timeline as a picture: both waveforms, the overlaps by outcome, the probability.

Needs matplotlib (``pip install 'bargein[plot]'``), imported at the first call. No window, no
display, no state of pyplot's: it draws the same bytes for the same analysis.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.core import Outcome
from bargein.errors import MissingExtraError, OptionError, StateError

from .report import AnalysedOverlap, Analysis

_Floats = npt.NDArray[np.float64]
_Label = tuple[float, str, str]
"""Where, in seconds; the text; its colour."""

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "check_plot", "draw", "save_plot"]

FORMATS = (".png", ".svg")

_STYLES = {
    Outcome.INTERRUPTION: ("#D55E00", "^"),
    Outcome.BACKCHANNEL: ("#0072B2", "o"),
    Outcome.INCONCLUSIVE: ("#8A6FA8", "X"),
}
"""Each outcome's colour and mark. The colours differ for every kind of colour vision (after Okabe
and Ito), the marks on paper too."""

_INK = "#2B2F36"
_FAINT = "#8A919C"
_LINE = "#D5D9DF"
_AGENT = "#5B6470"
_AGENT_TURN = "#EEF0F3"
_CALLER = "#A9B0BA"

_ROW_SECONDS = (60, 120, 180, 300, 600, 900, 1200, 1800, 3600)
"""Lengths of a row that clocks make readable."""

_MOST_ROWS = 12
"""Rows before they get longer: about what a screen shows at two heights."""

_STRETCH = 1.5
"""A call that exceeds a row by less than half still gets one: a rest of a row looks odd."""

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that all machines draw the same
    "font.size": 9,
    "axes.linewidth": 0.8,
    "path.simplify": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "bargein",
}


@attrs.frozen
class _Sizes:
    """Inches of a picture; lanes from the top down."""

    width: float = 12.0
    left: float = 1.25
    right: float = 0.3
    head: float = 0.72
    agent: float = 0.72
    labels: float = 0.36
    caller: float = 0.9
    probability: float = 0.85
    gap: float = 0.07
    foot: float = 0.45

    @property
    def row(self) -> float:
        return self.agent + self.labels + self.caller + self.probability + 2 * self.gap + self.foot


_ONE_ROW = _Sizes()
_ROWS = _Sizes(agent=0.4, labels=0.0, caller=0.5, probability=0.45, foot=0.36)

_DPI = 150
"""Dots per inch of a PNG: 1800 wide, sharp on a dense screen, 100 KB."""


def check_plot(path: str | os.PathLike[str]) -> None:
    """Find out before the work begins whether a picture can be drawn to ``path``.

    Raises :class:`~bargein.errors.OptionError` for a name that ends neither in .png nor in .svg,
    and :class:`~bargein.errors.MissingExtraError` where matplotlib isn't installed.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise OptionError(
            f"the picture's name came as {os.fspath(path)!r}; expected one that ends in .png "
            "or .svg"
        )
    try:
        import matplotlib  # noqa: F401
    except ImportError as exc:
        raise MissingExtraError("drawing", "plot") from exc


def save_plot(analysis: Analysis, path: str | os.PathLike[str]) -> None:
    """Draw an analysis to a PNG or SVG file.

    Raises what :func:`check_plot` raises, :class:`~bargein.errors.StateError` for an analysis
    made without ``waveforms=True``, and ``OSError`` where the file can't be written.
    """
    check_plot(path)
    import matplotlib

    kind = Path(path).suffix.lower()[1:]
    # Neither a date nor a version: the same analysis is the same file.
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context(_RC):
        figure = draw(analysis)
        figure.savefig(path, format=kind, dpi=_DPI, facecolor="white", metadata=metadata)


def draw(analysis: Analysis) -> Figure:
    """Return the picture as a matplotlib figure: a row of three lanes, or several rows."""
    if not analysis.waveforms:
        raise StateError(
            "the analysis came without waveforms; to draw it, call analyze(…, waveforms=True)"
        )
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    seconds = _row_seconds(analysis.duration)
    rows = max(1, math.ceil(analysis.duration / seconds - 1e-9))
    sizes = _ONE_ROW if rows == 1 else _ROWS
    height = sizes.head + rows * sizes.row
    figure = Figure(figsize=(sizes.width, height))
    FigureCanvasAgg(figure)
    _head(figure, analysis, sizes, height)
    for row in range(rows):
        top = height - sizes.head - row * sizes.row
        _Row(figure, analysis, sizes, top, row * seconds, seconds).draw()
    return figure


def _row_seconds(duration: float) -> float:
    if duration <= _ROW_SECONDS[0] * _STRETCH:
        return duration
    for seconds in _ROW_SECONDS:
        if duration <= seconds * _MOST_ROWS:
            return seconds
    return duration / _MOST_ROWS


def _head(figure: Figure, analysis: Analysis, sizes: _Sizes, height: float) -> None:
    """Title on the left, what the colours mean on the right."""
    x, y = sizes.left / sizes.width, 1 - 0.3 / height
    summary = analysis.summary()
    name = Path(analysis.recording["caller"]["file"]).name
    overlaps = summary["overlaps"]
    threshold = analysis.threshold
    decides = "" if threshold is None else f", threshold {threshold:g}"
    figure.text(x, y, name, color=_INK, fontsize=12, fontweight="bold", va="center")
    figure.text(
        x,
        1 - 0.53 / height,
        f"{_clock(analysis.duration)} · {overlaps} overlap{'' if overlaps == 1 else 's'} · "
        f"{analysis.backend['model']}{decides}",
        color=_FAINT,
        va="center",
    )
    figure.text(
        1 - sizes.right / sizes.width,
        1 - 0.53 / height,
        "grey band: the agent speaks · mark: the verdict, and its delay from the onset",
        color=_FAINT,
        fontsize=8,
        ha="right",
        va="center",
    )
    from matplotlib.lines import Line2D

    handles: list[Any] = [
        Line2D([], [], color=color, marker=mark, linestyle="", markersize=7)
        for color, mark in _STYLES.values()
    ]
    labels = [f"{outcome.value} ({analysis.count(outcome)})" for outcome in _STYLES]
    figure.legend(
        handles,
        labels,
        loc="center right",
        bbox_to_anchor=(1 - sizes.right / sizes.width, 1 - 0.3 / height),
        borderaxespad=0,
        borderpad=0,
        ncols=3,
        frameon=False,
        handletextpad=0.2,
        columnspacing=1.4,
        labelcolor=_INK,
        fontsize=9.5,
    )


@attrs.define(eq=False)
class _Row:
    """One row of the picture: agent, caller, probability."""

    figure: Figure
    analysis: Analysis
    sizes: _Sizes
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
        return self.seconds / ((self.sizes.width - self.sizes.left - self.sizes.right) * _DPI)

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
        if sizes is _ONE_ROW:
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
                axes.axvspan(turn.start, turn.end, color=_AGENT_TURN, linewidth=0, zorder=0)
        return axes

    def _name(self, axes: Axes, name: str, x: float = -0.012) -> None:
        axes.text(x, 0.5, name, transform=axes.transAxes, ha="right", va="center", color=_INK)

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
        axes.fill_between(times, low, high, color=_AGENT, linewidth=0.3, zorder=2)

    def _caller(self, axes: Axes, overlaps: Iterable[AnalysedOverlap]) -> None:
        times, low, high = _thinned(*self._wave("caller"), self.pixel)
        axes.set_ylim(-1.08, 1.08)
        axes.fill_between(times, low, high, color=_CALLER, linewidth=0.3, zorder=2)
        for overlap in overlaps:
            color, _ = _STYLES[overlap.event.outcome]
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
        axes.set_yticks([0, 1] if self.sizes is _ROWS else [0, 0.5, 1])
        axes.tick_params(axis="y", length=0, labelcolor=_FAINT, labelsize=7.5, pad=2)
        self._name(axes, "probability", -0.034)
        axes.spines["bottom"].set(visible=True, color=_LINE)
        self._ticks(axes)
        threshold = self.analysis.threshold
        if threshold is not None:
            axes.plot(
                [self.start, self.last], [threshold] * 2, color=_FAINT, linewidth=0.9,
                linestyle=(0, (4, 3)), zorder=2,
            )  # fmt: skip
        for overlap in overlaps:
            self._course(axes, overlap)

    def _course(self, axes: Axes, overlap: AnalysedOverlap) -> None:
        """An overlap's probability, from its onset to its verdict."""
        color, _ = _STYLES[overlap.event.outcome]
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
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _clock(value)))
        axes.tick_params(
            axis="x", bottom=True, labelbottom=True, color=_LINE, labelcolor=_FAINT, labelsize=8
        )

    def _verdict(self, lanes: tuple[Axes, Axes, Axes], overlap: AnalysedOverlap) -> None:
        """The moment of the verdict: a line through all lanes, a mark at the probability."""
        at = overlap.decided_at
        if not self.start <= at < self.end:
            return
        color, mark = _STYLES[overlap.event.outcome]
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
            color, _ = _STYLES[overlap.event.outcome]
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


def _clock(seconds: float) -> str:
    """Return a time as m:ss, or h:mm:ss."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
