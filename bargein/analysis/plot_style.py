"""What a picture of a call looks like: its colours, marks and measures."""

from __future__ import annotations

import attrs

from bargein.core import Outcome

__all__ = [
    "AGENT",
    "AGENT_TURN",
    "CALLER",
    "DPI",
    "FAINT",
    "INK",
    "LINE",
    "ONE_ROW",
    "ROWS",
    "STYLES",
    "Sizes",
    "clock",
]

STYLES = {
    Outcome.INTERRUPTION: ("#D55E00", "^"),
    Outcome.BACKCHANNEL: ("#0072B2", "o"),
    Outcome.INCONCLUSIVE: ("#8A6FA8", "X"),
}
"""Each outcome's colour and mark. The colours differ for every kind of colour vision (after Okabe
and Ito), the marks on paper too."""

INK = "#2B2F36"
FAINT = "#8A919C"
LINE = "#D5D9DF"
AGENT = "#5B6470"
AGENT_TURN = "#EEF0F3"
CALLER = "#A9B0BA"


@attrs.frozen
class Sizes:
    """Inches of a picture; lanes from the top down."""

    width: float = 12.0
    left: float = 1.25
    right: float = 0.3
    head: float = 0.72
    agent: float = 0.72
    labels: float = 0.36
    caller: float = 0.9
    probability: float = 0.85
    gap: float = 0.07
    foot: float = 0.45

    @property
    def row(self) -> float:
        return self.agent + self.labels + self.caller + self.probability + 2 * self.gap + self.foot


ONE_ROW = Sizes()
ROWS = Sizes(agent=0.4, labels=0.0, caller=0.5, probability=0.45, foot=0.36)

DPI = 150
"""Dots per inch of a PNG: 1800 wide, sharp on a dense screen, 100 KB."""


def clock(seconds: float) -> str:
    """Return a time as m:ss, or h:mm:ss."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
