"""The report: one file that a browser opens anywhere, with curves, mistakes and their sound."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bargein._version import __version__
from bargein.analysis.call import Side
from bargein.analysis.words import counted
from bargein.audio.files import open_recording
from bargein.errors import AudioFileError
from bargein.files import write_file

from .charts import Timeline, decider, delay_chart, timeline_svg, trade_off_chart
from .dataset import Track
from .evaluator import Evaluation, Mistake
from .figures import Point, Rate
from .paired import Difference
from .run import Plan, hear_call
from .settle import estimates

__all__ = ["render_report", "write_report"]

_BEFORE, _AFTER = 1.5, 1.5
"""Seconds of a call that are shown and played around a mistake."""

_CLASSES = ("recall", "false_backchannel", "false_noise", "precision")
_NAMES = {
    "recall": "Interruptions let in",
    "false_backchannel": "“Mm-hmm”s that stop the agent",
    "false_noise": "Noises that stop the agent",
    "precision": "Of what stops the agent, true interruptions",
    "median_delay": "Median time until the agent knows",
}
_SHORT = {
    "recall": "letting interruptions in",
    "false_backchannel": "ignoring “mm-hmm”s",
    "false_noise": "ignoring noises",
    "median_delay": "speed",
}
"""What a comparison's sentence names; precision follows from the others."""


def write_report(
    evaluation: Evaluation, path: str | os.PathLike[str], *, mistakes: int = 8
) -> None:
    """Write the report. ``mistakes``: of each kind, how many are shown and played.

    Raises ``OSError`` where it can't be written.
    """
    write_file(path, render_report(evaluation, mistakes=mistakes).encode())


def render_report(evaluation: Evaluation, *, mistakes: int = 8) -> str:
    """Return the report as a page that needs no other file."""
    missed, false = evaluation.mistakes()
    parts = [
        _summary(evaluation),
        _section("The trade-off", _curves(evaluation)),
        _section("Compared", _comparison(evaluation)) if evaluation.comparison else "",
        _section("Figures", _tables(evaluation)),
        _section(
            f"Interruptions that were missed ({len(missed)})",
            _shown(evaluation, missed[:mistakes], len(missed), "It never got sure enough."),
        ),
        _section(
            f"Callers who were taken wrongly ({len(false)})",
            _shown(evaluation, false[:mistakes], len(false), "The agent would have stopped."),
        ),
        _section("What was left out", _left_out(evaluation)),
    ]
    style = files("bargein.evaluation").joinpath("report.css").read_text(encoding="utf-8")
    title = f"Evaluation of {evaluation.backend['name']}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body><main>"
        f"<h1>{escape(title)}</h1>{''.join(parts)}"
        f"<footer>bargein {__version__}</footer></main></body></html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


# --- in words -------------------------------------------------------------------------------


def _summary(evaluation: Evaluation) -> str:
    point, results, dataset = evaluation.point, evaluation.results, evaluation.dataset
    tiles = [
        _tile(point.recall, "of true interruptions are let in", "good"),
        _tile(point.false_backchannel, "of “mm-hmm”s stop the agent wrongly", "bad"),
        _tile(point.false_noise, "of noises stop the agent wrongly", "bad"),
    ]
    median = point.delays[0]
    if median.value is not None:
        sure = "" if median.low is None else f"between {median.low:.2f} and {median.high:.2f} s"
        tiles.append(
            f'<div class="tile"><b>{median.value:.2f} s</b><span>is the median time from the '
            f"caller’s first sound until the agent knows</span><small>{sure}</small></div>"
        )
    counts = [
        counted(int(results.of("interruption").sum()), "interruption"),
        counted(int(results.of("backchannel").sum()), "backchannel") + " (“mm-hmm”, “right”)",
        counted(int(results.of("noise").sum()), "noise"),
    ]
    return (
        "<p>A caller speaks, or only makes a sound, while the agent is speaking. The agent should "
        "stop for a true interruption, and go on for all else. This is how often "
        f"<b>{escape(decider(evaluation.backend['name'], point))}</b> gets that right.</p>"
        f'<div class="tiles">{"".join(tiles)}</div>'
        "<p class='note'>The range under each figure is where the true value lies with 95 % "
        f"certainty, going by so many calls. Measured on {escape(Path(dataset.name).name)}: "
        f"{', '.join(counts)}, in {counted(len(results.groups), 'call')}, "
        f"{counted(round(results.duration / 60), 'minute')} of audio. "
        f"Model: {escape(evaluation.backend['model'])}.</p>{_in_short(evaluation)}"
    )


