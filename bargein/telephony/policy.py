"""What to do with a verdict: go on, duck, pause or stop. Sans-IO.

The library says what an overlap was; what the agent does meanwhile and afterwards is the user's
choice, `BargeInPolicy`. `PolicyMachine` carries it out for one call: what happens goes in, what
the playout has to do comes out.

*now* is seconds of the caller's audio, not of a clock. When no audio comes (hold, DTMF) nothing
advances, so nobody is cut off for having spoken half a second before the line went quiet.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

import attrs

from bargein.core.checks import number_in
from bargein.core.events import OverlappingSpeechEvent
from bargein.core.tracker import TrackerOptions
from bargein.core.verdicts import GIVEN_UP, Outcome
from bargein.errors import OptionError

__all__ = [
    "AgentEnded",
    "AgentStarted",
    "BargeInPolicy",
    "CallerStarted",
    "CallerStopped",
    "Duck",
    "JudgeLost",
    "PassageStarted",
    "Pause",
    "PolicyAction",
    "PolicyInput",
    "PolicyMachine",
    "Resume",
    "Stop",
    "StopReason",
    "VerdictGiven",
]

_PAUSE = TrackerOptions().min_silence
"""Seconds of silence after which a caller has stopped, as the tracker sees it."""

_SPEECH = ("go_on", "duck", "pause", "stop")
_INCONCLUSIVE = ("go_on", "stop")


def _one_of(choices: tuple[str, ...]) -> Any:
    def check(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
        if value not in choices:
            raise OptionError(
                f"{attribute.name} came as {value!r}; expected one of {', '.join(choices)}"
            )

    return check


def _seconds(most: float) -> Any:
    return number_in(lambda v: 0 <= v <= most, f"seconds from 0 to {most:g}")


def _or_none(validator: Any) -> Any:
    return attrs.validators.optional(validator)


@attrs.frozen(kw_only=True)
class BargeInPolicy:
    """What the agent does when the caller speaks over it. Immutable; durations in seconds.

    Raises :class:`~bargein.errors.OptionError` (a ``ValueError``) for a value outside its range.
    """

    on_speech: Literal["go_on", "duck", "pause", "stop"] = attrs.field(
        default="go_on", validator=_one_of(_SPEECH)
    )
    """As soon as the caller is heard, before the verdict. ``go_on``, because most of what callers
    utter over a prompt is "mm-hmm", and a prompt that dips or halts at each is worse to listen to
    than one that ends half a second late. ``duck`` and ``pause`` are undone by a backchannel;
    ``stop`` is for good, whatever the verdict."""

    on_inconclusive: Literal["go_on", "stop"] = attrs.field(
        default="go_on", validator=_one_of(_INCONCLUSIVE)
    )
    """When nobody could tell. ``go_on``: whoever means it goes on talking, and is judged again;
    a prompt that was stopped for a cough doesn't come back."""

    duck_gain: float = attrs.field(
        default=-12.0, validator=number_in(lambda v: -60 <= v < 0, "dB from -60 to below 0")
    )
    """dB by which a ducked agent is softer. 12 is plainly yielding and can still be followed."""

    min_speech: float = attrs.field(default=0.0, validator=_seconds(5.0))
    """Speech of the caller's before anything is done, a stop included. 0, because an overlap
    begins only after 0.09 s of it, and the judge weighs its length by itself."""

    settle: float = attrs.field(default=0.0, validator=_seconds(10.0))
    """Nothing is done so long after the agent starts. 0, because callers do cut in at the first
    word, and the echo guard is at its strictest then by itself. With an echo canceller of the
    phone's that begins to learn at the agent's first word, 0.5 to 1."""

    vad_fallback: float | None = attrs.field(default=0.5, validator=_or_none(_seconds(5.0)))
    """With the judge gone, so much speech stops the agent: half a second is longer than nearly all
    backchannels. It is certain 0.3 s later, for until then a caller who has fallen silent may only
    be between two words; with 0 the first sound stops the agent, at once. ``None``: never by
    speech alone, for those who had rather talk on than be stopped in error while the backend is
    away."""


