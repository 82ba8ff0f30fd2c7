"""Mixed overlaps as a network is given them: features, what is asked for, and what each weighs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.backends.gru import BEFORE, FEATURES, NOTICED, JudgeState, features_of
from bargein.vad.track import Speech
from training.phonemes import ALPHABET
from training.train_set import ROWS

SHARES = {
    ("interruption", "real"): 0.22,
    ("interruption", "synthetic"): 0.2,
    ("short", "synthetic"): 0.12,
    ("short", "real"): 0.04,
    ("backchannel", "synthetic"): 0.2,
    ("backchannel", "real"): 0.10,
    ("false start", "real"): 0.02,
    ("backchannel", "computed"): 0.03,
    ("noise", "real"): 0.09,
    ("noise", "computed"): 0.04,
    ("interruption", "own"): 0.25,
    ("backchannel", "own"): 0.2,
    ("noise", "own"): 0.1,
}
"""What each group weighs in the loss, however many overlaps it has."""

HELD = 0.4
"""Seconds after an overlap's last speech in which its label still counts."""

SPELT_PER_CHUNK = 2
"""Signs that the network may spell in a chunk: quick talkers say more than one in 32 ms."""

HEARD_AFTER = 0.064
"""Seconds after a sign that it is asked for: some are known by what follows."""

LATE_ONSET = 0.25
"""Seconds; an overlap that begins so long after the sound holds the rest of it."""

UNKNOWN = -1

DOUBT = 0.01
"""What a label leaves to its contrary."""


@attrs.frozen(eq=False)
class Overlaps:
    """N overlaps: features (N, T, 420), float16 to spare memory; what counts; what they are."""

    features: npt.NDArray[np.float16]
    counts: npt.NDArray[np.bool_]
    """(N, T): noticed, and not long after the last speech."""
    noticed: npt.NDArray[np.int64]
    """The first chunk that is speech; T where none is."""
    lengths: npt.NDArray[np.int64]
    labels: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    targets: npt.NDArray[np.float32]
    """(N, T): the probability that is asked for after each chunk."""
    spelt: npt.NDArray[np.int64]
    """(N, 2 T): the sign that was just said, where it is known: 0 is none, 1 the alphabet's first;
    :data:`UNKNOWN` elsewhere."""
    about: list[dict[str, Any]]


def read(folder: Path, part: str, *, features_too: bool = True) -> Overlaps:
    """All files of one part; without features (which take the time), where they aren't needed."""
    features, counts, noticed, lengths = [], [], [], []
    about: list[dict[str, Any]] = []
    for path in sorted(folder.glob(f"{part}-*.npz")):
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        about_of = [json.loads(each) for each in arrays["about"]]
        about += about_of
        lengths.append(arrays["lengths"])
        width = FEATURES if features_too else 0
        made = np.zeros((*arrays["probabilities"].shape, width), np.float16)
        counted = np.zeros(made.shape[:2], bool)
        for i, n in enumerate(arrays["lengths"]):
            speech = Speech(0, arrays["probabilities"][i, :n], arrays["activations"][i, :n])
            if features_too:
                state = JudgeState(np.zeros(0, np.float32))
                made[i, :n] = features_of(state, speech, arrays["samples"][i, :n])
            counted[i, :n] = _counted(speech.probabilities)
            if about_of[i]["kind"] == "false start":
                # Up to its end it sounds as the sentence does that it was cut from.
                counted[i, : BEFORE + round(about_of[i]["lasts"] / 0.032)] = False
        features.append(made)
        counts.append(counted)
        voiced = arrays["probabilities"] >= NOTICED
        noticed.append(np.where(voiced.any(1), voiced.argmax(1), voiced.shape[1]))
    groups = [_group(each) for each in about]
    sizes = {group: groups.count(group) for group in set(groups)}
    shares = [SHARES.get(group, 0.01) / sizes[group] for group in groups]
    weights = np.array(shares, np.float32)
    labels = np.array([a["label"] == "interruption" for a in about], np.float32)
    asked = np.concatenate(features)
    return Overlaps(
        asked,
        np.concatenate(counts),
        np.concatenate(noticed),
        np.concatenate(lengths),
        labels,
        weights / weights.mean(),
        np.repeat((labels * (1 - 2 * DOUBT) + DOUBT)[:, None], asked.shape[1], axis=1),
        np.stack([spelling(each) for each in about]),
        about,
    )


def spelling(about: dict[str, Any]) -> npt.NDArray[np.int64]:
    """What is said in an overlap, sign by sign; each is asked for :data:`HEARD_AFTER`."""
    signs, late = about.get("phonemes", ""), about["late"]
    if not signs or abs(late) > LATE_ONSET:
        return np.full(SPELT_PER_CHUNK * ROWS, UNKNOWN, np.int64)
    steps = np.arange(1, SPELT_PER_CHUNK * ROWS + 1) * 0.032 / SPELT_PER_CHUNK
    times = steps - BEFORE * 0.032 - HEARD_AFTER
    numbers = np.array([0, *(ALPHABET.find(sign) + 1 for sign in signs), 0])
    return np.asarray(numbers[np.searchsorted([-late, *about["ends"]], times, "left")], np.int64)


def _group(about: dict[str, Any]) -> tuple[str, str]:
    kind = about["label"]
    if about["kind"] == "own":
        return kind, "own"
    if about["kind"] == "false start":
        kind = "false start"
    elif kind == "interruption" and "short" in about["kind"]:
        kind = "short"
    return kind, about["origin"]


def _counted(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    voiced = np.flatnonzero(probabilities >= NOTICED)
    counted = np.zeros(len(probabilities), bool)
    if len(voiced):
        counted[voiced[0] : voiced[-1] + 1 + round(HELD / 0.032)] = True
    return counted
