"""A waveform small enough to draw: the lowest and highest sample of each of so many columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["COLUMNS", "Envelope"]

COLUMNS = 24_000
"""Columns: one a pixel of the longest picture, a dozen rows, whatever a call's length (96 KB)."""


class Envelope:
    """Folds a waveform of known length into columns, as it comes. Not thread-safe."""

    def __init__(self, frames: int, columns: int = COLUMNS) -> None:
        self.frames = frames
        self.columns = min(columns, frames)
        self.low = np.zeros(self.columns, np.int16)
        self.high = np.zeros(self.columns, np.int16)
        self._position = 0

    def push(self, samples: npt.NDArray[np.int16]) -> None:
        """Take the next samples, int16 (n,); what exceeds the length told is left out."""
        samples = samples[: self.frames - self._position]
        if not len(samples):
            return
        at = self._position + np.arange(len(samples))
        columns = at * self.columns // self.frames
        starts = np.flatnonzero(np.diff(columns, prepend=-1))
        touched = columns[starts]
        self.low[touched] = np.minimum(self.low[touched], np.minimum.reduceat(samples, starts))
        self.high[touched] = np.maximum(self.high[touched], np.maximum.reduceat(samples, starts))
        self._position += len(samples)
