"""A way to a judge on a fake clock: the connection's own machine, and answers instead of a wire.

What a real driver tells of an answer or of a fault, this one tells at the instant at which it
would come. Only bytes and sockets are missing, so a script means the same here and there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import attrs

from bargein.core import (
    Judge,
    JudgeReady,
    Prediction,
    Reply,
    Settings,
    State,
    Window,
    WindowFailed,
    WindowSent,
)
from bargein.core.actions import CancelWindow
from bargein.core.connect_options import APIConnectOptions
from bargein.core.connection import ConnectionMachine
from bargein.core.connection_items import (
    CallChanged,
    Connect,
    Connected,
    ConnectionAction,
    ConnectStarted,
    CreateSession,
    Disconnect,
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
    Update,
)
from bargein.core.http_connection import HttpConnection
from bargein.core.verdicts import Reason, is_positive
from bargein.core.websocket_connection import WebSocketConnection
from bargein.drivers.loop import ConnectionLoop
from bargein.drivers.protocol import Host
from bargein.errors import APIConnectionError, APIError, ProtocolError
from bargein.wire.messages import InterruptionWSErrorMessage
from bargein.wire.status import message_error, retry_after_seconds, status_error

from .answers import WRONG, Answer, Kind
from .clock import FakeClock
from .heard import DEFAULT_THRESHOLD

__all__ = ["CallDriver", "Note", "RemoteDriver", "SimulatedDriver"]

REPLIES_FIRST = 0
"""Of what happens at one instant, replies come before deadlines, as in a live stream."""

Note = Callable[[str], None]
"""Where what happens to windows is written down, for the transcript."""

_ENDS = (Kind.DROP, Kind.RESET, Kind.CLOSE, Kind.DROP_INSIDE)


@attrs.frozen(eq=False)
class _Sent:
    """A window that was handed over, what becomes of it, and since when."""

    window: Window
    answer: Answer
    now: float


class SimulatedDriver:
    """What :class:`CallDriver` and :class:`RemoteDriver` share: when an answer comes."""

    reconnects = 0
    faults = 0
    swaps = True
    """Whether two answers can change places."""

    def __init__(
        self,
        host: Host,
        clock: FakeClock,
        choose: Callable[[Window], Answer],
        note: Note,
        *,
        judge: Judge = Judge.PRIMARY,
    ) -> None:
        self.judge = judge
        self.done = False
        self._host = host
        self._clock = clock
        self._choose = choose
        self._note = note
        self._held: list[Callable[[], None]] = []

    def _later(self, sent: _Sent, happen: Callable[[_Sent], None]) -> None:
        """Let an answer come when it is due."""
        answer = sent.answer
        if answer.kind in (Kind.SILENCE, Kind.STALL_INSIDE):
            return
        due = sent.now + answer.after + answer.lasts

        def come() -> None:
            if answer.kind is Kind.SWAPPED and self.swaps:
                self._held.append(lambda: happen(sent))
                return
            happen(sent)
            if answer.kind is Kind.REPLY:
                held, self._held = self._held, []
                for reply in held:
                    reply()

        self._clock.call_at(due, come, priority=REPLIES_FIRST)

    def _describe(self, sent: _Sent) -> None:
        took = (self._clock() - sent.now) * 1e3
        what = str(sent.answer.delayed(0.0))
        after = f" after {took:g} ms" if took else ""
        self._note(f"window {sent.window.id} {what}{after}")

    # --- what nobody needs here -------------------------------------------------------------

    def update(self, settings: Settings, now: float) -> None:
        self._host.tell(settings, now)

    def call_changed(self, state: State, now: float) -> None: ...

    def cancel(self, window_id: int, reason: Reason | None, now: float) -> None: ...

    def deadline(self) -> float | None:
        return None

    def handle_deadline(self, now: float) -> None: ...

    def finish(self, now: float, patience: float) -> None:
        self.done = True


class CallDriver(SimulatedDriver):
    """A judge in this process, asked one window at a time; a fault of it is an exception."""

    swaps = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: deque[Window] = deque()
        self._busy = False
        self._failing = False

    def start(self, now: float) -> None:
        """See :class:`~bargein.drivers.protocol.Driver`, here and below."""
        if self.judge is Judge.PRIMARY:
            self._host.tell(JudgeReady(), now)

    def send(self, window: Window, now: float) -> None:
        self._waiting.append(window)
        self._next(now)

    def _next(self, now: float) -> None:
        if self._busy or not self._waiting:
            return
        window = self._waiting.popleft()
        self._busy = True
        self._host.tell(WindowSent(window.id), now)
        self._later(_Sent(window, self._choose(window), now), self._come)

    def cancel(self, window_id: int, reason: Reason | None, now: float) -> None:
        self._waiting = deque(window for window in self._waiting if window.id != window_id)

    def _come(self, sent: _Sent) -> None:
        now, answer, window = self._clock(), sent.answer, sent.window
        self._describe(sent)
        self._busy = False
        if answer.kind in (Kind.REPLY, Kind.DRIP, Kind.TWICE, Kind.SWAPPED):
            self._failing = False
            prediction = answer.prediction(len(window.samples))
            self._host.tell(Reply(window.id, prediction), now)
        else:
            self.faults += 1
            self._host.tell(WindowFailed(window.id, Reason.ERROR, self.judge), now)
            if not self._failing:  # one error an outage
                self._failing = True
                error = APIError(f"the judge raised: {answer}")
                self._host.announce(error, recoverable=True, failures=1, now=now)
        self._next(now)


class RemoteDriver(SimulatedDriver):
    """A server, over a WebSocket or HTTP; connecting takes no time, and chance plays no part."""

    def __init__(
        self,
        *args: Any,
        transport: Literal["websocket", "http"],
        options: APIConnectOptions,
        settings: Settings,
        has_fallback: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        kind = WebSocketConnection if transport == "websocket" else HttpConnection
        machine: ConnectionMachine = kind(
            options, settings=settings, has_fallback=has_fallback, jitter=lambda: 0.0
        )
        self._websocket = transport == "websocket"
        self._loop = ConnectionLoop(machine, self._host, self._act)
        self._serving: int | None = None
        self._gone: set[int] = set()

    @property
    def reconnects(self) -> int:  # type: ignore[override]
        """Connections made after the first, ever."""
        return self._loop.reconnects

    @property
    def faults(self) -> int:  # type: ignore[override]
        """Faults of the server, announced or not, ever."""
        return self._loop.faults

    # --- the driver -------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """See :class:`~bargein.drivers.protocol.Driver`, here and below."""
        self._loop.feed(Open(), now)

    def send(self, window: Window, now: float) -> None:
        session = self._serving or 0
        self._loop.feed(WindowSent(window.id), now)
        self._host.tell(WindowSent(window.id), now)
        sent = _Sent(window, self._choose(window), now)
        self._later(sent, lambda sent: self._come(sent, session))

    def cancel(self, window_id: int, reason: Reason | None, now: float) -> None:
        self._loop.feed(CancelWindow(window_id, self.judge, reason), now)

    def call_changed(self, state: State, now: float) -> None:
        self._loop.feed(CallChanged(state), now)

    def update(self, settings: Settings, now: float) -> None:
        self._loop.feed(Update(settings), now)

    def deadline(self) -> float | None:
        return self._loop.machine.next_deadline()

    def handle_deadline(self, now: float) -> None:
        self._loop.handle_deadline(now)

    def finish(self, now: float, patience: float) -> None:
        self._loop.feed(Shut(patience), now)
        self.done = True

    def _act(self, action: ConnectionAction, now: float) -> None:
        if isinstance(action, Connect):
            session = action.session
            self._soon(ConnectStarted(session), Connected(session))
        elif isinstance(action, CreateSession):
            self._soon(SessionCreated(action.session, DEFAULT_THRESHOLD))
        elif isinstance(action, Serve):
            self._serving = action.session
        elif isinstance(action, Ping):
            self._soon(Pong(action.session))
        elif isinstance(action, SayGoodbye):
            self._soon(SessionClosed(action.session))
        elif isinstance(action, Disconnect):
            self._gone.add(action.session)

    def _soon(self, *news: Any) -> None:
        """Let news come at this very instant, after what is being done."""

        def come() -> None:
            for item in news:
                if item.session not in self._gone:
                    self._loop.feed(item, self._clock())

        self._clock.call_later(0.0, come, priority=REPLIES_FIRST)

    # --- what comes -------------------------------------------------------------------------

    def _come(self, sent: _Sent, session: int) -> None:
        if session in self._gone:
            return  # its connection ended before
        self._describe(sent)
        kind, window = sent.answer.kind, sent.window
        if kind in _ENDS:
            self._lose(sent, session)
        elif kind is Kind.ERROR:
            self._fail(sent, session)
        elif kind in (Kind.GARBAGE, Kind.RAW):
            error = ProtocolError("a reply came that is no JSON")
            self._feed(Garbled(error, None if self._websocket else window.id))
        elif kind is Kind.WRONG_ID and self._websocket:
            self._reply(window.id + WRONG, self._prediction(sent))
        else:
            for _ in range(1 + (kind is Kind.TWICE and self._websocket)):
                self._reply(window.id, self._prediction(sent))

    def _feed(self, item: Any) -> None:
        self._loop.feed(item, self._clock())

    def _reply(self, window_id: int, prediction: Prediction) -> None:
        reply = Reply(window_id, prediction)
        self._feed(reply)
        self._host.tell(reply, self._clock())

    def _prediction(self, sent: _Sent) -> Prediction:
        """What the server says: it decides, by what it was told to."""
        window = sent.window
        found = sent.answer.prediction(len(window.samples))
        positive = is_positive(
            found,
            threshold=window.threshold,
            default=DEFAULT_THRESHOLD,
            min_frames=window.min_frames,
        )
        return attrs.evolve(found, is_interruption=positive)

    def _lose(self, sent: _Sent, session: int) -> None:
        error = APIConnectionError(f"the connection ended ({sent.answer.kind.value})")
        if self._websocket:
            self._gone.add(session)
            self._feed(SessionLost(session, error, sent.answer.code))
        else:
            self._feed(RequestFailed(sent.window.id, error))

    def _fail(self, sent: _Sent, session: int) -> None:
        answer = sent.answer
        code = answer.code or 500
        if self._websocket:
            message = InterruptionWSErrorMessage(message=answer.text, code=code)
            self._feed(ServerError(session, message_error(message)))
            return
        asked = [h.partition(":")[2] for h in answer.headers if h.lower().startswith("retry-after")]
        wait = retry_after_seconds(asked[0], now=0.0) if asked else None
        self._feed(RequestFailed(sent.window.id, status_error(code, answer.text, wait)))
