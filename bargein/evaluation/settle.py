"""From one pass to the verdicts under any settings: the machine itself, with known answers.

The sentinels fall where they fell, and each window that the machine cuts is answered from the notes
after the latency. What the machine does with time, places in flight, deadlines and the grace is
therefore what it does in a live call; a verdict here is the verdict of a direct run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.analysis.replay import Replay
from bargein.analysis.transport import SimulatedTransport
from bargein.audio import AudioFormat
from bargein.core import (
    Action,
    AgentSpeechEnded,
    AgentSpeechStarted,
    Audio,
    InterruptionMachine,
    InterruptionOptions,
    JudgeSettings,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    Prediction,
    Skip,
    Verdict,
    Window,
    estimate_probability,
)
from bargein.core.states import State

from .hearing import Decision, Fell, Hearing, Judged

__all__ = ["Settings", "estimates", "settle", "settle_all"]

_BLOCK = 10.0
"""Seconds of quiet passed over at a time."""

_WAITING = (State.SILENT, State.SPEAKING, State.GRACE)
"""States in which the machine cuts nothing, so that audio need only be counted."""


@attrs.frozen(kw_only=True)
class Settings:
    """What decides verdicts, and what a pass need not be made anew for."""

    threshold: float | None = None
    """``None``: the backend decides by itself."""
    detection: InterruptionOptions = attrs.field(factory=InterruptionOptions)
    latency: float = 0.0

    @property
    def options(self) -> InterruptionOptions:
        """The machine's options."""
        return attrs.evolve(self.detection, threshold=self.threshold)


def settle(hearing: Hearing, settings: Settings) -> tuple[Verdict, ...]:
    """Return the verdicts of a call under some settings, in order, without their arrays."""
    found: list[Verdict] = []

    def take(verdict: Verdict) -> None:
        found.append(attrs.evolve(verdict, speech_input=None, probabilities=None))

    machine = InterruptionMachine(
        settings.options,
        format=AudioFormat(hearing.sample_rate),
        primary=JudgeSettings(),
    )
    answers = _Answers(hearing.windows)
    replay = Replay(
        _Script(machine, hearing.fell),
        SimulatedTransport(answers, latency=settings.latency),
        on_verdict=take,
    )
    block = np.zeros(round(_BLOCK * hearing.sample_rate), np.int16)
    for start in range(0, hearing.frames, len(block)):
        replay.audio(block[: hearing.frames - start])
    replay.finish()
    assert not answers.missing, f"{answers.missing} windows were cut that the pass hadn't cut"
    return tuple(found)


def settle_all(
    hearing: Hearing, settings: Iterable[Settings]
) -> Iterator[tuple[Settings, tuple[Verdict, ...]]]:
    """As :func:`settle`, for many settings, in order.

    The machine compares estimates with the threshold and does nothing else with it, so thresholds
    between the same two estimates are settled once.
    """
    known: dict[tuple[object, ...], tuple[Verdict, ...]] = {}
    limits: dict[int, npt.NDArray[np.float32]] = {}
    for each in settings:
        frames = each.detection.min_frames
        if frames not in limits:
            limits[frames] = np.unique(np.asarray(estimates(hearing.windows, frames), np.float32))
        threshold = None if each.threshold is None else np.float32(each.threshold)
        rank = -1 if threshold is None else int(np.searchsorted(limits[frames], threshold))
        key = (rank, attrs.evolve(each, threshold=None))
        if key not in known:
            known[key] = settle(hearing, each)
        yield each, known[key]


def estimates(windows: Iterable[Judged], min_frames: int) -> list[float]:
    """Return each window's estimate: what a threshold is compared with.

    A backend's own decision counts as 1 or 0, and a failed window as 0.
    """
    return [
        (
            estimate_probability(window.probabilities, min_frames)
            if window.decision == Decision.NONE
            else float(window.decision == Decision.YES)
        )
        for window in windows
    ]


class _Failed(Exception):
    """The backend raised for this window when the notes were taken."""


class _Answers:
    """A session that answers from the notes."""

    def __init__(self, windows: Iterable[Judged]) -> None:
        self._known = {(window.overlap, window.end): window for window in windows}
        self.missing = 0
        """Windows that the notes don't have; there are none, or the notes are of another call."""

    def predict(self, window: Window) -> Prediction:
        assert window.start is not None
        judged = self._known.get((window.overlap, window.start + len(window.samples)))
        if judged is None:
            self.missing += 1
            raise _Failed
        if judged.decision == Decision.FAILED:
            raise _Failed
        decision = None if judged.decision == Decision.NONE else bool(judged.decision)
        return Prediction(judged.probabilities, decision)

    def close(self) -> None:
        pass


class _Script:
    """Stands for the pipeline: sentinels fall where they fell, in one order with the audio."""

    def __init__(self, machine: InterruptionMachine, fell: Sequence[Fell]) -> None:
        self.machine = machine
        self._fell = fell
        self._next = 0

    def samples_to_sentinel(self) -> int | None:
        """Return how many samples are missing to the next sentinel.

        One, where it falls here: it is told with the next audio, and what it leads to must be asked
        for before there is more of that.
        """
        if self._next == len(self._fell):
            return None
        return max(1, self._fell[self._next].position - self.machine.position)

    def handle(self, item: Any, *, now: float) -> list[Action]:
        """Give audio to the machine, and each sentinel at its place."""
        if type(item) is not Audio:
            return self.machine.handle(item, now=now) if self._is_done() else self._end(item, now)
        actions: list[Action] = []
        rate = self.machine.format.sample_rate
        end = self.machine.position + len(item.data) // 2
        while not self._is_done() and self._fell[self._next].position <= end:
            fell = self._fell[self._next]
            actions += self._audio(
                fell.position - self.machine.position, now - (end - fell.position) / rate
            )
            actions += self._tell(fell)
        return actions + self._audio(end - self.machine.position, now)

    def _is_done(self) -> bool:
        return self._next == len(self._fell)

    def _end(self, item: Any, now: float) -> list[Action]:
        """A control input: what is left falls where the audio ends."""
        actions: list[Action] = []
        while not self._is_done() and self._fell[self._next].position <= self.machine.position:
            actions += self._tell(self._fell[self._next])
        return actions + self.machine.handle(item, now=now)

    def _tell(self, fell: Fell) -> list[Action]:
        self._next += 1
        return self.machine.handle(_sentinel(fell), now=fell.now)

    def _audio(self, samples: int, now: float) -> list[Action]:
        """Pass so much audio; silence does, for what is in a window was judged before.

        Where nothing is cut it is only counted, but for a sample: a window must not be empty, or
        an eager one wouldn't be cut.
        """
        actions: list[Action] = []
        if samples > 1 and self.machine.state in _WAITING:
            actions += self.machine.handle(Skip(samples - 1), now=now)
            samples = 1
        if samples > 0:
            actions += self.machine.handle(Audio(bytes(2 * samples)), now=now)
        return actions


def _sentinel(fell: Fell) -> Any:
    if fell.kind == "started":
        return OverlapSpeechStarted(speech_duration=fell.speech_duration, age=fell.age)
    if fell.kind == "ended":
        return OverlapSpeechEnded(agent_ended=fell.agent_ended, age=fell.age)
    return AgentSpeechStarted() if fell.kind == "agent_started" else AgentSpeechEnded()
