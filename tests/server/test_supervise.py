"""Worker processes: what the parent does, with processes that are only said to be."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator

import pytest

from bargein.errors import OptionError
from bargein.server.supervise import MOST_SAID, PAUSES, STEADY, Supervisor, attempt
from bargein.testing.sockets import BOUND


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Processes:
    """Children that end when the script says so: (seconds it lived, and which of those alive)."""

    def __init__(self, script: list[tuple[float, int]]) -> None:
        self.script = script
        self.alive: list[int] = []
        self.ended: list[int] = []
        self.killed: list[tuple[int, int]] = []
        self.now, self.next = 0.0, 100
        self.at_fork: Callable[[], None] = lambda: None
        self.stopped = 0

    def supervisor(self, workers: int) -> Supervisor:
        def stopped() -> None:
            self.stopped += 1

        return Supervisor(
            workers,
            lambda place: 0,
            stopped=stopped,
            ended=self.ended.append,
            fork=self.fork,
            wait=self.wait,
            kill=lambda child, number: self.killed.append((child, number)),
            clock=lambda: self.now,
        )

    def fork(self) -> int:
        self.next += 1
        self.alive.append(self.next)
        self.at_fork()
        return self.next

    def wait(self) -> tuple[int, int]:
        if not self.script:
            return self.alive.pop(0), 0
        seconds, place = self.script.pop(0)
        self.now += seconds
        if place < 0:
            return 7, 0  # somebody else's child
        return self.alive.pop(place), 256


def test_a_worker_that_ends_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = Processes([(STEADY, 1), (1.0, -1), (STEADY, 0)])
    supervisor = processes.supervisor(2)
    starts: list[tuple[int, float]] = []
    start = supervisor._start
    monkeypatch.setattr(supervisor, "_start", lambda *given: (starts.append(given), start(*given)))
    wait = supervisor._wait

    def wait_then_stop() -> tuple[int, int]:
        if not processes.script:
            supervisor.stop()
        return wait()

    supervisor._wait = wait_then_stop
    assert supervisor.run() == 0
    # Each in its own place, which is whose listener it takes; no pause for one that had served.
    assert starts == [(0, 0.0), (1, 0.0), (1, 0.0), (0, 0.0)]
    assert {child for child, _ in processes.killed} == {103, 104}


def test_workers_that_come_to_nothing_are_given_pauses_and_then_given_up() -> None:
    # The newest ends at once, after its pause: that it waited for STEADY is no merit of its.
    processes = Processes([(pause + 0.01, int(pause > 0)) for pause in PAUSES])
    supervisor = processes.supervisor(2)
    pauses: list[float] = []
    start = supervisor._start

    def note(place: int, pause: float) -> None:
        pauses.append(pause)
        start(place, pause)

    supervisor._start = note  # type: ignore[method-assign]
    assert supervisor.run() == 1
    assert pauses == [0.0, 0.0, *PAUSES[1:]]
    assert len(processes.killed) == 1  # the one that lived
    assert processes.stopped == 1
    assert processes.ended == [101, 103, 104, 105, 106, 102]


def test_a_stop_between_fork_and_note_misses_nobody() -> None:
    processes = Processes([])
    supervisor = processes.supervisor(3)

    def stop() -> None:
        if processes.next == 102:
            os.kill(os.getpid(), signal.SIGTERM)

    processes.at_fork = stop
    assert supervisor.run() == 0
    # The third was never started, and both others were told.
    assert processes.killed == [(101, signal.SIGTERM), (102, signal.SIGTERM)]
    assert processes.next == 102
    assert supervisor.stopping
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert not mask & {signal.SIGTERM, signal.SIGINT}


@pytest.mark.parametrize(
    ("outcome", "code"), [(3, 3), (ValueError("no weights"), 1), (OptionError("no weights"), 1)]
)
def test_a_worker_ends_its_process_itself(
    outcome: object, code: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Ended(Exception):
        pass

    ended: list[int] = []

    def end(status: int) -> None:
        ended.append(status)
        raise Ended  # as nothing may run after it

    def work(place: int) -> int:
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        if isinstance(outcome, BaseException):
            raise outcome
        assert isinstance(outcome, int)
        return outcome

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr("logging.shutdown", lambda: None)
    supervisor = Supervisor(1, work, fork=lambda: 0)
    with pytest.raises(Ended):
        supervisor._start(0, 0.0)
    assert ended == [code]
    assert ("no weights" in caplog.text) is (code == 1)
    assert ("Traceback" in caplog.text) is (type(outcome) is ValueError)


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the test's process has threads
@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda: None, None),
        (lambda: _raise(OptionError("no such judge")), "no such judge"),
        (lambda: _raise(SystemExit("enough")), "SystemExit: enough"),
        (lambda: os._exit(7), "its process ended with code 7"),
        (lambda: _raise(OptionError("no " * 100_000)), ("no " * 100_000)[:MOST_SAID]),
    ],
)
def test_what_goes_wrong_in_an_attempt_is_told(work: Callable[[], None], said: str | None) -> None:
    assert attempt(work) == said


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_an_attempt_leaves_behind_holds_nothing_up() -> None:
    gate, ours = os.pipe()
    late, theirs = os.pipe()

    def leave() -> None:
        if not os.fork():
            os.close(ours)
            if not select.select([gate], [], [], BOUND)[0]:
                os.write(theirs, b"nobody let me go while I held the attempt's pipe")
            os._exit(0)

    try:
        assert attempt(leave) is None
        os.set_blocking(late, False)
        with pytest.raises(BlockingIOError):
            os.read(late, 1)
    finally:
        for end in (ours, gate, late, theirs):
            os.close(end)
