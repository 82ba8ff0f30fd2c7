"""The table of states and inputs, walked whole.

For each cell, every input of its kind meets every situation of its state below. It must lead only
where the cell says, and to each of the states that the cell names at least once.
"""

from __future__ import annotations

from typing import Any, get_args

import pytest

from bargein.audio import AudioFormat
from bargein.core import (
    EFFECTS,
    TABLE,
    AgentSpeechEnded,
    AgentSpeechStarted,
    Audio,
    Close,
    EndOfInput,
    Finish,
    Flush,
    Gap,
    Input,
    InterruptionMachine,
    JudgeReady,
    JudgeUnready,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    Prediction,
    Reason,
    Reply,
    SetFormat,
    Settings,
    Skip,
    State,
    WindowFailed,
    WindowSent,
)
from bargein.errors import StateError
from bargein.testing.machine import MachineCall as Call

KINDS = get_args(Input)

INPUTS: dict[type, list[Any]] = {
    Audio: [Audio(bytes(3200)), Audio(b"")],
    Gap: [Gap(0.1), Gap(0.5)],
    Skip: [Skip(100)],
    SetFormat: [SetFormat(AudioFormat(8000))],
    AgentSpeechStarted: [AgentSpeechStarted()],
    AgentSpeechEnded: [AgentSpeechEnded()],
    OverlapSpeechStarted: [OverlapSpeechStarted(speech_duration=d) for d in (0.0, 0.6)],
    OverlapSpeechEnded: [OverlapSpeechEnded(agent_ended=ended) for ended in (False, True)],
    Flush: [Flush()],
    EndOfInput: [EndOfInput()],
    Close: [Close()],
    WindowSent: [WindowSent(1), WindowSent(2), WindowSent(99)],
    Reply: [Reply(n, Prediction(is_interruption=yes)) for n in (1, 99) for yes in (False, True)],
    WindowFailed: [WindowFailed(1), WindowFailed(None), WindowFailed(99)],
    JudgeReady: [JudgeReady()],
    JudgeUnready: [JudgeUnready(lost=lost) for lost in (False, True)],
    Settings: [Settings(0.3, 4)],
}

TURN = ["0.0 agent started", "0.5 audio 0.5"]
OVERLAP = [*TURN, "0.5 caller started 0.3"]
ONE_SENT = [*OVERLAP, "0.6 audio 0.1", "0.6 sent 1"]
TWO_SENT = [*ONE_SENT, "0.7 audio 0.1", "0.7 sent 2"]
FAIL_OPEN = {"fallback": Reason.FAIL_OPEN, "eager_first_window": True}

SITUATIONS: dict[State, list[tuple[dict[str, Any], list[str]]]] = {
    State.SILENT: [({}, []), ({"prefix_before_agent": True}, ["0.5 audio 0.5"])],
    State.SPEAKING: [({}, TURN), (FAIL_OPEN | {"ready": False}, TURN)],
    State.OPEN: [
        ({}, OVERLAP),
        ({}, ONE_SENT),
        ({}, TWO_SENT),
        ({}, [*ONE_SENT, "0.7 audio 0.1"]),
        (FAIL_OPEN | {"ready": False}, [*OVERLAP, "0.6 audio 0.1"]),  # a cut before it decides
        (FAIL_OPEN | {"max_in_flight": 1}, [*OVERLAP, "0.5 sent 1", "0.7 audio 0.2"]),
    ],
    State.GRACE: [
        ({}, [*ONE_SENT, "0.7 caller ended"]),
        ({}, [*TWO_SENT, "0.8 caller ended"]),
        (FAIL_OPEN, [*OVERLAP, "0.5 sent 1", "0.6 unready", "0.6 caller ended"]),
    ],
    State.DRAINING: [
        ({}, [*ONE_SENT, "0.7 end of input"]),
        ({}, [*TWO_SENT, "0.8 end of input"]),
        ({}, [*ONE_SENT, "0.7 caller ended", "0.7 end of input"]),
    ],
    State.ENDED: [({}, ["0.0 close"]), ({}, [*TWO_SENT, "0.8 close"]), ({}, ["0.0 end of input"])],
}


def in_situation(settings: dict[str, Any], lines: list[str]) -> InterruptionMachine:
    call = Call(**settings)
    for line in lines:
        time, _, what = line.partition(" ")
        call.say(what, float(time))
    return call.machine


def outside(machine: InterruptionMachine) -> tuple[Any, ...]:
    return (
        machine.state,
        machine.position,
        machine.format,
        machine.ignored,
        machine.in_flight(),
        machine.next_deadline(),
        machine.samples_to_cut(),
    )


@pytest.mark.parametrize("state", State)
def test_a_row_has_a_cell_for_every_input(state: State) -> None:
    assert set(TABLE[state]) == set(KINDS) == set(INPUTS)


def test_every_effect_is_described_used_and_done_by_a_method() -> None:
    used = {cell.effect for row in TABLE.values() for cell in row.values()}
    assert used == set(EFFECTS)
    for effect in used - {"refuse"}:
        assert callable(getattr(InterruptionMachine, f"_do_{effect}"))
    done = {name.removeprefix("_do_") for name in vars(InterruptionMachine) if "_do_" in name}
    assert done == used - {"refuse"}


@pytest.mark.parametrize("state", State)
def test_situations_are_of_their_state(state: State) -> None:
    for settings, lines in SITUATIONS[state]:
        assert in_situation(settings, lines).state is state


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("state", State)
def test_a_cell_leads_to_all_the_states_that_it_names_and_to_no_other(
    state: State, kind: type
) -> None:
    cell = TABLE[state][kind]
    reached = set()
    for settings, lines in SITUATIONS[state]:
        for item in INPUTS[kind]:
            machine = in_situation(settings, lines)
            before = outside(machine)
            if cell.effect == "refuse":
                with pytest.raises(StateError, match=f"{kind.__name__} came after the end"):
                    machine.handle(item, now=1.0)
                assert outside(machine) == before
            else:
                actions = machine.handle(item, now=1.0)
                if machine.state is not state and machine.state is State.ENDED:
                    assert isinstance(actions[-1], Finish)
            if cell.effect == "nothing":
                assert outside(machine) == before
            reached.add(machine.state)
    assert reached == set(cell.leads_to)


@pytest.mark.parametrize("state", State)
def test_a_frame_is_audio_in_every_state(state: State) -> None:
    machine = in_situation(*SITUATIONS[state][0])
    if TABLE[state][Audio].effect == "refuse":
        with pytest.raises(StateError):
            machine.handle(bytes(2), now=1.0)
    else:
        machine.handle(bytes(2), now=1.0)
