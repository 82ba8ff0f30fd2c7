"""Mono int16 at any rate to 16 kHz, as a function of positions alone.

Output sample `m` lies at input time ``m * rate / 16000``, counted in input samples, and is a
finite sum of the input around it: a sinc under a Kaiser window. That sum is computed exactly, so
the result depends neither on how the input was framed nor on the order in which a matrix product
adds: **coefficients are whole multiples of 2**-20**, and their products with int16 add up in a
float64 without rounding. One rounding (half up) to int16 follows.

How it is computed: 32 output samples on end are one *group*, a matrix product of the input around
them with the coefficients of their 32 fractional times. Groups whose first sample has the same
fractional time share a matrix; 8, 16, 24, 32, 48, 96 and 192 kHz need one, 44.1 kHz five. A rate
with more of them than a table of evenly spaced fractional times would have (11,111 Hz needs 500)
gets that table, and interpolates between two of its products, again in whole numbers.

Sources: J. F. Kaiser's window and his formula for its length (Oppenheim and Schafer,
Discrete-Time Signal Processing, section 7.5).
"""

from __future__ import annotations

import functools
import math

import attrs
import numpy as np
import numpy.typing as npt

from bargein.audio.formats import AudioFormat
from bargein.errors import FrameError, OptionError

__all__ = ["OUTPUT_RATE", "Converter"]

_Int16 = npt.NDArray[np.int16]
_Float64 = npt.NDArray[np.float64]

OUTPUT_RATE = 16_000
"""Hz. What every backend gets."""

_HALF_WIDTH = 24
"""Zero crossings of the sinc on each side: samples of the lower of the two rates. With a
transition from 0.45 to 0.55 of that rate they buy 77 dB, and cost 3 ms of look-ahead at 8 kHz."""

_ATTENUATION = 2.285 * (0.1 * 2 * math.pi) * (2 * _HALF_WIDTH) + 8
"""dB, by Kaiser's formula from length and transition width."""

_BETA = 0.1102 * (_ATTENUATION - 8.7)
"""The window's shape, by Kaiser's formula for more than 50 dB."""

_UNIT = 2.0**20
"""1 / the coefficients' grid: rounding to it adds noise at -110 dB, far under int16's own. A sum
stays below 2**15 (a sample) * 2**2 (the gain of all signs aligned), and is weighted by at most
16000 in an interpolation: 2**31 in steps of 2**-20, which a float64 holds exactly."""

_GROUP = 32
"""Output samples a matrix gives. More makes fewer calls and more products with zeros."""

_FINENESS = 128
"""Fractional times per sample of the lower rate in an interpolated table. The error of linear
interpolation is at most (pi / 128)**2 / 8: -82 dB, under the filter's own."""

_MAX_PRODUCTS = 250_000
"""Multiplications per matrix product: above 2**18 OpenBLAS wakes its threads, which costs more
than it gains on matrices this small and takes cores from other calls."""


_NOTHING: _Int16 = np.empty(0, np.int16)


def _kernel(time: _Float64) -> _Float64:
    """Return the low-pass filter at `time`, in samples of the lower rate; 0 outside its width."""
    inside = np.maximum(1 - (time / _HALF_WIDTH) ** 2, 0)
    window = np.i0(_BETA * np.sqrt(inside)) / np.i0(_BETA)
    return np.where(inside > 0, np.sinc(time) * window, 0)


