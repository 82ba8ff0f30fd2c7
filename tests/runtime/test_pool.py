"""Pools: lanes, turns, widths, what is taken back, threads that come and go."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

import pytest

from bargein.runtime.pool import Job, Lane, Pool
from bargein.testing.sockets import BOUND


@pytest.fixture
def pools() -> Iterator[Callable[..., Pool]]:
    made: list[Pool] = []

    def make(size: int, **options: float) -> Pool:
        made.append(Pool("test-pool", size, **options))
        return made[-1]

    yield make
    for pool in made:
        pool.stop(BOUND)


Make = Callable[..., Pool]


class Gate:
    """A job that says that it runs, and waits to be let go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.go.wait(BOUND)


def running(lane: Lane) -> tuple[Gate, Job]:
    gate = Gate()
    job = lane.submit(gate)
    assert gate.reached.wait(BOUND)
    return gate, job


def test_a_lane_runs_its_jobs_in_order_one_at_a_time(pools: Make) -> None:
    lane, done = Lane(pools(4)), queue.Queue[int]()
    inside = threading.Lock()

    def job(n: int) -> None:
        assert inside.acquire(blocking=False)
        done.put(n)
        inside.release()

    for n in range(50):
        lane.submit(lambda n=n: job(n))  # type: ignore[misc]
    assert [done.get(timeout=BOUND) for _ in range(50)] == list(range(50))


def test_a_lane_of_some_width_runs_so_many_at_a_time(pools: Make) -> None:
    pool = pools(8)
    lane = Lane(pool, width=2)
    first, second = running(lane)[0], running(lane)[0]
    third = Gate()
    lane.submit(third)
    other = running(Lane(pool))[0]  # there are threads enough
    assert not third.reached.is_set()
    first.go.set()
    assert third.reached.wait(BOUND)
    for gate in (second, third, other):
        gate.go.set()


def test_a_pool_has_no_more_threads_than_it_may(pools: Make) -> None:
    pool = pools(2)
    gates = [running(Lane(pool))[0] for _ in range(2)]
    late = Gate()
    Lane(pool).submit(late)
    assert len(pool._threads) == 2
    assert not late.reached.is_set()
    gates[0].go.set()
    assert late.reached.wait(BOUND)
    for gate in (gates[1], late):
        gate.go.set()


def test_lanes_take_turns(pools: Make) -> None:
    pool = pools(1)
    gate, _ = running(Lane(pool))
    order = queue.Queue[str]()
    busy, quiet = Lane(pool), Lane(pool)
    for n in range(3):
        busy.submit(lambda n=n: order.put(f"busy {n}"))  # type: ignore[misc]
    quiet.submit(lambda: order.put("quiet"))
    gate.go.set()
    assert [order.get(timeout=BOUND) for _ in range(4)] == ["busy 0", "quiet", "busy 1", "busy 2"]


def test_a_job_that_no_thread_has_can_be_taken_back_once(pools: Make) -> None:
    lane, ran = Lane(pools(1)), queue.Queue[str]()
    gate, taken = running(lane)
    waits = lane.submit(lambda: ran.put("waits"))
    last = lane.submit(lambda: ran.put("last"))
    assert waits.withdraw() is True
    assert waits.withdraw() is False
    assert taken.withdraw() is False
    gate.go.set()
    assert ran.get(timeout=BOUND) == "last"
    assert last.withdraw() is False
    assert ran.empty()


def test_a_place_in_line_outlives_a_job_that_was_taken_back(pools: Make) -> None:
    pool = pools(1)
    gate, _ = running(Lane(pool))
    lane, ran = Lane(pool), queue.Queue[str]()
    lane.submit(lambda: ran.put("old")).withdraw()
    lane.submit(lambda: ran.put("new"))
    empty = Lane(pool)
    empty.submit(lambda: ran.put("never")).withdraw()
    gate.go.set()
    assert ran.get(timeout=BOUND) == "new"
    lane.submit(lambda: ran.put("more"))
    assert ran.get(timeout=BOUND) == "more"


def test_threads_are_reused_and_leave_when_idle(pools: Make) -> None:
    pool = pools(4, idle=0.02)
    names = set()
    done = queue.Queue[str]()
    for _ in range(5):
        Lane(pool).submit(lambda: done.put(threading.current_thread().name))
        names.add(done.get(timeout=BOUND))
    assert all(name.startswith("test-pool-") for name in names)
    for thread in list(pool._threads):
        thread.join(BOUND)
    assert not pool._threads
    Lane(pool).submit(lambda: done.put("again"))
    assert done.get(timeout=BOUND) == "again"


