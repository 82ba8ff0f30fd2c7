"""What is evaluated: the example call and its labels, pieces of it, and notes made up by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bargein.evaluation.dataset import Label, LabelledCall, LabelledOverlap, Track
from bargein.evaluation.hearing import Decision, Fell, Hearing, Judged

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "call" / "call.flac"
RATE = 8000


def spoken() -> list[tuple[float, float, Label]]:
    """What the example's caller says over the agent: start, end, label."""
    found = json.loads((EXAMPLE.parent / "contents.json").read_text(encoding="utf-8"))["caller"]
    return [
        (entry["onset"], entry["end"], entry["label"])
        for entry in found
        if entry["over_agent"] and entry["label"] != "echo"
    ]


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    rows = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def pieces(folder: Path, *, times: int = 1) -> Path:
    """A manifest of the example's overlaps, each a call of its own; ``times`` over."""
    samples, _ = soundfile.read(EXAMPLE, dtype="int16", always_2d=True)
    rows = []
    for copy in range(times):
        for number, (start, end, label) in enumerate(spoken()):
            begin = max(0.0, start - 1.5)
            name = f"{copy}-{number}.wav"
            piece = samples[round(begin * RATE) : round((end + 1.3) * RATE)].copy()
            piece[0, 0] += copy  # other bytes, so that another pass is made
            soundfile.write(folder / name, piece, RATE)
            rows.append(
                {
                    "audio": name,
                    "start": round(start - begin, 3),
                    "end": round(end - begin, 3),
                    "label": label,
                    "call": name,
                    "agent_start": 0,
                    "voice": f"v{number % 3}",
                }
            )
    return write_csv(folder / "manifest.csv", rows)


def whole(folder: Path) -> Path:
    """A manifest of the whole example call."""
    rows = [
        {"audio": str(EXAMPLE), "start": start, "end": end, "label": label}
        for start, end, label in spoken()
    ]
    return write_csv(folder / "whole.csv", rows)


# --- notes made up by hand ------------------------------------------------------------------


def hearing(
    *overlaps: tuple[float, float, Sequence[float]],
    duration: float = 10.0,
    turn: tuple[float, float] = (0.0, 10.0),
    decision: int = Decision.NONE,
) -> Hearing:
    """A pass at 16 kHz in which the agent speaks during ``turn``.

    Each overlap: when it starts and ends, and the estimate of each window, 0.1 s apart; 0 after.
    """
    rate = 16_000

    def at(time: float) -> int:
        return round(time * rate)

    fell = [Fell(at(turn[0]), turn[0], "agent_started")]
    windows = []
    for number, (start, end, values) in enumerate(overlaps, 1):
        fell += [Fell(at(start), start, "started"), Fell(at(end), end, "ended")]
        cuts = range(1, round((end - start) * 10) + 1)
        windows += [
            Judged(
                number,
                at(start + 0.1 * k),
                np.full(8, values[k - 1] if k <= len(values) else 0.0, np.float32),
                decision,
            )
            for k in cuts
        ]
    if turn[1] < duration:
        fell.append(Fell(at(turn[1]), turn[1], "agent_ended"))
    return Hearing(
        sample_rate=rate,
        frames=at(duration),
        fell=tuple(sorted(fell, key=lambda entry: entry.position)),
        windows=tuple(windows),
    )


def call(*labels: tuple[float, float, Label], name: str = "a") -> LabelledCall:
    """A call with labels, whose audio nobody reads."""
    return LabelledCall(
        id=name,
        caller=Track(f"{name}.wav", 0),
        agent=Track(f"{name}.wav", 1),
        overlaps=tuple(
            LabelledOverlap(start=start, end=end, label=label, file="m.csv", line=line)
            for line, (start, end, label) in enumerate(labels, 2)
        ),
    )
