"""Silero VAD v6: how likely is speech in each 32 ms of audio? Written in NumPy.

The network is that of the Python package ``silero-vad`` 6.2.3 (MIT; see ``weights/README.md``).
For each chunk of 32 ms, with the 4 ms before it and a mirrored tail of 4 ms::

    STFT, 4 frames -> magnitudes -> four convolutions -> LSTM cell (128) -> 1x1 -> sigmoid

Both sampling rates have weights of their own: at 16 kHz a chunk is 512 samples, at 8 kHz 256.

**Rounding.** What is computed for a chunk is the same to the last bit however chunks are grouped
into calls, and whatever other streams are in the batch, so no decision depends on how audio was
framed. That is so because every matrix product has a shape of its own that no number of chunks
changes: BLAS libraries sum in another order when the shape changes. It costs nothing: products
this small are computed by the calling thread, while larger ones wake BLAS's own threads, which burn
more in waiting than they save (a batch of 100 chunks took 44 ms of CPU on two cores so, not 4).
"""

from __future__ import annotations

import math
import threading
from typing import ClassVar

import attrs
import numpy as np
import numpy.typing as npt

from bargein.errors import FrameError, OptionError

from .silero_weights import BLOCKS, HIDDEN, Floats, Weights, read_weights

__all__ = ["ACTIVATIONS", "HIDDEN", "SAMPLE_RATES", "SileroVad", "VadState"]

# Rates in Hz that there are weights for.
SAMPLE_RATES = (16_000, 8_000)

# What is told of a chunk besides its probability: the LSTM's input and its output.
ACTIVATIONS = 2 * HIDDEN

# STFT frames in a chunk, at either rate.
_FRAMES = 4
# Full scale of int16: samples become floats in [-1, 1).
_FULL_SCALE = 32_768
# Chunks taken through the convolutions at once, a second of one stream's audio. More is no
# faster, and this bounds the memory that a long run needs besides its results to about 1 MB.
_PIECE = 32


@attrs.define(eq=False)
class VadState:
    """What the network remembers of n streams: one row of each array per stream.

    Float32, changed in place by :meth:`SileroVad.step` and :meth:`SileroVad.run`. A state belongs
    to one thread at a time. Of ``k`` streams kept in one state, :meth:`row` gives a single one.
    """

    h: Floats
    """(n, 128), the LSTM's output."""
    c: Floats
    """(n, 128), the LSTM's cell."""
    context: Floats
    """(n, 64) at 16 kHz, (n, 32) at 8 kHz: the newest samples, which precede the next chunk."""

    def __len__(self) -> int:
        return len(self.h)

    def row(self, i: int) -> VadState:
        """The i-th stream's state, as a view: what is done to it is done to this state."""
        rows = slice(i, i + 1) if i != -1 else slice(i, None)
        return VadState(self.h[rows], self.c[rows], self.context[rows])

    def copy(self) -> VadState:
        return VadState(self.h.copy(), self.c.copy(), self.context.copy())

    def reset(self) -> None:
        """Forget everything: as before a stream's first sample, preceded by silence."""
        for array in (self.h, self.c, self.context):
            array[...] = 0.0


