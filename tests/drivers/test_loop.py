"""The loop around a connection machine: each list of actions whole, then what came meanwhile."""

from __future__ import annotations

import logging
from typing import Any

import attrs
import pytest

from bargein.core.connection import ConnectionCounts
from bargein.core.connection_items import AnnounceError, Disconnect, FailStream, Ping, Tell
from bargein.core.connection_states import ConnectionState
from bargein.core.inputs import JudgeReady
from bargein.drivers.loop import ConnectionLoop
from bargein.errors import APIError


@attrs.define
class Machine:
    """Says what it was told to say."""

    answers: dict[str, list[Any]]
    log: list[str]
    state: ConnectionState = ConnectionState.IDLE
    outage: bool = False
    counts: ConnectionCounts = attrs.field(factory=lambda: ConnectionCounts(1, 2))

    def handle(self, item: str, *, now: float) -> list[Any]:
        self.log.append(f"in {item}")
        return self.answers.get(item, [])

    def handle_deadline(self, *, now: float) -> list[Any]:
        return self.handle("deadline", now=now)

    def take_counts(self) -> ConnectionCounts:
        return self.counts


@attrs.define
class Host:
    log: list[str]
    name: str = "call-7"

    def tell(self, item: Any, now: float) -> None:
        self.log.append(f"tell {type(item).__name__}")

    def announce(self, error: APIError, *, recoverable: bool, failures: int, now: float) -> None:
        self.log.append(f"announce {error} {recoverable} {failures}")

    def fail(self, error: APIError) -> None:
        self.log.append(f"fail {error}")

    def wake(self) -> None:
        raise AssertionError


def loop(feeds: dict[int, list[str]], **answers: list[Any]) -> tuple[ConnectionLoop, list[str]]:
    log: list[str] = []

    def act(action: Any, now: float) -> None:
        log.append(f"{type(action).__name__} {action.session}")
        for item in feeds.get(action.session, []):
            made.feed(item, now)

    made = ConnectionLoop(Machine(answers, log), Host(log), act)  # type: ignore[arg-type]
    return made, log


def test_what_comes_meanwhile_waits_for_the_last_action_and_keeps_its_order() -> None:
    made, log = loop({1: ["b", "c"]}, a=[Ping(1), Ping(2)], b=[Ping(3)])
    made.feed("a", 0.0)
    assert log == ["in a", "Ping 1", "Ping 2", "in b", "Ping 3", "in c"]


def test_so_it_is_at_deadlines() -> None:
    made, log = loop({1: ["b", "c"]}, deadline=[Disconnect(1), Ping(2)], b=[Ping(3)])
    made.handle_deadline(0.0)
    assert log == ["in deadline", "Disconnect 1", "Ping 2", "in b", "Ping 3", "in c"]


def test_what_is_for_everybody_goes_to_the_host() -> None:
    error = APIError("oh")
    made, log = loop({}, a=[Tell(JudgeReady()), AnnounceError(error, True, 3), FailStream(error)])
    made.feed("a", 0.0)
    assert log == ["in a", "tell JudgeReady", "announce oh True 3", "fail oh"]
    assert (made.reconnects, made.faults) == (1, 2)


def test_changes_of_state_and_the_end_of_an_outage_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="bargein")
    made, _ = loop({})
    machine: Any = made.machine
    for state, outage in [
        (ConnectionState.READY, False),
        (ConnectionState.READY, False),
        (ConnectionState.WAITING, True),
        (ConnectionState.READY, True),
        (ConnectionState.READY, False),
    ]:
        machine.state, machine.outage = state, outage
        made.feed("a", 0.0)
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("DEBUG", "call-7: the way to the server: ready"),
        ("DEBUG", "call-7: the way to the server: waiting"),
        ("DEBUG", "call-7: the way to the server: ready"),
        ("INFO", "call-7: the server is well again"),
    ]
