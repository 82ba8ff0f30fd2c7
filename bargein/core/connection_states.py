"""A connection's states, and what each input does in each. HTTP has no connection to lose.

The tables drive the machines, are rendered in the documentation, and are walked whole by a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import attrs

from .actions import CancelWindow
from .connection_items import (
    CallChanged,
    Connected,
    ConnectFailed,
    ConnectStarted,
    Garbled,
    Open,
    Pong,
    RequestFailed,
    ServerError,
    SessionClosed,
    SessionCreated,
    SessionLost,
    Shut,
    Update,
)
from .inputs import Reply, WindowSent

__all__ = [
    "CONNECTION_EFFECTS",
    "HTTP_TABLE",
    "TIMERS",
    "UPDATE_EFFECTS",
    "UPDATE_TABLE",
    "WEBSOCKET_TABLE",
    "ConnectionState",
    "Step",
    "Timer",
    "UpdateState",
]


class ConnectionState(str, Enum):
    """Where the way to the remote stands."""

    IDLE = "idle"
    """Nothing is wrong, and no connection is needed: before the start, or since a clean close."""
    CONNECTING = "connecting"
    """An attempt to connect is under way."""
    READY = "ready"
    """Windows go to the remote."""
    HELD = "held"
    """A session stands, but the server asked not to be sent anything for a while."""
    WAITING = "waiting"
    """An attempt failed; the next one is due by the retry schedule."""
    RESTING = "resting"
    """The remote was given up; the fallback judges, and every 30 s the remote is tried again."""
    CLOSING = "closing"
    """Goodbye is said; its answer is waited for, not for long."""
    ENDED = "ended"
    """All is shut, or the stream has failed."""


class UpdateState(str, Enum):
    """Where a change of settings (``update_options``) stands while a session serves."""

    NONE = "none"
    """No change is wanted."""
    PLANNED = "planned"
    """A change is due soon, or again after a refusal."""
    CONNECTING = "connecting"
    """The new session's connection is being made."""
    CREATING = "creating"
    """The new session was asked for; the old one serves until it is created."""


class Timer(str, Enum):
    """What a connection machine waits for when it waits for time."""

    CONNECT = "connect"
    RETRY = "retry"
    HOLD = "hold"
    PING = "ping"
    PONG = "pong"
    UPDATE = "update"
    CREATED = "created"
    FAREWELL = "farewell"


TIMERS: dict[Timer, str] = {
    Timer.CONNECT: "`timeout` since the attempt was started: it failed",
    Timer.RETRY: "the retry schedule, or 30 s of rest: the remote is tried again",
    Timer.HOLD: "`retry_interval` after a 429 within the session: windows go again",
    Timer.PING: "about every 20 s: a ping is sent",
    Timer.PONG: "10 s since a ping: the connection is lost",
    Timer.UPDATE: "up to 1 s after `update_options`, by chance: a new session is opened",
    Timer.CREATED: "1 s since the new session was asked for: it is taken as created",
    Timer.FAREWELL: "1 s since goodbye was said: the socket is closed",
}
"""What each timer measures, and what happens when it has run out."""


CONNECTION_EFFECTS: dict[str, str] = {
    "nothing": "changes nothing",
    "open": "the remote is tried",
    "shut": "goodbye is said to each session; attempts are abandoned",
    "hurry": "the goodbye's patience may get shorter",
    "note_call": "the call's state is noted",
    "wake": "the agent started or an overlap opened: the remote is tried",
    "want": "the next session is created with these settings",
    "settings": "requests carry these settings from here on",
    "update": "a second session is planned (see below)",
    "started": "the connect timeout starts",
    "connected": "the session is created, and windows go to it at once",
    "connect_failed": "a failed attempt: the retry schedule, or given up",
    "created": "without a default threshold, where none was given: given up",
    "server_error": "its windows fail; 429: held; any other 4xx but 408 and 499: given up",
    "lost": "a clean close that harms nobody: idle; else its windows fail and an attempt is spent",
    "pong": "the peer lives",
    "sent": "the window is in flight",
    "answer": "a sign of health: the retry count and the outage are over",
    "cancelled": "too late: an error for the first of a run; at the fourth the connection is lost",
    "garbled": "an error, once an outage; the window, if it is known, fails",
    "request_failed": "the window fails; a failed attempt: the retry schedule, or given up",
    "straggler": "the window fails; no attempt is spent, but 4xx still gives up",
    "gone": "one session less to wait for",
    "leaver_error": "its windows fail",
}
"""What each effect is, in words; the machine's method of that name does it."""

