"""The echo gate, by levels and by sound; the whole with the VAD is benchmarks/echo_gate.py."""

from __future__ import annotations

import math

import attrs
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.core import echo
from bargein.core.echo import EchoGate, EchoGateOptions
from bargein.errors import OptionError
from bargein.vad.track import CHUNK

LOUD = -20.0
"""dBFS, at which the agent speaks here."""


def tone(level: float, samples: int) -> npt.NDArray[np.int16]:
    """A square wave, whose RMS level any piece of it has."""
    value = round(32_768 * 10 ** (level / 20))
    return np.where(np.arange(samples) % 2, value, -value).astype(np.int16)


def speaking(chunks: int = 40, options: EchoGateOptions | None = None) -> EchoGate:
    """A gate that has heard a quiet line for 10 chunks; from chunk 10 on the agent speaks."""
    gate = EchoGate(options)
    gate.push(tone(LOUD, chunks * CHUNK), 10 * CHUNK)
    for index in range(10):
        assert gate(index, -70.0)
    return gate


def ask(gate: EchoGate, first: int, *levels: float) -> str:
    """Write open chunks as o and shut ones as a dot."""
    return "".join("o" if gate(i, level) else "." for i, level in enumerate(levels, first))


def test_it_is_open_while_nothing_is_known_of_the_agent() -> None:
    assert ask(EchoGate(), 0, -80, -20, -80, -math.inf, -40) == "ooooo"


def test_it_is_shut_for_what_may_be_echo_and_open_for_what_is_louder() -> None:
    assert ask(speaking(), 10, -40, -36, -34.5) == "..."
    assert ask(speaking(), 10, -33.5) == "o"


def test_it_is_held_open_between_vowels() -> None:
    gate = speaking()
    assert ask(gate, 10, -25, *[-60] * 9, -60, -60) == "oooooooooo.."
    assert ask(gate, 22, -25, -60, -25, *[-60] * 10) == "oooooooooooo."


def test_echo_louder_than_the_loss_that_was_set_passes() -> None:
    assert ask(speaking(options=EchoGateOptions(return_loss=10)), 10, -31) == "."
    assert ask(speaking(options=EchoGateOptions(return_loss=10)), 10, -29) == "o"


def test_what_the_agent_said_counts_for_the_echos_delay_and_fades_then() -> None:
    # The agent speaks in chunks 10 to 14: within reach until 23. Then 0.96 dB are forgiven a
    # chunk: at 24 it takes -20 - 0.96 - 14 to be loud enough.
    for last, opens_at in [(23, -34.0), (24, -34.96), (34, -44.56)]:
        quieter, louder = opens_at - 0.1, opens_at + 0.1
        assert ask(speaking(5), last, quieter) == "."
        assert ask(speaking(5), last, louder) == "o"


def test_it_opens_for_all_once_the_agent_has_faded_away() -> None:
    gate = speaking(5)
    assert not gate(64, -90.0)  # -20 - 41 * 0.96 = -59.4
    assert gate(65, -90.0)


def test_noise_holds_nothing_open() -> None:
    """Hiss is all there is until the agent begins, softly: its echo must find the gate shut."""
    gate = EchoGate()
    gate.push(tone(-55.0, CHUNK), 20 * CHUNK)
    gate.push(tone(LOUD, 20 * CHUNK), 21 * CHUNK)
    assert ask(gate, 0, *[-50.0] * 20) == "o" * 20
    # Far above -55 - 14, yet not 9 dB above the noise.
    assert ask(gate, 20, -50, -48, -42) == "..."
    assert ask(gate, 23, -33) == "o"


def test_noise_is_the_quietest_of_the_last_second_and_a_half() -> None:
    options = EchoGateOptions(return_loss=60)
    gate = speaking(200, options)
    assert ask(gate, 10, *[-55.0] * 47) == "o" * 47  # the line was at -70 in chunk 9
    assert ask(gate, 57, *[-55.0] * 10) == "ooooooooo."  # it is at -55 now; held open to 65
    assert ask(gate, 67, -47, -45.9) == ".o"


def test_who_talks_from_the_first_moment_on_is_no_noise() -> None:
    gate = EchoGate()
    gate.push(tone(LOUD, 20 * CHUNK), 0)
    assert ask(gate, 0, -25, -25, -25) == "ooo"


