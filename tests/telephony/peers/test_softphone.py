"""pjsua2 as a client library: a jitter buffer at the caller, and callers who echo."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from bargein.telephony import SipAnswerer

from .agent import Agent
from .measure import latency
from .measure import report as as_line
from .softphone import Phone, Softphone
from .sounds import pieces, silence, timeline

pytestmark = pytest.mark.peer("pjsua2")


@pytest.fixture(scope="module")
def softphone() -> Iterator[Softphone]:
    softphone = Softphone()
    yield softphone
    softphone.close()


def stay(seconds: float) -> object:
    return lambda call, phone: time.sleep(seconds)


def test_interruptions_stop_the_prompt(softphone: Softphone, report: list[str]) -> None:
    phrases = pieces("interruption") + pieces("turn")
    found = []
    with Agent() as agent, SipAnswerer(agent, port=0) as server:
        for number in range(6):
            onset, phrase = 1.7 + 0.31 * number, phrases[number % len(phrases)]
            phone = Phone(timeline(onset + 3.0, (onset, phrase)))
            softphone.call(server.address[1], phone, stay(onset + 3.0))
            visit = agent.wait(number + 1)[number]
            assert visit.complete()
            if "interruption" in visit.verdicts():
                found.append(latency(visit, *phone.tracks(), phrase, onset))
    report.append(as_line("pjsua2", found))
    assert len(found) >= 5


@pytest.mark.parametrize("level", [-20.0, -10.0, 0.0])
def test_an_echoing_caller_stops_nothing(
    softphone: Softphone, report: list[str], level: float
) -> None:
    with Agent() as agent, SipAnswerer(agent, port=0) as server:
        phone = Phone(silence(8.0), echo_db=level)
        softphone.call(server.address[1], phone, stay(8.0))
        (visit,) = agent.wait(1)
    assert visit.complete()
    stops = visit.kinds().count("stopped")
    overlaps = visit.kinds().count("overlap_started")
    report.append(f"WRONG STOPS pjsua2, echo alone at {level:g} dB: {stops}, overlaps {overlaps}")
    assert stops == 0


def test_an_interruption_over_an_echo_stops_it(softphone: Softphone) -> None:
    with Agent() as agent, SipAnswerer(agent, port=0) as server:
        phone = Phone(timeline(9.0, (5.0, pieces("interruption")[0])), echo_db=-10.0)
        softphone.call(server.address[1], phone, stay(9.0))
        (visit,) = agent.wait(1)
    assert visit.complete()
    stopped = visit.first("stopped")
    assert stopped is not None
    assert stopped.at > 5.0
