"""The HTTP driver: each window is a request, and a connection machine says when one may go."""

from __future__ import annotations

from collections.abc import Callable

from bargein.core import Judge, Prediction, Reply, Settings, State, Window, WindowSent
from bargein.core.actions import CancelWindow
from bargein.core.connect_options import APIConnectOptions
from bargein.core.connection_items import (
    CallChanged,
    ConnectionAction,
    Garbled,
    Open,
    RequestFailed,
    Shut,
    Update,
)
from bargein.core.http_connection import HttpConnection
from bargein.core.verdicts import Reason
from bargein.errors import APIError, ProtocolError
from bargein.runtime.pool import Pool

from .calls import Call, CallDriver
from .http_adapter import HttpRequest
from .http_client import HttpClient
from .loop import ConnectionLoop
from .protocol import Host

__all__ = ["HttpDriver"]


class HttpDriver(CallDriver):
    """Posts a stream's windows to a server; ``width`` at a time, each on a pool's thread."""

    def __init__(
        self,
        host: Host,
        pool: Pool,
        *,
        client: HttpClient,
        options: APIConnectOptions,
        settings: Settings,
        width: int,
        has_fallback: bool,
        jitter: Callable[[], float],
    ) -> None:
        super().__init__(host, pool, judge=Judge.PRIMARY, width=width)
        machine = HttpConnection(
            options, settings=settings, has_fallback=has_fallback, jitter=jitter
        )
        self._client = client
        self._loop = ConnectionLoop(machine, host, self._act)

    @property
    def reconnects(self) -> int:
        """Times that the server was tried again after a failure."""
        return self._loop.reconnects

    @property
    def faults(self) -> int:
        """Faults of the server, announced or not, ever."""
        return self._loop.faults

    def make_call(self, window: Window) -> tuple[Call, Callable[[], Prediction]]:
        request = HttpRequest()
        return Call(window.id, request.abort), lambda: self._judge(request, window)

    def _judge(self, request: HttpRequest, window: Window) -> Prediction:
        response = self._client.judge(
            request,
            window.id,
            window.samples,
            threshold=window.threshold,
            min_frames=window.min_frames,
        )
        return Prediction(response.checked, response.is_bargein, response.prediction_duration)

    def note_sent(self, window_id: int, now: float) -> None:
        if window_id in self._calls:
            self._loop.feed(WindowSent(window_id), now)
            super().note_sent(window_id, now)

    def note_reply(self, window_id: int, prediction: Prediction, now: float) -> None:
        self._loop.feed(Reply(window_id, prediction), now)
        super().note_reply(window_id, prediction, now)

    def note_failure(self, window_id: int, error: Exception, now: float) -> None:
        if isinstance(error, ProtocolError):
            self._loop.feed(Garbled(error, window_id), now)
            return
        if not isinstance(error, APIError):
            wrapped = APIError(f"the request failed: {error!r}")
            wrapped.__cause__ = error
            error = wrapped
        self._loop.feed(RequestFailed(window_id, error), now)

    def start(self, now: float) -> None:
        self._loop.feed(Open(), now)

    def cancel(self, window_id: int, reason: Reason | None, now: float) -> None:
        super().cancel(window_id, reason, now)
        self._loop.feed(CancelWindow(window_id, self.judge, reason), now)

    def call_changed(self, state: State, now: float) -> None:
        self._loop.feed(CallChanged(state), now)

    def update(self, settings: Settings, now: float) -> None:
        self._loop.feed(Update(settings), now)

    def deadline(self) -> float | None:
        both = (super().deadline(), self._loop.machine.next_deadline())
        return min((due for due in both if due is not None), default=None)

    def handle_deadline(self, now: float) -> None:
        super().handle_deadline(now)
        due = self._loop.machine.next_deadline()
        if due is not None and due <= now:
            self._loop.handle_deadline(now)

    def finish(self, now: float, patience: float) -> None:
        self._loop.feed(Shut(patience), now)
        super().finish(now, patience)

    def close(self) -> None:
        for window_id in list(self._calls):
            super().cancel(window_id, None, 0.0)

    def _act(self, action: ConnectionAction, now: float) -> None:
        """HTTP has no connection to open or close: all actions are for everybody."""
