"""Connection life: when a remote is tried, when it is left alone, what of its faults is told.

What HTTP and WebSocket have in common. Sans-IO: news and ``now`` go in, actions come out. The
interruption machine owns windows and their deadlines; this one owns the way to the remote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import attrs

from bargein.errors import APIError, APITimeoutError, StateError

from .actions import CancelWindow
from .connect_options import APIConnectOptions
from .connection_items import (
    AnnounceError,
    CallChanged,
    ConnectionAction,
    FailStream,
    Garbled,
    Open,
    SessionNews,
    Tell,
)
from .connection_states import ConnectionState, Step, Timer
from .inputs import Judge, JudgeReady, JudgeUnready, Reply, Settings, WindowFailed, WindowSent
from .retry import HEALTHY_AFTER, RetrySchedule
from .sessions import Desk, Session
from .states import State
from .verdicts import Reason

__all__ = ["MAX_LATE_WINDOWS", "NO_COUNTS", "ConnectionCounts", "ConnectionMachine"]

MAX_LATE_WINDOWS = 4
"""Windows in a row that come too late before the connection counts as lost: with the default
cadence, a second or so of silence from the remote."""

_S = ConnectionState


@attrs.frozen
class ConnectionCounts:
    """What happened to the connection since the last metrics."""

    reconnects: int = 0
    failures: int = 0
    """Faults, announced or not."""
    suppressed: int = 0
    """Those of them that belonged to an outage which was announced before."""


NO_COUNTS = ConnectionCounts()
"""Nothing happened, as mostly: told apart by identity."""


class ConnectionMachine:
    """The rules that hold for any transport; each has a subclass that is to be used.

    ``options``
        Defaults to :class:`~bargein.core.APIConnectOptions`'s defaults.
    ``settings``
        What windows are judged by at first: the same that the interruption machine begins with.
    ``has_fallback``
        Whether somebody judges while the remote can't. If not, giving the remote up ends the
        stream.
    ``jitter``
        Gives a number from 0 to 1, another each time: chance, which isn't this module's to have.

    Not safe from several threads at once; one owner feeds it. Actions are to be carried out in
    their order, and inputs that this brings about are handed in after the last of them. The
    interruption machine is to be built with ``ready=False``: this one says when it may send.
    """

    TABLE: ClassVar[Mapping[ConnectionState, Mapping[type, Step]]]

    def __init__(
        self,
        options: APIConnectOptions | None = None,
        *,
        settings: Settings,
        has_fallback: bool,
        jitter: Callable[[], float],
    ) -> None:
        self.options = options = options or APIConnectOptions()
        self.state = _S.IDLE
        self.settings = settings
        """What the user wants; what windows carry follows when the remote can take it."""
        self._told = settings
        self._has_fallback = has_fallback
        self._desk = Desk(jitter)
        self._schedule = RetrySchedule(options, jitter)
        self._main: Session | None = None
        self._leaving: dict[int, Session] = {}
        self._call = State.SILENT
        self._ready = False
        self.outage = False
        """Whether something is wrong with the remote, or was and no sign of health came since."""
        self._given_up = False
        self._late = 0
        self._since: float | None = None
        self.counts = NO_COUNTS
        """What happened since :meth:`take_counts`; ``NO_COUNTS`` itself: nothing."""

    # --- the outside ------------------------------------------------------------------------

    def in_flight(self) -> int:
        """Return how many windows the remote holds."""
        return sum(len(session.windows) for session in self._sessions())

    def handle(self, item: Any, *, now: float) -> list[ConnectionAction]:
        """Take one input at ``now`` (monotonic seconds) and return what to do.

        Raises :class:`~bargein.errors.StateError` for what isn't an input of this transport.
        Faults of the remote never raise.
        """
        step = self.TABLE[self.state].get(type(item))
        if step is not None and isinstance(item, SessionNews):
            step = self._step_of_session(item, step)
        if step is None:
            raise StateError(
                f"{type(item).__name__} came to a {type(self).__name__}; expected one of "
                + ", ".join(sorted(kind.__name__ for kind in self.TABLE[self.state]))
            )
        self._desk.clock = max(self._desk.clock, now)
        effect: Callable[[Any], None] = getattr(self, step.handler)
        effect(item)
        return self._desk.take() if self._desk.out else []

    def next_deadline(self) -> float | None:
        """Return when :meth:`handle_deadline` is due (monotonic seconds), or ``None``."""
        return self._desk.earliest

    def timers(self) -> frozenset[Timer]:
        """Return what is waited for."""
        return self._desk.running()

    def handle_deadline(self, *, now: float) -> list[ConnectionAction]:
        """Do what is due; always moves or clears a deadline that was."""
        self._desk.clock = max(self._desk.clock, now)
        for timer, session in self._desk.due():
            if self._desk.expire(timer, session):
                effect: Callable[[int], None] = getattr(self, f"_after_{timer.value}")
                effect(session)
        return self._desk.take()

    def take_counts(self) -> ConnectionCounts:
        """Return the counts since the last call."""
        counts, self.counts = self.counts, NO_COUNTS
        return counts

    # --- what a transport brings ------------------------------------------------------------

    def _step_of_session(self, item: SessionNews, step: Step) -> Step:
        """Return what news of a session leads to; ``step`` if it is of the one that serves."""
        raise NotImplementedError

    def _try(self) -> None:
        """Make an attempt at the remote."""
        raise NotImplementedError

    def _lose(self, error: APIError) -> None:
        """The remote has fallen silent."""
        raise NotImplementedError

    def _abandon(self) -> None:
        """Drop every connection without a word."""
        raise NotImplementedError

    def _emptied(self, session: Session) -> None:
        """A session may hold no windows any more."""

    # --- effects ----------------------------------------------------------------------------

    def _do_nothing(self, item: object) -> None:
        pass

    def _do_open(self, item: Open) -> None:
        self._try()

    def _do_note_call(self, item: CallChanged) -> None:
        self._call = item.state

    def _do_sent(self, item: WindowSent) -> None:
        assert self._main is not None
        self._main.windows.add(item.window_id)

    def _do_answer(self, item: Reply) -> None:
        session = self._take_window(item.window_id)
        if session is None:
            return  # it was given up: a late reply is no sign of health
        self._late = 0
        if self.outage or self._given_up or self._schedule.failures:
            self._healthy()
        if session is not self._main:
            self._emptied(session)

    def _do_cancelled(self, item: CancelWindow) -> None:
        session = self._take_window(item.window_id) if item.judge is Judge.PRIMARY else None
        if session is None:
            return
        if item.reason is Reason.TIMEOUT:
            self._too_late(session)
        else:
            self._late = 0
        self._emptied(session)

    def _do_garbled(self, item: Garbled) -> None:
        self._note(item.error)
        session = None if item.window_id is None else self._take_window(item.window_id)
        if session is not None and item.window_id is not None:
            self._late = 0
            self._fail_window(item.window_id, Reason.ERROR)
            self._emptied(session)

    def _after_retry(self, _: int) -> None:
        self._try()

    # --- windows ----------------------------------------------------------------------------

    def _sessions(self) -> Iterable[Session]:
        return (*([] if self._main is None else [self._main]), *self._leaving.values())

    def _serving(self) -> Session:
        assert self._main is not None
        return self._main

    def _take_window(self, window_id: int) -> Session | None:
        main = self._main
        if main is not None and window_id in main.windows:  # as mostly
            main.windows.remove(window_id)
            return main
        for session in self._leaving.values():
            if window_id in session.windows:
                session.windows.remove(window_id)
                return session
        return None

    def _fail_window(self, window_id: int, reason: Reason) -> None:
        self._desk.act(Tell(WindowFailed(window_id, reason)))

    def _fail_windows(self, session: Session, reason: Reason) -> None:
        for window_id in sorted(session.windows):
            self._fail_window(window_id, reason)
        session.windows.clear()

    def _too_late(self, session: Session) -> None:
        self._credit_age()
        serves = session is self._main and self.state is _S.READY
        self._late += serves
        # a remote on trial has one chance: until it is well, callers are better off without it
        limit = 1 if self._given_up else MAX_LATE_WINDOWS
        if serves and self._late >= limit:
            self._late = 0
            self._lose(
                APITimeoutError(
                    f"{limit} window(s) in a row weren't answered in time; the connection counts "
                    "as lost"
                )
            )
        else:
            self._note(
                APITimeoutError(
                    "a window wasn't answered within inference_timeout and was given up; "
                    "the next ones go on"
                )
            )

    # --- health -----------------------------------------------------------------------------

    def _set_ready(self, ready: bool) -> None:
        if ready is not self._ready:
            self._ready = ready
            self._desk.act(Tell(JudgeReady() if ready else JudgeUnready()))

    def _tell_settings(self) -> None:
        if self.settings != self._told:
            self._told = self.settings
            self._desk.act(Tell(self.settings))

    def _healthy(self) -> None:
        self._schedule.reset()
        self.outage = self._given_up = False

    def _credit_age(self) -> None:
        """A session that lived long enough is a sign of health, looked at when it matters."""
        if self._since is not None and self._desk.clock - self._since >= HEALTHY_AFTER:
            self._since = None
            self._healthy()

    def _count(self, **more: int) -> None:
        if not any(more.values()):
            return
        now = {name: getattr(self.counts, name) + n for name, n in more.items()}
        self.counts = attrs.evolve(self.counts, **now)

    def _note(self, error: APIError) -> None:
        """Tell of a fault that costs no attempt, unless its outage was told of before."""
        self._credit_age()
        self._announce(error, recoverable=True, quietly=self.outage)

    def _announce(self, error: APIError, *, recoverable: bool, quietly: bool) -> None:
        self._count(failures=1, suppressed=int(quietly))
        self.outage = True
        if not quietly:
            self._desk.act(AnnounceError(error, recoverable, self._schedule.failures))

    def _attempt_failed(self, error: APIError) -> None:
        """An attempt at the remote failed, or a session did: go on by the schedule, or give up.

        Whoever calls this has asked for the age's credit, while there was a session to have one.
        """
        if not error.retryable or self._given_up:
            self._give_up(error)
            return
        delay = self._schedule.fail(error)
        if delay is None:
            self._give_up(error)
            return
        self._announce(error, recoverable=True, quietly=self.outage)
        self.state = _S.WAITING
        self._desk.start(Timer.RETRY, delay)

    def _give_up(self, error: APIError) -> None:
        self._announce(error, recoverable=False, quietly=self._given_up)
        self._given_up = True
        if self._has_fallback:
            self.state = _S.RESTING
            self._desk.start(Timer.RETRY, self._schedule.rest(error))
            return
        self._abandon()
        self._end()
        self._desk.act(FailStream(error))

    def _end(self) -> None:
        self.state = _S.ENDED
        self._desk.stop_all()
