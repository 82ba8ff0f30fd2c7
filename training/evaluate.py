"""Plays the test split to the shipped judge, and to sustained speech; writes the figures as JSON.

    python -m training.evaluate TEST LABELLED --into figures.json

TEST is ``training.test_set``'s folder, LABELLED that of ``training.labelled_set`` (of which the
half to report on is played). Every clip goes through the machine at the library's defaults.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from bargein.backends import Backend, Session
from bargein.core import Prediction, Window
from bargein.core.verdicts import estimate_probability
from training.replay import AFTERMATH, RATE, LabelledClip, play, read_manifest, without_positions

MOMENTS = (0.2, 0.3, 0.5, 0.7, 1.0)
"""Seconds since the acoustic onset at which a single decision is looked at."""

RESAMPLES = 2_000
"""Draws of the bootstrap: of clips, with replacement, within each row."""

_BINS = np.linspace(0.0, 1.0, 11)


@attrs.frozen
class Judged:
    """A clip, and when (seconds in it) which window's estimate was what."""

    clip: LabelledClip
    suite: str
    estimates: tuple[tuple[float, float], ...]

    @property
    def own(self) -> list[tuple[float, float]]:
        """(seconds since the onset, estimate) of the windows about the clip's own sound."""
        clip = self.clip
        return [
            (at - clip.onset, value)
            for at, value in self.estimates
            if clip.onset <= at <= clip.end + AFTERMATH
        ]

    def decided(self, threshold: float) -> float | None:
        """Seconds from the onset to the first window that says interruption; None: none does."""
        return next((at for at, value in self.own if np.float32(value) >= threshold), None)

    @property
    def best(self) -> float:
        """The highest estimate: what the threshold would have to be under."""
        return max((value for _, value in self.own), default=0.0)

    def best_until(self, seconds: float) -> float:
        """The highest estimate so long after the onset."""
        return max((value for at, value in self.own if at <= seconds), default=0.0)


class Taking:
    """A session that passes on what another says, but decides nothing, and takes notes."""

    def __init__(self, session: Session, *, bare: bool) -> None:
        self._session = session
        self._bare = bare
        self.notes: list[tuple[float, float]] = []

    def predict(self, window: Window) -> Prediction:
        """As the other session, but never an interruption."""
        asked = without_positions(window) if self._bare else window
        prediction = self._session.predict(asked)
        estimate = estimate_probability(prediction.probabilities, window.min_frames)
        assert window.start is not None
        self.notes.append(((window.start + len(window.samples)) / RATE, estimate))
        return Prediction(prediction.probabilities, is_interruption=False)

    def close(self) -> None:
        """As the other session."""
        self._session.close()


def judge(
    clips: Iterable[tuple[LabelledClip, str]], make: Callable[[], Backend], *, bare: bool = False
) -> list[Judged]:
    """Play every clip to a session of its own."""
    backend = make()
    found = []
    for clip, suite in clips:
        session = Taking(backend.open_session(None), bare=bare)
        caller, agent = clip.samples()
        until = round((clip.end + AFTERMATH + 0.1) * RATE)
        play(
            *(caller[:until], agent, clip.agent_start, session),
            default_threshold=0.5,
            activations=True,
            frame=RATE // 2,
        )
        found.append(Judged(clip, suite, tuple(session.notes)))
    return found


def clips_of(test: Path, labelled: Path) -> list[tuple[LabelledClip, str]]:
    """The test split: (clip, suite)."""
    with (test / "manifest.csv").open(encoding="utf-8", newline="") as manifest:
        suites = {row["path"]: row["suite"] for row in csv.DictReader(manifest)}
    return [
        *((clip, "labelled") for clip in read_manifest(labelled, "report")),
        *((clip, suites[clip.path.name]) for clip in read_manifest(test, "report")),
    ]


Row = tuple[str, Callable[[Judged], bool]]


def _label(
    label: str, belongs: Callable[[Judged], bool] = lambda j: True
) -> Callable[[Judged], bool]:
    return lambda judged: judged.clip.label == label and belongs(judged)


def _hard(judged: Judged) -> bool:
    return judged.suite == "ulaw-echo-20"


