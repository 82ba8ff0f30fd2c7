"""Bounded queues of events."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from bargein.core import OverlappingSpeechEvent
from bargein.errors import StreamEnded
from bargein.runtime.queue import EventQueue
from bargein.testing.sockets import BOUND

Events = EventQueue[OverlappingSpeechEvent]


def event(n: int) -> OverlappingSpeechEvent:
    return OverlappingSpeechEvent(
        num_requests=n, speech_input=np.zeros(4, np.int16), probabilities=np.zeros(1, np.float32)
    )


def test_events_come_in_order_and_then_the_end() -> None:
    events = Events("q", limit=4, arrays=4)
    events.put(event(1))
    events.put(event(2))
    events.end()
    events.put(event(3))  # too late
    events.end(ValueError("later"))  # and so is this
    assert len(events) == 2
    assert [events.get().num_requests for _ in range(2)] == [1, 2]
    for _ in range(2):
        with pytest.raises(StreamEnded, match="q has ended"):
            events.get()


def test_after_the_events_comes_the_error() -> None:
    events = Events("q", limit=4, arrays=4)
    events.put(event(1))
    error = ValueError("why")
    events.end(error)
    assert events.get(0).num_requests == 1
    for _ in range(3):
        with pytest.raises(ValueError, match="why") as caught:
            events.get(0)
        assert caught.value is error
        assert len(caught.traceback) == 2  # it doesn't grow


def test_past_the_limit_the_oldest_go_are_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    events = Events("q", limit=3, arrays=1)
    for n in range(8):
        events.put(event(n), delivered=n == 1)
    assert events.dropped == 4  # 0, 2, 3, 4: somebody had 1
    assert len(caplog.records) == 1
    assert "q" in caplog.text
    assert [events.get().num_requests for _ in range(3)] == [5, 6, 7]


def test_only_the_newest_keep_their_arrays() -> None:
    events = Events("q", limit=10, arrays=2)
    for n in range(5):
        events.put(event(n))
    got = [events.get() for _ in range(5)]
    assert [one.speech_input is not None for one in got] == [False] * 3 + [True] * 2
    assert [one.num_requests for one in got] == [0, 1, 2, 3, 4]
    events.put(OverlappingSpeechEvent())
    events.put(event(5))
    events.put(event(6))
    assert events.get() == OverlappingSpeechEvent()


def test_a_timeout_says_where_and_how_long() -> None:
    events = Events("q", limit=1, arrays=1)
    with pytest.raises(TimeoutError, match="q: no event within 0"):
        events.get(0)


def test_readers_that_wait_are_woken_by_an_event_and_by_the_end() -> None:
    events = Events("q", limit=9, arrays=9)
    got: list[object] = []

    def read() -> None:
        try:
            got.append(events.get(BOUND).num_requests)
        except StreamEnded:
            got.append("end")

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    events.put(event(1))
    events.end()
    for reader in readers:
        reader.join(BOUND)
    assert sorted(map(str, got)) == ["1", "end", "end"]
