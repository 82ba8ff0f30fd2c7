"""What may be heard in one half of the labelled set, and the plan of its clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from training import noises, recordings
from training.lexicon import BACKCHANNELS, INTERRUPTIONS, OWN_TURNS, Phrase
from training.mixing import BRIEF, AgentTurn, Planned, Sound
from training.sound import RATE, Audio, add_at, band, fade, set_level, sounding_span, trim
from training.synthesise import Kokoro
from training.voices import REAL_AGENTS, REAL_CALLERS, SPLITS, VOICES, Split, person

AGENT_SECONDS = 8.0
"""How much an agent can say in a clip."""

BRIEF_CLIPS = 24
"""Backchannels of each half that are sped up or slowed down until they last about 0.3 s."""

REAL_INTERRUPTIONS = 36
"""Recorded interruptions of each half."""

COMPUTED: dict[str, int] = {
    "cough": 12,
    "throat": 6,
    "knock": 5,
    "typing": 4,
    "breath": 5,
    "hiss": 4,
    "crackle": 3,
    "hum": 3,
    "dtmf": 3,
    "ring": 3,
}
"""Kind of computed noise -> clips of each half."""

EFFECTS, GAME_SOUNDS, GRUNTS, MUSIC, TV = 12, 6, 8, 8, 10
"""Clips of each half."""

_SHORTEST_REAL, _LONGEST_REAL = 1.0, 4.0
"""Seconds of a prompt that may stand for an interruption."""

_TRIM = 30.0
"""dB below the loudest frame at which a synthesised phrase begins and ends."""

_T = TypeVar("_T")


class Pools:
    """The sounds of one half. Asking for one draws from the generator that is handed in."""

    def __init__(self, sources: Path, kokoro: Kokoro, split: Split, seed: int) -> None:
        self.split = split
        self.rng = np.random.default_rng([seed, SPLITS.index(split), 1_000_000])
        self._sources = sources
        self._kokoro = kokoro
        # What agents read, and what a TV says: prompts of some length.
        self._long_prompts = {
            speaker: recordings.prompts(sources, speaker, 4.0, 60.0)
            for speaker in (*REAL_AGENTS[split], *REAL_CALLERS[split])
        }

    def utterance(self, phrase: Phrase, voice: str, label: str, speed: float) -> Sound:
        """A phrase in one of Kokoro's voices."""
        samples = self._kokoro.say(
            phrase.text,
            voice,
            language=phrase.language if not phrase.phonemes else "en",
            speed=speed,
            phonemes=phrase.phonemes,
        )
        return Sound(
            samples=trim(samples, _TRIM),
            label=label,
            kind=phrase.family,
            text=phrase.text,
            speaker=voice,
            language=phrase.language,
            origin="synthetic",
        )

    def brief(self, phrase: Phrase, voice: str) -> Sound:
        """A backchannel at the speed at which it comes nearest to lasting 0.3 s."""
        speed = 1.2
        sound = self.utterance(phrase, voice, "backchannel", speed)
        for _ in range(2):
            if BRIEF[0] <= sound.speech <= BRIEF[1]:
                break
            speed = float(np.clip(speed * sound.speech / 0.3, 0.7, 1.8))
            sound = self.utterance(phrase, voice, "backchannel", round(speed, 2))
        return sound

    def own_turn(self, voice: str) -> Sound:
        """What this voice says before the agent replies: the newest 1.6 s of it."""
        phrase = OWN_TURNS[VOICES[self.split].index(voice) % len(OWN_TURNS)]
        sound = self.utterance(phrase, voice, "own turn", 1.1)
        tail = fade(sound.samples[-round(1.6 * RATE) :], 0.02)
        return Sound(tail, "own turn", "own turn", phrase.text, voice, "en", "synthetic")

    def agent_turn(self, rng: np.random.Generator, not_by: str) -> AgentTurn:
        """Eight seconds of an agent who isn't the caller."""
        others = [name for name in REAL_AGENTS[self.split] if person(name) != person(not_by)]
        speaker = _one_of(rng, others)
        return AgentTurn(self._reading(rng, speaker), speaker)

    def _reading(self, rng: np.random.Generator, speaker: str) -> Audio:
        """A speaker's long prompts one after the other, for :data:`AGENT_SECONDS`."""
        samples = np.zeros(round(AGENT_SECONDS * RATE), np.float32)
        position = 0
        while position < len(samples):
            prompt = recordings.phrase(_one_of(rng, self._long_prompts[speaker]))
            add_at(samples, set_level(prompt, -20.0), position)
            position += len(prompt) + round(0.25 * RATE)
        return samples

    def real_interruptions(self) -> list[Sound]:
        """Recorded phrases, shared evenly among the half's speakers."""
        by_speaker = []
        for speaker in REAL_CALLERS[self.split]:
            longest = 12.0 if speaker.startswith("librivox") else _LONGEST_REAL
            paths = recordings.prompts(self._sources, speaker, _SHORTEST_REAL, longest)
            paths = _some_of(self.rng, paths, len(paths))
            by_speaker.append([(speaker, path) for path in paths])
        chosen = _in_turn(by_speaker)[:REAL_INTERRUPTIONS]
        return [
            Sound(
                recordings.phrase(path)[: round(_LONGEST_REAL * RATE)],
                "interruption",
                "real prompt",
                path.stem,
                speaker,
                recordings.SPEAKERS[speaker].language,
                "real",
            )
            for speaker, path in chosen
        ]

    def computed_noises(self) -> Iterator[Sound]:
        """Every computed kind, as often as :data:`COMPUTED` says."""
        for kind, count in COMPUTED.items():
            for _ in range(count):
                samples = trim(noises.SYNTHETIC[kind](self.rng))
                yield Sound(samples, "noise", kind, "", "", "", "computed")

    def recorded_noises(self) -> Iterator[Sound]:
        """Effects, game sounds, grunts, music on hold and TV."""
        effects = recordings.effects(self._sources, self.split)
        grunts = recordings.grunts(self._sources, self.split)
        # The half without a grunting actor gets as many effects instead.
        extra = 0 if grunts else GRUNTS
        for path in _some_of(self.rng, effects, EFFECTS + extra):
            yield self._recorded(path, "effect", 2.5)
        games = recordings.game_sounds(self._sources, self.split)
        for path in _some_of(self.rng, games, GAME_SOUNDS):
            yield self._recorded(path, "game", 2.5)
        for path in _some_of(self.rng, grunts, GRUNTS):
            yield self._recorded(path, "grunt", 2.5)
        for _ in range(MUSIC):
            path = _one_of(self.rng, recordings.music(self._sources, self.split))
            yield self._recorded(path, "music", float(self.rng.uniform(1.5, 4.0)), anywhere=True)
        for _ in range(TV):
            yield self._television()

    def _recorded(self, path: Path, kind: str, seconds: float, *, anywhere: bool = False) -> Sound:
        samples = recordings.read_any(path)
        count = round(seconds * RATE)
        first = 0
        if anywhere:
            # The first and last five seconds of a piece may fade.
            first = int(self.rng.integers(5 * RATE, len(samples) - 5 * RATE - count))
        else:
            first, _ = sounding_span(samples)
        heard = trim(samples[first : first + count])
        return Sound(heard, "noise", kind, path.stem, "", "", "real")

    def _television(self) -> Sound:
        """Speech in a room, over music, from a small loudspeaker."""
        count = round(float(self.rng.uniform(1.5, 3.5)) * RATE)
        speaker = _one_of(self.rng, REAL_CALLERS[self.split])
        spoken = self._reading(self.rng, speaker)
        start = int(self.rng.integers(0, len(spoken) - count))
        room = _room(self.rng, float(self.rng.uniform(0.2, 0.5)))
        heard = np.convolve(spoken[start : start + count], room)[:count]
        heard = set_level(heard.astype(np.float32), -22.0)
        music = recordings.read_any(_one_of(self.rng, recordings.music(self._sources, self.split)))
        at = int(self.rng.integers(5 * RATE, len(music) - 5 * RATE - count))
        behind = set_level(music[at : at + count], float(self.rng.uniform(-40.0, -30.0)))
        samples = band(heard + behind, 200.0, 5_000.0)
        language = recordings.SPEAKERS[speaker].language
        return Sound(trim(samples), "noise", "tv", "", speaker, language, "real")


