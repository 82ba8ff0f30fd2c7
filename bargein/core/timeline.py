"""Where a stream stands: input positions, the format they are counted in, and the 16 kHz grid."""

from __future__ import annotations

from fractions import Fraction

from bargein.audio import AudioFormat

from .window import WINDOW_RATE

__all__ = ["Timeline"]


class Timeline:
    """Counts a stream's audio: input samples since the last change of format, and before it.

    The 16 kHz grid goes on across changes of format; its whole seconds may fall between samples
    there, and are rounded down.
    """

    def __init__(self, format: AudioFormat) -> None:
        self._elapsed = Fraction(0)  # seconds before the last change of format
        self._set(format)

    def _set(self, format: AudioFormat) -> None:
        self.format = format
        self.position = 0
        """Input samples since the last change of format."""
        self._base = int(self._elapsed * WINDOW_RATE)

    def set_format(self, format: AudioFormat) -> None:
        """Go on in another format, from here."""
        self._elapsed += Fraction(self.position, self.format.sample_rate)
        self._set(format)

    @property
    def base(self) -> int:
        """The grid's index at the last change of format."""
        return self._base

    def grid(self, position: int) -> int:
        """Return the 16 kHz index at an input position."""
        return self._base + position * WINDOW_RATE // self.format.sample_rate

    def position_of(self, index: int) -> int:
        """Return the first input position at which the grid has reached a 16 kHz index."""
        return -(-(index - self._base) * self.format.sample_rate // WINDOW_RATE)
