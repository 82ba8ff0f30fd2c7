"""An echo canceller: takes the agent's own voice out of what the caller's line brings.

On a telephone the agent hears itself: through the hybrid where two wires become four, or from the
caller's loudspeaker into the microphone. It comes back 20 to 250 ms later, coloured by the room,
often as loud as the caller. The core's level gate (:mod:`bargein.core.echo`) can't help above some
-14 dB; here the agent's audio is known, so its echo is predicted and subtracted.

It is a frequency-domain Kalman filter in partitioned blocks (G. Enzner, P. Vary, "Frequency-domain
adaptive Kalman filter for acoustic echo control in hands-free telephones", Signal Processing 86,
2006; partitioned by F. Kuech, E. Mabande and G. Enzner, ICASSP 2014). Beside the echo's path it
keeps how unsure it is of it, by frequency and delay. From that follow the step with which it
learns, small while the caller talks, and how much echo is left, which a Wiener filter takes out.

At a call's beginning nothing is known of the path: the filter then takes all that can be echo for
echo, of any delay and loudness, and lets through what stands out. Where so little is left of a
stretch that it was nearly all echo, it is made silence: a voice detector finds speech in scraps.

No clock and no threads: both sides come in step, sample by sample.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.core.checks import number_in
from bargein.errors import OptionError

__all__ = ["RATES", "EchoCanceller", "EchoOptions"]

RATES = (8_000, 16_000)
"""Hz that it works at."""

_Int16 = npt.NDArray[np.int16]
_Real = npt.NDArray[Any]
_Complex = npt.NDArray[Any]

_BLOCK = 0.016
"""Seconds learnt from at a time. Shorter learns faster and costs more; a verdict is up to two
blocks late."""

_FORGETTING = 0.998**2
"""How much of what is known of the path holds from block to block (the square of the state's
transition): half of it in 2.8 s, for callers turn their heads."""

_NEAR_END_MEMORY = 0.9
"""Of the near end's power from block to block: 0.15 s, about a syllable."""

_POWER_MEMORY = 0.5
"""Of the powers that the Wiener filter compares: 2 blocks, so that it doesn't follow noise."""

_AGREEMENT = 0.3
"""A coherence between what is left and the agent, at any one delay, that says that the path has
changed: what is left of a known one agrees with the agent by under 0.1, and so does a caller."""

_AGREED = 0.95
"""Of that coherence's averages from block to block: over a third of a second."""

_MISLED_MEMORY = 0.6
"""Of the powers by which a wrong prediction is noticed: within 2 or 3 blocks."""

_MISLED = 1.25
"""What is left, of the caller's audio, from which on the prediction does harm; 2 for an echo at
another delay, under 1 for a caller over an echo that is known."""

_MISLED_SHARE = 0.3
"""The least of the caller's audio that is predicted then. Less does little harm."""

_ECHO_MEMORY = 0.9
"""Of the predicted echo's power from block to block: the one that comes may be 0.1 s late."""

_ROOM = 0.184
"""Seconds of the reach that are for the room's answer; the rest is for the delay."""

_AUDIBLE = 1e-5
"""The agent's power, -50 dBFS, from which on its echo is worth measuring."""

_LEAST = 1e-4
"""The softest echo that is told from none: -40 dB."""

_RISE = 1.002
"""By how much the echo may have grown, each block: 0.5 dB a second."""

_NOVICE = 3.0
"""Seconds of the agent's voice in which the path is learnt with all care."""

_ROUNDS = 4
"""Blocks in which each delay's filter is cut to its block once."""

