"""The speech track: what a stream knows about speech, chunk by chunk of its 16 kHz grid.

A stream has one :class:`SpeechTrack`. Its overlap tracker and its judge both read it, so no chunk
goes through the network twice. Chunk i covers the samples [512 i, 512 (i + 1)) of the stream,
counted at 16 kHz from its start: 32 ms each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.errors import FrameError, OptionError
from bargein.vad.silero import ACTIVATIONS, SileroVad, VadState

__all__ = ["CHUNK", "SAMPLE_RATE", "Gate", "Speech", "SpeechTrack"]

# The grid's rate in Hz, at which windows are sent to every backend.
SAMPLE_RATE = 16_000
# Samples in a chunk: what the network takes at 16 kHz, 32 ms.
CHUNK = 512

# Chunks taken at once from a long piece of audio (2 s): bounds the memory that it needs.
_PIECE = 64
# Mean square of full scale, the reference of a level: a square wave from rail to rail has 0 dBFS.
_FULL_SCALE_POWER = 32_768.0**2

Gate = Callable[[int, float], bool]
"""``gate(index, level)``: may chunk ``index``, whose RMS level is ``level`` dBFS, hold speech of
the caller's? The level is ``-inf`` for digital silence."""


def _fix(value: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """As a float32 array that nobody can write to; a writable one is copied."""
    array = np.asarray(value, np.float32)
    if array.flags.writeable:
        array = array.copy()
        array.setflags(write=False)
    return array


def _compared() -> Any:
    return attrs.cmp_using(eq=np.array_equal)


@attrs.frozen
class Speech:
    """What is known of speech in k consecutive chunks. It travels with a window.

    Immutable, so any thread may read it.
    """

    first: int
    """The first chunk's index: chunk i covers the samples [512 i, 512 (i + 1)) at 16 kHz."""
    probabilities: npt.NDArray[np.float32] = attrs.field(converter=_fix, eq=_compared())
    """Of speech, (k,); 0 where the echo gate was shut."""
    activations: npt.NDArray[np.float32] | None = attrs.field(
        default=None, converter=attrs.converters.optional(_fix), eq=_compared()
    )
    """The network's, (k, 256): before the LSTM and after it; zeros where the echo gate was shut.
    ``None`` where they weren't kept."""

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def start(self) -> int:
        """The first sample covered, at 16 kHz."""
        return self.first * CHUNK

    @property
    def end(self) -> int:
        """One past the last sample covered, at 16 kHz."""
        return (self.first + len(self)) * CHUNK


class SpeechTrack:
    """The newest seconds of one stream's speech. Not thread-safe: it belongs to the stream.

    Nothing is loaded or allocated before the first :meth:`feed`. Then it holds 161 kB with
    activations (as they come), 2 kB without.

    Args:
        vad: the network; by default the process's one for 16 kHz, loaded at the first feed.
        seconds: how far back :meth:`read` can look, > 0.
        activations: whether to keep the network's activations. A judge that looks at
            probabilities alone doesn't need them.
    """

    def __init__(
        self, vad: SileroVad | None = None, *, seconds: float = 5.0, activations: bool = True
    ) -> None:
        if not seconds > 0:
            raise OptionError(f"got seconds={seconds!r}; a track must keep more than 0 s of speech")
        if vad is not None and vad.sample_rate != SAMPLE_RATE:
            raise OptionError(
                f"got a VAD for {vad.sample_rate} Hz; the track's grid is at 16000: "
                "use SileroVad.load(16000)"
            )
        self._vad = vad
        self._state: VadState | None = None
        # One more than fits, for the range that is read needn't begin where a chunk does.
        self._capacity = math.ceil(seconds * SAMPLE_RATE / CHUNK) + 1
        self._keep_activations = activations
        self.reset()

    def reset(self) -> None:
        """Forget everything, and free what it took: the next feed begins anew."""
        self._probabilities: npt.NDArray[np.float32] | None = None
        self._activations: npt.NDArray[np.float32] | None = None
        self._position: int | None = None
        self._first = self._next = 0
        self._tail = np.empty(0, np.int16)  # the samples so far of chunk _next
        if self._state is not None:
            self._state.reset()

    @property
    def position(self) -> int | None:
        """One past the newest sample fed, at 16 kHz; ``None`` before the first."""
        return self._position

    @property
    def known(self) -> range:
        """The indexes of the chunks that :meth:`read` can give."""
        return range(self._first, self._next)

    def feed(
        self, position: int, samples: npt.NDArray[np.int16], gate: Gate | None = None
    ) -> Speech:
        """Take audio, and judge each chunk that it completes.

        Audio follows on what was fed before. Where it **overlaps** that (windows do), the part
        that is known already is passed over. Where it begins **further on**, the track starts
        anew: what was known is forgotten, the network's state is reset, and the first chunk, if
        it begins in mid-chunk, is judged as if zeros came before. What is judged depends on the
        audio and such jumps alone, to the last bit, never on how the audio was cut into calls.

        Args:
            position: of the first sample, at 16 kHz, on the stream's grid.
            samples: int16 (n,), final: a resampler's provisional tail doesn't belong here.
            gate: asked once for each new chunk, in order. Where it says no, the chunk is recorded
                as silence (probability and activations 0). The network hears it all the same:
                after a shut gate, a state that followed the true audio noticed the caller 15 ms
                sooner on average than one that had heard zeros, and false alarms were as few
                (189 simulated calls, echo at -20 dB).

        Returns:
            The new chunks (none, one or several), without their activations.

        Raises:
            FrameError: the samples aren't a one-dimensional int16 array.
            ModelError: the VAD's weights are missing or damaged.
        """
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise FrameError(
                f"got {samples.dtype} samples of shape {samples.shape}; the speech track takes "
                "int16 of shape (n,)"
            )
        if self._vad is None:  # before anything changes, for this may fail
            self._vad = SileroVad.load(SAMPLE_RATE)
        if self._position is not None and position < self._position:
            samples = samples[self._position - position :]
            position = self._position
        if len(samples) and position != self._position:
            self.reset()
            self._first = self._next = position // CHUNK
            self._tail = np.zeros(position % CHUNK, np.int16)
            self._position = position
        chunks = self._complete(samples)
        first, found = self._next, np.empty(len(chunks), np.float32)
        for start in range(0, len(chunks), _PIECE):
            piece = slice(start, start + _PIECE)
            found[piece] = self._judge(chunks[piece], gate)
        found.setflags(write=False)
        return Speech(first, found)

    def read(self, start: int, end: int) -> Speech:
        """What is known of the chunks that lie in [start, end), samples at 16 kHz.

        A chunk that only reaches into the range isn't in it. Where nothing is known the answer
        is empty; it never has holes.
        """
        first = max(-(-start // CHUNK), self._first)
        last = min(end // CHUNK, self._next)
        if self._probabilities is None or last <= first:
            return Speech(first, np.empty(0, np.float32))
        slots = np.arange(first, last) % self._capacity
        probabilities = self._probabilities[slots]
        probabilities.setflags(write=False)
        if self._activations is None:
            return Speech(first, probabilities)
        activations = self._activations[slots]
        activations.setflags(write=False)
        return Speech(first, probabilities, activations)

    def _complete(self, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """The whole chunks that the tail and these samples make, (k, 512); keeps the rest."""
        if self._position is None:  # nothing was fed, not even now
            return np.empty((0, CHUNK), np.int16)
        self._position += len(samples)
        if len(self._tail):
            samples = np.concatenate([self._tail, samples])
        whole = len(samples) // CHUNK * CHUNK
        self._tail = samples[whole:].copy()  # a view would keep the caller's array alive
        return samples[:whole].reshape(-1, CHUNK)

    def _judge(self, chunks: npt.NDArray[np.int16], gate: Gate | None) -> npt.NDArray[np.float32]:
        """Judge and record at most ``_PIECE`` new chunks; gives their probabilities."""
        assert self._vad is not None
        if self._state is None:
            self._state = self._vad.new_state()
        probabilities, activations = self._vad.run(chunks, self._state)
        if gate is not None:
            levels = _levels(chunks)
            shut = [not gate(self._next + i, level) for i, level in enumerate(levels)]
            probabilities[shut] = 0.0
            activations[shut] = 0.0
        self._store(probabilities, activations)
        return probabilities

    def _store(
        self, probabilities: npt.NDArray[np.float32], activations: npt.NDArray[np.float32]
    ) -> None:
        if self._probabilities is None:
            self._probabilities = np.empty(self._capacity, np.float32)
            if self._keep_activations:
                self._activations = np.empty((self._capacity, ACTIVATIONS), np.float32)
        count = len(probabilities)
        kept = min(count, self._capacity)  # of more than fits, the newest
        self._next += count
        slots = np.arange(self._next - kept, self._next) % self._capacity
        self._probabilities[slots] = probabilities[count - kept :]
        if self._activations is not None:
            self._activations[slots] = activations[count - kept :]
        self._first = max(self._first, self._next - self._capacity)


def _levels(chunks: npt.NDArray[np.int16]) -> list[float]:
    """The RMS level of each chunk (k, 512), in dBFS."""
    # Sums of squares of int16 stay below 2**53, so they are exact in any order.
    powers = np.square(chunks, dtype=np.float64).mean(axis=1) / _FULL_SCALE_POWER
    return [10 * math.log10(power) if power else -math.inf for power in powers.tolist()]
