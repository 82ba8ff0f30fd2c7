"""A call that stands still: a detector for the bot under test, a clock, and scripts to play."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from bargein.backends import Backend
from bargein.core import (
    InterruptionDetectionError,
    OverlappingSpeechEvent,
    Window,
)

from .answers import Answer, no
from .check import Run, check
from .clock import FakeClock
from .judge import ScriptJudge
from .script import CallScript
from .still import StillDetector, StillStream, Transport
from .timeline import give, length_of, timeline
from .transcript import Transcript

__all__ = ["StillCall"]


class StillCall:
    """A call in which all happens in the test's own thread, in no time::

        call = StillCall()
        bot = Bot(call.detector)         # opens its stream, adds its listeners
        call.play('''
            agent speaks 0 - 6 s
            caller speaks 2.1 - 2.5 s, judged 0.8 after 120 ms
            expect interruption within 300 ms
        ''')
        assert bot.prompt_stopped_at == 2.32

    ``transport``: by whose rules faults and places in flight go, a server's over a WebSocket or
    HTTP, or those of a judge in this process (``"call"``). ``backend``: a judge to be asked instead
    of the scripts' answers. ``options``: the detector's. Not thread-safe.
    """

    def __init__(
        self,
        *,
        transport: Transport = "websocket",
        backend: Backend | Callable[[Window], Any] | str | None = None,
        **options: Any,
    ) -> None:
        self.clock = FakeClock()
        """The time. Call logic that has timers should run on it too."""
        self._judge: Callable[[Window], Answer] = lambda window: no
        self.detector = StillDetector(
            None if backend is not None else lambda window: self._judge(window),
            clock=self.clock,
            transport=transport,
            backend=backend,
            **options,
        )
        """For the bot, in place of its own."""
        self.events: list[OverlappingSpeechEvent] = []
        """All verdicts so far, of all streams."""
        self.errors: list[InterruptionDetectionError] = []
        self.detector.on("overlapping_speech", self.events.append)
        self.detector.on("error", self.errors.append)

    @property
    def stream(self) -> StillStream:
        """The newest stream that was opened; one is opened if none was."""
        streams = self.detector.streams
        return streams[-1] if streams else self.detector.stream()

    @property
    def transcript(self) -> Transcript:
        """What happened in the newest stream."""
        return self.stream.transcript

    def judge_by(self, choose: Callable[[Window], Answer]) -> None:
        """Let a function say what becomes of each window, for audio that is pushed by hand."""
        self._judge = choose

    def play(self, script: CallScript | str, *, into: Any = None) -> Run:
        """Play a script into the bot's stream, from where the clock stands, and check it.

        Script times are counted from now on. ``into``: what takes the inputs instead of the newest
        stream, where the bot's own callbacks are to be tested as well: an object with a stream's
        input methods (``push_frame``, ``voice_activity``, ``agent_speech_started`` and so on).
        Raises :class:`~bargein.testing.ScriptFailure` where something else comes than is expected.
        """
        __tracebackhide__ = True
        if isinstance(script, str):
            script = CallScript.parse(script)
        stream, clock, began = self.stream, self.clock, self.clock()
        heard, faults = len(self.events), len(self.errors)
        fmt = stream._inbox.format
        if fmt is None:
            given = script.format
            stream.set_format(
                sample_rate=given.sample_rate,
                num_channels=given.num_channels,
                encoding=given.encoding,
            )
        elif fmt != script.format and not script.has_audio:
            script = attrs.evolve(script, format=fmt)  # the line's format is the bot's to choose
        self._judge = ScriptJudge(script, began=_heard_so_far(stream))
        for at_item in timeline(script):
            clock.advance_to(began + at_item.at)
            if not stream.is_open:
                break
            give(stream if into is None else into, at_item.item)
        clock.advance_to(began + length_of(script))
        events = [_shifted(event, began) for event in self.events[heard:]]
        run = Run(script, tuple(events), tuple(self.errors[faults:]), stream.transcript)
        return check(run)


def _heard_so_far(stream: StillStream) -> float:
    """Return how much audio a stream has had, in seconds."""
    machine = stream._pipeline.machine
    return machine.position / machine.format.sample_rate


def _shifted(event: OverlappingSpeechEvent, began: float) -> OverlappingSpeechEvent:
    """Return the event with its times counted from the script's beginning."""
    if not began:
        return event
    onset = event.overlap_started_at
    return attrs.evolve(
        event,
        overlap_started_at=None if onset is None else onset - began,
        detected_at=event.detected_at - began,
        created_at=event.created_at - began,
    )
