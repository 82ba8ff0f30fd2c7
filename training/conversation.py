"""Actors' lines as a judge's examples: real people who take the turn, and who only acknowledge.

The words are known (see ``acted.py``), so a line is labelled by what it says. Characters are
divided among the parts; that some actor speaks two characters isn't excluded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.acted import Line, Queen, Sky, words_of
from training.mixing import Sound
from training.sound import RATE, Audio, fade, frame_levels, trim

CHARACTERS: dict[str, frozenset[str]] = {
    "validate": frozenset({"tam", "lou", "henry", "naomi", "prin", "sec"}),
    "test": frozenset({"faye", "bob", "oracle", "chief", "ian", "laris", "chef", "man"}),
}
"""Who is heard in which part; all others train."""


def _set(texts: str) -> frozenset[str]:
    return frozenset(" ".join(text.split()) for text in texts.split("/"))


ACKNOWLEDGE = _set("""
    absolutely / exactly / correct / of course / okay / oh okay / ah yeah / yeah / yes / uh huh
    / hmmm / hmmmm / mmmmm / ah / um / umm / ummm / ummmm / er / wow / gosh / neat / good /
    great / cute / thanks / very good / that's for sure / i'm impressed / you're right / sorta /
    sort of / that sounds neat / how strange / that's great / gee whiz / thank goodness / sheesh /
    very impressive / that's okay / that's it / i know joe / oh brother / indeed it was / whew /
    it's really good / yes joe / yes i have / yeah he does / oh joe / usually / maybe / ah no /
    who woulda thought / well whadya know / that's strange / good heavens / tsk tsk tsk / unique /
    hubba hubba / i sure am / it was dreadful / about time / aw shoot / not quite / not yet / gee
    """)
"""Whole lines that leave the turn where it is."""

TAKE = _set("""
    go away / wait a minute / excuse me / hang on / listen / who are you / where am i / what /
    why / what's your name / what is it / hurry up / hey don't panic / let me see / let me out /
    sorry / you don't understand / are you kidding / are you crazy / now pay attention / tell me /
    sparky that's enough / no jim / no no no / now beat it / now buzz off / now go away / who /
    then what / what's that / what's the answer / why's that / where's anderson / i gotta go /
    okay let's go / is that all / alright already / that depends / joe joe joe / no / nope
    """)
"""Short lines that take the turn."""

_FIRST_WORD = re.compile(
    r"(yeah|yes|okay|oh|ah|sure|right|h+m+|m+|uh.huh|gee|wow|great|good|really|neat|of course"
    r"|exactly|erm*|um+|uh|well|gosh|boy|whew|thanks)[,.!?]",
    re.IGNORECASE,
)
"""Words that are backchannels where nothing follows."""

PER_CHARACTER = {"train": 150, "validate": 50, "test": 16}
HERO = 450
"""Lines of the hero, who speaks two fifths of them all."""

SKY_LINES = 90


def part_of(who: str) -> str:
    """The part in which a character is heard."""
    return next((part for part, names in CHARACTERS.items() if who in names), "train")


def acted_interruptions(rng: np.random.Generator, sources: Path, part: str) -> Iterator[Sound]:
    """Lines of a sentence, cut to what one says before the other stops; and short ones."""
    queen = Queen(sources)
    taken: dict[str, int] = {}
    lines = [line for line in queen.lines() if part_of(line.who) == part]
    for index in rng.permutation(len(lines)):
        line = lines[int(index)]
        words = words_of(line.text)
        brief = words in TAKE
        if not brief and len(words.split()) < 4:
            continue
        limit = HERO if line.who == "joe" else PER_CHARACTER[part]
        if not brief and taken.get(line.who, 0) >= limit:
            continue
        taken[line.who] = taken.get(line.who, 0) + 1
        samples = trim(queen.audio(line))[: round(float(rng.uniform(1.0, 3.0)) * RATE)]
        if len(samples) < (0.15 if brief else 0.7) * RATE:
            continue
        kind = "acted, short" if brief else "acted"
        yield Sound(
            *(trim(fade(samples, 0.02)), "interruption", kind, line.name, line.who, "en", "real")
        )


def acted_backchannels(sources: Path, part: str) -> Iterator[Sound]:
    """Lines that only acknowledge, and first words before a pause."""
    queen = Queen(sources)
    for line in queen.lines():
        if part_of(line.who) != part:
            continue
        samples = trim(queen.audio(line), 30.0)
        if words_of(line.text) not in ACKNOWLEDGE:
            samples = _first_word(line, samples)
        if 0.12 * RATE <= len(samples) <= 1.3 * RATE:
            yield Sound(samples, "backchannel", "acted", line.name, line.who, "en", "real")


def _first_word(line: Line, samples: Audio) -> Audio:
    """What is said before the first 70 ms that are 20 dB below the loudest so far; or nothing."""
    none = samples[:0]
    if not _FIRST_WORD.match(line.text):
        return none
    levels = frame_levels(samples)
    for at in range(14, min(75, len(levels) - 7)):
        if (levels[at : at + 7] < levels[:at].max() - 20.0).all():
            return trim(fade(samples[: (at + 2) * RATE // 100], 0.015), 30.0)
    return none


def acted_false_starts(
    rng: np.random.Generator, sources: Path, part: str, count: int
) -> Iterator[Sound]:
    """Beginnings of lines, faded out after a fifth to half a second."""
    queen = Queen(sources)
    lines = [
        line
        for line in queen.lines()
        if part_of(line.who) == part and len(words_of(line.text).split()) > 4
    ]
    for index in rng.permutation(len(lines))[:count]:
        line = lines[int(index)]
        piece = trim(queen.audio(line))[: round(float(rng.uniform(0.16, 0.5)) * RATE)]
        piece = trim(fade(piece, float(rng.uniform(0.02, 0.08))), 30.0)
        if len(piece) >= 0.12 * RATE:
            yield Sound(*(piece, "backchannel", "false start", line.name, line.who, "en", "real"))


def other_actors(rng: np.random.Generator, sources: Path) -> Iterator[Sound]:
    """Lines of Beneath a Steel Sky, of 1.2 s and more: a sentence, whatever it says."""
    sky = Sky(sources)
    numbers = list(sky.numbers())
    found = 0
    for index in rng.permutation(len(numbers)):
        if found == SKY_LINES:
            return
        samples = trim(sky.audio(numbers[int(index)]))
        if len(samples) < 1.2 * RATE:
            continue
        found += 1
        samples = samples[: round(float(rng.uniform(1.2, 3.0)) * RATE)]
        name = f"sky-{numbers[int(index)]}"
        yield Sound(
            *(trim(fade(samples, 0.02)), "interruption", "other actors", name, "sky", "en", "real")
        )
