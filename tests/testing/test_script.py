"""Call scripts through the core alone: what comes of them, and how a failure reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bargein.audio import AudioFormat
from bargein.audio.files import write_wav
from bargein.core import (
    AgentSpeechStarted,
    Audio,
    Gap,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    Reason,
)
from bargein.core.inputs import AgentAudio, Skip
from bargein.errors import FrameError, OptionError
from bargein.testing import CallScript, Expectation, Given, ScriptFailure, answers
from bargein.testing.sound import noise

PROMPT = CallScript("a prompt").agent_speaks(0, 4)
INTERRUPTS = PROMPT.caller_speaks(2.1, lasts=0.4).judged(0.8, after=0.12)


def test_the_example_of_the_issue() -> None:
    run = INTERRUPTS.expect_interruption(within=0.3).run()

    assert run.verdicts == [("interruption", None)]
    assert run.events[0].created_at == 2.32
    assert run.events[0].detection_delay == pytest.approx(0.22)
    assert run.events[0].num_requests == 2


def test_a_script_is_a_value_and_its_run_is_the_same_each_time() -> None:
    again = PROMPT.caller_speaks(2.1, 2.5).judged(0.8, after=0.12)

    assert again == INTERRUPTS
    assert PROMPT.utterances == ()
    assert str(again.run()) == str(INTERRUPTS.run())


def failure(script: CallScript) -> str:
    with pytest.raises(ScriptFailure) as caught:
        script.run()
    assert caught.value.run.script == script
    return str(caught.value)


def marked(text: str) -> list[str]:
    return [line for line in text.splitlines() if line[:1] in "+-" and line]


def test_another_outcome_is_marked_where_it_came() -> None:
    text = failure(PROMPT.caller_speaks(2.1, 2.3).judged(0.3).expect_interruption())

    assert text.startswith("call script 'a prompt': 1 of 1 expectations not met")
    assert marked(text) == [
        "-    2.300  expected: interruption",
        "+    2.300  BACKCHANNEL, probability 0.30, 200 ms after the onset",
    ]


def test_one_that_came_late_is_told_by_how_much() -> None:
    text = failure(INTERRUPTS.expect_interruption(within=0.2))

    assert marked(text) == [
        "-    2.300  expected: interruption within 200 ms; it came 20 ms later",
        "+    2.320  INTERRUPTION, probability 0.80, 220 ms after the onset",
    ]


def test_no_verdict_at_all_is_told() -> None:
    text = failure(CallScript().caller_speaks(1, 2).expect_backchannel())

    assert "no overlap, as the call is silent" in text
    assert marked(text) == ["-    2.000  expected: backchannel; no verdict came"]


def test_one_verdict_too_many_is_told() -> None:
    assert PROMPT.expect_no_verdict().run().events == ()
    text = failure(INTERRUPTS.expect_no_verdict())

    assert marked(text) == [
        "-    2.100  expected: no verdict",
        "+    2.320  INTERRUPTION, probability 0.80, 220 ms after the onset",
    ]


def test_of_several_words_each_has_its_own() -> None:
    script = (
        PROMPT.caller_speaks(1, 1.3).judged(0.1).expect_backchannel()
        .caller_speaks(2, 2.3).judged(0.1).expect_interruption()
        .caller_speaks(3, 3.3).judged(answers.yes).expect_interruption()
    )  # fmt: skip
    text = failure(script)

    assert [line[12:] for line in marked(text)] == [
        "expected of the caller's words 2: interruption",
        "BACKCHANNEL, probability 0.10, 300 ms after the onset",
    ]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(answers.silence, "timeout"), (answers.drop, "connection"), (answers.error(503), "error")],
)
def test_a_reason_may_be_expected_too(answer: answers.Answer, reason: str) -> None:
    script = PROMPT.caller_speaks(2.1, 2.5).judged(answer)

    script.expect_inconclusive(reason).expect_inconclusive(Reason(reason)).run()
    script.expect_inconclusive(within=0.25).run()
    with pytest.raises(ScriptFailure, match=rf"INCONCLUSIVE \({reason}\)"):
        script.expect_inconclusive("closed").run()


def test_windows_are_judged_in_turn_and_the_last_answer_holds() -> None:
    run = PROMPT.caller_speaks(1, 2).judged(0.1, 0.2, answers.silence, 0.3).run()

    assert [line.text for line in run.transcript.lines if "judged" in line.text] == [
        "window 1 judged 0.1",
        "window 2 judged 0.2",
        *(f"window {n} judged 0.3" for n in range(4, 11)),
    ]


def test_before_any_words_an_answer_is_for_all_that_have_none() -> None:
    script = CallScript().judged(0.9).agent_speaks(0).caller_speaks(1, 1.3)

    assert script.run().verdicts == [("interruption", None)]
    assert script.judged(0.2).run().verdicts == [("backchannel", None)]


def test_options_reach_the_detector() -> None:
    assert INTERRUPTS.with_options(threshold=0.9).run().verdicts == [("backchannel", None)]
    away = PROMPT.caller_speaks(1, 2).judged(answers.drop)
    assert away.with_options(fallback="fail_open").run().verdicts == [("interruption", "fail_open")]


def test_an_eager_window_is_the_first() -> None:
    script = PROMPT.caller_speaks(1, 1.05).judged(0.9, 0.1)

    assert script.with_options(eager_first_window=True).run().verdicts == [("interruption", None)]


def test_a_vad_that_is_late_is_told() -> None:
    run = PROMPT.caller_speaks(2.1, 2.6, heard_after=0.12).judged(0.9).run()

    assert run.events[0].created_at == 2.32
    assert run.events[0].overlap_started_at == pytest.approx(2.1)


def test_overlaps_are_found_from_voice_activity() -> None:
    script = CallScript(vad=True).agent_speaks(0, 6).caller_speaks(2, 2.6).judged(0.9, after=0.1)
    run = script.expect_interruption(within=0.4).run()

    assert run.events[0].overlap_started_at == pytest.approx(2.0, abs=0.05)
    assert CallScript(vad=True).agent_speaks(0, 3).expect_no_verdict().run().events == ()


@pytest.mark.parametrize(
    "fmt",
    [
        AudioFormat(8000, 1, "mulaw"),
        AudioFormat(8000, 2, "alaw"),
        AudioFormat(44_100, 1, "u8"),
        AudioFormat(48_000, 2, "s16be"),
    ],
    ids=str,
)
def test_in_any_format(fmt: AudioFormat) -> None:
    script = CallScript(format=fmt).agent_speaks(0).caller_speaks(1, 2).judged(0.9, after=0.1)

    assert script.run().events[0].created_at == pytest.approx(1.2, abs=0.021)


def test_gaps_the_end_of_input_and_a_hangup() -> None:
    script = PROMPT.caller_speaks(1, 2).judged(0.1, after=0.1)

    assert script.gap(1.5, 0.1).run().verdicts == [("backchannel", None)]
    assert script.gap(1.5, 0.5).run().verdicts == [("backchannel", None)]
    assert script.input_ends(1.5).run().verdicts == [("inconclusive", "input_ended")]
    assert script.hangs_up(1.5).run().verdicts == [("inconclusive", "closed")]
    assert "a gap of 0.5 s" in str(script.gap(1.5, 0.5).run())


def test_who_speaks_to_the_end_is_cut_off_by_the_agents() -> None:
    run = PROMPT.caller_speaks(3.5).judged(0.2).run()

    assert run.verdicts == [("inconclusive", "agent_ended")]


def test_a_call_lasts_as_long_as_it_is_told() -> None:
    script = CallScript(lasts=1.5).agent_speaks(0).caller_speaks(1).judged(0.1)

    assert script.run().events == ()
    assert script.expect_inconclusive("closed").expectations[0].utterance == 1


def test_a_recorded_calls_inputs_are_a_script() -> None:
    audio = noise(0, 1600).tobytes()
    script = CallScript(
        "recorded",
        inputs=(
            Given(0.0, AgentSpeechStarted()),
            *(Given(0.1 * n, Audio(audio)) for n in range(1, 11)),
            Given(1.0, OverlapSpeechStarted()),
            *(Given(0.1 * n, Audio(audio)) for n in range(11, 14)),
            Given(1.3, OverlapSpeechEnded()),
            Given(1.4, OverlapSpeechStarted()),
            Given(1.5, Audio(audio)),
        ),
        overlap_answers={1: (answers.judged(0.2, after=0.05),), 2: (answers.yes,)},
        expectations=(Expectation(utterance=2, outcome=None),),
    )

    with pytest.raises(ScriptFailure):
        script.run()
    run = CallScript(inputs=script.inputs, overlap_answers=script.overlap_answers, lasts=2.0).run()
    assert run.verdicts == [("backchannel", None), ("interruption", None)]
    assert run.event(2) is run.events[1]
    assert run.event(3) is None


def test_what_the_caller_says_is_what_the_judge_hears(tmp_path: Path) -> None:
    words = np.full(1600, 10_000, np.int16)
    write_wav(tmp_path / "words.wav", words, 16_000)

    script = PROMPT.caller_speaks(1, saying=words).judged(0.1)
    assert script.utterances[0].until == 1.1
    heard = script.run().events[0].speech_input
    assert heard is not None
    np.testing.assert_allclose(heard[-1600:], 10_000, atol=64)
    assert PROMPT.caller_speaks(1, 1.1, saying=words) != PROMPT.caller_speaks(1, 1.1)

    soundfile = pytest.importorskip("soundfile")
    assert soundfile
    assert PROMPT.caller_speaks(1, saying=tmp_path / "words.wav").judged(0.1) == script
    write_wav(tmp_path / "low.wav", words, 8000)
    with pytest.raises(OptionError, match=r"8000 Hz .* format=AudioFormat\(8000\)"):
        PROMPT.caller_speaks(1, saying=tmp_path / "low.wav")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda: PROMPT.caller_speaks(2, 1), "before it"),
        (lambda: PROMPT.caller_speaks(2, 3, lasts=1), "one of them"),
        (lambda: PROMPT.caller_speaks(2, 3).caller_speaks(1, 1.5), "the order of time"),
        (lambda: PROMPT.agent_speaks(5, 6).agent_speaks(1), "the agent speaks at 1 s"),
        (lambda: PROMPT.caller_speaks(-1, 3), "seconds >= 0"),
        (lambda: PROMPT.judged(), "without an answer"),
        (lambda: PROMPT.judged(1.5), "expected 0 to 1"),
        (lambda: PROMPT.expect_interruption(), "before the caller spoke"),
        (lambda: PROMPT.given(1, Skip(100)).run(), "Skip, which no stream takes"),
        (lambda: INTERRUPTS.with_options(treshold=0.7).run(), "treshold"),
    ],
)
def test_mistakes_are_told(write: object, message: str) -> None:
    with pytest.raises((OptionError, TypeError), match=message):
        write()  # type: ignore[operator]


def test_words_that_are_no_audio_are_refused() -> None:
    with pytest.raises(FrameError, match="float64"):
        PROMPT.caller_speaks(1, saying=np.zeros(10))  # type: ignore[arg-type]


def test_the_agents_audio_may_be_given() -> None:
    script = CallScript(lasts=2.0)
    for n in range(50):
        script = script.given(0.02 * n, AgentAudio(noise(320 * n, 320).tobytes()))
    run = script.given(0.5, Gap(0.1)).run()

    assert run.events == ()
