"""Whatever order news comes in, a connection's life keeps its promises."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bargein.core.connection import ConnectionMachine
from bargein.core.connection_items import (
    AnnounceError,
    Connect,
    Connected,
    ConnectFailed,
    Disconnect,
    Done,
    FailStream,
    Ping,
    SayGoodbye,
    Serve,
    SessionLost,
    Shut,
    Tell,
)
from bargein.core.connection_states import ConnectionState, UpdateState
from bargein.core.inputs import JudgeReady, JudgeUnready, WindowFailed
from bargein.core.websocket_connection import WebSocketConnection
from tests.core.connection_script import MAY_RUN, MUST_RUN, http, item, websocket

S = ConnectionState

NEWS = (
    *("started", "connected", "refused down", "refused 503", "refused 401", "refused 429:5"),
    *("created", "created 0.5", "error 500", "error 429", "error 401"),
    *("closed", "lost", "lost 1000", "pong"),
)
CALL = ("agent speaks", "agent silent", "overlap opens", "overlap grace", "overlap settled")
UPDATES = ("update 0.7/4", "update 0.5/2", "update 0.8/1")
WINDOWS = ("sent", "answered", "late", "cancelled", "garbled")
FAILED = ("failed down", "failed 503", "failed 401", "failed 429:5")
STEPS = st.sampled_from((0.0, 0.05, 0.1, 0.7, 2.0, 12.0))
WAIT = ("time",) * 8


class Harness:
    """A driver that checks every action against what it knows."""

    def __init__(self, machine: ConnectionMachine) -> None:
        self.machine = machine
        self.now = 0.0
        self.ready = False
        self.over = False
        self.sockets: set[int] = set()
        self.connecting: set[int] = set()
        self.serving = 0
        self.flying: set[int] = set()
        self.last_window = 0
        self.last_session = 0
        self.told = Counter[bool]()
        self.do(machine.handle(item("open"), now=0.0))

    def step(self, what: str, dt: float, pick: int) -> None:
        if what == "time":
            self.time()
            return
        self.wait(dt)
        verb, *words = what.split()
        if what in NEWS:
            # mostly of sessions that are there, at times of one that is long gone
            known = sorted(self.sockets | self.connecting) or [self.last_session]
            n = known[pick % len(known)] if pick % 7 else self.last_session
            self.give(" ".join([verb, str(n), *words]), session=n)
        elif verb == "sent":
            if self.ready:
                self.last_window += 1
                self.flying.add(self.last_window)
                self.give(f"sent {self.last_window}")
        elif what in (*WINDOWS, *FAILED):
            known = sorted(self.flying) or [0]
            n = known[pick % len(known)]
            if verb in ("answered", "late", "cancelled"):
                if verb == "answered" and n:
                    self.told.clear()
                self.flying.discard(n)
            self.give(" ".join([verb, str(n), *words]))
        else:
            self.give(what)

    def give(self, text: str, session: int | None = None) -> None:
        made = item(text)
        if isinstance(made, (Connected, ConnectFailed, SessionLost)) and session is not None:
            if session not in self.connecting | self.sockets:
                assert self.machine.handle(made, now=self.now) == []
                return
            if isinstance(made, Connected):
                if session not in self.connecting:
                    return
                self.sockets.add(session)
            elif isinstance(made, SessionLost):
                self.sockets.discard(session)
            elif session in self.sockets:
                return
            self.connecting.discard(session)
        self.do(self.machine.handle(made, now=self.now))

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.machine.next_deadline()) is not None and due <= until:
            self.time()
        self.now = until

    def time(self) -> None:
        due = self.machine.next_deadline()
        if due is None:
            return
        self.now = max(self.now, due)
        self.do(self.machine.handle_deadline(now=self.now))
        after = self.machine.next_deadline()
        assert after is None or after >= self.now
        if after == due:  # an update by chance 0 may be due at once, but then it is another timer
            assert self.machine.handle_deadline(now=self.now) != []
            raise AssertionError("a deadline must move")

    def do(self, actions: list[Any]) -> None:
        for action in actions:
            assert not self.over, f"{action} came after the end"
            match action:
                case Connect(n):
                    assert n == self.last_session + 1
                    self.last_session = n
                    self.connecting.add(n)
                case Serve(n):
                    assert n in self.sockets
                    self.serving = n
                case Disconnect(n):
                    assert n in self.sockets | self.connecting
                    self.sockets.discard(n)
                    self.connecting.discard(n)
                case Ping(n) | SayGoodbye(n):
                    assert n in self.sockets
                case Tell(JudgeReady()):
                    assert not self.ready
                    self.ready = True
                case Tell(JudgeUnready()):
                    assert self.ready
                    self.ready = False
                case Tell(WindowFailed(n)):
                    assert n in self.flying, "a window fails once, and only while in flight"
                    self.flying.discard(n)
                case AnnounceError(_, recoverable):
                    self.told[recoverable] += 1
                case FailStream() | Done():
                    self.over = True
        self.check()

    def check(self) -> None:
        machine = self.machine
        assert self.ready is (machine.state is S.READY) or self.over
        if self.over:
            assert machine.state is S.ENDED
            assert not self.sockets
            assert not self.connecting
            assert machine.next_deadline() is None
        if isinstance(machine, WebSocketConnection):
            expected = (machine.state is S.CONNECTING) + (
                machine.update_state is UpdateState.CONNECTING
            )
            assert len(self.connecting) == expected, "one attempt for each purpose"
            running = machine.timers()
            assert running <= MAY_RUN[machine.state]
            assert running >= MUST_RUN.get(machine.state, set())
            if machine.state in (S.READY, S.HELD):
                assert self.serving in self.sockets


def script(*words: str) -> Any:
    choice = st.tuples(st.sampled_from(words), STEPS, st.integers(0, 40))
    return st.lists(choice, max_size=60)


OPTIONS = st.tuples(st.sampled_from((0, 1, 3, None)), st.booleans())


@given(OPTIONS, script(*NEWS, *NEWS, *CALL, *UPDATES, *WINDOWS, *WINDOWS, *WAIT, "connected"))
def test_a_websocket_keeps_its_promises(options: Any, steps: Any) -> None:
    max_retry, fallback = options
    harness = Harness(websocket(max_retry, fallback=fallback))
    for what, dt, pick in steps:
        harness.step(what, dt, pick)
    if not harness.over:
        harness.do(harness.machine.handle(Shut(1.0), now=harness.now))
        harness.wait(1.0)
    assert harness.over, "whatever the state, the end comes within its patience"


@given(OPTIONS, script(*FAILED, *CALL, *UPDATES, *WINDOWS, *WINDOWS, *WAIT))
def test_http_keeps_its_promises(options: Any, steps: Any) -> None:
    max_retry, fallback = options
    machine = http(max_retry, fallback=fallback)
    harness = Harness(machine)
    for what, dt, pick in steps:
        if what in FAILED and not harness.flying:
            continue
        harness.step(what, dt, pick)
        assert machine.in_flight() == len(harness.flying)
    if not harness.over:
        harness.do(machine.handle(Shut(0.0), now=harness.now))
    assert harness.over


@given(
    st.sampled_from((0, 1, 3)),
    st.booleans(),
    script(*NEWS, *CALL, *WINDOWS, *WAIT, *("connected",) * 4),
)
def test_an_outage_is_told_once_and_spends_what_it_may(
    max_retry: int, fallback: bool, steps: Any
) -> None:
    machine = websocket(max_retry, fallback=fallback)
    harness = Harness(machine)
    waits = 0
    for what, dt, pick in steps:
        if harness.now > 29.0 or harness.over:
            break  # from here on, a session's age would count as health
        state, told = machine.state, harness.told.total()
        harness.step(what, min(dt, 0.7), pick)
        if harness.told.total() < told or what == "answered":
            waits = 0
        waits += machine.state is S.WAITING and state is not S.WAITING
        assert harness.told[True] <= 1, "one recoverable error an outage"
        assert harness.told[False] <= 1, "one unrecoverable error an outage"
        assert waits <= max_retry
