"""The connection's tables, walked whole: each state, each input, each state that it may lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import pytest

from bargein.core.connection import ConnectionMachine
from bargein.core.connection_items import Update
from bargein.core.connection_states import (
    CONNECTION_EFFECTS,
    HTTP_TABLE,
    TIMERS,
    UPDATE_EFFECTS,
    UPDATE_TABLE,
    WEBSOCKET_TABLE,
    ConnectionState,
    Timer,
    UpdateState,
)
from bargein.core.http_connection import HttpConnection
from bargein.core.inputs import Settings
from bargein.core.session_update import SessionUpdate
from bargein.core.websocket_connection import WebSocketConnection
from tests.core.connection_script import MAY_RUN, MUST_RUN, http, item, websocket
from tests.core.connection_tables import PAGE, fill

S, U = ConnectionState, UpdateState

# Two sessions, one of which leaves.
SWITCHED = [
    *("open", "connected 1", "sent 1", "update 0.7/4", "time", "connected 2", "created 2"),
]
# Inputs by which a state is reached; ``{n}`` is the session in question.
WEBSOCKET_WAYS = {
    S.IDLE: [[], ["open", "connected 1", "lost 1 1000"], [*SWITCHED, "lost 2 1000"]],
    S.CONNECTING: [
        ["open"],
        ["open", "connected 1", "error 1 429", "lost 1", "time"],
        [*SWITCHED, "lost 2", "time"],
    ],
    S.READY: [
        ["open", "connected 1"],
        ["open", "connected 1", "sent 1"],
        ["open", "connected 1", *(x for n in "2345" for x in (f"sent {n}", f"late {n}"))][:-1],
    ],
    S.HELD: [
        ["open", "connected 1", "error 1 429"],
        ["open", "connected 1", "error 1 429", "sent 1"],
    ],
    S.WAITING: [["open", "connected 1", "lost 1"], [*SWITCHED, "lost 2"]],
    S.RESTING: [["open", "refused 1 401"], [*SWITCHED, "error 2 401"]],
    S.CLOSING: [["open", "connected 1", "shut"], [*SWITCHED, "shut"]],
    S.ENDED: [["shut"]],
}
HTTP_WAYS = {
    S.IDLE: [[]],
    S.READY: [
        ["open", "sent 1"],
        ["open", *(x for n in "2345" for x in (f"sent {n}", f"late {n}"))][:-1],
    ],
    S.WAITING: [["open", "sent 1", "sent 9", "failed 9 down"]],
    S.RESTING: [["open", "sent 1", "sent 9", "failed 9 401"]],
    S.ENDED: [["shut"]],
}
UPDATE_WAYS = {
    U.NONE: [[]],
    U.PLANNED: [["update 0.7/4"]],
    U.CONNECTING: [["update 0.7/4", "time"]],
    U.CREATING: [["update 0.7/4", "time", "connected 2"]],
}
INPUTS = {
    "Open": ["open"],
    "Shut": ["shut", "shut 0"],
    "CallChanged": ["agent speaks", "overlap opens", "agent silent"],
    "Update": ["update 0.7/4", "update 0.5/2", "update 0.9/1"],
    "WindowSent": ["sent 7"],
    "Reply": ["answered 1", "answered 99"],
    "CancelWindow": ["late 1", "late 5", "cancelled 1", "fallback-late 1"],
    "Garbled": ["garbled", "garbled 1", "garbled 99"],
    "RequestFailed": ["failed 1 down", "failed 1 401", "failed 5 down", "failed 99 down"],
    "ConnectStarted": ["started {n}"],
    "Connected": ["connected {n}"],
    "ConnectFailed": ["refused {n} down", "refused {n} 401"],
    "SessionCreated": ["created {n}", "created {n} 0.5"],
    "ServerError": ["error {n} 500", "error {n} 429", "error {n} 401"],
    "SessionClosed": ["closed {n}"],
    "SessionLost": ["lost {n}", "lost {n} 1000", "broken {n}"],
    "Pong": ["pong {n}"],
}


def step(machine: ConnectionMachine, text: str, now: float) -> list[Any]:
    if text == "time":
        return machine.handle_deadline(now=machine.next_deadline() or now)
    return machine.handle(item(text), now=now)


def variants(
    make: Callable[..., ConnectionMachine], ways: list[list[str]]
) -> Iterator[ConnectionMachine]:
    """Give machines in a state, in every way that we know to make a difference."""
    for way in ways:
        for fallback in (False, True):
            for max_retry in (0, 3):
                machine = make(max_retry=max_retry, fallback=fallback)
                for text in way:
                    step(machine, text, 0.0)
                yield machine


@pytest.mark.parametrize(
    ("make", "table", "ways"),
    [(websocket, WEBSOCKET_TABLE, WEBSOCKET_WAYS), (http, HTTP_TABLE, HTTP_WAYS)],
    ids=["websocket", "http"],
)
def test_every_state_and_input(make: Any, table: Any, ways: Any) -> None:
    assert table.keys() == ways.keys()
    for state, row in table.items():
        for kind, cell in row.items():
            reached: set[Enum] = set()
            for text in INPUTS[kind.__name__]:
                for machine in variants(lambda **kw: no_threshold_too(make, kw), ways[state]):
                    if machine.state is not state:
                        continue  # without fallback or retries it ended on the way
                    actions = step(machine, text.format(n=session_of(machine)), 0.0)
                    reached.add(machine.state)
                    if make is websocket:
                        running = machine.timers()
                        assert running <= MAY_RUN[machine.state], f"{state} x {text}"
                        assert running >= MUST_RUN.get(machine.state, set()), f"{state} x {text}"
                    if cell.effect == "nothing":
                        assert not actions, f"{state} x {text}"
            assert reached == set(cell.leads_to), f"{state.value} x {kind.__name__}"


def no_threshold_too(make: Any, options: dict[str, Any]) -> ConnectionMachine:
    """Half of the machines give no threshold, so that a bare session.created is their end."""
    if make is websocket and options["max_retry"] == 0:
        options["settings"] = Settings(None, 2)
    machine: ConnectionMachine = make(**options)
    return machine


def session_of(machine: ConnectionMachine) -> int:
    if machine.state is S.CLOSING:
        return min(machine._leaving)
    return 99 if machine._main is None else machine._main.number


def test_every_state_and_input_of_an_update() -> None:
    assert UPDATE_TABLE.keys() == UPDATE_WAYS.keys()
    for state, row in UPDATE_TABLE.items():
        for kind, cell in row.items():
            reached: set[Enum] = set()
            for text in INPUTS[kind.__name__]:
                for machine in variants(
                    websocket, [["open", "connected 1", *UPDATE_WAYS[state][0]]]
                ):
                    assert isinstance(machine, WebSocketConnection)
                    assert machine.update_state is state
                    actions = step(machine, text.format(n=2), 0.0)
                    reached.add(machine.update_state)
                    assert machine.state is S.READY
                    if cell.effect == "nothing":
                        assert not actions, f"{state} x {text}"
            assert reached == set(cell.leads_to), f"{state.value} x {kind.__name__}"


@pytest.mark.parametrize(
    ("tables", "effects", "owners"),
    [
        ((WEBSOCKET_TABLE,), CONNECTION_EFFECTS, (WebSocketConnection,)),
        ((HTTP_TABLE,), CONNECTION_EFFECTS, (HttpConnection,)),
        ((UPDATE_TABLE,), UPDATE_EFFECTS, (SessionUpdate,)),
    ],
)
def test_each_effect_has_words_and_a_method(tables: Any, effects: Any, owners: Any) -> None:
    used = {cell.effect for table in tables for row in table.values() for cell in row.values()}
    assert used <= effects.keys()
    for owner in owners:
        assert all(callable(getattr(owner, f"_do_{effect}")) for effect in used)


def test_no_words_are_left_over() -> None:
    used = {
        cell.effect
        for table in (WEBSOCKET_TABLE, HTTP_TABLE)
        for row in table.values()
        for cell in row.values()
    }
    assert used == CONNECTION_EFFECTS.keys()
    assert {
        cell.effect for row in UPDATE_TABLE.values() for cell in row.values()
    } == UPDATE_EFFECTS.keys()


def test_every_row_has_the_same_inputs() -> None:
    for table in (WEBSOCKET_TABLE, HTTP_TABLE, UPDATE_TABLE):
        kinds = [frozenset(row) for row in table.values()]
        assert len(set(kinds)) == 1
    assert all(Update in row for row in UPDATE_TABLE.values())


def test_every_timer_has_words_and_a_method() -> None:
    assert list(TIMERS) == list(Timer)
    for timer in Timer:
        assert callable(getattr(WebSocketConnection, f"_after_{timer.value}"))


def test_the_page_shows_the_tables_as_they_are() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == fill(page), "write them anew: python -m tests.core.connection_tables"
