"""What the judge is taught by synthesised speech: which phrase in which voice, how fast.

    python -m training.utterances SOURCES

synthesises all of it into ``SOURCES/speech`` (about 0.4 s of CPU per second of speech), in an order
in which any beginning is a fair sample. It can be stopped and run again, and several processes may
share the work (``--part 0/2`` and ``--part 1/2``).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np

from training.lexicon import Phrase
from training.more_lexicon import BRIEF_INTERRUPTIONS, LONGER_BACKCHANNELS, combined
from training.sound import Audio
from training.synthesise import Kokoro
from training.train_lexicon import MORE_INTERRUPTIONS, TAUGHT_BACKCHANNELS
from training.voices import VOICES

Part = Literal["train", "validate"]

VALIDATE_VOICES = ("af_sky", "bm_daniel", "hm_psi", "zf_xiaobei")
"""Of the half to calibrate on: heard when models and thresholds are chosen, never in training."""

TRAIN_VOICES = tuple(name for name in VOICES["calibrate"] if name not in VALIDATE_VOICES)

TIMES = {"backchannel": 3, "interruption": 3, "short": 5, "longer": 4, "combined": 1}
"""Times that each phrase is said for training; once for validation. Short interruptions ("wait!")
are as closed a vocabulary as backchannels, and as short: nothing but the words tells them apart."""

VALIDATED = 300
"""Utterances for validation, each mixed twice."""

CHECKED = 60
"""Of the combined interruptions, so many are said in validation alone."""

_SEED = 8


@attrs.frozen
class Utterance:
    """A phrase, who says it (a voice, or a blend: ``a:0.7+b:0.3``), and how fast."""

    phrase: Phrase
    label: str
    voice: str
    speed: float

    def say(self, kokoro: Kokoro) -> Audio:
        """Its audio, mono float32 at 16 kHz, with the silence around it."""
        return kokoro.say(self.phrase.text, self.voice, **self._how())

    def times(self, kokoro: Kokoro) -> list[tuple[str, float]]:
        """Its phonemes, and the second at which each ends in its audio."""
        return kokoro.times(self.phrase.text, self.voice, **self._how())

    def is_kept(self, kokoro: Kokoro) -> bool:
        """Whether it was synthesised already."""
        return kokoro.is_kept(self.phrase.text, self.voice, **self._how())

    def _how(self) -> dict[str, Any]:
        phrase = self.phrase
        language = "en" if phrase.phonemes else phrase.language
        return {"language": language, "speed": self.speed, "phonemes": phrase.phonemes}


def utterances(part: Part) -> list[Utterance]:
    """The plan of one part, the same each time; any beginning of it is a fair sample."""
    drawn = [(phrase, "interruption") for phrase in combined()]
    brief = [(phrase, "interruption") for phrase in BRIEF_INTERRUPTIONS]
    longer = [(phrase, "backchannel") for phrase in LONGER_BACKCHANNELS]
    labelled = [(phrase, "backchannel") for phrase in TAUGHT_BACKCHANNELS]
    labelled += [(phrase, "interruption") for phrase in MORE_INTERRUPTIONS]
    if part == "validate":
        half = np.random.default_rng([_SEED, 0, 0]).permutation(len(labelled))[::2]
        said = [*(labelled[int(i)] for i in half), *drawn[:CHECKED], *brief, *longer]
        return _said(part, said)[:VALIDATED]
    first = _said(part, labelled)
    rest: list[tuple[Phrase, str]] = drawn[CHECKED:] * TIMES["combined"]
    for phrase, label in labelled:
        rest += [(phrase, label)] * (TIMES["short" if phrase.family == "short" else label] - 1)
    rest += brief * TIMES["short"] + longer * TIMES["longer"]
    return [*first, *_said(part, rest)]


def _said(part: Part, labelled: list[tuple[Phrase, str]]) -> list[Utterance]:
    """Each once, in an order and by voices drawn by lot."""
    voices = TRAIN_VOICES if part == "train" else VALIDATE_VOICES
    rng = np.random.default_rng([_SEED, len(labelled), part == "train"])
    plan = []
    for index in rng.permutation(len(labelled)):
        phrase, label = labelled[int(index)]
        fastest = 1.35 if label == "backchannel" else 1.3
        speed = round(float(rng.uniform(0.8, fastest)), 2)
        plan.append(Utterance(phrase, label, _voice(rng, voices), speed))
    return plan


def _voice(rng: np.random.Generator, voices: tuple[str, ...]) -> str:
    """One voice in four; else two or three, each with a share drawn by lot: a person of its own.

    A share may be a little below nothing, which takes the others further from that voice.
    """
    count = int(rng.choice([1, 2, 3], p=[0.25, 0.5, 0.25]))
    names = [str(name) for name in rng.choice(voices, size=count, replace=False)]
    if count == 1:
        return names[0]
    shares = rng.uniform(-0.1, 1.0, size=count - 1) / (count - 1)
    shares = np.round([*shares, 1.0 - shares.sum()], 2)
    return "+".join(f"{name}:{share:g}" for name, share in zip(names, shares, strict=True))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", type=Path, help="the folder that training.fetch filled")
    parser.add_argument("--part", default="0/1", help="this process's share, from 0/1")
    arguments = parser.parse_args()
    share, of = map(int, arguments.part.split("/"))
    kokoro = Kokoro(arguments.sources)
    plan = [*utterances("validate"), *utterances("train")]
    for number, utterance in enumerate(plan[share::of]):
        utterance.say(kokoro)
        if number % 100 == 99:
            print(f"{number + 1} of {len(plan[share::of])}", flush=True)


if __name__ == "__main__":
    main()
