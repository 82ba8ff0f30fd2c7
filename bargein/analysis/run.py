"""From a recording to its verdicts: tracker, machine and judge in the recording's own time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from bargein.audio import AudioFormat
from bargein.backends.named import resolve_backend
from bargein.backends.protocol import Backend
from bargein.core import (
    Action,
    AgentSpeechEnded,
    AgentSpeechStarted,
    Input,
    InterruptionMachine,
    InterruptionOptions,
    JudgeSettings,
    OverlappingSpeechEvent,
    OverlapSpeechEnded,
    Verdict,
    Window,
)
from bargein.core.echo import EchoGate
from bargein.core.inputs import AgentAudio
from bargein.core.listener import Listener
from bargein.core.pipeline import Pipeline
from bargein.core.playout import Playout
from bargein.core.timeline import Timeline
from bargein.core.tracker import OverlapTracker
from bargein.core.window import WINDOW_RATE
from bargein.vad.track import CHUNK, SpeechTrack

from .call import Call
from .envelope import Envelope
from .replay import Replay
from .report import AnalysedOverlap, Analysis, AnalysisOptions, Answer, Timings, Turn
from .transport import SimulatedTransport

__all__ = ["analyze"]

_MOST_CHUNKS = 4
"""Chunks (128 ms) played at once at most; what more would save isn't worth its delays."""


def analyze(
    call: Call,
    *,
    options: AnalysisOptions | None = None,
    backend: Backend | Callable[[Window], Any] | str = "local",
    waveforms: bool = False,
    progress: Callable[[float], None] | None = None,
    clock: Callable[[], float] | None = None,
) -> Analysis:
    """Find every overlap of a call and its verdict, as a live stream with this judge would have.

    Runs in the recording's time, as fast as it can, in memory that the call's length doesn't
    change but for the overlaps found. The same call and options give the same result.

    Args:
        call: from :func:`~bargein.analysis.open_call`; read once, not closed.
        options: see :class:`AnalysisOptions`.
        backend: the judge, its name, or a function of a window. It is called in this thread.
        waveforms: whether to keep what a picture of the call needs.
        progress: called now and then with the seconds of the recording that are done.
        clock: measures what the computing cost (:attr:`Analysis.timings`); seconds.

    Raises:
        AudioFileError: the recording turns out to be damaged.
        OptionError: ``backend`` isn't one.
        ModelError: the weights of the VAD or of the local backend are missing or damaged.
    """
    began = clock() if clock else 0.0
    run = _Run(call, options or AnalysisOptions(), resolve_backend(backend), waveforms, clock)
    try:
        run.play(progress)
    finally:
        run.session.close()
    return run.result(None if clock is None else clock() - began)


def _chunks_per_step(detection: InterruptionOptions) -> int:
    """How many chunks (of 32 ms) may be played at once: several cost the VAD half as much.

    A sentinel falls at a chunk's end, and the first thing that it leads to is a window an interval
    later, or the end of the grace.
    """
    if detection.eager_first_window:
        return 1
    soonest = min(detection.detection_interval, detection.verdict_grace or math.inf)
    return max(1, min(_MOST_CHUNKS, math.ceil(soonest * WINDOW_RATE / CHUNK)))


class _Watched(InterruptionMachine):
    """Notes when the agent and the caller ended, which verdicts don't all tell."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.turns: list[Turn] = []
        self.ends: dict[int, float] = {}
        """When each overlap ended, by its number."""
        self._agent_since: float | None = None

    def handle(self, item: Input | Any, *, now: float) -> list[Action]:
        if type(item) is OverlapSpeechEnded:
            self.ends[self._overlaps] = now - (item.age or 0.0)
        elif type(item) is AgentSpeechStarted:
            self._agent_since = now
        elif type(item) is AgentSpeechEnded:
            self.end_turn(now)
        return super().handle(item, now=now)

    def end_turn(self, now: float) -> None:
        """Note the agent's turn, if there is one, as ended."""
        if self._agent_since is not None:
            self.turns.append(Turn(self._agent_since, now))
        self._agent_since = None


@attrs.define(eq=False)
class _Found:
    """What is gathered of one overlap."""

    answers: list[Answer] = attrs.field(factory=list)
    verdict: Verdict | None = None