def rows(every: Sequence[Judged]) -> list[Row]:
    """The rows of the tables, in order."""
    usual = [judged for judged in every if not _hard(judged)]
    found: list[Row] = []
    for label in ("interruption", "backchannel", "noise"):
        own = [judged for judged in usual if judged.clip.label == label]
        found.append((label, _label(label, lambda j: not _hard(j))))
        if label != "noise":
            found.append((f"{label}, u-law and echo at -20 dB", _label(label, _hard)))
            for origin in ("synthetic", "real"):
                found.append((f"{label}, {origin}", _both(label, "origin", origin)))
        for field in ("condition", "language", "kind"):
            for value in sorted({getattr(judged.clip, field) for judged in own} - {""}):
                found.append((f"{label}, {field}: {value}", _both(label, field, value)))
    return found


def _both(label: str, field: str, value: str) -> Callable[[Judged], bool]:
    return _label(label, lambda j: not _hard(j) and getattr(j.clip, field) == value)


def share(values: Sequence[bool], rng: np.random.Generator) -> dict[str, float | int | list[float]]:
    """A share, how many it is of, and its bootstrap interval (95 %)."""
    hits = np.array(values, float)
    draws = rng.binomial(len(hits), hits.mean(), RESAMPLES) / len(hits)
    low, high = np.quantile(draws, (0.025, 0.975))
    return {
        "share": round(float(hits.mean()), 4),
        "n": len(hits),
        "interval": [round(float(low), 4), round(float(high), 4)],
    }


def figures(every: Sequence[Judged], threshold: float) -> dict[str, Any]:
    """All that the card says of one judge at one threshold."""
    rng = np.random.default_rng(8)
    table = {}
    for name, belongs in rows(every):
        some = [judged for judged in every if belongs(judged)]
        if some:
            table[name] = share([judged.decided(threshold) is not None for judged in some], rng)
    delays = _delays([j for j in every if not _hard(j)], threshold)
    early = [any(v >= threshold for at, v in j.estimates if at < j.clip.onset) for j in every]
    return {"threshold": threshold, "rows": table, "delay": delays, "strays": sum(early)}


def _delays(every: Iterable[Judged], threshold: float) -> dict[str, float]:
    seconds = [judged.decided(threshold) for judged in every if judged.clip.label == "interruption"]
    hits = [second for second in seconds if second is not None] or [float("nan")]
    return {
        name: round(float(np.quantile(hits, q)), 3)
        for name, q in (("tenth", 0.1), ("median", 0.5), ("ninety", 0.9))
    }


def curve(every: Sequence[Judged], thresholds: Iterable[float]) -> list[dict[str, float]]:
    """Recall, false positives and delay, threshold by threshold."""
    usual = [judged for judged in every if not _hard(judged)]
    found = []
    for threshold in thresholds:
        point: dict[str, float] = {"threshold": round(float(threshold), 3)}
        for label in ("interruption", "backchannel", "noise"):
            best = [judged.best for judged in usual if judged.clip.label == label]
            point[label] = round(float(np.mean(np.array(best) >= threshold)), 4)
        point["median delay"] = _delays(usual, float(threshold))["median"]
        found.append(point)
    return found


def moments(every: Sequence[Judged]) -> list[dict[str, float]]:
    """One decision so long after the onset: area under the curve, precision at high recall."""
    usual = [judged for judged in every if not _hard(judged)]
    truth = np.array([judged.clip.label == "interruption" for judged in usual])
    found = []
    for moment in MOMENTS:
        scores = np.array([judged.best_until(moment) for judged in usual])
        point = {"seconds": moment, "auc": round(_auc(scores, truth), 4)}
        for recall in (0.95, 1.0):
            limit = np.quantile(scores[truth], 1 - recall)
            taken = scores >= limit if limit > 0 else np.ones(len(scores), bool)
            point[f"precision at recall {recall:g}"] = round(float(truth[taken].mean()), 4)
        found.append(point)
    return found


def _auc(scores: np.ndarray, truth: np.ndarray) -> float:  # type: ignore[type-arg]
    above = scores[truth][:, None] - scores[~truth][None, :]
    return float((above > 0).mean() + 0.5 * (above == 0).mean())


