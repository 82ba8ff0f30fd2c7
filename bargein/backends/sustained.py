"""How long has the caller spoken since the onset, and how likely does that interrupt?

Pure functions of what a VAD found and how loud it was. The longer speech is sustained, the likelier
it is more than an "mm-hmm"; nothing else is looked at, neither words nor tone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bargein.core.window import FRAME_SAMPLES
from bargein.vad.track import CHUNK, SAMPLE_RATE, Speech

__all__ = [
    "CALIBRATION",
    "MAX_PAUSE",
    "QUIETER",
    "VOICED",
    "calibrate",
    "interruption_probabilities",
    "loud_speech",
    "newest_run",
    "sustained_seconds",
]

VOICED = 0.5
"""From this probability on a chunk is speech: where Silero is as often right as wrong."""

QUIETER = 16.0
"""dB. A chunk of speech so far below the loudest since the onset doesn't count. It is the last
breath of a word, the VAD letting go late, or the agent's echo while the echo gate is still held
open for the caller: without this limit a backchannel of 0.3 s lasts half a second."""

MAX_PAUSE = 0.3
"""Seconds. A shorter pause is bridged: speech goes on after it, though the pause itself doesn't
count. Pauses inside a phrase are mostly shorter; what comes after a longer one is a new try."""

CALIBRATION = (
    *((0.0, 0.02), (0.1, 0.31), (0.2, 0.38), (0.3, 0.45), (0.4, 0.47)),
    *((0.5, 0.61), (0.6, 0.76), (0.8, 0.89), (1.0, 0.95)),
)
"""(seconds of speech, probability of an interruption), linear between them, level after the last.
From the half of the labelled set that is there to calibrate on, by ``python -m
training.calibrate_local``, for lines on which 64 % of the overlaps that a VAD opens are
interruptions: then one half is passed at 0.42 s. The first point is set by hand: no voice, no
interruption."""

_CHUNK_SECONDS = CHUNK / SAMPLE_RATE
_SECONDS, _PROBABILITIES = np.array(CALIBRATION).T
_QUIETER_POWER = 10 ** (-QUIETER / 10)


def interruption_probabilities(
    speech: Speech, samples: npt.NDArray[np.int16], *, start: int, onset: int | None
) -> npt.NDArray[np.float32]:
    """Give the probability of an interruption at the end of each 25 ms of a window.

    Args:
        speech: what a VAD found in it, in chunks that lie wholly in the window.
        samples: the window's, (n,).
        start: where the window begins, in samples on the grid of ``speech``.
        onset: where the caller's speech began, on that grid; ``None``: at the start of the
            newest run of speech.

    Returns:
        float32, (ceil(n / 400),): each says what the speech up to that frame's end tells.
        0 up to the onset; after the newest chunk of ``speech`` the last value holds.
    """
    count = -(-len(samples) // FRAME_SAMPLES)
    answer = np.zeros(count, np.float32)
    if onset is None:
        run = newest_run(loud_speech(speech, _powers(speech, samples, start)))
        if run is None:
            return answer
        onset = (speech.first + run) * CHUNK
    first, sustained = sustained_seconds(speech, samples, start=start, onset=onset)
    if not sustained:
        return answer
    ends = np.minimum(np.arange(1, count + 1) * FRAME_SAMPLES, len(samples)) + start
    borders = np.arange(first, first + len(sustained) + 1) * CHUNK
    probabilities = calibrate(np.interp(ends, borders, [0.0, *sustained]))
    answer[:] = np.where(ends > onset, probabilities, 0.0)
    return answer


def calibrate(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn seconds of sustained speech into the probability that it is an interruption."""
    return np.asarray(np.interp(seconds, _SECONDS, _PROBABILITIES))


def loud_speech(speech: Speech, powers: Sequence[float]) -> list[bool]:
    """Tell of each chunk whether it is speech, and not much quieter than what came before it.

    ``powers`` are the chunks' energies.
    """
    found = []
    loudest = 0.0
    for probability, power in zip(speech.probabilities.tolist(), powers, strict=True):
        voiced = probability >= VOICED
        if voiced and power > loudest:
            loudest = power
        found.append(voiced and power >= loudest * _QUIETER_POWER)
    return found


def newest_run(voiced: Sequence[bool]) -> int | None:
    """Give the chunk at which the newest run of speech begins; ``None`` if there is none.

    Short pauses are bridged.
    """
    start = None
    silence = 0.0
    for i in range(len(voiced) - 1, -1, -1):
        if voiced[i]:
            start, silence = i, 0.0
        elif start is not None:
            silence += _CHUNK_SECONDS
            if silence >= MAX_PAUSE:
                break
    return start


def sustained_seconds(
    speech: Speech, samples: npt.NDArray[np.int16], *, start: int, onset: int
) -> tuple[int, list[float]]:
    """Give the seconds of speech sustained since the onset, at the end of each chunk from there on.

    As :func:`interruption_probabilities`, of whose probabilities they are the reason. The first
    value's chunk comes with them.
    """
    passed = min(max(0, onset // CHUNK - speech.first), len(speech))
    speech = Speech(speech.first + passed, speech.probabilities[passed:])
    found = []
    total = silence = 0.0
    counted = ((speech.first + 1) * CHUNK - onset) / SAMPLE_RATE  # the onset's may count in part
    for speaks in loud_speech(speech, _powers(speech, samples, start)):
        seconds, counted = min(counted, _CHUNK_SECONDS), _CHUNK_SECONDS
        if speaks:
            total, silence = total + seconds, 0.0
        else:
            silence += seconds
            if silence >= MAX_PAUSE:
                total = 0.0
        found.append(total)
    return speech.first, found


def _powers(speech: Speech, samples: npt.NDArray[np.int16], start: int) -> list[float]:
    """The energy of each chunk: sums of squares of int16 are exact, in whatever order."""
    part = samples[speech.start - start : speech.end - start].reshape(-1, CHUNK)
    powers: list[float] = np.square(part, dtype=np.float64).sum(axis=1).tolist()
    return powers
