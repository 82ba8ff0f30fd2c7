"""A call's inputs on their way to the machine: voice activity, echo gate, overlap tracker.

People have audio, a VAD and a playout; the machine wants sentinels. The pipeline finds them and
hands them over at the positions at which they fall, in one order with the audio. It is what a live
stream and the analysis of a recording share. Sans-IO, like what it holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from bargein.audio import decode, read_frame
from bargein.vad.track import CHUNK, SpeechTrack

from .actions import Action
from .agent_voice import AgentVoice
from .buffer import MAX_SILENCE
from .echo import EchoGate
from .inbox import Attention
from .inputs import (
    AgentAudio,
    AgentSpeechEnded,
    AgentSpeechStarted,
    Audio,
    Gap,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    SetFormat,
    Skip,
    VoiceActivity,
)
from .listener import WARM_UP, Listener
from .machine import InterruptionMachine
from .options import round_half_up
from .playout import Playout
from .states import State
from .timeline import Timeline
from .tracker import Fallen, OverlapTracker, Sentinel
from .window import WINDOW_RATE

__all__ = ["Pipeline"]

LIVE_CHUNKS = 3
"""Chunks (of 32 ms) that a live stream's VAD takes at a time where nothing can fall in them: singly
they cost twice as much."""

PLAYOUT_STEPS = 10
"""A second: how often a worker looks whether the agent's audio has begun or ended."""

KEEP_MARGIN = 0.25
"""Seconds kept beyond the longest window, so that what was skipped never touches its filter."""


