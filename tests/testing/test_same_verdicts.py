"""The same script through the core and through real drivers: the same verdicts."""

from __future__ import annotations

import pytest

from bargein.audio import AudioFormat
from bargein.errors import OptionError
from bargein.testing import CallScript, ScriptedServer, ScriptFailure, answers

SPEED = 3.0

# What decides has 300 ms and more to spare, 100 ms at this speed: a busy machine needs them.
SCRIPTS = {
    "an interruption and a backchannel": (
        CallScript(format=AudioFormat(8000, 1, "mulaw"))
        .agent_speaks(0, 3)
        .caller_speaks(0.5, 1.4)
        .judged(0.1, 0.8, after=0.1)
        .expect_interruption()
        .caller_speaks(2.0, 2.4, heard_after=0.1)
        .judged(0.2, after=0.1)
        .expect_backchannel()
    ),
    "the second answer of an outage": (
        CallScript()
        .agent_speaks(0, 2)
        .caller_speaks(0.5, 1.6)
        .judged(answers.drop, 0.9, after=0.05)
        .expect_interruption()
    ),
    "a judge that falls silent": (
        CallScript()
        .agent_speaks(0, 2)
        .caller_speaks(0.5, 0.8)
        .judged(answers.silence)
        .expect_inconclusive("timeout")
    ),
    "an agent that stops first": (
        CallScript().agent_speaks(0, 1.0).caller_speaks(0.5, 1.4).judged(0.1, after=0.1)
    ),
}


@pytest.mark.parametrize("transport", ["websocket", "http", "call"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_same_verdicts(name: str, transport: str) -> None:
    script = SCRIPTS[name]
    told = script.run(transport)  # type: ignore[arg-type]

    live = script.run_live(transport, speed=SPEED)  # type: ignore[arg-type]

    assert live.verdicts == told.verdicts
    assert len(live.events) == len(script.utterances)
    for said, event in zip(script.utterances, live.events, strict=True):
        assert event.overlap_started_at == pytest.approx(said.start, abs=2.0)


def test_a_failure_live_shows_the_transcript() -> None:
    script = (
        CallScript().agent_speaks(0, 1).caller_speaks(0.5, 0.7).judged(0.1).expect_interruption()
    )

    with pytest.raises(
        ScriptFailure, match=r"- .*expected: interruption\n\+ .*BACKCHANNEL"
    ) as told:
        script.run_live(speed=5)
    assert "window 1 over words 1: judged 0.1\n" in str(told.value)


def test_delays_are_checked_live_only_where_that_is_asked_for() -> None:
    script = CallScript().agent_speaks(0, 1).caller_speaks(0.5, 0.8).judged(0.9, after=0.1)
    hasty = script.expect_interruption(within=0.01)

    assert hasty.run_live(speed=5).verdicts == [("interruption", None)]
    with pytest.raises(ScriptFailure, match="ms later"):
        hasty.run_live(speed=5, delays=True)


def test_over_tls_on_a_server_of_ones_own() -> None:
    script = CallScript(lasts=1.0).agent_speaks(0).caller_speaks(0.3, 0.5).judged(0.1)

    with ScriptedServer(tls=True) as server:
        assert script.run_live(server=server, speed=5).verdicts == [("backchannel", None)]
        assert len(server.recorder.windows) >= 1


def test_a_stream_that_ends_in_mid_script() -> None:
    script = CallScript().agent_speaks(0, 9).caller_speaks(0.3).judged(answers.error(403))

    told = script.run()
    live = script.run_live(speed=10)
    assert told.verdicts == live.verdicts == [("inconclusive", "error")]
    assert [error.recoverable for error in live.errors] == [False]


def test_a_speed_of_nothing_is_refused() -> None:
    with pytest.raises(OptionError, match="speed came as 0"):
        CallScript().run_live(speed=0)