def _room(rng: np.random.Generator, seconds: float) -> Audio:
    """A room's answer: the direct sound, then noise that falls by 60 dB in ``seconds``."""
    count = round(seconds * RATE)
    tail = rng.standard_normal(count) * 10.0 ** (-3.0 * np.arange(count) / count)
    tail *= 0.06
    tail[0] = 1.0
    return tail.astype(np.float32)


def plan(pools: Pools, seed: int) -> list[Planned]:
    """All clips of one half, shuffled: which sound, in which scenario, after what."""
    rng = np.random.default_rng([seed, SPLITS.index(pools.split), 2_000_000])
    clips = [
        *_backchannels(pools, rng),
        *_interruptions(pools, rng),
        *_noises(pools, rng),
    ]
    order = rng.permutation(len(clips))
    return [clips[int(index)] for index in order]


def _backchannels(pools: Pools, rng: np.random.Generator) -> Iterator[Planned]:
    voices = VOICES[pools.split]
    for number, index in enumerate(rng.permutation(len(BACKCHANNELS))):
        voice = voices[number % len(voices)]
        speed = round(float(rng.uniform(0.9, 1.25)), 2)
        sound = pools.utterance(BACKCHANNELS[int(index)], voice, "backchannel", speed)
        yield _scene(pools, number, sound, voice)
    brief = [phrase for phrase in BACKCHANNELS if phrase.brief]
    for number, phrase in enumerate(_some_of(rng, brief, BRIEF_CLIPS)):
        voice = voices[(number * 5 + 2) % len(voices)]
        yield _scene(pools, number, pools.brief(phrase, voice), voice)


