"""Deliveries: a stream's events to its listeners, in order, on somebody else's thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import pytest

from bargein.core import OverlappingSpeechEvent
from bargein.runtime import delivery
from bargein.runtime.delivery import MAX_ARRAYS, MAX_WAITING, Delivery, on_own_thread
from bargein.runtime.pool import Pool, listener_pool
from bargein.testing.sockets import BOUND


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool("bargein-pool-test", 4)
    yield made
    made.stop(BOUND)


class Hanging:
    """A listener that comes back when it is let go."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self, event: object) -> None:
        self.got.append(event)
        self.reached.set()
        assert self.go.wait(BOUND)


def test_events_come_in_order_on_one_thread_at_a_time(pool: Pool) -> None:
    got: list[object] = []
    threads = set()

    def give(event: object) -> None:
        threads.add(threading.current_thread().name)
        got.append(event)

    stream = Delivery("a", give, pool.call)
    for number in range(0, 400, 2):
        stream.put(number, number + 1)
    assert stream.wait(BOUND)
    assert got == list(range(400))
    assert all(name.startswith("bargein-pool-test") for name in threads)


def test_one_that_hangs_holds_up_its_own_stream_alone(pool: Pool) -> None:
    hanging = Hanging()
    got: queue.SimpleQueue[object] = queue.SimpleQueue()
    stuck, well = Delivery("stuck", hanging, pool.call), Delivery("well", got.put, pool.call)
    stuck.put(1, 2)
    assert hanging.reached.wait(BOUND)
    well.put("a")
    assert got.get(timeout=BOUND) == "a"
    assert well.wait(BOUND)
    assert stuck.wait(0.0) is False
    assert hanging.got == [1]
    hanging.go.set()
    assert stuck.wait(BOUND)
    assert hanging.got == [1, 2]


def test_one_that_hangs_is_told_of_once_and_before_it_comes_back(
    pool: Pool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "STUCK", 0.0)
    hanging = Hanging()
    stream = Delivery("call-7", hanging, pool.call)
    stream.put("first")
    assert hanging.reached.wait(BOUND)
    assert not caplog.records
    stream.put("second")
    stream.put("third")
    (record,) = caplog.records
    assert record.getMessage().startswith("call-7: a listener hasn't come back for ")
    hanging.go.set()
    assert stream.wait(BOUND)


def test_what_waits_is_bounded_and_counted(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    hanging = Hanging()
    stream = Delivery("a", hanging, pool.call)
    stream.put("first")
    assert hanging.reached.wait(BOUND)
    stream.put(*range(MAX_WAITING + 3))
    assert stream.dropped == 3
    hanging.go.set()
    assert stream.wait(BOUND)
    assert hanging.got == ["first", *range(3, MAX_WAITING + 3)]
    assert caplog.text.count("doesn't come back") == 1


def test_only_the_newest_keep_their_windows(pool: Pool) -> None:
    event = OverlappingSpeechEvent(
        stream_id="a", is_interruption=True, speech_input=np.zeros(3, np.int16)
    )
    hanging = Hanging()
    stream = Delivery("a", hanging, pool.call)
    stream.put("first")
    assert hanging.reached.wait(BOUND)
    stream.put(*(attrs.evolve(event, num_requests=number) for number in range(MAX_ARRAYS + 2)))
    hanging.go.set()
    assert stream.wait(BOUND)
    events = hanging.got[1:]
    assert [each.num_requests for each in events] == list(range(MAX_ARRAYS + 2))
    assert [each.speech_input is None for each in events] == [True] * 2 + [False] * MAX_ARRAYS


def test_what_raises_harms_no_other(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    got = []

    def give(event: object) -> None:
        if event == "bad":
            raise SystemExit("oh")
        got.append(event)

    stream = Delivery("a", give, pool.call)
    stream.put("bad", "good")
    assert stream.wait(BOUND)
    assert got == ["good"]
    assert "couldn't be given" in caplog.text


def test_who_is_current(pool: Pool) -> None:
    found = []
    stream = Delivery("a", lambda event: found.append(stream.is_current), pool.call)
    stream.put(1)
    assert stream.wait(BOUND)
    assert found == [True]
    assert not stream.is_current


def test_where_no_thread_can_be_had_the_events_are_given_out_all_the_same(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    got: list[object] = []
    stream = Delivery("a", got.append, pool.call)
    stream.put(1, 2)
    assert got == [1, 2]
    assert stream.wait(0.0)


def test_a_listener_may_cause_more_events(pool: Pool) -> None:
    got: list[object] = []

    def give(event: object) -> None:
        got.append(event)
        if event == 1:
            stream.put(2)

    stream = Delivery("a", give, pool.call)
    stream.put(1)
    assert stream.wait(BOUND)
    assert got == [1, 2]


def test_streams_share_the_process_pool() -> None:
    got: queue.SimpleQueue[str] = queue.SimpleQueue()
    stream = Delivery("a", lambda event: got.put(threading.current_thread().name))
    stream.put(1)
    assert got.get(timeout=BOUND).startswith(listener_pool.name)
    assert stream.wait(BOUND)


def test_calls_have_a_thread_of_their_own_while_there_is_something_to_tell() -> None:
    got: queue.SimpleQueue[threading.Thread] = queue.SimpleQueue()
    call = Delivery("a", lambda event: got.put(threading.current_thread()), on_own_thread("call-a"))
    for _ in range(2):
        call.put(1)
        thread = got.get(timeout=BOUND)
        assert thread.name == "call-a"
        thread.join(BOUND)
        assert not thread.is_alive()


def test_a_call_for_which_there_is_no_thread_uses_the_pool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    got: list[object] = []
    call = Delivery("a", got.append, on_own_thread("call-a"))
    call.put(1)
    assert call.wait(BOUND)
    assert got == [1]
