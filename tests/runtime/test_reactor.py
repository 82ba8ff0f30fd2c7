"""Reactors: many tasks on one thread, none of which harms another."""

from __future__ import annotations

import logging
import os
import queue
import select
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

import pytest

from bargein.runtime.pool import Pool
from bargein.runtime.reactor import LOOK, lend
from bargein.runtime.reactors import Reactors
from bargein.runtime.task import Handle
from bargein.testing.sockets import BOUND
from tests.fresh import run_fresh


class Task:
    """Steps when it is called; ``does`` says what a step does."""

    name = "task"

    def __init__(self, does: Callable[[Task], None] = lambda task: None) -> None:
        self.does = does
        self.handle: Handle | None = None
        self.again = self.over = self.lent = False
        self.due: float | None = None
        self.things: dict[socket.socket, int] = {}
        self.log: queue.Queue[str] = queue.Queue()
        self.ready: Collection[Any] | None = None
        self.thread = ""

    def step(self, ready: Collection[Any] | None = None) -> None:
        self.thread = threading.current_thread().name
        self.ready = ready
        self.does(self)
        self.watch()
        self.log.put("step")

    def watch(self) -> None:
        assert self.handle is not None
        for thing in tuple(self.handle.watched):
            if thing not in self.things:
                self.handle.forget(thing)
        for thing, mask in self.things.items():
            self.handle.watch(thing, mask)

    def fail_by(self, error: BaseException) -> None:
        self.log.put(f"failed by {error!r}")

    def leave(self) -> None:
        self.log.put("left")

    def wake(self) -> None:
        assert self.handle is not None
        self.handle.wake()

    def expect(self, *lines: str) -> None:
        assert [self.log.get(timeout=BOUND) for _ in lines] == list(lines)

    def end(self) -> None:
        self.does = finish
        self.wake()
        while self.log.get(timeout=BOUND) != "left":
            pass


def finish(task: Task) -> None:
    task.over = True


@pytest.fixture(params=[True, False], ids=["epoll", "poll"])
def reactors(request: pytest.FixtureRequest) -> Iterator[Reactors]:
    if request.param and not hasattr(select, "epoll"):
        pytest.skip("this system has no epoll")
    made = Reactors("test-reactor", 1, use_epoll=request.param)
    yield made
    wait_until_gone()


def wait_until_gone() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("test-reactor"):
            thread.join(BOUND)
            assert not thread.is_alive()


def test_one_thread_runs_all_tasks_and_goes_with_the_last(reactors: Reactors) -> None:
    tasks = [Task() for _ in range(3)]
    for task in tasks:
        reactors.add(task)
        task.expect("step")
    assert {task.thread for task in tasks} == {"test-reactor-1"}
    for task in tasks:
        task.end()
    wait_until_gone()
    another = Task(finish)
    reactors.add(another)
    another.expect("step", "left")
    assert another.thread == "test-reactor-2"


def test_a_wake_in_a_step_leads_to_another(reactors: Reactors) -> None:
    woken: list[int] = []

    def once(task: Task) -> None:
        if not woken:
            woken.append(1)
            task.wake()

    task = Task(once)
    reactors.add(task)
    task.expect("step", "step")
    task.end()
    assert task.log.empty()


def test_who_has_more_to_do_waits_for_the_others(reactors: Reactors) -> None:
    order: list[str] = []
    both = threading.Barrier(2)

    def first(task: Task) -> None:
        if not order:
            both.wait(BOUND)  # the other is there
            both.wait(BOUND)
        order.append("busy")
        task.again = len(order) < 4

    busy, other = Task(first), Task(lambda task: order.append("other"))
    reactors.add(busy)
    both.wait(BOUND)
    reactors.add(other)
    both.wait(BOUND)
    busy.expect("step", "step", "step")
    other.expect("step")
    assert order == ["busy", "other", "busy", "busy"]
    busy.end()
    other.end()


def test_descriptors_are_watched_until_they_are_closed(reactors: Reactors) -> None:
    def read(task: Task) -> None:
        for sock in list(task.things):
            data = sock.recv(10)
            task.log.put(data.decode())
            if not data:
                sock.close()
                del task.things[sock]

    task = Task(read)
    for _ in range(3):  # the numbers are used again
        near, far = socket.socketpair()
        task.things[near] = select.POLLIN
        far.send(b"first")
        if task.handle is None:
            reactors.add(task)
        else:
            task.wake()
        task.expect("first", "step")
        far.send(b"more")
        task.expect("more", "step")
        far.close()
        task.expect("", "step")
    task.end()


