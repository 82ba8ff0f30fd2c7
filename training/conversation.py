"""Actors' lines as a judge's examples: real people who take the turn, and who only acknowledge.

The words are known (see ``acted.py``), so a line is labelled by what it says. Characters are
divided among the parts; that some actor speaks two characters isn't excluded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.acted import Drascula, Line, Queen, Sky, words_of
from training.mixing import Sound
from training.sound import RATE, Audio, fade, frame_levels, trim

CHARACTERS: dict[str, frozenset[str]] = {
    "validate": frozenset({"tam", "lou", "henry", "naomi", "prin", "sec", "stranger", "pianist"}),
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
    / yeah sure man / well then / yes well / really / all right / all right then / ahh yes / yes yes
    / yes darling / yes sure / not really / very tempting / nothing new / is that right / at last
    / yes my master / i hope so / impossible / beautiful night / aahh / ha ha ha / hi / good evening
    """)
"""Whole lines that leave the turn where it is."""

TAKE = _set("""
    go away / wait a minute / excuse me / hang on / listen / who are you / where am i / what /
    why / what's your name / what is it / hurry up / hey don't panic / let me see / let me out /
    sorry / you don't understand / are you kidding / are you crazy / now pay attention / tell me /
    sparky that's enough / no jim / no no no / now beat it / now buzz off / now go away / who /
    then what / what's that / what's the answer / why's that / where's anderson / i gotta go /
    i can't / no thanks / no way / hey / how come / come on / you bartender / you pianist /
    you hey you / get out / shoot / why not / come on run / and what for / yes so what /
    is that clear / whats happened now / i'm not interested / i'd care / i can't reach / professor /
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
"""Lines of a hero, who speaks two fifths of them all or more."""

HEROES = ("joe", "hacker")

SKY_LINES = 90


def part_of(who: str) -> str:
    """The part in which a character is heard."""
    return next((part for part, names in CHARACTERS.items() if who in names), "train")


class _Games:
    """The two games whose lines' words are known; one's characters are none of the other's."""

    def __init__(self, sources: Path, part: str) -> None:
        self._queen, self._drascula = Queen(sources), Drascula(sources)
        # Drascula's came later: the test split stays as it was.
        self._second = {line.name for line in self._drascula.lines() if part != "test"}
        self.lines = [
            line
            for line in (*self._queen.lines(), *(self._drascula.lines() if part != "test" else ()))
            if part_of(line.who) == part
        ]

    def audio(self, line: Line) -> Audio:
        return (self._drascula if line.name in self._second else self._queen).audio(line)


def acted_interruptions(rng: np.random.Generator, sources: Path, part: str) -> Iterator[Sound]:
    """Lines of a sentence, cut to what one says before the other stops; and short ones."""
    games = _Games(sources, part)
    taken: dict[str, int] = {}
    lines = games.lines
    for index in rng.permutation(len(lines)):
        line = lines[int(index)]
        words = words_of(line.text)
        brief = words in TAKE
        if not brief and len(words.split()) < 4:
            continue
        limit = HERO if line.who in HEROES else PER_CHARACTER[part]
        if not brief and taken.get(line.who, 0) >= limit:
            continue
        taken[line.who] = taken.get(line.who, 0) + 1
        entire = trim(games.audio(line))
        samples = entire[: round(float(rng.uniform(1.0, 3.0)) * RATE)]
        if len(samples) < (0.15 if brief else 0.7) * RATE:
            continue
        kind = "acted, short" if brief else "acted"
        text = _told(line, len(samples) == len(entire))
        yield Sound(
            *(trim(fade(samples, 0.02)), "interruption", kind, text, line.who, "en", "real")
        )


def acted_backchannels(sources: Path, part: str) -> Iterator[Sound]:
    """Lines that only acknowledge, and first words before a pause."""
    games = _Games(sources, part)
    for line in games.lines:
        samples = trim(games.audio(line), 30.0)
        whole = words_of(line.text) in ACKNOWLEDGE
        if not whole:
            samples = _first_word(line, samples)
        if 0.12 * RATE <= len(samples) <= 1.3 * RATE:
            text = _told(line, whole)
            yield Sound(samples, "backchannel", "acted", text, line.who, "en", "real")


def _told(line: Line, whole: bool) -> str:
    """The recording's name, and the words where all of them are heard."""
    return f'{line.name} "{line.text}"' if whole else line.name


def words_told(text: str) -> str:
    """The words in what :func:`_told` gave; empty where not all of them are heard."""
    return text.partition(' "')[2].rstrip('"')


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
    games = _Games(sources, part)
    lines = [line for line in games.lines if len(words_of(line.text).split()) > 4]
    for index in rng.permutation(len(lines))[:count]:
        line = lines[int(index)]
        piece = trim(games.audio(line))[: round(float(rng.uniform(0.16, 0.5)) * RATE)]
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