class _Run:
    """One analysis under way."""

    def __init__(
        self,
        call: Call,
        options: AnalysisOptions,
        backend: Backend,
        waveforms: bool,
        clock: Callable[[], float] | None,
    ) -> None:
        self._call = call
        self._options = options
        self._backend = backend
        self._format = AudioFormat(call.sample_rate)
        self._agent_format = AudioFormat(call.agent.sample_rate)
        self._speech = SpeechTrack(activations=getattr(backend, "needs_activations", False))
        self._machine = _Watched(
            options.detection,
            format=self._format,
            primary=JudgeSettings(default_threshold=backend.default_threshold),
            speech=self._speech,
        )
        self.session = backend.open_session(None)
        self._transport = SimulatedTransport(self.session, latency=options.latency, clock=clock)
        self._replay = Replay(
            self._pipeline(),
            self._transport,
            on_verdict=self._take_verdict,
            on_answer=self._take_answer,
        )
        self._found: dict[int, _Found] = {}
        self._counts: dict[str, int] = dict.fromkeys(
            ("answered", "late", "superseded", "timed_out"), 0
        )
        frames = {"caller": call.frames, "agent": self._agent_frames()}
        self._envelopes = {who: Envelope(n) for who, n in frames.items()} if waveforms else {}

    def _agent_frames(self) -> int:
        return max(1, self._call.frames * self._call.agent.sample_rate // self._call.sample_rate)

    def _pipeline(self) -> Pipeline:
        options = self._options
        return Pipeline(
            self._machine,
            tracker=OverlapTracker(options.tracker),
            speech=self._speech,
            gate=None if options.echo_gate is None else EchoGate(options.echo_gate),
            playout=Playout(options.playout),
        )

    # --- playing ----------------------------------------------------------------------------

    def play(self, progress: Callable[[float], None] | None) -> None:
        """Play the whole call."""
        told = 0
        for caller, agent in self._call.read(self._steps()):
            self._replay.control(AgentAudio(agent.astype("<i2").tobytes(), self._agent_format))
            self._replay.audio(caller)
            for envelope, samples in zip(self._envelopes.values(), (caller, agent), strict=False):
                envelope.push(samples)
            if progress is not None and int(self._replay.now) > told:
                told = int(self._replay.now)
                progress(self._replay.now)
        self._machine.end_turn(self._replay.now)
        self._replay.finish()

    def _steps(self) -> Iterator[int]:
        """Where a chunk of the VAD is judged, for sentinels fall there.

        Nothing that a sentinel leads to may fall before its step's end, where it is handed over.
        """
        due = Listener(self._speech, Timeline(self._format), None).due
        chunks = _chunks_per_step(self._options.detection)
        index = 0
        while True:
            index += chunks * CHUNK
            yield due(index)

    def _take_answer(self, window: Window, probability: float, now: float) -> None:
        assert window.start is not None
        cut = (window.start + len(window.samples)) / WINDOW_RATE
        found = self._found.setdefault(window.overlap, _Found())
        found.answers.append(Answer(cut, now, probability))

    def _take_verdict(self, verdict: Verdict) -> None:
        for name in self._counts:
            self._counts[name] += getattr(verdict.counts, name)
        # Without the window's samples, of which a long call's overlaps have too many.
        slim = attrs.evolve(verdict, speech_input=None, probabilities=None)
        self._found.setdefault(verdict.overlap, _Found()).verdict = slim

    # --- the end ----------------------------------------------------------------------------

    def result(self, seconds: float | None) -> Analysis:
        """Gather what was found; ``seconds`` is what it took."""
        call, backend = self._call, self._backend
        timings = None
        if seconds is not None:
            speed = call.duration / seconds if seconds > 0 else math.inf
            timings = Timings(total=seconds, judge=self._transport.seconds, speed=speed)
        return Analysis(
            recording={
                "duration": call.duration,
                "sample_rate": call.sample_rate,
                "caller": call.caller.to_dict(),
                "agent": call.agent.to_dict(),
            },
            backend={
                "model": backend.model,
                "provider": backend.provider,
                "default_threshold": backend.default_threshold,
            },
            options=self._options,
            turns=tuple(self._machine.turns),
            overlaps=tuple(self._overlap(number) for number in sorted(self._found)),
            windows={
                "sent": self._transport.sent,
                **self._counts,
                "failed": self._transport.failed,
            },
            error=self._transport.error,
            timings=timings,
            waveforms={who: (e.low, e.high) for who, e in self._envelopes.items()},
        )

    def _overlap(self, number: int) -> AnalysedOverlap:
        found = self._found[number]
        assert found.verdict is not None  # finish() settles all
        return AnalysedOverlap(
            start=found.verdict.onset,
            end=self._machine.ends.get(number, self._call.duration),
            event=OverlappingSpeechEvent.from_verdict(found.verdict),
            answers=tuple(found.answers),
        )
