"""No wake-up is lost between a waker and a worker that drains it, in whatever order they meet."""

from __future__ import annotations

import select
import threading

import pytest

from bargein.runtime.waker import Waker

ITEMS = 20_000


@pytest.mark.parametrize("use_eventfd", [True, False])
def test_every_item_is_seen_by_a_worker_that_sleeps_until_woken(use_eventfd: bool) -> None:
    waker = Waker(use_eventfd=use_eventfd)
    left: list[int] = []
    seen = 0
    poller = select.poll()
    poller.register(waker.fileno(), select.POLLIN)

    def leave() -> None:
        for item in range(ITEMS):
            left.append(item)
            waker.wake()

    thread = threading.Thread(target=leave)
    thread.start()
    while seen < ITEMS:
        assert poller.poll(10_000), f"asleep with {len(left) - seen} items unseen"
        waker.drain()
        seen = len(left)
    thread.join()
    waker.close()


@pytest.mark.parametrize("use_eventfd", [True, False])
def test_a_drain_takes_all_wake_ups_and_silences_none_to_come(use_eventfd: bool) -> None:
    waker = Waker(use_eventfd=use_eventfd)
    waker.wake()
    waker.wake()  # pending already: not doubled
    waker.drain()

    waker.wake()

    poller = select.poll()
    poller.register(waker.fileno(), select.POLLIN)
    assert poller.poll(0)
    waker.drain()
    assert not poller.poll(0)
    waker.close()


def test_a_wake_up_that_comes_while_draining_silences_none_to_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waker = Waker(use_eventfd=False)
    assert waker._pair is not None
    reader, writer = waker._pair

    class Interrupted:
        """The socket that is drained; a waker comes before each read."""

        def recv(self, size: int) -> bytes:
            waker.wake()
            return reader.recv(size)

    waker.wake()
    monkeypatch.setattr(waker, "_pair", (Interrupted(), writer))
    waker.drain()
    monkeypatch.setattr(waker, "_pair", (reader, writer))

    waker.wake()

    poller = select.poll()
    poller.register(waker.fileno(), select.POLLIN)
    assert poller.poll(0)
    waker.close()
