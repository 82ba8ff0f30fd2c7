"""Sounds to judge, int16 at 16 kHz: real voices from this repository, noises made here."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bargein.audio import Converter
from bargein.audio.files import open_recording
from bargein.core import Window
from bargein.vad.track import SpeechTrack

RATE = 16_000
ROOT = Path(__file__).parent.parent.parent
VOICE = ROOT / "tests" / "vad" / "data" / "silero_reference.npz"
CALL = ROOT / "examples" / "call"

Samples = npt.NDArray[np.int16]


@cache
def voice() -> Samples:
    """A real voice: it speaks from 0.29 to 1.04 s, then from 1.28 s on, to 4.4 s at least."""
    with np.load(VOICE) as archive:
        samples: Samples = archive["samples_16k"]
    return samples


def silence(seconds: float) -> Samples:
    """A quiet line: noise of a few units, no digital zeros."""
    rng = np.random.default_rng(1)
    return rng.integers(-3, 4, round(seconds * RATE)).astype(np.int16)


@cache
def _caller() -> Samples:
    """The caller's channel of the example call."""
    with open_recording(CALL / "call.flac") as recording:
        converter = Converter(recording.sample_rate)
        pieces = [converter.push(block[:, 0].copy()) for block in recording.blocks()]
    return np.concatenate([*pieces, converter.tail()])


def call_sounds() -> list[dict[str, Any]]:
    """What the caller does in the example call: ``contents.json``."""
    contents = json.loads((CALL / "contents.json").read_text(encoding="utf-8"))
    sounds: list[dict[str, Any]] = contents["caller"]
    return sounds


def from_call(begin: float, end: float) -> Samples:
    """A piece of the caller's channel, from ``begin`` to ``end`` seconds.

    Take what the caller utters and no more: around it the agent's echo is heard at -45 dBFS.
    """
    return _caller()[round(begin * RATE) : round(end * RATE)]


def sound(label: str, nth: int = 0) -> Samples:
    """The nth sound of this label in the example call."""
    found = [entry for entry in call_sounds() if entry["label"] == label][nth]
    return from_call(found["onset"], found["end"])


def join(*parts: Samples | float) -> Samples:
    """Sounds one after the other, a number being seconds of a quiet line."""
    return np.concatenate([p if isinstance(p, np.ndarray) else silence(p) for p in parts])


def window(
    samples: Samples,
    begin: float,
    end: float,
    *,
    onset: float | None = None,
    number: int = 1,
    overlap: int = 1,
    shift: int | None = 0,
    track: SpeechTrack | None = None,
) -> Window:
    """Cut ``begin`` to ``end`` (seconds), as the machine does, out of a stream.

    ``onset`` is in seconds of ``samples``, which lie ``shift`` samples into their stream;
    ``shift`` None: the window doesn't say where it lies.
    """
    first, last = round(begin * RATE), round(end * RATE)
    start = None if shift is None else shift + first
    return Window(
        id=number,
        overlap=overlap,
        samples=samples[first:last],
        start=start,
        speech_start=None if onset is None else round(onset * RATE) - first,
        speech=None if track is None or start is None else track.read(start, shift + last),
    )
