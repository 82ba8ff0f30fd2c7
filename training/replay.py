"""Plays labelled clips through the library: the same VAD, echo gate, tracker and machine as a call.

Time is the clip's: a window is handed over at its cut and answered at once.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt
import soundfile as sf

from bargein.backends import Session
from bargein.core import (
    Action,
    AgentSpeechStarted,
    EmitVerdict,
    EndOfInput,
    InterruptionMachine,
    JudgeSettings,
    Reply,
    SendWindow,
    Verdict,
    Window,
    WindowSent,
)
from bargein.core.echo import EchoGate
from bargein.core.pipeline import Pipeline
from bargein.core.tracker import OverlapTracker
from bargein.vad.track import SpeechTrack

RATE = 16_000
FRAME = RATE // 50
"""Samples pushed at a time (20 ms), as telephony does."""

AFTERMATH = 1.0
"""Seconds after a sound's end in which a verdict is still about it: VADs let go late."""


@attrs.frozen
class LabelledClip:
    """A row of the manifest that ``training.labelled_set`` wrote; times in seconds."""

    path: Path
    split: str
    label: str
    kind: str
    origin: str
    language: str
    condition: str
    onset: float
    end: float
    agent_start: float
    tags: frozenset[str]
    voice: str = ""
    """Who is heard; empty where nobody is."""

    def samples(self) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
        """The caller's and the agent's side."""
        stereo, rate = sf.read(self.path, dtype="int16")
        if rate != RATE:
            raise ValueError(f"{self.path} has {rate} Hz; expected {RATE}")
        return stereo[:, 0].copy(), stereo[:, 1].copy()


def read_manifest(folder: Path, split: str) -> list[LabelledClip]:
    """The clips of one half."""
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as manifest:
        rows = [row for row in csv.DictReader(manifest) if row["split"] == split]
    return [
        LabelledClip(
            path=folder / row["path"],
            onset=float(row["onset"]),
            end=float(row["end"]),
            agent_start=float(row["agent_start"]),
            tags=frozenset(row["tags"].split()),
            **{key: row[key] for key in ("split", "label", "kind", "origin", "language")},
            condition=row["condition"],
            voice=row["voice"],
        )
        for row in rows
    ]


@attrs.frozen
class Heard:
    """What came of a clip. Times in seconds from its start."""

    clip: LabelledClip
    verdicts: tuple[Verdict, ...]

    @property
    def decided(self) -> float | None:
        """When the clip's own sound was taken for an interruption; ``None``: it wasn't."""
        clip = self.clip
        for verdict in self.verdicts:
            if verdict.is_interruption and clip.onset <= verdict.detected <= clip.end + AFTERMATH:
                return verdict.detected
        return None

    @property
    def stray(self) -> bool:
        """Whether something before it was: echo, or what the caller uttered earlier."""
        return any(v.is_interruption and v.detected < self.clip.onset for v in self.verdicts)


def without_positions(window: Window) -> Window:
    """The window as a server gets it."""
    return attrs.evolve(window, start=None, speech_start=None, agent_start=None, speech=None)


def replay(
    clip: LabelledClip, session: Session, *, default_threshold: float | None, bare: bool = False
) -> Heard:
    """Play a clip to a machine whose windows ``session`` judges; ``bare``: without positions."""
    caller, agent = clip.samples()
    verdicts = play(
        caller, agent, clip.agent_start, session, default_threshold=default_threshold, bare=bare
    )
    return Heard(clip, verdicts)


def play(
    caller: npt.NDArray[np.int16],
    agent: npt.NDArray[np.int16] | None,
    agent_start: float,
    session: Session,
    *,
    default_threshold: float | None,
    bare: bool = False,
    activations: bool = False,
    frame: int = FRAME,
) -> tuple[Verdict, ...]:
    """As :func:`replay`, of audio at hand; without the agent's there is no echo gate.

    A longer ``frame`` is quicker and, as everywhere, cuts the same windows; but of those that one
    frame cuts, only the newest that find places in flight are judged. Where each of them counts, as
    for a delay, a frame must be shorter than the cadence.
    """
    track = SpeechTrack(activations=activations)
    gate = None
    if agent is not None:
        gate = EchoGate()
        gate.push(agent, 0)
    machine = InterruptionMachine(
        primary=JudgeSettings(default_threshold=default_threshold), speech=track
    )
    pipeline = Pipeline(machine, tracker=OverlapTracker(), speech=track, gate=gate)
    verdicts: list[Verdict] = []

    def carry_out(actions: list[Action], now: float) -> None:
        queue = list(actions)
        while queue:
            action = queue.pop(0)
            if isinstance(action, EmitVerdict):
                verdicts.append(action.verdict)
            elif isinstance(action, SendWindow):
                window = without_positions(action.window) if bare else action.window
                queue += machine.handle(WindowSent(window.id), now=now)
                queue += machine.handle(Reply(window.id, session.predict(window)), now=now)

    for item, now in _script(agent_start, caller, frame):
        carry_out(pipeline.handle(item, now=now), now)
    return tuple(verdicts)


def _script(
    agent_start: float, caller: npt.NDArray[np.int16], frame: int
) -> Iterator[tuple[object, float]]:
    """The clip's inputs and their stamps."""
    begin = round(agent_start * RATE)
    borders = sorted({0, begin, *range(0, len(caller), frame), len(caller)})
    for at, end in itertools.pairwise(borders):
        if at == begin:
            yield AgentSpeechStarted(), at / RATE
        yield caller[at:end], end / RATE
    yield EndOfInput(), len(caller) / RATE
