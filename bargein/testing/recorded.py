"""A recorded call as a call script: what went wrong in production becomes a test.

Two lines, with a recording that :class:`bargein.recording.Recorder` made::

    def test_the_customer_is_not_cut_off():
        load_recording("calls/20261123T140158-call_17", expect={2: "backchannel"}).run()
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import attrs

from bargein.core import (
    AgentSpeechEnded,
    AgentSpeechStarted,
    Audio,
    Close,
    EndOfInput,
    Flush,
    Gap,
    InterruptionOptions,
    Judge,
    Outcome,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    Prediction,
    Reason,
    Reply,
    SetFormat,
    WindowSent,
    estimate_probability,
)
from bargein.core.taps import Tap
from bargein.core.window import WINDOW_RATE
from bargein.recording import CallRecording, Entry
from bargein.recording import load_recording as read_recording
from bargein.recording.replay import give

from .answers import Answer, silence
from .script import CallScript, Expectation, Given

__all__ = ["load_recording"]

_INPUTS = (
    *(Audio, Gap, SetFormat, Flush, EndOfInput, Close),
    *(AgentSpeechStarted, AgentSpeechEnded, OverlapSpeechStarted, OverlapSpeechEnded),
)


def load_recording(
    path: str | os.PathLike[str], *, expect: Mapping[int, Outcome | str] | None = None
) -> CallScript:
    """Return a recorded call as a script, which expects what came of it.

    ``expect``: what should have come of some overlaps, by their number in the call from 1, in the
    place of what did. The script has the call's audio and options, its sentinels where they fell
    (the library's own VAD is heard once, here), and the answers that its judge gave, each after as
    long as it took then; windows that weren't answered aren't. What was cut off of a damaged
    recording isn't there.

    Raises :class:`~bargein.errors.RecordingError` if it can't be read, ``ValueError`` for an
    outcome that there isn't.
    """
    recording = read_recording(path)
    entries = list(recording.entries())
    setup = recording.setup
    decided_by = setup.options
    if decided_by.threshold is None:
        decided_by = attrs.evolve(decided_by, threshold=setup.primary.default_threshold)
    options = {name: value for name, value in attrs.asdict(decided_by).items() if value is not None}
    if isinstance(setup.fallback, Reason):
        options["fallback"] = setup.fallback.value
    return CallScript(
        recording.stream_id,
        inputs=_inputs(recording, entries),
        overlap_answers=_answers(entries, decided_by),
        expectations=_expectations(entries, expect or {}),
        options=options,
        format=setup.format,
    )


class _Machine(Tap):
    """Notes what reaches the machine: sentinels in the place of a VAD's findings."""

    def __init__(self) -> None:
        self.given: list[Given] = []
        self._begin: float | None = None
        self._newest = 0.0

    def machine_input(self, item: Any, now: float) -> None:
        if self._begin is None:
            self._begin = now
        # Audio before a sentinel in its midst is older than what came before it: order counts.
        self._newest = max(self._newest, now - self._begin)
        if isinstance(item, _INPUTS):
            self.given.append(Given(self._newest, item))


def _inputs(recording: CallRecording, entries: list[Entry]) -> tuple[Given, ...]:
    machine = _Machine()
    pipeline = recording.setup.build([machine])
    for entry in entries:
        if entry.kind in ("input", "deadline"):
            give(pipeline, entry)
    return tuple(machine.given)


def _own_decision(found: Prediction, options: InterruptionOptions) -> bool | None:
    """Return what the judge decided, where that isn't just its probability by the threshold.

    What is, follows from the script's options, and changes with them.
    """
    if found.is_interruption is None or options.threshold is None:
        return found.is_interruption
    probability = estimate_probability(found.probabilities, options.min_frames)
    by_threshold = len(found.probabilities) > 0 and probability >= options.threshold
    return None if by_threshold is found.is_interruption else found.is_interruption


def _answers(entries: list[Entry], options: InterruptionOptions) -> dict[int, tuple[Answer, ...]]:
    """Return what the primary judge said of each overlap's windows, by their places in it.

    Places at which no window was handed over are silent: it gave way to a newer one.
    """
    first: dict[int, int] = {}
    places: dict[int, tuple[int, int]] = {}
    sent: dict[int, float] = {}
    said: dict[tuple[int, int], Answer] = {}
    for entry in entries:
        item = entry.item
        if entry.plain.get("out") == "SendWindow" and entry.plain["judge"] == Judge.PRIMARY.value:
            window = entry.plain
            overlap, end = window["overlap"], window["start"] + window["samples"]
            steps = (end - first.setdefault(overlap, end)) / (options.interval * WINDOW_RATE)
            places[window["window"]] = overlap, round(steps)
        elif isinstance(item, WindowSent):
            sent[item.window_id] = entry.now
        elif isinstance(item, Reply) and item.window_id in sent and item.window_id in places:
            said[places[item.window_id]] = Answer(
                probability=tuple(item.prediction.probabilities.tolist()),
                decision=_own_decision(item.prediction, options),
                after=max(0.0, entry.now - sent[item.window_id]),
            )
    return {
        overlap: tuple(
            said.get((overlap, place), silence)
            for place in range(1 + max(p for o, p in places.values() if o == overlap))
        )
        for overlap in first
    }


def _expectations(
    entries: list[Entry], expect: Mapping[int, Outcome | str]
) -> tuple[Expectation, ...]:
    events = [entry.plain["event"] for entry in entries if entry.kind == "event"]
    expectations = []
    for number, event in enumerate(events, 1):
        outcome = Outcome(expect.get(number, event["outcome"]))
        reason = event["reason"] if number not in expect else None
        expectations.append(
            Expectation(outcome, None if reason is None else Reason(reason), None, number)
        )
    return tuple(expectations)
