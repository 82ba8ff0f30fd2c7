"""The report's curves, as SVG by Matplotlib, and an overlap's timeline, as SVG of our own."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.errors import MissingExtraError

from .evaluator import Evaluation
from .figures import Point

__all__ = ["Timeline", "decider", "delay_chart", "timeline_svg", "trade_off_chart"]

INK = "#1f2933"
COLOURS = {"interruption": "#c2410c", "backchannel": "#1d4ed8", "noise": "#6b7280"}
OTHER = "#7c3aed"
"""The other candidate's colour."""

_WIDTH, _HEIGHT = 5.0, 3.6
"""Inches: narrow enough to stay readable on a telephone."""


_SECONDS = 2.0
"""What the curve of delays shows: who waits longer has given up."""


def decider(name: str, point: Point) -> str:
    """Name a judge with its settings, so that two of one name are told apart."""
    if point.threshold is None:
        return name
    long = (
        f", {point.min_interruption_duration:g} s" if point.min_interruption_duration > 0.05 else ""
    )
    return f"{name} at threshold {point.threshold:g}{long}"


def _figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("a report's curves", "evaluate") from error
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(True, color="#e5e7eb")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Any, name: str, title: str) -> str:
    """The figure as an element for a page: scalable, with a title, its ids its own."""
    import matplotlib as mpl

    data = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(data, format="svg", metadata={"Date": None, "Creator": None})
    text = data.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Ids are the page's, and each figure counts from one.
    text = re.sub(r'id="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    end = text.index(">") + 1
    return f"{text[:end]}<title>{escape(title)}</title>{text[end:]}"


def _percent(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else 100 * value for value in values]


def trade_off_chart(evaluation: Evaluation) -> str:
    """Interruptions let in against false ones, threshold by threshold."""
    figure, axes = _figure()
    sweep = evaluation.sweep
    recall = _percent([p.recall.value for p in sweep])
    for label, name in (("backchannel", "“mm-hmm”s"), ("noise", "noises")):
        rates = [getattr(p, f"false_{label}") for p in sweep]
        colour = COLOURS[label]
        axes.plot(_percent([r.value for r in rates]), recall, "-o", ms=3, color=colour, label=name)
        _mark(axes, evaluation.point, label, colour, "o")
        if evaluation.comparison is not None:
            _mark(axes, evaluation.comparison.point, label, colour, "D")
    axes.set_xlim(-2, 102)
    axes.set_ylim(0, 102)
    axes.set_xlabel("wrongly taken for interruptions, %")
    axes.set_ylabel("interruptions let in, %")
    axes.legend(loc="lower right", frameon=False)
    return _svg(figure, "tradeoff", "Interruptions let in against false alarms")


def _mark(axes: Any, point: Point, label: str, colour: str, marker: str) -> None:
    """An operating point with its uncertainty."""
    false: Any = getattr(point, f"false_{label}")
    recall: Any = point.recall
    if None in (false.value, recall.value):
        return
    axes.errorbar(
        [100 * false.value],
        [100 * recall.value],
        xerr=[[100 * max(0, false.value - false.low)], [100 * max(0, false.high - false.value)]],
        yerr=[
            [100 * max(0, recall.value - recall.low)],
            [100 * max(0, recall.high - recall.value)],
        ],
        fmt=marker,
        ms=9,
        mfc="white",
        mew=2,
        color=colour,
        capsize=3,
    )


def delay_chart(evaluation: Evaluation) -> str:
    """How many of all interruptions had been noticed so long after the caller began."""
    figure, axes = _figure()
    name = decider(evaluation.backend["name"], evaluation.point)
    candidates = [(name, evaluation.results, COLOURS["interruption"])]
    if (other := evaluation.comparison) is not None:
        candidates.append((decider(other.backend["name"], other.point), other.results, OTHER))
    for name, results, colour in candidates:
        real = results.of("interruption")
        delays = np.sort(results.delay[0][real])
        delays = delays[~np.isnan(delays)]
        share = 100 * (np.arange(len(delays)) + 1) / max(1, int(real.sum()))
        last = share[-1] if len(share) else 0
        times, shares = [0, *delays, max(_SECONDS, *delays, 0)], [0, *share, last]
        axes.step(times, shares, where="post", color=colour, label=name)
    axes.set_xlim(0, _SECONDS)
    axes.set_ylim(0, 102)
    axes.set_xlabel("seconds after the caller began")
    axes.set_ylabel("interruptions noticed, %")
    axes.legend(loc="lower right", frameon=False)
    return _svg(figure, "delay", "How soon interruptions are noticed")


# --- one overlap's timeline -----------------------------------------------------------------


@attrs.frozen(kw_only=True, eq=False)
class Timeline:
    """What a timeline shows; times in seconds of the recording."""

    start: float
    end: float
    caller: npt.NDArray[np.int16]
    """(n,): the caller's audio from start to end."""
    agent: npt.NDArray[np.int16]
    """(n,): the agent's; empty where it isn't there."""
    label: str
    labelled: tuple[float, float]
    estimates: tuple[tuple[float, float], ...]
    """(when a window was cut, its estimate)."""
    threshold: float | None
    verdict: float | None
    """When it was taken for an interruption."""


_W, _LANE, _CURVE = 640, 40, 70
"""The drawing's own units: width, height of a waveform's lane, height of the estimates'."""
_TICK = 24
"""The width of a tick's words, in the same units."""
_COLUMNS = 320
_LOUDEST = 0.25
"""Of full scale: what fills a lane, for telephone speech is seldom louder."""


def timeline_svg(shown: Timeline) -> str:
    """Agent, caller, and what the judge thought, over time."""
    top = 2 * _LANE
    height = top + _CURVE + 18

    def x(time: float) -> float:
        return round(_W * (time - shown.start) / (shown.end - shown.start), 1)

    def y(estimate: float) -> float:
        return round(top + 4 + (_CURVE - 8) * (1 - estimate), 1)

    colour = COLOURS[shown.label]
    begin, over = x(shown.labelled[0]), x(shown.labelled[1])
    parts = [
        f'<rect x="{begin}" y="0" width="{max(1, over - begin)}" height="{top + _CURVE}" '
        f'fill="{colour}" opacity="0.13"/>',
        _wave(shown.agent, 0, "#9ca3af"),
        _wave(shown.caller, _LANE, colour),
    ]
    parts += [
        f'<text x="4" y="{at + 11}" class="lane">{name}</text>'
        for at, name in ((0, "agent"), (_LANE, "caller"), (top, "how sure"))
    ]
    if shown.threshold is not None:
        level = y(shown.threshold)
        parts.append(
            f'<line x1="0" x2="{_W}" y1="{level}" y2="{level}" stroke="{INK}" '
            'stroke-dasharray="5 4" stroke-width="1"/>'
        )
    dots = " ".join(f"{x(at)},{y(value)}" for at, value in shown.estimates)
    parts.append(f'<polyline points="{dots}" fill="none" stroke="{INK}" stroke-width="2"/>')
    parts += [
        f'<circle cx="{x(at)}" cy="{y(value)}" r="2.5" fill="{INK}"/>'
        for at, value in shown.estimates
    ]
    if shown.verdict is not None:
        at = x(shown.verdict)
        parts.append(
            f'<line x1="{at}" x2="{at}" y1="0" y2="{top + _CURVE}" stroke="#b91c1c" '
            'stroke-width="2"/>'
        )
    for second in range(int(np.ceil(shown.start)), int(shown.end) + 1):
        if _TICK / 2 <= x(second) <= _W - _TICK / 2:  # or a part of it would be outside
            parts.append(f'<text x="{x(second)}" y="{height - 4}" class="tick">{second} s</text>')
    return (
        f'<svg viewBox="0 0 {_W} {height}" role="img" class="timeline">'
        f"<title>Timeline of a {shown.label}</title>{''.join(parts)}</svg>"
    )


def _wave(samples: npt.NDArray[np.int16], top: float, colour: str) -> str:
    """A waveform as one path: the loudest of each column, up and down."""
    if not len(samples):
        return ""
    pieces = np.array_split(np.abs(samples.astype(np.float32)) / 32768, _COLUMNS)
    peaks = [min(1.0, float(piece.max(initial=0.0)) / _LOUDEST) for piece in pieces]
    middle, step = top + _LANE / 2, _W / _COLUMNS
    path = "".join(
        f"M{round(k * step, 1)} {round(middle - peak * _LANE / 2, 1)}v{round(peak * _LANE, 1)}"
        for k, peak in enumerate(peaks)
    )
    return f'<path d="{path}" stroke="{colour}" stroke-width="{step * 0.8:.2f}"/>'
