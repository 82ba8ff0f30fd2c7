"""The way of the agent's voice back into the caller's line, learnt while the call goes on.

A frequency-domain Kalman filter in partitioned blocks (G. Enzner, P. Vary, "Frequency-domain
adaptive Kalman filter for acoustic echo control in hands-free telephones", Signal Processing 86,
2006; partitioned by F. Kuech, E. Mabande and G. Enzner, ICASSP 2014). Beside the echo's path it
keeps how unsure it is of it, by frequency and delay. From that follow the step with which it
learns, small while the caller talks, and how much echo is left, which :mod:`.echo` takes out.

At a call's beginning nothing is known of the path: the filter then takes all that can be echo for
echo, of any delay and loudness. No clock and no threads: block by block, both sides in step.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["TINY", "EchoPath"]

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

TINY = 1e-10
"""Power of a sample: what silence is taken to have, -100 dBFS."""


class EchoPath:
    """One call's echo path. Not thread-safe.

    Args:
        sample_rate: Hz of both sides.
        reach: seconds; see `EchoOptions.reach`.
        prior: dB; see `EchoOptions.prior`.
    """

    def __init__(self, sample_rate: int, reach: float, prior: float) -> None:
        self.block = size = round(_BLOCK * sample_rate)
        """Samples learnt from at a time."""
        self.count = round(reach * sample_rate / size)
        """Blocks that it reaches back."""
        self.unsure: _Real
        """The power of the echo that may be left in the newest block, by frequency."""
        self._prior = 10 ** (prior / 10)
        self._novice = round(_NOVICE * sample_rate / size)
        delay = max(reach - _ROOM, 0.0)
        self._levels = np.zeros((2, self.count + round(delay / _BLOCK) + 1))
        """Of both sides' newest blocks: the sums of squares."""
        self._loudness = 1.0
        """How loud the echo is at most, of the agent's power."""
        self._forget()

    def _forget(self) -> None:
        bins = self.block + 1
        self._spectra: _Complex = np.zeros((self.count, bins), np.complex64)
        """Of the agent's newest blocks, newest first."""
        self._path: _Complex = np.zeros((self.count, bins), np.complex64)
        prior = self._prior / self.count
        self._doubt: _Real = np.full((self.count, bins), prior, np.float32)
        """The variance of the path's error, by delay and frequency."""
        self._near: _Real = np.full(bins, TINY * self.block, np.float32)
        """The power of what isn't echo."""
        self.unsure = np.zeros(bins)
        self._learnt = 0
        """Blocks that were learnt from."""
        self._powers = np.zeros(3)
        """Of the caller's audio, the echo predicted in it, and what is left; smoothed."""
        self._echo: _Real = np.zeros(bins)
        """The power of the predicted echo, held for some blocks: of two blocks, so twice that of
        the one that it is predicted in."""
        self._newest = np.zeros(2 * self.block)
        self._cross: _Complex = np.zeros((self.count, bins), np.complex64)
        """What is left times the agent, smoothed: where they agree, the path is wrong."""
        self._agents: _Real = np.zeros((self.count, bins), np.float32)
        self._errors: _Real = np.zeros(bins, np.float32)

    def moved(self) -> None:
        """Note that the delay may be another by some ms: what is known of the phase is doubted."""
        power = np.square(np.abs(self._path))
        power = np.apply_along_axis(lambda p: np.convolve(p, (0.5, 1.0, 0.5), "same"), 0, power)
        self._doubt += power.astype(np.float32)
        self._learnt = 0

    def subtract(self, caller: _Real, agent: _Real, number: int) -> tuple[_Real, bool]:
        """Subtract the echo as far as it is known, and learn from what is left.

        Both are a block of float64, full scale 1; ``number`` is the block's, for some of the work
        is done by turns. Returns what is left, and whether the path was found to have changed, so
        that nothing is known of it any more.
        """
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
        changed = self._changed(number)
        if changed:
            newest = self._newest
            self._forget()
            self._spectra, self._newest, error = spectra, newest, caller
        self._learn(error, number)
        if misled:  # what is predicted is about right, but for its time
            self.unsure = self.unsure + self._echo
            return caller, changed
        # Before it knows better, a guess may be louder than what it is taken from.
        most = min(1.0, math.sqrt((caller @ caller) / (error @ error + TINY)))
        return error * most, changed

    def _weigh(self, caller: _Real, agent: _Real) -> None:
        """Find out how loud the echo is at most: no louder than the caller's line.

        Both sides are compared over the reach. The agent's is taken where it was softest within
        the longest delay, or an echo that is late would seem soft when the agent begins, and one
        that is early when it ends.
        """
        self._levels = np.roll(self._levels, -1, axis=1)
        self._levels[:, -1] = caller @ caller, agent @ agent
        sums = np.cumsum(self._levels, axis=1)
        spans = sums[:, self.count :] - sums[:, : -self.count]
        softest = float(spans[1].min())
        if softest < _AUDIBLE * self.block * self.count:
            return
        self._loudness = min(self._loudness * _RISE, max(float(spans[0, -1]) / softest, _LEAST))
        most = self._loudness * self._prior
        doubt = np.einsum("pf->f", self._doubt)
        if (doubt > most).any():
            self._doubt *= np.minimum(1.0, most / (doubt + TINY)).astype(np.float32)
            power = np.square(self._path.real) + np.square(self._path.imag)
            power = np.einsum("pf->f", power) + TINY
            self._path *= np.sqrt(np.minimum(1.0, 4 * self._loudness / power)).astype(np.float32)

    def _learn(self, error: _Real, number: int) -> None:
        size, spectra = self.block, self._spectra
        spectrum = np.fft.rfft(np.concatenate((np.zeros(size), error))).astype(np.complex64)
        powers = np.square(spectra.real) + np.square(spectra.imag)
        # Half: of the two blocks of a transform, one is compared.
        unsure = 0.5 * np.einsum("pf,pf->f", self._doubt, powers)
        self.unsure = unsure
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        self._near = _NEAR_END_MEMORY * self._near + (1 - _NEAR_END_MEMORY) * power
        doubt, path = self._doubt, self._path
        gain = doubt / (unsure + self._near + TINY * size)
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
            some = slice(number % _ROUNDS, None, _ROUNDS)
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

    def _changed(self, number: int) -> bool:
        """Whether the path has changed: at some delay much of what is left is the agent's."""
        if self._learnt < self._novice // 2 or number % _ROUNDS:
            return False
        cross = np.square(self._cross.real) + np.square(self._cross.imag)
        most = np.einsum("pf,f->p", self._agents, self._errors)
        return bool((cross.sum(axis=1) > _AGREEMENT * most + TINY).any())
