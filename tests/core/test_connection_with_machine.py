"""The two machines together, glued as a driver glues them: who judges what, through an outage."""

from __future__ import annotations

from collections import deque
from typing import Any

from bargein.core.actions import CancelWindow, EmitVerdict, Finish, SendWindow
from bargein.core.connection_items import CallChanged, Shut, Tell
from bargein.core.dispatch import JudgeSettings
from bargein.core.inputs import (
    AgentSpeechStarted,
    Audio,
    EndOfInput,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    Reply,
    Settings,
    WindowSent,
)
from bargein.core.machine import InterruptionMachine
from bargein.core.options import InterruptionOptions
from bargein.core.window import Prediction
from tests.core.connection_script import action_text, item, websocket

FRAME = Audio(bytes(3200))  # 0.1 s


class Glue:
    """A driver without I/O: windows are handed over at once; what happens is noted."""

    def __init__(self, *, fallback: bool) -> None:
        self.machine = InterruptionMachine(
            InterruptionOptions(threshold=0.5),
            primary=JudgeSettings(max_in_flight=8),
            fallback=JudgeSettings() if fallback else None,
            ready=False,
        )
        self.life = websocket(fallback=fallback, settings=Settings(0.5, 2))
        self.log: list[str] = []
        self._inputs: deque[Any] = deque()
        self._busy = False

    def news(self, *texts: str, now: float) -> list[str]:
        for text in texts:
            self.feed(item(text), now)
        return self.read()

    def call(self, *inputs: Any, now: float) -> list[str]:
        for given in inputs:
            if isinstance(given, Reply):
                self.feed(given, now)
            self.tell(given, now)
        return self.read()

    def time(self, now: float) -> list[str]:
        self.carry_out(self.life.handle_deadline(now=now), now)
        return self.read()

    def read(self) -> list[str]:
        log, self.log = self.log, []
        return log

    def feed(self, given: Any, now: float) -> None:
        self._inputs.append(given)
        if self._busy:
            return
        self._busy = True
        while self._inputs:
            self.carry_out(self.life.handle(self._inputs.popleft(), now=now), now)
        self._busy = False

    def carry_out(self, actions: list[Any], now: float) -> None:
        for action in actions:
            if isinstance(action, Tell):
                self.tell(action.item, now)
            else:
                self.log.append(action_text(action))

    def tell(self, given: Any, now: float) -> None:
        before = self.machine.state
        for action in self.machine.handle(given, now=now):
            match action:
                case SendWindow(window, judge):
                    self.log.append(f"{judge.value} {window.id}")
                    if judge.value == "primary":
                        self.feed(WindowSent(window.id), now)
                    self.tell(WindowSent(window.id), now)
                case CancelWindow():
                    self.feed(action, now)
                case EmitVerdict(verdict):
                    reason = f" ({verdict.reason.value})" if verdict.reason else ""
                    self.log.append(verdict.outcome.value + reason)
                case Finish():
                    self.feed(Shut(), now)
        if self.machine.state is not before:
            self.feed(CallChanged(self.machine.state), now)


def reply(window_id: int, probability: float) -> Reply:
    return Reply(window_id, Prediction([probability] * 4))


def in_overlap(*, fallback: bool) -> Glue:
    glue = Glue(fallback=fallback)
    assert glue.news("open", "connected 1", now=0.0) == ["connect 1", "create 1 0.5/2", "serve 1"]
    begun = glue.call(AgentSpeechStarted(), FRAME, OverlapSpeechStarted(), FRAME, now=1.0)
    assert begun == ["primary 1"]
    return glue


def test_an_outage_hands_an_overlap_to_the_fallback_and_back() -> None:
    glue = in_overlap(fallback=True)
    assert glue.news("lost 1 1006", now=1.1) == ["announce lost"]
    assert glue.call(FRAME, now=1.15) == ["fallback 2"]
    assert glue.time(1.21) == ["connect 2"]
    assert glue.call(reply(2, 0.1), FRAME, now=1.25) == ["fallback 3"]
    assert glue.news("connected 2", now=1.3) == ["create 2 0.5/2", "serve 2"]
    assert glue.call(reply(3, 0.1), FRAME, now=1.35) == ["primary 4"]
    assert glue.call(reply(4, 0.9), now=1.4) == ["interruption"]
    assert not glue.life.outage


def test_without_a_fallback_the_newest_audio_goes_when_it_is_back() -> None:
    glue = in_overlap(fallback=False)
    assert glue.news("lost 1 1006", now=1.1) == ["announce lost"]
    assert glue.call(FRAME, FRAME, now=1.15) == []
    assert glue.time(1.21) == ["connect 2"]
    assert glue.news("connected 2", now=1.3) == ["create 2 0.5/2", "serve 2", "primary 3"]


def test_an_overlap_that_ends_in_an_outage_is_inconclusive_by_the_connection() -> None:
    glue = in_overlap(fallback=False)
    glue.news("lost 1 1006", now=1.1)
    assert glue.call(OverlapSpeechEnded(), now=1.2) == ["inconclusive (connection)"]


def test_a_loss_in_the_grace_settles_at_once() -> None:
    glue = in_overlap(fallback=False)
    assert glue.call(OverlapSpeechEnded(), now=1.1) == []
    lost = glue.news("lost 1 1000", now=1.2)
    assert lost == ["inconclusive (connection)", "announce lost"]


def test_the_end_of_input_says_goodbye_when_the_last_window_is_answered() -> None:
    glue = in_overlap(fallback=False)
    assert glue.call(EndOfInput(), now=1.1) == []
    assert glue.call(reply(1, 0.9), now=1.2) == ["interruption", "goodbye 1"]
    assert glue.news("closed 1", now=1.3) == ["disconnect 1", "done"]


def test_a_loss_while_the_end_is_awaited_ends_all() -> None:
    glue = in_overlap(fallback=False)
    assert glue.call(EndOfInput(), now=1.1) == []
    lost = glue.news("lost 1 1006", now=1.2)
    assert lost == ["inconclusive (input_ended)", "announce lost", "done"]


def test_an_error_message_lets_the_newest_window_take_its_place() -> None:
    glue = in_overlap(fallback=False)
    assert glue.news("error 1 500", now=1.1) == ["announce 500"]
    assert glue.call(FRAME, now=1.2) == ["primary 2"]
    assert glue.call(reply(2, 0.1), OverlapSpeechEnded(), now=1.3) == ["backchannel"]


def test_a_429_within_the_session_sends_nothing_until_it_may() -> None:
    glue = in_overlap(fallback=False)
    assert glue.news("error 1 429", now=1.1) == ["announce 429"]
    assert glue.call(FRAME, FRAME, now=1.2) == []
    assert glue.time(3.1) == ["primary 3"]
