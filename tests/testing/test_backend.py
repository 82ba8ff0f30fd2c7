"""The scripted backend on real streams."""

from __future__ import annotations

import pytest

from bargein import AdaptiveInterruptionDetector
from bargein.testing import Caller, ScriptedBackend, answers
from bargein.testing.sockets import BOUND


def listen(backend: ScriptedBackend, **options: float) -> Caller:
    patient = {"inference_timeout": BOUND, "verdict_grace": BOUND} | options
    return Caller(AdaptiveInterruptionDetector(backend=backend, **patient), id="call 1")


def test_it_answers_in_the_order_told(bargein_backend: ScriptedBackend) -> None:
    bargein_backend.answer(answers.no, answers.judged(0.9, after=0.01))
    with listen(bargein_backend) as caller:
        caller.interrupt()
        assert caller.speak_until(caller.events).is_interruption
    assert bargein_backend.sessions == ["call 1"]
    assert len(bargein_backend.wait_for(2)) >= 2
    assert bargein_backend.windows[0].agent_start == 0


def test_without_answers_nothing_is_an_interruption(bargein_backend: ScriptedBackend) -> None:
    with listen(bargein_backend) as caller:
        caller.interrupt()
        bargein_backend.wait_for(1)
        caller.stop()
        assert caller.outcome() == ("backchannel", None)


@pytest.mark.parametrize("fault", [answers.garbage, answers.drop, answers.error(500)], ids=str)
def test_a_fault_is_an_exception(fault: answers.Answer) -> None:
    with listen(ScriptedBackend(fault)) as caller:
        caller.interrupt()
        assert str(fault) in str(caller.error().error)
        caller.stop()
        assert caller.outcome() == ("inconclusive", "error")


def test_silence_is_a_call_that_hangs_until_it_is_released() -> None:
    backend = ScriptedBackend(answers.silence)
    with listen(backend, inference_timeout=0.05) as caller:
        caller.interrupt()
        backend.wait_for(1)
        caller.stop()
        assert caller.outcome() == ("inconclusive", "timeout")
        backend.release()


def test_waiting_for_what_doesnt_come_says_so(bargein_backend: ScriptedBackend) -> None:
    with pytest.raises(TimeoutError, match="0 of 1 windows"):
        bargein_backend.wait_for(1, timeout=0.01)


def test_seeded_answers_end_as_no(bargein_backend: ScriptedBackend) -> None:
    bargein_backend.answer(iter([answers.no]))
    with listen(bargein_backend) as caller:
        caller.interrupt()
        bargein_backend.wait_for(1)
        caller.speak()
        bargein_backend.wait_for(2)
        caller.stop()
        assert caller.outcome() == ("backchannel", None)
