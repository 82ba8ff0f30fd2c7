"""The interruption machine's states, and what each input does in each.

The table drives the machine, is rendered in the documentation, and is walked whole by a test.
"""

from __future__ import annotations

from enum import Enum

import attrs

from .inputs import (
    AgentSpeechEnded,
    AgentSpeechStarted,
    Audio,
    Close,
    EndOfInput,
    Flush,
    Gap,
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

__all__ = ["EFFECTS", "TABLE", "Cell", "State"]


class State(str, Enum):
    """Where a stream stands."""

    SILENT = "silent"
    """The agent isn't audible; nothing is buffered, nothing is unsettled."""
    SPEAKING = "speaking"
    """The agent is audible; no overlap is unsettled."""
    OPEN = "open"
    """The caller speaks over the agent, and no verdict is out."""
    GRACE = "grace"
    """The overlap ended; windows on the wire may still decide it."""
    DRAINING = "draining"
    """The input ended with an overlap unsettled; its windows are waited for."""
    ENDED = "ended"
    """All is settled; nothing more will come."""


EFFECTS: dict[str, str] = {
    "nothing": "changes nothing",
    "ignore": "ignored and counted",
    "refuse": "refused: StateError",
    "buffer": "counted; buffered while the agent speaks",
    "cut": "buffered; a window is cut at each interval",
    "gap": "up to 0.2 s: silence; longer: the window is emptied",
    "cut_gap": "as silence it counts for the cadence; longer than 0.2 s, the cadence starts anew",
    "skip": "positions move on",
    "set_format": "the window is emptied; the cadence starts anew",
    "begin_turn": "a new turn: overlap count 0, empty window",
    "end_turn": "settles what is unsettled; forgets the turn",
    "open_overlap": "an overlap opens; what was in its grace is settled first",
    "end_overlap": "no more windows; those on the wire have the grace",
    "end_input": "nothing more is cut; windows on the wire are waited for",
    "close": "what is unsettled becomes inconclusive (closed)",
    "sent": "the window's deadline starts",
    "answer": "frees the place; decides or informs the overlap in which the window was cut",
    "fail": "frees the place; the window is given up",
    "ready": "the newest waiting window goes to the primary judge",
    "unready": "windows go to the fallback, or wait",
    "settings": "windows sent from here on carry them",
}
"""What each handler does, in words; the machine's method of that name does it."""


@attrs.frozen
class Cell:
    """One cell of the table: the effect's name, and the states that it may lead to."""

    effect: str
    leads_to: tuple[State, ...]


_S = State
_ANY_INPUT = (Audio, Gap, Skip, SetFormat, AgentSpeechStarted, AgentSpeechEnded)
_SENTINELS = (OverlapSpeechStarted, OverlapSpeechEnded, Flush, EndOfInput)


def _row(state: State) -> dict[type, Cell]:
    """Build a row: what is the same in each state first, then what is this state's own."""
    settled = {
        _S.OPEN: (_S.OPEN, _S.SPEAKING),
        _S.GRACE: (_S.GRACE, _S.SPEAKING),
        _S.DRAINING: (_S.DRAINING, _S.ENDED),
    }.get(state, (state,))
    return {
        WindowSent: Cell("sent", (state,)),
        Reply: Cell("answer", settled),
        WindowFailed: Cell("fail", settled),
        JudgeReady: Cell("ready", (state,)),
        JudgeUnready: Cell("unready", settled),
        Settings: Cell("settings", (state,)),
        Skip: Cell("skip", (state,)),
        SetFormat: Cell("set_format", (state,)),
        Flush: Cell("nothing", (state,)),
        Audio: Cell("buffer", (state,)),
        Gap: Cell("gap", (state,)),
        Close: Cell("close", (_S.ENDED,)),
    }


TABLE: dict[State, dict[type, Cell]] = {
    _S.SILENT: _row(_S.SILENT)
    | {
        AgentSpeechStarted: Cell("begin_turn", (_S.SPEAKING,)),
        AgentSpeechEnded: Cell("nothing", (_S.SILENT,)),
        OverlapSpeechStarted: Cell("ignore", (_S.SILENT,)),
        OverlapSpeechEnded: Cell("nothing", (_S.SILENT,)),
        EndOfInput: Cell("end_input", (_S.ENDED,)),
    },
    _S.SPEAKING: _row(_S.SPEAKING)
    | {
        AgentSpeechStarted: Cell("nothing", (_S.SPEAKING,)),
        AgentSpeechEnded: Cell("end_turn", (_S.SILENT,)),
        OverlapSpeechStarted: Cell("open_overlap", (_S.OPEN, _S.SPEAKING)),
        OverlapSpeechEnded: Cell("nothing", (_S.SPEAKING,)),
        EndOfInput: Cell("end_input", (_S.ENDED,)),
    },
    _S.OPEN: _row(_S.OPEN)
    | {
        Audio: Cell("cut", (_S.OPEN, _S.SPEAKING)),
        Gap: Cell("cut_gap", (_S.OPEN, _S.SPEAKING)),
        AgentSpeechStarted: Cell("nothing", (_S.OPEN,)),
        AgentSpeechEnded: Cell("end_turn", (_S.SILENT,)),
        OverlapSpeechStarted: Cell("ignore", (_S.OPEN,)),
        OverlapSpeechEnded: Cell("end_overlap", (_S.GRACE, _S.SPEAKING)),
        EndOfInput: Cell("end_input", (_S.DRAINING, _S.ENDED)),
    },
    _S.GRACE: _row(_S.GRACE)
    | {
        AgentSpeechStarted: Cell("nothing", (_S.GRACE,)),
        AgentSpeechEnded: Cell("end_turn", (_S.SILENT,)),
        OverlapSpeechStarted: Cell("open_overlap", (_S.OPEN, _S.SPEAKING)),
        OverlapSpeechEnded: Cell("nothing", (_S.GRACE,)),
        EndOfInput: Cell("end_input", (_S.DRAINING,)),
    },
    _S.DRAINING: _row(_S.DRAINING)
    | {kind: Cell("refuse", (_S.DRAINING,)) for kind in (*_ANY_INPUT, *_SENTINELS)},
    _S.ENDED: dict.fromkeys((*_ANY_INPUT, *_SENTINELS), Cell("refuse", (_S.ENDED,)))
    | dict.fromkeys(
        (WindowSent, Reply, WindowFailed, JudgeReady, JudgeUnready, Settings, Close),
        Cell("nothing", (_S.ENDED,)),
    ),
}
"""``TABLE[state][type of input]`` for every state and every input."""
