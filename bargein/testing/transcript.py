"""What happened in a call, line by line, and where it isn't what was expected."""

from __future__ import annotations

from typing import Any

import attrs

from bargein.core import (
    AgentSpeechEnded,
    AgentSpeechStarted,
    Close,
    EndOfInput,
    Gap,
    Judge,
    JudgeReady,
    JudgeUnready,
    OverlappingSpeechEvent,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    SetFormat,
    State,
    Verdict,
    Window,
)

__all__ = ["Difference", "Line", "Transcript", "verdict_words"]

_NO_OVERLAP = (State.SILENT, State.OPEN, State.DRAINING, State.ENDED)
"""States in which the start of an overlap is none: the agent is silent, or one is open."""


@attrs.frozen
class Line:
    """Something that happened ``at`` so many seconds; ``onset``: of the overlap that it settled."""

    at: float
    text: str
    onset: float | None = None


@attrs.frozen
class Difference:
    """Something that was expected ``at`` a time, and the onset of the overlap that it is about."""

    at: float
    text: str
    onset: float | None = None


class Transcript:
    """Lines in the order in which things happened; print it to read them."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def __str__(self) -> str:
        return self.show()

    def show(self, differences: list[Difference] | None = None) -> str:
        """Return it as text; what was expected is marked ``-``, what came instead ``+``."""
        rows: list[tuple[float, str, str, float | None]] = []
        missed = {difference.onset for difference in differences or ()} - {None}
        for line in self.lines:
            mark = "+" if line.onset in missed else " "
            rows.append((line.at, mark, line.text, line.onset))
        for difference in differences or ():
            # before what came instead, and not after its own time
            later = [
                place
                for place, (at, mark, _, onset) in enumerate(rows)
                if at > difference.at or (mark == "+" and onset == difference.onset)
            ]
            row = (difference.at, "-", difference.text, None)
            rows.insert(later[0] if later else len(rows), row)
        return "\n".join(f"{mark} {at:8.3f}  {text}" for at, mark, text, _ in rows)

    # --- for whoever writes it --------------------------------------------------------------

    def note(self, at: float, text: str, *, onset: float | None = None) -> None:
        """Write a line."""
        self.lines.append(Line(at, text, onset))

    def note_input(self, item: Any, at: float, state: State) -> None:
        """Write what the caller and the agent did; audio is no news."""
        words = _input_words(item, state)
        if words:
            self.note(at, words)

    def note_window(self, window: Window, at: float, judge: Judge) -> None:
        """Write that a window was cut."""
        where = " for the fallback" if judge is Judge.FALLBACK else ""
        self.note(at, f"window {window.id} ({window.duration:.3g} s){where}")

    def note_verdict(self, verdict: Verdict, at: float) -> None:
        """Write a verdict."""
        event = OverlappingSpeechEvent.from_verdict(verdict)
        self.note(at, verdict_words(event), onset=verdict.onset)


def verdict_words(event: OverlappingSpeechEvent) -> str:
    """Return a verdict in words."""
    words = event.outcome.value.upper()
    if event.reason is not None:
        words += f" ({event.reason.value})"
    if event.probabilities is not None:
        words += f", probability {event.probability:.2f}"
    if event.detection_delay:
        words += f", {event.detection_delay * 1e3:.0f} ms after the onset"
    return words


def _input_words(item: Any, state: State) -> str | None:
    """Return a sentinel or a piece of news in words, ``None`` for what is no news."""
    if isinstance(item, OverlapSpeechStarted):
        heard = f" (heard for {item.speech_duration:g} s)" if item.speech_duration else ""
        if state in _NO_OVERLAP:
            return f"caller starts to speak{heard}: no overlap, as the call is {state.value}"
        return f"caller starts to speak over the agent{heard}"
    if isinstance(item, OverlapSpeechEnded):
        return "caller stops" if not item.agent_ended else None
    if isinstance(item, Gap):
        return f"a gap of {float(item.duration):g} s"
    if isinstance(item, SetFormat):
        return f"audio comes as {item.format}"
    if isinstance(item, JudgeUnready):
        return "the judge can't be reached"
    return _WORDS.get(type(item))


_WORDS: dict[type, str] = {
    AgentSpeechStarted: "agent starts to speak",
    AgentSpeechEnded: "agent stops",
    EndOfInput: "the input ends",
    Close: "the stream is closed",
    JudgeReady: "the judge is ready",
}
