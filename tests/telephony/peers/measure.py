"""From an onset at the caller to the prompt's end at the caller, with its parts."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import attrs

from .agent import Visit
from .sounds import Samples, find, last_audible


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


def latency(visit: Visit, said: Samples, heard: Samples, phrase: Samples, onset: float) -> Latency:
    """Measure one interrupted call.

    Args:
        visit: the server's side.
        said: the caller's audio as it left the caller, on one clock with `heard`.
        heard: the agent's audio as it came to the caller.
        phrase: what the caller interrupted with.
        onset: when the caller did, in seconds of the caller's audio.
    """
    spoke = find(said, phrase)
    total = last_audible(heard) - spoke
    started, verdict = visit.first("overlap_started"), visit.first("verdict")
    assert started is not None
    assert verdict is not None
    assert verdict.verdict is not None
    vad = started.at - onset
    judge = verdict.time - started.time
    return Latency(
        1000 * total,
        1000 * vad,
        1000 * judge,
        1000 * (total - vad - judge),
        1000 * verdict.verdict.prediction_duration,
    )


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

    rest = "".join(f"; {name} {value}" for name, value in more.items())
    return f"LATENCY {peer}: n {len(found)}; p50 {row(0.5)}; p95 {row(0.95)}{rest}"


def median(found: Sequence[Latency]) -> float:
    return statistics.median(f.total for f in found)
