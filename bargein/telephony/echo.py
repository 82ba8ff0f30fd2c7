"""An echo canceller: takes the agent's own voice out of what the caller's line brings.

On a telephone the agent hears itself: through the hybrid where two wires become four, or from the
caller's loudspeaker into the microphone. It comes back 20 to 250 ms later, coloured by the room,
often as loud as the caller. The core's level gate (:mod:`bargein.core.echo`) can't help above some
-14 dB; here the agent's audio is known, so its echo is predicted and subtracted.

:mod:`.echo_path` learns the echo's way, and tells how unsure it is of it. What may be left after
the subtraction a Wiener filter takes out here, by frequency. At a call's beginning, when nothing is
known of the path, that is all that can be echo, and only what stands out is let through. Where so
little is left of a stretch that it was nearly all echo, it is made silence: a voice detector finds
speech in scraps.

No clock and no threads: both sides come in step, sample by sample.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.core.checks import number_in
from bargein.errors import OptionError

from .echo_path import TINY, EchoPath

__all__ = ["RATES", "EchoCanceller", "EchoOptions"]

RATES = (8_000, 16_000)
"""Hz that it works at."""

_Int16 = npt.NDArray[np.int16]
_Real = npt.NDArray[Any]
_Complex = npt.NDArray[Any]

_POWER_MEMORY = 0.5
"""Of the powers that the Wiener filter compares: 2 blocks, so that it doesn't follow noise."""


@attrs.frozen(kw_only=True)
class EchoOptions:
    """How the agent's echo is kept out. Immutable; durations in seconds.

    Raises :class:`~bargein.errors.OptionError` (a ``ValueError``) for a value outside its range.
    """

    reach: float = attrs.field(
        default=0.384, validator=number_in(lambda v: 0.05 <= v <= 1, "seconds from 0.05 to 1")
    )
    """The longest delay, and the room's answer behind it: 0.2 s of network and 0.18 of room. An
    echo that is later than that is heard. Longer costs time in proportion, and soft callers are
    let through later at a call's beginning."""

    prior: float = attrs.field(
        default=15.0, validator=number_in(lambda v: -20 <= v <= 30, "dB from -20 to 30")
    )
    """How loud the echo is taken to be before anything is known of it, in dB over the agent and
    spread evenly over ``reach``. An echo as loud as the agent, all at one delay, is 14 dB above its
    share of that. Less lets the first words of a loud echo through."""

    suppression: float = attrs.field(
        default=2.5, validator=number_in(lambda v: 0 <= v <= 20, "from 0 to 20")
    )
    """By how many times the echo that may be left is overestimated where it is taken out. 1 is
    what the theory says; speech isn't the noise of theory, and with 1.5 one call in eight takes
    an echo at 0 dB for speech. More makes callers thinner, and what they want harder to tell."""

    mute: float = attrs.field(
        default=0.2, validator=number_in(lambda v: 0 <= v <= 1, "a share from 0 to 1")
    )
    """Where less than this share of the power is left, nothing is. 0 mutes nothing."""

    hold: float = attrs.field(
        default=0.288, validator=number_in(lambda v: 0 <= v <= 2, "seconds from 0 to 2")
    )
    """Nothing is muted so long after a stretch that wasn't: between its vowels speech is soft."""


