"""A machine and its transport, played in whatever time the inputs have: nothing waits for a clock.

At one instant replies come before deadlines, and deadlines before inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from bargein.core import (
    Action,
    CancelWindow,
    EmitVerdict,
    EndOfInput,
    Finish,
    InterruptionMachine,
    Reply,
    SendWindow,
    Verdict,
    Window,
    WindowSent,
    estimate_probability,
)

from .transport import SimulatedTransport, to_nanoseconds

__all__ = ["Handler", "Player"]


class Handler(Protocol):
    """Whoever takes inputs for a machine: a pipeline, or anything like it."""

    machine: InterruptionMachine

    def handle(self, item: Any, *, now: float) -> list[Action]:
        """Take one input."""

    def samples_to_sentinel(self) -> int | None:
        """Return how many samples are missing to the next sentinel that is known ahead."""


class Player:
    """Plays one call from inputs that have times. Give it :meth:`take`, then :meth:`finish_at`.

    ``handler``
        The pipeline, or what stands for it.
    ``on_verdict``
        Gets each verdict, when it is out.
    ``on_answer``
        Gets each answer that an unsettled overlap was still waiting for: the window, its estimate
        (the probability that decides), and when it came, in seconds.

    Not thread-safe.
    """

    def __init__(
        self,
        handler: Handler,
        transport: SimulatedTransport,
        *,
        on_verdict: Callable[[Verdict], None],
        on_answer: Callable[[Window, float, float], None] = lambda window, probability, now: None,
    ) -> None:
        self._handler = handler
        self._machine = handler.machine
        self._transport = transport
        self._on_verdict = on_verdict
        self._on_answer = on_answer
        self._settled = 0
        """The newest overlap whose verdict is out."""
        self._finished = False

    def take(self, item: Any, now: float) -> None:
        """Take an input at its own time (seconds), after what fell due until then."""
        self._happen_until(to_nanoseconds(now))
        self._do(self._handler.handle(item, now=now), now)

    def finish_at(self, now: float) -> None:
        """The input ended: play on until every window is answered or given up."""
        self.take(EndOfInput(), now)
        self._play_out()

    def _play_out(self) -> None:
        while not self._finished:
            self._happen()

    # --- what falls due ---------------------------------------------------------------------

    def _happen_until(self, instant: int) -> None:
        while (due := self._next_due()) is not None and due <= instant:
            self._happen()

    def _next_due(self) -> int | None:
        """When the next reply or deadline is due, in nanoseconds."""
        reply, deadline = self._transport.due, self._machine.next_deadline()
        if deadline is None:
            return reply
        due = to_nanoseconds(deadline)
        return due if reply is None else min(reply, due)

    def _happen(self) -> None:
        """Let the next reply or deadline happen; of two at one instant, the reply."""
        reply, deadline = self._transport.due, self._machine.next_deadline()
        if deadline is not None and (reply is None or to_nanoseconds(deadline) < reply):
            self._do(self._machine.handle_deadline(now=deadline), deadline)
            return
        answered = self._transport.receive()
        item, window = answered.item, answered.window
        if isinstance(item, Reply) and answered.wanted and window.overlap > self._settled:
            probability = estimate_probability(item.prediction.probabilities, window.min_frames)
            self._on_answer(window, probability, answered.now)
        self._do(self._handler.handle(item, now=answered.now), answered.now)

    # --- what goes out ----------------------------------------------------------------------

    def _do(self, actions: Sequence[Action], now: float) -> None:
        """Carry out what one input led to. What it sent and took back again isn't handed over."""
        sent: dict[int, Window] = {}
        for action in actions:
            if isinstance(action, SendWindow):
                sent[action.window.id] = action.window
            elif isinstance(action, CancelWindow):
                if sent.pop(action.window_id, None) is None:
                    self._transport.give_up(action.window_id)
            elif isinstance(action, EmitVerdict):
                self._settled = action.verdict.overlap
                self._on_verdict(action.verdict)
            elif isinstance(action, Finish):
                self._finished = True
        for window in sent.values():
            self._machine.handle(WindowSent(window.id), now=now)
            self._transport.send(window, now=now)