def test_digital_silence_is_a_level() -> None:
    assert ask(speaking(), 10, -math.inf) == "."


def test_the_agent_may_come_late_in_pieces_or_twice() -> None:
    whole, pieces, halves, late = (EchoGate() for _ in range(4))
    samples = tone(LOUD, 3 * CHUNK)
    whole.push(samples, 700)
    for begin in range(0, len(samples), 111):
        pieces.push(samples[begin : begin + 111], 700 + begin)
    for gate in (halves, halves):
        gate.push(tone(LOUD - 10 * math.log10(2), 3 * CHUNK), 700)
    late(1, -70.0)
    late.push(samples, 700)
    for level in (-34.2, -33.8):
        answers = {gate(2 if level < -34 else 3, level) for gate in (whole, pieces, halves, late)}
        assert answers == {level > -34}


def test_it_remembers_about_a_minute_of_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "_MOST_CHUNKS", 20)
    gate = EchoGate()
    gate.push(tone(LOUD, 30 * CHUNK), 0)
    assert ask(gate, 0, -70, -70) == "oo"  # forgotten: the first ten
    assert ask(gate, 10, -70) == "."


def test_what_is_past_takes_no_room() -> None:
    gate = EchoGate()
    for index in range(500):
        gate.push(tone(LOUD, CHUNK), index * CHUNK)
        gate(index, -60.0)
    assert len(gate._agent) <= 10
    gate.push(tone(LOUD, CHUNK), 100 * CHUNK)  # too late for anything
    assert len(gate._agent) <= 10


def test_chunks_may_be_left_out() -> None:
    """The VAD rests while the agent is silent; then it is fed from further on."""
    gate = speaking(5)
    gate.push(tone(LOUD, 10 * CHUNK), 1_000 * CHUNK)
    assert ask(gate, 1_003, -40) == "."
    assert min(gate._agent) >= 1_000
    assert ask(gate, 5_000, -90) == "o"


def test_left_out_chunks_fade_as_if_they_had_been_asked_for() -> None:
    stepped, jumped = speaking(5), speaking(5)
    ask(stepped, 10, *[-90.0] * 30)
    # At 40 it takes -20 - 17 * 0.96 - 14 = -50.32 to be loud enough, at 41 -51.28.
    assert ask(stepped, 40, -50.42, -51.18) == ask(jumped, 40, -50.42, -51.18) == ".o"


def test_reset() -> None:
    gate = speaking()
    assert ask(gate, 10, -50) == "."
    gate.reset()
    assert ask(gate, 0, -50) == "o"


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(EchoGateOptions)])
@pytest.mark.parametrize("value", [-1000.0, float("nan"), "1", True, None])
def test_an_option_out_of_range_is_refused(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"{name} came as {value!r}; expected"):
        EchoGateOptions(**{name: value})  # type: ignore[arg-type]


def levels(samples: npt.NDArray[np.float64]) -> list[float]:
    power = np.square(samples[: len(samples) // CHUNK * CHUNK].reshape(-1, CHUNK) / 32_768)
    found: list[float] = (10 * np.log10(power.mean(axis=1) + 1e-12)).tolist()
    return found


@given(
    st.lists(st.tuples(st.integers(1, 4_000), st.integers(-80, -10)), min_size=1, max_size=20),
    st.integers(320, 3_200),
)
def test_plain_echo_at_minus_17_db_never_passes(agent: list[tuple[int, int]], delay: int) -> None:
    """Whatever the agent's loudness does, and wherever the echo lies between its chunks."""
    options = EchoGateOptions()
    spoken = np.concatenate([tone(level, length) for length, level in agent])
    line = np.concatenate((np.zeros(delay), spoken * 10 ** (-17.05 / 20), np.zeros(CHUNK)))
    gate = EchoGate()
    gate.push(spoken, 0)
    loudest = -100.0
    for index, level in enumerate(levels(line)):
        if gate(index, level):
            # Only where the agent is too soft to be heard back.
            reach = spoken[max(0, (index - 9) * CHUNK) : (index + 1) * CHUNK].astype(np.float64)
            loudest = max(levels(np.pad(reach, (0, -len(reach) % CHUNK))), default=-100.0)
            assert loudest < options.floor
