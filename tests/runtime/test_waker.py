"""Waking a worker that waits in poll(), by an eventfd and by a pair of sockets."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator

import pytest

from bargein.runtime.waker import Waker
from bargein.testing.sockets import BOUND


@pytest.fixture(params=[True, False], ids=["eventfd", "socketpair"])
def waker(request: pytest.FixtureRequest) -> Iterator[Waker]:
    waker = Waker(use_eventfd=request.param)
    yield waker
    waker.close()


def readable(waker: Waker, seconds: float = 0.0) -> bool:
    poller = select.poll()
    poller.register(waker.fileno(), select.POLLIN)
    return bool(poller.poll(seconds * 1e3))


def test_it_is_readable_from_a_wake_to_the_drain(waker: Waker) -> None:
    assert not readable(waker)
    waker.drain()  # of nothing
    for _ in range(3):
        waker.wake()
    assert readable(waker)
    waker.drain()
    assert not readable(waker)
    waker.wake()
    assert readable(waker)


def test_it_wakes_from_another_thread(waker: Waker) -> None:
    thread = threading.Thread(target=waker.wake)
    thread.start()
    assert readable(waker, BOUND)
    thread.join()


def test_after_close_a_wake_does_nothing(waker: Waker) -> None:
    waker.close()
    waker.wake()
    waker.close()
    assert waker.fileno() == -1


def test_a_wake_that_finds_no_room_is_pending_already(waker: Waker) -> None:
    for _ in range(3):
        waker._pending = False  # as if each were the first
        waker.wake()
    waker.drain()
    assert not readable(waker)


@pytest.mark.parametrize("use_eventfd", [True, False])
def test_a_wake_that_ctrl_c_cuts_short_isnt_the_last(
    use_eventfd: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    waker = Waker(use_eventfd=use_eventfd)
    with monkeypatch.context() as patch:
        patch.setattr(os, "eventfd_write", interrupt)
        if waker._pair is not None:
            patch.setattr(waker, "_pair", (waker._pair[0], Interrupting()))
        with pytest.raises(KeyboardInterrupt):
            waker.wake()
    waker.wake()
    assert readable(waker)
    waker.close()


class Interrupting:
    def send(self, data: bytes) -> None:
        raise KeyboardInterrupt
