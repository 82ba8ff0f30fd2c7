"""The table that ``bargein analyze`` prints."""

from __future__ import annotations

from collections.abc import Sequence

from bargein.analysis import AnalysedOverlap, Analysis
from bargein.analysis.words import counted

__all__ = ["aligned", "clock_time", "render"]

_HEADINGS = ("start", "length", "outcome", "probability", "decided after", "windows")


def render(analysis: Analysis) -> str:
    """Return the analysis as text: what was read, a line for each overlap, a summary."""
    lines = [*_head(analysis), ""]
    if analysis.overlaps:
        rows = [_HEADINGS, *(_row(overlap) for overlap in analysis.overlaps)]
        lines += [*aligned(rows, left="outcome"), ""]
    return "\n".join(lines + _foot(analysis)) + "\n"


def _head(analysis: Analysis) -> list[str]:
    caller, agent = analysis.recording["caller"], analysis.recording["agent"]
    threshold = analysis.threshold
    decides = "its own decision" if threshold is None else f"threshold {threshold:g}"
    files = (
        caller["file"]
        if caller["file"] == agent["file"]
        else (f"{caller['file']} + {agent['file']}")
    )
    sides = f"caller: channel {caller['channel']}, agent: channel {agent['channel']}"
    if caller["file"] != agent["file"]:
        sides = "caller: the first file, agent: the second"
    judge = f"judge: {analysis.backend['model']}, {decides}"
    if analysis.options.latency:
        judge += f", answers after {analysis.options.latency:g} s"
    return [
        f"{files}: {clock_time(analysis.duration)}, {analysis.recording['sample_rate']} Hz",
        sides,
        judge,
    ]


def _row(overlap: AnalysedOverlap) -> tuple[str, ...]:
    event = overlap.event
    outcome = event.outcome.value
    if event.reason is not None:
        outcome += f" ({event.reason.value.replace('_', ' ')})"
    return (
        clock_time(overlap.start),
        f"{overlap.end - overlap.start:.2f} s",
        outcome,
        f"{event.probability:.2f}",
        f"{overlap.decided_at - overlap.start:.2f} s",
        str(event.num_requests),
    )


def aligned(rows: Sequence[Sequence[str]], *, left: str) -> list[str]:
    """Return rows as lines, right-aligned but for the columns with ``left`` in their headings.

    ``""`` means a first column without a heading: it names the rows.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    to_the_left = [left in word if left else not (at or word) for at, word in enumerate(rows[0])]
    return [
        "  ".join(
            cell.ljust(width) if words else cell.rjust(width)
            for cell, width, words in zip(row, widths, to_the_left, strict=True)
        ).rstrip()
        for row in rows
    ]


def _foot(analysis: Analysis) -> list[str]:
    summary = analysis.summary()
    spoke = f"The agent spoke for {clock_time(summary['agent_speech'])}"
    if not analysis.overlaps:
        lines = [f"No overlaps. {spoke}."]
    else:
        lines = [
            f"{counted(summary['overlaps'], 'overlap')}: "
            f"{counted(summary['interruptions'], 'interruption')}, "
            f"{counted(summary['backchannels'], 'backchannel')}, "
            f"{summary['inconclusive']} inconclusive",
            f"{spoke}; {counted(summary['windows']['sent'], 'window')} judged"
            + (
                ""
                if summary["median_delay"] is None
                else f"; interruptions found {summary['median_delay']:.2f} s after their onset "
                "(median)"
            ),
        ]
    if analysis.timings is not None:
        timings = analysis.timings
        lines.append(
            f"Computed in {timings.total:.2f} s, {timings.speed:.0f} times real time; "
            f"the judge took {timings.judge:.2f} s of it"
        )
    return lines


def clock_time(seconds: float) -> str:
    """Return a time as h:mm:ss.ss, hours only where there are any.

    >>> clock_time(7.152), clock_time(3725.5)
    ('0:07.15', '1:02:05.50')
    """
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    short = f"{minutes:02}" if hours else f"{minutes}"
    return (f"{hours}:" if hours else "") + f"{short}:{rest // 100:02}.{rest % 100:02}"
