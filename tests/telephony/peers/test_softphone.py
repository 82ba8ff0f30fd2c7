"""pjsua2 as a client library: a jitter buffer at the caller, and callers who echo."""

from __future__ import annotations

from pathlib import Path

import pytest

from bargein.telephony import SipAnswerer

from .agent import Agent, Visit
from .measure import AFTER, TAIL, heeded, latency, rounds
from .measure import report as as_line
from .softphone import Softphone
from .sounds import Samples, pieces, silence, timeline

pytestmark = pytest.mark.peer("pjsua2")

Caller = tuple[Samples, float | None]
"""What a caller says, and how loud (dB) it echoes the agent."""


def talk(
    work: Path, callers: list[Caller], *, stays: float | None = None
) -> list[tuple[Visit, Softphone]]:
    """Have callers call at once; return each one's call, at both ends."""
    with Agent(stays=stays) as agent, SipAnswerer(agent, port=0) as server:
        phones = [
            Softphone(work, server.address[1], said, name=f"caller{number}", echo_db=echo_db)
            for number, (said, echo_db) in enumerate(callers)
        ]
        for phone in phones:
            phone.finish()
        visits = {visit.caller: visit for visit in agent.wait(len(callers))}
    found = [(visits[f"sip:{phone.name}@127.0.0.1"], phone) for phone in phones]
    assert all(visit.complete() for visit, _ in found)
    return found


def test_interruptions_stop_the_prompt(tmp_path: Path, report: list[str]) -> None:
    found, all_visits = [], []
    for planned in rounds():
        said = [timeline(at + AFTER, (at, phrase)) for at, phrase in planned]
        calls = talk(tmp_path, [(each, None) for each in said], stays=TAIL)
        all_visits += [visit for visit, _ in calls]
        found += [
            latency(visit, *phone.tracks(), phrase)
            for (visit, phone), (_, phrase) in zip(calls, planned, strict=True)
            if visit.interrupted
        ]
    report.append(as_line("pjsua2", found))
    assert heeded(all_visits)


def test_echoing_callers_stop_nothing(tmp_path: Path, report: list[str]) -> None:
    levels = [-20.0, -10.0, 0.0]
    calls = talk(tmp_path, [(silence(8.0), level) for level in levels])
    for level, (visit, _) in zip(levels, calls, strict=True):
        overlaps = visit.kinds().count("overlap_started")
        report.append(
            f"WRONG STOPS pjsua2, echo alone at {level:g} dB: "
            f"{visit.kinds().count('stopped')}, overlaps {overlaps}"
        )
    assert not any(visit.wrongly_stopped for visit, _ in calls)


def test_interruptions_over_an_echo_stop_it(tmp_path: Path) -> None:
    phrase = pieces("interruption")[0]
    said = [timeline(12.0, (5.0 + 0.2 * n, phrase)) for n in range(3)]
    calls = talk(tmp_path, [(each, -10.0) for each in said], stays=TAIL)
    stops = [visit.first("stopped") for visit, _ in calls]
    assert any(stop is not None and stop.at > 5.0 for stop in stops)
