"""Builds the labelled set of overlaps: 8 s stereo clips and a manifest.

    python -m training.fetch SOURCES
    python -m training.labelled_set SOURCES INTO

In each clip an agent starts to speak and goes on to the end, and one sound of the caller begins
while it does: an interruption, a backchannel or a noise. ``README.md`` beside this file explains
the columns of ``manifest.csv``. The seed and the packages decide every byte; a second run
synthesises only what ``SOURCES/speech`` doesn't hold.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile as sf

from training.mixing import CLIP_SECONDS, Clip, draw_line, lay_out, mix
from training.pools import Pools, plan
from training.sound import RATE, peak_limit
from training.synthesise import Kokoro
from training.voices import SPLITS

SEED = 2025
"""Change it for another set of the same kind."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", type=Path, help="the folder that training.fetch filled")
    parser.add_argument("into", type=Path, help="the folder to build the set in")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    rows = build(arguments.sources, arguments.into, arguments.seed)
    for name, count in sorted(summary(rows).items()):
        print(f"{name}: {count}")
    print(f"{len(rows)} clips of {CLIP_SECONDS:g} s in {arguments.into}")


def build(sources: Path, into: Path, seed: int) -> list[dict[str, str]]:
    """Writes the clips and the manifest; gives the manifest's rows."""
    kokoro = Kokoro(sources)
    rows = []
    for part, split in enumerate(SPLITS):
        (into / split).mkdir(parents=True, exist_ok=True)
        pools = Pools(sources, kokoro, split, seed)
        for number, planned in enumerate(plan(pools, seed)):
            rng = np.random.default_rng([seed, part, number])
            line = draw_line(rng, ulaw=number % 2 == 1)
            clip = lay_out(rng, planned, pools.agent_turn(rng, planned.sound.speaker))
            path = f"{split}/{number:04d}-{planned.sound.label}-{planned.sound.kind}.flac"
            path = path.replace(" ", "-").replace(",", "")
            caller, agent = mix(rng, clip, line)
            stereo = np.stack([peak_limit(caller), peak_limit(agent)], axis=1)
            sf.write(into / path, stereo, RATE, subtype="PCM_16")
            rows.append(row(path, split, clip) | line.columns())
    with (into / "manifest.csv").open("w", encoding="utf-8", newline="") as manifest:
        writer = csv.DictWriter(manifest, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def row(path: str, split: str, clip: Clip) -> dict[str, str]:
    """One line of the manifest, but for the columns of the telephone line."""
    sound = clip.sound
    return {
        "path": path,
        "split": split,
        "label": sound.label,
        "kind": sound.kind,
        "text": sound.text,
        "voice": sound.speaker,
        "language": sound.language,
        "origin": sound.origin,
        "onset": f"{clip.onset:.3f}",
        "end": f"{clip.end:.3f}",
        "speech": f"{sound.speech:.2f}",
        "agent_start": f"{clip.agent_start:.3f}",
        "agent_voice": clip.agent_voice,
        "scenario": clip.scenario,
        "earlier": "" if clip.earlier is None else clip.earlier.label,
        "earlier_onset": "" if clip.earlier is None else f"{clip.earlier_onset:.3f}",
        "earlier_end": "" if clip.earlier is None else f"{clip.earlier_end:.3f}",
        "tags": " ".join(clip.tags()),
    }


def summary(rows: list[dict[str, str]]) -> Counter[str]:
    """How many clips there are of each half, class and tag."""
    counts: Counter[str] = Counter()
    for line in rows:
        counts[f"{line['split']} {line['label']}"] += 1
        if line["label"] == "noise":
            counts[f"{line['split']} noise {line['kind']}"] += 1
        else:
            counts[f"{line['split']} {line['label']} {line['origin']}"] += 1
        for tag in line["tags"].split():
            counts[f"{line['split']} {line['label']} tagged {tag}"] += 1
    return counts


if __name__ == "__main__":
    main()