class SileroVad:
    """The network for one sampling rate. Get it from :meth:`load`.

    Immutable, so one object serves all threads and streams without a lock; what changes is in
    the :class:`VadState` that the caller hands in.
    """

    _cache: ClassVar[dict[int, SileroVad]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, sample_rate: int, weights: Weights) -> None:
        self.sample_rate = sample_rate
        self.chunk = sample_rate * 32 // 1000
        """Samples in a chunk: 512 at 16 kHz, 256 at 8 kHz."""
        self._hop = self.chunk // _FRAMES
        self._context = self._hop // 2
        self._w = weights

    @classmethod
    def load(cls, sample_rate: int = 16_000) -> SileroVad:
        """The process's one network for this rate; reads the weights at the first call.

        Thread-safe. Takes about 20 ms at the first call.

        Raises:
            OptionError: no weights exist for this rate.
            ModelError: the file of weights is missing or damaged.
        """
        if sample_rate not in SAMPLE_RATES:
            raise OptionError(
                f"got a sample_rate of {sample_rate!r} Hz; the VAD knows 16000 and 8000: "
                "resample the audio to one of them"
            )
        with cls._lock:
            vad = cls._cache.get(sample_rate)
            if vad is None:
                vad = cls._cache[sample_rate] = cls(sample_rate, read_weights(sample_rate))
            return vad

    def new_state(self, n: int = 1) -> VadState:
        """The state of n streams that have heard nothing yet."""
        return VadState(
            h=np.zeros((n, HIDDEN), np.float32),
            c=np.zeros((n, HIDDEN), np.float32),
            context=np.zeros((n, self._context), np.float32),
        )

    def run(self, chunks: npt.NDArray[np.int16] | Floats, state: VadState) -> tuple[Floats, Floats]:
        """Judge k consecutive chunks of one stream.

        Args:
            chunks: (k, 512) at 16 kHz, (k, 256) at 8 kHz; int16, or float32 in [-1, 1].
            state: of that one stream; it is moved on in place.

        Returns:
            The probabilities of speech, float32 (k,), and the activations, float32 (k, 256): the
            LSTM's 128 inputs, then its 128 outputs. The same to the last bit however a stream's
            chunks are grouped into calls.

        Raises:
            FrameError: the array has another shape or type, or the state isn't one stream's.
        """
        self._check(chunks, state, streams=1)
        k = len(chunks)
        activations = np.empty((k, ACTIVATIONS), np.float32)
        for start in range(0, k, _PIECE):
            piece = slice(start, start + _PIECE)
            self._run_piece(chunks[piece], state, activations[piece])
        return self._probabilities(activations), activations

    def step(
        self, chunks: npt.NDArray[np.int16] | Floats, state: VadState
    ) -> tuple[Floats, Floats]:
        """Judge one chunk of each of n streams.

        Args:
            chunks: (n, 512) at 16 kHz, (n, 256) at 8 kHz; int16, or float32 in [-1, 1].
            state: of those n streams, row by row; it is moved on in place.

        Returns:
            As :meth:`run`, a row per stream, and bit by bit what :meth:`run` gives for it.

        Raises:
            FrameError: the array has another shape or type, or the state isn't of n streams.
        """
        n = len(chunks)
        self._check(chunks, state, streams=n)
        activations = np.empty((n, ACTIVATIONS), np.float32)
        for start in range(0, n, _PIECE):
            piece = slice(start, start + _PIECE)
            context, h = state.context[piece], state.h[piece]
            audio = self._join(chunks[piece], context)
            context[...] = audio[:, self.chunk : -self._context]
            encoded = self._encode(audio)
            cell = _Cell(self._w.lstm_hidden, h, state.c[piece])
            cell.step(self._gate_inputs(encoded))
            activations[piece, :HIDDEN] = encoded
            activations[piece, HIDDEN:] = h
        return self._probabilities(activations), activations

    __call__ = step

    def _check(self, chunks: npt.NDArray[np.generic], state: VadState, streams: int) -> None:
        if chunks.dtype not in (np.int16, np.float32):
            raise FrameError(f"got samples of type {chunks.dtype}; the VAD takes int16 or float32")
        if chunks.ndim != 2 or chunks.shape[1] != self.chunk:
            raise FrameError(
                f"got an array of shape {chunks.shape}; the VAD at {self.sample_rate} Hz takes "
                f"(n, {self.chunk}): cut the audio into whole chunks of 32 ms"
            )
        if len(state) != streams or state.context.shape[1] != self._context:
            raise FrameError(
                f"got a state of {len(state)} streams with {state.context.shape[1]} samples of "
                f"context; expected {streams} with {self._context}: make it with new_state()"
            )

    def _join(self, chunks: npt.NDArray[np.int16] | Floats, context: Floats) -> Floats:
        """(n, context + chunk + context) float32: the samples before a chunk, those of the
        chunk, and behind them the newest mirrored (at the last, which isn't repeated)."""
        start, end = self._context, self._context + self.chunk
        audio = np.empty((len(chunks), end + start), np.float32)
        audio[:, :start] = context
        if chunks.dtype == np.int16:
            np.multiply(chunks, np.float32(1 / _FULL_SCALE), out=audio[:, start:end])
        else:
            audio[:, start:end] = chunks
        audio[:, end:] = audio[:, end - 2 : end - 2 - start : -1]
        return audio

    def _run_piece(
        self, chunks: npt.NDArray[np.int16] | Floats, state: VadState, activations: Floats
    ) -> None:
        """Judge at most ``_PIECE`` consecutive chunks of one stream; fills ``activations``."""
        audio = self._join(chunks, state.context)
        if len(chunks) > 1:
            audio[1:, : self._context] = audio[:-1, self.chunk : -self._context]
        state.context[0] = audio[-1, self.chunk : -self._context]
        encoded = self._encode(audio)
        activations[:, :HIDDEN] = encoded
        cell = _Cell(self._w.lstm_hidden, state.h, state.c)
        for i, inputs in enumerate(self._gate_inputs(encoded)):
            cell.step(inputs)
            activations[i, HIDDEN:] = state.h[0]

    def _gate_inputs(self, encoded: Floats) -> Floats:
        """(n, 128) -> (n, 512): the part of the LSTM's gates that doesn't depend on its past."""
        gates = (encoded[:, None, None, :] @ self._w.lstm_input).reshape(-1, 4 * HIDDEN)
        gates += self._w.lstm_bias
        return gates

    def _probabilities(self, activations: Floats) -> Floats:
        scores = (np.maximum(activations[:, HIDDEN:], 0) * self._w.out).sum(axis=1)
        # math.exp, for np.exp may treat the last elements of an array in another way than the rest.
        bias = self._w.out_bias
        sigmoids = [1 / (1 + math.exp(-score - bias)) for score in scores.tolist()]
        return np.array(sigmoids, np.float32)

    def _encode(self, audio: Floats) -> Floats:
        """The STFT and the convolutions: what :meth:`_join` gives -> (n, 128).

        The products' left sides are filled by copies, never strided views: NumPy up to 2.2
        doesn't hand overlapping views to BLAS. Each is (n, m, k) @ (k, j): n products of one shape.
        """
        w, n = self._w, len(audio)
        x = _rectify(self._magnitude_columns(audio) @ w.conv1, w.conv1_bias)

        # Stride 2: the outputs lie at frames 0 and 2, and the first one's left tap in the padding.
        pairs = np.empty((n, 2, 3 * HIDDEN), np.float32)
        pairs[:, 0, :HIDDEN] = 0
        pairs[:, 0, HIDDEN:] = x[:, :2].reshape(n, -1)
        pairs[:, 1] = x[:, 1:].reshape(n, -1)
        x = _rectify(pairs @ w.conv2, w.conv2_bias)

        # Stride 2 again leaves one output, over the two frames there are; then one over itself.
        x = _rectify(x.reshape(n, 1, -1) @ w.conv3, w.conv3_bias)
        x = _rectify(x @ w.conv4, w.conv4_bias)
        return x.reshape(n, HIDDEN)

    def _magnitude_columns(self, audio: Floats) -> Floats:
        """(n, 4, 3 * bins): the magnitudes of each STFT frame between its neighbours'."""
        n, hop = len(audio), self._hop
        halves = audio.reshape(n, _FRAMES + 1, hop)
        frames = np.empty((n, _FRAMES, 2 * hop), np.float32)
        np.multiply(halves[:, :-1], self._w.window[:hop], out=frames[:, :, :hop])
        np.multiply(halves[:, 1:], self._w.window[hop:], out=frames[:, :, hop:])

        spectrum = np.fft.rfft(frames)
        parts = spectrum.view(np.float64 if spectrum.itemsize == 16 else np.float32)
        np.multiply(parts, parts, out=parts)
        power = parts[..., ::2] + parts[..., 1::2]
        bins = hop + 1
        columns = np.empty((n, _FRAMES, 3 * bins), np.float32)
        middle = columns[:, :, bins : 2 * bins]
        # NumPy 1 transforms in float64; the magnitudes are rounded to float32 just the same.
        np.sqrt(power, out=middle, casting="same_kind")
        columns[:, 0, :bins] = 0
        columns[:, 1:, :bins] = middle[:, :-1]
        columns[:, :-1, 2 * bins :] = middle[:, 1:]
        columns[:, -1, 2 * bins :] = 0
        return columns