class Pipeline:
    """Finds the sentinels of a call and gives everything to the machine, in one order.

    ``tracker``
        Turns voice activity into overlaps; ``None``: the user pushes the sentinels.
    ``speech``
        Where the library's own VAD keeps what it finds; ``None``: the user pushes
        :class:`~bargein.core.VoiceActivity`. Give the machine the same one.
    ``gate``, ``playout``
        The echo gate, and whether the agent is audible, both fed by
        :class:`~bargein.core.AgentAudio`.

    Not thread-safe; one owner feeds it.
    """

    def __init__(
        self,
        machine: InterruptionMachine,
        *,
        tracker: OverlapTracker | None = None,
        speech: SpeechTrack | None = None,
        gate: EchoGate | None = None,
        playout: Playout | None = None,
    ) -> None:
        self.machine = machine
        self._tracker = tracker
        self._timeline = Timeline(machine.format)
        self._agent = AgentVoice(playout, None if gate is None else gate.push)
        self._due: deque[tuple[int, Sentinel]] = deque()
        """The agent's starts and ends that lie ahead, by grid position."""
        self._attention = Attention()
        """What was wanted last; mostly it is wanted again."""
        self._wanted: tuple[int | None, int | None, float | None, bool] | None = None
        self._listener: Listener | None = None
        if speech is not None and tracker is not None:
            self._listener = Listener(speech, self._timeline, gate)

    # --- what comes in ----------------------------------------------------------------------

    def handle(self, item: Any, *, now: float) -> list[Action]:
        """Take one input, stamped ``now``; see :meth:`InterruptionMachine.handle`."""
        effect = _EFFECTS.get(type(item))
        if effect is not None:
            return effect(self, item, now)
        if type(item).__module__ != Audio.__module__:
            return self._audio(Audio(read_frame(item, self.machine.format)[0]), now)
        return self.machine.handle(item, now=now)

    def _audio(self, item: Audio, now: float) -> list[Action]:
        """Hand audio over in pieces, each sentinel at the position at which it falls."""
        timeline = self._timeline
        width, rate = timeline.format.frame_width, timeline.format.sample_rate
        begin, end = timeline.position, timeline.position + len(item.data) // width
        if self._agent.tells:
            self._expect(self._agent.pause(timeline.grid(end)))
        if not self._due:  # as mostly
            if self._listener is not None:
                return self._caller_audio(item, now)
            timeline.position = end
            return self.machine.handle(item, now=now) if item.data else []
        actions: list[Action] = []

        def give(stop: int) -> None:
            start = timeline.position
            if stop > start:
                data = item.data[(start - begin) * width : (stop - begin) * width]
                actions.extend(self._caller_audio(Audio(data), now - (end - stop) / rate))

        while self._due and timeline.position_of(self._due[0][0]) <= end:
            index, sentinel = self._due.popleft()
            give(timeline.position_of(index))
            started = isinstance(sentinel, AgentSpeechStarted)
            tell = self._agent_started if started else self._agent_ended
            actions += tell(now - (end - timeline.position) / rate)
        give(end)
        return actions

    def _caller_audio(self, item: Audio, now: float) -> list[Action]:
        """Hand over audio in which the agent's state doesn't change."""
        timeline = self._timeline
        width, rate = timeline.format.frame_width, timeline.format.sample_rate
        begin = at = timeline.position
        end = timeline.position = begin + len(item.data) // width
        if self._listener is None:  # nothing can fall in it
            return self.machine.handle(item, now=now) if item.data else []
        actions: list[Action] = []

        def give(start: int, stop: int) -> None:
            data = item.data[(start - begin) * width : (stop - begin) * width]
            actions.extend(self.machine.handle(Audio(data), now=now - (end - stop) / rate))

        for position, fallen in self._found(decode(item.data, timeline.format)):
            give(at, position)
            at = position
            told = self._told_at(fallen, position)
            actions += self._tell([told], now - (end - position) / rate)
        if at < end:
            give(at, end)
        return actions

    def _found(self, samples: npt.NDArray[np.int16]) -> list[tuple[int, Fallen]]:
        """Let the VAD hear audio that ends here; return what falls in it, and where."""
        if self._listener is None or self._tracker is None:
            return []
        found = self._listener.hear(samples)
        fallen = []
        for at, probability in enumerate(found.probabilities.tolist(), found.first):
            for entry in self._tracker.voice_activity(probability, (at + 1) * CHUNK, at * CHUNK):
                fallen.append((self._listener.due(entry.position), entry))
        return fallen

    def _told_at(self, entry: Fallen, position: int) -> Fallen:
        """Return what the VAD found, its times counted from where it is told instead of its chunk.

        The converter looks ahead, and a gap is told of as a whole: an onset isn't late for that.
        """
        lag = max(0, self._timeline.grid(position) - entry.position) / WINDOW_RATE
        sentinel = entry.sentinel
        if isinstance(sentinel, OverlapSpeechStarted):
            heard = sentinel.speech_duration + lag
            sentinel = OverlapSpeechStarted(speech_duration=heard, age=heard)
        else:
            assert isinstance(sentinel, OverlapSpeechEnded)  # of the agent the VAD knows nothing
            sentinel = OverlapSpeechEnded(age=(sentinel.age or 0.0) + lag)
        return Fallen(entry.position, sentinel)

    def _gap(self, item: Gap, now: float) -> list[Action]:
        seconds = Fraction(str(item.duration))
        samples = round_half_up(seconds * self._timeline.format.sample_rate)
        self._timeline.position += samples
        actions = self.machine.handle(item, now=now)
        if seconds > MAX_SILENCE:
            self._lose_track()
        else:  # the VAD hears the silence that the window holds; what falls in it, falls at its end
            found = self._found(np.zeros(samples, np.int16))
            end = self._timeline.position
            actions += self._tell([self._told_at(fallen, end) for _, fallen in found], now)
        return actions

    def _skip(self, item: Skip, now: float) -> list[Action]:
        self._timeline.position += item.samples
        self._lose_track()
        return self.machine.handle(item, now=now)

    def _set_format(self, item: SetFormat, now: float) -> list[Action]:
        self._timeline.set_format(item.format)
        self._lose_track()
        return self.machine.handle(item, now=now)

    def _lose_track(self) -> None:
        if self._listener is not None:
            self._listener.lose_track()

    def _voice_activity(self, item: VoiceActivity, now: float) -> list[Action]:
        if self._tracker is None:
            return []
        end = self._timeline.grid(self._timeline.position)
        return self._tell(self._tracker.voice_activity(item.probability, end), now)

    # --- the agent --------------------------------------------------------------------------

    def _told_of_agent(
        self, item: AgentSpeechStarted | AgentSpeechEnded, now: float
    ) -> list[Action]:
        """The user says so: from here on nobody guesses it from the agent's audio."""
        self._agent.defer()
        self._due.clear()
        started = isinstance(item, AgentSpeechStarted)
        return self._agent_started(now) if started else self._agent_ended(now)

    def _agent_started(self, now: float) -> list[Action]:
        if self._tracker is None:
            return self.machine.handle(AgentSpeechStarted(), now=now)
        if self._listener is not None:
            found = self._listener.start()  # the agent is silent: nothing can fall yet
            for at, probability in enumerate(found.probabilities.tolist(), found.first):
                self._tracker.voice_activity(probability, (at + 1) * CHUNK, at * CHUNK)
        position = self._timeline.grid(self._timeline.position)
        return self._tell(self._tracker.agent_started(position), now)

    def _agent_ended(self, now: float) -> list[Action]:
        if self._tracker is None:
            return self.machine.handle(AgentSpeechEnded(), now=now)
        if self._listener is not None:
            self._listener.stop()
        position = self._timeline.grid(self._timeline.position)
        return self._tell(self._tracker.agent_ended(position), now)

    def _agent_audio(self, item: AgentAudio, now: float) -> list[Action]:
        self._expect(self._agent.hear(item, self._timeline.grid(self._timeline.position)))
        return []

    def _expect(self, fallen: Sequence[Fallen]) -> None:
        """Note what falls where the caller's audio hasn't come to."""
        here = self._timeline.grid(self._timeline.position)
        self._due.extend((max(entry.position, here), entry.sentinel) for entry in fallen)

    def _tell(self, fallen: Sequence[Fallen], now: float) -> list[Action]:
        actions: list[Action] = []
        for entry in fallen:
            actions += self.machine.handle(entry.sentinel, now=now)
        return actions

    def samples_to_sentinel(self) -> int | None:
        """Return how many input samples are missing to where the agent starts or ends next.

        ``None``: as far as the agent's audio came, nowhere. Who gives audio up to there, and no
        further, gets what a start leads to at its own time.
        """
        if not self._due:
            return None
        timeline = self._timeline
        return max(0, timeline.position_of(self._due[0][0]) - timeline.position)

    # --- what a live stream's worker needs to know ------------------------------------------

    def attention(self) -> Attention:
        """Return what is worth waking up for, and how much audio must be kept unread."""
        machine, tracker = self.machine, self._tracker
        rate = self._timeline.format.sample_rate
        silent = machine.state is State.SILENT
        wake_after = machine.samples_to_cut()
        keep: float | None = None
        if self._listener is not None and not silent:
            step = self._samples_to_hear()
            wake_after = step if wake_after is None else min(step, wake_after)
        elif silent:
            keep = machine.options.audio_prefix_duration * machine.options.prefix_before_agent
            keep = max(keep, WARM_UP if self._listener is not None else 0.0)
        elif wake_after is None:
            keep = machine.options.max_audio_duration
        if self._agent.tells and (not silent or self._due):  # its end, or its start, may be due
            wake_after = min(wake_after or rate, rate // PLAYOUT_STEPS)
        crossing, above = None, False
        if tracker is not None and tracker.next_position is None:
            awaited = tracker.next_crossing
            crossing, above = awaited.threshold, not awaited.rising
        kept = None if keep is None else round((keep + KEEP_MARGIN) * rate)
        wanted = wake_after, kept, crossing, above
        if wanted != self._wanted:
            self._wanted = wanted
            self._attention = Attention(
                wake_after=wake_after, keep=kept, crossing=crossing, above=above
            )
        return self._attention

    def _samples_to_hear(self) -> int:
        """Return after how many input samples the VAD is worth asking.

        Where the chunks to come can make an overlap, or end one, it is asked then: a caller isn't
        found up to two chunks late for what batches save.
        """
        assert self._listener is not None
        assert self._tracker is not None
        step = LIVE_CHUNKS * CHUNK * self._timeline.format.sample_rate // WINDOW_RATE
        expected = self._tracker.next_position
        if expected is None:
            return step
        chunk = -(-expected // CHUNK) * CHUNK
        return max(1, min(step, self._listener.due(chunk) - self._timeline.position))


_EFFECTS: dict[type, Callable[[Pipeline, Any, float], list[Action]]] = {
    Audio: Pipeline._audio,
    Gap: Pipeline._gap,
    Skip: Pipeline._skip,
    SetFormat: Pipeline._set_format,
    VoiceActivity: Pipeline._voice_activity,
    AgentAudio: Pipeline._agent_audio,
    AgentSpeechStarted: Pipeline._told_of_agent,
    AgentSpeechEnded: Pipeline._told_of_agent,
}
