"""The learned judge's network, in NumPy: is this overlap an interruption, chunk by chunk?

One small network, or a few of one shape that differ by the seed they were trained from, hear the
features of each chunk of 32 ms; several's scores are averaged::

    features (420) -> linear (W), ReLU -> GRU (W) -> linear (1)

and a calibration, which depends on how long ago speech was noticed, turns the score into a
probability. ``training/`` holds all that made the weights.

**Rounding.** As in :mod:`bargein.vad.silero`: every matrix product has a shape that no number of
chunks or streams changes, so a stream's answers are the same to the last bit whatever the framing
or the batch; and each is small enough for BLAS to compute in the calling thread.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Sequence
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import numpy as np
import numpy.typing as npt

from bargein.errors import ModelError
from bargein.vad.silero import ACTIVATIONS
from bargein.vad.track import Speech

from .mel import BANDS, FRAMES, OVERLAP, log_mel

if TYPE_CHECKING:
    from importlib.abc import Traversable

__all__ = ["BEFORE", "FEATURES", "JudgeState", "Network"]

Floats = npt.NDArray[np.float32]

BEFORE = 4
"""Chunks (128 ms) before the onset's chunk from which the network listens: what a voice rises from
tells where it is."""

_EXTRA = 4
_SPECTRUM = FRAMES * BANDS
FEATURES = _SPECTRUM + ACTIVATIONS + _EXTRA
"""Numbers that the network gets of a chunk: its log-mel spectrum, the VAD's activations and
probability, the chunk's level, that level against the loudest so far, and how many chunks it has
heard."""

NOTICED = 0.5
"""Probability of speech from which on the judge has noticed somebody; before, it says 0."""

_QUIETEST = -90.0
"""dBFS at which levels are cut off; digital silence lies there."""

_FULL_SCALE_POWER = 32_768.0**2 * 512
"""Energy of a chunk of full-scale square wave: 0 dBFS."""

_LONGEST = 62
"""Chunks (2 s) up to which time is told apart; no training overlap was longer."""

_LARGEST = 9_216
"""Elements of a matrix from which on OpenBLAS starts its threads; larger ones are cut into blocks
of columns below that."""

_FILE = "judge.npz"


@attrs.define(eq=False)
class JudgeState:
    """What the networks remember of one stream's overlap. Belongs to its session."""

    hidden: Floats
    """(E, W), of E networks."""
    heard: int = 0
    """Chunks so far."""
    noticed: int | None = None
    """The first of them that was speech."""
    loudest: float = _QUIETEST
    """dBFS of the loudest so far."""
    tail: Floats = attrs.field(factory=lambda: np.zeros(OVERLAP, np.float32))
    """The newest samples, which the next chunk's first spectrum reaches back to."""


