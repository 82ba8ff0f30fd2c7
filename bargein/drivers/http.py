"""The HTTP driver: each window is a request, and a connection machine says when one may go.

A request goes out on a connection that is kept alive, and the reactor reads its reply. Where there
is none, or a reply is of a kind that takes a thread to read, a pool's thread makes the request.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

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
from bargein.runtime.poller import Pollable
from bargein.runtime.pool import Pool
from bargein.wire.http import InterruptionResponse

from .calls import Call, CallDriver
from .http_adapter import HttpRequest
from .http_client import HttpClient
from .http_exchange import Exchange
from .loop import ConnectionLoop
from .protocol import Host

__all__ = ["HttpDriver"]


class HttpDriver(CallDriver):
    """Posts a stream's windows to a server, ``width`` at a time.

    Each is one of the pool's jobs, whether it takes one of its threads or none.
    """

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
        self._queue: dict[int, Window] = {}
        """Windows to be sent in this step, by their ids: until then they can be superseded."""
        self._exchanges: dict[int, Exchange] = {}
        """Requests that take no thread, by their windows."""
        self._watched: dict[int, int] = {}
        """For what each of them is polled."""

    @property
    def reconnects(self) -> int:
        """Times that the server was tried again after a failure."""
        return self._loop.reconnects

    @property
    def faults(self) -> int:
        """Faults of the server, announced or not, ever."""
        return self._loop.faults

    # --- requests ---------------------------------------------------------------------------

    def send(self, window: Window, now: float) -> None:
        self._queue[window.id] = window

    def flush(self, now: float) -> None:
        while self._queue:
            window = self._queue.pop(next(iter(self._queue)))
            exchange = self._begin(window, now)
            if exchange is None:
                super().send(window, now)
                continue
            self._exchanges[window.id] = exchange
            self._loop.feed(WindowSent(window.id), now)
            self._host.tell(WindowSent(window.id), now)
            self._go_on(exchange, now)

    def _begin(self, window: Window, now: float) -> Exchange | None:
        """Return a request that takes no thread, if that can be."""
        if not self._pool.take_place():
            return None
        exchange = None
        try:
            exchange = self._client.begin(
                window.id,
                window.samples,
                threshold=window.threshold,
                min_frames=window.min_frames,
                now=now,
            )
        finally:
            if exchange is None:
                self._pool.free_place()
        return exchange

    def _go_on(self, exchange: Exchange, now: float) -> None:
        window_id = exchange.window_id
        if not exchange.advance(now):
            if self._watched.get(window_id) != exchange.mask:
                self._watched[window_id] = exchange.mask
                self._host.watch(exchange, exchange.mask)
            return
        self._forget(exchange)
        if exchange.needs_thread:
            request = HttpRequest()
            self.submit(
                Call(window_id, request.abort),
                lambda: _prediction(self._client.resume(request, exchange)),
                now,
            )
            return
        try:
            prediction = _prediction(self._client.conclude(exchange))
        except APIError as error:
            self.note_failure(window_id, error, now)
        else:
            self.note_reply(window_id, prediction, now)

    def _forget(self, exchange: Exchange) -> None:
        """An exchange is over, or nobody waits for it any more."""
        del self._exchanges[exchange.window_id]
        if self._watched.pop(exchange.window_id, None) is not None:
            self._host.forget(exchange)
        self._pool.free_place()

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
        return _prediction(response)

    def cancel(self, window_id: int, reason: Reason | None, now: float) -> None:
        if self._queue.pop(window_id, None) is None:
            self._end_request(window_id, now)
        self._loop.feed(CancelWindow(window_id, self.judge, reason), now)

    def _end_request(self, window_id: int, now: float) -> None:
        exchange = self._exchanges.get(window_id)
        if exchange is None:
            super().cancel(window_id, None, now)
        else:
            self._forget(exchange)
            self._client.drop(exchange)

    # --- what comes of them -----------------------------------------------------------------

    def step(self, ready: Collection[Pollable] | None, now: float) -> bool:
        for exchange in tuple(self._exchanges.values()):
            if ready is None or exchange in ready:
                self._go_on(exchange, now)
        return super().step(ready, now)

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

    # --- the driver -------------------------------------------------------------------------

    def start(self, now: float) -> None:
        self._loop.feed(Open(), now)

    def call_changed(self, state: State, now: float) -> None:
        self._loop.feed(CallChanged(state), now)

    def update(self, settings: Settings, now: float) -> None:
        self._loop.feed(Update(settings), now)

    def deadline(self) -> float | None:
        due = [each.deadline for each in self._exchanges.values()]
        for other in (super().deadline(), self._loop.machine.next_deadline()):
            if other is not None:
                due.append(other)
        return min(due, default=None)

    def handle_deadline(self, now: float) -> None:
        super().handle_deadline(now)  # step() has gone on with all exchanges before this
        due = self._loop.machine.next_deadline()
        if due is not None and due <= now:
            self._loop.handle_deadline(now)

    def finish(self, now: float, patience: float) -> None:
        self._loop.feed(Shut(patience), now)
        super().finish(now, patience)

    def close(self) -> None:
        self._queue.clear()
        for window_id in (*self._exchanges, *self._calls):
            self._end_request(window_id, 0.0)

    def _act(self, action: ConnectionAction, now: float) -> None:
        """HTTP has no connection to open or close: all actions are for everybody."""


def _prediction(response: InterruptionResponse) -> Prediction:
    return Prediction(response.checked, response.is_bargein, response.prediction_duration)
