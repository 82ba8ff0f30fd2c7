"""The agent's turns: which prompt the caller hears, and where one turn ends and another begins.

`AgentTurns` keeps the prompts that a `Pacer` plays. It is asked now and then what has happened, and
tells in order: a turn began, a passage was reached, a prompt was heard, the turn ended. Sans-IO:
*now* is monotonic seconds.

A turn begins when the caller begins to hear the agent. It ends when all was heard, or, after a
stop, when what couldn't be taken back was: what is said next is another turn, be it said at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import attrs

from .pacer import Pacer, PacerAction, Passage
from .prompt import Prompt

__all__ = [
    "AgentTurns",
    "PassageReached",
    "Place",
    "PromptHeard",
    "Stopped",
    "TurnBegan",
    "TurnEnded",
    "TurnEvent",
]


@attrs.frozen
class TurnBegan:
    """The caller begins to hear the agent."""

    prompt: Prompt | None


@attrs.frozen
class PassageReached:
    """The caller comes to a passage that can, or can't, be interrupted, unlike the one before."""

    interruptible: bool


@attrs.frozen
class PromptHeard:
    """The caller has heard a prompt to its end."""

    prompt: Prompt


@attrs.frozen
class TurnEnded:
    """The caller hears the agent no more."""


TurnEvent = TurnBegan | PassageReached | PromptHeard | TurnEnded


@attrs.frozen
class Place:
    """Where the caller is in what the agent says."""

    prompt: Prompt | None
    heard_up_to: int | None
    """Milliseconds of the prompt."""


@attrs.frozen
class Stopped:
    """What a stop led to."""

    actions: list[PacerAction]
    place: Place | None
    """Where the caller was, what can't be taken back included; ``None``: nothing was heard."""
    prompts: tuple[Prompt, ...]
    """Those that were dropped, all or in part."""


class AgentTurns:
    """One call's turns. Not thread-safe; the call's lock guards it and its prompts."""

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer
        self.speaking = False
        """Whether the caller hears the agent, or will when a pause is over."""
        self._prompts: deque[Prompt] = deque()
        """Those that weren't settled yet."""
        self._begin = 0
        """Where in the programme the turn begins."""
        self._cut: tuple[int, float] | None = None
        """After a stop: where the turn ends, and when the caller has heard it up to there."""
        self._passage: Passage | None = None

    @property
    def active(self) -> bool:
        """Whether anything is, or may come, to be done."""
        return self.speaking or self.pacer.active or bool(self._prompts)

    # --- prompts ----------------------------------------------------------------------------

    def open(self, prompt: Prompt) -> None:
        """Take a prompt whose audio comes bit by bit, until `close`."""
        self.pacer.open()
        self._prompts.append(prompt)

    def append(self, prompt: Prompt, passage: Passage, text: str) -> None:
        """Take a passage of a prompt; ignored if it was stopped meanwhile."""
        if prompt.state != "stopped":
            self.pacer.add(passage)
            prompt._parts.append((passage, text))

    def close(self, prompt: Prompt) -> None:
        """Note that no more comes of a prompt."""
        if prompt.state in ("queued", "playing"):
            self.pacer.close()

    # --- what happens -----------------------------------------------------------------------

    def follow(self, now: float) -> Iterator[TurnEvent]:
        """Yield what has happened by now. What is done between two of them counts at once."""
        if self.speaking and self._cut is not None and now >= self._cut[1]:
            yield self._end(self._cut[0])
        if not self.speaking and self.pacer.clock.handed > self._begin:
            self.speaking = True
            yield TurnBegan(self._prompts[0] if self._prompts else None)
        if self.speaking:
            yield from self._reach(now)
        yield from self._settle(now)
        if self.speaking and self.pacer.finished(now):
            yield self._end(self.pacer.clock.handed)

    def _reach(self, now: float) -> Iterator[TurnEvent]:
        passage, before = self.pacer.passage(now), self._passage
        if passage is None or passage is before:
            return
        self._passage = passage
        if isinstance(passage.owner, Prompt) and passage.owner.state == "queued":
            passage.owner._state = "playing"
        if passage.interruptible is not (before is None or before.interruptible):
            yield PassageReached(passage.interruptible)

    def _settle(self, now: float) -> Iterator[TurnEvent]:
        heard = self.pacer.heard(now)
        while self._prompts:
            prompt = self._prompts[0]
            prompt._update(heard)
            end = prompt._parts[-1][0].end if prompt._parts else 0
            if not prompt._ended or heard < end:
                break
            self._prompts.popleft()
            prompt._settle("heard")
            yield PromptHeard(prompt)

    def _end(self, position: int) -> TurnEnded:
        self.speaking, self._begin, self._cut, self._passage = False, position, None, None
        return TurnEnded()

    def stop(self, now: float) -> Stopped:
        """Drop all prompts. What can't be taken back counts as heard."""
        place = self.place(now)
        actions = self.pacer.stop(now)
        handed = self.pacer.clock.handed
        prompts = tuple(self._prompts)
        self._prompts.clear()
        for prompt in prompts:
            prompt._update(handed)
            prompt._settle("stopped")
        if not (self.speaking and prompts):
            return Stopped(actions, None, prompts)
        self._cut = handed, self.pacer.silent_from(now)
        if place.prompt is not None:
            place = Place(place.prompt, place.prompt.heard_up_to)
        return Stopped(actions, Place(place.prompt, place.heard_up_to or 0), prompts)

    def silence(self) -> bool:
        """Note that the line is gone; return whether that ended a turn."""
        spoke, self.speaking = self.speaking, False
        return spoke

    def place(self, now: float) -> Place:
        """Return which prompt the caller hears, and how much of it was heard."""
        passage = self.pacer.passage(now)
        prompt = passage.owner if passage is not None else None
        if not isinstance(prompt, Prompt):
            return Place(None, None)
        self.refresh(prompt, now)
        return Place(prompt, prompt._milliseconds)

    def refresh(self, prompt: Prompt, now: float) -> None:
        """Take note of how much of a prompt the caller has heard."""
        if not prompt._done.is_set():
            prompt._update(self.pacer.heard(now))
