"""A stream's worker: it owns the machines and the drivers. A reactor runs it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

from bargein.core import (
    Action,
    CancelWindow,
    Close,
    EmitVerdict,
    Finish,
    Input,
    Judge,
    OverlapSpeechEnded,
    SendWindow,
    Settings,
    State,
    Verdict,
)
from bargein.core.inbox import Inbox
from bargein.core.pipeline import Pipeline
from bargein.core.turns import Turns
from bargein.drivers.protocol import Driver, Host
from bargein.errors import APIError, BargeinError, StateError
from bargein.runtime.latch import Latch
from bargein.runtime.poller import Pollable
from bargein.runtime.reactors import Reactors, reactors
from bargein.runtime.task import Handle

__all__ = ["Outlet", "Worker"]

logger = logging.getLogger("bargein")

CLOSE_TIMEOUT = 2.0
"""Seconds that close() waits for the thread: a goodbye's second, and one for a busy machine."""


END_PATIENCE = 1.0
"""Seconds that a server has to answer our goodbye after the end of input."""

CLOSE_PATIENCE = 0.2
"""The same after close(): somebody waits for it, and a server that is well answers in a few ms."""


class Outlet:
    """Where a worker's results go. Its methods are called on the reactor's thread: none blocks."""

    def verdict(self, verdict: Verdict) -> None:
        """An overlap is settled."""
        raise NotImplementedError

    def error(self, error: APIError, *, recoverable: bool, failures: int) -> None:
        """Something is wrong with a judge."""
        raise NotImplementedError

    def end(self, error: BaseException | None) -> None:
        """Nothing more will come."""
        raise NotImplementedError

    def is_current(self) -> bool:
        """Whether the calling thread is one that hands results on, and mustn't wait for that."""
        return False

    def wait(self, timeout: float) -> bool:
        """Wait until all results are handed on; return whether they are. Any thread."""
        return True