# --- what goes in -------------------------------------------------------------------------------


@attrs.frozen
class AgentStarted:
    """The agent became audible to the caller."""


@attrs.frozen
class AgentEnded:
    """The caller has heard all that the agent said."""


@attrs.frozen
class PassageStarted:
    """From here on the caller hears a passage that can, or can't, be interrupted."""

    interruptible: bool


@attrs.frozen
class CallerStarted:
    """The caller speaks over the agent, and has for ``speech`` seconds."""

    speech: float = 0.0


@attrs.frozen
class CallerStopped:
    """The caller has stopped speaking."""


@attrs.frozen
class VerdictGiven:
    """An overlap's event."""

    event: OverlappingSpeechEvent


@attrs.frozen
class JudgeLost:
    """The backend can't be reached; the next verdict of its own says that it is back."""


PolicyInput = (
    AgentStarted
    | AgentEnded
    | PassageStarted
    | CallerStarted
    | CallerStopped
    | VerdictGiven
    | JudgeLost
)


# --- what comes out -----------------------------------------------------------------------------


class StopReason(str, Enum):
    """Why the agent was stopped."""

    INTERRUPTION = "interruption"
    """The judge said so."""
    SPEECH = "speech"
    """The policy stops at speech, without waiting for a verdict."""
    INCONCLUSIVE = "inconclusive"
    """Nobody could tell, and the policy stops then."""
    FALLBACK = "fallback"
    """The judge was gone, and the caller spoke long enough."""


@attrs.frozen
class Duck:
    """Play softer, by ``gain`` dB."""

    gain: float


@attrs.frozen
class Pause:
    """Fall silent, and keep the place."""


@attrs.frozen
class Resume:
    """Go on as before the `Duck` or `Pause`."""


@attrs.frozen
class Stop:
    """Drop what the agent was saying."""

    reason: StopReason


PolicyAction = Duck | Pause | Resume | Stop


@attrs.define
class _Overlap:
    """The caller speaks over the agent."""

    onset: float
    talking: bool = True
    done: bool = False
    """Whether what the policy does at speech was done."""
    wanted: StopReason | None = None
    """A stop that was decided and must wait: for the settle time, or a passage's end."""
    judged: bool = False
    """Whether its verdict is out."""


