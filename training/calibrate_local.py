"""Finds the local backend's calibration on the half of the labelled set that is there for it.

    python -m training.calibrate_local SET

SET is the folder that ``training.labelled_set`` filled. Every clip is played to the machine
(``replay.py``); at each window the seconds of speech sustained so far stand beside the clip's
label. Printed is the share of interruptions at each length, which is ``CALIBRATION`` in
``bargein/backends/sustained.py``, and what share of interruptions among all overlaps that is for.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bargein.backends.chunks import StreamSpeech, find_speech
from bargein.backends.sustained import sustained_seconds
from bargein.core import Prediction, Window
from bargein.vad.silero import SileroVad
from training.replay import AFTERMATH, RATE, LabelledClip, read_manifest, replay

KNOTS = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5])
"""Seconds of speech for which a probability is given."""

HALF_AT = 0.42
"""Seconds of speech at which the probability is a half: half a second by the ear, for some of
what is said is too quiet to count, or the VAD hasn't noticed it yet."""

NEAR = 0.3
"""Seconds that an overlap may begin before the sound it is about: the VAD's grid and its doubts."""

Floats = npt.NDArray[np.float64]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path, help="the folder that training.labelled_set filled")
    clips = read_manifest(parser.parse_args().set, "calibrate")
    seconds, labels, weights = moments(clips)
    odds = odds_at_knots(seconds, labels, weights)
    shift = np.interp(HALF_AT, KNOTS, np.log(odds))
    share = 1 / (1 + np.exp(shift))
    print(f"{len(clips)} clips, {len(seconds)} windows; for a call of which {share:.0%} of all")
    print("overlaps are interruptions:")
    for knot, value in zip(KNOTS, 1 / (1 + np.exp(shift) / odds), strict=True):
        print(f"({knot:g}, {value:.2f})")


class _Listener:
    """A session that notes how much speech each window holds and never decides."""

    def __init__(self) -> None:
        self.noted: list[tuple[Window, float]] = []
        self._vad = SileroVad.load()
        self._speech = StreamSpeech()

    def predict(self, window: Window) -> Prediction:
        assert window.start is not None
        assert window.speech_start is not None
        [speech] = find_speech(self._vad, [(self._speech, window)])
        onset = window.start + window.speech_start
        _, seconds = sustained_seconds(speech, window.samples, start=window.start, onset=onset)
        self.noted.append((window, seconds[-1] if seconds else 0.0))
        return Prediction(is_interruption=False)

    def close(self) -> None:
        pass


def moments(clips: list[LabelledClip]) -> tuple[Floats, Floats, Floats]:
    """Seconds of speech, label (1: an interruption) and weight of each window about a clip's sound.

    Interruptions weigh as much as all else, and a clip as much as any other of its class.
    """
    found: list[tuple[float, float, float]] = []
    for clip in clips:
        listener = _Listener()
        replay(clip, listener, default_threshold=None)
        seconds = [value for window, value in listener.noted if _is_about(clip, window)]
        label = float(clip.label == "interruption")
        found += [(value, label, 1 / len(seconds)) for value in seconds]
    values, labels, weights = np.array(found).T
    for label in (0.0, 1.0):
        weights[labels == label] /= weights[labels == label].sum()
    return values, labels, weights


def _is_about(clip: LabelledClip, window: Window) -> bool:
    assert window.start is not None
    assert window.speech_start is not None
    onset = (window.start + window.speech_start) / RATE
    end = (window.start + len(window.samples)) / RATE
    return clip.onset - NEAR <= onset and clip.onset <= end <= clip.end + AFTERMATH


def odds_at_knots(seconds: Floats, labels: Floats, weights: Floats) -> Floats:
    """The odds of an interruption around each knot, made never to fall (isotonic regression)."""
    borders = [0.0, *(KNOTS[1:] + KNOTS[:-1]) / 2, np.inf]
    pools: list[tuple[float, float, int]] = []
    for low, high in itertools.pairwise(borders):
        inside = (low < seconds) & (seconds <= high)
        yes = float(weights[inside & (labels == 1)].sum())
        no = float(weights[inside & (labels == 0)].sum())
        pools.append((yes, no, 1))
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] > pools[-1][0] * pools[-2][1]:
            last, before = pools.pop(), pools.pop()
            pools.append((last[0] + before[0], last[1] + before[1], last[2] + before[2]))
    return np.concatenate([np.full(count, yes / no) for yes, no, count in pools])


if __name__ == "__main__":
    main()