UPDATE_EFFECTS: dict[str, str] = {
    "nothing": "changes nothing",
    "plan": "a new session is due within a second, by chance",
    "replan": "the newer settings replace those that wait; back to the present ones: no change",
    "replace": "the new session is dropped and another opened, unless the settings are its own",
    "started": "the connect timeout starts",
    "connected": "the new session is created",
    "refused": "one recoverable error; the old session goes on; tried again if that may help",
    "switch": "windows go to the new session; the old one leaves when its windows are through",
}
"""The same for a change of settings."""


@attrs.frozen
class Step:
    """One cell of a table: the effect's name, and the states that it may lead to."""

    effect: str
    leads_to: tuple[Enum, ...]
    handler: str = attrs.field(init=False, eq=False, repr=False)
    """The machine's method that does it."""

    @handler.default
    def _(self) -> str:
        return f"_do_{self.effect}"


_S = ConnectionState
_U = UpdateState
_Row = dict[type, Step]

_NEWS: tuple[type, ...] = (
    *(ConnectStarted, Connected, ConnectFailed, SessionCreated, ServerError),
    *(SessionClosed, SessionLost, Pong),
)
_COMMON: tuple[type, ...] = (Open, Shut, CallChanged, Update)
_WINDOWS: tuple[type, ...] = (WindowSent, Reply, CancelWindow, Garbled)


def _nothing(inputs: tuple[type, ...], state: Enum) -> _Row:
    return dict.fromkeys(inputs, Step("nothing", (state,)))


def _cells(cells: Mapping[type, tuple[str, tuple[Enum, ...]]]) -> _Row:
    return {kind: Step(effect, leads_to) for kind, (effect, leads_to) in cells.items()}


_FAILED = (_S.WAITING, _S.RESTING, _S.ENDED)
_GIVEN_UP = (_S.RESTING, _S.ENDED)
_SHUT = (_S.CLOSING, _S.ENDED)


def _websocket_row(state: ConnectionState) -> _Row:
    """Build what is the same in each state that isn't the end."""
    return _nothing((*_COMMON, *_NEWS, WindowSent), state) | _cells(
        {
            Shut: ("shut", _SHUT),
            CallChanged: ("note_call", (state,)),
            Update: ("want", (state,)),
            Reply: ("answer", (state,)),
            CancelWindow: ("cancelled", (state,)),
            Garbled: ("garbled", (state,)),
        }
    )


def _serving_row(state: ConnectionState) -> _Row:
    """Build what is the same in each state in which a session stands."""
    return _websocket_row(state) | _cells(
        {
            Update: ("update", (state,)),
            SessionCreated: ("created", (state, *_GIVEN_UP)),
            SessionClosed: ("lost", (_S.IDLE, *_FAILED)),
            SessionLost: ("lost", (_S.IDLE, *_FAILED)),
            ServerError: ("server_error", (state, _S.HELD, *_GIVEN_UP)),
            Pong: ("pong", (state,)),
            WindowSent: ("sent", (state,)),
        }
    )


