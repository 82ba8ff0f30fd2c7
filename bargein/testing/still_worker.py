"""A stream's worker without a thread: who gives it something, or moves its clock, does its work."""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from bargein.core import (
    Action,
    CancelWindow,
    Close,
    EmitVerdict,
    Finish,
    Input,
    InterruptionMachine,
    Judge,
    OverlapSpeechEnded,
    SendWindow,
    Settings,
    State,
)
from bargein.core.inbox import Inbox
from bargein.core.pipeline import Pipeline
from bargein.core.taps import Tap
from bargein.drivers.protocol import Host
from bargein.errors import APIError
from bargein.runtime.poller import Pollable
from bargein.worker import Outlet

from .clock import FakeClock, Timer
from .transcript import Transcript

__all__ = ["StillWorker", "TranscriptTap"]

DEADLINES_LAST = 1
"""Of what happens at one instant, replies come before deadlines, as in a live stream."""

_ROUNDING = 1e-9
"""Seconds. The clock counts whole nanoseconds."""


class TranscriptTap(Tap):
    """Writes down what goes into the machine."""

    machine: InterruptionMachine

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript

    def machine_input(self, item: Input, now: float) -> None:
        """Write an input, by the state in which it is met."""
        self._transcript.note_input(item, now, self.machine.state)


