"""One pass over a call: every sentinel, every window that could be cut, and its prediction.

Nothing is decided meanwhile, so the windows of an overlap are judged to its end, past where a low
threshold would have stopped asking. What comes of it is all that any threshold, minimum duration
or latency needs (:mod:`~bargein.evaluation.settle`): the sentinels don't depend on verdicts, and
where windows are cut depends on positions alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import attrs
import numpy as np
import numpy.typing as npt

from bargein.analysis import AnalysisOptions, Call, Side
from bargein.analysis.replay import Replay
from bargein.analysis.transport import SimulatedTransport
from bargein.audio import AudioFormat
from bargein.audio.files import Recording, open_recording
from bargein.backends.protocol import Backend, Session
from bargein.core import (
    Action,
    AgentSpeechEnded,
    AgentSpeechStarted,
    Input,
    InterruptionMachine,
    InterruptionOptions,
    JudgeSettings,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    Prediction,
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

from .dataset import LabelledCall

__all__ = ["Decision", "Fell", "Hearing", "Judged", "hear"]

Kind = Literal["agent_started", "agent_ended", "started", "ended"]

_CHUNKS = 4
"""Chunks (128 ms) played at a time, as an analysis does."""


@attrs.frozen
class Fell:
    """A sentinel, and where it fell."""

    position: int
    """Samples of the caller's audio."""
    now: float
    """Its stamp, in seconds of the recording."""
    kind: Kind
    speech_duration: float = 0.0
    age: float | None = None
    agent_ended: bool = False


class Decision:
    """What a prediction says beyond its probabilities, as it is stored."""

    NONE = -1
    NO = 0
    YES = 1
    FAILED = 2
    """The backend raised."""


@attrs.frozen(eq=False)
class Judged:
    """A window, and what the backend made of it."""

    overlap: int
    end: int
    """Where it was cut: one past its last sample, on the 16 kHz grid."""
    probabilities: npt.NDArray[np.float32]
    decision: int = Decision.NONE

    @property
    def cut(self) -> float:
        """When it was cut, in seconds of the recording."""
        return self.end / WINDOW_RATE


@attrs.frozen(kw_only=True, eq=False)
class Hearing:
    """All that was found in a call, whatever the threshold. Immutable."""

    sample_rate: int
    """Hz, the caller's: positions are counted in it."""
    frames: int
    """Samples of the caller's rate in the call."""
    fell: tuple[Fell, ...]
    windows: tuple[Judged, ...]
    error: str | None = None
    """What the backend raised first."""

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frames / self.sample_rate

    @property
    def turns(self) -> list[tuple[float, float]]:
        """When the agent counted as audible: starts and ends in seconds."""
        found: list[tuple[float, float]] = []
        since: float | None = None
        for entry in self.fell:
            if entry.kind == "agent_started" and since is None:
                since = entry.now
            elif entry.kind == "agent_ended" and since is not None:
                found.append((since, entry.now))
                since = None
        return found if since is None else [*found, (since, self.duration)]

    @property
    def ends(self) -> dict[int, float]:
        """When each overlap ended, by its number, in seconds: the caller, the agent or the call."""
        found: dict[int, float] = {}
        for entry in self.fell:
            if entry.kind == "started":
                found[len(found) + 1] = self.duration
            elif entry.kind in ("ended", "agent_ended") and found:
                found[len(found)] = min(found[len(found)], entry.now)
        return found

    def spoke(self, start: float, end: float) -> bool:
        """Whether the agent spoke at any time in a stretch."""
        return any(begin < end and start < over for begin, over in self.turns)


def hear(call: LabelledCall, backend: Backend, options: AnalysisOptions) -> Hearing:
    """Play a call to a backend and take notes.

    Of ``options.detection`` what decides verdicts plays no part: the threshold, the minimum
    duration, timeouts, the grace, windows in flight; nor does the latency.

    Raises :class:`~bargein.errors.AudioFileError` where the recording turns out to be damaged.
    """
    with open_recording(call.caller.path) as caller:
        if call.agent is None:
            return _Run(_alone(call, caller), call, backend, options).hearing()
        if call.agent.path == call.caller.path:
            sides = Call(Side(caller, call.caller.channel), Side(caller, call.agent.channel))
            return _Run(sides, call, backend, options).hearing()
        with open_recording(call.agent.path) as agent:
            sides = Call(Side(caller, call.caller.channel), Side(agent, call.agent.channel))
            return _Run(sides, call, backend, options).hearing()


def _alone(call: LabelledCall, caller: Recording) -> Call:
    """A call of which only one side is there: the agent's is never read."""
    side = Side(caller, call.caller.channel)
    return Call(side, side)


