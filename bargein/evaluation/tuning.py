"""Recommends a threshold and a minimum duration, and confirms them on calls it hasn't looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import attrs
import numpy as np

from bargein._version import __version__
from bargein.analysis import AnalysisOptions
from bargein.backends.protocol import Backend
from bargein.errors import DatasetError, MissingExtraError, OptionError

from .dataset import LABELS, Dataset, Problem
from .evaluator import Candidate, Progress, Told
from .figures import Point, points
from .intervals import Resampling, by_group, interval_of, share
from .paired import FEWEST
from .results import Results, gather
from .run import Plan, evaluate_calls, load_backend
from .settle import Settings

__all__ = ["DURATIONS", "THRESHOLDS", "Costs", "CostsFound", "Goal", "Tuning", "tune"]

THRESHOLDS = (0.02, *(round(0.05 * step, 2) for step in range(1, 20)), 0.97, 0.98, 0.99)
"""Thresholds that are tried."""

DURATIONS = (0.05, 0.1, 0.15, 0.2, 0.3)
"""Minimum durations that are tried, in seconds."""

Finding = Literal["confirmed", "open", "refuted"]


@attrs.frozen(kw_only=True)
class Costs:
    """What an error costs, in any unit; only their ratio matters."""

    missed: float = 1.0
    """An interruption that isn't noticed."""
    false: float = 1.0
    """A backchannel or a noise that stops the agent."""
    second: float = 0.0
    """Each second from the onset until an interruption is noticed."""


@attrs.frozen(kw_only=True)
class Goal:
    """What is wanted: the most interruptions let in under a limit, or the least cost."""

    max_false_positive_rate: float | None = None
    """Of backchannels, and of noise: each apart is to stay under it."""
    costs: Costs | None = None

    def __attrs_post_init__(self) -> None:
        rate = self.max_false_positive_rate
        if (rate is None) == (self.costs is None):
            raise OptionError("expected a greatest false-positive rate or costs, one of the two")
        if rate is not None and not 0 <= rate <= 1:
            raise OptionError(f"max_false_positive_rate came as {rate!r}; expected 0 to 1")
        if self.costs is not None and not all(
            math.isfinite(cost) and cost >= 0 for cost in attrs.astuple(self.costs)
        ):
            raise OptionError(f"costs came as {self.costs}; expected numbers of 0 or more")


@attrs.frozen(kw_only=True)
class CostsFound:
    """What 100 overlaps of the held-out calls cost."""

    recommended: float
    before: float
    low: float | None = None
    """The 95 % interval of the first less the second; ``None`` where there are too few calls."""
    high: float | None = None


@attrs.frozen(kw_only=True, eq=False)
class Tuning:
    """What is recommended, and how it did on both parts. Immutable."""

    goal: Goal
    candidate: Candidate
    """With the threshold and the minimum duration that are recommended."""
    tuned: Point
    """On the calls that were looked at."""
    held_out: Point
    """On the others."""
    before: Point
    """What the settings so far do, on the others."""
    calls: tuple[int, int]
    """How many calls were looked at, and how many held out."""
    finding: Finding
    """``confirmed``: the whole interval on the held-out calls keeps the limit; ``open``: it may or
    may not; ``refuted``: it doesn't. With costs: whether they are below those so far."""
    costs: CostsFound | None = None
    """With costs as the goal."""
    problems: tuple[Problem, ...] = ()
    """All that was left out."""
    results: Results
    """Of all calls: the settings so far, then those that were tried."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "goal": attrs.asdict(self.goal),
            "recommended": self.options()["detection"],
            "tuned": self.tuned.to_dict(),
            "held_out": self.held_out.to_dict(),
            "before": self.before.to_dict(),
            "calls": {"tuned": self.calls[0], "held_out": self.calls[1]},
            "costs": None if self.costs is None else attrs.asdict(self.costs),
            "finding": self.finding,
            "windows": {"judged": self.results.windows, "failed": self.results.failed},
            "left_out": [problem.to_dict() for problem in self.problems],
        }

    def options(self) -> dict[str, Any]:
        """Return the options file (:func:`~bargein.analysis.options_file.write_options`)."""
        options = self.candidate.options
        plain = AnalysisOptions()
        found: dict[str, Any] = {
            "written_by": f"bargein tune {__version__}",
            "backend": self.candidate.backend,
            "detection": {
                "threshold": options.detection.threshold,
                "min_interruption_duration": options.detection.min_interruption_duration,
            }
            | _others(options.detection, plain.detection),
        }
        for name in ("tracker", "echo_gate", "playout"):
            own, default = getattr(options, name), getattr(plain, name)
            if own is not None and own != default:
                found[name] = _others(own, default)
        return found


def _others(own: Any, default: Any) -> dict[str, Any]:
    """Return the fields that aren't as they are by default."""
    fields = attrs.asdict(own)
    return {name: value for name, value in fields.items() if value != getattr(default, name)}


