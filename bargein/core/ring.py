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

    __slots__ = ("_data", "capacity", "end")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        """Samples."""
        self.end = 0
        """The position after the newest sample; set it to go on writing elsewhere. What then lies
        between the old end and the new one is undefined."""
        # Memory as such, not an array: NumPy lets go of the interpreter's lock for a copy of a few
        # microseconds, and getting it back among a hundred threads takes far longer than that.
        self._data: memoryview | None = None

    @property
    def oldest(self) -> int:
        """The oldest position that can still be read (it may never have been written)."""
        return self.end - self.capacity

    def write(self, samples: npt.NDArray[np.int16]) -> None:
        """Append samples at :attr:`end`."""
        if self._data is None:
            self._data = np.zeros(self.capacity, np.int16).data
        count = len(samples)
        self.end += count
        if count > self.capacity:
            samples, count = samples[-self.capacity :], self.capacity
        at = (self.end - count) % self.capacity
        source, first = samples.data, self.capacity - at
        if count <= first:
            self._data[at : at + count] = source
        else:
            self._data[at:] = source[:first]
            self._data[: count - first] = source[first:]

    def read_into(self, out: npt.NDArray[np.int16], start: int) -> None:
        """Copy ``len(out)`` samples from position ``start`` on into ``out``."""
        count = len(out)
        if not count:
            return
        assert self._data is not None
        assert self.oldest <= start <= self.end - count
        at = start % self.capacity
        target, first = out.data, self.capacity - at
        if count <= first:
            target[:] = self._data[at : at + count]
        else:
            target[:first] = self._data[at:]
            target[first:] = self._data[: count - first]
