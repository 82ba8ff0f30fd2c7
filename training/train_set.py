"""Mixes the judge's training set and plays it through the library, keeping what a judge would see.

    python -m training.train_set SOURCES INTO --part train --group spoken

Every sound is mixed a few times (level, room, pitch, line, echo, noise, lost packets: the tables
below) and played to the machine at the library's defaults, so the VAD, the echo gate, the tracker
and the windows are those of a call. What is kept of each overlap is one row of ``INTO/PART.npz``:
the chunks from :data:`BEFORE` before the onset on, their activations, probabilities and samples.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import attrs
import numpy as np
import numpy.typing as npt

from bargein.backends.gru import BEFORE
from bargein.core import Prediction, Window
from bargein.vad.track import CHUNK, Speech
from training import conversation, flite, phonemes, recordings, train_sounds
from training.mixing import Sound
from training.replay import play
from training.sound import (
    RATE,
    Audio,
    add_at,
    convolve,
    echo_of,
    fade,
    peak_limit,
    pink_noise,
    set_level,
    through_ulaw,
    to_rate,
    white_noise,
)
from training.synthesise import Kokoro
from training.utterances import Part

Group = Literal["spoken", "recorded", "acted", "flite"]
GROUPS: tuple[Group, ...] = ("spoken", "recorded", "acted", "flite")
"""What Kokoro says, all that is recorded, actors' lines; what Flite says, in training alone."""

MIXES: dict[Group, int] = {"spoken": 3, "recorded": 2, "acted": 2, "flite": 1}
"""Times that each sound is mixed for training; :data:`VALIDATE_MIXES` for validation."""
VALIDATE_MIXES = 2

GROUP_SEEDS: dict[Group, int] = {"recorded": 0, "spoken": 1, "acted": 2, "flite": 3}

FALSE_STARTS: dict[Part, int] = {"train": 150, "validate": 40}
"""Of actors' lines."""

LEVEL = (-32.0, -18.0)
"""dBFS of the caller's sound."""
SNR = (10.0, 45.0)
"""dB of the caller's sound over the noise behind it."""
ECHO = (-32.0, -18.0)
"""dB of the agent's leak against the agent, in :data:`ECHO_SHARE` of all mixes."""
ECHO_SHARE = 0.4
TEMPO: dict[Part, tuple[float, float]] = {"train": (0.83, 1.2), "validate": (0.92, 1.09)}
"""Pitch, vocal tract and tempo together: from a big man to a child, for training."""
ULAW_SHARE = 0.5
ROOM_SHARE = 0.4
ROOM = (0.15, 0.5)
"""Seconds in which a caller's room falls by 60 dB."""
LOSS_SHARE = 0.15
LOSS = (0.01, 0.06)
"""Share of 20 ms packets that are lost, and heard as silence."""
UNGATED_SHARE = 0.2
"""Mixes of which the library doesn't get the agent's audio, so nothing gates its echo."""

AFTER = 1.8
"""Seconds after an overlap's onset that are kept."""
ROWS = BEFORE + round(AFTER * RATE / CHUNK)
"""Chunks kept of an overlap, at most."""


@attrs.frozen(eq=False)
class Mixed:
    """A clip; times in seconds from its start."""

    caller: npt.NDArray[np.int16]
    agent: npt.NDArray[np.int16]
    agent_start: float
    onset: float
    end: float
    gated: bool
    condition: str
    tempo: float = 1.0
    """Seconds that a second of the sound takes."""