class EchoCanceller:
    """Takes one call's echo out. Not thread-safe.

    Args:
        sample_rate: of both sides; 8000 or 16000 Hz.
        options: see `EchoOptions`.

    Raises :class:`~bargein.errors.OptionError` for another rate.
    """

    def __init__(self, sample_rate: int, options: EchoOptions | None = None) -> None:
        if sample_rate not in RATES:
            raise OptionError(
                f"an echo canceller came at {sample_rate!r} Hz; it works at 8000 and 16000"
            )
        self.sample_rate = sample_rate
        self.options = options or EchoOptions()
        self.reset()

    def reset(self) -> None:
        """Forget everything: a new call."""
        options = self.options
        self._path = EchoPath(self.sample_rate, options.reach, options.prior)
        self.block = size = self._path.block
        """Samples learnt from at a time."""
        self._hold = round(options.hold * self.sample_rate / size)
        # The square root of a Hann window twice: what goes out sums to what came in.
        self._window = np.sqrt(0.5 - 0.5 * np.cos(np.pi * np.arange(2 * size) / size))
        self._caller = np.zeros(0, np.float64)
        self._agent = np.zeros(0, np.float64)
        self._begun = False
        self._previous = np.zeros(size)
        self._tail = np.zeros(size)
        self._open_until = -1
        self._number = 0
        self._share = 1.0
        self._quiet = self._path.count + 1
        """Blocks since the agent was last heard."""
        self._forget()

    def _forget(self) -> None:
        bins = self.block + 1
        self._left: _Real = np.zeros(bins)
        """The power of the echo that may be left, held for some blocks."""
        self._heard: _Real = np.zeros(bins)
        """The smoothed power of what is left."""

    # --- both sides come in -----------------------------------------------------------------

    def process(self, caller: _Int16, agent: _Int16) -> _Int16:
        """Take both sides, int16 (n,), in step; return the caller without the echo.

        What comes back is the caller's audio from the first sample on, up to 32 ms later: some
        calls return less than they were given, or more. The result doesn't depend on how the
        audio was cut into calls.
        """
        self._caller = np.concatenate((self._caller, caller / 32_768))
        self._agent = np.concatenate((self._agent, agent / 32_768))
        size, whole = self.block, len(self._caller) // self.block * self.block
        done = [
            self._take(self._caller[at : at + size], self._agent[at : at + size])
            for at in range(0, whole, size)
        ]
        self._caller, self._agent = self._caller[whole:], self._agent[whole:]
        if done and not self._begun:  # the first block comes out with the second
            self._begun = True
            done = done[1:]
        if not done:
            return np.zeros(0, np.int16)
        samples = np.rint(np.concatenate(done) * 32_768)
        return np.asarray(np.clip(samples, -32_768, 32_767), np.int16)

    def moved(self) -> None:
        """Note that the agent's audio begins anew, so that its delay may be another by some ms.

        What is known of the echo's loudness is kept; that of its phase is doubted.
        """
        self._path.moved()

    def _take(self, caller: _Real, agent: _Real) -> _Real:
        """Take one block of each; return the block before it, without the echo."""
        self._number += 1
        self._quiet = 0 if agent.any() else self._quiet + 1
        if self._quiet > self._path.count + 1:
            return self._pass(caller)
        left, changed = self._path.subtract(caller, agent, self._number)
        if changed:
            self._forget()
        return self._clean(left)

    def _pass(self, caller: _Real) -> _Real:
        """Nothing of the agent is on its way: there is nothing to take out, nor to learn."""
        before = self._tail + self._previous * np.square(self._window[: self.block])
        self._previous = caller
        self._tail = caller * np.square(self._window[self.block :])
        return before

    # --- what is left -----------------------------------------------------------------------

    def _clean(self, error: _Real) -> _Real:
        """Take out, by frequency, what may still be echo; return the block before."""
        size, options = self.block, self.options
        spectrum = np.fft.rfft(np.concatenate((self._previous, error)) * self._window)
        self._previous = error
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        # A window of root Hann has half the power of none, like the half of two blocks.
        self._left = np.maximum(self._path.unsure, _POWER_MEMORY * self._left)
        self._heard = _POWER_MEMORY * self._heard + (1 - _POWER_MEMORY) * power
        return self._output(spectrum, power, options, size)

    def _output(self, spectrum: _Complex, power: _Real, options: EchoOptions, size: int) -> _Real:
        gains = np.clip(1.0 - options.suppression * self._left / (self._heard + TINY), _FLOOR, 1.0)
        share = float(power @ np.square(gains)) / (float(power.sum()) + TINY)
        if 0.5 * (share + self._share) >= options.mute:
            self._open_until = self._number + self._hold
        self._share = share
        cleaned = np.fft.irfft(spectrum * gains) * self._window
        if self._number > self._open_until:
            cleaned[:] = 0.0
        done = self._tail + cleaned[:size]
        self._tail = cleaned[size:]
        return done


_FLOOR = 0.03
"""The least that a frequency is turned down to, -30 dB: less sounds no different."""
