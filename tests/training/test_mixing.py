"""Where a clip's sounds lie, and what the line does to them."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from training.mixing import (
    CLIP_SECONDS,
    LATEST_END,
    AgentTurn,
    Line,
    Planned,
    Sound,
    draw_line,
    lay_out,
    mix,
)
from training.sound import RATE, Audio, active_level

QUIET = Line(
    level=-24.0,
    agent_level=-22.0,
    snr=45.0,
    pink=False,
    echo=None,
    echo_delay=0.1,
    ulaw=False,
)


def tone(hertz: float, seconds: float) -> Audio:
    times = np.arange(round(seconds * RATE)) / RATE
    return (0.1 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def sound(label: str, seconds: float) -> Sound:
    return Sound(tone(500, seconds), label, "kind", "text", "voice", "en", "synthetic")


AGENT = AgentTurn(tone(300, 8.0), "agent")


def span(samples: Audio, first: float, last: float) -> Audio:
    return samples[round(first * RATE) : round(last * RATE)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scenario", ["plain", "early", "reply"])
def test_a_sound_comes_over_the_agent(scenario: str, seed: int) -> None:
    planned = Planned(sound("backchannel", 0.3), scenario, sound("own turn", 1.5))

    clip = lay_out(np.random.default_rng(seed), planned, AGENT)

    after = clip.onset - clip.agent_start
    assert {"plain": after >= 0.8, "early": after == pytest.approx(0.3, abs=0.002)}.get(
        scenario, 0.29 <= after <= 1.51
    )
    assert 0.0 <= clip.earlier_onset < clip.earlier_end < clip.agent_start
    assert "brief" in clip.tags()
    assert ("early" in clip.tags()) is (after < 0.302)
    assert "after-turn" in clip.tags()


@pytest.mark.parametrize("seed", range(5))
def test_a_second_sound_follows_in_the_same_agent_turn(seed: int) -> None:
    planned = Planned(sound("noise", 0.4), "second", sound("backchannel", 0.4))

    clip = lay_out(np.random.default_rng(seed), planned, AGENT)

    assert clip.agent_start < clip.earlier_onset < clip.earlier_end < clip.onset
    assert clip.tags() == ["after-backchannel"]


def test_a_long_sound_is_cut_within_the_clip() -> None:
    clip = lay_out(np.random.default_rng(1), Planned(sound("interruption", 9.0), "plain"), AGENT)

    assert clip.end == pytest.approx(LATEST_END, abs=0.002)
    assert clip.tags() == []


def test_the_channels_hold_what_the_clip_says() -> None:
    rng = np.random.default_rng(2)
    planned = Planned(sound("interruption", 1.0), "plain", sound("own turn", 1.0))
    clip = lay_out(rng, planned, AGENT)

    caller, agent = mix(rng, clip, QUIET)

    assert len(caller) == len(agent) == round(CLIP_SECONDS * RATE)
    assert active_level(span(caller, clip.onset, clip.end)) == pytest.approx(-24.0, abs=0.1)
    assert active_level(span(caller, clip.earlier_onset, clip.earlier_end)) == pytest.approx(
        -24.0, abs=0.1
    )
    assert active_level(span(caller, clip.end + 0.02, 8.0)) == pytest.approx(-69.0, abs=1.0)
    assert not span(agent, 0.0, clip.agent_start - 0.001).any()
    assert active_level(span(agent, clip.agent_start, 8.0)) == pytest.approx(-22.0, abs=0.1)


def test_the_echo_is_in_the_callers_channel() -> None:
    clip = lay_out(np.random.default_rng(3), Planned(sound("noise", 0.2), "plain"), AGENT)
    line = attrs.evolve(QUIET, echo=-20.0, ulaw=True)

    caller, _ = mix(np.random.default_rng(4), clip, line)

    assert active_level(span(caller, clip.end + 0.1, 7.9)) == pytest.approx(-42.0, abs=0.5)
    assert line.columns()["condition"] == "ulaw+echo"
    assert line.columns()["echo_db"] == "-20.0"


def test_lines_are_drawn_within_their_bounds() -> None:
    lines = [draw_line(np.random.default_rng(seed), ulaw=False) for seed in range(300)]

    assert all(-32.0 <= line.level <= -18.0 for line in lines)
    assert all(10.0 <= line.snr <= 45.0 for line in lines)
    assert all(line.echo is None or -32.0 <= line.echo <= -20.0 for line in lines)
    assert 80 <= sum(line.echo is not None for line in lines) <= 160
    assert {line.columns()["condition"] for line in lines} == {
        "clean",
        "echo",
        "noise",
        "echo+noise",
    }
