"""A recording played again: to the same events, or to what other settings would have made of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import attrs
import numpy as np

from bargein.analysis.player import Player
from bargein.analysis.transport import SimulatedTransport
from bargein.backends.protocol import Backend, Session
from bargein.core import (
    Action,
    Close,
    EmitVerdict,
    EndOfInput,
    InterruptionOptions,
    JudgeReady,
    JudgeSettings,
    JudgeUnready,
    OverlappingSpeechEvent,
    Prediction,
    Reply,
    SendWindow,
    Settings,
    Verdict,
    Window,
    WindowFailed,
    WindowSent,
)
from bargein.core.setup import CallSetup
from bargein.errors import OptionError, RecordingError, StateError

from .entries import dump_action
from .events import dump_event
from .reader import CallRecording, Entry

__all__ = ["Difference", "Replayed", "WhatIf", "give", "replay", "what_if"]


# --- the same again -----------------------------------------------------------------------------


@attrs.frozen
class Difference:
    """The first thing that came out otherwise than it did; ``None`` where nothing came."""

    line: int
    recorded: dict[str, Any] | None
    replayed: dict[str, Any] | None

    def __str__(self) -> str:
        return (
            f"line {self.line}: recorded {_short(self.recorded)}, replayed {_short(self.replayed)}"
        )


@attrs.frozen
class Replayed:
    """What a replay gave. ``events``: JSON types, as :meth:`CallRecording.events` gives them."""

    events: list[dict[str, Any]]
    windows: int
    difference: Difference | None
    cut: str | None

    @property
    def identical(self) -> bool:
        """Whether all came out as it did, byte for byte."""
        return self.difference is None


def replay(recording: CallRecording) -> Replayed:
    """Give a recording's inputs to a new machine, and compare all that comes out.

    Every window, every cancellation and every event with its times is compared as JSON text.
    Deterministic on one machine; on another one the VAD's floats may differ in their last bit.
    """
    pipeline = recording.setup.build()
    stream_id = recording.stream_id
    expected: list[Action] = []
    verdicts: list[Verdict] = []
    events: list[dict[str, Any]] = []
    windows = 0
    difference: Difference | None = None
    for entry in recording.entries():
        recorded: dict[str, Any] | None = None
        replayed: dict[str, Any] | None = None
        if entry.kind in ("input", "deadline"):
            if expected and difference is None:
                difference = Difference(entry.line, None, dump_action(expected[0]))
            expected = give(pipeline, entry)
            verdicts += [action.verdict for action in expected if isinstance(action, EmitVerdict)]
        elif entry.kind == "output":
            recorded = entry.plain
            replayed = dump_action(expected.pop(0)) if expected else None
            windows += recorded["out"] == SendWindow.__name__
        elif entry.kind == "event":
            recorded = entry.plain
            if verdicts:
                offset = recorded["offset"]
                event = OverlappingSpeechEvent.from_verdict(
                    verdicts.pop(0), offset=offset, stream_id=stream_id
                )
                replayed = dump_event(event, offset)
                events.append(replayed["event"])
        if difference is None and json.dumps(recorded) != json.dumps(replayed):
            difference = Difference(entry.line, recorded, replayed)
    return Replayed(events, windows, difference, recording.cut)


def give(pipeline: Any, entry: Entry) -> list[Action]:
    """Give a pipeline what an entry says (an input, or a deadline); return what comes of it."""
    if entry.kind == "deadline":
        actions: list[Action] = pipeline.machine.handle_deadline(now=entry.now)
        return actions
    taker = pipeline.machine if entry.direct else pipeline
    try:
        return list(taker.handle(entry.item, now=entry.now))
    except StateError:  # it was refused then, too
        return []


def _short(plain: dict[str, Any] | None) -> str:
    text = "nothing" if plain is None else json.dumps(plain, ensure_ascii=False)
    return text if len(text) <= 300 else text[:297] + "…"


# --- what if ------------------------------------------------------------------------------------


@attrs.frozen
class WhatIf:
    """One overlap: what it was, and what it would have been. ``None``: there was none there."""

    overlap: int
    recorded: dict[str, Any] | None
    replayed: OverlappingSpeechEvent | None
    unknown: bool = False
    """Whether a window would have been needed that nobody judged: the recorded judge isn't here,
    and no other was given."""

    @property
    def changed(self) -> bool:
        """Whether the outcome is another, as far as is known."""
        if self.unknown:
            return False
        if self.recorded is None or self.replayed is None:
            return True
        return bool(self.recorded["outcome"] != self.replayed.outcome.value)


def what_if(
    recording: CallRecording,
    *,
    backend: Backend | None = None,
    latency: float | None = None,
    **changes: Any,
) -> list[WhatIf]:
    """Play a recording with other settings; return what becomes of each overlap.

    ``changes`` are fields of :class:`~bargein.core.InterruptionOptions`. ``backend`` judges all
    windows anew, by its own threshold where ``changes`` has none. Without one, recorded answers are
    used, and an overlap that would have needed a window which wasn't judged is ``unknown``.
    ``latency``: seconds that an answer takes; by default the recorded median. Sentinels and audio
    come as they were recorded, for they don't depend on verdicts; what a caller would have said to
    an agent that hadn't stopped, nobody knows.

    Raises :class:`~bargein.errors.OptionError` for a setting that can't be.
    """
    if latency is not None and not 0 <= latency < math.inf:
        raise OptionError(f"latency came as {latency!r}; expected seconds >= 0")
    fixed = "threshold" in changes or "min_interruption_duration" in changes
    if backend is not None:  # the threshold was the other judge's, and says nothing of this one
        changes = {"threshold": None} | changes
    entries = list(recording.entries())
    options = _changed(recording.setup.options, changes)
    judge: Session = _Recorded(entries) if backend is None else backend.open_session(None)
    default = (
        recording.setup.primary.default_threshold if backend is None else backend.default_threshold
    )
    setup = attrs.evolve(
        recording.setup,
        options=options,
        ready=True,
        fallback=None,
        primary=JudgeSettings(default_threshold=default),
        activations=backend is not None and getattr(backend, "needs_activations", False),
    )
    try:
        took = _median_latency(entries) if latency is None else latency
        inputs = _inputs(entries, fixed, backend is not None)
        verdicts = _play(setup, inputs, judge, took)
    finally:
        judge.close()
    return _pair(recording, entries, verdicts, judge)


def _changed(options: InterruptionOptions, changes: dict[str, Any]) -> InterruptionOptions:
    known = {field.name for field in attrs.fields(InterruptionOptions)}
    for name in changes:
        if name not in known:
            raise OptionError(f"{name!r} isn't an option; expected one of {sorted(known)}")
    return attrs.evolve(options, **changes)


class _Recorded:
    """Answers as was answered then, to the same stretch of the same overlap."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.missing: set[int] = set()
        """Overlaps of which a window was never judged."""
        where: dict[int, tuple[int, int, int]] = {}
        self._answers: dict[tuple[int, int, int], Prediction] = {}
        for entry in entries:
            if entry.kind == "output" and entry.plain["out"] == SendWindow.__name__:
                sent = entry.plain
                where[sent["window"]] = (sent["overlap"], sent["start"], sent["samples"])
            elif isinstance(entry.item, Reply) and entry.item.window_id in where:
                found = entry.item.prediction
                # Its own decision was made under the settings of then.
                self._answers[where[entry.item.window_id]] = Prediction(found.probabilities)

    def predict(self, window: Window) -> Prediction:
        answer = self._answers.get((window.overlap, window.start or 0, len(window.samples)))
        if answer is None:
            self.missing.add(window.overlap)
            raise RecordingError("nobody judged this window")
        return answer

    def close(self) -> None:
        """Hold nothing."""


