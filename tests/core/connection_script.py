"""Transcripts of a connection's life: ``time  input -> actions``, one a line.

``play`` gives each line's input to a machine and writes the transcript anew with the actions that
came; a test compares the two, so a failure reads as a diff. ``time`` means that the next deadline
is due at just that time and is handled. No line may pass over a deadline.

Chance is 0 unless said otherwise: a retry comes after 0.1 s, then 2 s; a ping every 18 s; a
remote that was given up is tried again after 27 s; an update waits for nothing.
"""

from __future__ import annotations

from typing import Any

import pytest

from bargein.core.actions import CancelWindow
from bargein.core.connect_options import APIConnectOptions
from bargein.core.connection import ConnectionMachine
from bargein.core.connection_items import (
    AnnounceError,
    CallChanged,
    Connect,
    Connected,
    ConnectFailed,
    ConnectStarted,
    CreateSession,
    Disconnect,
    Done,
    FailStream,
    Garbled,
    Open,
    Ping,
    Pong,
    RequestFailed,
    SayGoodbye,
    Serve,
    ServerError,
    SessionClosed,
    SessionCreated,
    SessionLost,
    Shut,
    Tell,
    Update,
)
from bargein.core.connection_states import ConnectionState, Timer
from bargein.core.http_connection import HttpConnection
from bargein.core.inputs import (
    Judge,
    JudgeReady,
    JudgeUnready,
    Reply,
    Settings,
    WindowFailed,
    WindowSent,
)
from bargein.core.states import State
from bargein.core.verdicts import Reason
from bargein.core.websocket_connection import WebSocketConnection
from bargein.core.window import Prediction
from bargein.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    ProtocolError,
)

SETTINGS = Settings(0.5, 2)


S = ConnectionState

# Which timers of a WebSocket's machine may run in a state, and which must.
MAY_RUN = {
    S.IDLE: {Timer.FAREWELL},
    S.CONNECTING: {Timer.CONNECT, Timer.FAREWELL},
    S.READY: set(Timer) - {Timer.RETRY, Timer.HOLD},
    S.HELD: set(Timer) - {Timer.RETRY},
    S.WAITING: {Timer.RETRY, Timer.FAREWELL},
    S.RESTING: {Timer.RETRY, Timer.FAREWELL},
    S.CLOSING: {Timer.FAREWELL},
    S.ENDED: set(),
}
MUST_RUN = {
    S.READY: {Timer.PING},
    S.HELD: {Timer.PING, Timer.HOLD},
    S.WAITING: {Timer.RETRY},
    S.RESTING: {Timer.RETRY},
    S.CLOSING: {Timer.FAREWELL},
}


def websocket(
    max_retry: int | None = 3,
    *,
    fallback: bool = False,
    settings: Settings = SETTINGS,
    jitter: float = 0.0,
    retry_interval: float = 2.0,
) -> WebSocketConnection:
    options = APIConnectOptions(max_retry=max_retry, retry_interval=retry_interval)
    return WebSocketConnection(
        options, settings=settings, has_fallback=fallback, jitter=lambda: jitter
    )


def http(
    max_retry: int | None = 3, *, fallback: bool = False, jitter: float = 0.0
) -> HttpConnection:
    return HttpConnection(
        APIConnectOptions(max_retry=max_retry),
        settings=SETTINGS,
        has_fallback=fallback,
        jitter=lambda: jitter,
    )


def error(word: str) -> APIError:
    """``down``, ``slow``, ``503``, or ``429:7`` (it asks to wait 7 s)."""
    if word == "down":
        return APIConnectionError("down")
    if word == "slow":
        return APITimeoutError("slow")
    status, _, wait = word.partition(":")
    code = int(status)
    retryable = code >= 500 or code in (408, 499) or bool(wait)
    return APIStatusError(
        word, status_code=code, retryable=retryable, retry_after=float(wait) if wait else None
    )


def in_band(word: str) -> APIError:
    """An ``error`` message: a 429 in it doesn't end the session."""
    code = int(word)
    retryable = not 400 <= code < 500 or code in (408, 429, 499)
    return APIStatusError(word, status_code=code, retryable=retryable)


def settings(word: str) -> Settings:
    threshold, _, frames = word.partition("/")
    return Settings(None if threshold == "-" else float(threshold), int(frames))


