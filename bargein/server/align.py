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

PAUSE = 8_000
"""Samples (0.5 s). Clients send ten windows a second while an overlap lasts, and none between."""

_MOST_PLACES = 8
"""Places that are compared whole. Digital silence is found everywhere, and is judged anew."""


class Aligner:
    """Gives each window of a session its position, samples from the first window's start."""

    def __init__(self) -> None:
        self._last: npt.NDArray[np.int16] | None = None
        self._start = 0
        self.overlap = 1
        """Of the newest window. Another begins where a window shares nothing with the one before,
        or brings so much that is new that windows have paused."""

    def place(self, samples: npt.NDArray[np.int16]) -> int:
        """Return the window's start; that of one which shares nothing lies past the last's end."""
        last, self._last = self._last, samples
        if last is None:
            return self._start
        shift = _find(last, samples)
        if shift is None or shift + len(samples) - len(last) > PAUSE:
            self.overlap += 1
        self._start += len(last) if shift is None else shift
        return self._start


def _find(last: npt.NDArray[np.int16], samples: npt.NDArray[np.int16]) -> int | None:
    """Return how much later ``samples`` begins than ``last``, if they share audio."""
    if len(samples) < PROBE + PROVISIONAL or len(last) < PROBE + PROVISIONAL:
        return None
    # As bytes: found and compared in C, without handing the interpreter's lock to and fro.
    certain, new = last[: len(last) - PROVISIONAL].tobytes(), samples.tobytes()
    needle = new[: 2 * PROBE]
    at = -1
    for _ in range(_MOST_PLACES):
        at = certain.find(needle, at + 1)
        if at < 0:
            return None
        if at % 2 == 0 and new.startswith(certain[at:]):
            return at // 2
    return None