def reliability(every: Sequence[Judged]) -> list[dict[str, float]]:
    """Of the overlaps whose highest estimate fell in a bin: how many, and how many interrupted.

    Interruptions weigh together as much as all the rest.
    """
    usual = [judged for judged in every if not _hard(judged)]
    best = np.array([judged.best for judged in usual])
    truth = np.array([judged.clip.label == "interruption" for judged in usual])
    weight = np.where(truth, 0.5 / truth.mean(), 0.5 / (1 - truth.mean()))
    found = []
    for low, high in itertools.pairwise(_BINS):
        inside = (best >= low) & ((best < high) | (high == 1.0))
        if inside.any():
            part = weight[inside]
            found.append(
                {
                    "from": round(float(low), 2),
                    "n": int(inside.sum()),
                    "estimate": round(float((best[inside] * part).sum() / part.sum()), 3),
                    "interruptions": round(float((truth[inside] * part).sum() / part.sum()), 3),
                }
            )
    return found


def mistakes(every: Sequence[Judged], threshold: float, count: int = 12) -> list[dict[str, Any]]:
    """The surest mistakes: what was furthest on the wrong side."""
    usual = [judged for judged in every if not _hard(judged)]
    missed = sorted(
        (j for j in usual if j.clip.label == "interruption" and j.best < threshold),
        key=lambda j: j.best,
    )
    false = sorted(
        (j for j in usual if j.clip.label != "interruption" and j.best >= threshold),
        key=lambda j: -j.best,
    )
    return [
        {
            "clip": judged.clip.path.name,
            "label": judged.clip.label,
            "kind": judged.clip.kind,
            "origin": judged.clip.origin,
            "language": judged.clip.language,
            "condition": judged.clip.condition,
            "estimate": round(judged.best, 3),
        }
        for judged in (*missed[:count], *false[:count])
    ]


def at_equal_recall(judged: Sequence[Judged], other: Sequence[Judged]) -> list[dict[str, float]]:
    """False positives of two judges at the recalls that the other reaches."""
    grid = np.linspace(0.02, 0.99, 195)
    ours, theirs = curve(judged, grid), curve(other, grid)
    found = []
    for target in (0.9, 0.93, 0.95):
        points = []
        for each in (ours, theirs):
            enough = [p for p in each if p["interruption"] >= target]
            if enough:
                points.append(min(enough, key=lambda p: p["backchannel"] + p["noise"]))
        if len(points) == 2:
            found.append(
                {"recall": target}
                | {
                    f"{who} {name}": point[name]
                    for who, point in zip(("learned", "sustained"), points, strict=True)
                    for name in ("backchannel", "noise", "median delay")
                }
            )
    return found


def report(test: Path, labelled: Path) -> dict[str, Any]:
    """Everything."""
    from bargein.backends.learned import OPERATING_POINTS, LearnedBackend
    from bargein.backends.local import LocalBackend

    clips = clips_of(test, labelled)
    learned = LearnedBackend()
    with ProcessPoolExecutor(2) as pool:
        passes = (
            pool.submit(judge, clips, LearnedBackend),
            pool.submit(judge, clips, LearnedBackend, bare=True),
            pool.submit(judge, clips, LocalBackend),
        )
        known, bare, other = (each.result() for each in passes)
    grid = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    return {
        "weights": learned.network.digest,
        "clips": len(clips),
        "points": {name: figures(known, value) for name, value in OPERATING_POINTS.items()},
        "without positions": figures(bare, OPERATING_POINTS["balanced"]),
        "sustained": figures(other, 0.5),
        "curve": curve(known, grid),
        "sustained curve": curve(other, grid),
        "at equal recall": at_equal_recall(known, other),
        "moments": moments(known),
        "sustained moments": moments(other),
        "reliability": reliability(known),
        "mistakes": mistakes(known, OPERATING_POINTS["balanced"]),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("test", type=Path, help="the folder that training.test_set filled")
    parser.add_argument("labelled", type=Path, help="the folder that training.labelled_set filled")
    parser.add_argument("--into", type=Path, required=True)
    arguments = parser.parse_args()
    found = report(arguments.test, arguments.labelled)
    arguments.into.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name in ("cautious", "balanced", "eager"):
        print(name, found["points"][name]["delay"])
    for name, row in found["points"]["balanced"]["rows"].items():
        old = found["sustained"]["rows"][name]["share"]
        print(f"{row['share']:.3f} {row['interval']} n={row['n']} sustained {old:.3f}  {name}")


if __name__ == "__main__":
    main()
