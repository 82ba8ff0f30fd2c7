"""Call scripts as text: what is read, what is written, and that the two agree."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.audio import AudioFormat
from bargein.core import Flush, Outcome
from bargein.errors import OptionError
from bargein.testing import CallScript, answers

WHOLE = """\
call: the other flight
options: threshold=0.7, fallback=fail_open, max_in_flight=2, eager_first_window=True
format: 8000 Hz mulaw 2 channels
vad
lasts 9.5 s
judged 0.1
agent speaks 0 - 6 s
agent speaks from 7 s
caller speaks 2.1 - 2.5 s, heard after 80 ms, judged 0.2, then 0.8 after 120 ms
expect interruption within 300 ms
caller speaks from 4 s, judged silence, then error 503, then drip over 1 s, then yes
expect inconclusive (timeout)
gap of 0.1 s at 5 s
input ends at 5.5 s
hang up at 6 s
expect no verdict"""


def test_the_whole_vocabulary() -> None:
    script = CallScript.parse(WHOLE)

    assert str(script) == WHOLE
    assert script.options["threshold"] == 0.7
    assert script.options["max_in_flight"] == 2
    assert script.options["eager_first_window"] is True
    assert script.format == AudioFormat(8000, 2, "mulaw")
    assert script.utterances[0].answers[1] == answers.judged(0.8, after=0.12)
    assert script.utterances[1].until is None
    assert script.expectations[0].outcome is Outcome.INTERRUPTION


def test_it_is_read_kindly() -> None:
    script = CallScript.parse(
        """
        # a call
        Agent speaks 0 to 6 s          # the prompt

        caller speaks 2-3 s
        judged drop inside after 0.1 s then NO
        caller speaks 3 s - 3.5 s heard after .08 s judged yes
        caller hangs up at 5 s
        options: threshold=none
        """
    )

    assert script.utterances[0].answers == (answers.drop_inside.delayed(0.1), answers.no)
    assert (script.utterances[1].until, script.utterances[1].heard_after) == (3.5, 0.08)
    assert script.utterances[1].answers == (answers.yes,)
    assert script.options == {"threshold": None}


def test_what_has_no_words_is_a_comment() -> None:
    script = CallScript().given(1, Flush())

    assert str(script) == "# 1 s: Flush"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "agent sings 0 - 6 s",
            "line 2 .*'agent sings 0 - 6 s': .* such as 'agent speaks 0 - 6 s'$",
        ),
        ("expects interruption", "'expect inconclusive \\(timeout\\)' or 'expect no verdict'$"),
        ("format: 8 kHz", "such as 'format: 8000 Hz mulaw'$"),
        ("the agent speaks", "'call: the other flight', .* or 'expect no verdict'$"),
        ("caller speaks 2 - 1 s", "before it"),
        ("caller speaks 2 - 3 s, judged maybe", "'maybe' is no answer"),
        ("caller speaks 2 - 3 s, judged yes after lunch", "'lunch' is no time"),
        ("expect interruption", "before the caller spoke"),
        ("expect interruption of 2 s", "not understood"),
        ("options: threshold", "expected name=value"),
        ("format: 7 Hz", "sample_rate"),
        ("judged 1.5", "expected 0 to 1"),
    ],
)
def test_mistakes_name_their_line(line: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        CallScript.parse("call: x\n" + line)


def test_a_reason_that_isnt_one_is_refused() -> None:
    with pytest.raises(OptionError, match="'boredom' is not a valid Reason"):
        CallScript.parse("caller speaks 1 - 2 s\nexpect inconclusive (boredom)")


times = st.integers(0, 20_000).map(lambda n: n / 1000)
answer = st.sampled_from(
    (*answers.FAULTS, answers.yes, answers.no, answers.judged(0.3))
) | st.integers(0, 100).map(lambda n: answers.judged(n / 100))
delayed = st.tuples(answer, st.integers(0, 2000)).map(lambda pair: pair[0].delayed(pair[1] / 1000))


@given(
    st.lists(times, max_size=3),
    st.lists(st.tuples(times, times, st.lists(delayed, max_size=3)), max_size=3),
    st.none() | times,
)
def test_what_is_written_reads_as_the_same(turns, words, within) -> None:
    script = CallScript("a b")
    for start in sorted(turns):
        script = script.agent_speaks(start, lasts=1)
    for start, lasts, said in sorted(words, key=lambda entry: entry[0]):
        script = script.caller_speaks(start, lasts=lasts)
        if said:
            script = script.judged(*said)
        script = script.expect_backchannel(within=within)

    assert CallScript.parse(str(script)) == script
    assert attrs.evolve(script, name="other") != script
