"""The agent's side of a call: what it says, what the policy does to that, and what is told of it.

`Agent` joins the pacer, the agent's turns and the policy, and carries out on the line what they
want. No clock, no lock, no thread of its own: its `Call` has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from .agent_turns import AgentTurns, PassageReached, PromptHeard, TurnBegan, TurnEvent
from .call_events import CallEventKind
from .line import Line
from .pacer import Clear, Mark, Pacer, PacerAction, Passage, Write
from .policy import (
    AgentEnded,
    AgentStarted,
    BargeInPolicy,
    Duck,
    PassageStarted,
    Pause,
    PolicyAction,
    PolicyInput,
    PolicyMachine,
    Stop,
)
from .prompt import Prompt

__all__ = ["Agent", "Emit"]


class Emit(Protocol):
    """Gives an event of the call out."""

    def __call__(
        self,
        kind: CallEventKind,
        *,
        prompt: Prompt | None = None,
        heard_up_to: int | None = None,
        reason: str | None = None,
    ) -> None: ...


class Agent:
    """One call's agent. Not thread-safe; the call's lock guards it, and its prompts.

    Args:
        line: what it speaks to; written to at once, for a line never blocks.
        policy: see `Call`.
        latency: see `Call`.
        clock: monotonic seconds.
        emit: is told what happens, in order.
    """

    def __init__(
        self,
        line: Line,
        policy: BargeInPolicy | None,
        *,
        latency: float,
        clock: Callable[[], float],
        emit: Emit,
    ) -> None:
        self.policy = PolicyMachine(policy)
        self._line = line
        self._clock = clock
        self._emit = emit
        self._pacer = Pacer(
            line.format,
            frame=line.frame,
            paced_by_peer=line.paced_by_peer,
            marks=line.marks,
            latency=latency,
        )
        self._turns = AgentTurns(self._pacer)
        self._position = 0
        """Samples of the caller's audio, and of its gaps."""
        self._over = False

    @property
    def seconds(self) -> float:
        """Of the caller's audio: what the policy and the call's events count in."""
        return self._position / self._line.format.sample_rate

    @property
    def speaking(self) -> bool:
        """Whether the caller hears it."""
        return self._turns.speaking

    @property
    def active(self) -> bool:
        """Whether `tick` has anything to do, or will have."""
        return self._turns.active and not self._over

    # --- what it says -----------------------------------------------------------------------

    def open(self, prompt: Prompt) -> None:
        """Take a prompt whose audio comes bit by bit, until `close`."""
        self._turns.open(prompt)

    def append(self, prompt: Prompt, passage: Passage, text: str) -> None:
        """Take a passage of a prompt."""
        self._turns.append(prompt, passage, text)

    def close(self, prompt: Prompt) -> None:
        """Note that no more comes of a prompt."""
        self._turns.close(prompt)

    def refresh(self, prompt: Prompt) -> None:
        """Have a prompt know how much of it the caller has heard by now."""
        self._turns.refresh(prompt, self._clock())

    def stop(self, reason: str | None) -> None:
        """Drop what it is saying. ``None``: because the call is over."""
        stopped = self._turns.stop(self._clock())
        self._carry(stopped.actions)
        place = stopped.place
        if place is not None and reason is not None:
            heard = place.heard_up_to
            self._emit("stopped", prompt=place.prompt, heard_up_to=heard, reason=reason)
        for prompt in stopped.prompts:
            self._emit("prompt_ended", prompt=prompt, heard_up_to=prompt.heard_up_to)

    # --- what its line tells ----------------------------------------------------------------

    def reference(self, now: float) -> bytes:
        """Return its audio that was played since the last call, for the echo canceller."""
        return self._pacer.reference(now)

    def mark_returned(self, name: str, cleared: bool) -> None:
        """Take a mark that came back."""
        self._pacer.mark_returned(name, cleared, self._clock())

    def flow(self, writable: bool) -> None:
        """Take whether the line takes audio."""
        self._pacer.flow(writable)

    def end(self) -> None:
        """The line is gone: what it was saying is over."""
        self._over = True
        self.stop(None)
        if self._turns.silence():
            self._emit("agent_ended")

    # --- what time does ---------------------------------------------------------------------

    def tick(self, now: float) -> list[TurnEvent]:
        """Hand over audio that is due; return what became of the turn, in order."""
        self._carry(self._pacer.tick(now))
        happened = []
        for item in self._turns.follow(now):
            self._follow(item)
            happened.append(item)
        return happened

    def _follow(self, item: TurnEvent) -> None:
        if isinstance(item, TurnBegan):
            self.take(AgentStarted())
            self._emit("agent_started", prompt=item.prompt)
        elif isinstance(item, PassageReached):
            self.take(PassageStarted(item.interruptible))
        elif isinstance(item, PromptHeard):
            prompt = item.prompt
            self._emit("prompt_ended", prompt=prompt, heard_up_to=prompt.heard_up_to)
        else:
            self.take(AgentEnded())
            self._emit("agent_ended")

    def elapse(self, samples: int) -> None:
        """Note so much of the caller's audio, or of a gap in it."""
        self._position += samples

    def do_what_is_due(self) -> None:
        """Have the policy do what it has put off until now."""
        due = self.policy.next_deadline()
        if due is not None and self.seconds >= due:
            self._do(self.policy.handle_deadline(now=self.seconds))

    # --- what the policy wants --------------------------------------------------------------

    def take(self, item: PolicyInput) -> None:
        """Tell the policy what happened, and do what it wants."""
        self._do(self.policy.handle(item, now=self.seconds))

    def _do(self, actions: Iterable[PolicyAction]) -> None:
        now = self._clock()
        for action in actions:
            if isinstance(action, Stop):
                self.stop(action.reason.value)
                continue
            kind: CallEventKind
            if isinstance(action, Duck):
                kind, carried = "ducked", self._pacer.duck(action.gain, now)
            elif isinstance(action, Pause):
                kind, carried = "paused", self._pacer.pause(now)
            else:
                kind, carried = "resumed", self._pacer.resume(now)
            self._carry(carried)
            place = self._turns.place(now)
            self._emit(kind, prompt=place.prompt, heard_up_to=place.heard_up_to)

    def _carry(self, actions: Iterable[PacerAction]) -> None:
        """Do what the pacer wants: under the call's lock, for order matters."""
        if self._over:
            return
        for action in actions:
            if isinstance(action, Write):
                self._line.write(action.audio)
            elif isinstance(action, Mark):
                self._line.mark(action.name)
            elif isinstance(action, Clear):
                self._line.clear()