def test_a_closed_descriptors_number_may_be_in_use_again(reactors: Reactors) -> None:
    """A connection that is lost and made anew in one step: epoll has forgotten the old one."""
    pairs = [socket.socketpair()]
    task = Task()
    task.things = {pairs[0][0]: select.POLLIN}
    reactors.add(task)
    task.expect("step")
    number = pairs[0][0].fileno()

    def exchange(task: Task) -> None:
        task.does = lambda task: None
        pairs[0][0].close()
        near, far = socket.socketpair()
        if near.fileno() != number:
            os.dup2(near.fileno(), number)
            near.close()
            near = socket.socket(fileno=number)
        pairs.append((near, far))
        task.things = {near: select.POLLIN}

    task.does = exchange
    task.wake()
    task.expect("step")
    pairs[1][1].send(b"x")
    task.expect("step")
    task.end()
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_a_mask_may_change(reactors: Reactors) -> None:
    near, far = socket.socketpair()
    task = Task()
    task.things = {near: select.POLLIN}
    reactors.add(task)
    task.expect("step")

    def done(task: Task) -> None:
        task.things = {near: select.POLLIN}

    def want(task: Task) -> None:
        task.things = {near: select.POLLIN | select.POLLOUT}
        task.does = done

    task.does = want
    task.wake()
    task.expect("step", "step")  # the second, because it can be written to
    task.end()
    near.close()
    far.close()


def test_what_is_due_is_done_and_a_deadline_may_move(reactors: Reactors) -> None:
    def later(task: Task) -> None:
        task.due = None if task.due else time.monotonic() + 0.01

    task, never = Task(later), Task()
    never.due = time.monotonic() + 10 * BOUND
    reactors.add(never)
    never.expect("step")
    reactors.add(task)
    task.expect("step", "step")

    def put_off(task: Task) -> None:
        task.due = time.monotonic() + 10 * BOUND

    task.does = put_off
    for _ in range(3):
        task.wake()
        task.expect("step")
    task.end()
    never.end()
    assert never.log.empty()