class Network:
    """The shipped networks. Get them from :meth:`load`. Immutable; serves all threads at once."""

    _loaded: ClassVar[Network | None] = None
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, arrays: dict[str, npt.NDArray[Any]], digest: str) -> None:
        """Lay out the arrays of a file of weights; see ``training/export.py`` for their meaning.

        Raises:
            KeyError, ValueError: arrays are missing or have other shapes.
        """
        self.digest = digest
        """SHA-256 of the file, in hex."""
        self.about: dict[str, Any] = json.loads(str(arrays["about"]))
        self.count = count = len(arrays["out_bias"])
        """Networks that are averaged."""

        def fixed(name: str, *shape: int) -> Floats:
            array = np.array(arrays[name], np.float32)
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"{name} has shape {array.shape} (or isn't finite), not {shape}")
            array.setflags(write=False)
            return array

        def blocks(array: Floats) -> Floats:
            _, rows, columns = array.shape
            cut = array.reshape(count, rows, _parts(rows, columns), -1)
            made: Floats = np.ascontiguousarray(cut.transpose(0, 2, 1, 3))
            made.setflags(write=False)
            return made

        self.width = width = int(np.shape(arrays["out"])[-1])
        """Units in each layer."""
        gates = 3 * width
        # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: the reset and update gates' halves are taken here.
        halves = np.ones(gates, np.float32)
        halves[: 2 * width] = 0.5
        hidden_bias = fixed("hidden_bias", count, gates) * halves
        inputs_bias = fixed("inputs_bias", count, gates) * halves
        inputs_bias[:, : 2 * width] += hidden_bias[:, : 2 * width]
        self._front = blocks(fixed("front", count, FEATURES, width))
        self._front_bias = fixed("front_bias", count, width)
        self._inputs = blocks(fixed("inputs", count, width, gates) * halves)
        self._inputs_bias = inputs_bias
        self._hidden = blocks(fixed("hidden", count, width, gates) * halves)
        self._hidden_bias = np.ascontiguousarray(hidden_bias[:, 2 * width :])
        self._out = fixed("out", count, width)
        self._out_bias = float(fixed("out_bias", count).mean())
        self._limits = [float(value) for value in fixed("limits", *arrays["limits"].shape)]
        self._slope = float(fixed("slope"))

    @classmethod
    def load(cls) -> Network:
        """The process's one set of shipped networks; reads the weights at the first call.

        Thread-safe. Raises :class:`~bargein.errors.ModelError` where the file is missing or
        damaged.
        """
        from importlib.resources import files  # 10 ms that an import of this module needn't pay

        with cls._lock:
            if cls._loaded is None:
                path = files("bargein.backends") / "weights" / _FILE
                advice = "reinstall bargein (pip install --force-reinstall --no-deps bargein)"
                cls._loaded = _read(path, advice)
            return cls._loaded

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Network:
        """The networks of another file of weights, such as ``training.export`` writes.

        Raises :class:`~bargein.errors.ModelError` where the file is missing or damaged.
        """
        return _read(Path(path), "write it with python -m training.export")

    def new_state(self) -> JudgeState:
        """The state before an overlap's first chunk."""
        return JudgeState(np.zeros((self.count, self.width), np.float32))

    def listen(
        self, jobs: Sequence[tuple[JudgeState, Speech, npt.NDArray[np.int16]]]
    ) -> list[list[float]]:
        """Hear new chunks of several streams; move their states on.

        Args:
            jobs: of each stream its state, the chunks' speech with its activations, and their
                samples, (k, 512).

        Returns:
            The probability of an interruption after each chunk, per stream; 0 up to where speech
            is noticed.
        """
        if not jobs:
            return []
        chunks = [features_of(*job) for job in jobs]
        gates = self._gate_inputs(np.concatenate(chunks))
        heard = np.empty((len(gates), self.count, self.width), np.float32)
        states = [state for state, _, _ in jobs]
        if len(jobs) == 1:
            self._hear_one(states[0], gates, heard)
        else:
            self._hear_many(states, np.array([len(each) for each in chunks]), gates, heard)
        scores = ((heard * self._out).sum(axis=2).sum(axis=1) / self.count).tolist()
        found = []
        for state, speech, _ in jobs:
            found.append(self._judge(state, speech, scores[: len(speech)]))
            del scores[: len(speech)]
        return found

    def _hear_one(self, state: JudgeState, gates: Floats, heard: Floats) -> None:
        hidden = state.hidden[None]
        for at in range(len(gates)):
            heard[at] = hidden = self._step(gates[at : at + 1], hidden)
        state.hidden[...] = hidden[0]

    def _hear_many(
        self,
        states: list[JudgeState],
        counts: npt.NDArray[np.int64],
        gates: Floats,
        heard: Floats,
    ) -> None:
        """Chunk by chunk, all streams that still have one together."""
        # Most chunks first, so that those are always the first so many.
        order = np.argsort(-counts, kind="stable")
        first = (np.cumsum(counts) - counts)[order]
        hidden = np.stack([states[stream].hidden for stream in order])
        for at in range(int(counts.max())):
            active = int((counts > at).sum())
            rows = first[:active] + at
            hidden[:active] = heard[rows] = self._step(gates[rows], hidden[:active])
        for row, stream in enumerate(order):
            states[stream].hidden[...] = hidden[row]

    def _gate_inputs(self, features: Floats) -> Floats:
        """(k, 420) -> (k, E, 3 W): the GRU's gates as far as they don't depend on its past."""
        count = (len(features), self.count)
        front = (features[:, None, None, None, :] @ self._front).reshape(*count, self.width)
        front += self._front_bias
        np.maximum(front, 0.0, out=front)
        blocks = front[:, :, None, None, :] @ self._inputs
        gates = np.asarray(blocks.reshape(*count, 3 * self.width), np.float32)
        gates += self._inputs_bias
        return gates

    def _step(self, inputs: Floats, hidden: Floats) -> Floats:
        """One chunk of n streams: (n, E, 3 W) and (n, E, W) -> (n, E, W). Gates: r, z, n."""
        width = self.width
        past = (hidden[:, :, None, None, :] @ self._hidden).reshape(inputs.shape)
        both = past[..., : 2 * width]
        both += inputs[..., : 2 * width]
        np.tanh(both, out=both)
        both *= 0.5
        both += 0.5
        new = past[..., 2 * width :]
        new += self._hidden_bias
        new *= both[..., :width]
        new += inputs[..., 2 * width :]
        np.tanh(new, out=new)
        moved: Floats = hidden - new
        moved *= both[..., width:]
        moved += new
        return moved

    def _judge(self, state: JudgeState, speech: Speech, scores: Sequence[float]) -> list[float]:
        """Scores to probabilities: 0.5 is the balanced operating point at any time."""
        found = []
        for probability, score in zip(speech.probabilities.tolist(), scores, strict=True):
            if state.noticed is None and probability >= NOTICED:
                state.noticed = state.heard
            if state.noticed is None:
                found.append(0.0)
            else:
                age = min(state.heard - state.noticed, len(self._limits) - 1)
                found.append(_sigmoid(self._slope * (score + self._out_bias - self._limits[age])))
            state.heard += 1
        return found


