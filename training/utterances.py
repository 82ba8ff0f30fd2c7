"""What the judge is taught by synthesised speech: which phrase in which voice, how fast.

    python -m training.utterances SOURCES --rounds 4

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

ROUNDS = 4
"""Times that every phrase is said for training; once for validation."""

TAKEN = 2_400
"""Of those, in their order; the last round is left half said, for it teaches little more."""

SHORT_ROUNDS = 3
"""Further times that short interruptions ("wait!") are said for training: as closed a vocabulary as
backchannels, and as short, so nothing but the words tells them apart."""

MORE_ROUNDS = {"brief": 2, "longer": 2}
"""Times that ``more_lexicon.py``'s short interruptions and its longer backchannels are said for
training; by blends of up to three voices."""

MORE_TAKEN = 75
"""Of those for training, in an order drawn by lot: what there was time for."""

CHECKED = 60
"""Of the combined interruptions, so many are said in validation alone."""

_SEED = 8


@attrs.frozen
class Utterance:
    """A phrase, who says it (one voice, or two blended: ``a+b``), and how fast."""

    phrase: Phrase
    label: str
    voice: str
    speed: float

    def say(self, kokoro: Kokoro) -> Audio:
        """Its audio, mono float32 at 16 kHz, with the silence around it."""
        return kokoro.say(self.phrase.text, self.voice, **self._how())

    def is_kept(self, kokoro: Kokoro) -> bool:
        """Whether it was synthesised already."""
        return kokoro.is_kept(self.phrase.text, self.voice, **self._how())

    def _how(self) -> dict[str, Any]:
        phrase = self.phrase
        language = "en" if phrase.phonemes else phrase.language
        return {"language": language, "speed": self.speed, "phonemes": phrase.phonemes}


def utterances(part: Part, rounds: int = ROUNDS) -> list[Utterance]:
    """The plan of one part; the same for the same ``rounds``, and a longer one begins with it."""
    labelled = [(phrase, "backchannel") for phrase in TAUGHT_BACKCHANNELS]
    labelled += [(phrase, "interruption") for phrase in MORE_INTERRUPTIONS]
    brief = [pair for pair in labelled if pair[1] == "interruption" and pair[0].family == "short"]
    plan: list[Utterance] = []
    for number in range(rounds if part == "train" else 1):
        plan += _round(part, labelled, number)
    if part == "validate":
        return plan + _more(part)
    if rounds < ROUNDS:
        return plan
    plan = plan[:TAKEN]
    for number in range(ROUNDS, ROUNDS + SHORT_ROUNDS):
        plan += _round(part, brief, number)
    return plan + _more(part)


def _round(part: Part, labelled: list[tuple[Phrase, str]], number: int) -> list[Utterance]:
    """Each phrase once, in an order and by voices drawn by lot."""
    voices = TRAIN_VOICES if part == "train" else VALIDATE_VOICES
    rng = np.random.default_rng([_SEED, number, part == "train"])
    plan = []
    order = rng.permutation(len(labelled))
    if part == "validate":  # a half of them is enough to choose by
        order = order[: len(order) // 2]
    for index in order:
        phrase, label = labelled[int(index)]
        names = rng.choice(voices, size=2 if rng.random() < 0.5 else 1, replace=False)
        fastest = 1.35 if label == "backchannel" else 1.25
        speed = round(float(rng.uniform(0.8, fastest)), 2)
        plan.append(Utterance(phrase, label, "+".join(sorted(map(str, names))), speed))
    return plan


def _more(part: Part) -> list[Utterance]:
    """``more_lexicon.py``'s phrases, and the backchannels once more."""
    voices = TRAIN_VOICES if part == "train" else VALIDATE_VOICES
    drawn = [(phrase, "interruption") for phrase in combined()]
    brief = [(phrase, "interruption") for phrase in BRIEF_INTERRUPTIONS]
    longer = [(phrase, "backchannel") for phrase in LONGER_BACKCHANNELS]
    if part == "validate":
        said = drawn[:CHECKED] + brief + longer
    else:
        said = drawn[CHECKED:] + brief * MORE_ROUNDS["brief"]
        said += longer * MORE_ROUNDS["longer"]
    rng = np.random.default_rng([_SEED, 99, part == "train"])
    plan = []
    for index in rng.permutation(len(said)):
        phrase, label = said[int(index)]
        names = rng.choice(voices, size=int(rng.integers(1, 4)), replace=False)
        speed = round(float(rng.uniform(0.8, 1.35 if label == "backchannel" else 1.3)), 2)
        plan.append(Utterance(phrase, label, "+".join(sorted(map(str, names))), speed))
    return plan if part == "validate" else plan[:MORE_TAKEN]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", type=Path, help="the folder that training.fetch filled")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--part", default="0/1", help="this process's share, from 0/1")
    arguments = parser.parse_args()
    share, of = map(int, arguments.part.split("/"))
    kokoro = Kokoro(arguments.sources)
    first = utterances("train", 1)
    plan = [*first, *utterances("validate"), *utterances("train", arguments.rounds)[len(first) :]]
    for number, utterance in enumerate(plan[share::of]):
        utterance.say(kokoro)
        if number % 100 == 99:
            print(f"{number + 1} of {len(plan[share::of])}", flush=True)


if __name__ == "__main__":
    main()
