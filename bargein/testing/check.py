"""What came of a script, and whether it is what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from bargein.core import InterruptionDetectionError, Outcome, OverlappingSpeechEvent

from .judge import nearest
from .script import CallScript, Expectation
from .transcript import Difference, Transcript, verdict_words

__all__ = ["Run", "ScriptFailure", "check"]

_ROUNDING = 1e-6
"""Seconds. 2.1 + 0.3 is as good as 2.4."""


class ScriptFailure(AssertionError):
    """Something else came of a script than it expects. The message is the marked transcript."""

    def __init__(self, message: str, run: Run) -> None:
        super().__init__(message)
        self.run = run


@attrs.frozen
class Run:
    """What came of a script. Times of events and errors are seconds from its beginning."""

    script: CallScript
    events: tuple[OverlappingSpeechEvent, ...]
    errors: tuple[InterruptionDetectionError, ...] = ()
    transcript: Transcript = attrs.field(factory=Transcript, repr=False, eq=False)

    @property
    def verdicts(self) -> list[tuple[str, str | None]]:
        """Outcome and reason of each overlap, in order: what is the same at any speed."""
        return [
            (e.outcome.value, None if e.reason is None else e.reason.value) for e in self.events
        ]

    def event(self, utterance: int) -> OverlappingSpeechEvent | None:
        """Return what came of the words with this number, from 1; ``None``: nothing."""
        if not self.script.utterances:
            return self.events[utterance - 1] if utterance <= len(self.events) else None
        for event in self.events:
            if nearest(self.script, event.overlap_started_at or 0.0) == utterance:
                return event
        return None

    def __str__(self) -> str:
        return str(self.transcript)


def check(run: Run, *, delays: bool = True) -> Run:
    """Raise :class:`ScriptFailure` where a run isn't what its script expects; else return it."""
    __tracebackhide__ = True
    expectations = run.script.expectations
    found = [_difference(run, expected, delays) for expected in expectations]
    differences = [difference for difference in found if difference is not None]
    if differences:
        name = f" {run.script.name!r}" if run.script.name else ""
        count = f"{len(differences)} of {len(expectations)}"
        raise ScriptFailure(
            f"call script{name}: {count} expectations not met (- expected, + came)\n\n"
            + run.transcript.show(differences),
            run,
        )
    return run


def _difference(run: Run, expected: Expectation, delays: bool) -> Difference | None:
    if expected.outcome is None:
        if not run.events:
            return None
        first = run.events[0].overlap_started_at or 0.0
        return Difference(first, "expected: no verdict", first)
    number = expected.utterance or 1
    start, end = _span(run, number)
    origin = start if expected.outcome is Outcome.INTERRUPTION else end
    limit = None if expected.within is None else origin + expected.within
    event = run.event(number)
    words = f"expected{_of(run, number)}: {expected}"
    if event is None:
        at = max((line.at for line in run.transcript.lines), default=0.0)
        return Difference(at if limit is None else limit, f"{words}; no verdict came", None)
    right = event.outcome is expected.outcome
    right &= expected.reason is None or event.reason is expected.reason
    late = delays and limit is not None and event.created_at > limit + _ROUNDING
    if right and not late:
        return None
    onset = _onset_in(run.transcript, event)
    if right and limit is not None:
        words += f"; it came {(event.created_at - limit) * 1e3:.0f} ms later"
    return Difference(event.created_at if limit is None else limit, words, onset)


def _span(run: Run, number: int) -> tuple[float, float]:
    said: Sequence[Any] = run.script.utterances
    if number <= len(said):
        start = said[number - 1].start
        return start, start if said[number - 1].until is None else said[number - 1].until
    event = run.event(number)
    onset = 0.0 if event is None else event.overlap_started_at or 0.0
    return onset, onset if event is None else event.detected_at


def _of(run: Run, number: int) -> str:
    """Say of which words, where there are several."""
    return f" of the caller's words {number}" if len(run.script.utterances) > 1 else ""


def _onset_in(transcript: Transcript, event: OverlappingSpeechEvent) -> float | None:
    """Return the onset by which the transcript knows an event's line."""
    words = verdict_words(event)
    onsets = [line.onset for line in transcript.lines if line.text == words]
    known = [onset for onset in onsets if onset is not None]
    wanted = event.overlap_started_at or 0.0
    return min(known, key=lambda onset: abs(onset - wanted), default=None)