def _play(
    setup: CallSetup, inputs: Iterable[tuple[Any, float]], session: Session, latency: float
) -> list[Verdict]:
    verdicts: list[Verdict] = []
    player = Player(
        setup.build(), SimulatedTransport(session, latency=latency), on_verdict=verdicts.append
    )
    now = 0.0
    for item, now in inputs:
        player.take(item, now)
    player.finish_at(now)
    return verdicts


_NEWS = (Reply, WindowFailed, WindowSent, JudgeReady, JudgeUnready, Close, EndOfInput)


def _inputs(entries: Sequence[Entry], fixed: bool, another: bool) -> Iterator[tuple[Any, float]]:
    """Give what the call itself brought.

    ``fixed``: the settings that were chosen now stay; ``another`` judge: it keeps its threshold.
    """
    for entry in entries:
        item = entry.item
        if entry.kind != "input" or isinstance(item, _NEWS):
            continue
        if isinstance(item, Settings):
            if fixed:
                continue
            if another:
                item = attrs.evolve(item, threshold=None)
        yield item, entry.now


def _median_latency(entries: Sequence[Entry]) -> float:
    """Return what an answer took at the median, from hand-over to reply; 0.0 without any."""
    sent: dict[int, float] = {}
    took: list[float] = []
    for entry in entries:
        if isinstance(entry.item, WindowSent):
            sent[entry.item.window_id] = entry.now
        elif isinstance(entry.item, Reply) and entry.item.window_id in sent:
            took.append(entry.now - sent[entry.item.window_id])
    return float(np.median(took)) if took else 0.0


def _pair(
    recording: CallRecording, entries: Sequence[Entry], verdicts: Sequence[Verdict], judge: Session
) -> list[WhatIf]:
    recorded: dict[int, dict[str, Any]] = {}
    emitted = [
        entry.plain["overlap"]
        for entry in entries
        if entry.kind == "output" and entry.plain["out"] == EmitVerdict.__name__
    ]
    events = [entry.plain["event"] for entry in entries if entry.kind == "event"]
    recorded.update(zip(emitted, events, strict=False))
    offset = _offset(recording, entries)
    replayed = {
        verdict.overlap: OverlappingSpeechEvent.from_verdict(
            verdict, offset=offset, stream_id=recording.stream_id
        )
        for verdict in verdicts
    }
    missing = judge.missing if isinstance(judge, _Recorded) else set()
    return [
        WhatIf(number, recorded.get(number), replayed.get(number), number in missing)
        for number in sorted(recorded.keys() | replayed.keys())
    ]


def _offset(recording: CallRecording, entries: Sequence[Entry]) -> float:
    """Return the seconds from the machine's clock to the epoch."""
    for entry in entries:
        if entry.kind == "event":
            return float(entry.plain["offset"])
    began = datetime.fromisoformat(recording.header["began"]).timestamp()
    return began - next((entry.now for entry in entries if entry.now), began)
