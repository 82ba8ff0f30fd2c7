"""One labelled clip: where its sounds lie, and what the line does to them. No files, no model."""

from __future__ import annotations

import attrs
import numpy as np

from training.sound import (
    RATE,
    Audio,
    add_at,
    echo_of,
    fade,
    pink_noise,
    set_level,
    sounding_span,
    through_ulaw,
    white_noise,
)

CLIP_SECONDS = 8.0
"""Long enough for a second of context, the longest interruption, and a second after it."""

LATEST_END = 7.5
"""Seconds; a longer sound is cut here, so that its end can be seen in the clip."""

BRIEF = (0.25, 0.35)
"""Seconds of measured speech of a backchannel that counts as one "of about 0.3 s"."""

EARLY = 0.3
"""Seconds after the agent's start at which a backchannel follows a reply at once."""

_SPEECH_BELOW_PEAK = 25.0
"""dB; softer frames at the ends of a phrase are its decay, not speech."""


@attrs.frozen(eq=False)
class Sound:
    """What a caller's line carries: mono 16 kHz, trimmed to its acoustic onset and end.

    ``origin`` is ``real``, ``synthetic`` (a speech model) or ``computed`` (a formula).
    """

    samples: Audio
    label: str
    kind: str
    text: str
    speaker: str
    language: str
    origin: str
    spelt: tuple[tuple[str, float], ...] = ()
    """Phonemes, and the second at which each ends, where a synthesiser told (``phonemes.py``)."""

    @property
    def speech(self) -> float:
        """Seconds from the first to the last frame within 25 dB of the loudest."""
        start, stop = sounding_span(self.samples, _SPEECH_BELOW_PEAK)
        return (stop - start) / RATE


@attrs.frozen(eq=False)
class AgentTurn:
    """What the agent says to the end of the clip, from its first sounding sample on."""

    samples: Audio
    speaker: str


@attrs.frozen(eq=False)
class Planned:
    """A sound, how it meets the agent (``scenario``), and what the caller uttered before it."""

    sound: Sound
    scenario: str
    earlier: Sound | None = None


@attrs.frozen(eq=False)
class Clip:
    """A clip laid out; times in seconds from its start."""

    sound: Sound
    onset: float
    scenario: str
    agent: AgentTurn
    agent_start: float
    earlier: Sound | None
    earlier_onset: float

    @property
    def end(self) -> float:
        """Where the sound ends."""
        return self.onset + len(self.sound.samples) / RATE

    @property
    def earlier_end(self) -> float:
        """Where what came before the sound ends; its onset if there was nothing."""
        count = 0 if self.earlier is None else len(self.earlier.samples)
        return self.earlier_onset + count / RATE

    @property
    def agent_voice(self) -> str:
        """Who speaks for the agent."""
        return self.agent.speaker

    def tags(self) -> list[str]:
        """What makes this clip a special case: brief, early, after-backchannel, after-turn."""
        found = []
        if self.sound.label == "backchannel" and BRIEF[0] <= self.sound.speech <= BRIEF[1]:
            found.append("brief")
        if self.onset - self.agent_start <= EARLY + 0.001:
            found.append("early")
        if self.earlier is not None:
            in_turn = self.earlier.label == "backchannel"
            found.append("after-backchannel" if in_turn else "after-turn")
        return found


@attrs.frozen
class Line:
    """How a call sounds: levels in dBFS, ratios in dB, ``echo`` None where nothing leaks."""

    level: float
    agent_level: float
    snr: float
    pink: bool
    echo: float | None
    echo_delay: float
    ulaw: bool

    def columns(self) -> dict[str, str]:
        """The manifest's columns that this line fills."""
        parts = ["ulaw"] * self.ulaw
        parts += ["echo"] * (self.echo is not None)
        parts += ["noise"] * (self.snr < 20.0)
        return {
            "condition": "+".join(parts) or "clean",
            "level": f"{self.level:.1f}",
            "agent_level": f"{self.agent_level:.1f}",
            "snr": f"{self.snr:.1f}",
            "echo_db": "" if self.echo is None else f"{self.echo:.1f}",
            "echo_delay": "" if self.echo is None else f"{self.echo_delay:.3f}",
        }


