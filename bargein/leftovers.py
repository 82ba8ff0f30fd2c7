"""Streams that nobody closed: collected, left open at the interpreter's exit, copied by a fork."""

from __future__ import annotations

import atexit
import itertools
import os
import time
import warnings
import weakref
from typing import Protocol, TypeVar

from bargein.errors import StateError
from bargein.worker import Worker

__all__ = ["EXIT_TIMEOUT", "close_all", "forgotten", "look_after", "look_after_watcher"]

EXIT_TIMEOUT = 2.0
"""Seconds that the interpreter's exit waits for all streams together."""

_T = TypeVar("_T")


class _Watcher(Protocol):
    def close(self, timeout: float) -> None: ...


_keys = itertools.count()
# Not WeakSets: those can't be read while another thread opens a stream.
_workers: weakref.WeakValueDictionary[int, Worker] = weakref.WeakValueDictionary()
_watchers: weakref.WeakValueDictionary[int, _Watcher] = weakref.WeakValueDictionary()


def look_after(worker: Worker) -> None:
    """Mind a stream's worker at the exit and after a fork. Any thread."""
    _workers[next(_keys)] = worker


def look_after_watcher(watcher: _Watcher) -> None:
    """Mind what watches streams at the exit, after the last of them. Any thread."""
    _watchers[next(_keys)] = watcher


def _living(known: weakref.WeakValueDictionary[int, _T]) -> list[_T]:
    found = (reference() for reference in known.valuerefs())
    return [each for each in found if each is not None]


def forgotten(worker: Worker, stream_id: str) -> None:
    """A stream was collected without close()."""
    if worker.alive:
        worker.close(0.0)  # first: the warning may be an error
        warnings.warn(
            f"the stream {stream_id} was never closed; call close(), or use it in a with statement",
            ResourceWarning,
            stacklevel=2,
        )


def close_all() -> None:
    """End the streams that are left when the interpreter exits, in bounded time."""
    deadline = time.monotonic() + EXIT_TIMEOUT
    left = [worker for worker in _living(_workers) if worker.alive]
    for worker in left:
        worker.close(0.0)
    for worker in left:
        worker.close(max(0.0, deadline - time.monotonic()))
    for watcher in _living(_watchers):
        watcher.close(max(0.0, deadline - time.monotonic()))


def _after_fork() -> None:
    """No thread survives a fork: the child's streams say so instead of waiting for ever."""
    for worker in _living(_workers):
        worker.disown(
            StateError(
                "this stream was opened before a fork, and its thread is the parent's; open "
                "streams in the process that uses them"
            )
        )


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
