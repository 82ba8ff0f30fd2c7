"""What a test may leave behind: nothing. The check behind ``conftest.py``'s automatic fixture.

Threads of the process-wide pools (``bargein-pool`` begins their names) outlive any test by design
and are let through; the sockets that they hold aren't.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path

import attrs

__all__ = ["POOL_PREFIX", "Snapshot", "leaks", "snapshot"]

POOL_PREFIX = "bargein-pool"

PAUSE = 0.05
"""Seconds between looks at descriptors that are about to be closed."""

# Where Linux lists the process's descriptors; elsewhere only threads are compared.
_DESCRIPTORS = Path("/proc/self/fd")


@attrs.frozen
class Snapshot:
    """The threads and descriptors that there were at one moment."""

    threads: frozenset[threading.Thread]
    descriptors: frozenset[tuple[int, str]]


def snapshot() -> Snapshot:
    return Snapshot(frozenset(threading.enumerate()), _descriptors())


def leaks(before: Snapshot, *, patience: float = 10.0) -> list[str]:
    """Say what there is now that wasn't there ``before``: one line each, none if all is well.

    A thread that is on its way out gets ``patience`` seconds in all to get there.
    """
    found: list[str] = []
    deadline = patience
    seen = set(before.threads)
    # Anew until there is none: a reactor's thread may hand its work to a new one as it ends.
    while new := [thread for thread in threading.enumerate() if thread not in seen]:
        seen.update(new)
        for thread in new:
            if thread.name.startswith(POOL_PREFIX):
                continue
            thread.join(timeout=deadline)
            if thread.is_alive():
                deadline = 0.0
                found.append(f"thread {thread.name!r} ({type(thread).__name__}) still runs")
    left = _descriptors() - before.descriptors
    if left:
        # What hangs in a reference cycle isn't held by anyone. A socket found so still fails
        # the test: its ResourceWarning is an error.
        gc.collect()
        left = _descriptors() - before.descriptors
    # A reactor that was lent a pool's thread closes its poller there, and that isn't joined.
    while left and deadline > 0.0:
        time.sleep(PAUSE)
        deadline -= PAUSE
        left = _descriptors() - before.descriptors
    found += [f"descriptor {number} ({target}) is still open" for number, target in sorted(left)]
    return found


def _descriptors() -> frozenset[tuple[int, str]]:
    if not _DESCRIPTORS.is_dir():
        return frozenset()
    found = set()
    for entry in os.listdir(_DESCRIPTORS):
        try:
            found.add((int(entry), os.readlink(_DESCRIPTORS / entry)))
        except FileNotFoundError:
            continue  # the descriptor that the listing itself used
    return frozenset(found)
