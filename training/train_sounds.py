"""The sounds that the judge is taught by, part by part; ``utterances.py`` has the synthetic ones.

No voice, person, piece or effect of the labelled set's half to report on is here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile as sf

from training import hums, noises, phonemes, recordings
from training.mixing import Sound
from training.sound import (
    RATE,
    Audio,
    band,
    convolve,
    fade,
    frame_levels,
    set_level,
    sounding_span,
    to_rate,
    trim,
    trim_from,
)
from training.synthesise import Kokoro
from training.utterances import Part, utterances

CALLERS: dict[Part, tuple[str, ...]] = {
    "train": ("allison-en", "allison-es", "librivox-en"),
    "validate": ("carlo-it",),
}
"""Recorded persons whose prompts are interruptions (``armelle-fr`` joins those for training)."""

UNITS: dict[str, tuple[str, ...]] = {
    "train": (
        *("archer", "archmage", "axe_thrower", "horseman", "initiate", "shaman", "stickfighter"),
        *("cudgel", "summoner", "worker", "genie", "carpet"),
    ),
    "validate": ("swordman",),
    "test": ("technician", "guard", "princess", "spearman", "valkyrie", "battlemage"),
}
"""Megaglest's people. Their short answers to a player ("yes", "okay", "yes sir") are the only
recorded backchannels here; the package doesn't say which actor speaks whom."""

SHORT_ANSWER = 0.8
"""Seconds; longer answers say more than that they heard, and are left out."""

_ARMELLE = "deb/asterisk-prompt-fr-armelle/usr/share/asterisk/sounds/fr"
_GLEST = "deb/megaglest-data/usr/share/games/megaglest"
_VOWELS = ("a", "e", "i", "o", "u", "m", "n", "h", "y")
_BRIEF = (0.16, 0.5)
_TRIM = 30.0


def spoken(kokoro: Kokoro, part: Part, sources: Path) -> Iterator[Sound]:
    """The synthesised phrases that are there already (see ``utterances.py``)."""
    for utterance in utterances(part):
        if not utterance.is_kept(kokoro):
            continue
        phrase = utterance.phrase
        samples, first = trim_from(utterance.say(kokoro), _TRIM)
        if len(samples) < RATE // 12:
            continue
        spelt = phonemes.spelt(utterance.times(kokoro), first)
        yield Sound(
            *(samples, utterance.label, phrase.family, phrase.text, utterance.voice),
            *(phrase.language, "synthetic", spelt),
        )


def joined(rng: np.random.Generator, sounds: list[Sound], count: int) -> Iterator[Sound]:
    """Two backchannels in a row, and backchannels that turn into interruptions, by one voice."""
    by_voice: dict[str, dict[str, list[Sound]]] = {}
    for sound in sounds:
        for voice in sound.speaker.split("+"):
            voice = voice.split(":")[0]
            by_voice.setdefault(voice, {}).setdefault(sound.label, []).append(sound)
    voices = sorted(v for v, labels in by_voice.items() if len(labels) == 2)
    for number in range(count if voices else 0):
        labels = by_voice[voices[int(rng.integers(len(voices)))]]
        briefs = [s for s in labels["backchannel"] if len(s.samples) < 0.6 * RATE] or labels[
            "backchannel"
        ]
        label = "backchannel" if number % 2 else "interruption"
        first = briefs[int(rng.integers(len(briefs)))]
        others = briefs if number % 2 else labels["interruption"]
        second = others[int(rng.integers(len(others)))]
        pause = np.zeros(round(float(rng.uniform(0.03, 0.45)) * RATE), np.float32)
        samples = np.concatenate(
            [set_level(first.samples, -20.0), pause, set_level(second.samples, -20.0)]
        )
        kind = "twice" if number % 2 else "yeah, but"
        text = f"{first.text} … {second.text}"
        spelt = (
            *first.spelt,
            *phonemes.spelt(second.spelt, -len(first.samples) / RATE - len(pause) / RATE),
        )
        yield Sound(samples, label, kind, text, first.speaker, second.language, "synthetic", spelt)


def computed_hums(rng: np.random.Generator, count: int) -> Iterator[Sound]:
    """Hums are backchannels; laughs and grunts count as noise: they ask for nothing either."""
    makers = (("hum", hums.hum), ("hum", hums.hum), ("laugh", hums.laugh), ("grunt", hums.grunt))
    for number in range(count):
        kind, make = makers[number % 4]
        label = "backchannel" if kind == "hum" else "noise"
        yield Sound(trim(make(rng), _TRIM), label, kind, "", "", "", "computed")


