"""The policy, as transcripts: what happens, and what the playout has to do."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bargein.core.events import OverlappingSpeechEvent
from bargein.core.verdicts import Outcome, Reason
from bargein.errors import OptionError
from bargein.telephony.policy import (
    AgentEnded,
    AgentStarted,
    BargeInPolicy,
    CallerStarted,
    CallerStopped,
    Duck,
    JudgeLost,
    PassageStarted,
    Pause,
    PolicyInput,
    PolicyMachine,
    Resume,
    Stop,
    StopReason,
    VerdictGiven,
)

TIME = "the deadline"


def verdict(outcome: Outcome, reason: Reason | None = None) -> VerdictGiven:
    is_interruption = outcome is Outcome.INTERRUPTION
    return VerdictGiven(
        OverlappingSpeechEvent(is_interruption=is_interruption, outcome=outcome, reason=reason)
    )


INTERRUPTION = verdict(Outcome.INTERRUPTION)
BACKCHANNEL = verdict(Outcome.BACKCHANNEL)
NOBODY_KNOWS = verdict(Outcome.INCONCLUSIVE, Reason.NO_REQUEST)
TIMED_OUT = verdict(Outcome.INCONCLUSIVE, Reason.TIMEOUT)

Step = tuple[float, "PolicyInput | str"]


def told(policy: BargeInPolicy | None, steps: Sequence[Step]) -> list[tuple[float, str]]:
    """Play a script; return what was done, and when, and when the next deadline is."""
    machine = PolicyMachine(policy)
    lines = []
    for now, item in steps:
        if isinstance(item, str):
            assert machine.next_deadline() == pytest.approx(now)
            actions = machine.handle_deadline(now=now)
        else:
            actions = machine.handle(item, now=now)
        lines += [(now, told_as(action)) for action in actions]
    return lines


def told_as(action: object) -> str:
    if isinstance(action, Stop):
        return f"stop: {action.reason.value}"
    if isinstance(action, Duck):
        return f"duck {action.gain:g}"
    return type(action).__name__.lower()


GO_ON = BargeInPolicy()
DUCK = BargeInPolicy(on_speech="duck")
PAUSE = BargeInPolicy(on_speech="pause")
STOP = BargeInPolicy(on_speech="stop")

TRANSCRIPTS: dict[str, tuple[BargeInPolicy | None, list[Step], list[tuple[float, str]]]] = {
    "go on until the verdict": (
        None,
        [(0, AgentStarted()), (2, CallerStarted(0.1)), (2.5, INTERRUPTION)],
        [(2.5, "stop: interruption")],
    ),
    "go on through a backchannel": (
        None,
        [(0, AgentStarted()), (2, CallerStarted()), (2.4, CallerStopped()), (2.5, BACKCHANNEL)],
        [],
    ),
    "a verdict that comes when the caller has stopped counts": (
        None,
        [(0, AgentStarted()), (2, CallerStarted()), (2.4, CallerStopped()), (2.5, INTERRUPTION)],
        [(2.5, "stop: interruption")],
    ),
    "after a stop the turn is over": (
        STOP,
        [
            (0, AgentStarted()),
            (2, CallerStarted()),
            (2.1, CallerStarted()),
            (2.5, INTERRUPTION),
            (2.6, CallerStopped()),
            (2.7, AgentEnded()),
        ],
        [(2, "stop: speech")],
    ),
    "the next turn is as the first": (
        STOP,
        [(0, AgentStarted()), (2, CallerStarted()), (5, AgentStarted()), (6, CallerStarted())],
        [(2, "stop: speech"), (6, "stop: speech")],
    ),
    "a start in mid-turn changes nothing": (
        PAUSE,
        [(0, AgentStarted()), (2, CallerStarted()), (2.1, AgentStarted()), (2.5, BACKCHANNEL)],
        [(2, "pause"), (2.5, "resume")],
    ),
    "the caller alone is nobody's business": (
        STOP,
        [(0, CallerStarted()), (1, CallerStopped()), (2, INTERRUPTION)],
        [],
    ),
    "duck, and resume on a backchannel": (
        DUCK,
        [(0, AgentStarted()), (2, CallerStarted()), (2.3, CallerStopped()), (2.5, BACKCHANNEL)],
        [(2, "duck -12"), (2.5, "resume")],
    ),
    "pause, and stop at an interruption": (
        PAUSE,
        [(0, AgentStarted()), (2, CallerStarted()), (2.5, INTERRUPTION)],
        [(2, "pause"), (2.5, "stop: interruption")],
    ),
    "pause, and resume when nobody can tell": (
        PAUSE,
        [(0, AgentStarted()), (2, CallerStarted()), (2.3, CallerStopped()), (2.5, NOBODY_KNOWS)],
        [(2, "pause"), (2.5, "resume")],
    ),
    "nobody can tell, and the policy stops then": (
        BargeInPolicy(on_inconclusive="stop"),
        [(0, AgentStarted()), (2, CallerStarted()), (2.3, CallerStopped()), (2.5, NOBODY_KNOWS)],
        [(2.5, "stop: inconclusive")],
    ),
    "a backchannel that goes on isn't paused for again": (
        PAUSE,
        [(0, AgentStarted()), (2, CallerStarted()), (2.5, BACKCHANNEL), (2.9, CallerStopped())],
        [(2, "pause"), (2.5, "resume")],
    ),
    "the agent's end undoes what was held": (
        PAUSE,
        [(0, AgentStarted()), (2, CallerStarted()), (2.2, AgentEnded()), (2.5, NOBODY_KNOWS)],
        [(2, "pause"), (2.2, "resume")],
    ),
    "too little speech": (
        BargeInPolicy(on_speech="stop", min_speech=0.4),
        [(0, AgentStarted()), (2, CallerStarted(0.1)), (2.2, CallerStopped()), (2.3, TIME)],
        [],
    ),
    "enough speech": (
        BargeInPolicy(on_speech="duck", min_speech=0.4),
        [(0, AgentStarted()), (2, CallerStarted(0.1)), (2.3, TIME), (2.5, BACKCHANNEL)],
        [(2.3, "duck -12"), (2.5, "resume")],
    ),
    "a verdict waits for enough speech": (
        BargeInPolicy(min_speech=1),
        [(0, AgentStarted()), (2, CallerStarted()), (2.5, INTERRUPTION), (3, TIME)],
        [(3, "stop: interruption")],
    ),
    "a verdict that waited in vain": (
        BargeInPolicy(min_speech=1),
        [(0, AgentStarted()), (2, CallerStarted()), (2.5, INTERRUPTION), (2.9, CallerStopped())],
        [],
    ),
    "a verdict with too little speech, after the caller stopped": (
        BargeInPolicy(on_speech="go_on", min_speech=1),
        [(0, AgentStarted()), (2, CallerStarted()), (2.3, CallerStopped()), (2.4, INTERRUPTION)],
        [],
    ),
    "the line settles": (
        BargeInPolicy(on_speech="pause", settle=0.5),
        [
            (10, AgentStarted()),
            (10.1, CallerStarted()),
            (10.3, CallerStopped()),
            (10.4, BACKCHANNEL),
            (10.7, CallerStarted()),
        ],
        [(10.7, "pause")],
    ),
    "who talks on through the settle time is heard then": (
        BargeInPolicy(on_speech="pause", settle=0.5),
        [(10, AgentStarted()), (10.1, CallerStarted()), (10.5, TIME)],
        [(10.5, "pause")],
    ),
    "a pause isn't begun for an overlap that was judged": (
        BargeInPolicy(on_speech="pause", settle=0.5),
        [(10, AgentStarted()), (10.1, CallerStarted()), (10.3, NOBODY_KNOWS), (10.5, TIME)],
        [],
    ),
    "a passage that can't be interrupted": (
        STOP,
        [
            (0, AgentStarted()),
            (0, PassageStarted(False)),
            (2, CallerStarted()),
            (2.5, INTERRUPTION),
            (2.9, CallerStopped()),
            (3, PassageStarted(True)),
        ],
        [],
    ),
    "whoever talks to the end of it is heard then": (
        GO_ON,
        [
            (0, AgentStarted()),
            (0, PassageStarted(False)),
            (2, CallerStarted()),
            (2.5, INTERRUPTION),
            (3, PassageStarted(True)),
        ],
        [(3, "stop: interruption")],
    ),
    "a pause ends where such a passage begins": (
        PAUSE,
        [(0, AgentStarted()), (2, CallerStarted()), (2.1, PassageStarted(False))],
        [(2, "pause"), (2.1, "resume")],
    ),
    "each turn can be interrupted again": (
        STOP,
        [
            (0, AgentStarted()),
            (0, PassageStarted(False)),
            (3, AgentEnded()),
            (4, AgentStarted()),
            (5, CallerStarted()),
        ],
        [(5, "stop: speech")],
    ),
    "the judge goes while the caller talks": (
        GO_ON,
        [(0, AgentStarted()), (2, CallerStarted(0.1)), (2.2, JudgeLost()), (2.7, TIME)],
        [(2.7, "stop: fallback")],
    ),
    "the judge is gone, and the caller says little": (
        GO_ON,
        [(0, AgentStarted()), (1, JudgeLost()), (2, CallerStarted()), (2.3, CallerStopped())],
        [],
    ),
    "a short word, and the silence in which nobody knows yet that it is over": (
        GO_ON,
        [
            (0, AgentStarted()),
            (1, JudgeLost()),
            (2, CallerStarted()),
            (2.7, CallerStopped()),  # it was over at 2.4
            (2.9, TIMED_OUT),
        ],
        [],
    ),
    "with the judge gone, the first sound is enough": (
        BargeInPolicy(vad_fallback=0),
        [(0, AgentStarted()), (1, JudgeLost()), (2, CallerStarted(0.1))],
        [(2, "stop: fallback")],
    ),
    "a verdict that nobody could give tells that the judge is gone": (
        GO_ON,
        [
            (0, AgentStarted()),
            (2, CallerStarted()),
            (2.4, CallerStopped()),
            (2.6, TIMED_OUT),
            (4, CallerStarted()),
            (4.8, TIME),
        ],
        [(4.8, "stop: fallback")],
    ),
    "the judge is back": (
        GO_ON,
        [
            (0, AgentStarted()),
            (1, JudgeLost()),
            (2, CallerStarted()),
            (2.3, BACKCHANNEL),
            (4, CallerStarted()),
            (4.9, CallerStopped()),
            (5, BACKCHANNEL),
        ],
        [],
    ),
    "never by speech alone": (
        BargeInPolicy(vad_fallback=None),
        [(0, AgentStarted()), (1, JudgeLost()), (2, CallerStarted()), (9, CallerStopped())],
        [],
    ),
    "speech alone keeps to the settle time": (
        BargeInPolicy(settle=2),
        [(0, AgentStarted()), (0, JudgeLost()), (0.1, CallerStarted()), (2, TIME)],
        [(2, "stop: fallback")],
    ),
    "an open verdict with the caller still talking": (
        GO_ON,
        [
            (0, AgentStarted()),
            (2, CallerStarted()),
            (2.1, TIMED_OUT),
            (2.8, TIME),
        ],
        [(2.8, "stop: fallback")],
    ),
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    policy, steps, expected = TRANSCRIPTS[name]

    assert told(policy, steps) == expected


def test_nothing_is_due_while_nothing_is_held_back() -> None:
    machine = PolicyMachine()

    assert machine.next_deadline() is None
    machine.handle(AgentStarted(), now=0)
    assert machine.next_deadline() is None
    machine.handle(CallerStarted(), now=1)
    assert machine.next_deadline() is None
    assert machine.handle_deadline(now=2) == []


def test_a_deadline_that_comes_early_changes_nothing() -> None:
    machine = PolicyMachine(BargeInPolicy(on_speech="stop", min_speech=0.5))
    machine.handle(AgentStarted(), now=0)
    machine.handle(CallerStarted(), now=1)

    assert machine.handle_deadline(now=1.4) == []
    assert machine.next_deadline() == 1.5
    assert machine.handle_deadline(now=1.5) == [Stop(StopReason.SPEECH)]


def test_no_deadline_in_a_passage_that_cannot_be_interrupted() -> None:
    machine = PolicyMachine(BargeInPolicy(min_speech=0.5))
    machine.handle(AgentStarted(), now=0)
    machine.handle(PassageStarted(False), now=0)
    machine.handle(CallerStarted(), now=1)

    assert machine.next_deadline() is None


def test_what_is_held_can_be_asked_for() -> None:
    machine = PolicyMachine(PAUSE)
    machine.handle(AgentStarted(), now=0)
    machine.handle(CallerStarted(), now=1)
    assert machine.held == Pause()

    machine.handle(BACKCHANNEL, now=2)
    assert machine.held is None


@pytest.mark.parametrize(
    "options",
    [
        {"on_speech": "shout"},
        {"on_inconclusive": "duck"},
        {"duck_gain": 3.0},
        {"min_speech": -1.0},
        {"settle": 60.0},
        {"vad_fallback": float("nan")},
    ],
)
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(OptionError, match=f"{name} .*expected"):
        BargeInPolicy(**options)  # type: ignore[arg-type]


INPUTS = st.sampled_from(
    [
        *(AgentStarted(), AgentEnded(), PassageStarted(False), PassageStarted(True)),
        *(CallerStarted(), CallerStarted(0.3), CallerStopped(), JudgeLost()),
        *(INTERRUPTION, BACKCHANNEL, NOBODY_KNOWS, TIMED_OUT, None),
    ]
)
POLICIES = st.builds(
    BargeInPolicy,
    on_speech=st.sampled_from(["go_on", "duck", "pause", "stop"]),
    on_inconclusive=st.sampled_from(["go_on", "stop"]),
    min_speech=st.sampled_from([0.0, 0.5]),
    settle=st.sampled_from([0.0, 1.0]),
    vad_fallback=st.sampled_from([None, 0.5]),
)


@settings(max_examples=200, deadline=None)
@given(POLICIES, st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.6]), INPUTS), max_size=25))
def test_whatever_happens(policy: BargeInPolicy, script: list[tuple[float, object]]) -> None:
    """What is held is undone once; stops come at most once a turn; deadlines move."""
    machine = PolicyMachine(policy)
    now, held, over = 0.0, False, True
    for step, item in script:
        now += step
        if isinstance(item, AgentStarted):
            over = False
        if item is None:
            actions = machine.handle_deadline(now=now)
            due = machine.next_deadline()
            assert due is None or due > now
        else:
            actions = machine.handle(item, now=now)  # type: ignore[arg-type]
        for action in actions:
            if isinstance(action, (Duck, Pause)):
                assert not held
                assert not over
                held = True
            elif isinstance(action, Resume):
                assert held
                held = False
            else:
                assert not over
                over, held = True, False
        assert held == (machine.held is not None)
