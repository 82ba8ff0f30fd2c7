"""From trained networks to the shipped file: choose the limits over time, join, write.

    python -m training.export SET MODELS INTO.npz

Limits and slope are chosen on the validation overlaps alone (voices and persons that training
didn't hear), from the mean of the networks' scores.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.backends.gru import BEFORE
from training.overlaps import Overlaps, read
from training.train import SHIPPED

STEPS = 56
"""Chunks since the notice for which there is a limit; the last one holds on."""

EARLY = (0.0, 1.0, 2.0, 3.0, 4.5, 6.0)
LATE = np.arange(-2.0, 3.01, 0.1)
FALL = (2.0, 3.0, 4.5, 6.5, 9.0, 13.0)
"""The limit on the mean score falls from LATE + EARLY at the notice to LATE, exponentially within
FALL chunks."""

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Of which the validation figures are written into the file."""

PRICES = {"missed": 1.3, "backchannels": 1.3, "noise": 0.7, "delay": 0.4}
"""What the balanced point minimises on validation: shares of overlaps judged wrongly, and seconds
of median delay. To stop for a "yeah" costs as much as to miss somebody: where it cost 1.0, better
weights were quicker and stopped for more."""

WEIGHTS = {
    "interruptions, short": 0.14,
    "interruptions, synthetic": 0.34,
    "interruptions, real": 0.52,
    "backchannels, synthetic": 0.7,
    "backchannels, real": 0.3,
}
"""What the groups weigh within recall and within false alarms."""

LATE_ONSET = 0.5
"""Seconds; an overlap that begins so long after the clip's sound is the rest of a sentence."""


@attrs.frozen(eq=False)
class Aligned:
    """Scores from the notice on: (N, STEPS), -inf where nothing is (any more)."""

    scores: npt.NDArray[np.float32]
    is_interruption: npt.NDArray[np.bool_]
    groups: dict[str, npt.NDArray[np.bool_]]
    """Name -> which overlaps belong to it."""


GROUPS = (*WEIGHTS, "noise")


def align(given: Overlaps, scores: npt.NDArray[np.float32]) -> Aligned:
    """Only what the judge says after it noticed somebody."""
    count = len(given.labels)
    aligned = np.full((count, STEPS), -np.inf, np.float32)
    for i in range(count):
        first = int(given.noticed[i])
        part = scores[i, first : given.lengths[i]][:STEPS]
        aligned[i, : len(part)] = part
    belongs = [group_of(about) for about in given.about]
    groups = {name: np.array([each == name for each in belongs]) for name in GROUPS}
    return Aligned(aligned, given.labels > 0.5, groups)


def limits_of(early: float, late: float, fall: float) -> npt.NDArray[np.float32]:
    """The limit on the score, per chunk since the notice."""
    return np.asarray(late + early * np.exp(-np.arange(STEPS) / fall), np.float32)