class StillWorker(Host):
    """A stream's worker that has no thread: who gives it something does its work."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        name: str,
        inbox: Inbox,
        clock: FakeClock,
        outlet: Outlet,
        transcript: Transcript,
    ) -> None:
        self.name = name
        self.lock = threading.RLock()
        self.lost = 0
        self.failure: BaseException | None = None
        self.over = False
        self._outlet = outlet
        self._transcript = transcript
        self._pipeline = pipeline
        self._machine = pipeline.machine
        self._state = self._machine.state
        self._inbox = inbox
        self._clock = clock
        self._work: deque[tuple[Callable[[], list[Action]], float]] = deque()
        self._results: deque[Callable[[], None]] = deque()
        self._working = self._delivering = False
        self._timer: Timer | None = None
        self.drivers: dict[Judge, Any] = {}

    # --- what a stream asks of its worker ---------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether it still takes anything."""
        return not self.over

    @property
    def reconnects(self) -> int:
        """Connections made after the first, ever."""
        return sum(driver.reconnects for driver in self.drivers.values())

    @property
    def faults(self) -> int:
        """Faults of the judges, ever."""
        return sum(driver.faults for driver in self.drivers.values())

    def start(self) -> None:
        """Begin: judges that need no time are ready at once."""
        for driver in list(self.drivers.values()):
            driver.start(self._clock())
        self._clock.advance(0.0)
        self._settle()

    def push(self, frame: Any) -> None:
        """Take a frame of audio."""
        if self._deaf():
            self.lost += 1
        else:
            self._inbox.push(frame, self._clock())
            self._take()

    def voice_activity(self, probability: float) -> None:
        """Take a VAD's probability."""
        if not self._deaf():
            self._inbox.voice_activity(probability, self._clock())
            self._take()

    def agent_audio(self, frame: Any, format: Any) -> None:
        """Take the agent's audio."""
        if not self._deaf():
            self._inbox.agent_audio(frame, format, self._clock())
            self._take()

    def put(self, item: Any) -> None:
        """Take a control item."""
        if not self._deaf():
            self._inbox.put(item, self._clock())
            self._take()

    def close(self, timeout: float = 0.0) -> bool:
        """End now."""
        if not self.over:
            self._inbox.put(Close(), self._clock())
            self._take()
        return True

    def _deaf(self) -> bool:
        return self.failure is not None and not self._inbox.ended

    # --- the work ---------------------------------------------------------------------------

    def _take(self) -> None:
        for stamped in self._inbox.detach():
            item, now = stamped.item, stamped.now
            if isinstance(item, Settings):
                self.drivers[Judge.PRIMARY].update(item, now)
            elif self._machine.state is not State.ENDED:
                self._do(functools.partial(self._pipeline.handle, item, now=now), now)
        self._inbox.attention = self._pipeline.attention()
        self._settle()

    def _do(self, work: Callable[[], list[Action]], now: float) -> None:
        """Have the machine work and carry out what it wants, all of it, before it gets more."""
        self._work.append((work, now))
        if self._working:
            return
        self._working = True
        try:
            while self._work:
                work, now = self._work.popleft()
                for action in work():
                    self._carry_out(action, now)
                if self._machine.state is not self._state:
                    self._state = self._machine.state
                    for driver in self.drivers.values():
                        driver.call_changed(self._state, now)
        finally:
            self._working = False

    def _carry_out(self, action: Action, now: float) -> None:
        if isinstance(action, SendWindow):
            self._transcript.note_window(action.window, self._clock(), action.judge)
            self.drivers[action.judge].send(action.window, now)
        elif isinstance(action, CancelWindow):
            why = "taken back" if action.reason is None else f"given up: {action.reason.value}"
            self._transcript.note(self._clock(), f"window {action.window_id} is {why}")
            self.drivers[action.judge].cancel(action.window_id, action.reason, now)
        elif isinstance(action, EmitVerdict):
            verdict = action.verdict
            self._transcript.note_verdict(verdict, self._clock())
            self._results.append(lambda: self._outlet.verdict(verdict))
        elif isinstance(action, Finish) and not self.over:
            self.over = True
            self._results.append(lambda: self._outlet.end(self.failure))
            for driver in self.drivers.values():
                driver.finish(now, 0.0)

    def _settle(self) -> None:
        """Hand on what came out, and have the clock call when something is due."""
        if not self._delivering:
            self._delivering = True
            try:
                while self._results:
                    self._results.popleft()()
            finally:
                self._delivering = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadlines = [driver.deadline() for driver in self.drivers.values()]
        due = [at for at in (self._machine.next_deadline(), *deadlines) if at is not None]
        if due:
            self._timer = self._clock.call_at(min(due), self._expire, priority=DEADLINES_LAST)

    def _expire(self) -> None:
        due = self._due(self._machine.next_deadline())
        if due is not None:
            self._do(functools.partial(self._machine.handle_deadline, now=due), due)
        for driver in self.drivers.values():
            due = self._due(driver.deadline())
            if due is not None:
                driver.handle_deadline(due)
        self._settle()

    def _due(self, deadline: float | None) -> float | None:
        """Return the time by which a deadline has passed, which the clock rounds to nanoseconds."""
        now = self._clock()
        if deadline is None or deadline > now + _ROUNDING:
            return None
        return max(now, deadline)

    # --- for drivers ------------------------------------------------------------------------

    def tell(self, item: Input, now: float) -> None:
        """Give the machine an input and carry out what it wants."""
        self._do(lambda: self._machine.handle(item, now=now), now)
        if not self._working:
            self._settle()

    def announce(self, error: APIError, *, recoverable: bool, failures: int, now: float) -> None:
        """Emit an error event."""
        goes = "goes on" if recoverable else "given up"
        self._transcript.note(self._clock(), f"fault ({goes}): {error}")
        self._results.append(
            lambda: self._outlet.error(error, recoverable=recoverable, failures=failures)
        )
        if not self._working:
            self._settle()

    def fail(self, error: APIError) -> None:
        """End the stream by this error; an overlap that is open gets its event first."""
        self.failure = self.failure or error
        now = self._clock()
        self._do(lambda: self._give_up(now), now)
        if not self._working:
            self._settle()

    def _give_up(self, now: float) -> list[Action]:
        actions: list[Action] = []
        if self._machine.state is State.OPEN:
            actions += self._machine.handle(OverlapSpeechEnded(), now=now)
        return actions + self._machine.handle(Close(), now=now)

    def watch(self, thing: Pollable, mask: int) -> None:
        """Nothing is polled."""

    def forget(self, thing: Pollable) -> None:
        """Nothing is polled."""

    def wake(self) -> None:
        """Nobody sleeps."""
