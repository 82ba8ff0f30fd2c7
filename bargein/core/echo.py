"""The echo gate: is it the caller who is heard, or the agent's own voice coming back?

The agent's audio leaks into the caller's line: from the loudspeaker of a phone into its microphone,
or through a hybrid in the network. A voice activity detector hears speech in it, and would report
that the caller talks over the agent before the caller has said a word.

The gate compares levels. An echo comes back weaker than it went out, so a chunk of the caller's
audio that is much quieter than what the agent said in the last moments may be nothing but echo.
There the gate is *shut*, and the chunk counts as silence for tracker and judge alike.

It holds no clock: positions are samples on the stream's 16 kHz grid, and it answers for the chunks
of 512 samples in which the VAD judges.
"""

from __future__ import annotations

import math
from collections import deque

import attrs
import numpy as np
import numpy.typing as npt

from bargein.vad.track import CHUNK

from .checks import number_in
from .window import WINDOW_RATE

__all__ = ["EchoGate", "EchoGateOptions"]

_FULL_SCALE = CHUNK * 32_768.0**2
"""The energy of a chunk at 0 dBFS (a square wave from rail to rail, as in the speech track)."""

_SILENCE = -100.0
"""dBFS. Digital silence; the last bit of int16 in every sample would be -90."""

_LOUDEST_NOISE = -45.0
"""dBFS. Noise above it isn't told from speech by its steadiness: without a limit, a caller who
talks from the first moment on would be taken for noise."""

_NOISE_MEMORY = 48
"""Chunks (1.5 s) whose quietest is the noise: longer than people talk without a pause for breath
or a consonant, shorter than it takes a call to change its surroundings."""

_MOST_CHUNKS = 2_048
"""Chunks (65 s) of the agent's audio remembered: a whole prompt may be pushed at once, and it may
play before the VAD listens. Beyond that the oldest are forgotten. 0.2 MB when full."""

_PIECE = 64 * CHUNK
"""Samples measured at a time (2 s), so that a long push needs little memory besides itself."""


@attrs.frozen(kw_only=True)
class EchoGateOptions:
    """When the caller's audio may be nothing but echo. Immutable; levels in dB, durations in s.

    Raises :class:`~bargein.errors.OptionError` (a ``ValueError``) for a value outside its range.
    """

    return_loss: float = attrs.field(
        default=14.0, validator=number_in(lambda v: 0 <= v <= 60, "dB from 0 to 60")
    )
    """Shut where the caller is more than so many dB below the agent's loudest recent chunk. A
    chunk of echo can straddle two of the agent's and be 3 dB above both, so plain echo at -20 dB
    needs 17 or less; a room, which favours some pitches, needs the rest. Less shuts out louder
    echo, and quieter callers."""

    reach: float = attrs.field(
        default=0.32, validator=number_in(lambda v: 0 < v <= 2, "seconds above 0, at most 2")
    )
    """How far back the agent's chunks count: the echo's longest delay and two chunks."""

    decay: float = attrs.field(
        default=30.0, validator=number_in(lambda v: v > 0, "dB per second, above 0")
    )
    """How fast what was loud before that is forgotten, in dB per second. The echo of a room rings
    on, and so does a VAD, for some 0.2 s; forgotten at once, its end would be let through."""

    hold: float = attrs.field(
        default=0.3, validator=number_in(lambda v: 0 <= v <= 2, "seconds from 0 to 2")
    )
    """The gate stays open so long after a chunk that was loud enough, for between its vowels
    speech is 20 dB quieter: without this, more than half of all half seconds of it are broken up.
    Longer, and more of the agent is heard after each cough."""

    noise_margin: float = attrs.field(
        default=9.0, validator=number_in(lambda v: 0 <= v <= 30, "dB from 0 to 30")
    )
    """A chunk is loud enough only so far above the line's noise, the quietest chunk of the last
    1.5 s. Else hiss would hold the gate open when the agent begins, and let the echo in."""

    floor: float = attrs.field(
        default=-60.0, validator=number_in(lambda v: -100 <= v <= 0, "dBFS from -100 to 0")
    )
    """Quieter than this, neither the agent is loud enough to be heard back, nor the caller to
    hold the gate open."""


