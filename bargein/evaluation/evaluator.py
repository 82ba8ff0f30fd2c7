"""How good a judge is on labelled calls: the figures, the curve, a comparison, the mistakes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from bargein.analysis import AnalysisOptions
from bargein.backends.protocol import Backend
from bargein.core import InterruptionOptions
from bargein.errors import OptionError

from .dataset import LABELS, Dataset, LabelledCall, LabelledOverlap, Problem
from .figures import Moment, Point, moments, points
from .intervals import Resampling
from .paired import Difference, compare_points
from .results import Results, gather
from .run import Plan, evaluate_calls, load_backend
from .score import Scored
from .settle import Settings

__all__ = ["SWEEP", "Candidate", "Comparison", "Evaluation", "Mistake", "evaluate"]

SWEEP = (0.01, 0.02, *(round(0.05 * step, 2) for step in range(1, 20)), 0.98, 0.99)
"""Thresholds of the curve; the operating point's own is added."""

Progress = Callable[[int, int], None]
"""Called with the calls that are done, and all."""


@attrs.frozen(kw_only=True)
class Candidate:
    """A judge and its settings: what is evaluated. Immutable."""

    backend: Any = "local"
    """A name, a backend, or a function of a window. Other processes need a name."""
    options: AnalysisOptions = attrs.field(factory=AnalysisOptions)

    def changed(self, changes: Mapping[str, str]) -> Candidate:
        """Return the same with some things changed: ``backend``, ``latency``, options by name.

        Values are texts, as a command line has them. Raises OptionError for one that can't be.
        """
        candidate = self
        detection: dict[str, Any] = {}
        fields = {field.name: field for field in attrs.fields(InterruptionOptions)}
        for name, text in changes.items():
            key = name.replace("-", "_")
            if key == "backend":
                candidate = attrs.evolve(candidate, backend=text)
                if "threshold" not in changes:
                    detection["threshold"] = None  # another judge has its own
            elif key == "latency":
                latency = _value(name, text, 0.0)
                candidate = attrs.evolve(
                    candidate, options=attrs.evolve(candidate.options, latency=latency)
                )
            elif key in fields:
                detection[key] = _value(name, text, fields[key].default)
            else:
                known = ", ".join(["backend", "latency", *fields])
                raise OptionError(f"{name!r} can't be changed; expected one of {known}")
        options = attrs.evolve(
            candidate.options, detection=attrs.evolve(candidate.options.detection, **detection)
        )
        return attrs.evolve(candidate, options=options)


def _value(name: str, text: str, default: object) -> Any:
    """Read an option's value as its default's kind."""
    if isinstance(default, bool):
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise OptionError(f"{name} came as {text!r}; expected true or false")
    try:
        return int(text) if name.replace("-", "_") == "max_in_flight" else float(text)
    except ValueError as error:
        raise OptionError(f"{name} came as {text!r}; expected a number") from error