def _parts(rows: int, columns: int) -> int:
    """Into how many blocks of equally many columns a matrix is cut to stay small."""
    return next(
        n for n in range(1, columns + 1) if columns % n == 0 and rows * columns // n < _LARGEST
    )


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else 1 - 1 / (1 + math.exp(x))


def features_of(state: JudgeState, speech: Speech, samples: npt.NDArray[np.int16]) -> Floats:
    """(k, 420) for k chunks, (k, 512), that follow what ``state`` has heard; moves it on.

    ``state.heard`` stays: it is the judge's.
    """
    assert speech.activations is not None
    features = np.empty((len(speech), FEATURES), np.float32)
    features[:, :_SPECTRUM] = log_mel(samples, state.tail)
    if len(samples):
        state.tail = samples[-1, -OVERLAP:].astype(np.float32)
    features[:, _SPECTRUM:-_EXTRA] = speech.activations
    features[:, -4] = speech.probabilities
    # Sums of squares of int16 are exact, in whatever order.
    wide = samples.astype(np.float64)
    powers = np.einsum("ij,ij->i", wide, wide).tolist()
    loudest, heard = state.loudest, state.heard
    extra = []
    for power in powers:
        level = max(_QUIETEST, 10 * math.log10(power / _FULL_SCALE_POWER)) if power else _QUIETEST
        loudest = max(loudest, level)
        extra.append(
            (
                (level + 40) / 20,
                max(level - loudest, -40.0) / 20,
                min(heard, _LONGEST) / _LONGEST,
            )
        )
        heard += 1
    state.loudest = loudest
    features[:, -3:] = extra or np.empty((0, 3))
    return features


def _read(path: Traversable, advice: str) -> Network:
    try:
        raw = path.read_bytes()
        with np.load(BytesIO(raw), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        return Network(arrays, hashlib.sha256(raw).hexdigest())
    except FileNotFoundError as error:
        raise ModelError(f"the judge's weights aren't there: no file {path}; {advice}") from error
    except Exception as error:  # zipfile, zlib, json and NumPy have a dozen names for damage
        raise ModelError(f"the judge's weights can't be read: {path}: {error}; {advice}") from error