class PolicyMachine:
    """Carries a policy out for one call. Inputs come in order; not thread-safe.

    ``policy`` may be replaced at any time; it counts from the next input on.

    An overlap in which something was held back (because of `BargeInPolicy.min_speech`, the settle
    time, or a passage that can't be interrupted) is acted upon when that is over, if the caller
    is still talking. Otherwise it is let pass.
    """

    def __init__(self, policy: BargeInPolicy | None = None) -> None:
        self.policy = policy or BargeInPolicy()
        self._agent_since: float | None = None
        self._interruptible = True
        self._overlap: _Overlap | None = None
        self._judge_lost = False
        self._held: Duck | Pause | None = None

    @property
    def held(self) -> Duck | Pause | None:
        """What was done to the playout and not undone yet."""
        return self._held

    def handle(self, item: PolicyInput, *, now: float) -> list[PolicyAction]:
        """Take what happened; return what the playout has to do, in order."""
        if isinstance(item, AgentStarted):
            self._start(now)
        elif isinstance(item, AgentEnded):
            return self._end()
        elif isinstance(item, PassageStarted):
            self._interruptible = item.interruptible
            if not item.interruptible:
                return self._resume()
        elif isinstance(item, JudgeLost):
            self._judge_lost = True
        elif isinstance(item, CallerStarted):
            self._caller_started(now - item.speech)
        elif isinstance(item, CallerStopped):
            return self._caller_stopped()
        else:
            return self._verdict(item.event, now)
        return self._act(now)

    def next_deadline(self) -> float | None:
        """When `handle_deadline` should be called, in the same seconds; ``None``: not needed."""
        overlap = self._overlap
        if overlap is None or self._agent_since is None or not self._interruptible:
            return None
        due = []
        if not overlap.done or overlap.wanted is not None:
            due.append(self._allowed_from(overlap))
        fallback = self._fallback_from(overlap)
        if fallback is not None:
            due.append(fallback)
        return min(due, default=None)

    def handle_deadline(self, *, now: float) -> list[PolicyAction]:
        """Do what is due by now. Safe to call too early or too often."""
        return self._act(now)

    # --- what happens -----------------------------------------------------------------------

    def _start(self, now: float) -> None:
        if self._agent_since is None:
            self._agent_since, self._overlap, self._held = now, None, None
            self._interruptible = True

    def _end(self) -> list[PolicyAction]:
        """The agent has said all: there is nothing to hold back any more, nor to stop."""
        self._agent_since = self._overlap = None
        return self._resume()

    def _caller_started(self, onset: float) -> None:
        if self._agent_since is not None:
            self._overlap = _Overlap(onset)

    def _caller_stopped(self) -> list[PolicyAction]:
        overlap = self._overlap
        if overlap is None:
            return []
        overlap.talking = False
        if overlap.judged:  # what had to wait for its time has missed it
            self._overlap = None
            return self._resume()
        return []

    def _verdict(self, event: OverlappingSpeechEvent, now: float) -> list[PolicyAction]:
        faulty = event.outcome is Outcome.INCONCLUSIVE and event.reason in GIVEN_UP
        if event.outcome is not Outcome.INCONCLUSIVE:
            self._judge_lost = False
        self._judge_lost = self._judge_lost or faulty
        overlap = self._overlap
        if overlap is None:
            return []
        overlap.judged = True
        if event.outcome is Outcome.INTERRUPTION:
            overlap.wanted = StopReason.INTERRUPTION
        elif event.outcome is Outcome.INCONCLUSIVE and self.policy.on_inconclusive == "stop":
            overlap.wanted = StopReason.INCONCLUSIVE
        # A verdict counts as well if the caller stopped while the judge was thinking. But what it
        # wants and can't have now waits only for as long as the caller talks.
        acted = self._act(now) if overlap.wanted is not None else self._resume()
        if self._overlap is None:
            return acted
        if not overlap.talking or event.outcome is Outcome.BACKCHANNEL:
            self._overlap = None
            return acted + self._resume()
        return acted

    # --- what to do -------------------------------------------------------------------------

    def _act(self, now: float) -> list[PolicyAction]:
        overlap = self._overlap
        if overlap is None or self._agent_since is None or not self._interruptible:
            return []
        fallback = self._fallback_from(overlap)
        if fallback is not None and now >= fallback:
            return self._stop(StopReason.FALLBACK)
        if now < self._allowed_from(overlap):
            return []
        if overlap.wanted is not None:
            return self._stop(overlap.wanted)
        if overlap.done:
            return []
        overlap.done = True
        return self._at_speech(overlap)

    def _at_speech(self, overlap: _Overlap) -> list[PolicyAction]:
        choice = self.policy.on_speech
        if choice == "go_on" or not overlap.talking:
            return []
        if choice == "stop":
            return self._stop(StopReason.SPEECH)
        if overlap.judged:  # no verdict will come to undo it
            return []
        self._held = Duck(self.policy.duck_gain) if choice == "duck" else Pause()
        return [self._held]

    def _allowed_from(self, overlap: _Overlap) -> float:
        assert self._agent_since is not None
        return max(overlap.onset + self.policy.min_speech, self._agent_since + self.policy.settle)

    def _fallback_from(self, overlap: _Overlap) -> float | None:
        """When speech alone stops the agent; ``None`` while a judge is there or nobody talks."""
        needed = self.policy.vad_fallback
        if not self._judge_lost or needed is None or not overlap.talking:
            return None
        certain = needed + _PAUSE if needed else 0.0
        return max(overlap.onset + certain, self._allowed_from(overlap))

    def _stop(self, reason: StopReason) -> list[PolicyAction]:
        """The turn is over, although the caller may go on hearing what is on its way."""
        self._overlap = self._agent_since = self._held = None
        return [Stop(reason)]

    def _resume(self) -> list[PolicyAction]:
        held, self._held = self._held, None
        return [] if held is None else [Resume()]