@attrs.frozen(eq=False)
class _FilterBank:
    """The coefficients for one input rate. Immutable, shared by all threads."""

    rate: int
    half: int
    """Input samples on each side of an output sample that it depends on."""
    columns: int
    """Input samples that a group depends on."""
    cycle: int
    """Groups after which fractional times repeat."""
    phases: int
    """Fractional times in the table, evenly spaced."""
    matrices: tuple[_Float64, ...]
    """Fractional time ``p / phases`` at index `p`: ``(columns, _GROUP)``."""

    def convert(self, held: _Int16, origin: int, start: int, end: int) -> _Int16:
        """Return output samples [start, end) from input that begins at position `origin`.

        `held` must cover all columns of the groups that it touches.
        """
        first = start // _GROUP
        count = -(-end // _GROUP) - first
        out = np.empty((count, _GROUP))
        step = self.cycle * _GROUP * self.rate // OUTPUT_RATE
        for turn in range(min(self.cycle, count)):
            base, part = divmod((first + turn) * _GROUP * self.rate, OUTPUT_RATE)
            rows = -(-(count - turn) // self.cycle)
            windows = np.ndarray(
                (rows, self.columns),
                np.int16,
                held,
                2 * (base - self.half + 1 - origin),
                (2 * step, 2),
            )
            self._multiply(windows, part, out[turn :: self.cycle])
        flat = out.reshape(-1)[start - first * _GROUP : end - first * _GROUP]
        flat += 0.5
        np.floor(flat, out=flat)
        np.minimum(flat, 32767, out=flat)
        np.maximum(flat, -32768, out=flat)
        return flat.astype(np.int16)

    def _multiply(self, windows: _Int16, part: int, out: _Float64) -> None:
        index, rest = divmod(part * self.phases, OUTPUT_RATE)
        rows = max(1, _MAX_PRODUCTS // (self.columns * _GROUP))
        for row in range(0, len(windows), rows):
            # Windows overlap: a copy gives BLAS a plain matrix.
            block = windows[row : row + rows].astype(np.float64, order="C")
            product = block @ self.matrices[index]
            if rest:
                product *= OUTPUT_RATE - rest
                product += block @ self.matrices[index + 1] * rest
                product /= OUTPUT_RATE
            out[row : row + rows] = product


@functools.lru_cache(maxsize=16)  # rates in use at a time; a bank takes at most 3 MB
def _filter_bank(rate: int) -> _FilterBank:
    stretch = max(1.0, rate / OUTPUT_RATE)
    half = math.ceil(_HALF_WIDTH * stretch)
    columns = 2 * half + 1 + math.ceil((_GROUP - 1) * rate / OUTPUT_RATE)
    cycle = OUTPUT_RATE // math.gcd(_GROUP * rate, OUTPUT_RATE)
    fine = math.ceil(_FINENESS / stretch)
    phases, tables = (cycle, cycle) if cycle <= fine else (fine, fine + 1)
    matrices = tuple(
        _matrix(rate, phase / phases, half, columns, stretch) for phase in range(tables)
    )
    return _FilterBank(rate, half, columns, cycle, phases, matrices)


def _matrix(rate: int, phase: float, half: int, columns: int, stretch: float) -> _Float64:
    """Return the coefficients of a group whose first sample lies `phase` past an input sample."""
    times = phase + np.arange(_GROUP) * (rate / OUTPUT_RATE)
    taps = np.arange(columns)[:, None] - (half - 1)
    inside = (taps > np.floor(times) - half) & (taps <= np.floor(times) + half)
    exact = np.where(inside, _kernel((taps - times) / stretch), 0)
    whole: _Float64 = np.rint(exact / exact.sum(axis=0) * _UNIT)
    # Each column adds up to exactly 1, so that a constant input stays what it is.
    largest = np.abs(whole).argmax(axis=0)
    whole[largest, np.arange(_GROUP)] += _UNIT - whole.sum(axis=0)
    matrix: _Float64 = whole / _UNIT
    matrix.setflags(write=False)
    return matrix


class Converter:
    """Turns one stream's mono int16 into 16 kHz mono int16, piece by piece. Not thread-safe.

    A sample is *stable* once all the input that it depends on has come: 3 ms at 8 kHz, 1.5 ms
    from 16 kHz on. `push` gives each stable sample once; `tail` gives what lies between them and
    the newest input, as far as it can be known. Both depend on `position` and the samples alone,
    however they were framed. At 16 kHz samples pass unchanged, at once.

    Args:
        sample_rate: of the input, Hz, a whole number from 8,000 to 192,000.
        position: input samples that came before; they count as silence. The first output sample
            is number ``position * 16000 // sample_rate``.
    """

    __slots__ = ("_bank", "_held", "_origin", "_tail", "position", "sample_rate", "stable")

    position: int
    """Input samples taken so far, those before the first push included."""

    stable: int
    """Number of the output sample that the next `push` begins with."""

    def __init__(self, sample_rate: int, position: int = 0) -> None:
        sample_rate = AudioFormat(sample_rate).sample_rate
        if position < 0:
            raise OptionError(f"position must be 0 or more input samples, got {position}")
        self.sample_rate = sample_rate
        self.position = position
        self.stable = position * OUTPUT_RATE // sample_rate
        self._bank = None if sample_rate == OUTPUT_RATE else _filter_bank(sample_rate)
        self._origin = position if self._bank is None else self._first_needed(self._bank)
        self._held: _Int16 = np.zeros(position - self._origin, np.int16)
        self._tail: _Int16 | None = None
        """What `tail` gives, where the last push has found it on the way."""

    def push(self, samples: _Int16) -> _Int16:
        """Take input samples ``(n,)`` and return the output samples that became stable by them.

        They are numbers [old `stable`, new `stable`). At 16 kHz the result is `samples` itself.
        Raises `FrameError` where `samples` isn't a one-dimensional int16 array.
        """
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise FrameError(
                f"got samples of {samples.dtype} and shape {samples.shape}, expected mono int16 "
                f"of shape (n,): decode and mix them first"
            )
        bank = self._bank
        if bank is None:
            self.position += samples.size
            self.stable = self.position
            return samples
        if samples.size > self.sample_rate:  # a second at a time, so that memory stays bounded
            cuts = range(self.sample_rate, samples.size, self.sample_rate)
            return np.concatenate([self.push(piece) for piece in np.split(samples, cuts)])
        self.position += samples.size
        known = self.position - bank.half
        start, end = self.stable, max(self.stable, -(-known * OUTPUT_RATE // self.sample_rate))
        if start == end:
            self._held = np.concatenate((self._held, samples))
            self._tail = None
            return _NOTHING
        # The tail as well: a window is mostly cut after a push, and both at once cost as one. What
        # is stable has coefficients that are all zero for what is made up of the future.
        held = np.concatenate((self._held, samples, self._future(bank, samples)))
        out = bank.convert(held, self._origin, start, self._newest)
        out, self._tail = out[: end - start], out[end - start :]
        self.stable = end
        first = self._first_needed(bank)
        self._held = held[first - self._origin : self.position - self._origin].copy()
        self._origin = first
        return out

    def tail(self) -> _Int16:
        """Return the provisional output samples from `stable` up to the newest input.

        They are numbers [`stable`, ``position * 16000 // sample_rate``), computed as if the last
        input sample were held for ever. Changes nothing.
        """
        bank = self._bank
        if bank is None or self._newest == self.stable:
            return _NOTHING
        if self._tail is None:
            held = np.concatenate((self._held, self._future(bank, self._held)))
            self._tail = bank.convert(held, self._origin, self.stable, self._newest)
        return self._tail

    @property
    def _newest(self) -> int:
        """The number of the output sample that is one too far in the future."""
        return self.position * OUTPUT_RATE // self.sample_rate

    @staticmethod
    def _future(bank: _FilterBank, samples: _Int16) -> _Int16:
        """Return what is taken for the input to come: the newest sample, held."""
        return np.full(bank.columns + bank.half, samples[-1])

    def _first_needed(self, bank: _FilterBank) -> int:
        """Return the position of the oldest input that the next group depends on."""
        group = self.stable // _GROUP
        return group * _GROUP * self.sample_rate // OUTPUT_RATE - bank.half + 1
