"""The caller's audio on its way to the stream: decoded, and without the agent's echo."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bargein.audio import AudioFormat, Converter, decode

from .echo import RATES, EchoCanceller, EchoOptions
from .pacer import REFERENCE_AHEAD

__all__ = ["CallerAudio"]

RESTART = 0.5
"""Seconds without the agent after which its audio begins anew: its delay may be another then."""

MOST_WAITING = 0.25
"""Seconds of the agent's audio that may wait for the caller's. More comes only of a caller whose
audio stopped, in hold or DTMF, while the agent spoke on."""


class CallerAudio:
    """Turns a line's audio into what the stream takes. Not thread-safe: the media thread's.

    Without an echo canceller that is the line's audio as it is. With one it is int16 at 8 kHz for
    a line of 8 kHz, at 16 kHz for all others.
    """

    def __init__(self, line: AudioFormat, echo: EchoOptions | None) -> None:
        self._line = line
        self._echo: EchoCanceller | None = None
        self.format = line
        """What `push` returns."""
        if echo is not None:
            rate = line.sample_rate if line.sample_rate in RATES else RATES[-1]
            self._echo = EchoCanceller(rate, echo)
            self.format = AudioFormat(rate)
        self._converters: list[Converter] | None = None
        if self.format.sample_rate != line.sample_rate:
            self._converters = [Converter(line.sample_rate), Converter(line.sample_rate)]
        self._agent = np.zeros(0, np.int16)
        self._silent = self._restart = round(RESTART * self.format.sample_rate)
        """Samples since the agent was last heard."""
        self._most = round(MOST_WAITING * self.format.sample_rate)
        self._slack = round(REFERENCE_AHEAD * self.format.sample_rate)

    def push(self, caller: bytes, agent: bytes) -> bytes:
        """Take the caller's audio and what was played of the agent's since the last call.

        Both in the line's format. The agent's is taken up sample by sample with the caller's,
        from where it began on; what came too early waits.
        """
        if self._echo is None:
            return caller
        mine, reference = self._read(caller, 0), self._read(agent, 1)
        if len(reference) and self._silent >= self._restart:
            self._echo.moved()
        self._agent = np.concatenate((self._agent, reference))
        if len(self._agent) - len(mine) > self._most:  # the caller's audio had stopped meanwhile
            self._agent = self._agent[len(self._agent) - len(mine) - self._slack :]
            self._echo.moved()
        playing = self._agent[: len(mine)]
        self._agent = self._agent[len(mine) :]
        self._silent = 0 if len(playing) else self._silent + len(mine)
        missing = np.zeros(len(mine) - len(playing), np.int16)
        cleaned = self._echo.process(mine, np.concatenate((playing, missing)))
        return cleaned.astype("<i2").tobytes()

    def gap(self, seconds: float) -> None:
        """Take that so much of the caller's audio is missing: the two sides are out of step."""
        if self._echo is not None:
            self._echo.moved()
            self._agent = self._agent[round(seconds * self.format.sample_rate) :]

    def _read(self, data: bytes, side: int) -> npt.NDArray[np.int16]:
        samples = decode(data, self._line)
        return self._converters[side].push(samples) if self._converters else samples