_TINY = 1e-10
"""Power of a sample: what silence is taken to have, -100 dBFS."""


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
        self.options = options = options or EchoOptions()
        self.block = size = round(_BLOCK * sample_rate)
        """Samples learnt from at a time."""
        self._count = round(options.reach * sample_rate / size)
        self._hold = round(options.hold * sample_rate / size)
        # The square root of a Hann window twice: what goes out sums to what came in.
        self._window = np.sqrt(0.5 - 0.5 * np.cos(np.pi * np.arange(2 * size) / size))
        self._novice = round(_NOVICE * sample_rate / size)
        self.reset()

    def reset(self) -> None:
        """Forget everything: a new call."""
        self._caller = np.zeros(0, np.float64)
        self._agent = np.zeros(0, np.float64)
        self._begun = False
        self._previous = np.zeros(self.block)
        self._tail = np.zeros(self.block)
        self._open_until = -1
        self._number = 0
        self._share = 1.0
        delay = max(self.options.reach - _ROOM, 0.0)
        self._levels = np.zeros((2, self._count + round(delay / _BLOCK) + 1))
        """Of both sides' newest blocks: the sums of squares."""
        self._loudness = 1.0
        """How loud the echo is at most, of the agent's power."""
        self._quiet = self._count + 1
        """Blocks since the agent was last heard."""
        self._forget_path()

    def _forget_path(self) -> None:
        bins = self.block + 1
        self._spectra: _Complex = np.zeros((self._count, bins), np.complex64)
        """Of the agent's newest blocks, newest first."""
        self._path: _Complex = np.zeros((self._count, bins), np.complex64)
        prior = 10 ** (self.options.prior / 10) / self._count
        self._doubt: _Real = np.full((self._count, bins), prior, np.float32)
        """The variance of the path's error, by delay and frequency."""
        self._near: _Real = np.full(bins, _TINY * self.block, np.float32)
        """The power of what isn't echo."""
        self._unsure: _Real = np.zeros(bins)
        """The power of the echo that may be left in the newest block."""
        self._left: _Real = np.zeros(bins)
        """The same, held for some blocks."""
        self._heard: _Real = np.zeros(bins)
        """The smoothed power of what is left."""
        self._learnt = 0
        """Blocks that were learnt from."""
        self._powers = np.zeros(3)
        """Of the caller's audio, the echo predicted in it, and what is left; smoothed."""
        self._echo: _Real = np.zeros(bins)
        """The power of the predicted echo, held for some blocks: of two blocks, so twice that of
        the one that it is predicted in."""
        self._newest = np.zeros(2 * self.block)
        self._cross: _Complex = np.zeros((self._count, bins), np.complex64)
        """What is left times the agent, smoothed: where they agree, the path is wrong."""
        self._agents: _Real = np.zeros((self._count, bins), np.float32)
        self._errors: _Real = np.zeros(bins, np.float32)

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
        power = np.square(np.abs(self._path))
        power = np.apply_along_axis(lambda p: np.convolve(p, (0.5, 1.0, 0.5), "same"), 0, power)
        self._doubt += power.astype(np.float32)
        self._learnt = 0

    def _take(self, caller: _Real, agent: _Real) -> _Real:
        """Take one block of each; return the block before it, without the echo."""
        self._number += 1
        self._quiet = 0 if agent.any() else self._quiet + 1
        if self._quiet > self._count + 1:
            return self._pass(caller)
        error = self._cancel(caller, agent)
        return self._clean(error)

    def _pass(self, caller: _Real) -> _Real:
        """Nothing of the agent is on its way: there is nothing to take out, nor to learn."""
        before = self._tail + self._previous * np.square(self._window[: self.block])
        self._previous = caller
        self._tail = caller * np.square(self._window[self.block :])
        return before

    # --- the filter -------------------------------------------------------------------------

    def _cancel(self, caller: _Real, agent: _Real) -> _Real:
        """Subtract the echo as far as it is known, and learn from what is left."""
        size = self.block
        self._newest = np.concatenate((self._newest[size:], agent))
        spectra = self._spectra
        spectra[1:] = spectra[:-1].copy()
        spectra[0] = np.fft.rfft(self._newest)
        predicted = np.einsum("pf,pf->f", spectra, self._path)
        echo = np.fft.irfft(predicted)[size:]
        error = caller - echo
        self._weigh(caller, agent)
        self._echo = np.maximum(_ECHO_MEMORY * self._echo, np.square(np.abs(predicted)))
        misled = self._misled(caller, echo, error)
        if self._changed():
            spectra, newest = self._spectra, self._newest
            self._forget_path()
            self._spectra, self._newest, error = spectra, newest, caller
        self._learn(error)
        if misled:  # what is predicted is about right, but for its time
            self._unsure = self._unsure + self._echo
            return caller
        # Before it knows better, a guess may be louder than what it is taken from.
        return error * min(1.0, math.sqrt((caller @ caller) / (error @ error + _TINY)))

    def _weigh(self, caller: _Real, agent: _Real) -> None:
        """Find out how loud the echo is at most: no louder than the caller's line.

        Both sides are compared over the reach. The agent's is taken where it was softest within
        the longest delay, or an echo that is late would seem soft when the agent begins, and one
        that is early when it ends.
        """
        self._levels = np.roll(self._levels, -1, axis=1)
        self._levels[:, -1] = caller @ caller, agent @ agent
        sums = np.cumsum(self._levels, axis=1)
        spans = sums[:, self._count :] - sums[:, : -self._count]
        softest = float(spans[1].min())
        if softest < _AUDIBLE * self.block * self._count:
            return
        self._loudness = min(self._loudness * _RISE, max(float(spans[0, -1]) / softest, _LEAST))
        most = self._loudness * 10 ** (self.options.prior / 10)
        doubt = np.einsum("pf->f", self._doubt)
        if (doubt > most).any():
            self._doubt *= np.minimum(1.0, most / (doubt + _TINY)).astype(np.float32)
            power = np.square(self._path.real) + np.square(self._path.imag)
            power = np.einsum("pf->f", power) + _TINY
            self._path *= np.sqrt(np.minimum(1.0, 4 * self._loudness / power)).astype(np.float32)

    def _learn(self, error: _Real) -> None:
        size, spectra = self.block, self._spectra
        spectrum = np.fft.rfft(np.concatenate((np.zeros(size), error))).astype(np.complex64)
        powers = np.square(spectra.real) + np.square(spectra.imag)
        # Half: of the two blocks of a transform, one is compared.
        unsure = 0.5 * np.einsum("pf,pf->f", self._doubt, powers)
        self._unsure = unsure
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        self._near = _NEAR_END_MEMORY * self._near + (1 - _NEAR_END_MEMORY) * power
        doubt, path = self._doubt, self._path
        gain = doubt / (unsure + self._near + _TINY * size)
        agreeing = spectra.conj() * spectrum
        step = gain * agreeing
        self._compare(agreeing, powers, power)
        # What is longer than its block would wrap around. To cut it off costs more than all else:
        # once the path is known, each block does it for some of the delays, in turn.
        self._learnt += 1
        if self._learnt < self._novice:
            response = np.fft.irfft(step, axis=1)
            response[:, size:] = 0.0
            path += np.fft.rfft(response, axis=1)
        else:
            path += step
            some = slice(self._number % _ROUNDS, None, _ROUNDS)
            response = np.fft.irfft(path[some], axis=1)
            response[:, size:] = 0.0
            path[some] = np.fft.rfft(response, axis=1)
        gain *= powers
        gain *= -0.5
        gain += 1.0
        np.maximum(gain, 0.0, out=gain)
        gain *= _FORGETTING
        doubt *= gain
        np.square(path.real, out=powers)
        powers += np.square(path.imag)
        powers *= 1 - _FORGETTING
        doubt += powers

    def _compare(self, agreeing: _Complex, powers: _Real, power: _Real) -> None:
        """Note how what is left agrees with the agent."""
        cross, agents = self._cross, self._agents
        cross *= _AGREED
        cross += agreeing
        agents *= _AGREED
        agents += powers
        self._errors = _AGREED * self._errors + power

    def _misled(self, caller: _Real, echo: _Real, error: _Real) -> bool:
        """Whether the prediction adds to the caller's audio instead of taking from it.

        An echo whose delay has changed does so from its first words on; a caller who talks over
        one that is known hardly does.
        """
        self._powers *= _MISLED_MEMORY
        self._powers += caller @ caller, echo @ echo, error @ error
        heard, predicted, left = self._powers
        return bool(left > _MISLED * heard and predicted > _MISLED_SHARE * heard)

    def _changed(self) -> bool:
        """Whether the path has changed: at some delay much of what is left is the agent's."""
        if self._learnt < self._novice // 2 or self._number % _ROUNDS:
            return False
        cross = np.square(self._cross.real) + np.square(self._cross.imag)
        most = np.einsum("pf,f->p", self._agents, self._errors)
        return bool((cross.sum(axis=1) > _AGREEMENT * most + _TINY).any())

    # --- what is left -----------------------------------------------------------------------

    def _clean(self, error: _Real) -> _Real:
        """Take out, by frequency, what may still be echo; return the block before."""
        size, options = self.block, self.options
        spectrum = np.fft.rfft(np.concatenate((self._previous, error)) * self._window)
        self._previous = error
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        # A window of root Hann has half the power of none, like the half of two blocks.
        self._left = np.maximum(self._unsure, _POWER_MEMORY * self._left)
        self._heard = _POWER_MEMORY * self._heard + (1 - _POWER_MEMORY) * power
        return self._output(spectrum, power, options, size)

    def _output(self, spectrum: _Complex, power: _Real, options: EchoOptions, size: int) -> _Real:
        gains = np.clip(1.0 - options.suppression * self._left / (self._heard + _TINY), _FLOOR, 1.0)
        share = float(power @ np.square(gains)) / (float(power.sum()) + _TINY)
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
