"""What ``bargein evaluate`` prints: figures with their uncertainty, in words and columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bargein.analysis.words import counted
from bargein.evaluation import LABELS, Difference, Evaluation, Moment, Point, Problem, Rate

from .table import aligned, clock_time

__all__ = ["percent", "render", "render_problems"]

_SHOWN_PROBLEMS = 20
"""Lines of what was left out; the JSON document and the report have all."""

_NAMES = {
    "recall": "interruptions let in",
    "false_backchannel": "false on backchannels",
    "false_noise": "false on noise",
    "precision": "of those taken, true",
    "median_delay": "median delay",
}


def render(evaluation: Evaluation) -> str:
    """Return an evaluation as text."""
    parts = [
        _head(evaluation),
        _operating(evaluation.point),
        _moments(evaluation.moments),
        _sweep(evaluation.sweep, evaluation.point.threshold),
        _comparison(evaluation),
        _foot(evaluation),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _head(evaluation: Evaluation) -> list[str]:
    results, point = evaluation.results, evaluation.point
    counts = ", ".join(counted(int(results.of(label).sum()), label) for label in LABELS)
    decides = "its own decision" if point.threshold is None else f"threshold {point.threshold:g}"
    latency = evaluation.candidate.options.latency
    late = f", answers after {latency:g} s" if latency else ""
    return [
        f"{evaluation.dataset.name}: {counted(len(results.entries), 'overlap')} in "
        f"{counted(len(results.groups), 'call')}, {clock_time(results.duration)} of audio",
        counts,
        f"judge: {evaluation.backend['name']} ({evaluation.backend['model']}), {decides}, "
        f"minimum duration {point.min_interruption_duration:g} s{late}",
    ]


def percent(rate: Rate) -> str:
    """Return a rate as a percentage."""
    return "-" if rate.value is None else f"{100 * rate.value:.1f} %"


def _interval(low: float | None, high: float | None, scale: float, digits: int) -> str:
    if low is None or high is None:
        return "-"
    return f"{scale * low:.{digits}f} to {scale * high:.{digits}f}"


def _operating(point: Point) -> list[str]:
    rows = [("", "", "95 % interval", "of")]
    for name in ("recall", "false_backchannel", "false_noise", "precision"):
        rate: Rate = getattr(point, name)
        interval = _interval(rate.low, rate.high, 100, 1)
        rows.append((_NAMES[name], percent(rate), interval, f"{rate.hits} of {rate.n}"))
    for words, delay in zip(("median delay", "9 in 10", "19 in 20"), point.delays, strict=True):
        value = "-" if delay.value is None else f"{delay.value:.2f} s"
        rows.append((words, value, _interval(delay.low, delay.high, 1, 2), ""))
    return aligned(rows, left="")


def _moments(moments: Iterable[Moment]) -> list[str]:
    head = ("overlap heard", "let in", "backchannels", "noise", "true of those taken", "AUC")
    rows = [
        (
            f"{1000 * each.seconds:.0f} ms",
            percent(each.recall),
            percent(each.false_backchannel),
            percent(each.false_noise),
            percent(each.precision),
            "-" if each.auc is None else f"{each.auc:.3f}",
        )
        for each in moments
    ]
    return aligned([head, *rows], left="")


def _sweep(sweep: Sequence[Point], operating: float | None) -> list[str]:
    head = ("threshold", "let in", "backchannels", "noise", "true of those taken", "median delay")
    rows = [
        (
            f"{'* ' if point.threshold == operating else ''}{point.threshold:g}",
            percent(point.recall),
            percent(point.false_backchannel),
            percent(point.false_noise),
            percent(point.precision),
            "-" if point.delays[0].value is None else f"{point.delays[0].value:.2f} s",
        )
        for point in sweep
    ]
    return aligned([head, *rows], left="") if rows else []


def _comparison(evaluation: Evaluation) -> list[str]:
    comparison = evaluation.comparison
    if comparison is None:
        return []
    point = comparison.point
    decides = "its own decision" if point.threshold is None else f"threshold {point.threshold:g}"
    lines = [
        f"against {comparison.backend['name']}, {decides}, minimum duration "
        f"{point.min_interruption_duration:g} s, on the same overlaps:"
    ]
    head = ("", "first", "other", "difference", "95 % interval", "the other is")
    rows = [head, *(_difference(each) for each in comparison.differences)]
    fixed, broken = comparison.changed["fixed"], comparison.changed["broken"]
    return [
        *lines,
        *aligned(rows, left=""),
        f"It puts {fixed} overlaps right that were wrong, and {broken} wrong that were right.",
    ]


def _difference(each: Difference) -> tuple[str, ...]:
    seconds = each.figure == "median_delay"
    scale, digits, unit = (1, 2, "s") if seconds else (100, 1, "%")

    def shown(value: float | None, sign: str = "") -> str:
        points = "pt" if sign and not seconds else unit
        return "-" if value is None else f"{scale * value:{sign}.{digits}f} {points}"

    word = "better" if each.is_better else "worse"
    unsure = f"not sure ({counted(each.calls, 'call')})" if each.differs_in_too_few else "not sure"
    verdict = word if each.is_sure else "-" if each.value is None else unsure
    return (
        _NAMES[each.figure],
        shown(each.first),
        shown(each.other),
        shown(each.value, "+"),
        _interval(each.low, each.high, scale, digits),
        verdict,
    )


def _foot(evaluation: Evaluation) -> list[str]:
    point, results, dataset = evaluation.point, evaluation.results, evaluation.dataset
    lines = []
    if point.strays:
        hours = results.agent_speech / 3600
        lines.append(
            f"seen where nothing is labelled: {counted(point.strays, 'interruption')} "
            f"({point.strays / hours:.1f} an hour of agent speech)"
        )
    if point.early:
        lines.append(f"found the agent stopped before they began: {counted(point.early, 'caller')}")
    if point.inconclusive:
        lines.append(f"left open, so the agent went on: {counted(point.inconclusive, 'overlap')}")
    if dataset.ignored or dataset.filtered:
        lines.append(f"not counted: {dataset.ignored} labels ignored, {dataset.filtered} filtered")
    return lines + render_problems(evaluation.problems)


def render_problems(problems: Sequence[Problem]) -> list[str]:
    """Return what was left out, a line each, and how many more."""
    if not problems:
        return []
    lines = [f"left out ({len(problems)}):", *(f"  {each}" for each in problems[:_SHOWN_PROBLEMS])]
    more = len(problems) - _SHOWN_PROBLEMS
    return [*lines, f"  … and {more} more"] if more > 0 else lines
