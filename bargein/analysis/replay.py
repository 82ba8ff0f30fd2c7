"""A call played from a recording: the pipeline, its windows and its deadlines in audio time.

Nothing here waits, and nothing reads a clock: *now* is the position in the recording. At one
instant replies come before deadlines, deadlines before controls, controls before audio.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bargein.core import (
    Action,
    Audio,
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

__all__ = ["Replay"]

_NANOSECONDS = 1_000_000_000


class Handler(Protocol):
    """Whoever takes inputs for a machine: a pipeline, or anything like it."""

    machine: InterruptionMachine

    def handle(self, item: Any, *, now: float) -> list[Action]:
        """Take one input."""

    def samples_to_sentinel(self) -> int | None:
        """Return how many samples are missing to the next sentinel that is known ahead."""


class Replay:
    """Plays one call. Give it audio and controls in the recording's order, then :meth:`finish`.

    ``handler``
        The pipeline, or what stands for it; its machine reads mono s16le.
    ``on_verdict``
        Gets each verdict, when it is out.
    ``on_answer``
        Gets each answer that an unsettled overlap was still waiting for: the window, its estimate
        (the probability that decides), and when it came, in seconds of the recording.

    How the audio is cut into calls changes nothing but the place of sentinels that ``handler``
    finds in mid-audio. Not thread-safe.
    """

    def __init__(
        self,
        handler: Handler,
        transport: SimulatedTransport,
        *,
        on_verdict: Callable[[Verdict], None],
        on_answer: Callable[[Window, float, float], None] = lambda window, probability, now: None,
    ) -> None:
        self.position = 0
        """Samples of the caller's audio played so far."""
        self._handler = handler
        self._machine = handler.machine
        self._transport = transport
        self._on_verdict = on_verdict
        self._on_answer = on_answer
        self._rate = handler.machine.format.sample_rate
        self._settled = 0
        """The newest overlap whose verdict is out."""
        self._finished = False

    @property
    def now(self) -> float:
        """The position in the recording, in seconds."""
        return self.position / self._rate

    # --- what comes in ----------------------------------------------------------------------

    def audio(self, samples: npt.NDArray[np.int16]) -> None:
        """Play the caller's audio, int16 (n,); what falls due meanwhile happens in its place.

        Audio is cut where a window is, and before what falls due, for a window is handed over at
        its cut and a reply may open a place for the next.
        """
        begin = self.position
        end = begin + len(samples)
        data = samples.astype("<i2", copy=False).tobytes()
        while self.position < end:
            due = self._next_due()
            until = end if due is None else min(end, self._last_before(due))
            if until <= self.position and due is not None:
                self._happen()
                continue
            for stop in (self._machine.samples_to_cut(), self._handler.samples_to_sentinel()):
                if stop:
                    until = min(until, self.position + stop)
            piece = data[2 * (self.position - begin) : 2 * (until - begin)]
            self.position = until
            self._do(self._handler.handle(Audio(piece), now=self.now), self.now)

    def control(self, item: Any) -> None:
        """Take a control input at the present position."""
        instant = self._instant(self.position)
        while (due := self._next_due()) is not None and due <= instant:
            self._happen()
        self._do(self._handler.handle(item, now=self.now), self.now)

    def finish(self) -> None:
        """The recording ended: play on until every window is answered or given up."""
        self.control(EndOfInput())
        while not self._finished:
            self._happen()

    # --- time -------------------------------------------------------------------------------

    def _instant(self, position: int) -> int:
        """When a position is reached, in whole nanoseconds."""
        return (2 * position * _NANOSECONDS + self._rate) // (2 * self._rate)

    def _last_before(self, instant: int) -> int:
        """The last position that is reached before an instant: audio at it comes after it."""
        position = instant * self._rate // _NANOSECONDS + 1
        while self._instant(position) >= instant:
            position -= 1
        return position

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
