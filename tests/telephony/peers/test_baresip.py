"""baresip, a softphone: keys, hold, an interruption, a phone that is switched off."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from bargein.telephony import SipAnswerer
from tests.telephony.lines.handlers import Answerer

from . import baresip
from .agent import Agent
from .measure import TAIL, heeded, latency, rounds
from .measure import report as as_line
from .sniff import Sniffer, side_by_side
from .sounds import pieces, silence, timeline

pytestmark = pytest.mark.peer("baresip")


def test_keys_and_hold(tmp_path: Path) -> None:
    answerer = Answerer()
    with SipAnswerer(answerer, port=0) as server, baresip.running(tmp_path, silence(20)) as phone:
        phone.dial(server.address[1])
        handler = answerer.wait().wait(lambda h: len(h.audio) > 4_000)
        for key in "5#":
            phone.tell("sndcode", key)
            handler.wait(lambda h, key=key: ("dtmf", key) in h.told)  # type: ignore[misc]
        phone.tell("hold")
        handler.wait(lambda h: ("flow", False) in h.told)
        phone.tell("resume")
        handler.wait(lambda h: ("flow", True) in h.told)
        before = len(handler.audio)
        handler.wait(lambda h: len(h.audio) > before + 1_600)
        phone.tell("hangup")
        assert handler.wait_end() == "hangup"
    told = [t for t in handler.others if t[0] != "gap"]
    assert told == [
        ("dtmf", "5"),
        ("dtmf", "#"),
        ("flow", False),
        ("flow", True),
        ("end", "hangup"),
    ]


def test_interruptions_stop_the_prompt(tmp_path: Path, report: list[str]) -> None:
    found, all_visits = [], []
    for number, planned in enumerate(rounds()):
        names = [f"caller{number}-{n}" for n in range(len(planned))]
        with (
            Agent(stays=TAIL) as agent,
            SipAnswerer(agent, port=0) as server,
            Sniffer() as sniffer,
            ExitStack() as phones,
        ):
            for name, (at, phrase) in zip(names, planned, strict=True):
                said = timeline(at + 30.0, (at, phrase))
                phone = phones.enter_context(baresip.running(tmp_path / name, said, name))
                phone.dial(server.address[1])
            visits = {visit.caller: visit for visit in agent.wait(len(planned))}
        all_visits += visits.values()
        for name, (_, phrase) in zip(names, planned, strict=True):
            visit = visits[f"sip:{name}@127.0.0.1"]
            assert visit.complete()
            if visit.interrupted:
                port = visit.line.remote[1]  # type: ignore[attr-defined]
                tracks = side_by_side(sniffer.heard_from(port), sniffer.heard_at(port))
                found.append(latency(visit, *tracks, phrase))
    report.append(as_line("baresip", found))
    assert heeded(all_visits)


def test_a_phone_that_is_switched_off_in_the_middle_of_a_word(tmp_path: Path) -> None:
    said = timeline(30.0, (1.5, pieces("interruption")[0]))
    with (
        Agent() as agent,
        SipAnswerer(agent, port=0, idle_timeout=1.0) as server,
        baresip.running(tmp_path, said) as phone,
    ):
        phone.dial(server.address[1])
        (visit,) = agent.came(1)
        visit.wait_for("overlap_started")
        phone.kill()
        visit.wait()
    assert visit.complete()
    assert visit.events[-1].reason == "timeout"