def decided(scores: npt.NDArray[np.float32], limits: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """The chunk since the notice at which each overlap is taken for an interruption; STEPS: never.

    As the machine reads them, two 25 ms frames in a row must say so: about two chunks.
    """
    over = scores >= limits
    over[:, 1:] &= over[:, :-1]
    over[:, 0] = False
    return np.where(over.any(1), over.argmax(1), STEPS)


def group_of(about: dict[str, Any]) -> str | None:
    """Where an overlap counts; None: nowhere, for it isn't one thing."""
    label, origin, kind = about["label"], about["origin"], about["kind"]
    if label == "noise":
        return "noise"
    if (kind in ("twice", "yeah, but") and "…" in about["text"]) or about["late"] > LATE_ONSET:
        return None
    origin = "real" if origin == "real" else "synthetic"
    if label == "interruption" and "short" in kind:
        origin = "short"
    return f"{label}s, {origin}"


def rates(aligned: Aligned, when: npt.NDArray[Any]) -> dict[str, float]:
    """Share of each group taken for an interruption, and the median delay in chunks."""
    found = {
        name: float((when[some] < STEPS).mean()) if some.any() else float("nan")
        for name, some in aligned.groups.items()
    }
    hits = when[aligned.is_interruption & (when < STEPS)]
    found["median delay"] = float(np.median(hits)) if len(hits) else float("inf")
    return found


def summary(found: dict[str, float]) -> dict[str, float]:
    """The groups joined as :data:`WEIGHTS` says; those that nobody is in don't count."""

    def joined(kind: str, otherwise: float) -> float:
        shares = [
            (weight, found[name])
            for name, weight in WEIGHTS.items()
            if name.startswith(kind) and not math.isnan(found[name])
        ]
        total = sum(weight for weight, _ in shares)
        return sum(weight * share for weight, share in shares) / total if total else otherwise

    return {
        "recall": joined("interruptions", 1.0),
        "backchannels": joined("backchannels", 0.0),
        "noise": 0.0 if math.isnan(found["noise"]) else found["noise"],
        "median delay": found["median delay"],
    }


def price(found: dict[str, float]) -> float:
    """What is minimised."""
    joined = summary(found)
    wrong = {name: PRICES[name] * joined[name] for name in ("backchannels", "noise")}
    missed = PRICES["missed"] * (1 - joined["recall"])
    return missed + sum(wrong.values()) + PRICES["delay"] * 0.032 * joined["median delay"]


def choose(aligned: Aligned) -> tuple[npt.NDArray[np.float32], dict[str, float]]:
    """The limits with the lowest price on the validation overlaps."""
    best = None
    for early, late, fall in itertools.product(EARLY, LATE, FALL):
        limits = limits_of(early, late, fall)
        found = rates(aligned, decided(aligned.scores, limits))
        cost = price(found)
        if best is None or cost < best[0]:
            best = (cost, limits, found, (early, round(float(late), 2), fall))
    assert best is not None
    print("limits: early, late, fall:", best[3], "price:", best[0])
    return best[1], best[2]


def at_threshold(
    aligned: Aligned, limits: npt.NDArray[np.float32], offset: float
) -> dict[str, float]:
    """Figures on validation with all limits moved by ``offset``: what a threshold does."""
    return summary(rates(aligned, decided(aligned.scores, limits + np.float32(offset))))


def slope_of(aligned: Aligned, limits: npt.NDArray[np.float32]) -> float:
    """The slope with which the best score over its limit becomes an overlap's probability.

    One-parameter logistic regression; each label weighs a half.
    """
    best = (np.minimum(aligned.scores[:, 1:], aligned.scores[:, :-1]) - limits[1:]).max(1)
    heard = np.isfinite(best)
    x, y = best[heard].astype(np.float64), aligned.is_interruption[heard]
    weights = np.where(y, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    slopes = np.geomspace(0.1, 3.0, 60)
    losses = [
        float((weights * np.logaddexp(0, np.where(y, -1, 1) * slope * x)).mean())
        for slope in slopes
    ]
    return float(slopes[int(np.argmin(losses))])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path, help="the folder that training.train_set filled")
    parser.add_argument("models", type=Path, help="the folder that training.train filled")
    parser.add_argument("into", type=Path)
    parser.add_argument("--float16", action="store_true", help="half the size")
    arguments = parser.parse_args()
    check = read(arguments.set, "validate", features_too=False)
    nets = [dict(np.load(path)) for path in sorted(arguments.models.glob("seed-*.npz"))]
    scores = np.mean([net["validation"] for net in nets], axis=0)
    for net in nets:
        _, found = choose(align(check, net["validation"]))
        print("alone:", {name: round(value, 3) for name, value in found.items()})
    aligned = align(check, scores)
    limits, found = choose(aligned)
    print("together:", {name: round(value, 3) for name, value in found.items()})
    slope = slope_of(aligned, limits)
    kind = np.float16 if arguments.float16 else np.float32
    joined = {name: np.stack([net[name] for net in nets]).astype(kind) for name in SHIPPED}
    curve = {}
    for threshold in THRESHOLDS:
        offset = math.log(threshold / (1 - threshold)) / slope
        point = at_threshold(aligned, limits, offset)
        curve[f"{threshold:g}"] = {name: round(value, 4) for name, value in point.items()}
        print(threshold, curve[f"{threshold:g}"])
    about = {"networks": len(nets), "before": BEFORE, "groups": found, "validation": curve}
    np.savez_compressed(
        arguments.into,
        **joined,
        limits=limits,
        slope=np.float32(slope),
        about=np.array(json.dumps(about)),
    )
    print(f"slope {slope:.2f}; {arguments.into}: {arguments.into.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
