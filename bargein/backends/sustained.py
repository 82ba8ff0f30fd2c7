"""How long has the caller spoken since the onset, and how likely does that interrupt?

Pure functions of what a VAD found. The longer speech is sustained, the likelier it is more than
an "mm-hmm"; nothing else is looked at, neither words nor tone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bargein.core.window import FRAME_SAMPLES
from bargein.vad.track import CHUNK, SAMPLE_RATE, Speech

__all__ = [
    "MAX_PAUSE",
    "VOICED",
    "calibrate",
    "interruption_probabilities",
    "newest_run",
    "speech_seconds",
]

VOICED = 0.5
"""From this probability on a chunk is speech: where Silero is as often right as wrong."""

MAX_PAUSE = 0.3
"""Seconds. A shorter pause is bridged: speech goes on after it, though the pause itself doesn't
count. Pauses inside a phrase are mostly shorter; what comes after a longer one is a new try."""

INTERCEPT = -3.0
SLOPE = 6.0

_CHUNK_SECONDS = CHUNK / SAMPLE_RATE


def interruption_probabilities(
    speech: Speech, *, start: int, samples: int, onset: int | None
) -> npt.NDArray[np.float32]:
    """Give the probability of an interruption at the end of each 25 ms of a window.

    Args:
        speech: what a VAD found in it.
        start: where the window begins, in samples on the grid of ``speech``.
        samples: how long it is.
        onset: where the caller's speech began, on that grid; ``None``: at the start of the
            newest run of speech.

    Returns:
        float32, (ceil(samples / 400),): each says what the speech up to that frame's end tells.
        0 up to the onset; after the newest chunk of ``speech`` the last value holds.
    """
    ends = np.minimum(np.arange(1, -(-samples // FRAME_SAMPLES) + 1) * FRAME_SAMPLES, samples)
    answer = np.zeros(len(ends), np.float32)
    if onset is None:
        onset = newest_run(speech)
    if onset is None or not len(speech):
        return answer
    borders = np.arange(speech.first, speech.first + len(speech) + 1) * CHUNK - start
    seconds = np.interp(ends, borders, [0.0, *speech_seconds(speech, onset)])
    spoken = ends > onset - start
    answer[spoken] = calibrate(seconds[spoken])
    return answer


def calibrate(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn seconds of sustained speech into the probability that it is an interruption."""
    result: npt.NDArray[np.float64] = 1.0 / (1.0 + np.exp(-(INTERCEPT + SLOPE * seconds)))
    return result


def newest_run(speech: Speech) -> int | None:
    """Give where the newest run of speech begins, short pauses bridged; ``None`` if none does."""
    start = None
    silence = 0.0
    for i in range(len(speech) - 1, -1, -1):
        if speech.probabilities[i] >= VOICED:
            start, silence = i, 0.0
        elif start is not None:
            silence += _CHUNK_SECONDS
            if silence >= MAX_PAUSE:
                break
    return None if start is None else (speech.first + start) * CHUNK


def speech_seconds(speech: Speech, onset: int) -> list[float]:
    """Give the seconds of speech sustained since the onset, at the end of each chunk."""
    found = []
    total = silence = 0.0
    for i, probability in enumerate(speech.probabilities.tolist(), speech.first):
        counted = min(CHUNK, max(0, (i + 1) * CHUNK - onset)) / SAMPLE_RATE
        if probability >= VOICED:
            total, silence = total + counted, 0.0
        else:
            silence += counted
            if silence >= MAX_PAUSE:
                total = 0.0
        found.append(total)
    return found
