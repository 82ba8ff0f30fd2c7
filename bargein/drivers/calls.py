"""The driver of every judge that is called with a window and returns a prediction.

A local model, a user's function and an HTTP request are all that: a call that blocks, on a thread
of a bounded pool. The worker keeps the time meanwhile. A window that no thread has taken isn't
sent yet, and can be superseded.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Any

import attrs

from bargein.backends.protocol import Backend, Session
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
from bargein.core.verdicts import Reason
from bargein.errors import APIError
from bargein.runtime.poller import Pollable
from bargein.runtime.pool import Job, Lane, Pool

from .protocol import Host

__all__ = ["BackendDriver", "CallDriver"]

HAND_OVER = 0.05
"""Seconds after which the worker looks whether a thread has taken a window, if nothing woke it up
before. That starts the window's deadline, by the time at which it was taken, which is far longer;
most answers come sooner, and a wake-up for each hand-over would cost as much as one for each."""


logger = logging.getLogger("bargein")


@attrs.define(eq=False)
class Call:
    """A window with its job; ``abort`` ends the call from outside, where that can be done."""

    window_id: int
    abort: Callable[[], None] | None = None
    job: Job | None = None
    sent: bool = False
    """Whether the machine knows that a thread took it."""


@attrs.frozen(eq=False)
class News:
    """What a pool's thread has to tell, and when that was (monotonic seconds)."""

    call: Call
    now: float
    prediction: Prediction | None = None
    error: Exception | None = None


class CallDriver:
    """Runs a stream's windows on a pool. Subclasses say what a call is and what its news means."""

    def __init__(self, host: Host, pool: Pool, *, judge: Judge, width: int) -> None:
        self.judge = judge
        self.done = False
        self._host = host
        self._pool = pool
        self._lane = Lane(pool, width)
        self._calls: dict[int, Call] = {}
        self._news: deque[News] = deque()
        self._look = 0.0

    # --- what a subclass brings -------------------------------------------------------------

    def make_call(self, window: Window) -> tuple[Call, Callable[[], Prediction]]:
        """Return a call, and the function that makes it on a pool's thread."""
        raise NotImplementedError

    def note_sent(self, window_id: int, now: float) -> None:
        """A thread took the window."""
        self._host.tell(WindowSent(window_id), now)

    def note_reply(self, window_id: int, prediction: Prediction, now: float) -> None:
        """The call came back."""
        self._host.tell(Reply(window_id, prediction), now)

    def note_failure(self, window_id: int, error: Exception, now: float) -> None:
        """The call raised."""
        raise NotImplementedError

    @property
    def reconnects(self) -> int:
        """Times that the judge was tried again after a failure."""
        return 0

    @property
    def faults(self) -> int:
        """Faults of the judge, announced or not, ever."""
        raise NotImplementedError

    # --- the driver -------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """See :class:`~bargein.drivers.protocol.Driver`, here and below."""

    def send(self, window: Window, now: float) -> None:
        self.submit(*self.make_call(window), now)

    def submit(self, call: Call, function: Callable[[], Prediction], now: float) -> None:
        """Have a thread of the pool make a call, as soon as one is free."""
        self._calls[call.window_id] = call
        self._look = now + HAND_OVER
        call.job = self._lane.submit(lambda: self._run(call, function))

    def _run(self, call: Call, function: Callable[[], Prediction]) -> None:
        """Make the call: on a thread of the pool."""
        self._news.append(News(call, time.monotonic()))  # what comes of it will wake the worker
        try:
            prediction = function()
        except Exception as error:
            self._post(News(call, time.monotonic(), error=error))
        else:
            self._post(News(call, time.monotonic(), prediction=prediction))

    def _post(self, news: News) -> None:
        self._news.append(news)
        self._host.wake()

    def cancel(self, window_id: int, reason: Reason | None, now: float) -> None:
        call = self._calls.pop(window_id, None)
        if call is None or call.job is None or call.job.withdraw():
            return
        if call.abort is not None:
            call.abort()

    def step(self, ready: Collection[Pollable] | None, now: float) -> bool:
        while self._news:
            news = self._news.popleft()
            window_id = news.call.window_id
            if news.prediction is not None:
                # A late reply is told as well: the machine counts it.
                self._calls.pop(window_id, None)
                self.note_reply(window_id, news.prediction, news.now)
            elif news.error is None:
                news.call.sent = True
                self.note_sent(window_id, news.now)
            elif self._calls.pop(window_id, None) is not None:
                self.note_failure(window_id, news.error, news.now)
        return False

    def call_changed(self, state: State, now: float) -> None: ...

    def update(self, settings: Settings, now: float) -> None:
        self._host.tell(settings, now)

    def flush(self, now: float) -> None: ...

    def deadline(self) -> float | None:
        return self._look if any(not call.sent for call in self._calls.values()) else None

    def handle_deadline(self, now: float) -> None:
        self._look = now + HAND_OVER  # step() has looked before this

    def finish(self, now: float, patience: float) -> None:
        self.close()
        self.done = True

    def close(self) -> None:
        for window_id in list(self._calls):
            self.cancel(window_id, None, 0.0)


class BackendDriver(CallDriver):
    """Runs a backend's session: a local model, or a user's function, one window at a time."""

    def __init__(
        self, host: Host, pool: Pool, *, judge: Judge, backend: Backend, stream_id: str | None
    ) -> None:
        super().__init__(host, pool, judge=judge, width=1)
        self._backend = backend
        self._stream_id = stream_id
        self._session: Session | None = None  # the pool's threads only, one at a time
        self._failing = False
        self._faults = 0

    @property
    def faults(self) -> int:
        """Windows on which the backend raised."""
        return self._faults

    def start(self, now: float) -> None:
        if self.judge is Judge.PRIMARY:
            self._host.tell(JudgeReady(), now)

    def make_call(self, window: Window) -> tuple[Call, Callable[[], Prediction]]:
        return Call(window.id), lambda: self._predict(window)

    def _predict(self, window: Window) -> Prediction:
        if self._session is None:
            self._session = self._backend.open_session(self._stream_id)
        prediction: Any = self._session.predict(window)
        if not isinstance(prediction, Prediction):
            raise TypeError(
                f"the backend {self._backend.model!r} returned {type(prediction).__name__}; "
                "expected a Prediction"
            )
        return prediction

    def note_reply(self, window_id: int, prediction: Prediction, now: float) -> None:
        self._failing = False
        super().note_reply(window_id, prediction, now)

    def note_failure(self, window_id: int, error: Exception, now: float) -> None:
        self._faults += 1
        self._host.tell(WindowFailed(window_id, Reason.ERROR, self.judge), now)
        if not self._failing:  # one error an outage
            self._failing = True
            if not isinstance(error, APIError):
                wrapped = APIError(f"the backend {self._backend.model!r} raised {error!r}")
                wrapped.__cause__ = error
                error = wrapped
            self._host.announce(error, recoverable=True, failures=1, now=now)

    def close(self) -> None:
        super().close()
        self._lane.submit(self._close_session)

    def _close_session(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        try:
            session.close()
        except Exception:
            logger.exception("the backend %r failed to close a session", self._backend.model)
