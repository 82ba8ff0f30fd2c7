"""What happens in a call, and how it is given out: to readers, and to listeners on a thread."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal, get_args

import attrs

from bargein.core import OverlappingSpeechEvent
from bargein.errors import OptionError, StreamEnded
from bargein.runtime.queue import EventQueue

from .prompt import Prompt

__all__ = ["CallEvent", "CallEventKind", "CallEvents", "Listener"]

logger = logging.getLogger("bargein")

MAX_EVENTS = 1024
"""Events that wait unread, or for a listener that takes its time: an hour of a lively call."""

EVENT_ARRAYS = 4
"""Of them, the newest whose verdicts keep their windows (96 KB each)."""

CallEventKind = Literal[
    "agent_started",
    "agent_ended",
    "overlap_started",
    "overlap_ended",
    "verdict",
    "ducked",
    "paused",
    "resumed",
    "stopped",
    "prompt_ended",
    "dtmf",
    "error",
    "ended",
]


@attrs.frozen(kw_only=True)
class CallEvent:
    """What happened in a call. Fields that don't belong to its kind are ``None``."""

    kind: CallEventKind
    call_id: str
    at: float
    """Seconds of the call, by the caller's audio."""
    time: float
    """Monotonic seconds."""
    prompt: Prompt | None = None
    """The prompt that was heard: of ``stopped``, ``prompt_ended`` and the agent's events."""
    heard_up_to: int | None = None
    """Milliseconds of the prompt that the caller has heard: what belongs in a dialogue's
    history."""
    verdict: OverlappingSpeechEvent | None = None
    reason: str | None = None
    """Of ``stopped`` a `StopReason`'s value, of ``ended`` an `EndReason`, of ``overlap_ended``
    ``caller_stopped`` or ``agent_ended``."""
    digit: str | None = None
    error: Exception | None = None

    def without_arrays(self) -> CallEvent:
        """Return the event without its verdict's window and probabilities."""
        if self.verdict is None or self.verdict.speech_input is None:
            return self
        return attrs.evolve(self, verdict=self.verdict.without_arrays())


Listener = Callable[[CallEvent], object]


class CallEvents:
    """One call's events, in order, for readers and listeners. Thread-safe; `put` never blocks.

    Listeners run on a thread of their own, which lives while there is something to tell.
    """

    def __init__(self, call_id: str) -> None:
        self._id = call_id
        self._queue: EventQueue[CallEvent] = EventQueue(
            f"the call {call_id}", limit=MAX_EVENTS, arrays=EVENT_ARRAYS
        )
        self._changed = threading.Condition()
        self._listeners: list[tuple[str, Listener]] = []
        self._waiting: deque[CallEvent] = deque()
        self._lost = 0
        """Events that no listener got, because an earlier one took too long."""
        self._running = False

    def add_listener(self, kind: str, listener: Listener) -> None:
        """Have a function called with each event of a kind; raises `OptionError` for no kind."""
        if kind not in get_args(CallEventKind):
            raise OptionError(
                f"there is no event {kind!r}; expected one of {', '.join(get_args(CallEventKind))}"
            )
        with self._changed:
            self._listeners.append((kind, listener))

    def put(self, event: CallEvent) -> None:
        """Give an event out."""
        self._queue.put(event, delivered=self._to_listeners(event))

    def end(self) -> None:
        """No event comes after this."""
        self._queue.end()

    def recv(self, timeout: float | None = None) -> CallEvent:
        """Return the next event; see `Call.recv`."""
        return self._queue.get(timeout)

    def __iter__(self) -> Iterator[CallEvent]:
        while True:
            try:
                yield self.recv()
            except StreamEnded:
                return

    def _to_listeners(self, event: CallEvent) -> bool:
        """Return whether there are any for it."""
        with self._changed:
            if all(kind != event.kind for kind, _ in self._listeners):
                return False
            self._waiting.append(event)
            if len(self._waiting) > MAX_EVENTS:
                self._waiting.popleft()
                self._lost += 1
                if self._lost == 1:
                    logger.warning(
                        "%s: a listener holds up %d events; the oldest go", self._id, MAX_EVENTS
                    )
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name=f"call-{self._id}", daemon=True).start()
            return True

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._running = False
                    return
                event = self._waiting.popleft()
                listeners = [each for kind, each in self._listeners if kind == event.kind]
            for listener in listeners:
                try:
                    listener(event)
                except BaseException:  # SystemExit too: the thread isn't the listener's to end
                    logger.exception("%s: a listener for %r raised", self._id, event.kind)
