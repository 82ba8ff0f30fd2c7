"""Calls of Twilio's and Plivo's kind: a buffer at the other end, marks, clears."""

from __future__ import annotations

import threading

import pytest

from bargein.telephony import MediaStreamsServer
from bargein.telephony.codecs.dialects import PLIVO, TWILIO, Dialect

from .agent import Agent
from .measure import AFTER, TAIL, heeded, latency, rounds
from .measure import report as as_line
from .sounds import pieces, silence, timeline
from .vendor import VendorCall

pytestmark = pytest.mark.peer("vendor")


def run_all(calls: list[VendorCall], port: int) -> None:
    threads = [threading.Thread(target=call.run, args=(port,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("dialect", [TWILIO, PLIVO], ids=lambda d: str(d.name))
def test_interruptions_stop_the_prompt(dialect: Dialect, report: list[str]) -> None:
    found, all_visits = [], []
    for planned in rounds():
        calls = [
            VendorCall(dialect, timeline(at + AFTER, (at, phrase)), stream=f"MZ{n}")
            for n, (at, phrase) in enumerate(planned)
        ]
        with (
            Agent(stays=TAIL) as agent,
            MediaStreamsServer(agent, port=0, dialect=dialect) as server,
        ):
            run_all(calls, server.address[1])
            visits = {visit.line.id: visit for visit in agent.wait(len(calls))}
        all_visits += visits.values()
        for call, (_, phrase) in zip(calls, planned, strict=True):
            visit = visits[call.stream]
            assert visit.complete()
            if visit.interrupted:
                assert len(call.clears) == 1
                found.append(latency(visit, *call.tracks(), phrase))
                # The bridge wrote ahead; what it says was heard is what was played, to a mark
                # or two.
                heard = visit.first("stopped").heard_up_to  # type: ignore[union-attr]
                assert heard is not None
                assert abs(heard / 1000 - call.played()) < 0.5
    report.append(as_line(f"{dialect.name}-like", found))
    assert heeded(all_visits)


def test_backchannels_noise_keys_and_silence_dont(report: list[str]) -> None:
    cases = [*pieces("backchannel"), *pieces("noise")]
    calls = [
        VendorCall(TWILIO, timeline(6.0, (2.0, piece), (4.0, piece)), stream=f"MZ{n}")
        for n, piece in enumerate(cases)
    ]
    keys = {1.0: "4", 2.0: "#"}
    calls.append(VendorCall(TWILIO, silence(3.0), stream="MZkeys", digits=keys))
    with Agent() as agent, MediaStreamsServer(agent, port=0) as server:
        run_all(calls, server.address[1])
        visits = agent.wait(len(calls))
    wrong = sum(visit.wrongly_stopped for visit in visits)
    assert all(visit.complete() for visit in visits)
    (pressed,) = (visit for visit in visits if visit.line.id == "MZkeys")
    assert [event.digit for event in pressed.events if event.digit] == ["4", "#"]
    report.append(f"WRONG STOPS twilio-like: {wrong} of {len(cases)} calls")
    assert wrong <= 1
