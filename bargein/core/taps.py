"""Taps: whoever watches a call without having a say in it (a recorder, a shadow).

A tapped pipeline and machine do what plain ones do, and tell their taps of every input and of
every action, in order. A call without taps is made of the plain ones and pays nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from .actions import Action
from .events import InterruptionDetectionError, OverlappingSpeechEvent
from .inbox import Attention
from .inputs import Input
from .machine import InterruptionMachine
from .pipeline import Pipeline

__all__ = ["Tap", "TappedMachine", "TappedPipeline"]

_KEEP_UP = 4
"""Times a second that a tapped call's audio is taken, also while nobody needs it: often enough
that nothing is shed unread (the inbox holds five seconds), seldom enough to cost nothing."""


class Tap:
    """Watches one call. Its methods are called by the call's owner, in order; each must be quick.

    What a tap raises would end the call, so it must not raise. The methods here do nothing.
    """

    wants_all_audio = False
    """Whether to be given the audio that no window can need, too."""

    def input(self, item: Any, now: float, *, direct: bool) -> None:
        """Take what goes into the pipeline, or (``direct``) past it into the machine."""

    def machine_input(self, item: Input, now: float) -> None:
        """Take what goes into the machine, from the pipeline or past it."""

    def deadline(self, now: float) -> None:
        """Take that time alone may change something."""

    def actions(self, actions: Sequence[Action]) -> None:
        """Take what the input or deadline before led to."""

    def event(self, event: OverlappingSpeechEvent, offset: float) -> None:
        """Take an event as it is emitted; ``offset`` from monotonic to epoch seconds."""

    def error(self, error: InterruptionDetectionError) -> None:
        """Take an error event as it is emitted."""

    def end(self, error: BaseException | None) -> None:
        """Take that the call is over; always last."""


class TappedMachine(InterruptionMachine):
    """An interruption machine that tells its taps."""

    def __init__(self, taps: Sequence[Tap], *args: Any, **kwargs: Any) -> None:
        self.taps = tuple(taps)
        self.inside = False
        """Whether the pipeline is at work: what it hands on is no input of its own."""
        super().__init__(*args, **kwargs)

    def handle(self, item: Input | Any, *, now: float) -> list[Action]:
        """Do as the plain machine does."""
        for tap in self.taps:
            if not self.inside:
                tap.input(item, now, direct=True)
            tap.machine_input(item, now)
        actions = super().handle(item, now=now)
        if not self.inside:
            self.tell(actions)
        return actions

    def handle_deadline(self, *, now: float) -> list[Action]:
        """Do as the plain machine does."""
        for tap in self.taps:
            tap.deadline(now)
        actions = super().handle_deadline(now=now)
        self.tell(actions)
        return actions

    def tell(self, actions: Sequence[Action]) -> None:
        """Give the taps what came out."""
        for tap in self.taps:
            tap.actions(actions)


class TappedPipeline(Pipeline):
    """A pipeline that tells its machine's taps."""

    machine: TappedMachine

    def handle(self, item: Any, *, now: float) -> list[Action]:
        """Do as the plain pipeline does."""
        machine = self.machine
        for tap in machine.taps:
            tap.input(item, now, direct=False)
        machine.inside = True
        try:
            actions = super().handle(item, now=now)
        finally:
            machine.inside = False
        machine.tell(actions)
        return actions

    def attention(self) -> Attention:
        """Return what the plain pipeline does; all audio is needed where a tap wants it."""
        attention = super().attention()
        if not any(tap.wants_all_audio for tap in self.machine.taps):
            return attention
        steps = self.machine.format.sample_rate // _KEEP_UP
        wake_after = steps if attention.wake_after is None else min(attention.wake_after, steps)
        return attrs.evolve(attention, keep=None, wake_after=wake_after)