def _in_short(evaluation: Evaluation) -> str:
    """What the comparison says, in a sentence."""
    comparison = evaluation.comparison
    if comparison is None:
        return ""
    told: dict[str, list[str]] = {"better": [], "worse": [], "not sure": []}
    for each in comparison.differences:
        if each.value is not None and each.figure in _SHORT:
            word = ("better" if each.is_better else "worse") if each.is_sure else "not sure"
            told[word].append(_SHORT[each.figure])
    said = [
        f"{words} {_and(told[word])}"
        for word, words in (("better", "better at"), ("worse", "worse at"))
        if told[word]
    ]
    name = escape(decider(comparison.backend["name"], comparison.point))
    sentence = f"{name} is {'; '.join(said)}." if said else ""
    if told["not sure"]:
        sentence += f" On {_and(told['not sure'])} these calls can’t tell the two apart."
    return f"<p class='short'><b>The alternative:</b> {sentence.strip()}</p>"


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _tile(rate: Rate, words: str, kind: str) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return f'<div class="tile"><b>–</b><span>{words}: none were labelled</span></div>'
    return (
        f'<div class="tile {kind}"><b>{100 * rate.value:.0f} %</b><span>{words}</span>'
        f"<small>{rate.hits} of {rate.n}; {100 * rate.low:.0f} to {100 * rate.high:.0f} %</small>"
        "</div>"
    )


def _curves(evaluation: Evaluation) -> str:
    if not evaluation.sweep:
        return "<p>The judge decides by itself; there is no threshold to turn.</p>"
    other = "" if evaluation.comparison is None else " The diamonds are the alternative."
    return (
        '<div class="charts"><figure>'
        f"{trade_off_chart(evaluation)}<figcaption>Each dot is a threshold. A judge that is "
        "quicker to stop the agent moves up, and to the right. The large circle is the present "
        f"threshold, with its uncertainty.{other}</figcaption></figure><figure>"
        f"{delay_chart(evaluation)}<figcaption>How many of all interruptions have been noticed so "
        "long after the caller began.</figcaption></figure></div>"
    )


def _comparison(evaluation: Evaluation) -> str:
    comparison = evaluation.comparison
    assert comparison is not None
    rows = [_difference_row(each) for each in comparison.differences]
    fixed, broken = comparison.changed["fixed"], comparison.changed["broken"]
    name = escape(decider(comparison.backend["name"], comparison.point))
    head = ["", "now", "alternative", "difference", "95 % interval", "verdict"]
    return (
        f"<p>With <b>{name}</b>, on the same calls, {counted(fixed, 'overlap')} of those judged "
        f"wrongly now would be judged rightly, and {broken} the other way round.</p>"
        f"{_table(head, rows)}"
        "<p class='note'>A difference counts as sure where its interval leaves 0 out and six "
        "calls or more differ.</p>"
    )


def _difference_row(each: Difference) -> list[str]:
    def shown(value: float | None, sign: str = "") -> str:
        if value is None:
            return "–"
        if each.figure == "median_delay":
            return f"{value:{sign}.2f} s"
        return f"{100 * value:{sign}.1f}" + (" points" if sign else " %")

    if each.value is None:
        verdict = "–"
    elif not each.is_sure:
        few = f": only {each.calls} calls differ" if each.differs_in_too_few else ""
        verdict = f"can’t be told apart{few}"
    else:
        verdict = "better" if each.is_better else "worse"
    interval = "–"
    if each.low is not None and each.high is not None:
        scale, digits = (1, 2) if each.figure == "median_delay" else (100, 1)
        interval = f"{scale * each.low:+.{digits}f} to {scale * each.high:+.{digits}f}"
    return [
        _NAMES[each.figure],
        shown(each.first),
        shown(each.other),
        shown(each.value, "+"),
        interval,
        verdict,
    ]


# --- tables ---------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'


def _rate(rate: Rate) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return "–"
    return f"{100 * rate.value:.1f} % ({100 * rate.low:.0f}–{100 * rate.high:.0f})"


def _tables(evaluation: Evaluation) -> str:
    heard = [
        [
            f"{each.seconds * 1000:.0f} ms",
            *(_rate(getattr(each, name)) for name in _CLASSES),
            "–" if each.auc is None else f"{each.auc:.3f}",
        ]
        for each in evaluation.moments
    ]
    head = ["let in", "“mm-hmm”s", "noises", "true of those taken"]
    parts = [
        "<p>What the judge has decided so long after the caller began:</p>",
        _table(["heard", *head, "AUC"], heard),
        "<p class='note'>In brackets: the 95 % interval. AUC: how well the judge’s estimates tell "
        "interruptions from the rest, whatever the threshold; 1 is without fail, 0.5 a coin.</p>",
    ]
    if evaluation.sweep:
        rows = [_sweep_row(point, evaluation.point.threshold) for point in evaluation.sweep]
        parts += [
            "<p>At other thresholds:</p>",
            _table(["threshold", *head, "median", "9 in 10"], rows),
        ]
    return "".join(parts)


def _sweep_row(point: Point, present: float | None) -> list[str]:
    mark = " ← now" if point.threshold == present else ""
    delays = ["–" if d.value is None else f"{d.value:.2f} s" for d in point.delays[:2]]
    return [
        f"{point.threshold:g}{mark}",
        *(_rate(getattr(point, name)) for name in _CLASSES),
        *delays,
    ]


