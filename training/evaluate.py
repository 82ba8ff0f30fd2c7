"""Plays the test split to the shipped judge, and to sustained speech; writes the figures as JSON.

    python -m training.evaluate TEST LABELLED --into figures.json

TEST is ``training.test_set``'s folder, LABELLED that of ``training.labelled_set`` (of which the
half to report on is played). Every clip goes through the machine at the library's defaults, once,
to all judges together; what they said is kept in ``TEST/heard.json``.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.backends import Backend, Session
from bargein.backends.gru import Network
from bargein.backends.learned import OPERATING_POINTS, LearnedBackend
from bargein.backends.local import LocalBackend
from bargein.core import Prediction, Window
from bargein.core.verdicts import estimate_probability
from training.replay import AFTERMATH, RATE, LabelledClip, play, read_manifest, without_positions

MOMENTS = (0.2, 0.3, 0.5, 0.7, 1.0)
"""Seconds since the acoustic onset at which a single decision is looked at."""

RESAMPLES = 2_000
"""Draws of the bootstrap: of voices (clips, where nobody speaks), with replacement, within each
row: two clips of one speaker tell less than two of two."""

BARE = 10
"""Every tenth clip is also judged from windows that don't say where they lie."""

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
    """A session that passes windows on to others, decides nothing, and takes notes."""

    def __init__(self, sessions: Mapping[str, Session]) -> None:
        self._sessions = sessions
        self.notes: dict[str, list[tuple[float, float]]] = {name: [] for name in sessions}

    def predict(self, window: Window) -> Prediction:
        """As the others judge, but never an interruption."""
        assert window.start is not None
        at = round((window.start + len(window.samples)) / RATE, 4)
        for name, session in self._sessions.items():
            prediction = session.predict(without_positions(window) if name == "bare" else window)
            estimate = estimate_probability(prediction.probabilities, window.min_frames)
            self.notes[name].append((at, round(estimate, 5)))
        return Prediction(np.zeros(1, np.float32), is_interruption=False)

    def close(self) -> None:
        """As the other sessions."""
        for session in self._sessions.values():
            session.close()


def judge(
    clips: Sequence[tuple[LabelledClip, str]], judges: Mapping[str, Backend]
) -> dict[str, list[Judged]]:
    """Play every clip once, to a session of each judge."""
    found: dict[str, list[Judged]] = {name: [] for name in judges}
    for number, (clip, suite) in enumerate(clips):
        asked = [name for name in judges if name != "bare" or number % BARE == 0]
        session = Taking({name: judges[name].open_session(None) for name in asked})
        caller, agent = clip.samples()
        until = round((clip.end + AFTERMATH + 0.1) * RATE)
        play(
            *(caller[:until], agent, clip.agent_start, session),
            default_threshold=0.5,
            activations=True,
            frame=RATE // 20,
        )
        for name in asked:
            found[name].append(Judged(clip, suite, tuple(session.notes[name])))
        if number % 200 == 199:
            print(f"{number + 1} of {len(clips)} clips", flush=True)
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


def share(
    some: Sequence[Judged], threshold: float, rng: np.random.Generator
) -> dict[str, float | int | list[float]]:
    """The share taken for interruptions, of how many, and its bootstrap interval (95 %)."""
    voices: dict[str, list[bool]] = {}
    for number, judged in enumerate(some):
        who = judged.clip.voice or str(number)
        voices.setdefault(who, []).append(judged.decided(threshold) is not None)
    hits = np.array([sum(each) for each in voices.values()], float)
    sizes = np.array([len(each) for each in voices.values()], float)
    drawn = rng.integers(len(hits), size=(RESAMPLES, len(hits)))
    low, high = np.quantile(hits[drawn].sum(1) / sizes[drawn].sum(1), (0.025, 0.975))
    return {
        "share": round(float(hits.sum() / sizes.sum()), 4),
        "n": int(sizes.sum()),
        "voices": len(hits),
        "interval": [round(float(low), 4), round(float(high), 4)],
    }