class EchoGate:
    """Tells, chunk by chunk, whether the caller's audio may hold speech of the caller's.

    Give it the agent's audio as it is played, with its position on the caller's timeline, then
    ask for the caller's chunks in order: a gate is a function ``gate(index, level)`` as the speech
    track takes one. Where the agent is silent or unknown the gate is open. Not thread-safe.
    """

    def __init__(self, options: EchoGateOptions | None = None) -> None:
        self.options = options = options or EchoGateOptions()
        self._reach = max(1, round(options.reach * WINDOW_RATE / CHUNK))
        self._decay = options.decay * CHUNK / WINDOW_RATE
        self._hold = round(options.hold * WINDOW_RATE / CHUNK)
        self.reset()

    def reset(self) -> None:
        """Forget both sides of the call."""
        self._agent: dict[int, float] = {}
        """The energy of the agent's chunks, by index: those within reach, and those ahead."""
        self._loudest = _SILENCE
        self._index = -1
        """The newest chunk that was asked for."""
        self._open_until = -1
        """The last chunk for which the gate is held open."""
        self._quiet: deque[tuple[int, float]] = deque()
        """The caller's chunks that are quieter than all after them: index and level."""

    def push(self, samples: npt.NDArray[np.int16], position: int) -> None:
        """Take the agent's audio: int16 (n,), mono, 16 kHz.

        ``position`` is where on the caller's timeline its first sample is played. Frames may be
        of any length and lie ahead of the caller's audio. What comes later than the caller's
        chunk at its place still counts for the chunks after. Two pushes for one place add up.
        """
        for begin in range(0, len(samples), _PIECE):
            self._measure(samples[begin : begin + _PIECE], position + begin)
        while len(self._agent) > _MOST_CHUNKS:
            del self._agent[next(iter(self._agent))]

    def __call__(self, index: int, level: float) -> bool:
        """Return whether the gate is open for a chunk of the caller's.

        ``index`` is the chunk's on the 16 kHz grid, greater than at the call before; ``level``
        its RMS level in dBFS, ``-inf`` for digital silence. The answer counts as given, for it
        decides how long the gate is held open.
        """
        options = self.options
        loudest = self._loudest_until(index)
        level = max(level, _SILENCE)
        enough = max(loudest - options.return_loss, self._noise(index, level), options.floor)
        if level >= enough:
            self._open_until = index + self._hold
        return index <= self._open_until or loudest < options.floor

    def _measure(self, samples: npt.NDArray[np.int16], position: int) -> None:
        agent, past = self._agent, self._index - self._reach + 1
        loud = samples.astype(np.float64)  # squares of int16 add up exactly in it, in any order
        begin = 0
        while begin < len(loud):
            index = (position + begin) // CHUNK
            part = loud[begin : (index + 1) * CHUNK - position]
            begin += len(part)
            if index > past:
                agent[index] = agent.get(index, 0.0) + float(part @ part)

    def _loudest_until(self, index: int) -> float:
        """Return what the caller's chunk is held against, in dBFS, and forget what is past."""
        agent, begin = self._agent, index - self._reach + 1
        step = index - self._index
        loudest = max(self._loudest - self._decay * step, _SILENCE)
        # At a step of more than one, some may pass out of reach without ever having been in it.
        for past in [begin - 1] if step == 1 else [i for i in agent if i < begin]:
            loudest = max(loudest, _level(agent.pop(past, 0.0)) - self._decay * (begin - past))
        energy = max(agent.get(i, 0.0) for i in range(begin, index + 1))
        self._loudest, self._index = max(loudest, _level(energy)), index
        return self._loudest

    def _noise(self, index: int, level: float) -> float:
        """Return the level that stands out from the line's noise, in dBFS."""
        quiet = self._quiet
        while quiet and quiet[-1][1] >= level:
            quiet.pop()
        quiet.append((index, level))
        while quiet[0][0] <= index - _NOISE_MEMORY:
            quiet.popleft()
        return min(quiet[0][1], _LOUDEST_NOISE) + self.options.noise_margin


def _level(energy: float) -> float:
    """Return the level in dBFS of a chunk with this sum of squares."""
    return 10 * math.log10(energy / _FULL_SCALE) if energy > 0.0 else _SILENCE