def draw_line(rng: np.random.Generator, *, ulaw: bool) -> Line:
    """A line at random: caller at -32 to -18 dBFS, 10 to 45 dB SNR, echo in two of five."""
    leaks = rng.random() < 0.4
    return Line(
        level=round(float(rng.uniform(-32.0, -18.0)), 1),
        agent_level=round(float(rng.uniform(-26.0, -20.0)), 1),
        snr=round(float(rng.uniform(10.0, 45.0)), 1),
        pink=bool(rng.random() < 0.6),
        echo=round(float(rng.uniform(-32.0, -20.0)), 1) if leaks else None,
        echo_delay=round(float(rng.uniform(0.02, 0.2)), 3),
        ulaw=ulaw,
    )


def lay_out(rng: np.random.Generator, planned: Planned, agent: AgentTurn) -> Clip:
    """Puts a planned sound, and what came before it, in their places.

    Scenarios: ``plain`` (0.8 to 3 s into the agent's turn), ``early`` (0.3 s into it),
    ``reply`` (0.3 to 1.5 s into it), ``second`` (0.6 to 1.5 s after an earlier sound in the same
    agent turn). An own turn ends 0.2 to 0.7 s before the agent starts.
    """
    earlier = planned.earlier
    earlier_seconds = 0.0 if earlier is None else len(earlier.samples) / RATE
    earlier_onset = 0.0
    if planned.scenario == "second":
        agent_start = rng.uniform(0.4, 1.0)
        earlier_onset = agent_start + rng.uniform(0.6, 1.2)
        onset = earlier_onset + earlier_seconds + rng.uniform(0.6, 1.5)
    else:
        agent_start = rng.uniform(0.4, 1.2)
        if earlier is not None:
            pause = rng.uniform(0.2, 0.7)
            agent_start = max(agent_start, earlier_seconds + pause + 0.1)
            earlier_onset = agent_start - pause - earlier_seconds
        after = {"plain": (0.8, 3.0), "early": (EARLY, EARLY), "reply": (EARLY, 1.5)}
        onset = agent_start + rng.uniform(*after[planned.scenario])
    sound = planned.sound
    longest = round((LATEST_END - onset) * RATE)
    if len(sound.samples) > longest:
        sound = attrs.evolve(sound, samples=fade(sound.samples[:longest], 0.02))
    return Clip(
        sound=sound,
        onset=round(float(onset), 3),
        scenario=planned.scenario,
        agent=agent,
        agent_start=round(float(agent_start), 3),
        earlier=earlier,
        earlier_onset=round(float(earlier_onset), 3),
    )


def mix(rng: np.random.Generator, clip: Clip, line: Line) -> tuple[Audio, Audio]:
    """The two channels, caller and agent, of ``CLIP_SECONDS`` at 16 kHz."""
    count = round(CLIP_SECONDS * RATE)
    agent = np.zeros(count, np.float32)
    add_at(agent, set_level(clip.agent.samples, line.agent_level), _sample(clip.agent_start))
    caller = np.zeros(count, np.float32)
    add_at(caller, set_level(clip.sound.samples, line.level), _sample(clip.onset))
    if clip.earlier is not None:
        earlier = set_level(clip.earlier.samples, line.level)
        add_at(caller, earlier, _sample(clip.earlier_onset))
    if line.echo is not None:
        caller += echo_of(agent, line.echo, line.echo_delay)
    background = pink_noise if line.pink else white_noise
    caller += background(rng, count, line.level - line.snr)
    if line.ulaw:
        caller, agent = through_ulaw(caller), through_ulaw(agent)
    return caller, agent


def _sample(seconds: float) -> int:
    return round(seconds * RATE)
