"""baresip, a softphone: keys, hold, an interruption, a phone that is switched off."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bargein.telephony import SipAnswerer
from tests.telephony.lines.handlers import Answerer

from . import baresip
from .agent import Agent
from .measure import latency
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
    phrases = pieces("interruption") + pieces("turn")
    found = []
    with Agent() as agent, SipAnswerer(agent, port=0) as server:
        for number in range(5):
            onset, phrase = 1.7 + 0.31 * number, phrases[number % len(phrases)]
            said = timeline(onset + 30.0, (onset, phrase))
            with Sniffer() as sniffer, baresip.running(tmp_path / str(number), said) as phone:
                phone.dial(server.address[1])
                time.sleep(onset + 2.5)
                phone.tell("hangup")
                visit = agent.wait(number + 1)[number]
            assert visit.complete()
            port = visit.line.remote[1]  # type: ignore[attr-defined]
            if "interruption" in visit.verdicts():
                tracks = side_by_side(sniffer.heard_from(port), sniffer.heard_at(port))
                found.append(latency(visit, *tracks, phrase, onset))
    report.append(as_line("baresip", found))
    assert len(found) >= 4


def test_a_phone_that_is_switched_off_in_the_middle_of_a_word(tmp_path: Path) -> None:
    said = timeline(30.0, (1.5, pieces("interruption")[0]))
    with (
        Agent() as agent,
        SipAnswerer(agent, port=0, idle_timeout=1.0) as server,
        baresip.running(tmp_path, said) as phone,
    ):
        phone.dial(server.address[1])
        time.sleep(1.9)
        phone.kill()
        (visit,) = agent.wait(1)
    assert visit.complete()
    assert visit.events[-1].reason == "timeout"