_CALL = {"silent": State.SILENT, "speaks": State.SPEAKING}
_OVERLAP = {"opens": State.OPEN, "grace": State.GRACE, "settled": State.SPEAKING}


def item(text: str) -> Any:
    """Read an input."""
    verb, *words = text.split()
    match verb, *words:
        case ("open",):
            return Open()
        case ("shut", *patience):
            return Shut(*(float(word) for word in patience))
        case ("agent", word):
            return CallChanged(_CALL[word])
        case ("overlap", word):
            return CallChanged(_OVERLAP[word])
        case ("update", word):
            return Update(settings(word))
        case ("started", n):
            return ConnectStarted(int(n))
        case ("connected", n):
            return Connected(int(n))
        case ("refused", n, what):
            return ConnectFailed(int(n), error(what))
        case ("created", n, *default):
            return SessionCreated(int(n), *(float(word) for word in default))
        case ("error", n, code):
            return ServerError(int(n), in_band(code))
        case ("closed", n):
            return SessionClosed(int(n))
        case ("lost", n, *code):
            return SessionLost(int(n), APIConnectionError("lost"), *(int(c) for c in code))
        case ("broken", n):
            return SessionLost(int(n), ProtocolError("broken", retryable=False))
        case ("pong", n):
            return Pong(int(n))
        case ("sent", window):
            return WindowSent(int(window))
        case ("answered", window):
            return Reply(int(window), Prediction([]))
        case ("late", window):
            return CancelWindow(int(window), Judge.PRIMARY, Reason.TIMEOUT)
        case ("cancelled", window):
            return CancelWindow(int(window), Judge.PRIMARY, Reason.ERROR)
        case ("fallback-late", window):
            return CancelWindow(int(window), Judge.FALLBACK, Reason.TIMEOUT)
        case ("failed", window, what):
            return RequestFailed(int(window), error(what))
        case ("garbled", *window):
            return Garbled(ProtocolError("garbled"), *(int(word) for word in window))
    raise ValueError(f"no such input: {text!r}")


def error_word(found: APIError) -> str:
    if isinstance(found, APIStatusError):
        return str(found.status_code)
    if isinstance(found, APITimeoutError):
        return next(
            w for w in ("pong", "window(s)", "window", "connection", "slow") if w in str(found)
        )
    if "default_threshold" in str(found):
        return "no-threshold"
    return "closed" if "the server closed" in str(found) else str(found)


def settings_word(value: Settings) -> str:
    return f"{'-' if value.threshold is None else format(value.threshold, 'g')}/{value.min_frames}"


def action_text(action: Any) -> str:
    match action:
        case Tell(JudgeReady()):
            return "ready"
        case Tell(JudgeUnready()):
            return "unready"
        case Tell(WindowFailed(window_id, reason)):
            return f"fail {window_id} {reason.value}"
        case Tell(Settings() as told):
            return f"settings {settings_word(told)}"
        case CreateSession(n, wanted):
            return f"create {n} {settings_word(wanted)}"
        case AnnounceError(found, recoverable):
            return f"announce {error_word(found)}" + ("" if recoverable else " for good")
        case FailStream(found):
            return f"end by {error_word(found)}"
        case Done():
            return "done"
    verbs = {
        Connect: "connect",
        Serve: "serve",
        Ping: "ping",
        SayGoodbye: "goodbye",
        Disconnect: "disconnect",
    }
    return f"{verbs[type(action)]} {action.session}"


def play(machine: ConnectionMachine, script: str) -> None:
    """Play a transcript and compare it with what happens."""
    expected, found = [], []
    for line in filter(str.strip, script.splitlines()):
        head, _, actions = (part.strip() for part in line.partition("->"))
        moment, what = head.split(maxsplit=1)
        now = float(moment)
        deadline = machine.next_deadline()
        if what == "time":
            assert deadline == pytest.approx(now), f"before {line!r}"
            did = machine.handle_deadline(now=max(now, deadline or 0.0))
        else:
            assert deadline is None or deadline >= now - 1e-9, f"passed over before {line!r}"
            did = machine.handle(item(what), now=now)
        expected.append(f"{moment} {what} -> {actions}")
        found.append(f"{moment} {what} -> {'; '.join(map(action_text, did))}")
    assert found == expected
