"""From an onset at the caller to the prompt's end at the caller, with its parts."""

from __future__ import annotations

import os
from collections.abc import Sequence

import attrs

from .agent import Visit
from .sounds import Samples, find, last_audible, pieces


@attrs.frozen
class Latency:
    """Milliseconds."""

    total: float
    """Onset at the caller → prompt last heard at the caller."""
    vad: float
    """Onset → overlap found, on the server."""
    judge: float
    """→ the verdict: cadence, windows and the judge's own time."""
    playout: float
    """The rest: the way there and back, the pacer's lead, the peer's buffers."""
    inference: float
    """The judge's own time for the deciding window."""


def latency(visit: Visit, said: Samples, heard: Samples, phrase: Samples) -> Latency:
    """Measure one interrupted call.

    Args:
        visit: the server's side.
        said: the caller's audio as it left the caller, on one clock with `heard`.
        heard: the agent's audio as it came to the caller.
        phrase: what the caller interrupted with.
    """
    total = last_audible(heard) - find(said, phrase)
    started, verdict = visit.first("overlap_started"), visit.first("verdict")
    assert started is not None
    assert verdict is not None
    assert verdict.verdict is not None
    # By the audio that came, whenever the call began: how `at` counts, but for what was lost.
    vad = started.at - find(visit.heard(), phrase)
    judge = verdict.time - started.time
    return Latency(
        1000 * total,
        1000 * vad,
        1000 * judge,
        1000 * (total - vad - judge),
        1000 * verdict.verdict.prediction_duration,
    )


AT_ONCE = 3
"""Callers who interrupt at once, one for each phrase: more wouldn't be a telephone's pace on a
machine that is busy with other things."""

ROUNDS = int(os.environ.get("BARGEIN_TELEPHONY_ROUNDS", "1"))
"""Times that they call; the figures of the docs are of more."""

TAIL = 0.5
"""Seconds that the agent stays after it fell silent: what is on its way to the caller arrives."""

AFTER = 6.0
"""Seconds that callers stay after the onset where nobody stops the agent."""

Plan = list[tuple[float, Samples]]
"""When callers interrupt, in seconds of their calls, and what they say."""


def plan(number: int = AT_ONCE, later: float = 0.0) -> Plan:
    phrases = pieces("interruption") + pieces("turn")
    return [(1.5 + later + 0.31 * n, phrases[n % len(phrases)]) for n in range(number)]


def rounds() -> list[Plan]:
    """Return what is said in each round of calls, at other times in each."""
    return [plan(later=0.17 * number) for number in range(ROUNDS)]


def heeded(visits: Sequence[Visit]) -> bool:
    """Whether most interruptions stopped the agent, of those that came at a telephone's pace."""
    missed = sum(visit.smooth and not visit.interrupted for visit in visits)
    return 3 * missed <= len(visits)


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def report(peer: str, found: Sequence[Latency], **more: object) -> str:
    """Return a line for a peer: percentiles, and the parts of the median and of the 95th."""

    def row(share: float) -> str:
        total = percentile([f.total for f in found], share)
        parts = min(found, key=lambda f: abs(f.total - total))
        return (
            f"{total:.0f} ms (VAD {parts.vad:.0f}, cadence and judge {parts.judge:.0f} of which "
            f"inference {parts.inference:.0f}, playout and network {parts.playout:.0f})"
        )

    if not found:
        return f"LATENCY {peer}: no interruption was heeded"
    rest = "".join(f"; {name} {value}" for name, value in more.items())
    return f"LATENCY {peer}: n {len(found)}; p50 {row(0.5)}; p95 {row(0.95)}{rest}"