def _interruptions(pools: Pools, rng: np.random.Generator) -> Iterator[Planned]:
    voices = VOICES[pools.split]
    for number, phrase in enumerate(INTERRUPTIONS):
        voice = voices[number % len(voices)]
        speed = round(float(rng.uniform(0.9, 1.2)), 2)
        sound = pools.utterance(phrase, voice, "interruption", speed)
        yield _scene(pools, number, sound, voice)
    for number, sound in enumerate(pools.real_interruptions()):
        yield Planned(sound, "early" if number % 8 == 0 else "plain")


def _noises(pools: Pools, rng: np.random.Generator) -> Iterator[Planned]:
    voices = VOICES[pools.split]
    nasal = next(phrase for phrase in BACKCHANNELS if phrase.text == "mm-hmm")
    for number, sound in enumerate([*pools.computed_noises(), *pools.recorded_noises()]):
        voice = voices[number % len(voices)]
        if sound.kind in ("cough", "throat") and number % 2 == 0:
            earlier = pools.utterance(nasal, voices[number % 6], "backchannel", 1.1)
            yield Planned(sound, "second", earlier)
        elif number % 6 == 1:
            yield Planned(sound, "reply", pools.own_turn(voice))
        else:
            yield Planned(sound, "plain")


def _scene(pools: Pools, number: int, sound: Sound, voice: str) -> Planned:
    """Every fifth sound comes 0.3 s into a reply to the caller's own turn, some without that."""
    if number % 5 == 0:
        return Planned(sound, "early", pools.own_turn(voice))
    if number % 10 == 3:
        return Planned(sound, "early")
    if number % 10 == 6:
        return Planned(sound, "reply", pools.own_turn(voice))
    return Planned(sound, "plain")


def _one_of(rng: np.random.Generator, choices: Sequence[_T]) -> _T:
    return choices[int(rng.integers(len(choices)))]


def _some_of(rng: np.random.Generator, choices: Sequence[_T], count: int) -> list[_T]:
    """``count`` of them (all where there are fewer), none twice, in random order."""
    return [choices[int(index)] for index in rng.permutation(len(choices))[:count]]


def _in_turn(lists: Sequence[Sequence[_T]]) -> list[_T]:
    """The first of each, then the second of each, and so on."""
    longest = max(len(each) for each in lists)
    return [each[k] for k in range(longest) for each in lists if k < len(each)]
