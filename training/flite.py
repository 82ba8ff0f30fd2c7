"""A second synthesiser: Flite, so quick that every phrase is said by several of its voices.

Nobody would take Flite for a person. What it brings are words in voices that aren't Kokoro's, so
that a judge learns the words and not one synthesiser's way of saying them. English, and training,
alone.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np

from training import phonemes
from training.lexicon import Phrase
from training.mixing import Sound
from training.more_lexicon import BRIEF_INTERRUPTIONS, LONGER_BACKCHANNELS, combined
from training.recordings import read_audio
from training.sound import RATE, Audio, trim_from
from training.train_lexicon import MORE_INTERRUPTIONS, TAUGHT_BACKCHANNELS

VOICES = ("kal16", "awb", "rms", "slt")

TIMES = {"backchannel": 2, "interruption": 2, "short": 4, "combined": 1}
"""Times that each phrase is said."""

STRETCH = (0.75, 1.3)
"""A phrase's length against the voice's own."""
SHIFT = (0.8, 1.3)
"""Its pitch against the voice's own."""
KAL_PITCH = 105.0
"""Hz; the one voice of which pitch isn't set by a factor."""

_TRIM = 30.0


@attrs.frozen
class Flite:
    """The program in the Debian packages that ``training.fetch`` unpacked."""

    sources: Path

    def say(
        self, text: str, voice: str, stretch: float, shift: float
    ) -> tuple[Audio, list[tuple[str, float]]]:
        """Speech, mono float32 at 16 kHz, with silence around it; its sounds and when they end."""
        program = self.sources / "deb/flite/usr/bin/flite"
        (libraries,) = (self.sources / "deb/libflite1/usr/lib").glob("*-linux-gnu*")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "said.wav"
            features = {
                "duration_stretch": stretch,
                "f0_shift": shift,
                "int_f0_target_mean": KAL_PITCH * shift,
            }
            settings = [part for each in features.items() for part in _setting(*each)]
            command = [program, "-psdur", "-voice", voice, *settings, "-t", text, "-o", path]
            environment = os.environ | {"LD_LIBRARY_PATH": str(libraries)}
            ran = subprocess.run(command, env=environment, check=True, capture_output=True)
            return read_audio(path), phonemes.of_flite(ran.stdout.decode())


def _setting(name: str, value: float) -> tuple[str, str]:
    return "--setf", f"{name}={value:.3f}"


def phrases() -> list[tuple[Phrase, str]]:
    """What is said, with its label, as often as it is said."""
    given: list[tuple[Phrase, str]] = []
    for label, some in (
        ("backchannel", (*TAUGHT_BACKCHANNELS, *LONGER_BACKCHANNELS)),
        ("interruption", (*MORE_INTERRUPTIONS, *BRIEF_INTERRUPTIONS)),
    ):
        for phrase in some:
            times = TIMES["short" if phrase.family == "short" else label]
            given += [(phrase, label)] * times
    given += [(phrase, "interruption") for phrase in combined()] * TIMES["combined"]
    # Phonemes here are written in Kokoro's alphabet, which Flite doesn't know.
    return [
        (phrase, label)
        for phrase, label in given
        if phrase.language == "en" and not phrase.phonemes
    ]


def spoken(rng: np.random.Generator, sources: Path) -> Iterator[Sound]:
    """Every phrase by voices, at rates and pitches drawn by lot."""
    flite = Flite(sources)
    for phrase, label in phrases():
        voice = VOICES[int(rng.integers(len(VOICES)))]
        stretch = float(np.exp(rng.uniform(*np.log(STRETCH))))
        shift = float(np.exp(rng.uniform(*np.log(SHIFT))))
        said, times = flite.say(phrase.text, voice, stretch, shift)
        samples, first = trim_from(said, _TRIM)
        if len(samples) >= RATE // 12:
            spelt = phonemes.spelt(times, first)
            yield Sound(
                *(samples, label, phrase.family, phrase.text, f"flite-{voice}", "en"),
                *("synthetic", spelt),
            )
