"""The judge's test split: the labelled set's half to report on, and more, over other lines.

    python -m training.test_set SOURCES INTO

Nobody who speaks here was heard in training or validation. ``INTO/manifest.csv`` has the columns
that ``replay.py`` reads, and ``suite``: ``lines`` (every sound once, over a line drawn at random)
or ``ulaw-echo-20`` (speech again, through 8 kHz u-law with the agent's echo at -20 dB).
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile as sf

from training import conversation, recordings, train_sounds
from training.labelled_set import SEED
from training.mixing import Sound
from training.pools import Pools, plan
from training.sound import RATE, trim
from training.synthesise import Kokoro
from training.train_set import agents_of, mix, reading
from training.voices import REAL_AGENTS, REAL_CALLERS, person

MORE_PROMPTS = 40
"""Further recorded interruptions of each person."""

FALSE_STARTS = 20
"""Beginnings of prompts that stop at once, of each person."""

GRUNTS = 60
ECHOES = 40
_COLUMNS = (
    *("path", "split", "label", "kind", "text", "voice", "language", "origin", "onset", "end"),
    *("agent_start", "tags", "condition", "suite"),
)


def sounds(sources: Path) -> Iterator[Sound | None]:
    """All sounds once; ``None``: the agent's echo alone."""
    kokoro = Kokoro(sources)
    for planned in plan(Pools(sources, kokoro, "report", SEED), SEED):
        yield planned.sound
    rng = np.random.default_rng([8, 3])
    for speaker in REAL_CALLERS["report"]:
        language = recordings.SPEAKERS[speaker].language
        paths = recordings.prompts(sources, speaker, 0.9, 20.0)
        for number in rng.permutation(len(paths))[:MORE_PROMPTS]:
            samples = recordings.phrase(paths[int(number)])[: round(rng.uniform(0.9, 3.0) * RATE)]
            text = paths[int(number)].stem
            yield Sound(
                *(trim(samples), "interruption", "real prompt", text, speaker, language, "real")
            )
    yield from train_sounds.false_starts(rng, sources, REAL_CALLERS["report"], FALSE_STARTS * 3)
    yield from train_sounds.short_answers(sources, "test")
    grunts = list(train_sounds.glest_noises(sources, "test"))
    for number in rng.permutation(len(grunts))[:GRUNTS]:
        yield grunts[int(number)]
    yield from [None] * ECHOES
    yield from conversation.acted_interruptions(rng, sources, "test")
    yield from conversation.acted_backchannels(sources, "test")
    yield from conversation.other_actors(rng, sources)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", type=Path, help="the folder that training.fetch filled")
    parser.add_argument("into", type=Path)
    arguments = parser.parse_args()
    into: Path = arguments.into
    into.mkdir(parents=True, exist_ok=True)
    agents = agents_of(arguments.sources, REAL_AGENTS["report"])
    written = []
    for number, sound in enumerate(sounds(arguments.sources)):
        for suite in ("lines", "ulaw-echo-20"):
            hard = suite == "ulaw-echo-20"
            if hard and (sound is None or sound.label == "noise"):
                continue
            rng = np.random.default_rng([8, 4, number, hard])
            by = "" if sound is None else person(sound.speaker)
            names = [name for name in sorted(agents) if person(name) != by]
            agent = reading(rng, agents[names[int(rng.integers(len(names)))]])
            echo, ulaw = (-20.0, True) if hard else (None, None)
            mixed = mix(rng, sound, agent, tempo=(1.0, 1.0), echo=echo, ulaw=ulaw, ungated=0.0)
            path = f"{suite}-{number:04d}.flac"
            sf.write(into / path, np.stack([mixed.caller, mixed.agent], axis=1), RATE)
            about = {
                "label": "noise" if sound is None else sound.label,
                "kind": "echo" if sound is None else sound.kind,
                "text": "" if sound is None else sound.text,
                "voice": "" if sound is None else sound.speaker,
                "language": "" if sound is None else sound.language,
                "origin": "real" if sound is None else sound.origin,
            }
            # Echo has no onset of its own: whatever is decided is about it.
            onset = 0.0 if sound is None else mixed.onset
            times = {"onset": onset, "end": mixed.end, "agent_start": mixed.agent_start}
            written.append(
                {"path": path, "split": "report", "tags": "", "suite": suite}
                | about
                | {name: f"{value:.3f}" for name, value in times.items()}
                | {"condition": mixed.condition}
            )
    with (into / "manifest.csv").open("w", encoding="utf-8", newline="") as manifest:
        writer = csv.DictWriter(manifest, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(written)
    print(f"{len(written)} clips in {into}")


if __name__ == "__main__":
    main()