def mix(
    rng: np.random.Generator,
    sound: Sound | None,
    agent: Audio,
    *,
    tempo: tuple[float, float] = TEMPO["train"],
    echo: float | None = None,
    ulaw: bool | None = None,
    ungated: float = UNGATED_SHARE,
) -> Mixed:
    """One sound over an agent, through a line drawn at random; ``None``: the agent's echo alone.

    ``echo`` (dB) and ``ulaw``, where given, are as given.
    """
    agent_start = 0.3
    onset = agent_start + float(rng.choice([0.3, rng.uniform(0.3, 1.6)], p=[0.15, 0.85]))
    samples = np.zeros(RATE, np.float32) if sound is None else sound.samples
    rate = round(RATE * float(rng.uniform(*tempo)))
    samples = to_rate(samples, RATE, rate)
    if rng.random() < ROOM_SHARE:
        gain = float(rng.uniform(0.005, 0.03))
        impulse = train_sounds.room(rng, float(rng.uniform(*ROOM)), gain)
        padded = np.concatenate([samples, np.zeros(RATE // 8, np.float32)])
        samples = convolve(padded, impulse)
    samples = fade(samples[: round(2.4 * RATE)], 0.02)
    seconds = len(samples) / RATE
    # Whole tenths of a second: Fourier transforms of other lengths take ten times as long.
    count = round(10 * (onset + min(seconds, 2.2) + 0.95)) * (RATE // 10)
    level = float(rng.uniform(*LEVEL))
    far = np.zeros(count, np.float32)
    add_at(far, set_level(agent, float(rng.uniform(-26.0, -20.0))), round(agent_start * RATE))
    near = np.zeros(count, np.float32)
    if sound is not None:
        add_at(near, set_level(samples, level), round(onset * RATE))
    parts = []
    if rng.random() < ECHO_SHARE or sound is None or echo is not None:
        parts.append("echo")
        leak = float(rng.uniform(*ECHO)) if echo is None else echo
        near += echo_of(far, leak, float(rng.uniform(0.02, 0.2)))
    snr = float(rng.uniform(*SNR))
    parts += ["noise"] * (snr < 20.0)
    near += (pink_noise if rng.random() < 0.6 else white_noise)(rng, count, level - snr)
    if rng.random() < ULAW_SHARE if ulaw is None else ulaw:
        parts.insert(0, "ulaw")
        near, far = through_ulaw(near), through_ulaw(far)
    if rng.random() < LOSS_SHARE:
        near = _lose(rng, near, float(rng.uniform(*LOSS)))
    gated = not rng.random() < ungated
    return Mixed(
        *(_int16(near), _int16(far), agent_start, onset, onset + seconds, gated),
        "+".join(parts) or "clean",
        rate / RATE,
    )


def _lose(rng: np.random.Generator, samples: Audio, share: float) -> Audio:
    packet = RATE // 50
    kept = samples.copy()
    for start in range(0, len(kept), packet):
        if rng.random() < share:
            kept[start : start + packet] = 0.0
    return kept


def _int16(samples: Audio) -> npt.NDArray[np.int16]:
    return np.asarray(np.round(peak_limit(samples) * 32_767), np.int16)


class Listener:
    """A session that judges nothing, and keeps each overlap's newest window."""

    def __init__(self) -> None:
        self.windows: dict[int, Window] = {}

    def predict(self, window: Window) -> Prediction:
        """Never an interruption."""
        newest = self.windows.get(window.overlap)
        # From 3 s on a window begins after the onset: the last that reaches back far enough.
        if newest is None or (window.speech_start or 0) >= BEFORE * CHUNK:
            self.windows[window.overlap] = window
        return Prediction(np.zeros(-(-len(window.samples) // 400), np.float32))

    def close(self) -> None:
        """Nothing is held."""


@attrs.frozen(eq=False)
class Overlap:
    """What a judge sees of one overlap: chunks from a little before the onset on."""

    speech: Speech
    samples: npt.NDArray[np.int16]
    onset: int
    seconds: float
    """Of the onset that the tracker found, in the clip."""


def overlaps(mixed: Mixed) -> list[Overlap]:
    """Play a clip; give its overlaps."""
    session = Listener()
    agent = mixed.agent if mixed.gated else None
    play(
        *(mixed.caller, agent, mixed.agent_start, session),
        default_threshold=0.5,
        activations=True,
        frame=RATE // 2,
    )
    return [_overlap(window) for _, window in sorted(session.windows.items())]


def _overlap(window: Window) -> Overlap:
    start, speech = window.start, window.speech
    assert start is not None
    assert speech is not None
    assert window.speech_start is not None
    assert speech.activations is not None
    onset = start + window.speech_start
    first = max(speech.first, onset // CHUNK - BEFORE)
    last = min(speech.first + len(speech), first + ROWS)
    rows = slice(first - speech.first, last - speech.first)
    kept = Speech(first, speech.probabilities[rows], speech.activations[rows])
    samples = window.samples[first * CHUNK - start : last * CHUNK - start].reshape(-1, CHUNK)
    return Overlap(kept, samples, onset - first * CHUNK, onset / RATE)


def sounds(kokoro: Kokoro, sources: Path, part: Part, group: Group) -> Iterator[Sound | None]:
    """All sounds of a part, in the order in which they are numbered; ``None``: echo alone."""
    rng = np.random.default_rng([8, 1, part == "train", GROUP_SEEDS[group]])
    few = part == "validate"
    if group == "spoken":
        said = list(train_sounds.spoken(kokoro, part, sources))
        yield from said
        yield from train_sounds.joined(rng, said, 100 if few else 600)
        return
    if group == "acted":
        yield from conversation.acted_interruptions(rng, sources, part)
        # Few, and worth most: each three times as often as a line that interrupts.
        for _ in range(3):
            yield from conversation.acted_backchannels(sources, part)
        yield from conversation.acted_false_starts(rng, sources, part, FALSE_STARTS[part])
        return
    if group == "flite":
        if part == "train":
            yield from flite.spoken(rng, sources)
        return
    yield from train_sounds.computed_hums(rng, 48 if few else 400)
    yield from train_sounds.real_interruptions(rng, sources, part)
    yield from train_sounds.real_backchannels(rng, sources, part, 60 if few else 300)
    yield from train_sounds.glest_noises(sources, part)
    yield from train_sounds.other_noises(rng, sources, part)
    yield from [None] * (30 if few else 150)


def rows(
    part: Part, group: Group, sources: Path, share: int, of: int
) -> Iterator[tuple[dict[str, object], Overlap]]:
    """Every overlap of one process's share of the clips, and what is known of it."""
    agents = agents_of(sources, AGENTS[part])
    kokoro = Kokoro(sources)
    mixes = MIXES[group] if part == "train" else VALIDATE_MIXES
    for number, sound in enumerate(sounds(kokoro, sources, part, group)):
        if number % of != share:
            continue
        spelt = () if sound is None else phonemes.of_sound(kokoro, sound)
        for take in range(mixes):
            rng = np.random.default_rng([8, 2, part == "train", GROUP_SEEDS[group], number, take])
            name = sorted(agents)[int(rng.integers(len(agents)))]
            if sound is not None and name.split("-")[0] == sound.speaker.split("-")[0]:
                name = next(n for n in sorted(agents) if n != name)
            mixed = mix(rng, sound, reading(rng, agents[name]), tempo=TEMPO[part])
            for overlap in overlaps(mixed):
                label = label_of(None if sound is None else sound.label, mixed, overlap)
                if label is None:
                    continue
                yield (
                    {
                        "sound": f"{part} {group} {number}",
                        "take": take,
                        "label": label,
                        "kind": "echo" if sound is None else sound.kind,
                        "text": "" if sound is None else sound.text,
                        "phonemes": "".join(sign for sign, _ in spelt),
                        "ends": [
                            round(mixed.onset + end * mixed.tempo - overlap.seconds, 3)
                            for _, end in spelt
                        ],
                        "voice": "" if sound is None else sound.speaker,
                        "language": "" if sound is None else sound.language,
                        "origin": "real" if sound is None else sound.origin,
                        "condition": mixed.condition,
                        "gated": mixed.gated,
                        "late": round(overlap.seconds - mixed.onset, 3),
                        "lasts": round(mixed.end - overlap.seconds, 3),
                    },
                    overlap,
                )


def label_of(label: str | None, mixed: Mixed, overlap: Overlap) -> str | None:
    """What an overlap is: the clip's sound, or echo alone; None where it is both in one.

    ``label`` is the sound's, None where there is none.
    """
    begins = overlap.seconds
    ends = begins + (len(overlap.samples) - BEFORE) * CHUNK / RATE
    if label is None or ends < mixed.onset:
        return "noise"
    if begins < mixed.onset - 0.2 or begins > mixed.end + 0.3:
        return None
    return label


AGENTS: dict[Part, tuple[str, str]] = {
    "train": ("allison-en", "carlo-it"),
    "validate": ("allison-es", "librivox-en"),
}


def agents_of(sources: Path, names: Sequence[str]) -> dict[str, list[Audio]]:
    """Recorded speakers' longer prompts, for the agent to read."""
    found = {}
    for name in names:
        paths = recordings.prompts(sources, name, 2.5, 60.0)[:40]
        found[name] = [recordings.phrase(path) for path in paths]
    return found


def reading(rng: np.random.Generator, prompts: Sequence[Audio]) -> Audio:
    """Six seconds of prompts, one after the other."""
    samples = np.zeros(6 * RATE, np.float32)
    position = 0
    while position < len(samples):
        prompt = prompts[int(rng.integers(len(prompts)))]
        add_at(samples, set_level(prompt, -20.0), position)
        position += len(prompt) + round(0.25 * RATE)
    return samples


def write(path: Path, made: Sequence[tuple[dict[str, object], Overlap]]) -> None:
    """One file of overlaps: arrays padded with zeros to :data:`ROWS` chunks."""
    count = len(made)
    activations = np.zeros((count, ROWS, 256), np.float16)
    probabilities = np.zeros((count, ROWS), np.float32)
    samples = np.zeros((count, ROWS, CHUNK), np.int16)
    for i, (_, overlap) in enumerate(made):
        n = len(overlap.samples)
        activations[i, :n] = overlap.speech.activations
        probabilities[i, :n] = overlap.speech.probabilities
        samples[i, :n] = overlap.samples
    np.savez(
        path,
        activations=activations,
        probabilities=probabilities,
        samples=samples,
        lengths=np.array([len(overlap.samples) for _, overlap in made]),
        onsets=np.array([overlap.onset for _, overlap in made]),
        about=np.array([json.dumps(about) for about, _ in made]),
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", type=Path, help="the folder that training.fetch filled")
    parser.add_argument("into", type=Path)
    parser.add_argument("--part", choices=("train", "validate"), default="train")
    parser.add_argument("--group", choices=GROUPS, required=True)
    parser.add_argument("--share", default="0/1", help="this process's share, from 0/1")
    arguments = parser.parse_args()
    share, of = map(int, arguments.share.split("/"))
    arguments.into.mkdir(parents=True, exist_ok=True)
    made = []
    for row in rows(arguments.part, arguments.group, arguments.sources, share, of):
        made.append(row)
        if len(made) % 500 == 0:
            print(f"{len(made)} overlaps, at sound {row[0]['sound']}", flush=True)
    write(arguments.into / f"{arguments.part}-{arguments.group}-{share}.npz", made)
    print(f"{len(made)} overlaps in {arguments.into}")


if __name__ == "__main__":
    main()
