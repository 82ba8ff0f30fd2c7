"""A recorded call analysed: every place where the caller spoke over the agent, and what it was.

The tracker, the machine and the judge are those of a live call, in the recording's time.
"""

from .call import Call, Side, open_call
from .report import AnalysedOverlap, Analysis, AnalysisOptions, Answer, Timings, Turn
from .run import analyze

__all__ = [
    "AnalysedOverlap",
    "Analysis",
    "AnalysisOptions",
    "Answer",
    "Call",
    "Side",
    "Timings",
    "Turn",
    "analyze",
    "open_call",
]
