"""A call played from a recording: the pipeline, its windows and its deadlines in audio time.

Nothing here waits, and nothing reads a clock: *now* is the position in the recording. At one
instant replies come before deadlines, deadlines before controls, controls before audio.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bargein.core import Audio, EndOfInput

from .player import Handler, Player
from .transport import SimulatedTransport

__all__ = ["Replay"]

_NANOSECONDS = 1_000_000_000


class Replay(Player):
    """Plays one call. Give it audio and controls in the recording's order, then :meth:`finish`.

    The arguments are :class:`Player`'s; the handler's machine reads mono s16le. How the audio is
    cut into calls changes nothing but the place of sentinels that ``handler`` finds in mid-audio.
    Not thread-safe.
    """

    def __init__(self, handler: Handler, transport: SimulatedTransport, **callbacks: Any) -> None:
        super().__init__(handler, transport, **callbacks)
        self.position = 0
        """Samples of the caller's audio played so far."""
        self._rate = handler.machine.format.sample_rate

    @property
    def now(self) -> float:
        """The position in the recording, in seconds."""
        return self.position / self._rate

    # --- what comes in ----------------------------------------------------------------------

    def audio(self, samples: npt.NDArray[np.int16]) -> None:
        """Play the caller's audio, int16 (n,); what falls due meanwhile happens in its place.

        Audio is cut where a window is, and before what falls due, for a window is handed over at
        its cut and a reply may open a place for the next.
        """
        begin = self.position
        end = begin + len(samples)
        data = samples.astype("<i2", copy=False).tobytes()
        while self.position < end:
            due = self._next_due()
            until = end if due is None else min(end, self._last_before(due))
            if until <= self.position and due is not None:
                self._happen()
                continue
            for stop in (self._machine.samples_to_cut(), self._handler.samples_to_sentinel()):
                if stop:
                    until = min(until, self.position + stop)
            piece = data[2 * (self.position - begin) : 2 * (until - begin)]
            self.position = until
            self._do(self._handler.handle(Audio(piece), now=self.now), self.now)

    def control(self, item: Any) -> None:
        """Take a control input at the present position."""
        self._happen_until(self._instant(self.position))
        self._do(self._handler.handle(item, now=self.now), self.now)

    def finish(self) -> None:
        """The recording ended: play on until every window is answered or given up."""
        self.control(EndOfInput())
        self._play_out()

    # --- time -------------------------------------------------------------------------------

    def _instant(self, position: int) -> int:
        """When a position is reached, in whole nanoseconds."""
        return (2 * position * _NANOSECONDS + self._rate) // (2 * self._rate)

    def _last_before(self, instant: int) -> int:
        """The last position that is reached before an instant: audio at it comes after it."""
        position = instant * self._rate // _NANOSECONDS + 1
        while self._instant(position) >= instant:
            position -= 1
        return position
