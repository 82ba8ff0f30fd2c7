"""A ring of samples that are found by their position in the stream."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["SampleRing"]


class SampleRing:
    """The newest ``capacity`` int16 samples of a stream, addressed by absolute position.

    A write costs O(what is written), forgetting costs nothing. Memory is taken at the first
    write. Not safe from several threads at once.
    """

    __slots__ = ("_capacity", "_data", "_end")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._data: npt.NDArray[np.int16] | None = None
        self._end = 0

    @property
    def capacity(self) -> int:
        """Samples."""
        return self._capacity

    @property
    def end(self) -> int:
        """The position after the newest sample."""
        return self._end

    @property
    def oldest(self) -> int:
        """The oldest position that can still be read (it may never have been written)."""
        return self._end - self._capacity

    def seek(self, position: int) -> None:
        """Go on writing at ``position``; what lies between it and the old end is undefined."""
        self._end = position

    def write(self, samples: npt.NDArray[np.int16]) -> None:
        """Append samples at :attr:`end`."""
        if self._data is None:
            self._data = np.zeros(self._capacity, np.int16)
        self._end += len(samples)
        samples = samples[-self._capacity :]
        at = (self._end - len(samples)) % self._capacity
        first = min(len(samples), self._capacity - at)
        self._copy(self._data, at, samples, 0, first)
        self._copy(self._data, 0, samples, first, len(samples) - first)

    def read_into(self, out: npt.NDArray[np.int16], start: int) -> None:
        """Copy ``len(out)`` samples from position ``start`` on into ``out``."""
        if not len(out):
            return
        assert self._data is not None
        assert self.oldest <= start <= self._end - len(out)
        at = start % self._capacity
        first = min(len(out), self._capacity - at)
        self._copy(out, 0, self._data, at, first)
        self._copy(out, first, self._data, 0, len(out) - first)

    @staticmethod
    def _copy(
        out: npt.NDArray[np.int16], to: int, samples: npt.NDArray[np.int16], at: int, count: int
    ) -> None:
        # Not by slices of arrays: NumPy lets go of the interpreter's lock for a copy of a few
        # microseconds, and getting it back among a hundred threads takes far longer than that.
        if count:
            out.data[to : to + count] = samples.data[at : at + count]
