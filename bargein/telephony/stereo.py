"""A call as a stereo WAV file for ``bargein analyze``: the caller left, the agent right."""

from __future__ import annotations

import threading
import wave
from pathlib import Path

import numpy as np

from bargein.audio import AudioFormat, decode

__all__ = ["StereoRecorder"]

MAX_SECONDS = 3600 * 4
"""After so long it records no more: what is forgotten mustn't fill a disk (0.9 GB at 16 kHz)."""

MAX_FRAMES = (1 << 30) - 16
"""Nor after so many samples of both sides: a WAV's length is told in 32 bits (4 bytes a frame)."""


class StereoRecorder:
    """Writes what a `Call`'s ``tap`` gives. Thread-safe.

    Both sides are in step: the agent's audio stands where the caller's was when it was played, and
    where the caller's audio stopped (in a hold) so does the recording. The file is in order only
    after :meth:`close`.

    Raises ``OSError`` where the file can't be made. What fails later ends the recording.
    """

    def __init__(self, path: Path, format: AudioFormat) -> None:
        self.path = path
        self._format = format
        self._lock = threading.Lock()
        self._agent = np.zeros(0, np.int16)
        self._left = min(MAX_SECONDS * format.sample_rate, MAX_FRAMES)
        # Opened here: `wave` trips over itself where it can't open a file.
        self._raw = path.open("wb")
        self._file = wave.open(self._raw, "wb")  # noqa: SIM115 - closed by close()
        self._file.setnchannels(2)
        self._file.setsampwidth(2)
        self._file.setframerate(format.sample_rate)
        self._open = True

    def push(self, caller: bytes, agent: bytes, now: float) -> None:
        """Take the caller's audio, and what was played of the agent's since the last call."""
        with self._lock:
            mine = decode(caller, self._format)[: self._left]
            if not self._open or not len(mine):
                return
            self._left -= len(mine)
            self._agent = np.concatenate((self._agent, decode(agent, self._format)))
            both = np.zeros((len(mine), 2), "<i2")
            played = self._agent[: len(mine)]
            both[:, 0], both[: len(played), 1] = mine, played
            self._agent = self._agent[len(mine) :]
            try:
                self._file.writeframesraw(both.tobytes())
            except OSError:  # the disk is full: the call matters more
                self._open = False

    def close(self) -> None:
        """Finish the file; more than once does no harm."""
        with self._lock:
            self._open = False
            try:
                self._file.close()
            finally:
                self._raw.close()
