"""A call's timeline as a picture: both waveforms, the overlaps by outcome, the probability.

Needs matplotlib (``pip install 'bargein[plot]'``), imported at the first call. No window, no
display, no state of pyplot's: it draws the same bytes for the same analysis.
"""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bargein.errors import MissingExtraError, OptionError, StateError
from bargein.files import write_file

from .plot_row import Row
from .plot_style import DPI, FAINT, INK, ONE_ROW, ROWS, STYLES, Sizes, clock
from .report import Analysis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "check_plot", "draw", "save_plot"]

FORMATS = (".png", ".svg")

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
    drawn = io.BytesIO()
    with matplotlib.rc_context(_RC):
        figure = draw(analysis)
        figure.savefig(drawn, format=kind, dpi=DPI, facecolor="white", metadata=metadata)
    write_file(path, drawn.getvalue())


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
    sizes = ONE_ROW if rows == 1 else ROWS
    height = sizes.head + rows * sizes.row
    figure = Figure(figsize=(sizes.width, height))
    FigureCanvasAgg(figure)
    _head(figure, analysis, sizes, height)
    for row in range(rows):
        top = height - sizes.head - row * sizes.row
        Row(figure, analysis, sizes, top, row * seconds, seconds).draw()
    return figure


def _row_seconds(duration: float) -> float:
    if duration <= _ROW_SECONDS[0] * _STRETCH:
        return duration
    for seconds in _ROW_SECONDS:
        if duration <= seconds * _MOST_ROWS:
            return seconds
    return duration / _MOST_ROWS


def _head(figure: Figure, analysis: Analysis, sizes: Sizes, height: float) -> None:
    """Title on the left, what the colours mean on the right."""
    x, y = sizes.left / sizes.width, 1 - 0.3 / height
    summary = analysis.summary()
    name = Path(analysis.recording["caller"]["file"]).name
    overlaps = summary["overlaps"]
    threshold = analysis.threshold
    decides = "" if threshold is None else f", threshold {threshold:g}"
    figure.text(x, y, name, color=INK, fontsize=12, fontweight="bold", va="center")
    figure.text(
        x,
        1 - 0.53 / height,
        f"{clock(analysis.duration)} · {overlaps} overlap{'' if overlaps == 1 else 's'} · "
        f"{analysis.backend['model']}{decides}",
        color=FAINT,
        va="center",
    )
    figure.text(
        1 - sizes.right / sizes.width,
        1 - 0.53 / height,
        "grey band: the agent speaks · mark: the verdict, and its delay from the onset",
        color=FAINT,
        fontsize=8,
        ha="right",
        va="center",
    )
    from matplotlib.lines import Line2D

    handles: list[Any] = [
        Line2D([], [], color=color, marker=mark, linestyle="", markersize=7)
        for color, mark in STYLES.values()
    ]
    labels = [f"{outcome.value} ({analysis.count(outcome)})" for outcome in STYLES]
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
        labelcolor=INK,
        fontsize=9.5,
    )