def figures(every: Sequence[Judged], threshold: float) -> dict[str, Any]:
    """All that the card says of one judge at one threshold."""
    rng = np.random.default_rng(8)
    table = {}
    for name, belongs in rows(every):
        some = [judged for judged in every if belongs(judged)]
        if some:
            table[name] = share(some, threshold, rng)
    usual = [judged for judged in every if not _hard(judged)]
    early = [any(v >= threshold for at, v in j.estimates if at < j.clip.onset) for j in every]
    by_origin = {
        origin: _delays([j for j in usual if j.clip.origin == origin], threshold)
        for origin in ("synthetic", "real")
    }
    return {
        "threshold": threshold,
        "rows": table,
        "delay": _delays(usual, threshold) | by_origin,
        "strays": sum(early),
    }


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


def _auc(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> float:
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


def report(heard: Mapping[str, Sequence[Judged]], network: Network) -> dict[str, Any]:
    """Everything."""
    known, other = heard["learned"], heard["sustained"]
    grid = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    balanced = OPERATING_POINTS["balanced"]
    return {
        "weights": network.digest,
        "about": network.about | {"width": network.width},
        "clips": len(known),
        "points": {name: figures(known, value) for name, value in OPERATING_POINTS.items()},
        "without positions": figures(heard["bare"], balanced),
        "sustained": figures(other, 0.5),
        "curve": curve(known, grid),
        "fine curve": curve(known, np.linspace(0.02, 0.98, 49)),
        "sustained curve": curve(other, grid),
        "fine sustained curve": curve(other, np.linspace(0.02, 0.96, 95)),
        "at equal recall": at_equal_recall(known, other),
        "moments": moments(known),
        "sustained moments": moments(other),
        "reliability": reliability(known),
        "mistakes": mistakes(known, balanced),
    }


def kept(
    path: Path, clips: Sequence[tuple[LabelledClip, str]], judges: Mapping[str, Backend]
) -> dict[str, list[Judged]]:
    """What the judges said of each clip: read, where the same weights wrote it, else heard."""
    weights = [j.network.digest for j in judges.values() if isinstance(j, LearnedBackend)]
    if path.exists():
        found = json.loads(path.read_text("utf-8"))
        if found["weights"] == weights:
            by_name = {clip.path.name: (clip, suite) for clip, suite in clips}
            return {
                name: [
                    Judged(*by_name[clip], tuple((at, value) for at, value in notes))
                    for clip, notes in found[name].items()
                ]
                for name in judges
            }
    heard = judge(clips, judges)
    notes = {name: {j.clip.path.name: j.estimates for j in heard[name]} for name in judges}
    path.write_text(json.dumps({"weights": weights, **notes}), encoding="utf-8")
    return heard


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("test", type=Path, help="the folder that training.test_set filled")
    parser.add_argument("labelled", type=Path, help="the folder that training.labelled_set filled")
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--before", type=Path, help="earlier weights, to set beside")
    arguments = parser.parse_args()
    clips = clips_of(arguments.test, arguments.labelled)
    learned = LearnedBackend()
    judges: dict[str, Backend] = {
        "learned": learned,
        "bare": LearnedBackend(),
        "sustained": LocalBackend(),
    }
    if arguments.before is not None:
        judges["before"] = earlier = LearnedBackend(weights=arguments.before)
    heard = kept(arguments.test / "heard.json", clips, judges)
    found = report(heard, learned.network)
    if arguments.before is not None:
        balanced = OPERATING_POINTS["balanced"]
        found["before"] = {"weights": earlier.network.digest}
        found["before"] |= figures(heard["before"], balanced)
        found["before"]["moments"] = moments(heard["before"])
        found["before"]["at equal recall"] = at_equal_recall(heard["before"], heard["sustained"])
    arguments.into.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name in ("cautious", "balanced", "eager"):
        print(name, found["points"][name]["delay"])
    for name, row in found["points"]["balanced"]["rows"].items():
        old = found["sustained"]["rows"][name]["share"]
        print(f"{row['share']:.3f} {row['interval']} n={row['n']} sustained {old:.3f}  {name}")


if __name__ == "__main__":
    main()