def real_interruptions(rng: np.random.Generator, sources: Path, part: Part) -> Iterator[Sound]:
    """Every prompt of some length, cut to what one says before the other stops."""
    for speaker in CALLERS[part]:
        language = recordings.SPEAKERS[speaker].language
        pieces = 12 if speaker.startswith("librivox") else 1
        for path in recordings.prompts(sources, speaker, 0.9, 60.0):
            yield from _cut(rng, recordings.phrase(path), path.stem, speaker, language, pieces)
    if part == "train":
        for path in sorted((sources / _ARMELLE).glob("*.gsm")):
            samples = trim(_gsm(path))
            if len(samples) > 0.9 * RATE:
                yield from _cut(rng, samples, path.stem, "armelle-fr", "fr", 1)


def _cut(
    rng: np.random.Generator, samples: Audio, text: str, speaker: str, language: str, pieces: int
) -> Iterator[Sound]:
    for _ in range(pieces):
        seconds = float(rng.uniform(0.8, 3.0))
        first = 0
        if pieces > 1:
            starts = _after_pauses(samples)
            first = int(rng.choice(starts)) if len(starts) else 0
        piece = samples[first : first + round(seconds * RATE)]
        if len(piece) < 0.6 * RATE:
            continue
        piece = trim(fade(piece, 0.02))
        yield Sound(piece, "interruption", "real prompt", text, speaker, language, "real")


