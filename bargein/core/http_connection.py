"""Connection life over HTTP: each request is an attempt, and there is no connection to keep."""

from __future__ import annotations

from collections.abc import Callable

from bargein.errors import APIConnectionError, APIError

from .connect_options import APIConnectOptions
from .connection import ConnectionMachine
from .connection_items import Done, RequestFailed, Shut, Update
from .connection_states import HTTP_TABLE, ConnectionState, Timer
from .inputs import Settings
from .retry import asked_to_wait
from .sessions import Session
from .verdicts import Reason

__all__ = ["HttpConnection"]

_S = ConnectionState


def failure_reason(error: APIError) -> Reason:
    """Say why a window is given up whose request failed so."""
    return Reason.CONNECTION if isinstance(error, APIConnectionError) else Reason.ERROR


class HttpConnection(ConnectionMachine):
    """The way to a remote over HTTP. Parameters and thread-safety as its base."""

    TABLE = HTTP_TABLE

    def __init__(
        self,
        options: APIConnectOptions | None = None,
        *,
        settings: Settings,
        has_fallback: bool,
        jitter: Callable[[], float],
    ) -> None:
        super().__init__(options, settings=settings, has_fallback=has_fallback, jitter=jitter)
        self._main = Session(0)  # holds the windows, of whatever connection

    def _try(self) -> None:
        self._count(reconnects=int(self.state is not _S.IDLE))
        self._late = 0
        self.state = _S.READY
        self._set_ready(True)

    def _lose(self, error: APIError) -> None:
        # other requests in flight have connections of their own, and their own deadlines
        self._set_ready(False)
        self._attempt_failed(error)

    def _abandon(self) -> None:
        self._fail_windows(self._serving(), Reason.CONNECTION)

    def _do_settings(self, item: Update) -> None:
        self.settings = item.settings
        self._tell_settings()

    def _do_shut(self, item: Shut) -> None:
        self._end()
        self._desk.act(Done())

    def _do_request_failed(self, item: RequestFailed) -> None:
        if self._take_window(item.window_id) is None:
            return  # it was given up, and its request aborted: no news
        self._set_ready(False)  # first, or the window that waits would be sent after it
        self._fail_window(item.window_id, failure_reason(item.error))
        self._attempt_failed(item.error)

    def _do_straggler(self, item: RequestFailed) -> None:
        """A request of before the outage was noticed: one outage, one attempt."""
        if self._take_window(item.window_id) is None:
            return
        self._fail_window(item.window_id, failure_reason(item.error))
        if not item.error.retryable:
            self._give_up(item.error)
            return
        self._note(item.error)
        wait = asked_to_wait(item.error)
        if wait > self._desk.left(Timer.RETRY):
            self._desk.start(Timer.RETRY, wait)
