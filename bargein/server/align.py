"""Where a window lies in its session: found by the audio that it shares with the one before.

Positions aren't on the wire. But windows of one overlap share most of their samples: the next one
begins where the last began, or somewhat later. Found again, the shared audio needn't be judged
anew ten times a second.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Aligner"]

PROVISIONAL = 64
"""Samples (4 ms) at a window's end that may be another in the next one: a resampler's newest."""

PROBE = 400
"""Samples (25 ms) that are looked for: long enough to be found in few wrong places."""

_MOST_PLACES = 8
"""Places that are compared whole. Digital silence is found everywhere, and is judged anew."""


class Aligner:
    """Gives each window of a session its position, samples from the first window's start."""

    def __init__(self) -> None:
        self._last: npt.NDArray[np.int16] | None = None
        self._start = 0

    def place(self, samples: npt.NDArray[np.int16]) -> tuple[int, bool]:
        """Return the window's start, and whether it goes on from the last one.

        A window that shares nothing begins far past the last, so that a judge starts anew.
        """
        last = self._last
        found = None if last is None else _find(last, samples)
        if last is not None:
            self._start += len(last) + len(samples) if found is None else found
        self._last = samples
        return self._start, found is not None


def _find(last: npt.NDArray[np.int16], samples: npt.NDArray[np.int16]) -> int | None:
    """Return how much later ``samples`` begins than ``last``, if they share audio."""
    if len(samples) < PROBE + PROVISIONAL or len(last) < PROBE + PROVISIONAL:
        return None
    certain = last[: len(last) - PROVISIONAL]
    haystack, needle = certain.tobytes(), samples[:PROBE].tobytes()
    at = -1
    for _ in range(_MOST_PLACES):
        at = haystack.find(needle, at + 1)
        if at < 0:
            return None
        shift, odd = divmod(at, 2)
        shared = len(certain) - shift
        if not odd and shared <= len(samples) and np.array_equal(certain[shift:], samples[:shared]):
            return shift
    return None
