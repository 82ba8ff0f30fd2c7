"""Asterisk brings calls by AudioSocket, chan_websocket and plain RTP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from bargein.telephony import (
    Answer,
    AsteriskWebSocketServer,
    AudioSocketServer,
    Line,
    LineHandler,
    RtpEndpoint,
)
from tests.telephony.lines.handlers import Answerer, Echo

from . import asterisk
from .agent import Agent, in_order_of_onset
from .asterisk import Asterisk
from .measure import AFTER, TAIL, heeded, latency, rounds
from .measure import report as as_line
from .sounds import RATE, Samples, find, pieces, silence, timeline

pytestmark = pytest.mark.peer("asterisk")

WAYS = ["audiosocket", "audiosocket16", "websocket-json", "websocket-plain-text", "rtp"]


class Switch:
    """An ``on_call`` that can be changed between tests, while Asterisk runs on."""

    def __init__(self) -> None:
        self.answer: Answer = Answerer()

    def __call__(self, line: Line) -> LineHandler:
        return self.answer(line)


@pytest.fixture(scope="module")
def switch() -> Switch:
    return Switch()


@pytest.fixture(scope="module")
def pbx(switch: Switch) -> Iterator[Asterisk]:
    with ExitStack() as stack:
        enter = stack.enter_context
        yield enter(
            asterisk.running(
                Path(os.environ["BARGEIN_ASTERISK"]),
                audiosocket=enter(AudioSocketServer(switch, port=0)).address[1],
                websocket=enter(AsteriskWebSocketServer(switch, port=0)).address[1],
                rtp=enter(RtpEndpoint(switch, port=0, idle_timeout=2.0)).address[1],
            )
        )


@pytest.mark.parametrize("way", WAYS)
def test_the_media_goes_both_ways(pbx: Asterisk, switch: Switch, way: str) -> None:
    phrase = pieces("interruption")[0]
    switch.answer = answerer = Answerer(Echo)
    name = pbx.call(way, timeline(3.0, (0.5, phrase)))
    handler = answerer.wait()

    assert handler.wait_end() in (("timeout",) if way == "rtp" else ("hangup",))
    said, heard = pbx.recording(name)
    assert handler.line.format.sample_rate == (16_000 if way == "audiosocket16" else 8_000)
    assert len(handler.audio) > 2.5 * handler.line.format.sample_rate
    # What was echoed is what was said, a little later.
    delay = find(heard, phrase) - find(said, phrase)
    assert -0.1 < delay < 0.5
    assert np.median(likeness(heard, phrase)) > 0.9


def likeness(heard: Samples, phrase: Samples) -> list[float]:
    """Return how alike each 200 ms of a phrase are to what was heard thereabouts.

    Bit by bit, because a machine that is busy with other things drops a frame here and there.
    """
    found = []
    begin = int(find(heard, phrase) * RATE)
    for at in range(0, phrase.size - 1_600, 1_600):
        block = phrase[at : at + 1_600].astype(float)
        near = heard[max(0, begin + at - 2_400) : begin + at + 4_000].astype(float)
        windows = np.lib.stride_tricks.sliding_window_view(near, block.size)
        scale = np.linalg.norm(windows, axis=1) * np.linalg.norm(block) + 1.0
        found.append(float(np.max(windows @ block / scale)))
    return found


@pytest.mark.parametrize("way", WAYS)
def test_interruptions_stop_the_prompt(
    pbx: Asterisk, switch: Switch, report: list[str], way: str
) -> None:
    found, all_visits = [], []
    for planned in rounds():
        with Agent(stays=TAIL) as agent:
            switch.answer = agent
            names = [pbx.call(way, timeline(at + AFTER, (at, phrase))) for at, phrase in planned]
            visits = in_order_of_onset(agent.wait(len(planned)))
        all_visits += visits
        for visit, name, (_, phrase) in zip(visits, names, planned, strict=True):
            assert visit.complete()
            if visit.interrupted:
                found.append(latency(visit, *pbx.recording(name), phrase))
    report.append(as_line(f"Asterisk, {way}", found))
    assert heeded(all_visits)


@pytest.mark.parametrize("way", ["audiosocket", "websocket-json"])
def test_backchannels_and_noise_dont_stop_it(
    pbx: Asterisk, switch: Switch, report: list[str], way: str
) -> None:
    wrong = 0
    cases = pieces("backchannel") + pieces("noise")
    with Agent() as agent:
        switch.answer = agent
        for piece in cases:
            pbx.call(way, timeline(6.0, (2.0, piece), (4.0, piece)))
        for visit in agent.wait(len(cases)):
            assert visit.complete()
            wrong += visit.wrongly_stopped
    report.append(f"WRONG STOPS Asterisk, {way}: {wrong} of {len(cases)} calls")
    assert wrong <= 1


@pytest.mark.parametrize("way", ["audiosocket", "websocket-json"])
def test_we_hang_up_on_a_silent_caller(pbx: Asterisk, switch: Switch, way: str) -> None:
    switch.answer = answerer = Answerer()
    pbx.call(way, silence(20.0))
    handler = answerer.wait().wait(lambda h: len(h.audio) > 1_000)
    handler.line.hang_up()

    assert handler.wait_end() == "closed"
