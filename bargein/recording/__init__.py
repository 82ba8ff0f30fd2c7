"""Calls recorded with all that decided their verdicts, and played again.

``Recorder`` writes a live stream's inputs, answers and events; ``replay`` gives the same events
again; ``what_if`` shows what other settings or another judge would have made of the call.
"""

from .reader import CallRecording, Entry, find_recordings, load_recording
from .replay import Difference, Replayed, WhatIf, replay, what_if
from .writer import Recorder

__all__ = [
    "CallRecording",
    "Difference",
    "Entry",
    "Recorder",
    "Replayed",
    "WhatIf",
    "find_recordings",
    "load_recording",
    "replay",
    "what_if",
]
