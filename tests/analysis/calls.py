"""Calls to analyse: the example call in other dresses, and tones where no VAD is to be fooled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from bargein.core import Prediction, Window

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "call" / "call.flac"

Samples = npt.NDArray[np.int16]


def contents() -> dict[str, Any]:
    text = (EXAMPLE.parent / "contents.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def example(start: float = 0.0, end: float = 48.0, rate: int = 8000) -> Samples:
    """A stretch of the example call, (n, 2), at any rate."""
    frames, own = soundfile.read(EXAMPLE, dtype="int16", always_2d=True)
    cut = frames[round(start * own) : round(end * own)]
    if rate == own:
        return cut
    times = np.arange(len(cut) * rate // own) * (own / rate)
    sides = [np.interp(times, np.arange(len(cut)), side) for side in cut.T]
    return np.rint(np.stack(sides, axis=1)).astype(np.int16)


def write(path: Path, samples: Samples, rate: int = 8000, subtype: str = "PCM_16") -> Path:
    if subtype == "FLOAT":
        soundfile.write(path, samples / 32768, rate, subtype=subtype)
    else:
        soundfile.write(path, samples, rate, subtype=subtype)
    return path


def steady(probability: float) -> Any:
    """A judge that always says the same."""

    def judge(window: Window) -> Prediction:
        frames = -(-len(window.samples) // 400)
        return Prediction(np.full(frames, probability, np.float32), duration=123.0)

    return judge