class Worker(Host):
    """Runs a pipeline, its drivers and an inbox: a task of a reactor's.

    ``put``, ``push`` and the like are for any thread and never wait for I/O; the rest is the
    reactor's. No step blocks.
    """

    def __init__(
        self,
        *,
        name: str,
        pipeline: Pipeline,
        inbox: Inbox,
        outlet: Outlet,
        drivers: Callable[[Worker], Iterable[Driver]],
        reactors: Reactors = reactors,
    ) -> None:
        self.name = name
        # Reentrant: a forgotten stream's finalizer closes its worker from wherever the garbage
        # collector runs, and that may be the worker's own thread with the lock in its hands.
        self.lock = threading.RLock()
        self.lost = 0
        """Frames pushed after a fatal error: there is nobody left to hear them."""
        self.failure: BaseException | None = None
        self._pipeline = pipeline
        self._machine = pipeline.machine
        self._inbox = inbox
        self._outlet = outlet
        self._drivers = {driver.judge: driver for driver in drivers(self)}
        self._reactors = reactors
        self.handle: Handle | None = None
        self._state = self._machine.state
        self._published: State | None = None
        """The state for which :meth:`_publish` was called; ``None``: since then input came."""
        self._results: list[Callable[[], None]] = []
        self._turns = Turns(self._carry_out)
        self._patience = END_PATIENCE
        self._begun = False
        self._ending = False
        self.over = False
        """Whether all is done, and nothing is left to be waited for."""
        self.again = False
        """Whether there is more to do already."""
        self.due: float | None = None
        """When something is due at the latest, as it was at the end of the last step."""
        self._left = Latch()

    # --- any thread -------------------------------------------------------------------------

    def start(self) -> None:
        """Give the worker to a reactor. Raises ``RuntimeError`` if no thread can be started."""
        try:
            self._reactors.add(self)
        except RuntimeError:  # the system has no thread left to give
            self.leave()
            raise

    def push(self, frame: Any) -> None:
        """Take a frame of audio; see :meth:`Inbox.push`."""
        now = time.monotonic()
        with self.lock:
            if self.failure is not None and self._deaf():
                self.lost += 1
            elif self._inbox.push(frame, now):
                self.wake()

    def voice_activity(self, probability: float) -> None:
        """Take a VAD's probability; see :meth:`Inbox.voice_activity`."""
        now = time.monotonic()
        with self.lock:
            if not self._deaf() and self._inbox.voice_activity(probability, now):
                self.wake()

    def agent_audio(self, frame: Any, format: Any) -> None:
        """Take the agent's audio; see :meth:`Inbox.agent_audio`."""
        now = time.monotonic()
        with self.lock:
            if not self._deaf() and self._inbox.agent_audio(frame, format, now):
                self.wake()

    def put(self, item: Any) -> None:
        """Take a control item."""
        now = time.monotonic()
        with self.lock:
            if not self._deaf():
                self._inbox.put(item, now)
                self.wake()

    def _deaf(self) -> bool:
        """Whether nobody listens any more, through no fault of the caller's; the lock is held."""
        if self.failure is None or self._inbox.ended:
            return False
        if isinstance(self.failure, StateError):
            raise self.failure
        return True

    def wake(self) -> None:
        """Have :meth:`step` called soon."""
        handle = self.handle
        if handle is not None:
            handle.wake()

    def close(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """End now, waiting for nothing but the end itself; return whether it came in time."""
        if isinstance(self.failure, StateError):
            return True  # in a child after a fork: no thread runs
        with self.lock:
            if not self.over:
                self._inbox.put(Close(), time.monotonic())
                self.wake()
        handle = self.handle
        if handle is None or handle.is_current or self._outlet.is_current():
            return False
        deadline = time.monotonic() + timeout
        if not self.join(timeout):
            return False
        return self._outlet.wait(max(0.0, deadline - time.monotonic()))

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end without asking for it; return whether it came. Any other thread."""
        return self._left.wait(timeout)

    @property
    def alive(self) -> bool:
        """Whether a reactor runs it."""
        return self.handle is not None and not self._left.is_set

    @property
    def reconnects(self) -> int:
        """Connections made after the first, ever."""
        return sum(driver.reconnects for driver in self._drivers.values())

    @property
    def faults(self) -> int:
        """Faults of the judges, ever."""
        return sum(driver.faults for driver in self._drivers.values())

    def disown(self, error: BaseException) -> None:
        """Be dead: in a child after a fork, where no thread runs."""
        self.lock = threading.RLock()
        self.failure = error
        self.handle = None  # the reactor is the parent's
        self._inbox = Inbox(self._inbox.format)

    # --- the reactor's thread ---------------------------------------------------------------

    def step(self, ready: Collection[Pollable] | None = None) -> None:
        """Do all that can be done now: what came, what was pushed, what is due. Never blocks."""
        now = time.monotonic()
        drivers = self._drivers.values()
        if not self._begun:
            self._begun = True
            for driver in drivers:
                driver.start(now)
        self.again = False
        late = self.due is not None and self.due <= now
        if late:  # a reply that has come and that nobody was told of yet counts before that
            ready = None
        for driver in drivers:
            if driver.step(ready, now):
                self.again = True
        # Audio that is worth no waking up is worth no look either: it goes with what comes later.
        # What is there after this look wakes the worker again.
        if self._inbox.due:
            with self.lock:
                items = self._inbox.detach()
            for stamped in items:
                self._take(stamped.item, stamped.now)
            self._published = None
        if late:
            self._handle_deadlines(now)
        if self._published is not self._state:
            self._publish()
        now = time.monotonic()
        for driver in drivers:
            driver.flush(now)
        self.due = self._earliest()
        if self._results and self.handle is not None:
            self.handle.later(self._hand_out)
        elif self._ending:
            self._note_end()

    def _hand_out(self) -> None:
        """Give out what the last steps brought."""
        self._deliver()
        if self._ending:
            self._note_end()

    def _note_end(self) -> None:
        self.over = not self._results and all(driver.done for driver in self._drivers.values())

    def _deliver(self) -> None:
        results, self._results = self._results, []
        for deliver in results:
            deliver()

    def _take(self, item: Any, now: float) -> None:
        if isinstance(item, Settings):
            self._drivers[Judge.PRIMARY].update(item, now)
            return
        if isinstance(item, Close):
            self._patience = CLOSE_PATIENCE
            if self._ending:  # by the end of input: its goodbyes are cut short
                self._say_goodbye(now)
        if self._machine.state is not State.ENDED:
            self._turns.take(self._pipeline.handle, item, now)

    def _handle_deadlines(self, now: float) -> None:
        deadline = self._machine.next_deadline()
        while deadline is not None and deadline <= now:
            self._turns.take(self._expire, None, now)
            deadline = self._machine.next_deadline()
        for driver in self._drivers.values():
            due = driver.deadline()
            if due is not None and due <= now:
                driver.handle_deadline(now)

    def _publish(self) -> None:
        """Tell the inbox what is worth waking up for from here on."""
        self._published = self._state
        attention = self._pipeline.attention()
        with self.lock:
            self._inbox.attention = attention
            if self._inbox.due:
                self.again = True

    def _earliest(self) -> float | None:
        """Return when something is due (monotonic seconds)."""
        earliest = self._machine.next_deadline()
        for driver in self._drivers.values():
            due = driver.deadline()
            if due is not None and (earliest is None or due < earliest):
                earliest = due
        return earliest

    def _expire(self, _: None, now: float) -> list[Action]:
        return self._machine.handle_deadline(now=now)

    def _carry_out(self, actions: list[Action], now: float) -> None:
        for action in actions:
            if isinstance(action, SendWindow):
                self._drivers[action.judge].send(action.window, now)
            elif isinstance(action, CancelWindow):
                self._drivers[action.judge].cancel(action.window_id, action.reason, now)
            elif isinstance(action, EmitVerdict):
                self._later(self._outlet.verdict, action.verdict)
            elif isinstance(action, Finish):
                self._finish(now)
        if self._machine.state is not self._state:
            self._state = self._machine.state
            logger.debug("%s: the call: %s", self.name, self._state.value)
            for driver in self._drivers.values():
                driver.call_changed(self._state, now)

    def _later(self, deliver: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """Deliver a result after the machines' work, for listeners may call anything."""
        self._results.append(lambda: deliver(*args, **kwargs))

    # --- for drivers ------------------------------------------------------------------------

    def tell(self, item: Input, now: float) -> None:
        """Give the machine an input and carry out what it wants."""
        self._turns.take(self._machine.handle, item, now)

    def announce(self, error: APIError, *, recoverable: bool, failures: int, now: float) -> None:
        """Emit an error event."""
        self._later(self._outlet.error, error, recoverable=recoverable, failures=failures)

    def fail(self, error: APIError) -> None:
        """End the stream by this error; an overlap that is open gets its event first."""
        self._fail(error)
        now = time.monotonic()
        self._turns.take(self._give_up, None, now)

    def _give_up(self, _: None, now: float) -> list[Action]:
        """End the machine; what is open is settled by what became of its windows, not by this."""
        actions: list[Action] = []
        if self._machine.state is State.OPEN:
            actions += self._machine.handle(OverlapSpeechEnded(), now=now)
        return actions + self._machine.handle(Close(), now=now)

    def _fail(self, error: BaseException) -> None:
        with self.lock:
            self.failure = self.failure or error

    def watch(self, thing: Pollable, mask: int) -> None:
        """Poll a thing from here on; what is ready comes to :meth:`step`."""
        if self.handle is not None:
            self.handle.watch(thing, mask)

    def forget(self, thing: Pollable) -> None:
        """Poll a thing no more: it is closed next."""
        if self.handle is not None:
            self.handle.forget(thing)

    # --- the end ----------------------------------------------------------------------------

    def _finish(self, now: float) -> None:
        """All is settled: readers get the end at once, judges their goodbye."""
        if self._ending:
            return
        self._ending = True
        self._later(self._outlet.end, self.failure)
        self._say_goodbye(now)

    def _say_goodbye(self, now: float) -> None:
        for driver in self._drivers.values():
            driver.finish(now, self._patience)

    def fail_by(self, error: BaseException) -> None:
        """End by an error of our own: no reader may wait for ever."""
        self._fail(
            error
            if isinstance(error, BargeinError)
            else BargeinError(f"{self.name} failed by a bug of this library's: {error!r}")
        )
        try:
            self._deliver()
            for action in self._machine.handle(Close(), now=time.monotonic()):
                if isinstance(action, EmitVerdict):
                    self._outlet.verdict(action.verdict)
        except Exception:
            logger.exception("%s: failed once more while it ended", self.name)
        self._outlet.end(self.failure)

    def leave(self) -> None:
        """Leave nothing open."""
        for driver in self._drivers.values():
            try:
                driver.close()
            except Exception:
                logger.exception("%s: a driver failed while it was closed", self.name)
        with self.lock:
            self.over = True
        self._left.set()
