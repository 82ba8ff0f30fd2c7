"""The overlap tracker: a VAD's probabilities and the agent's playout in, sentinels out.

Users have a voice activity detector and an agent that plays audio; the machine wants to be told
when an overlap began and ended. The tracker stands between them. It holds no clock: it counts
audio positions alone (samples on the stream's 16 kHz grid), so when no audio comes nothing
advances and nothing ends, and the same call gives the same sentinels at any speed.

An overlap is open exactly while the caller *talks* and the agent speaks. The caller talks from when
enough speech was heard until enough silence was. What counts as speech is decided with hysteresis.
"""

from __future__ import annotations

from typing import Any

import attrs

from bargein.errors import OptionError

from .checks import number_in, probability
from .inputs import (
    AgentSpeechEnded,
    AgentSpeechStarted,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
)
from .window import WINDOW_RATE

__all__ = ["MAX_HOP", "Crossing", "Fallen", "OverlapTracker", "Sentinel", "TrackerOptions"]

MAX_HOP = WINDOW_RATE // 5
"""Samples (0.2 s) of audio that one probability can speak for. A VAD that is asked less often
leaves holes, which are neither speech nor silence: the same limit as for a gap in the audio."""

Sentinel = AgentSpeechStarted | AgentSpeechEnded | OverlapSpeechStarted | OverlapSpeechEnded


@attrs.frozen
class Fallen:
    """A sentinel, and where in the caller's audio it fell (samples on the 16 kHz grid)."""

    position: int
    sentinel: Sentinel


@attrs.frozen
class Crossing:
    """Which probability would change something: one at or above, or one below, ``threshold``."""

    threshold: float
    rising: bool
    """Whether it waits for speech (a probability at or above) or for silence (one below)."""

    def crossed_by(self, probability: float) -> bool:
        """Return whether this probability crosses it."""
        return (probability >= self.threshold) is self.rising


def _duration(limit: float) -> Any:
    return number_in(lambda v: 0 < v <= limit, f"seconds above 0, at most {limit:g}")


@attrs.frozen(kw_only=True)
class TrackerOptions:
    """When speech counts as talking. Immutable; durations are in seconds of audio.

    Raises :class:`~bargein.errors.OptionError` (a ``ValueError``) for a value outside its range.
    """

    activation: float = attrs.field(default=0.5, validator=probability)
    """Speech begins at a probability at or above it. 0.5 is where Silero is as often right as
    wrong; lower finds quiet callers sooner and coughs more often."""

    deactivation: float = attrs.field(default=0.35, validator=probability)
    """Speech ceases at a probability below it; at most ``activation``. Between the two, what was
    goes on: probabilities sag in the middle of words, and one threshold would chop them."""

    min_speech: float = attrs.field(default=0.09, validator=_duration(2.0))
    """Speech heard before the caller counts as talking: three chunks of 32 ms or of 30 ms. Two
    let clicks through; each more delays every verdict by a chunk."""

    max_dip: float = attrs.field(default=0.08, validator=_duration(2.0))
    """Silence that is bridged before then, inside the first ``min_speech``: the closure of a stop
    consonant ("p-please"), but not the pause between two knocks."""

    min_silence: float = attrs.field(default=0.3, validator=_duration(10.0))
    """Silence after which the caller has stopped. Pauses inside a phrase are mostly shorter, and
    the local judge bridges the same 0.3 s; longer only makes backchannels end late."""

    def __attrs_post_init__(self) -> None:
        if self.deactivation > self.activation:
            raise OptionError(
                f"deactivation came as {self.deactivation!r}; expected at most activation, which "
                f"is {self.activation!r}"
            )


