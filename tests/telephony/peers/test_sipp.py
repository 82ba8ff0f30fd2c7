"""sipp calls the RTP endpoint: real packets, real pacing, many calls."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from bargein.audio.g711 import encode_alaw, encode_mulaw
from bargein.telephony import SipAnswerer
from tests.telephony.lines.handlers import Answerer

from . import sipp
from .agent import Agent, cpu
from .measure import AFTER, heeded, latency, plan
from .measure import report as as_line
from .sniff import Sniffer, side_by_side
from .sounds import Samples, pieces, silence, timeline

pytestmark = pytest.mark.peer("sipp")

PHRASE = 0


def talk(
    work: Path, said: Samples, *, idle_timeout: float = 30.0, **options: object
) -> tuple[Agent, Sniffer]:
    with (
        Agent() as agent,
        SipAnswerer(agent, port=0, idle_timeout=idle_timeout) as server,
        Sniffer() as sniffer,
    ):
        sipp.finish(sipp.call(work, server.address[1], said, **options))  # type: ignore[arg-type]
        agent.wait(1)
    return agent, sniffer


@pytest.mark.parametrize("law", [0, 8])
def test_every_bit_of_the_audio_arrives(tmp_path: Path, law: int) -> None:
    said = timeline(2.0, (0.0, pieces("interruption")[0][:16_000]))
    answerer = Answerer()
    with SipAnswerer(answerer, port=0) as server:
        sipp.finish(sipp.call(tmp_path, server.address[1], said, law=law, seconds=2.2))
        handler = answerer.wait()
        assert handler.wait_end() == "hangup"
    encode = encode_mulaw if law == 0 else encode_alaw
    assert bytes(handler.audio) == encode(said)
    assert handler.others == [("end", "hangup")]


@pytest.mark.parametrize("law", [0, 8])
def test_an_interruption_stops_the_prompt(tmp_path: Path, law: int) -> None:
    phrase = pieces("interruption")[PHRASE]
    agent, sniffer = talk(tmp_path, timeline(5.5, (1.5, phrase)), law=law)

    (visit,) = agent.visits
    assert visit.interrupted
    assert visit.complete()
    stopped = visit.first("stopped")
    assert stopped is not None
    # What it says was heard is all that came to the caller: nothing can be taken back.
    port = visit.line.remote[1]  # type: ignore[attr-defined]
    came = sum(len(seen.packet.payload) for seen in sniffer.heard_at(port))
    assert stopped.heard_up_to == came * 1000 // 8_000


def utterances() -> list[tuple[str, Samples]]:
    found = [(f"mm-hmm {n}", piece) for n, piece in enumerate(pieces("backchannel"))]
    return [*found, *((f"noise {n}", piece) for n, piece in enumerate(pieces("noise")))]


def test_backchannels_and_noise_dont_stop_it(tmp_path: Path, report: list[str]) -> None:
    cases = utterances()
    wrong = 0
    with Agent() as agent, SipAnswerer(agent, port=0) as server:
        calls = [
            sipp.call(
                tmp_path,
                server.address[1],
                timeline(6.0, (2.0, piece), (4.0, piece)),
                name=f"call{number}",
            )
            for number, (_, piece) in enumerate(cases)
        ]
        for call in calls:
            sipp.finish(call)
        visits = agent.wait(len(cases))
    for visit in visits:
        assert visit.complete()
        wrong += visit.wrongly_stopped
    report.append(
        f"WRONG STOPS sipp: {wrong} of {len(cases)} calls with two mm-hmm, coughs or knocks each"
    )
    assert wrong <= 1


def test_a_silent_caller(tmp_path: Path) -> None:
    agent, _ = talk(tmp_path, silence(3.0))

    (visit,) = agent.visits
    assert "overlap_started" not in visit.kinds()
    assert visit.complete()


def test_echoing_callers(tmp_path: Path, report: list[str]) -> None:
    with Agent() as agent, SipAnswerer(agent, port=0) as server:
        calls = [
            sipp.echo(
                tmp_path,
                server.address[1],
                8.0,
                name=f"echo{number}",
            )
            for number in range(3)
        ]
        for call in calls:
            sipp.finish(call)
        visits = agent.wait(len(calls))

    for visit in visits:
        assert len(visit.audio) > 6 * 8_000
        assert visit.complete()
    stops, overlaps = (
        sum(visit.kinds().count(kind) for visit in visits)
        for kind in ("stopped", "overlap_started")
    )
    report.append(f"ECHO ALONE sipp, 0 dB, no delay, 3 calls: stops {stops}, overlaps {overlaps}")
    assert not any(visit.wrongly_stopped for visit in visits)


def test_hold_pauses_and_ends_nothing(tmp_path: Path) -> None:
    phrase = pieces("interruption")[PHRASE]
    said = timeline(5.0, (2.0, phrase))
    agent, sniffer = talk(tmp_path, said, hold_at=1.0, seconds=5.0)

    (visit,) = agent.visits
    assert visit.interrupted
    assert visit.complete()
    port = visit.line.remote[1]  # type: ignore[attr-defined]
    times = [seen.at for seen in sniffer.heard_at(port)]
    pauses = [later - sooner for sooner, later in pairwise(times)]
    # About the second of the hold, in which nothing was sent.
    assert max(pauses) > 0.7


def test_a_caller_who_goes_without_a_word(tmp_path: Path) -> None:
    phrase = pieces("interruption")[PHRASE]
    said = timeline(2.0, (1.5, phrase[:4_000]))
    agent, _ = talk(tmp_path, said, bye=False, idle_timeout=1.0)

    (visit,) = agent.visits
    assert visit.complete()
    assert visit.events[-1].reason == "timeout"


def test_ten_calls_at_once(tmp_path: Path, report: list[str]) -> None:
    said = {sipp.free_port(): planned for planned in plan(10)}
    found = []
    with (
        Agent() as agent,
        SipAnswerer(agent, port=0) as server,
        Sniffer() as sniffer,
    ):
        begin, used = time.monotonic(), cpu()
        calls = [
            sipp.call(
                tmp_path,
                server.address[1],
                timeline(at + AFTER, (at, phrase)),
                name=f"call{port}",
                media_port=port,
            )
            for port, (at, phrase) in said.items()
        ]
        for call in calls:
            sipp.finish(call)
        visits = agent.wait(10)
        share = (cpu() - used) / (time.monotonic() - begin) / 10
    for visit in visits:
        assert visit.complete()
        if visit.interrupted:
            port = visit.line.remote[1]  # type: ignore[attr-defined]
            _, phrase = said[port]
            tracks = side_by_side(sniffer.heard_from(port), sniffer.heard_at(port))
            found.append(latency(visit, *tracks, phrase))
    report.append(as_line("sipp, ten at once", found, cpu_per_call=f"{share:.1%} of a core"))
    assert heeded(visits)
