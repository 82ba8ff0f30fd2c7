"""Which of a script's answers a window gets: by the words over which it was cut, and its number."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from bargein.core import Window
from bargein.core.options import InterruptionOptions
from bargein.core.window import WINDOW_RATE

from .answers import Answer, no
from .script import CallScript

__all__ = ["ScriptJudge", "fingerprint", "known_windows"]


def fingerprint(samples: npt.NDArray[np.int16]) -> bytes:
    """Return what tells a window's bytes from others'."""
    return hashlib.blake2b(samples.astype("<i2").tobytes(), digest_size=16).digest()


class ScriptJudge:
    """Answers windows as a script says. Keeps what it has seen of a call; one a call.

    ``began``: when the script began on the stream's own time line, in seconds of its audio.
    """

    def __init__(self, script: CallScript, *, began: float = 0.0) -> None:
        self._script = script
        self._began = began
        known = {n: v for n, v in script.options.items() if n in _CUTTING}
        self._options = InterruptionOptions(**known)
        self._first: dict[int, int] = {}
        """Of each overlap, where its first window ended."""

    def __call__(self, window: Window) -> Answer:
        utterance, number = self.place(window)
        return self.answer(utterance, number)

    def place(self, window: Window) -> tuple[int, int]:
        """Return which words a window belongs to, and its number in their overlap, both from 1."""
        start = window.start or 0
        end = start + len(window.samples)
        first = self._first.setdefault(window.overlap, end)
        step = float(self._options.interval) * WINDOW_RATE
        number = 1 + round((end - first) / step)
        if not self._script.utterances or window.speech_start is None:
            return window.overlap, number
        onset = (start + window.speech_start) / WINDOW_RATE - self._began
        said = nearest(self._script, onset)
        words = self._script.utterances[said - 1]
        if not self._script.vad:
            begun = (words.start + words.heard_after + self._began) * WINDOW_RATE
            number = max(1, round((end - begun) / step) + self._options.eager_first_window)
        return said, number

    def answer(self, utterance: int, number: int) -> Answer:
        """Return what the script says of an overlap's window with this number."""
        script = self._script
        own: tuple[Answer, ...] = script.overlap_answers.get(utterance, ())
        if not own and 0 < utterance <= len(script.utterances):
            own = script.utterances[utterance - 1].answers
        answers = own or script.answers or (no,)
        return answers[min(number, len(answers)) - 1]


_CUTTING = ("detection_interval", "eager_first_window")


def nearest(script: CallScript, onset: float) -> int:
    """Return the number of the words that began nearest to an onset."""
    starts = [said.start for said in script.utterances]
    return 1 + min(range(len(starts)), key=lambda n: abs(starts[n] - onset))


def known_windows(
    script: CallScript, play: Callable[[Callable[[Window], Answer]], Any]
) -> dict[bytes, tuple[int, int]]:
    """Return every window that a script can cut, by its bytes: whose words, which number.

    A window's bytes depend on positions alone, so what comes over a wire, without positions, can
    be told by them. ``play`` runs the script with a judge.
    """
    judge = ScriptJudge(script)
    known: dict[bytes, tuple[int, int]] = {}

    def look(window: Window) -> Answer:
        known.setdefault(fingerprint(window.samples), judge.place(window))
        return no

    play(look)
    return known
