"""Turns a folder of your own labelled clips into overlaps to train on.

    python -m training.own CLIPS SET

CLIPS holds ``manifest.csv`` and the sound files that it names, each a piece of a call with one
overlap that you labelled; see ``docs/retrain.md`` for the columns. Clips are played through the
library as they are (nothing is mixed: they come from your lines), and ``SET`` gets
``train-own-0.npz`` and ``validate-own-0.npz``, which ``training.train`` takes alone or beside the
other files there.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile as sf

from training.sound import to_rate
from training.train_set import Mixed, Overlap, label_of, overlaps, write
from training.utterances import Part

LABELS = ("interruption", "backchannel", "noise")

VALIDATED = 5
"""One speaker of so many is validated on, chosen by a hash of the name; the others train."""

REQUIRED = ("path", "label", "onset", "end")


def part_of(speaker: str) -> Part:
    """Where a speaker's clips go: the same place each time, whoever else is there."""
    digest = hashlib.sha256(speaker.encode()).digest()
    return "validate" if digest[0] % VALIDATED == 0 else "train"


def read_clip(path: Path, row: Mapping[str, str]) -> Mixed:
    """A clip as it is: its first channel is the caller's, its second (if any) the agent's."""
    samples, rate = sf.read(path, dtype="float32", always_2d=True)
    channels = [_int16(to_rate(channel, int(rate))) for channel in samples.T[:2]]
    caller = channels[0]
    agent = channels[1] if len(channels) > 1 else np.zeros_like(caller)
    return Mixed(
        caller=caller,
        agent=agent,
        agent_start=float(row.get("agent_start") or 0.0),
        onset=float(row["onset"]),
        end=float(row["end"]),
        gated=len(channels) > 1,
        condition="own",
    )


def _int16(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    return np.asarray(np.round(np.clip(samples, -1.0, 1.0) * 32_767), np.int16)


def manifest(folder: Path) -> list[dict[str, str]]:
    """The rows of ``manifest.csv``, checked.

    Raises:
        ValueError: a column is missing, a label is unknown, or an overlap ends before its onset.
    """
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    for number, row in enumerate(found, 2):
        missing = [name for name in REQUIRED if not row.get(name)]
        if missing:
            raise ValueError(f"manifest.csv, line {number}: no {', '.join(missing)}")
        if row["label"] not in LABELS:
            raise ValueError(
                f"manifest.csv, line {number}: got label={row['label']!r}; expected one of "
                f"{', '.join(LABELS)}"
            )
        if float(row["end"]) <= float(row["onset"]):
            raise ValueError(f"manifest.csv, line {number}: its end isn't after its onset")
    return found


def rows(folder: Path) -> Iterator[tuple[Part, dict[str, object], Overlap]]:
    """Every overlap that the library found where one was labelled, and its part."""
    for row in manifest(folder):
        mixed = read_clip(folder / row["path"], row)
        speaker = row.get("speaker") or row["path"]
        for overlap in overlaps(mixed):
            label = label_of(row["label"], mixed, overlap)
            if label is None:
                continue
            about: dict[str, object] = {
                "sound": f"own {row['path']}",
                "take": 0,
                "label": label,
                "kind": "own",
                "text": "",
                "voice": speaker,
                "language": row.get("language") or "",
                "origin": "real",
                "condition": mixed.condition,
                "gated": mixed.gated,
                "late": round(overlap.seconds - mixed.onset, 3),
                "lasts": round(mixed.end - overlap.seconds, 3),
            }
            yield part_of(speaker), about, overlap


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="a folder with manifest.csv")
    parser.add_argument("into", type=Path)
    arguments = parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    made: dict[Part, list[tuple[dict[str, object], Overlap]]] = {"train": [], "validate": []}
    for part, about, overlap in rows(arguments.clips):
        made[part].append((about, overlap))
    for part, found in made.items():
        if not found:
            raise SystemExit(
                f"no overlap to {part} on; expected speakers enough for both parts (one of "
                f"{VALIDATED} is validated on): add clips of more speakers"
            )
        write(arguments.into / f"{part}-own-0.npz", found)
        print(f"{len(found)} overlaps to {part} on")


if __name__ == "__main__":
    main()