def _after_pauses(samples: Audio) -> np.ndarray:  # type: ignore[type-arg]
    """Where speech begins after at least 120 ms that are 30 dB below the loudest."""
    levels = frame_levels(samples)
    quiet = levels < levels.max() - 30.0
    starts = [
        i * (RATE // 100)
        for i in range(12, len(quiet) - 80)
        if quiet[i - 12 : i].all() and not quiet[i]
    ]
    return np.array([0, *starts])


def real_backchannels(
    rng: np.random.Generator, sources: Path, part: Part, fragments: int
) -> Iterator[Sound]:
    """Recorded short answers; spoken vowels; and beginnings that stop at once.

    A beginning of a prompt, faded out after a fifth to half a second, is what a false start sounds
    like: whoever says no more than that hasn't taken the turn. Without such pieces a judge learns
    that recorded voices interrupt and synthetic ones don't.
    """
    yield from short_answers(sources, part)
    letters = [(speaker, path) for speaker in CALLERS[part] for path in _letters(sources, speaker)]
    for speaker, path in letters:
        samples = trim(recordings.read_audio(path), _TRIM)
        if _BRIEF[0] * RATE <= len(samples) <= 0.6 * RATE:
            language = recordings.SPEAKERS[speaker].language
            yield Sound(samples, "backchannel", "vowel", path.stem, speaker, language, "real")
    yield from false_starts(rng, sources, CALLERS[part], fragments)


def false_starts(
    rng: np.random.Generator, sources: Path, speakers: tuple[str, ...], count: int
) -> Iterator[Sound]:
    """Beginnings of recorded prompts, faded out after a fifth to half a second."""
    prompts = [
        (speaker, path)
        for speaker in speakers
        for path in recordings.prompts(sources, speaker, 0.9, 60.0)
    ]
    for _ in range(count):
        speaker, path = prompts[int(rng.integers(len(prompts)))]
        samples = recordings.phrase(path)
        first = int(rng.choice(_after_pauses(samples)))
        piece = samples[first : first + round(float(rng.uniform(*_BRIEF)) * RATE)]
        piece = trim(fade(piece, float(rng.uniform(0.02, 0.08))), _TRIM)
        if len(piece) >= 0.12 * RATE:
            language = recordings.SPEAKERS[speaker].language
            yield Sound(piece, "backchannel", "false start", path.stem, speaker, language, "real")


def _letters(sources: Path, speaker: str) -> list[Path]:
    found = recordings.SPEAKERS[speaker]
    folder = sources / "deb" / found.package / found.folder / "letters"
    return [path for path in sorted(folder.glob("*.wav")) if path.stem in _VOWELS]


def short_answers(sources: Path, part: str) -> Iterator[Sound]:
    """Megaglest's people acknowledging an order, each recording once."""
    for unit, _, path in _glest(sources, "ack|select", UNITS[part]):
        samples = trim(recordings.read_any(path), _TRIM)
        if 0.12 * RATE <= len(samples) <= SHORT_ANSWER * RATE:
            yield Sound(samples, "backchannel", "answer", path.stem, unit, "en", "real")


def _glest(
    sources: Path, kinds: str, units: tuple[str, ...] | None = None
) -> Iterator[tuple[str, str, Path]]:
    pattern = re.compile(rf"(.*)_({kinds})\d*$")
    seen = set()
    for path in sorted((sources / _GLEST).rglob("*.wav")):
        match = pattern.match(path.stem)
        if match is None or (units is not None and match[1] not in units):
            continue
        digest = hashlib.sha256(path.read_bytes()).digest()
        if digest not in seen:
            seen.add(digest)
            yield match[1], match[2], path


def glest_noises(sources: Path, part: str) -> Iterator[Sound]:
    """Screams, groans and blows of the part's people; beasts and machines are for training."""
    people = {unit for units in UNITS.values() for unit in units}
    for unit, _, path in _glest(sources, "die|attack|hit|walk|build|mine"):
        if unit in UNITS[part] or (unit not in people and part == "train"):
            yield _noise(path, "grunt" if unit in people else "beast")


def _noise(path: Path, kind: str, seconds: float = 2.5) -> Sound:
    samples = recordings.read_any(path)
    first, _ = sounding_span(samples)
    heard = trim(samples[first : first + round(seconds * RATE)])
    return Sound(heard, "noise", kind, path.stem, "", "", "real")


def other_noises(rng: np.random.Generator, sources: Path, part: Part) -> Iterator[Sound]:
    """Computed noises, effects, music, TV; every fourth recording is for validation."""
    own = (lambda i: i % 4 != 3) if part == "train" else (lambda i: i % 4 == 3)
    times = 24 if part == "train" else 4
    for kind, make in noises.SYNTHETIC.items():
        for _ in range(times * (3 if kind in ("cough", "throat", "breath") else 1)):
            yield Sound(trim(make(rng)), "noise", kind, "", "", "", "computed")
    for number, path in enumerate(recordings.effects(sources, "calibrate")):
        if own(number):
            yield _noise(path, "effect")
    for number, path in enumerate(recordings.game_sounds(sources, "calibrate")):
        if own(number):
            yield _noise(path, "game")
    tunes = [recordings.read_any(path) for path in recordings.music(sources, "calibrate")]
    speakers = CALLERS[part]
    for number in range(140 if part == "train" else 24):
        tune = tunes[number % len(tunes)]
        count = round(float(rng.uniform(1.2, 3.5)) * RATE)
        # The last fifth of each piece is for validation.
        border = len(tune) * 4 // 5
        low, high = (5 * RATE, border) if part == "train" else (border, len(tune) - 5 * RATE)
        at = int(rng.integers(low, high - count))
        music = tune[at : at + count]
        if number % 2:
            yield Sound(trim(music), "noise", "music", "", "", "", "real")
            continue
        speaker = speakers[int(rng.integers(len(speakers)))]
        paths = recordings.prompts(sources, speaker, 3.0, 60.0)
        told = recordings.phrase(paths[int(rng.integers(len(paths)))])[:count]
        heard = convolve(told, room(rng, float(rng.uniform(0.2, 0.6)), 0.06))
        behind = set_level(music[: len(told)], float(rng.uniform(-40.0, -28.0)))
        heard = set_level(heard, -22.0) + behind
        samples = band(heard, float(rng.uniform(150, 300)), float(rng.uniform(3_500, 6_000)))
        yield Sound(trim(samples), "noise", "tv", "", speaker, "", "real")


def room(rng: np.random.Generator, seconds: float, tail_gain: float) -> Audio:
    """A room's answer: the direct sound, then noise that falls by 60 dB in ``seconds``."""
    count = round(seconds * RATE)
    tail = rng.standard_normal(count) * 10.0 ** (-3.0 * np.arange(count) / count) * tail_gain
    tail[: round(0.002 * RATE)] = 0.0
    tail[0] = 1.0
    return tail.astype(np.float32)


def _gsm(path: Path) -> Audio:
    samples, rate = sf.read(
        path, dtype="float32", format="RAW", subtype="GSM610", samplerate=8_000, channels=1
    )
    return to_rate(samples, int(rate))
