"""Writes the drift guard's data: a small fixed part of the test split, and how it is judged.

    python -m training.drift TEST --into tests/backends/data/drift.npz

Of each chosen clip only the caller's side around the onset is kept, in 8-bit u-law at 16 kHz. The
clips stay the same (seeded) as long as the test split does; estimates are those of the shipped
weights, so this is run anew with each new file of them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bargein.audio.g711 import decode_mulaw, encode_mulaw
from bargein.backends.learned import LearnedBackend
from bargein.core import Window, estimate_probability
from training.replay import RATE, LabelledClip, read_manifest

BEFORE, AFTER = 0.5, 1.1
"""Seconds around the onset."""

CHOSEN = (
    *(("interruption", "synthetic", 11), ("interruption", "real", 10)),
    *(("backchannel", "synthetic", 12), ("backchannel", "real", 9), ("noise", "", 12)),
)
"""Label, origin and how many."""

WHOLE_ALONE = ("acted", "acted, short", "other actors")
"""Kinds of clip out of games that may be passed on whole alone."""


def choose(clips: list[LabelledClip]) -> list[LabelledClip]:
    """The clips, without echo: there is no agent's audio here to gate it by. And none of games
    that may be passed on whole alone."""
    rng = np.random.default_rng(8)
    chosen = []
    for label, origin, count in CHOSEN:
        some = [
            clip
            for clip in clips
            if clip.label == label and origin in clip.origin and "echo" not in clip.condition
            if clip.kind != "echo" and clip.kind not in WHOLE_ALONE
        ]
        chosen += [some[int(i)] for i in rng.permutation(len(some))[:count]]
    return chosen


def estimates(backend: LearnedBackend, samples: npt.NDArray[np.int16]) -> list[float]:
    """The estimate of each window, every 0.1 s from the onset on."""
    session = backend.open_session(None)
    onset = round(BEFORE * RATE)
    found = []
    for number in range(1, round(10 * AFTER) + 1):
        cut = samples[: onset + number * RATE // 10]
        window = Window(id=number, overlap=1, samples=cut, start=0, speech_start=onset)
        found.append(estimate_probability(session.predict(window).probabilities, 2))
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("test", type=Path, help="the folder that training.test_set filled")
    parser.add_argument("--into", type=Path, required=True)
    arguments = parser.parse_args()
    backend = LearnedBackend()
    coded, about, found = [], [], []
    for clip in choose(read_manifest(arguments.test, "report")):
        caller, _ = clip.samples()
        onset = round(clip.onset * RATE)
        first = onset - round(BEFORE * RATE)
        part = caller[max(0, first) : onset + round(AFTER * RATE)]
        part = np.pad(part, (max(0, -first), 0))
        code = encode_mulaw(np.pad(part, (0, round((BEFORE + AFTER) * RATE) - len(part))))
        coded.append(np.frombuffer(code, np.uint8))
        found.append(estimates(backend, decode_mulaw(code)))
        about.append(
            {"label": clip.label, "kind": clip.kind, "origin": clip.origin, "clip": clip.path.name}
        )
    arguments.into.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        arguments.into,
        mulaw=np.stack(coded),
        estimates=np.array(found, np.float32),
        about=np.array(json.dumps(about)),
        weights=np.array(backend.network.digest),
    )
    print(f"{len(coded)} clips, {arguments.into.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
