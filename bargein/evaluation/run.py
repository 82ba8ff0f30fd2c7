"""Evaluates calls: one after the other, over all cores, or over a cluster; each by itself.

What a call gives depends on nothing but itself, so any number of machines may share the work, in
any order, and what one of them did is found again in the store.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from bargein.analysis import AnalysisOptions
from bargein.backends.named import named_backend
from bargein.backends.protocol import Backend, as_backend
from bargein.errors import AudioFileError, BargeinError, MissingExtraError, OptionError

from .dataset import LabelledCall
from .hearing import Hearing, hear
from .score import Scored, score
from .settle import Settings
from .store import Store, identity, key_of

__all__ = ["Plan", "evaluate_call", "evaluate_calls", "hear_call", "load_backend"]

logger = logging.getLogger("bargein")

_WORTH_A_PROCESS = 8
"""Calls. Starting processes takes a second or two, in which one process judges about as many."""


@attrs.frozen(kw_only=True)
class Plan:
    """What is done with each call; it travels to the processes that do it."""

    backend: Any = "local"
    """A name, a backend, or a function of a window. A name travels best."""
    options: AnalysisOptions = attrs.field(factory=AnalysisOptions)
    settings: tuple[Settings, ...] = ()
    store: str | None = None
    """The folder in which passes are kept; ``None``: none are."""


def load_backend(backend: Any) -> Backend:
    """Return a backend by its name, as ``module:attribute`` in the working folder too, or itself.

    Raises :class:`~bargein.errors.OptionError` if it can't be loaded.
    """
    if not isinstance(backend, str):
        return as_backend(backend)
    return _named(backend, os.getcwd())


@functools.lru_cache(maxsize=8)
def _named(name: str, folder: str) -> Backend:
    sys.path.insert(0, folder)
    try:
        return named_backend(name)
    except BargeinError:
        raise
    except Exception as exc:  # a user's module may raise what it likes
        raise OptionError(
            f"the backend {name!r} can't be loaded: {type(exc).__name__}: {exc}"
        ) from exc
    finally:
        sys.path.remove(folder)


def hear_call(call: LabelledCall, plan: Plan) -> Hearing:
    """Return a call's pass: from the store, else made now and put there."""
    backend = load_backend(plan.backend)
    known = None if plan.store is None else identity(backend)
    if plan.store is None or known is None:
        return hear(call, backend, plan.options)
    store, key = Store(plan.store), key_of(call, plan.options, known)
    hearing = store.get(key)
    if hearing is None:
        hearing = hear(call, backend, plan.options)
        try:
            store.put(key, hearing)
        except OSError as error:
            logger.warning("nothing can be kept in %s: %s", plan.store, error)
    return hearing


def evaluate_call(call: LabelledCall, plan: Plan) -> Scored | str:
    """Evaluate one call; what is wrong with its audio comes back as a text."""
    try:
        return score(call, hear_call(call, plan), plan.settings)
    except AudioFileError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename or call.caller.path}: can't be read: {error.strerror or error}"


def evaluate_calls(
    calls: Sequence[LabelledCall],
    plan: Plan,
    *,
    jobs: int | None = None,
    cluster: str | None = None,
) -> Iterator[Scored | str]:
    """Evaluate calls; what comes of each comes in their order.

    ``jobs``: processes; ``None``: one for each core, but no more than there is work for.
    ``cluster``: ``dask``, ``dask:ADDRESS``, ``ray``, ``ray:ADDRESS``: who does the work instead.

    Raises :class:`~bargein.errors.OptionError` for a backend or a cluster that can't be had and
    :class:`~bargein.errors.MissingExtraError` where joblib isn't installed.
    """
    if jobs is not None and jobs < 1:
        raise OptionError(f"jobs came as {jobs}; expected 1 or more")
    load_backend(plan.backend)  # here, so that what is wrong with it shows at once
    wanted = jobs or max(1, min(os.cpu_count() or 1, len(calls) // _WORTH_A_PROCESS))
    if cluster is None and wanted == 1:
        return (evaluate_call(call, plan) for call in calls)
    return _in_parallel(calls, plan, wanted, cluster)


def _in_parallel(
    calls: Sequence[LabelledCall], plan: Plan, jobs: int, cluster: str | None
) -> Iterator[Scored | str]:
    try:
        import joblib
    except ImportError as error:
        raise MissingExtraError("evaluating on several cores", "evaluate") from error
    with contextlib.ExitStack() as stack:
        options: dict[str, Any] = {"n_jobs": jobs, "return_as": "generator"}
        if cluster is not None:
            options = stack.enter_context(_on_cluster(cluster, jobs))
        tasks = (joblib.delayed(evaluate_call)(call, plan) for call in calls)
        yield from joblib.Parallel(**options)(tasks)


@contextlib.contextmanager
def _on_cluster(cluster: str, jobs: int) -> Iterator[dict[str, Any]]:
    """Make joblib's calls go to a cluster; give what ``Parallel`` is to be told."""
    import joblib

    engine, _, address = cluster.partition(":")
    if engine == "dask":
        try:
            import distributed
        except ImportError as error:
            raise MissingExtraError("evaluating on a Dask cluster", "dask") from error
        given: dict[str, Any] = {"address": address} if address else {"n_workers": jobs}
        if not address:
            given["threads_per_worker"] = 1
        client: Any = distributed.Client  # which has no hints
        with _connecting(cluster):
            connected = client(**given)
        with connected, joblib.parallel_config(backend="dask"):
            yield {"n_jobs": -1, "return_as": "generator"}
    elif engine == "ray":
        try:
            import ray
            from ray.util.joblib import register_ray
        except ImportError as error:
            raise OptionError(
                "the cluster came as 'ray', which isn't installed: pip install 'ray[default]'"
            ) from error
        with _connecting(cluster):
            ray.init(address=address or None, ignore_reinit_error=True)
        register_ray()
        with joblib.parallel_config(backend="ray"):
            yield {"n_jobs": -1}
    else:
        raise OptionError(
            f"the cluster came as {cluster!r}; expected dask, dask:ADDRESS, ray or ray:ADDRESS"
        )


@contextlib.contextmanager
def _connecting(cluster: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # engines raise what they like
        raise OptionError(
            f"the cluster came as {cluster!r}, which can't be used: {error}"
        ) from error
