"""When windows are cut: a grid of input positions that begins at an overlap's start."""

from __future__ import annotations

from fractions import Fraction

import attrs

__all__ = ["Cadence"]


@attrs.frozen
class Cadence:
    """The k-th cut lies at ``start + round_half_up(k * step)``, k = 1, 2, …; in input samples.

    ``step`` is exact, so cuts never drift, and which ones are due follows from positions alone.
    """

    start: int
    step: Fraction

    def after(self, position: int) -> int:
        """Return the first cut past ``position``.

        Its k is the ceiling of ``(position - start + 1/2) / step``, so no count need be kept, and
        a step below one sample can't cut at one position twice.
        """
        num, den = self.step.as_integer_ratio()  # in whole numbers, for Fraction is slow
        k = -((2 * (position - self.start) + 1) * -den // (2 * num))
        return self.start + (2 * k * num + den) // (2 * den)

    def due(self, position: int, end: int) -> list[int]:
        """Return the cuts past ``position``, up to and with ``end``."""
        cuts = []
        at = self.after(position)
        while at <= end:
            cuts.append(at)
            at = self.after(at)
        return cuts
