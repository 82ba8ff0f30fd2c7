"""The caller's audio as windows are cut from it: positions, format, conversion, one ring.

Positions are counted in input time: input samples since the last change of format, plus the
exact (rational) time before it. The 16 kHz grid follows from them, so what a window holds
depends on positions alone, not on how the audio was framed nor on when it was converted.
"""

from __future__ import annotations

import math
from fractions import Fraction

import attrs
import numpy as np
import numpy.typing as npt

from bargein.audio import AudioFormat, Converter, decode

from .options import InterruptionOptions
from .ring import SampleRing
from .window import WINDOW_RATE

__all__ = ["MAX_SILENCE", "CallerBuffer", "Cut"]

MAX_SILENCE = Fraction(1, 5)
"""Seconds. A gap up to this long is bridged by silence; beyond it, speech can't be continuous."""

_LONGEST_HOLD = 10.0
"""Seconds of audio kept behind the window for windows under way (320 KB). A timeout or a number of
windows beyond it costs no more: what the ring can't hold any longer is copied out."""

_PIECE = 0.2
"""Seconds converted at a time: a frame of an hour needs no hour's worth of floats, and what one
worker's thread once needed, the C library keeps for it."""


_NO_SAMPLES = np.zeros(0, np.int16)


@attrs.define(eq=False)
class Cut:
    """Where a window lies on the 16 kHz grid: ``[start, end)``, the newest samples in ``tail``.

    ``tail`` holds the samples whose value may still change when more audio comes (a resampler's
    look-ahead), as they were at the cut. ``saved`` holds all samples, once the ring needs the room.
    """

    start: int
    end: int
    tail: npt.NDArray[np.int16]
    saved: npt.NDArray[np.int16] | None = None


class CallerBuffer:
    """Buffers audio while the agent speaks; knows positions always. Not thread-safe.

    Windows that are *live* (cut and not released) can be read whatever comes after them.
    """

    def __init__(self, options: InterruptionOptions, fmt: AudioFormat, hold: float) -> None:
        self._options = options
        capacity = options.max_audio_duration + min(hold, _LONGEST_HOLD)
        self._ring = SampleRing(math.ceil(capacity * WINDOW_RATE))
        self._elapsed = Fraction(0)  # seconds before the last change of format
        self._open = False
        self._live: set[Cut] = set()
        self._set(fmt)

    def _set(self, fmt: AudioFormat) -> None:
        self.format = fmt
        self.position = 0
        self._base = int(self._elapsed * WINDOW_RATE)
        self._max = max(1, self._options.samples(self._options.max_audio_duration, fmt.sample_rate))
        self._prefix = self._options.samples(self._options.audio_prefix_duration, fmt.sample_rate)
        self._before = self._make_before()
        self._piece = int(_PIECE * fmt.sample_rate) * fmt.frame_width
        self._restart(0)

    def _make_before(self) -> SampleRing | None:
        """Make room for what comes while the agent is silent, where any of it is kept."""
        kept = self._options.prefix_before_agent and self._prefix
        return SampleRing(self._prefix) if kept else None

    def _restart(self, position: int) -> None:
        """Empty the window; what comes next has zeros before it."""
        self._front = position
        self._converter: Converter | None = None
        if self._before is not None:
            self._before.end = position

    def grid(self, position: int) -> int:
        """Return the 16 kHz index of an input position since the last change of format."""
        return self._base + position * WINDOW_RATE // self.format.sample_rate

    @property
    def length(self) -> int:
        """Input samples in the window."""
        return min(self.position - self._front, self._max) if self._open else 0

    def samples(self, seconds: float) -> int:
        """Turn a duration into input samples."""
        return self._options.samples(seconds, self.format.sample_rate)

    # --- what comes in ----------------------------------------------------------------------

    def set_format(self, fmt: AudioFormat) -> None:
        """Go on in another format: a long gap of no length."""
        self._elapsed += Fraction(self.position, self.format.sample_rate)
        self._set(fmt)

    def open(self) -> None:
        """The agent starts: buffer from here on, and what the options keep from before."""
        kept = 0 if self._before is None else min(self._prefix, self.position - self._front)
        before = np.empty(kept, np.int16)
        if self._before is not None:
            self._before.read_into(before, self.position - kept)
        self._restart(self.position - kept)
        self._open = True
        if kept:
            self._convert(before)

    def shut(self) -> None:
        """The agent ended: forget the audio."""
        self._open = False
        self._restart(self.position)

    def push(self, data: bytes) -> None:
        """Take whole samples in the buffer's format; they aren't looked at where none is kept."""
        if not self._open and self._before is None:
            self.position += len(data) // self.format.frame_width
            return
        if len(data) <= self._piece:
            self._take(decode(data, self.format))
            return
        for at in range(0, len(data), self._piece):
            self._take(decode(data[at : at + self._piece], self.format))

    def push_silence(self, samples: int) -> None:
        """Bridge a short gap."""
        self._take(np.zeros(samples, np.int16))

    def skip(self, samples: int) -> None:
        """Move on without audio: a long gap, or audio that no window can need."""
        self.position += samples
        self._restart(self.position)

    def trim(self, samples: int) -> None:
        """Let the window hold at most the newest ``samples``."""
        self._front = max(self._front, self.position - samples)

    def _take(self, samples: npt.NDArray[np.int16]) -> None:
        self.position += len(samples)
        if self._open:
            self._convert(samples)
        elif self._before is not None:
            self._before.write(samples)

    def _convert(self, samples: npt.NDArray[np.int16]) -> None:
        if self._converter is None:
            self._save(self._ring.end)
            self._converter = Converter(self.format.sample_rate, self.position - len(samples))
            self._ring.end = self._base + self._converter.stable
        stable = self._converter.push(samples)
        if self._live:
            self._save(self._ring.oldest + len(stable))
        self._ring.write(stable)

    def _save(self, limit: int) -> None:
        """Copy the windows that begin before ``limit``: the ring needs their room."""
        for cut in self._live:
            if cut.start < limit:
                cut.saved = self.read(cut)

    # --- what goes out ----------------------------------------------------------------------

    def cut(self) -> Cut:
        """Mark the window that ends here: ``floor(length * 16000 / rate)`` samples."""
        rate, converter = self.format.sample_rate, self._converter
        end = self._base + self.position * WINDOW_RATE // rate
        start = end - self.length * WINDOW_RATE // rate
        cut = Cut(start, end, _NO_SAMPLES if converter is None else converter.tail())
        self._live.add(cut)
        return cut

    def release(self, cut: Cut) -> None:
        """Let go of a window: it can't be read any more. Twice does no harm."""
        self._live.discard(cut)
        cut.saved = None

    def release_all(self) -> None:
        """Let go of all windows."""
        for cut in list(self._live):
            self.release(cut)

    @property
    def live(self) -> int:
        """Windows that can still be read."""
        return len(self._live)

    def read(self, cut: Cut) -> npt.NDArray[np.int16]:
        """Copy a window's samples out: int16, 16 kHz, mono, read-only."""
        if cut.saved is not None:
            return cut.saved
        samples = np.empty(cut.end - cut.start, np.int16)
        stable = len(samples) - len(cut.tail)
        if not len(cut.tail):
            self._ring.read_into(samples, cut.start)
        elif stable >= 0:
            self._ring.read_into(samples[:stable], cut.start)
            samples[stable:] = cut.tail
        else:
            samples[:] = cut.tail[-stable:]
        samples.flags.writeable = False
        return samples