class OverlapTracker:
    """Turns voice activity and the agent's playout into sentinels, in the machine's order.

    All positions are samples on the stream's 16 kHz grid. Inputs come in the order of the audio;
    one that names an earlier position than was reached counts as being there. Each returns what
    fell, oldest first. Not safe from several threads at once, and it need not be.
    """

    def __init__(self, options: TrackerOptions | None = None) -> None:
        self.options = options = options or TrackerOptions()
        self._min_speech = round(options.min_speech * WINDOW_RATE)
        self._max_dip = round(options.max_dip * WINDOW_RATE)
        self._min_silence = round(options.min_silence * WINDOW_RATE)
        self._rises = Crossing(options.activation, rising=True)
        self._falls = Crossing(options.deactivation, rising=False)
        self._position = 0
        self._heard_to = 0
        """Where the newest probability's audio ended."""
        self._agent_start: int | None = None
        self._voiced = False
        """Whether the newest probability was speech, by hysteresis."""
        self._talking = False
        self._onset: int | None = None
        """Where the speech began that may become talking, or did."""
        self._speech = 0
        """Samples of speech since the onset, while it isn't talking yet."""
        self._ceased = 0
        """Where speech ceased; has a meaning while not voiced."""
        self._silence = 0
        """Samples of silence since then."""

    @property
    def position(self) -> int:
        """The newest position that any input named."""
        return self._position

    @property
    def agent_speaking(self) -> bool:
        """Whether the agent is audible, as far as was told."""
        return self._agent_start is not None

    @property
    def caller_talking(self) -> bool:
        """Whether the caller talks, whether or not the agent does."""
        return self._talking

    @property
    def active(self) -> bool:
        """Whether an overlap is open."""
        return self._talking and self.agent_speaking

    @property
    def next_crossing(self) -> Crossing:
        """Which probability to look out for.

        One that doesn't cross changes nothing before :attr:`next_position`, so a live stream
        may store it and leave its worker asleep.
        """
        return self._falls if self._voiced else self._rises

    @property
    def next_position(self) -> int | None:
        """Where a sentinel may fall next if no probability crosses; ``None``: nowhere.

        It stands for speech that has begun and is still too short, or silence likewise.
        """
        if self._voiced and not self._talking:
            return self._heard_to + self._min_speech - self._speech
        if self._talking and not self._voiced:
            return self._heard_to + self._min_silence - self._silence
        return None

    def voice_activity(
        self, probability: float, end: int, start: int | None = None
    ) -> list[Fallen]:
        """Take the probability of speech in the audio up to ``end``.

        It speaks for the audio from ``start``, by default since the previous probability, and for
        at most 0.2 s. Audio left out between is a hole: neither speech nor silence. Without new
        audio nothing happens.

        Raises :class:`~bargein.errors.OptionError` for a probability outside 0..1.
        """
        if not 0.0 <= probability <= 1.0:  # NaN fails this as well
            raise OptionError(
                f"voice activity came as {probability!r}; expected a probability from 0 to 1"
            )
        begin = max(self._heard_to, end - MAX_HOP, self._heard_to if start is None else start)
        if begin >= end:
            return []
        if begin > self._heard_to and not self.active:
            self._forget()  # a hole: nobody knows whether what was begun there went on
        self._heard_to = end
        self._position = max(self._position, end)
        crossed = self.next_crossing.crossed_by(probability)
        if crossed is self._voiced:  # silence after speech, or silence still
            return self._hear_silence(begin, end)
        return self._hear_speech(begin, end)

    def agent_started(self, position: int) -> list[Fallen]:
        """Take that the agent became audible; nothing if it was.

        Who talks already, talks over its start: the overlap begins with the agent.
        """
        self._position = max(self._position, position)
        if self.agent_speaking:
            return []
        if self._position - self._heard_to > MAX_HOP:
            self._forget()  # what was known of the caller is no longer news
        self._agent_start = self._position
        fallen = [self._fall(AgentSpeechStarted())]
        if self._talking and not self._voiced:
            # The caller has most likely handed over the turn; whoever was only drawing breath
            # is a new talker, over the agent, from the next word on.
            self._forget()
        elif self._talking:
            fallen.append(self._fall(OverlapSpeechStarted(speech_duration=0.0, age=0.0)))
        return fallen

    def agent_ended(self, position: int) -> list[Fallen]:
        """Take that the agent ceased to be audible; nothing if it wasn't audible.

        It closes an open overlap, whose own end later is no event any more.
        """
        self._position = max(self._position, position)
        if not self.agent_speaking:
            return []
        fallen = [self._fall(AgentSpeechEnded())]
        if self.active:
            fallen.insert(0, self._fall(OverlapSpeechEnded(agent_ended=True, age=0.0)))
        self._agent_start = None
        return fallen

    def _hear_speech(self, begin: int, end: int) -> list[Fallen]:
        self._voiced = True
        if self._talking:
            return []
        if self._onset is None:
            self._onset = begin
        self._speech += end - begin
        if self._speech < self._min_speech:
            return []
        self._talking = True
        if self._agent_start is None:
            return []
        # Speech from before the agent isn't over the agent; its buffer doesn't hold it either.
        since = (self._position - max(self._onset, self._agent_start)) / WINDOW_RATE
        return [self._fall(OverlapSpeechStarted(speech_duration=since, age=since))]

    def _hear_silence(self, begin: int, end: int) -> list[Fallen]:
        if self._onset is None:
            return []
        if self._voiced:
            self._voiced = False
            self._ceased, self._silence = begin, 0
        self._silence += end - begin
        if not self._talking:
            if self._silence > self._max_dip:
                self._forget()
            return []
        if self._silence < self._min_silence:
            return []
        over_agent = self.active
        self._forget()
        if not over_agent:
            return []
        age = (self._position - self._ceased) / WINDOW_RATE
        return [self._fall(OverlapSpeechEnded(age=age))]

    def _forget(self) -> None:
        """The caller is silent, as if nothing had been heard."""
        self._voiced = self._talking = False
        self._onset = None
        self._speech = self._silence = 0

    def _fall(self, sentinel: Sentinel) -> Fallen:
        return Fallen(self._position, sentinel)
