"""How windows are cut: the caller's audio, an overlap's cadence, each window's identity.

What is cut depends on positions alone. Who judges it, and whether anybody does, is decided
elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

import attrs
import numpy as np
import numpy.typing as npt

from bargein.audio import AudioFormat

from .buffer import MAX_SILENCE, CallerBuffer
from .cadence import Cadence
from .options import InterruptionOptions, round_half_up
from .slots import PendingWindow
from .window import Window

if TYPE_CHECKING:
    from bargein.vad.track import Speech

__all__ = ["CutWindows", "Cutter", "SpeechSource"]


class SpeechSource(Protocol):
    """Whoever knows where in the caller's audio speech was found."""

    def read(self, start: int, end: int) -> Speech:
        """Return what is known of the stretch ``[start, end)`` of the 16 kHz grid."""


@attrs.frozen
class CutWindows:
    """The windows that one input cut, oldest first, and how many older ones weren't worth it."""

    windows: tuple[PendingWindow, ...] = ()
    superseded: int = 0


NO_WINDOWS = CutWindows()
"""What an input mostly cuts: told apart by identity."""


NO_ROOM: Callable[[], int] = int
"""Nobody judges: where no overlap is open, nothing is cut either."""


class Cutter:
    """Follows the caller's audio and cuts windows while an overlap is open. Not thread-safe.

    ``hold`` is how long, in seconds, a window's audio may still be asked for after its cut.
    """

    def __init__(
        self,
        options: InterruptionOptions,
        fmt: AudioFormat,
        *,
        hold: float,
        speech: SpeechSource | None,
    ) -> None:
        self._options = options
        self._interval = options.interval
        self._speech = speech
        self._buffer = CallerBuffer(options, fmt, hold)
        self._cadence: Cadence | None = None
        self._next = 0
        """Where the cadence cuts next."""
        self._overlap = 0
        self._speech_start = 0
        self._agent_start = 0
        self._last_id = 0

    @property
    def format(self) -> AudioFormat:
        """The format in which bytes are read."""
        return self._buffer.format

    @property
    def position(self) -> int:
        """Input samples since the last change of format."""
        return self._buffer.position

    def samples_to_cut(self) -> int | None:
        """Return how many input samples are missing to the next cut; ``None``: none is due."""
        if self._cadence is None:
            return None
        return self._next - self._buffer.position

    # --- turns and overlaps -----------------------------------------------------------------

    def begin_turn(self) -> None:
        """The agent starts: buffer from here on, and what the options keep from before."""
        self._agent_start = self._buffer.grid(self.position)
        self._buffer.open()

    def end_turn(self) -> None:
        """The agent ended: forget the audio."""
        self._buffer.shut()

    def begin_overlap(self, number: int, speech_duration: float, *, trim: bool) -> None:
        """Cut from here on; ``trim`` the front to the prefix and the speech already heard."""
        buffer = self._buffer
        speech = buffer.samples(speech_duration)
        if trim:
            buffer.trim(buffer.samples(self._options.audio_prefix_duration) + speech)
        self._overlap = number
        self._speech_start = buffer.grid(self.position - speech)
        self._restart_cadence()

    def stop(self) -> None:
        """Cut no more: the overlap ended."""
        self._cadence = None

    def forget(self) -> None:
        """Cut no more, and let go of what was cut: the overlap is settled."""
        self._cadence = None
        self._buffer.release_all()

    # --- what comes in ----------------------------------------------------------------------

    def push(self, data: bytes, *, room: Callable[[], int]) -> CutWindows:
        """Take whole samples, cutting on the way.

        Of several windows at most ``room()``, the newest, count.
        """
        buffer = self._buffer
        width = buffer.format.frame_width
        samples = len(data) // width
        end = buffer.position + samples
        if self._cadence is None or end < self._next:
            buffer.push(data)
            return NO_WINDOWS
        if end == self._next:  # as mostly: a live stream's worker wakes for that
            buffer.push(data)
            self._next = self._cadence.after(end)
            return CutWindows((self.cut(),))
        return self._advance(
            samples, lambda start, end: buffer.push(data[start * width : end * width]), room
        )

    def gap(self, duration: float | Fraction, *, room: Callable[[], int]) -> CutWindows:
        """Bridge a short gap with silence; empty the window at a long one. ``room`` as above."""
        seconds = Fraction(str(duration))  # 0.2 as typed, not as binary has it
        samples = round_half_up(seconds * self.format.sample_rate)
        if seconds <= MAX_SILENCE:
            return self._advance(
                samples, lambda start, end: self._buffer.push_silence(end - start), room
            )
        self._buffer.skip(samples)
        if self._cadence is not None:
            self._restart_cadence()
        return NO_WINDOWS

    def skip(self, samples: int) -> None:
        """Move on over audio that no window can need."""
        self._buffer.skip(samples)
        if self._cadence is not None:
            self._next = self._cadence.after(self.position)

    def set_format(self, fmt: AudioFormat) -> None:
        """Read bytes in another format from here on; counts as a long gap."""
        self._buffer.set_format(fmt)
        if self._cadence is not None:
            self._restart_cadence()

    def _restart_cadence(self) -> None:
        self._cadence = Cadence(self.position, self._interval * self.format.sample_rate)
        self._next = self._cadence.after(self.position)

    def _advance(
        self, samples: int, push: Callable[[int, int], None], room: Callable[[], int]
    ) -> CutWindows:
        origin, due = self._buffer.position, []
        while self._cadence is not None and self._next <= origin + samples:
            due.append(self._next)
            self._next = self._cadence.after(self._next)
        kept = due[-room() :] if len(due) > 1 else due
        windows = []
        taken = 0
        for at in kept:
            push(taken, at - origin)
            taken = at - origin
            windows.append(self.cut())
        if taken < samples:
            push(taken, samples)
        return CutWindows(tuple(windows), len(due) - len(kept))

    # --- what goes out ----------------------------------------------------------------------

    @property
    def has_audio(self) -> bool:
        """Whether a window that is cut now holds anything."""
        return self._buffer.length > 0

    def cut(self) -> PendingWindow:
        """Cut the window that ends here."""
        self._last_id += 1
        return PendingWindow(
            id=self._last_id,
            overlap=self._overlap,
            cut=self._buffer.cut(),
            speech_start=self._speech_start,
            agent_start=self._agent_start,
        )

    def renew(self, window: PendingWindow) -> PendingWindow:
        """Give a window that nobody was handed a new identity; the old one is void."""
        self._last_id += 1
        return attrs.evolve(window, id=self._last_id)

    def build(self, window: PendingWindow) -> Window:
        """Make what a judge gets: one copy of the window's samples, and where they lie."""
        start, end = window.cut.start, window.cut.end
        return Window(
            id=window.id,
            overlap=window.overlap,
            samples=self._buffer.read(window.cut),
            start=start,
            speech_start=window.speech_start - start,
            agent_start=window.agent_start - start,
            speech=None if self._speech is None else self._speech.read(start, end),
            threshold=window.threshold,
            min_frames=window.min_frames,
        )

    def read(self, window: PendingWindow) -> npt.NDArray[np.int16]:
        """Copy a window's samples out: int16, 16 kHz, mono, read-only."""
        return self._buffer.read(window.cut)

    def release(self, window: PendingWindow) -> None:
        """Let go of a window's audio; it can't be read any more. Twice does no harm."""
        self._buffer.release(window.cut)