@attrs.frozen(kw_only=True)
class Mistake:
    """A label that a judge got wrong."""

    call: LabelledCall
    overlap: LabelledOverlap
    estimate: float
    """The highest of the overlap."""
    delay: float | None
    """Seconds from the label's start to the verdict; ``None``: missed, or out before."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "audio": self.call.caller.path,
            "call": self.call.id,
            "label": self.overlap.label,
            "start": self.overlap.start,
            "end": self.overlap.end,
            "file": self.overlap.file,
            "line": self.overlap.line,
            "estimate": round(self.estimate, 4),
            "delay": None if self.delay is None else round(self.delay, 4),
        }


@attrs.frozen(kw_only=True, eq=False)
class Comparison:
    """Another candidate on the same labels."""

    backend: Mapping[str, Any]
    candidate: Candidate
    point: Point
    differences: tuple[Difference, ...]
    changed: Mapping[str, int]
    """Labels that went another way: ``fixed`` (wrong, then right) and ``broken``."""
    results: Results

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "backend": dict(self.backend),
            "point": self.point.to_dict(),
            "differences": [difference.to_dict() for difference in self.differences],
            "changed": dict(self.changed),
        }


@attrs.frozen(kw_only=True, eq=False)
class Evaluation:
    """What came of it. Immutable."""

    dataset: Dataset
    backend: Mapping[str, Any]
    """``name``, ``model``, ``provider``, ``default_threshold``."""
    candidate: Candidate
    point: Point
    """The operating point."""
    sweep: tuple[Point, ...]
    """By threshold, upwards; empty where the backend decides by itself."""
    moments: tuple[Moment, ...]
    results: Results
    """Settings: the operating point's, then the sweep's."""
    comparison: Comparison | None = None
    store: str | None = None
    """Where the passes are kept, from which a report draws its timelines."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All that was left out."""
        return (*self.dataset.problems, *self.results.problems)

    def mistakes(self, most: int | None = None) -> tuple[list[Mistake], list[Mistake]]:
        """Return the missed interruptions and the false ones, the surest mistakes first."""
        results, real = self.results, self.results.of("interruption")
        positive, best = results.positive[0], results.best[-1]
        missed = np.flatnonzero(real & ~positive)
        false = np.flatnonzero(~real & positive)
        missed = missed[np.argsort(best[missed], kind="stable")]
        false = false[np.argsort(-best[false], kind="stable")]
        return [self._mistake(at) for at in missed[:most]], [
            self._mistake(at) for at in false[:most]
        ]

    def _mistake(self, at: int) -> Mistake:
        call, overlap = self.results.entries[at]
        delay = float(self.results.delay[0, at])
        return Mistake(
            call=call,
            overlap=overlap,
            estimate=float(self.results.best[-1, at]),
            delay=None if np.isnan(delay) else delay,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""
        results = self.results
        missed, false = self.mistakes()
        return {
            "dataset": {
                "name": self.dataset.name,
                "calls": len(results.groups),
                "overlaps": len(results.entries),
                **{label: int(results.of(label).sum()) for label in LABELS},
                "duration": round(results.duration, 3),
                "agent_speech": round(results.agent_speech, 3),
                "ignored": self.dataset.ignored,
                "filtered": self.dataset.filtered,
            },
            "backend": dict(self.backend),
            "options": {
                "latency": self.candidate.options.latency,
                "detection": attrs.asdict(self.candidate.options.detection),
            },
            "point": self.point.to_dict(),
            "moments": [moment.to_dict() for moment in self.moments],
            "sweep": [point.to_dict() for point in self.sweep],
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
            "missed": [mistake.to_dict() for mistake in missed],
            "false": [mistake.to_dict() for mistake in false],
            "windows": {"judged": results.windows, "failed": results.failed},
            "left_out": [problem.to_dict() for problem in self.problems],
        }


def evaluate(
    dataset: Dataset,
    candidate: Candidate | None = None,
    *,
    against: Candidate | None = None,
    thresholds: Sequence[float] = SWEEP,
    resampling: Resampling | None = None,
    store: str | None = None,
    jobs: int | None = 1,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a judge on labelled calls, and another one against it.

    The same data, candidates and ``resampling`` give the same result, whoever does the work.

    Args:
        dataset: from :func:`~bargein.evaluation.read_dataset`.
        candidate: the judge and its settings; by default the local one's.
        against: another; only the operating points are compared.
        thresholds: the curve's.
        store: a folder in which passes over the audio are kept and found again.
        jobs: processes; ``None``: one for each core.
        cluster: ``dask``, ``dask:ADDRESS``, ``ray`` or ``ray:ADDRESS``.
        progress: called as calls are done.

    Raises:
        OptionError: a backend, a threshold or a cluster can't be.
        DatasetError: the data set is ``strict``, and something in it can't be evaluated.
        MissingExtraError: scipy, scikit-learn, joblib or soundfile isn't there.
    """
    candidate = candidate or Candidate()
    how = resampling or Resampling()
    backend = load_backend(candidate.backend)
    operating = _operating(candidate, backend)
    curve = [] if operating.threshold is None else sorted({*thresholds, operating.threshold})
    settings = (operating, *(attrs.evolve(operating, threshold=each) for each in curve))
    passes = 1 if against is None else 2
    told = Told(progress, len(dataset.calls) * passes)
    scored = _scored(dataset, candidate, settings, store, jobs, cluster)
    results = gather(dataset.calls, told(scored), settings, strict=dataset.strict)
    found = points(results, how)
    comparison = None
    if against is not None:
        other_backend = load_backend(against.backend)
        setting = _operating(against, other_backend)
        scored = _scored(dataset, against, (setting,), store, jobs, cluster)
        other = gather(dataset.calls, told(scored), (setting,), strict=dataset.strict)
        comparison = _compare(against, other_backend, results, other, how)
    return Evaluation(
        dataset=dataset,
        backend=_about(candidate, backend),
        candidate=candidate,
        point=found[0],
        sweep=tuple(found[1:]),
        moments=tuple(moments(results, how)),
        results=results,
        comparison=comparison,
        store=store,
    )


class Told:
    """Passes on what comes, and tells how much that is."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def __call__(self, scored: Iterable[Scored | str]) -> Iterator[Scored | str]:
        for each in scored:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total)
            yield each


def _scored(
    dataset: Dataset,
    candidate: Candidate,
    settings: tuple[Settings, ...],
    store: str | None,
    jobs: int | None,
    cluster: str | None,
) -> Iterator[Scored | str]:
    plan = Plan(
        backend=candidate.backend, options=candidate.options, settings=settings, store=store
    )
    return evaluate_calls(dataset.calls, plan, jobs=jobs, cluster=cluster)


def _operating(candidate: Candidate, backend: Backend) -> Settings:
    """The settings that a candidate would run under."""
    detection = candidate.options.detection
    threshold = detection.threshold
    return Settings(
        threshold=backend.default_threshold if threshold is None else threshold,
        detection=detection,
        latency=candidate.options.latency,
    )


def _about(candidate: Candidate, backend: Backend) -> dict[str, Any]:
    name = candidate.backend if isinstance(candidate.backend, str) else backend.model
    return {
        "name": name,
        "model": backend.model,
        "provider": backend.provider,
        "default_threshold": backend.default_threshold,
    }


def _compare(
    candidate: Candidate, backend: Backend, first: Results, other: Results, how: Resampling
) -> Comparison:
    # Which labels there are depends on the audio and on when the agent speaks, which no candidate
    # changes; a file that turned unreadable between the two passes does.
    if [overlap for _, overlap in first.entries] != [overlap for _, overlap in other.entries]:
        raise OptionError("the audio changed between the two passes: evaluate again")
    right_before = first.positive[0] == first.of("interruption")
    right_after = other.positive[0] == first.of("interruption")
    return Comparison(
        backend=_about(candidate, backend),
        candidate=candidate,
        point=points(other, how)[0],
        differences=tuple(compare_points(first, other, how)),
        changed={
            "fixed": int((~right_before & right_after).sum()),
            "broken": int((right_before & ~right_after).sum()),
        },
        results=other,
    )
