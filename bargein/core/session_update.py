"""``update_options`` on a live WebSocket: a second session first, then the switch.

The protocol has no message that changes a session's settings. So a new session is opened beside the
one that serves, and takes over when it is created; a caller who speaks meanwhile notices nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bargein.errors import APIError, APITimeoutError

from .connection_items import (
    AnnounceError,
    Connect,
    Connected,
    ConnectFailed,
    ConnectStarted,
    CreateSession,
    Disconnect,
    ServerError,
    SessionClosed,
    SessionCreated,
    SessionLost,
)
from .connection_states import UPDATE_TABLE, Timer, UpdateState
from .inputs import Settings
from .retry import REST, about
from .sessions import Desk, Session

__all__ = ["CREATED_PATIENCE", "UPDATE_SPREAD", "SessionUpdate", "no_threshold"]

UPDATE_SPREAD = 1.0
"""Seconds over which the streams of a detector spread a change of settings: hundreds of handshakes
at once would hurt the calls that the server judges."""

CREATED_PATIENCE = 1.0
"""Seconds for ``session.created`` to come. It needn't, but a refusal would come in its place, so
the old session is kept until a server that refuses has had time to say so."""

_U = UpdateState


def no_threshold() -> APIError:
    """Make the error for a server without a default threshold, where the user gave none either."""
    return APIError(
        "the server's session.created names no default_threshold, and no threshold was given, so "
        "nothing could be decided: pass threshold=… (0.5 is a start) to the detector",
        retryable=False,
    )


class SessionUpdate:
    """A change of settings: the second session from the wish for it until it serves.

    ``switch`` is called with the new session when it takes over. Not thread-safe; a machine owns
    it.
    """

    def __init__(self, desk: Desk, timeout: float, switch: Callable[[Session], None]) -> None:
        self.state = _U.NONE
        self.wanted = Settings(None, 1)
        """What the new session is to be created with."""
        self._desk = desk
        self._timeout = timeout
        self._switch = switch
        self._session: Session | None = None
        self._present = self.wanted
        self._announced = False

    def owns(self, number: int) -> bool:
        """Return whether this is the number of the new session."""
        return self._session is not None and self._session.number == number

    def handle(self, item: Any) -> None:
        """Take news of the new session."""
        effect: Callable[[Any], None]
        effect = getattr(self, f"_do_{UPDATE_TABLE[self.state][type(item)].effect}")
        effect(item)

    def want(self, settings: Settings, *, present: Settings, update: object) -> None:
        """Take a wish for ``settings``, while a session with ``present`` serves."""
        self.wanted, self._present, self._announced = settings, present, False
        self.handle(update)

    def drop(self) -> None:
        """Forget the change: the next session is created with whatever is wanted then."""
        self._desk.stop(Timer.UPDATE)
        if self._session is not None:
            self._desk.act(Disconnect(self._session.number))
        self._forget()

    def _forget(self) -> None:
        if self._session is not None:
            self._desk.stop_session(self._session.number)
        self._session, self.state = None, _U.NONE

    def _new(self) -> Session:
        assert self._session is not None
        return self._session

    # --- effects ----------------------------------------------------------------------------

    def _do_nothing(self, item: object) -> None:
        pass

    def _do_plan(self, item: object) -> None:
        if self.wanted != self._present:
            self.state = _U.PLANNED
            self._desk.start(Timer.UPDATE, UPDATE_SPREAD * self._desk.jitter())

    def _do_replan(self, item: object) -> None:
        if self.wanted == self._present:
            self.drop()
        elif self.state is _U.PLANNED:  # after a refusal it may be due late
            soon = UPDATE_SPREAD * self._desk.jitter()
            self._desk.start(Timer.UPDATE, min(soon, self._desk.left(Timer.UPDATE)))

    def _do_replace(self, item: object) -> None:
        if self.wanted == self._present:
            self.drop()
        elif self.wanted != self._new().settings:
            self.drop()
            self.begin()

    def begin(self) -> None:
        """Open the new session: its time has come."""
        self._session, self.state = self._desk.new_session(), _U.CONNECTING
        self._desk.act(Connect(self._session.number))

    def _do_started(self, item: ConnectStarted) -> None:
        self._desk.start(Timer.CONNECT, self._timeout, item.session)

    def _do_connected(self, item: Connected) -> None:
        self._desk.stop(Timer.CONNECT, session=item.session)
        self._desk.start(Timer.CREATED, CREATED_PATIENCE, item.session)
        self._new().settings = self.wanted
        self._desk.act(CreateSession(item.session, self.wanted))
        self.state = _U.CREATING

    def _do_switch(self, item: SessionCreated) -> None:
        if self.wanted.threshold is None and item.default_threshold is None:
            self._refuse(no_threshold(), gone=False)
        else:
            self.complete()

    def complete(self) -> None:
        """Let the new session serve."""
        session = self._new()
        self._forget()
        self._switch(session)

    def _do_refused(self, item: ConnectFailed | SessionLost | ServerError | SessionClosed) -> None:
        if isinstance(item, SessionClosed):
            error = APIError("the server closed the new session instead of creating it")
        else:
            error = item.error
        self._refuse(error, gone=isinstance(item, (ConnectFailed, SessionLost)))

    def timed_out(self) -> None:
        """The new session's connection took too long."""
        self._refuse(connect_timeout(self._timeout), gone=False)

    def _refuse(self, error: APIError, *, gone: bool) -> None:
        """Keep the old session; try again later where that may help, and say so once."""
        if not gone:
            self._desk.act(Disconnect(self._new().number))
        self._forget()
        if not self._announced:
            self._desk.act(AnnounceError(error, recoverable=True))
        self._announced = True
        if error.retryable:
            self.state = _U.PLANNED
            self._desk.start(Timer.UPDATE, about(REST, self._desk.jitter()))
        else:
            self.wanted = self._present


def connect_timeout(timeout: float) -> APITimeoutError:
    """Make the error for a connection that took too long."""
    return APITimeoutError(
        f"no connection within {timeout:g} s: check base_url and the network, or raise the "
        "connect option timeout"
    )
