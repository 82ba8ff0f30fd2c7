"""The library's own VAD over the caller's audio: which audio it hears, and when."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from bargein.audio import Converter
from bargein.vad.track import CHUNK, Gate, Speech, SpeechTrack

from .options import round_half_up
from .timeline import Timeline
from .window import WINDOW_RATE

__all__ = ["WARM_UP", "Listener"]

WARM_UP = 1
"""Seconds before the agent started that the VAD hears as well, so that it knows the caller's voice
and room, and whether the caller is talking already."""

LOOK_AHEAD = Fraction(4, 1000)
"""Seconds after a chunk's end at which it is judged. The converter needs up to 3 ms to be sure of
its samples; a fixed delay makes what is found, and where, independent of framing."""


class Listener:
    """Feeds a speech track while the agent speaks, and with the second before that.

    While the agent is silent it costs a copy of each frame. Not thread-safe.
    """

    def __init__(self, track: SpeechTrack, timeline: Timeline, gate: Gate | None) -> None:
        self._track = track
        self._timeline = timeline
        self._gate = gate
        self._listening = False
        self._converter: Converter | None = None
        self._unheard = np.zeros(0, np.int16)
        """Audio that wasn't given to the converter: of the newest chunk, or of a silent agent."""

    def due(self, index: int) -> int:
        """Return the input position at which the chunk that ends at a grid index is judged."""
        return self._timeline.position_of(index) + self._ahead()

    def _ahead(self) -> int:
        rate = self._timeline.format.sample_rate
        return 0 if rate == WINDOW_RATE else round_half_up(LOOK_AHEAD * rate)

    def hear(self, samples: npt.NDArray[np.int16]) -> Speech:
        """Take audio that ends at the timeline's position; return the chunks that are due."""
        self._unheard = np.concatenate((self._unheard, samples))
        if not self._listening:
            limit = WARM_UP * self._timeline.format.sample_rate
            if len(self._unheard) > limit:
                self._unheard = self._unheard[-limit:]
                self._converter = None  # what it heard last doesn't lead here
            return self._nothing()
        position = self._timeline.position
        chunks = self._timeline.grid(position - self._ahead()) // CHUNK
        later = position - self.due(chunks * CHUNK)
        ready = len(self._unheard) - later
        if ready <= 0:
            return self._nothing()
        return self._judge(ready)

    def _judge(self, count: int) -> Speech:
        """Give the first ``count`` unheard samples to the VAD."""
        if self._converter is None:
            begin = self._timeline.position - len(self._unheard)
            self._converter = Converter(self._timeline.format.sample_rate, begin)
        samples, self._unheard = self._unheard[:count], self._unheard[count:]
        first = self._timeline.base + self._converter.stable
        return self._track.feed(first, self._converter.push(samples), self._gate)

    def start(self) -> Speech:
        """The agent starts: judge what came before, as far as it is due."""
        if self._listening:
            return self._nothing()
        self._listening = True
        return self.hear(np.zeros(0, np.int16))

    def stop(self) -> None:
        """The agent ended: hear no more; go on seamlessly if it resumes within the warm-up."""
        self._listening = False

    def lose_track(self) -> None:
        """What comes next doesn't follow on what came last."""
        self._converter = None
        self._unheard = np.zeros(0, np.int16)

    def _nothing(self) -> Speech:
        return Speech(0, np.zeros(0, np.float32))