class _Cell:
    """The LSTM's step for n streams. Changes their h and c (n, 128) in place."""

    def __init__(self, matrix: Floats, h: Floats, c: Floats) -> None:
        n = len(h)
        self._matrix, self._h, self._c = matrix, h, c
        self._hidden = h[:, None, None, :]
        self._gates = np.empty((n, 4 * HIDDEN), np.float32)
        self._blocks = self._gates.reshape(n, BLOCKS, 1, -1)
        self._sigmoids = self._gates[:, : 3 * HIDDEN]
        # In this order in the weights, so that the sigmoids lie together.
        self._i, self._f, self._o, self._g = (
            self._gates[:, j * HIDDEN : (j + 1) * HIDDEN] for j in range(4)
        )

    def step(self, inputs: Floats) -> None:
        """Take one chunk of each stream: ``inputs`` is (n, 512), or (512,) for one stream.

        sigmoid(x) = tanh(x / 2) / 2 + 1/2. The halving of x is in the weights (exact in binary),
        so that a single tanh serves all four gates.
        """
        gates, sigmoids, i, c, h = self._gates, self._sigmoids, self._i, self._c, self._h
        np.matmul(self._hidden, self._matrix, out=self._blocks)
        gates += inputs
        np.tanh(gates, out=gates)
        sigmoids *= 0.5
        sigmoids += 0.5
        c *= self._f
        i *= self._g
        c += i
        np.tanh(c, out=h)
        h *= self._o


def _rectify(x: Floats, bias: Floats) -> Floats:
    """ReLU(x + bias), in place."""
    x += bias
    return np.maximum(x, 0.0, out=x)