def test_a_job_that_raises_or_exits_costs_no_thread(
    pools: Make, caplog: pytest.LogCaptureFixture
) -> None:
    lane, done = Lane(pools(1)), queue.Queue[int]()

    def leave() -> None:
        raise SystemExit("bye")

    lane.submit(leave)
    lane.submit(lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    lane.submit(lambda: done.put(threading.get_ident()))
    assert done.get(timeout=BOUND)
    assert "bye" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_without_a_thread_to_be_had_the_jobs_wait(
    pools: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool, done = pools(2), queue.Queue[str]()
    lane = Lane(pool)

    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        lane.submit(lambda: done.put("waited"))
    assert "can't start new thread" in caplog.text
    assert done.empty()
    Lane(pool).submit(lambda: done.put("new"))
    assert {done.get(timeout=BOUND), done.get(timeout=BOUND)} == {"waited", "new"}


def test_a_pool_may_grow(pools: Make) -> None:
    pool = pools(1)
    first = running(Lane(pool))[0]
    pool.resize(2)
    second = running(Lane(pool))[0]
    first.go.set()
    second.go.set()


def test_after_a_fork_nothing_is_known_of_the_parents_threads(pools: Make) -> None:
    pool, done = pools(1), queue.Queue[str]()
    gate, _ = running(Lane(pool))
    threads = list(pool._threads)
    pool.reset()
    Lane(pool).submit(lambda: done.put("child"))
    assert done.get(timeout=BOUND) == "child"
    gate.go.set()
    pool.stop(BOUND)
    for thread in threads:
        thread.join(BOUND)


def test_a_waiting_thread_keeps_no_job_alive(pools: Make) -> None:
    import gc
    import weakref

    class Load:
        pass

    lane, done = Lane(pools(1)), threading.Event()
    load = Load()
    gone = weakref.ref(load)

    def job(load: Load = load) -> None:
        pass

    lane.submit(job)
    del load, job
    lane.submit(done.set)
    assert done.wait(BOUND)
    gc.collect()
    assert gone() is None


def test_a_lane_that_found_no_thread_isnt_stuck(
    pools: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    lane, done = Lane(pools(2)), queue.Queue[int]()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        for n in range(2):
            lane.submit(lambda n=n: done.put(n))  # type: ignore[misc]
        assert caplog.text.count("no thread could be started") == 2
    lane.submit(lambda: done.put(2))
    assert [done.get(timeout=BOUND) for _ in range(3)] == [0, 1, 2]


def test_a_thread_is_borrowed_at_once_or_not_at_all(pools: Make) -> None:
    pool = pools(2)
    go, done = threading.Event(), queue.SimpleQueue[int]()

    def hang(number: int) -> None:
        assert go.wait(BOUND)
        done.put(number)

    for number in range(3):  # each gives back the one before, as reactors do
        assert pool.borrow(lambda number=number: hang(number))  # type: ignore[misc]
        if number:
            pool.give_back()
    assert not pool.borrow(lambda: done.put(-1))  # one is borrowed still, and two are held up
    pool.call(lambda: done.put(3))
    go.set()
    assert {done.get(timeout=BOUND) for _ in range(4)} == {0, 1, 2, 3}
    pool.give_back()  # the third is one too many now, and goes
    while len([thread for thread in threading.enumerate() if "test-pool" in thread.name]) > 2:
        pool.call(lambda: done.put(4))
        assert done.get(timeout=BOUND) == 4


def test_none_is_borrowed_where_no_thread_can_be_had(
    pools: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pools(2)

    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    called: list[int] = []
    assert not pool.borrow(lambda: called.append(1))
    pool.call(lambda: called.append(2))
    assert called == [2]


def test_what_needs_no_thread_counts_as_a_job(pools: Make) -> None:
    pool = pools(2)
    done = queue.SimpleQueue[str]()
    assert pool.take_place()
    gate, _ = running(Lane(pool))
    waits = Lane(pool).submit(lambda: done.put("done"))
    assert not pool.take_place()
    assert not waits.taken
    pool.free_place()
    assert done.get(timeout=BOUND) == "done"
    gate.go.set()


def test_a_place_that_comes_free_may_need_a_new_thread(pools: Make) -> None:
    pool = pools(1, idle=0.0)
    done = queue.SimpleQueue[str]()
    assert pool.take_place()
    job = Lane(pool).submit(lambda: done.put("done"))
    assert not job.taken
    pool.free_place()
    assert done.get(timeout=BOUND) == "done"