def _left_out(evaluation: Evaluation) -> str:
    dataset, problems = evaluation.dataset, evaluation.problems
    items = "".join(f"<li>{escape(str(problem))}</li>" for problem in problems)
    told = f"<ul class='problems'>{items}</ul>" if items else "<p>Nothing was wrong.</p>"
    return (
        f"<p>{dataset.ignored} labels that are to be ignored and {dataset.filtered} that weren’t "
        f"asked for aren’t counted; {counted(len(problems), 'thing')} couldn’t be evaluated.</p>"
        f"{told}"
    )


# --- mistakes -------------------------------------------------------------------------------


def _shown(evaluation: Evaluation, mistakes: Sequence[Mistake], of: int, words: str) -> str:
    if not of:
        return "<p>None.</p>"
    cards = "".join(_card(evaluation, mistake) for mistake in mistakes)
    most = f" The {len(mistakes)} clearest of {of} mistakes:" if len(mistakes) < of else ""
    legend = (
        "Shaded: what was labelled. Solid line: how sure the judge was of an interruption. Dashed: "
        "from where on it stops the agent. Red: when it would have."
    )
    return f"<p>{words}{most}</p><p class='note'>{legend}</p>{cards}"


def _card(evaluation: Evaluation, mistake: Mistake) -> str:
    overlap = mistake.overlap
    tags = overlap.tags
    known = [tags[name] for name in ("text", "kind", "voice", "condition") if tags.get(name)]
    about = f" — {escape(', '.join(known))}" if known else ""
    name = os.path.relpath(mistake.call.name, _home(evaluation.dataset.name))
    title = f"{escape(overlap.label)} at {overlap.start:.2f} s of {escape(name)}"
    try:
        body = _scene(evaluation, mistake)
    except (AudioFileError, OSError) as error:
        body = f"<p>{escape(str(error))}</p>"
    return f'<article><h3>{title}<span class="about">{about}</span></h3>{body}</article>'


def _home(dataset: str) -> str:
    """The folder that names in a report are seen from: it says nothing of the machine's others."""
    return dataset if os.path.isdir(dataset) else os.path.dirname(dataset) or "."


def _scene(evaluation: Evaluation, mistake: Mistake) -> str:
    """Timeline and player."""
    call, overlap, candidate = mistake.call, mistake.overlap, evaluation.candidate
    start, end = max(0.0, overlap.start - _BEFORE), overlap.end + _AFTER
    rate, caller = _cut(call.caller, start, end)
    agent = np.zeros(0, np.int16)
    if call.agent is not None:
        agent_rate, agent = _cut(call.agent, start, end)
        if agent_rate != rate:
            times = np.arange(len(caller)) * (agent_rate / rate)
            agent = np.interp(times, np.arange(len(agent)), agent).astype(np.int16)
    end = start + len(caller) / rate
    plan = Plan(backend=candidate.backend, options=candidate.options, store=evaluation.store)
    hearing = hear_call(call, plan)
    values = estimates(hearing.windows, candidate.options.detection.min_frames)
    judged = tuple(
        (window.cut, value)
        for window, value in zip(hearing.windows, values, strict=True)
        if start <= window.cut <= end
    )
    drawing = timeline_svg(
        Timeline(
            start=start,
            end=end,
            caller=caller,
            agent=agent,
            label=overlap.label,
            labelled=(overlap.start, overlap.end),
            estimates=judged,
            threshold=evaluation.point.threshold,
            verdict=None if mistake.delay is None else overlap.start + mistake.delay,
        )
    )
    return f"{drawing}{_player(caller, agent, rate)}"


def _cut(track: Track, start: float, end: float) -> tuple[int, npt.NDArray[np.int16]]:
    """Read a stretch of one channel: its rate, and int16 (n,)."""
    with open_recording(track.path) as recording:
        side = Side(recording, track.channel)
        rate, taken, position = side.sample_rate, [], 0
        first, last = round(start * rate), round(end * rate)
        for block in recording.blocks():
            taken.append(block[max(0, first - position) : max(0, last - position), side.channel])
            position += len(block)
            if position >= last:
                break
        return rate, np.concatenate(taken)


def _player(caller: npt.NDArray[np.int16], agent: npt.NDArray[np.int16], rate: int) -> str:
    """The stretch as FLAC, which every browser plays; caller left, agent right."""
    import soundfile

    sides: npt.NDArray[Any] = caller
    if len(agent):
        agent = np.pad(agent, (0, max(0, len(caller) - len(agent))))[: len(caller)]
        sides = np.stack([caller, agent], axis=1)
    data = io.BytesIO()
    soundfile.write(data, sides, rate, format="FLAC", subtype="PCM_16")
    text = base64.b64encode(data.getvalue()).decode("ascii")
    return f'<audio controls preload="none" src="data:audio/flac;base64,{text}"></audio>'