WEBSOCKET_TABLE: dict[ConnectionState, _Row] = {
    _S.IDLE: _websocket_row(_S.IDLE)
    | _cells({Open: ("open", (_S.CONNECTING,)), CallChanged: ("wake", (_S.IDLE, _S.CONNECTING))}),
    _S.CONNECTING: _websocket_row(_S.CONNECTING)
    | _cells(
        {
            ConnectStarted: ("started", (_S.CONNECTING,)),
            Connected: ("connected", (_S.READY, _S.HELD)),
            ConnectFailed: ("connect_failed", _FAILED),
            SessionLost: ("connect_failed", _FAILED),
        }
    ),
    _S.READY: _serving_row(_S.READY) | _cells({CancelWindow: ("cancelled", (_S.READY, *_FAILED))}),
    _S.HELD: _serving_row(_S.HELD),
    _S.WAITING: _websocket_row(_S.WAITING),
    _S.RESTING: _websocket_row(_S.RESTING),
    _S.CLOSING: _nothing((*_COMMON, *_NEWS, *_WINDOWS), _S.CLOSING)
    | _cells(
        {
            Shut: ("hurry", _SHUT),
            SessionClosed: ("gone", _SHUT),
            SessionLost: ("gone", _SHUT),
            ServerError: ("leaver_error", (_S.CLOSING,)),
        }
    ),
    _S.ENDED: _nothing((*_COMMON, *_NEWS, *_WINDOWS), _S.ENDED),
}
"""``WEBSOCKET_TABLE[state][type of input]``, for every state and every input.

News of a session that isn't the one in service is handled elsewhere: of an update's new session by
:data:`UPDATE_TABLE`, of one that is on its way out as in the row ``closing``, of any other not at
all.
"""


def _http_row(state: ConnectionState) -> _Row:
    return _cells(
        {
            Open: ("nothing", (state,)),
            Shut: ("shut", (_S.ENDED,)),
            CallChanged: ("note_call", (state,)),
            Update: ("settings", (state,)),
            WindowSent: ("sent", (state,)),
            Reply: ("answer", (state,)),
            CancelWindow: ("cancelled", (state,)),
            Garbled: ("garbled", (state,)),
            RequestFailed: ("straggler", (state,)),
        }
    )


HTTP_TABLE: dict[ConnectionState, _Row] = {
    _S.IDLE: _http_row(_S.IDLE)
    | _cells({Open: ("open", (_S.READY,)), RequestFailed: ("nothing", (_S.IDLE,))}),
    _S.READY: _http_row(_S.READY)
    | _cells(
        {
            CancelWindow: ("cancelled", (_S.READY, *_FAILED)),
            RequestFailed: ("request_failed", (_S.READY, *_FAILED)),
        }
    ),
    _S.WAITING: _http_row(_S.WAITING)
    | _cells({RequestFailed: ("straggler", (_S.WAITING, *_GIVEN_UP))}),
    _S.RESTING: _http_row(_S.RESTING),
    _S.ENDED: _nothing((*_COMMON, *_WINDOWS, RequestFailed), _S.ENDED),
}
"""``HTTP_TABLE[state][type of input]``, for every state and every input."""

_UPDATE_INPUTS = (Update, *_NEWS)

UPDATE_TABLE: dict[UpdateState, _Row] = {
    _U.NONE: _nothing(_UPDATE_INPUTS, _U.NONE) | _cells({Update: ("plan", (_U.PLANNED, _U.NONE))}),
    _U.PLANNED: _nothing(_UPDATE_INPUTS, _U.PLANNED)
    | _cells({Update: ("replan", (_U.PLANNED, _U.NONE))}),
    _U.CONNECTING: _nothing(_UPDATE_INPUTS, _U.CONNECTING)
    | _cells(
        {
            Update: ("replan", (_U.CONNECTING, _U.NONE)),
            ConnectStarted: ("started", (_U.CONNECTING,)),
            Connected: ("connected", (_U.CREATING,)),
            ConnectFailed: ("refused", (_U.PLANNED, _U.NONE)),
            SessionLost: ("refused", (_U.PLANNED, _U.NONE)),
        }
    ),
    _U.CREATING: _nothing(_UPDATE_INPUTS, _U.CREATING)
    | _cells(
        {
            Update: ("replace", (_U.CREATING, _U.CONNECTING, _U.NONE)),
            SessionCreated: ("switch", (_U.NONE,)),
            ServerError: ("refused", (_U.PLANNED, _U.NONE)),
            SessionClosed: ("refused", (_U.PLANNED,)),
            SessionLost: ("refused", (_U.PLANNED, _U.NONE)),
        }
    ),
}
"""``UPDATE_TABLE[state][type of input]``: the second session, while the first one serves."""
