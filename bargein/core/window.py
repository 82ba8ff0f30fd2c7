"""The unit of judgement: a window of the caller's audio, and what a backend makes of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs
import numpy as np
import numpy.typing as npt

from bargein.errors import ProtocolError

if TYPE_CHECKING:
    from bargein.vad.track import Speech

__all__ = ["FRAME_SAMPLES", "WINDOW_RATE", "Prediction", "Window"]

WINDOW_RATE = 16_000
"""Hz. Every backend gets 16 kHz mono, whatever the caller's audio came as."""

FRAME_SAMPLES = 400
"""Samples. One probability speaks for 25 ms, which is 400 samples at 16 kHz."""

_arrays_equal = attrs.cmp_using(eq=np.array_equal)

_NOTHING: npt.NDArray[np.float32] = np.zeros(0, np.float32)
_NOTHING.flags.writeable = False


def _read_only(array: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    if array.flags.writeable:
        array = array[:]
        array.flags.writeable = False
    return array


@attrs.frozen(kw_only=True)
class Window:
    """The caller's newest audio at one moment of an overlap. Immutable; safe in any thread.

    ``samples``
        int16, shape ``(n,)``, 16 kHz mono, read-only; at most 3 s.
    ``id``
        Unique and increasing within its stream.
    ``overlap``
        The number of the overlap in which it was cut, counted from 1 within its stream.
    ``start``
        The position of ``samples[0]`` on the stream's 16 kHz grid. ``None``: unknown, because
        the window came over a wire that carries no positions.
    ``speech_start``, ``agent_start``
        Where the caller's speech and the agent's turn began, as indexes into ``samples``;
        negative where that lies before the window. ``None``: unknown.
    ``speech``
        What a voice activity detector already knows of this stretch, or ``None``.
    ``threshold``, ``min_frames``
        The settings under which it was sent; a ``threshold`` of ``None`` is the backend's own.
    """

    id: int
    overlap: int
    samples: npt.NDArray[np.int16] = attrs.field(
        eq=_arrays_equal, hash=False, converter=_read_only, repr=False
    )
    start: int | None = None
    speech_start: int | None = None
    agent_start: int | None = None
    speech: Speech | None = attrs.field(default=None, hash=False, repr=False)
    threshold: float | None = None
    min_frames: int = 2

    @property
    def duration(self) -> float:
        """Seconds of audio."""
        return len(self.samples) / WINDOW_RATE


class Checked:
    """Probabilities that whoever read them has looked through: float32, each from 0 to 1.

    Given to a :class:`Prediction` in the place of the array, they aren't looked through again. A
    subclass may :meth:`make` the array when it is first asked for: of twenty answers one decides,
    and the numbers of the others are never looked at.
    """

    __slots__ = ("_array",)

    def __init__(self, array: npt.NDArray[np.float32] | None = None) -> None:
        self._array = array

    def make(self) -> npt.NDArray[np.float32]:
        """Return the array, read-only."""
        raise NotImplementedError

    @property
    def array(self) -> npt.NDArray[np.float32]:
        """The array, always the same one. Any thread."""
        array = self._array
        if array is None:
            self._array = array = self.make()
        return array

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Checked):
            return NotImplemented
        return np.array_equal(self.array, other.array)

    __hash__ = None  # type: ignore[assignment]  # as arrays


def _checked(values: object) -> Checked:
    if isinstance(values, Checked):
        return values
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is told below
            array = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as exc:
        raise ProtocolError(
            f"probabilities came as {type(values).__name__} that isn't an array of numbers; "
            "expected one per 25 ms frame, shape (n,)"
        ) from exc
    if array.ndim != 1:
        raise ProtocolError(
            f"probabilities came with shape {array.shape}; expected one per 25 ms frame, shape (n,)"
        )
    if array.size and not (array.min() >= 0.0 and array.max() <= 1.0):  # NaN fails this as well
        raise ProtocolError(
            "probabilities came with values that are NaN, infinite or outside 0..1; "
            "each must be the probability of an interruption"
        )
    array = array.copy() if array.flags.writeable else array
    array.flags.writeable = False
    return Checked(array)


def _duration(value: float | None) -> float:
    try:
        seconds = 0.0 if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0.0):
        raise ProtocolError(f"a prediction's duration came as {value!r}; expected seconds >= 0")
    return seconds


@attrs.frozen
class Prediction:
    """What a backend says of a window. Immutable; safe in any thread.

    ``probabilities``
        float32, shape ``(ceil(n / 400),)``, one per 25 ms of the window, each the probability
        that the caller truly interrupts; may be empty where only a decision came.
    ``is_interruption``
        The backend's own decision, which wins over the threshold; ``None`` where it makes none.
    ``duration``
        Seconds that the backend computed; 0.0 where it doesn't say.

    Raises :class:`~bargein.errors.ProtocolError` for probabilities or a duration that can't be.
    """

    _probabilities: Checked = attrs.field(
        converter=_checked,
        hash=False,
        factory=lambda: Checked(_NOTHING),
    )
    is_interruption: bool | None = None
    duration: float = attrs.field(default=0.0, converter=_duration)

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """See the class."""
        return self._probabilities.array
