"""What happens in a call, and how it is given out: to readers, and to listeners on a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import attrs

from bargein.core import OverlappingSpeechEvent
from bargein.errors import StreamEnded
from bargein.runtime.delivery import Delivery, on_own_thread
from bargein.runtime.listeners import Listeners
from bargein.runtime.queue import EventQueue

from .prompt import Prompt

__all__ = ["CallEvent", "CallEventKind", "CallEvents", "Listener"]

MAX_EVENTS = 1024
"""Events that wait unread: an hour of a lively call."""

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

    Listeners run on a thread of the call's own, which lives while there is something to tell.
    """

    def __init__(self, call_id: str) -> None:
        self._id = call_id
        self._queue: EventQueue[CallEvent] = EventQueue(
            f"the call {call_id}", limit=MAX_EVENTS, arrays=EVENT_ARRAYS
        )
        self._listeners = Listeners(get_args(CallEventKind), slow=None)
        self._delivery = Delivery(call_id, self._tell, on_own_thread(f"call-{call_id}"))

    def add_listener(self, kind: str, listener: Listener) -> None:
        """Have a function called with each event of a kind; raises `OptionError` for no kind."""
        self._listeners.on(kind, listener)

    def put(self, event: CallEvent) -> None:
        """Give an event out."""
        listened = self._listeners.any(event.kind)
        self._queue.put(event, delivered=listened)
        if listened:
            self._delivery.put(event)

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

    def _tell(self, event: Any) -> None:
        self._listeners.emit(event.kind, event, self._id)
