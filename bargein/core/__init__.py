"""The sans-IO core: machines that take inputs and the time, and return what to do.

Nothing in here does I/O, holds a lock, starts a thread, reads a clock or logs.
"""

from .actions import Action, CancelWindow, Counts, EmitVerdict, Finish, SendWindow, Verdict
from .dispatch import JudgeSettings
from .events import (
    InterruptionCacheEntry,
    InterruptionDetectionError,
    InterruptionMetrics,
    Metadata,
    OverlappingSpeechEvent,
)
from .inputs import (
    AgentSpeechEnded,
    AgentSpeechStarted,
    Audio,
    Close,
    EndOfInput,
    Flush,
    Gap,
    Input,
    Judge,
    JudgeReady,
    JudgeUnready,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    Reply,
    SetFormat,
    Settings,
    Skip,
    WindowFailed,
    WindowSent,
)
from .machine import InterruptionMachine
from .options import InterruptionOptions
from .states import EFFECTS, TABLE, State
from .verdicts import Outcome, Reason, estimate_probability
from .window import Prediction, Window

__all__ = [
    "EFFECTS",
    "TABLE",
    "Action",
    "AgentSpeechEnded",
    "AgentSpeechStarted",
    "Audio",
    "CancelWindow",
    "Close",
    "Counts",
    "EmitVerdict",
    "EndOfInput",
    "Finish",
    "Flush",
    "Gap",
    "Input",
    "InterruptionCacheEntry",
    "InterruptionDetectionError",
    "InterruptionMachine",
    "InterruptionMetrics",
    "InterruptionOptions",
    "Judge",
    "JudgeReady",
    "JudgeSettings",
    "JudgeUnready",
    "Metadata",
    "Outcome",
    "OverlapSpeechEnded",
    "OverlapSpeechStarted",
    "OverlappingSpeechEvent",
    "Prediction",
    "Reason",
    "Reply",
    "SendWindow",
    "SetFormat",
    "Settings",
    "Skip",
    "State",
    "Verdict",
    "Window",
    "WindowFailed",
    "WindowSent",
    "estimate_probability",
]
