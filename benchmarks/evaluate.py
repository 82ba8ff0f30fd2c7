"""What evaluating costs: CPU per hour of audio, anew and from the store, from 1 to 1,000 clips.

    python -m benchmarks.evaluate [--short] [--clips 1,10,100,1000] [--backend local]

Clips are cut from the example call, each with a sample changed, so that each is heard anew. The
figures are CPU seconds of one process, which other work on the machine disturbs least. Peak memory
is the process's.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import soundfile

from bargein.evaluation import Candidate, Resampling, evaluate
from bargein.evaluation.dataset import Dataset, LabelledCall, LabelledOverlap, Track

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "call"

CLIP = 8.0
"""Seconds of a clip, as in the labelled set."""


def build(folder: Path, clips: int) -> Dataset:
    """Clips of the example, around what its caller says over the agent."""
    samples, rate = soundfile.read(EXAMPLE / "call.flac", dtype="int16", always_2d=True)
    entries = json.loads((EXAMPLE / "contents.json").read_text(encoding="utf-8"))["caller"]
    spoken = [e for e in entries if e["over_agent"] and e["label"] != "echo"]
    calls = []
    for number in range(clips):
        entry = spoken[number % len(spoken)]
        begin = min(max(0.0, entry["onset"] - 2.0), len(samples) / rate - CLIP)
        piece = samples[round(begin * rate) : round((begin + CLIP) * rate)].copy()
        piece[number // len(spoken), 0] += 1
        path = str(folder / f"{number}.wav")
        soundfile.write(path, piece, rate)
        overlap = LabelledOverlap(
            start=entry["onset"] - begin, end=entry["end"] - begin, label=entry["label"]
        )
        calls.append(
            LabelledCall(
                id=path,
                caller=Track(path, 0),
                agent=Track(path, 1),
                agent_start=0.0,
                overlaps=(overlap,),
            )
        )
    return Dataset(name=f"{clips} clips", calls=tuple(calls))


def measure(clips: int, backend: str) -> tuple[float, float]:
    """CPU seconds of an evaluation made anew, and of the same from the store."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = build(folder, clips)
        taken = []
        for _ in range(2):
            began = time.process_time()
            evaluate(
                dataset,
                Candidate(backend=backend),
                resampling=Resampling(500),
                store=str(folder / "store"),
            )
            taken.append(time.process_time() - began)
        return taken[0], taken[1]


def main() -> None:
    """The command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", default="1,10,100,1000")
    parser.add_argument("--backend", default="local")
    parser.add_argument("--short", action="store_true", help="1 and 10 clips: does it still run?")
    arguments = parser.parse_args()
    counts = [1, 10] if arguments.short else [int(n) for n in arguments.clips.split(",")]
    measure(1, arguments.backend)  # imports and weights
    print(
        f"{'clips':>6} {'anew, s':>9} {'s an hour':>10} {'kept, s':>9} {'s an hour':>10} {'MB':>6}"
    )
    for clips in counts:
        anew, kept = measure(clips, arguments.backend)
        hours = clips * CLIP / 3600
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        row = f"{clips:6} {anew:9.2f} {anew / hours:10.0f} {kept:9.2f} {kept / hours:10.0f}"
        print(f"{row} {peak:6.0f}", flush=True)


if __name__ == "__main__":
    main()
