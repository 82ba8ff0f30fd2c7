"""Connection life over a WebSocket: one session serves, another may be on its way in or out."""

from __future__ import annotations

from collections.abc import Callable

from bargein.errors import APIConnectionError, APIError, APIStatusError, APITimeoutError

from .connect_options import APIConnectOptions
from .connection import ConnectionMachine
from .connection_items import (
    FAREWELL,
    CallChanged,
    Connect,
    Connected,
    ConnectFailed,
    ConnectStarted,
    CreateSession,
    Disconnect,
    Done,
    Ping,
    Pong,
    SayGoodbye,
    Serve,
    ServerError,
    SessionClosed,
    SessionCreated,
    SessionLost,
    SessionNews,
    Shut,
    Update,
)
from .connection_states import WEBSOCKET_TABLE, ConnectionState, Step, Timer, UpdateState
from .inputs import Settings
from .retry import about
from .session_update import SessionUpdate, connect_timeout, no_threshold
from .sessions import Session
from .states import State
from .verdicts import Reason

__all__ = ["PING_INTERVAL", "PONG_TIMEOUT", "WebSocketConnection"]

PING_INTERVAL = 20.0
"""Seconds between pings: often enough to keep a NAT's or a proxy's entry alive."""

PONG_TIMEOUT = 10.0
"""Seconds that a pong may take; then the peer counts as dead."""

CLEAN_CODES = (1000, 1001)
"""Normal closure and "going away" (RFC 6455, 7.4.1): what an idle server says."""

TOO_MANY_REQUESTS = 429

_S = ConnectionState
_UNSETTLED = (State.OPEN, State.GRACE, State.DRAINING)
_NOTHING = Step("nothing", ())


