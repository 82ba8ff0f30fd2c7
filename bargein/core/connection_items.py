"""What goes into a connection machine, and what comes out of it. All are immutable values.

A connection machine also takes four values of the interruption machine's:
:class:`~bargein.core.WindowSent` and :class:`~bargein.core.Reply` (of the primary judge), and the
actions :class:`~bargein.core.CancelWindow`.

WebSocket sessions are numbered by the machine. News names its session, so that what is heard of an
old one is never taken for news of the one that serves.
"""

from __future__ import annotations

import attrs

from bargein.errors import APIError

from .inputs import JudgeReady, JudgeUnready, Settings, WindowFailed
from .states import State

__all__ = [
    "AnnounceError",
    "CallChanged",
    "Connect",
    "ConnectFailed",
    "ConnectStarted",
    "Connected",
    "ConnectionAction",
    "CreateSession",
    "Disconnect",
    "Done",
    "FailStream",
    "Garbled",
    "Open",
    "Ping",
    "Pong",
    "RequestFailed",
    "SayGoodbye",
    "Serve",
    "ServerError",
    "SessionClosed",
    "SessionCreated",
    "SessionLost",
    "SessionNews",
    "Shut",
    "Tell",
    "Update",
]

FAREWELL = 1.0
"""Seconds that a server has to answer ``session.close`` before its socket is closed anyway."""


# --- in: the stream's wishes ----------------------------------------------------------------


@attrs.frozen
class Open:
    """The stream begins."""


@attrs.frozen
class Shut:
    """Nothing more will be judged: say goodbye, and wait at most ``patience`` seconds for it."""

    patience: float = FAREWELL


@attrs.frozen
class CallChanged:
    """The interruption machine's state is another now."""

    state: State


@attrs.frozen
class Update:
    """The user wants other settings (``update_options``)."""

    settings: Settings


# --- in: news of sessions (WebSocket) -------------------------------------------------------


@attrs.frozen
class SessionNews:
    """News of the session with this number."""

    session: int


@attrs.frozen
class ConnectStarted(SessionNews):
    """A thread took the attempt: the connect timeout starts."""


@attrs.frozen
class Connected(SessionNews):
    """The handshake is done; the socket is in the driver's hands."""


@attrs.frozen
class ConnectFailed(SessionNews):
    """No connection was made; nothing is left of the attempt."""

    error: APIError


@attrs.frozen
class SessionCreated(SessionNews):
    """The server took the settings; ``default_threshold`` ``None``: it named none."""

    default_threshold: float | None = None


@attrs.frozen
class ServerError(SessionNews):
    """The server sent an ``error`` message; ``error.retryable`` False: it ends the stream."""

    error: APIError


@attrs.frozen
class SessionClosed(SessionNews):
    """The server sent ``session.closed``."""


@attrs.frozen
class SessionLost(SessionNews):
    """The connection is gone, and its socket closed. ``code``: of the CLOSE frame, if one came."""

    error: APIError
    code: int | None = None


@attrs.frozen
class Pong(SessionNews):
    """The answer to a ping."""


# --- in: other news -------------------------------------------------------------------------


@attrs.frozen
class RequestFailed:
    """A request (HTTP) brought no reply: no connection, or a status that is an error."""

    window_id: int
    error: APIError


@attrs.frozen
class Garbled:
    """Something came that can't be understood; ``window_id``: the window that fails by it."""

    error: APIError
    window_id: int | None = None


# --- out ------------------------------------------------------------------------------------


@attrs.frozen
class Connect:
    """Open a connection for the session with this number, with a token of its own."""

    session: int


@attrs.frozen
class CreateSession:
    """Send ``session.create`` with these settings."""

    session: int
    settings: Settings


@attrs.frozen
class Serve:
    """From now on windows go to this session."""

    session: int


@attrs.frozen
class Ping:
    """Send a ping."""

    session: int


@attrs.frozen
class SayGoodbye:
    """Send ``session.close``; go on reading."""

    session: int


@attrs.frozen
class Disconnect:
    """Close this session's socket, or abandon its attempt; its news no longer matters."""

    session: int


@attrs.frozen
class Tell:
    """Hand this to the interruption machine, and carry out what it wants, before going on."""

    item: JudgeReady | JudgeUnready | Settings | WindowFailed


@attrs.frozen
class AnnounceError:
    """Emit an error event. ``failures``: failed attempts since the remote was last well."""

    error: APIError
    recoverable: bool
    failures: int = 0


@attrs.frozen
class FailStream:
    """The stream ends by raising this to whoever reads it; no action follows."""

    error: APIError


@attrs.frozen
class Done:
    """All is shut; no action follows."""


ConnectionAction = (
    Connect
    | CreateSession
    | Serve
    | Ping
    | SayGoodbye
    | Disconnect
    | Tell
    | AnnounceError
    | FailStream
    | Done
)