def tune(
    dataset: Dataset,
    goal: Goal,
    candidate: Candidate | None = None,
    *,
    held_out: float = 0.33,
    thresholds: Sequence[float] | None = None,
    durations: Sequence[float] | None = None,
    resampling: Resampling | None = None,
    store: str | None = None,
    jobs: int | None = 1,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> Tuning:
    """Recommend a threshold and a minimum duration for a goal.

    The calls are parted by chance, whole, each part with its share of every label; one part is
    searched, and the other says what the choice is worth. By default :data:`THRESHOLDS` and
    :data:`DURATIONS` are tried, each with each.

    Raises:
        OptionError: the goal can't be reached on the calls searched (the message says what can),
            or the backend has no threshold to tune.
        DatasetError: there are too few calls to hold some out, there is nothing to weigh
            (no interruption, or nothing else), or the data set is ``strict`` and something in it
            can't be evaluated.
    """
    candidate = candidate or Candidate()
    how = resampling or Resampling()
    backend = load_backend(candidate.backend)
    if not isinstance(candidate.backend, str):
        raise OptionError("tune writes the backend's name; expected the name of one")
    settings = _settings(candidate, backend, thresholds or THRESHOLDS, durations or DURATIONS)
    plan = Plan(
        backend=candidate.backend, options=candidate.options, settings=settings, store=store
    )
    scored = evaluate_calls(dataset.calls, plan, jobs=jobs, cluster=cluster)
    told = Told(progress, len(dataset.calls))(scored)
    results = gather(dataset.calls, told, settings, strict=dataset.strict)
    searched, kept = _parts(results, held_out, how.seed)
    best = _best(goal, searched)
    confirmed = points(_rows(kept, [best, 0]), how)
    tuned = points(_rows(searched, [best]), how)[0]
    costs = None if goal.costs is None else _costs_found(goal.costs, _rows(kept, [best, 0]), how)
    detection = attrs.evolve(settings[best].detection, threshold=settings[best].threshold)
    return Tuning(
        goal=goal,
        candidate=attrs.evolve(
            candidate, options=attrs.evolve(candidate.options, detection=detection)
        ),
        tuned=tuned,
        held_out=confirmed[0],
        before=confirmed[1],
        calls=(len(searched.groups), len(kept.groups)),
        finding=_finding(goal, confirmed[0], costs),
        costs=costs,
        problems=(*dataset.problems, *results.problems),
        results=results,
    )


def _settings(
    candidate: Candidate, backend: Backend, thresholds: Sequence[float], durations: Sequence[float]
) -> tuple[Settings, ...]:
    """The settings so far, and all that are tried."""
    detection, latency = candidate.options.detection, candidate.options.latency
    now = backend.default_threshold if detection.threshold is None else detection.threshold
    if now is None:
        raise OptionError(
            f"the backend {candidate.backend!r} decides by itself; it has no threshold to tune"
        )
    tried = [
        Settings(
            threshold=threshold,
            detection=attrs.evolve(detection, min_interruption_duration=duration),
            latency=latency,
        )
        for duration in durations
        for threshold in thresholds
    ]
    return (Settings(threshold=now, detection=detection, latency=latency), *tried)


def _parts(results: Results, held_out: float, seed: int) -> tuple[Results, Results]:
    """Part the labels by call, each class in its proportion."""
    if not 0 < held_out <= 0.5:
        raise OptionError(f"held_out came as {held_out!r}; expected above 0, at most 0.5")
    folds = max(2, round(1 / held_out))
    if len(results.groups) < folds:
        raise DatasetError(
            f"expected at least {folds} calls, to search some and hold others out; "
            f"{len(results.groups)} came (parts go by call: see --group-by)"
        )
    try:
        from sklearn.model_selection import StratifiedGroupKFold
    except ImportError as error:
        raise MissingExtraError("tuning", "evaluate") from error
    import warnings

    interruption = results.of("interruption")

    def is_mixed(part: Any) -> bool:
        return bool(interruption[part].any() and not interruption[part].all())

    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class of fewer labels than folds
        parted = list(split.split(results.label, results.label, results.group))
    # Where calls are few a part may lack a class; which one is, differs by scikit-learn's version.
    searched, kept = max(parted, key=lambda parts: (is_mixed(parts[0]), is_mixed(parts[1])))
    if not is_mixed(searched):
        what = "nothing but interruptions" if interruption[searched].any() else "no interruption"
        raise DatasetError(f"the calls to be searched hold {what}: there is nothing to weigh")
    return _columns(results, searched), _columns(results, kept)


def _columns(results: Results, at: Any) -> Results:
    """Return the same of some labels only; what isn't counted by label is left out."""
    calls = {int(group): k for k, group in enumerate(sorted(set(results.group[at].tolist())))}
    return attrs.evolve(
        results,
        entries=tuple(results.entries[k] for k in at),
        label=results.label[at],
        group=np.array([calls[group] for group in results.group[at].tolist()], np.int64),
        groups=tuple(results.groups[group] for group in calls),
        positive=results.positive[:, at],
        delay=results.delay[:, at],
        early=results.early[:, at],
        best=results.best[:, at],
    )


def _rows(results: Results, rows: Sequence[int]) -> Results:
    """Return the same of some settings only."""
    at = list(rows)
    return attrs.evolve(
        results,
        settings=tuple(results.settings[row] for row in at),
        positive=results.positive[at],
        delay=results.delay[at],
        early=results.early[at],
        strays=results.strays[at],
        inconclusive=results.inconclusive[at],
        found=results.found[at],
    )


def _shares(results: Results) -> dict[str, Any]:
    """{label: (S,)}: which share of a class was taken for an interruption; 0 without any."""
    return {
        label: results.positive[:, results.of(label)].mean(axis=1)
        if results.of(label).any()
        else np.zeros(len(results.settings))
        for label in LABELS
    }


def _late(results: Results) -> Any:
    """(S,): the mean delay of the interruptions that were noticed, 0 without any."""
    delays = results.delay[:, results.of("interruption")]
    noticed = ~np.isnan(delays)
    return np.where(noticed, delays, 0.0).sum(axis=1) / np.maximum(1, noticed.sum(axis=1))


def _costs(costs: Costs, results: Results) -> Any:
    """(S, N): what each label costs under each of the settings."""
    real = results.of("interruption")
    waited = np.where(np.isnan(results.delay), 0.0, results.delay)
    interrupted = np.where(results.positive, costs.second * waited, costs.missed)
    return np.where(real, interrupted, costs.false * results.positive)


def _costs_found(costs: Costs, results: Results, how: Resampling) -> CostsFound:
    """What 100 overlaps cost, in the mix that the labels have, under two settings."""
    count = len(results.groups)
    totals = by_group(100 * _costs(costs, results), results.group, count)
    labels = by_group(np.ones(len(results.label)), results.group, count)
    mine, so_far = (totals.sum(axis=1) / labels.sum()).tolist()
    low = high = None
    if ((totals[0] != totals[1]).sum()) >= FEWEST:
        less = totals[0] - totals[1]
        low, high = (float(end) for end in interval_of((less, labels), share, how))
    return CostsFound(recommended=mine, before=so_far, low=low, high=high)


def _best(goal: Goal, searched: Results) -> int:
    """Return the row of the best settings tried; the first row is the settings so far."""
    shares, late = _shares(searched), _late(searched)
    rows = range(1, len(searched.settings))
    if goal.costs is not None:
        costs = _costs(goal.costs, searched).sum(axis=1)
        return min(rows, key=lambda row: (costs[row], late[row]))
    limit = goal.max_false_positive_rate
    worst = np.maximum(shares["backchannel"], shares["noise"])
    allowed = [row for row in rows if worst[row] <= limit]
    if not allowed:
        least = min(rows, key=lambda row: (worst[row], -shares["interruption"][row]))
        raise OptionError(
            f"no settings keep false positives at {limit:g} or below; the least is "
            f"{worst[least]:.3f}, with {shares['interruption'][least]:.3f} of interruptions let in"
        )
    return min(allowed, key=lambda row: (-shares["interruption"][row], late[row], worst[row]))


def _finding(goal: Goal, held_out: Point, costs: CostsFound | None) -> Finding:
    if costs is not None:
        if costs.low is None or costs.high is None or costs.low <= 0 <= costs.high:
            return "open"
        return "confirmed" if costs.high < 0 else "refuted"
    limit = goal.max_false_positive_rate
    assert limit is not None
    rates = (held_out.false_backchannel, held_out.false_noise)
    if any(rate.low is not None and rate.low > limit for rate in rates):
        return "refuted"
    known = [rate.high for rate in rates if rate.high is not None]
    return "confirmed" if known and max(known) <= limit else "open"
