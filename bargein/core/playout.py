"""The agent's playout, read off the agent's own audio: is the agent audible to the caller?

For recordings, and for whoever pushes the agent's audio and has no word from the player. It is a
level detector with a memory: an agent that pauses between two sentences still has the turn.
"""

from __future__ import annotations

import math

import attrs
import numpy as np
import numpy.typing as npt

from bargein.errors import OptionError

from .checks import number_in
from .inputs import AgentSpeechEnded, AgentSpeechStarted
from .tracker import Fallen, Sentinel
from .window import WINDOW_RATE

__all__ = ["Playout", "PlayoutOptions"]

_BLOCK = 160
"""Samples (10 ms) that are sound or silence as one: so exact is where an agent starts."""

_FULL_SCALE = 32_768.0
"""int16 at 0 dBFS."""

_PIECE = 200 * _BLOCK
"""Samples measured at a time (2 s), so that a long push needs little memory besides itself."""

_level = number_in(lambda v: -100 <= v <= 0, "dBFS from -100 to 0")


@attrs.frozen(kw_only=True)
class PlayoutOptions:
    """When the agent counts as audible. Immutable; levels in dBFS, durations in seconds.

    Raises :class:`~bargein.errors.OptionError` (a ``ValueError``) for a value outside its range.
    """

    start_level: float = attrs.field(default=-45.0, validator=_level)
    """The agent starts at sound of this level. Speech is played at -30 to -16 dBFS; a line's
    noise and a codec's comfort noise stay below -50."""

    stop_level: float = attrs.field(default=-50.0, validator=_level)
    """Sound below it is silence; at most ``start_level``."""

    min_sound: float = attrs.field(
        default=0.03, validator=number_in(lambda v: 0 < v <= 1, "seconds above 0, at most 1")
    )
    """Unbroken sound before the agent has started: the click of a player isn't speech."""

    min_silence: float = attrs.field(
        default=0.5, validator=number_in(lambda v: 0 < v <= 10, "seconds above 0, at most 10")
    )
    """Silence before the agent has ended. In recorded prompts a pause so long comes once in nine
    minutes (of 0.3 s: 3 a minute). Longer, and a caller who answers at once is taken for one who
    talks over the agent; a judge needs about as long to be sure, so here it isn't misled."""

    def __attrs_post_init__(self) -> None:
        if self.stop_level > self.start_level:
            raise OptionError(
                f"stop_level came as {self.stop_level!r}; expected at most start_level, which is "
                f"{self.start_level!r}"
            )


class Playout:
    """Turns the agent's audio into agent speech started and ended. Not thread-safe.

    Positions are samples on the caller's 16 kHz grid. What fell, falls at the end of the 10 ms in
    which it became certain: the start ``min_sound`` late, the end ``min_silence``.
    """

    def __init__(self, options: PlayoutOptions | None = None) -> None:
        self.options = options = options or PlayoutOptions()
        self._start_energy = _energy(options.start_level)
        self._stop_energy = _energy(options.stop_level)
        self._min_sound = max(1, round(options.min_sound * WINDOW_RATE / _BLOCK))
        self._min_silence = max(1, round(options.min_silence * WINDOW_RATE / _BLOCK))
        self._position: int | None = None
        self._begun: npt.NDArray[np.int16] = np.zeros(0, np.int16)
        """The audio of the block that isn't whole yet."""
        self._run = 0
        """Blocks that spoke in a row for the other state."""
        self.speaking = False
        """Whether the agent is audible."""

    @property
    def position(self) -> int | None:
        """Up to where the agent's audio is known; ``None`` before the first."""
        return self._position

    def push(self, samples: npt.NDArray[np.int16], position: int) -> list[Fallen]:
        """Take the agent's audio, int16 (n,), mono, 16 kHz, played from ``position`` on.

        What lies before what came already is passed over; what is left out counts as silence.
        """
        fallen = self.advance(position)
        assert self._position is not None
        return fallen + self._take(samples[self._position - position :])

    def advance(self, position: int) -> list[Fallen]:
        """Take that the agent's audio up to ``position``, where none came, is silence.

        For agents whose audio stops coming when they stop speaking.
        """
        if self._position is None:
            self._move(position)
        assert self._position is not None
        # Silence beyond this changes nothing any more.
        missing = position - self._position
        longest = (self._min_silence + 1) * _BLOCK
        fallen = self._take(np.zeros(min(max(missing, 0), longest), np.int16))
        if missing > longest:
            self._move(position)
        return fallen

    def _move(self, position: int) -> None:
        """Go on at ``position``, after silence. Blocks lie on the grid, whatever was pushed."""
        self._position = position
        self._begun = np.zeros(position % _BLOCK, np.int16)

    def _take(self, samples: npt.NDArray[np.int16]) -> list[Fallen]:
        fallen: list[Fallen] = []
        for begin in range(0, len(samples), _PIECE):
            fallen += self._measure(samples[begin : begin + _PIECE])
        return fallen

    def _measure(self, samples: npt.NDArray[np.int16]) -> list[Fallen]:
        assert self._position is not None
        first = self._position - len(self._begun)
        self._position += len(samples)
        joined = np.concatenate((self._begun, samples)) if len(self._begun) else samples
        whole = len(joined) - len(joined) % _BLOCK
        self._begun = joined[whole:].copy()  # the caller may use its array again
        blocks = joined[:whole].reshape(-1, _BLOCK).astype(np.float64)
        fallen: list[Fallen] = []
        for number, energy in enumerate(np.einsum("ij,ij->i", blocks, blocks).tolist(), 1):
            sentinel = self._judge(energy)
            if sentinel is not None:
                fallen.append(Fallen(first + number * _BLOCK, sentinel))
        return fallen

    def _judge(self, energy: float) -> Sentinel | None:
        """Take one block's sum of squares."""
        sound = energy >= (self._stop_energy if self.speaking else self._start_energy)
        self._run = 0 if sound is self.speaking else self._run + 1
        if self._run < (self._min_silence if self.speaking else self._min_sound):
            return None
        self._run = 0
        self.speaking = not self.speaking
        return AgentSpeechStarted() if self.speaking else AgentSpeechEnded()


def _energy(level: float) -> float:
    """Return the sum of squares of a block of int16 at a level in dBFS."""
    return _BLOCK * _FULL_SCALE**2 * math.pow(10, level / 10)