class _Noting(InterruptionMachine):
    """A machine that notes the sentinels it gets."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fell: list[Fell] = []

    def handle(self, item: Input | Any, *, now: float) -> list[Action]:
        fell: Fell | None = None
        if type(item) is OverlapSpeechStarted:
            fell = Fell(self.position, now, "started", item.speech_duration, item.age)
        elif type(item) is OverlapSpeechEnded:
            ended = item.agent_ended
            fell = Fell(self.position, now, "ended", age=item.age, agent_ended=ended)
        elif type(item) is AgentSpeechStarted:
            fell = Fell(self.position, now, "agent_started")
        elif type(item) is AgentSpeechEnded:
            fell = Fell(self.position, now, "agent_ended")
        if fell is not None:
            self.fell.append(fell)
        return super().handle(item, now=now)


class _Taking:
    """A session that passes on what another says, decides nothing, and takes notes."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.windows: list[Judged] = []
        self.error: str | None = None

    def predict(self, window: Window) -> Prediction:
        assert window.start is not None
        end = window.start + len(window.samples)
        try:
            found = self._session.predict(window)
        except Exception as exc:
            self.error = self.error or f"{type(exc).__name__}: {exc}"
            empty = np.zeros(0, np.float32)
            self.windows.append(Judged(window.overlap, end, empty, Decision.FAILED))
            return Prediction(empty, is_interruption=False)
        decision = found.is_interruption
        stored = Decision.NONE if decision is None else int(decision)
        self.windows.append(Judged(window.overlap, end, found.probabilities, stored))
        return Prediction(found.probabilities, is_interruption=False)

    def close(self) -> None:
        self._session.close()


class _Run:
    """One pass under way."""

    def __init__(
        self, sides: Call, call: LabelledCall, backend: Backend, options: AnalysisOptions
    ) -> None:
        self._sides = sides
        self._call = call
        self._format = AudioFormat(sides.sample_rate)
        self._agent_format = AudioFormat(sides.agent.sample_rate)
        self._speech = SpeechTrack(activations=getattr(backend, "needs_activations", False))
        gate = None if options.echo_gate is None or call.agent is None else options.echo_gate
        self._machine = _Noting(
            _indifferent(options.detection),
            format=self._format,
            primary=JudgeSettings(default_threshold=0.5),
            speech=self._speech,
        )
        pipeline = Pipeline(
            self._machine,
            tracker=OverlapTracker(options.tracker),
            speech=self._speech,
            gate=None if gate is None else EchoGate(gate),
            playout=Playout(options.playout) if call.agent_start is None else None,
        )
        self._session = _Taking(backend.open_session(None))
        self._replay = Replay(
            pipeline, SimulatedTransport(self._session), on_verdict=lambda verdict: None
        )
        self._eager = options.detection.eager_first_window
        self._interval = options.detection.detection_interval

    def hearing(self) -> Hearing:
        """Play the whole call."""
        try:
            self._play()
        finally:
            self._session.close()
        return Hearing(
            sample_rate=self._format.sample_rate,
            frames=self._replay.position,
            fell=tuple(self._machine.fell),
            windows=tuple(self._session.windows),
            error=self._session.error,
        )

    def _play(self) -> None:
        start = self._call.agent_start
        if self._call.agent is None and start is None:
            start = 0.0
        begin = None if start is None else round(start * self._format.sample_rate)
        if begin == 0:
            self._replay.control(AgentSpeechStarted())
        for caller, agent in self._sides.read(self._steps(begin)):
            if self._call.agent is not None:
                self._replay.control(AgentAudio(agent.astype("<i2").tobytes(), self._agent_format))
            self._replay.audio(caller)
            if self._replay.position == begin:
                self._replay.control(AgentSpeechStarted())
        self._replay.finish()

    def _steps(self, begin: int | None) -> Iterator[int]:
        """Where chunks of the VAD are judged, as an analysis has them, and the agent's start."""
        due = Listener(self._speech, Timeline(self._format), None).due
        soonest = CHUNK if self._eager else math.ceil(self._interval * WINDOW_RATE)
        chunks = 1 if self._eager else max(1, min(_CHUNKS, math.ceil(soonest / CHUNK)))
        index, before = 0, 0
        while True:
            index += chunks * CHUNK
            step = due(index)
            if begin is not None and before < begin < step:
                yield begin
            before = step
            yield step


def _indifferent(detection: InterruptionOptions) -> InterruptionOptions:
    """The options that shape windows, with everything that decides verdicts at its default."""
    plain = InterruptionOptions()
    deciding = ("threshold", "min_interruption_duration", "inference_timeout", "verdict_grace")
    return attrs.evolve(
        detection,
        max_in_flight=None,
        **{name: getattr(plain, name) for name in deciding},
    )