def test_a_step_that_raises_ends_its_own_task_alone(
    reactors: Reactors, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(task: Task) -> None:
        raise SystemExit("oh")

    near, far = socket.socketpair()
    well, ill = Task(), Task()
    ill.things = {near: select.POLLIN}
    reactors.add(well)
    reactors.add(ill)
    well.expect("step")
    ill.expect("step")
    ill.does = broken
    ill.wake()
    ill.expect("failed by SystemExit('oh')", "left")
    far.send(b"nobody is interested")
    ill.wake()
    well.wake()
    well.expect("step")
    assert ill.log.empty()
    assert "task: the worker failed" in caplog.text
    well.end()
    near.close()
    far.close()


def test_a_task_that_fails_at_its_end_too_is_gone_all_the_same(
    reactors: Reactors, caplog: pytest.LogCaptureFixture
) -> None:
    class Hopeless(Task):
        def leave(self) -> None:
            super().leave()
            raise ZeroDivisionError("once more")

    task = Hopeless(finish)
    reactors.add(task)
    task.expect("step", "left")
    wait_until_gone()
    assert "what a reactor called failed" in caplog.text


def test_a_descriptor_that_cannot_be_watched_ends_its_task(
    reactors: Reactors, caplog: pytest.LogCaptureFixture
) -> None:
    closed = socket.socket()
    closed.close()
    task = Task()
    task.things = {closed: select.POLLIN}
    with caplog.at_level(logging.CRITICAL):
        reactors.add(task)
        assert task.log.get(timeout=BOUND).startswith("failed by ")
        task.expect("left")


def test_a_step_is_told_what_is_ready(reactors: Reactors) -> None:
    near, far = socket.socketpair()
    told = []

    def read(task: Task) -> None:
        told.append(task.ready)
        if task.ready:
            near.recv(16)

    with near, far:
        task = Task(read)
        task.things = {near: select.POLLIN}
        reactors.add(task)
        task.expect("step")
        far.send(b"x")
        task.expect("step")
        task.wake()
        task.expect("step")
        assert told == [[], [near], []]
        task.end()


def test_a_deadline_that_is_put_off_is_kept_all_the_same(reactors: Reactors) -> None:
    moments: list[float] = []

    def put_off(task: Task) -> None:
        moments.append(time.monotonic())
        due = {1: moments[0] + 0.02, 2: moments[-1] + 0.04}
        task.due = due.get(len(moments))

    task = Task(put_off)
    reactors.add(task)
    task.expect("step", "step", "step")
    assert moments[2] >= moments[1] + 0.04
    task.end()


def test_who_is_current(reactors: Reactors) -> None:
    found = []

    def look(task: Task) -> None:
        assert task.handle is not None
        found.append(task.handle.is_current)

    task = Task(look)
    reactors.add(task)
    task.expect("step")
    assert found == [True]
    assert task.handle is not None
    assert not task.handle.is_current
    task.end()


def test_a_wake_after_the_end_does_nothing(reactors: Reactors) -> None:
    task = Task(finish)
    reactors.add(task)
    task.expect("step", "left")
    wait_until_gone()
    task.wake()
    assert task.log.empty()


def test_no_thread_to_be_had(reactors: Reactors, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError):
            reactors.add(Task())
    task = Task(finish)
    reactors.add(task)
    task.expect("step", "left")


def test_a_reactor_that_cannot_wait_ends_its_tasks_and_the_next_gets_another(
    reactors: Reactors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: object, timeout: float | None) -> list[tuple[int, int]]:
        raise MemoryError("oh")

    tasks = [Task(), Task()]
    for task in tasks:
        reactors.add(task)
        task.expect("step")
    with monkeypatch.context() as patch:
        patch.setattr("bargein.runtime.poller.Poller.poll", broken)
        tasks[0].wake()
        for task in tasks:
            while (line := task.log.get(timeout=BOUND)) == "step":
                pass
            assert line == "failed by MemoryError('oh')"
            task.expect("left")
        wait_until_gone()
    assert "its streams end" in caplog.text
    another = Task(finish)
    reactors.add(another)
    another.expect("step", "left")
    assert another.thread == "test-reactor-2"


def test_several_reactors_share_the_tasks() -> None:
    reactors = Reactors("test-reactor", 2)
    tasks = [Task() for _ in range(4)]
    for task in tasks:
        reactors.add(task)
        task.expect("step")
    names = [task.thread for task in tasks]
    assert sorted(names) == ["test-reactor-1"] * 2 + ["test-reactor-2"] * 2
    for task in tasks:
        task.end()
    wait_until_gone()


def test_wakes_from_many_threads_lose_nothing(reactors: Reactors) -> None:
    """Each leaves something before it wakes; all of it is found, whoever was first."""
    left: list[queue.SimpleQueue[int]] = [queue.SimpleQueue() for _ in range(4)]
    found = [0] * 4
    done = threading.Event()

    def look(number: int) -> Callable[[Task], None]:
        def take(task: Task) -> None:
            while not left[number].empty():
                left[number].get()
                found[number] += 1
            if sum(found) == 4 * 4 * 500:
                done.set()

        return take

    tasks = [Task(look(number)) for number in range(4)]
    for task in tasks:
        reactors.add(task)

    def pester() -> None:
        for _ in range(500):
            for number, task in enumerate(tasks):
                left[number].put(1)
                task.wake()

    threads = [threading.Thread(target=pester) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done.wait(BOUND)
    for task in tasks:
        task.end()


FORK = """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: a fork with threads
import threading
from bargein.runtime.reactors import reactors
from tests.runtime.test_reactor import Task, finish

task = Task()
reactors.add(task)
task.expect("step")
child = os.fork()
own = Task(finish)
reactors.add(own)
own.expect("step", "left")
if not child:
    os._exit(0 if own.thread == "bargein-reactor-2" else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), own.thread)
task.end()
"""


def test_a_child_has_reactors_of_its_own() -> None:
    here = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    done = run_fresh("-c", f"import sys; sys.path.append({here!r})" + FORK)
    assert (done.stderr, done.stdout) == ("", "0 bargein-reactor-1\n")


def test_what_is_closed_here_and_open_in_a_child_is_polled_no_more(reactors: Reactors) -> None:
    """After a fork the child has a copy of each descriptor, of which epoll would go on telling."""
    near, far = socket.socketpair()
    copy = os.dup(near.fileno())
    told: list[object] = []
    task = Task()
    task.things = {near: select.POLLIN}
    reactors.add(task)
    task.expect("step")

    def close(task: Task) -> None:
        assert task.handle is not None
        task.handle.forget(near)
        task.handle.forget(near)
        near.close()
        far.send(b"x")
        told.extend(task.handle._reactor._poller.poll(0.0))
        task.things = {}

    task.does = close
    task.wake()
    task.expect("step")
    assert told == []
    task.end()
    os.close(copy)
    far.close()


def test_a_wake_that_ctrl_c_cuts_short_isnt_the_last() -> None:
    class Interrupted:
        calls = 0

        def call(self, handle: Handle) -> None:
            self.calls += 1
            if self.calls == 1:
                raise KeyboardInterrupt

    reactor: Any = Interrupted()
    handle = Handle(reactor, Task())
    with pytest.raises(KeyboardInterrupt):
        handle.wake()
    handle.wake()
    assert reactor.calls == 2


def test_a_stream_may_be_collected_while_its_reactor_is_roused(
    reactors: Reactors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The garbage collector runs anywhere, and what it finds may wake the same reactor."""
    task, other = Task(), Task()
    for each in (task, other):
        reactors.add(each)
        each.expect("step")
    assert task.handle is not None
    reactor = task.handle._reactor
    wake = reactor._waker.wake

    def collect() -> None:
        monkeypatch.undo()
        other.wake()
        wake()

    with reactor._rousing:
        monkeypatch.setattr(reactor._waker, "wake", collect)
        reactor._waker.wake()
    other.expect("step")
    task.end()
    other.end()


# ---- calls that may take long


@pytest.fixture
def others() -> Iterator[Pool]:
    made = Pool("test-pool", 2)
    yield made
    made.stop(BOUND)


def lender(call: Callable[[], None]) -> Task:
    """A task that has its thread make a call, at its first step."""

    def once(task: Task) -> None:
        if not task.lent:
            task.lent = True
            assert lend(call)

    return Task(once)


def test_who_lends_its_thread_has_another_go_on(others: Pool) -> None:
    reactors = Reactors("test-reactor", 1, others=others)
    reached, go = threading.Event(), threading.Event()
    names = []

    def hang() -> None:
        names.append(threading.current_thread().name)
        reached.set()
        assert go.wait(BOUND)

    task, other = lender(hang), Task()
    reactors.add(task)
    task.expect("step")
    assert reached.wait(BOUND)  # by the thread that made the step, at once
    assert names == ["test-reactor-1"]
    reactors.add(other)
    other.expect("step")
    assert other.thread.startswith("test-pool")
    go.set()
    task.end()
    other.end()
    wait_until_gone()


def test_one_call_that_takes_long_holds_up_no_other(others: Pool) -> None:
    reactors = Reactors("test-reactor", 1, others=others)
    go, called = threading.Event(), queue.SimpleQueue[str]()

    def both(task: Task) -> None:
        if not task.lent:
            task.lent = True
            lend(lambda: go.wait(BOUND) and called.put("slow"))
            lend(lambda: called.put("quick"))

    task = Task(both)
    reactors.add(task)
    assert called.get(timeout=BOUND) == "quick"
    go.set()
    assert called.get(timeout=BOUND) == "slow"
    task.end()
    wait_until_gone()


def test_where_all_threads_are_held_up_the_reactor_goes_on(others: Pool) -> None:
    reactors = Reactors("test-reactor", 1, others=others)
    go, called = threading.Event(), queue.SimpleQueue[int]()

    def hang(number: int) -> None:
        called.put(number)
        assert go.wait(BOUND)

    tasks = [lender(lambda number=number: hang(number)) for number in range(4)]  # type: ignore[misc]
    for task in tasks:
        reactors.add(task)
        task.expect("step")
    # The first thread, and the pool's two; the one that is the reactor stays it.
    assert {called.get(timeout=BOUND) for _ in range(3)} == {0, 1, 2}
    go.set()
    assert called.get(timeout=BOUND) == 3
    for task in tasks:
        task.end()
    wait_until_gone()


def test_the_reactor_takes_no_thread_from_those_who_listen() -> None:
    """Of a pool of one it may be the one thread; then a second one is there for the calls."""
    others = Pool("test-pool", 1)
    reactors = Reactors("test-reactor", 1, others=others)
    called = queue.SimpleQueue[str]()
    task = Task(lambda task: lend(lambda: called.put("lent")) and None)
    reactors.add(task)
    for _ in range(3):
        task.expect("step")
        assert called.get(timeout=BOUND) == "lent"
        others.call(lambda: called.put("pool"))
        assert called.get(timeout=BOUND) == "pool"
        task.wake()
    task.end()
    others.stop(BOUND)
    wait_until_gone()


def test_a_call_that_raises_is_logged(others: Pool, caplog: pytest.LogCaptureFixture) -> None:
    reactors = Reactors("test-reactor", 1, others=others)
    called = threading.Event()

    def both(task: Task) -> None:
        if not task.lent:
            task.lent = True
            lend(lambda: 1 // 0)
            lend(called.set)

    task = Task(both)
    reactors.add(task)
    assert called.wait(BOUND)
    task.end()
    wait_until_gone()
    assert "ZeroDivisionError" in caplog.text


def test_only_a_reactor_can_lend_its_thread() -> None:
    assert not lend(lambda: None)


# ---- what comes while others have their turns


@pytest.mark.parametrize("lends", [False, True])
def test_what_comes_meanwhile_jumps_the_queue_once_a_round(reactors: Reactors, lends: bool) -> None:
    near, far = socket.socketpair()
    order: queue.SimpleQueue[str] = queue.SimpleQueue()

    def work(task: Task, name: str) -> None:
        order.put(name)
        begin = time.monotonic()
        while time.monotonic() - begin < 2 * LOOK:
            pass

    def first(task: Task) -> None:
        far.send(b"x")
        work(task, "first")

    def jump(task: Task) -> None:
        if not task.ready:
            return  # its turn in the line comes all the same
        if task.lent:
            near.recv(1)
        task.lent = True
        order.put("jumper")
        if lends:
            lend(lambda: order.put("call"))

    with near, far:
        begin, jumper = Task(), Task()
        jumper.things = {near: select.POLLIN}
        line = [Task() for _ in range(4)]
        for task in (begin, jumper, *line):
            reactors.add(task)
            task.expect("step")
        jumper.does, line[0].does = jump, first
        for task, name in zip(line[1:], ("second", "third", "fourth"), strict=True):
            task.does = lambda task, name=name: work(task, name)  # type: ignore[misc]
        begin.does = lambda task: [each.wake() for each in line] and None
        begin.wake()
        told = [order.get(timeout=BOUND) for _ in range(8 if lends else 6)]
        assert [name for name in told if name != "call"][:3] == ["first", "jumper", "second"]
        if not lends:  # its byte lies there still, but its turn comes after the others'
            assert told[3:] == ["third", "fourth", "jumper"]
        begin.does = jumper.does = lambda task: None
        for task in (begin, jumper, *line):
            task.end()


# ---- what is put off until all had their turn


@pytest.mark.parametrize(
    ("gather", "expected"),
    [
        (BOUND, ["turn", "turn", "result", "result"]),
        (-1.0, ["turn", "result", "turn", "result"]),  # it has waited long enough
    ],
)
def test_results_wait_for_those_of_others_but_not_for_long(
    reactors: Reactors, monkeypatch: pytest.MonkeyPatch, gather: float, expected: list[str]
) -> None:
    monkeypatch.setattr("bargein.runtime.reactor.GATHER", gather)
    order: queue.SimpleQueue[str] = queue.SimpleQueue()
    pairs = [socket.socketpair() for _ in range(2)]

    def turn(task: Task) -> None:
        if task.ready:
            [near] = task.things
            near.recv(1)
            order.put("turn")
            assert task.handle is not None
            task.handle.later(lambda: order.put("result"))

    tasks = [Task() for _ in range(3)]
    for task, (near, _) in zip(tasks, pairs, strict=False):
        task.things = {near: select.POLLIN}
    for task in tasks:
        reactors.add(task)
        task.expect("step")
        task.does = turn

    def send(task: Task) -> None:
        for _, far in pairs:
            far.send(b"x")

    tasks[2].does = send
    tasks[2].wake()
    assert [order.get(timeout=BOUND) for _ in range(4)] == expected
    for task in tasks:
        task.things = {}
        task.end()
    for pair in pairs:
        for end in pair:
            end.close()


def test_what_is_put_off_may_end_its_task_or_fail(
    reactors: Reactors, caplog: pytest.LogCaptureFixture
) -> None:
    def later(call: Callable[[Task], None]) -> Callable[[Task], None]:
        def does(task: Task) -> None:
            assert task.handle is not None
            task.handle.later(lambda: call(task))

        return does

    def stumble(task: Task) -> None:
        raise ZeroDivisionError("on purpose")

    ends, fails = Task(later(finish)), Task(later(stumble))
    reactors.add(ends)
    ends.expect("step", "left")
    reactors.add(fails)
    fails.expect("step", "failed by ZeroDivisionError('on purpose')", "left")
    assert "its stream ends" in caplog.text