class WebSocketConnection(ConnectionMachine):
    """The way to a remote over a WebSocket. Parameters and thread-safety as its base."""

    TABLE = WEBSOCKET_TABLE

    def __init__(
        self,
        options: APIConnectOptions | None = None,
        *,
        settings: Settings,
        has_fallback: bool,
        jitter: Callable[[], float],
    ) -> None:
        super().__init__(options, settings=settings, has_fallback=has_fallback, jitter=jitter)
        self._update = SessionUpdate(self._desk, self.options.timeout, self._switch)
        self._hold_until = float("-inf")
        self._was_connected = False

    @property
    def update_state(self) -> UpdateState:
        """Where a change of settings stands."""
        return self._update.state

    def _step_of_session(self, item: SessionNews, step: Step) -> Step:
        if self._main is not None and item.session == self._main.number:
            return step
        if self._update.owns(item.session):
            return Step("update_news", ())
        if item.session in self._leaving:
            return self.TABLE[_S.CLOSING][type(item)]
        return _NOTHING

    def _do_update_news(self, item: SessionNews) -> None:
        self._update.handle(item)
        self.settings = self._update.wanted

    # --- connecting -------------------------------------------------------------------------

    def _try(self) -> None:
        self._main = session = self._desk.new_session()
        self.state = _S.CONNECTING
        self._desk.act(Connect(session.number))

    def _do_wake(self, item: CallChanged) -> None:
        started = self._call is State.SILENT and item.state is State.SPEAKING
        self._call = item.state
        if started or item.state in _UNSETTLED:
            self._try()

    def _do_started(self, item: ConnectStarted) -> None:
        self._desk.start(Timer.CONNECT, self.options.timeout, item.session)

    def _do_connected(self, item: Connected) -> None:
        self._desk.stop(Timer.CONNECT, session=item.session)
        self._count(reconnects=int(self._was_connected))
        self._was_connected = True
        session = self._serving()
        session.settings = self.settings
        self._desk.act(CreateSession(session.number, self.settings))
        self._serve(session)
        held = self._hold_until - self._desk.clock
        if held > 0:
            self.state = _S.HELD
            self._desk.start(Timer.HOLD, held)
        else:
            self.state = _S.READY
            self._set_ready(True)

    def _serve(self, session: Session) -> None:
        self._main, self._late, self._since = session, 0, self._desk.clock
        self._desk.act(Serve(session.number))
        self._tell_settings()
        self._start_ping(session.number)

    def _start_ping(self, session: int) -> None:
        self._desk.start(Timer.PING, about(PING_INTERVAL, self._desk.jitter()), session)

    def _do_connect_failed(self, item: ConnectFailed | SessionLost) -> None:
        self._drop_main(gone=True)
        self._attempt_failed(item.error)

    def _after_connect(self, session: int) -> None:
        if self._update.owns(session):
            self._update.timed_out()
            return
        self._drop_main(gone=False)
        self._attempt_failed(connect_timeout(self.options.timeout))

    # --- the session that serves ------------------------------------------------------------

    def _do_created(self, item: SessionCreated) -> None:
        settings = self._serving().settings
        unknown = item.default_threshold is None
        if unknown and settings is not None and settings.threshold is None:
            self._reject(no_threshold())

    def _do_server_error(self, item: ServerError) -> None:
        if not item.error.retryable:
            self._reject(item.error)
            return
        status = item.error.status_code if isinstance(item.error, APIStatusError) else None
        if status == TOO_MANY_REQUESTS:
            self._set_ready(False)  # first, or the window that waits would be sent after it
            self.state = _S.HELD
            self._hold_until = self._desk.clock + self._schedule.hold()
            self._desk.start(Timer.HOLD, self._hold_until - self._desk.clock)
        self._late = 0
        self._fail_windows(self._serving(), Reason.ERROR)
        self._note(item.error)

    def _after_hold(self, _: int) -> None:
        self.state = _S.READY
        self._set_ready(True)

    def _do_pong(self, item: Pong) -> None:
        self._desk.stop(Timer.PONG, session=item.session)

    def _after_ping(self, session: int) -> None:
        self._desk.act(Ping(session))
        self._desk.start(Timer.PONG, PONG_TIMEOUT, session)
        self._start_ping(session)

    def _after_pong(self, session: int) -> None:
        self._lose(
            APITimeoutError(f"no pong within {PONG_TIMEOUT:g} s; the connection counts as lost")
        )

    def _do_lost(self, item: SessionLost | SessionClosed) -> None:
        gone = isinstance(item, SessionLost)
        session = self._serving()
        clean = item.code in CLEAN_CODES if isinstance(item, SessionLost) else True
        if clean and not session.windows and self._call not in _UNSETTLED:
            self._drop_main(gone=gone)
            self.state = _S.IDLE
            return
        error: APIError = (
            item.error
            if isinstance(item, SessionLost)
            else APIConnectionError("the server closed the session while it was needed")
        )
        self._credit_age()
        self._drop_main(gone=gone)
        self._attempt_failed(error)

    def _lose(self, error: APIError) -> None:
        self._credit_age()
        self._drop_main(gone=False)
        self._attempt_failed(error)

    def _reject(self, error: APIError) -> None:
        """The server won't have us: its windows fail by its answer, not by the connection."""
        self._credit_age()
        self._drop_main(gone=False, reason=Reason.ERROR)
        self._give_up(error)

    def _drop_main(self, *, gone: bool, reason: Reason = Reason.CONNECTION) -> None:
        """Forget the session in service, its windows, and the change of settings beside it."""
        session, self._main, self._since = self._serving(), None, None
        self._desk.stop(Timer.HOLD)
        self._desk.stop_session(session.number)
        if not gone:
            self._desk.act(Disconnect(session.number))
        self._update.drop()
        self._set_ready(False)  # first, or the window that waits would be sent after the others
        self._fail_windows(session, reason)

    # --- other settings ---------------------------------------------------------------------

    def _do_want(self, item: Update) -> None:
        self.settings = item.settings

    def _do_update(self, item: Update) -> None:
        self.settings = item.settings
        present = self._serving().settings
        assert present is not None
        self._update.want(item.settings, present=present, update=item)

    def _after_update(self, _: int) -> None:
        self._update.begin()

    def _after_created(self, _: int) -> None:
        self._update.complete()

    def _switch(self, session: Session) -> None:
        self._credit_age()
        old = self._serving()
        self._desk.stop_session(old.number)
        self._serve(session)
        self._leaving[old.number] = old
        self._emptied(old)

    # --- sessions on their way out ----------------------------------------------------------

    def _emptied(self, session: Session) -> None:
        leaves = session.number in self._leaving and not session.windows
        if leaves and not session.said_goodbye:
            session.said_goodbye = True
            self._desk.act(SayGoodbye(session.number))
            self._desk.start(Timer.FAREWELL, FAREWELL, session.number)

    def _do_leaver_error(self, item: ServerError) -> None:
        session = self._leaving[item.session]
        self._count(failures=1, suppressed=1)
        self._fail_windows(session, Reason.ERROR)
        self._emptied(session)

    def _do_gone(self, item: SessionClosed | SessionLost) -> None:
        if isinstance(item, SessionClosed):
            self._desk.act(Disconnect(item.session))
        self._forget_leaver(item.session)

    def _after_farewell(self, session: int) -> None:
        self._desk.act(Disconnect(session))
        self._forget_leaver(session)

    def _forget_leaver(self, number: int) -> None:
        session = self._leaving.pop(number)
        self._desk.stop_session(number)
        if session.windows:
            self._count(failures=1, suppressed=1)
        self._fail_windows(session, Reason.CONNECTION)
        if self.state is _S.CLOSING and not self._leaving:
            self._finish()

    # --- the end ----------------------------------------------------------------------------

    def _do_shut(self, item: Shut) -> None:
        self._desk.stop(Timer.RETRY, Timer.HOLD)
        self._update.drop()
        self._set_ready(False)
        session, self._main = self._main, None
        if session is not None:
            self._desk.stop_session(session.number)
            if self.state is _S.CONNECTING:
                self._desk.act(Disconnect(session.number))
            else:
                self._leaving[session.number] = session
        self.state = _S.CLOSING
        for leaver in self._leaving.values():
            leaver.windows.clear()  # whatever they would say, nobody waits for it
            self._emptied(leaver)
        self._hasten(item.patience)

    def _do_hurry(self, item: Shut) -> None:
        self._hasten(item.patience)

    def _hasten(self, patience: float) -> None:
        for number in list(self._leaving):
            left = min(self._desk.left(Timer.FAREWELL, number), patience)
            self._desk.start(Timer.FAREWELL, left, number)
            if left <= 0:
                self._desk.stop(Timer.FAREWELL, session=number)
                self._after_farewell(number)
        if not self._leaving and self.state is _S.CLOSING:
            self._finish()

    def _finish(self) -> None:
        self._end()
        self._desk.act(Done())

    def _abandon(self) -> None:
        for session in self._leaving.values():
            self._desk.act(Disconnect(session.number))
            self._fail_windows(session, Reason.CONNECTION)
        self._leaving.clear()
