"""What happens once is seen by all who wait, by a signal's handler too."""

from __future__ import annotations

import threading

from bargein.runtime.latch import Latch
from bargein.testing.sockets import BOUND


def test_who_waits_is_let_go_and_who_comes_later_too() -> None:
    latch = Latch()
    seen: list[bool] = []
    waiter = threading.Thread(target=lambda: seen.append(latch.wait(BOUND)))
    waiter.start()
    assert not latch.is_set
    latch.set()
    waiter.join()

    assert seen == [True]
    assert latch.is_set
    assert latch.wait(0.0)


def test_a_wait_that_is_too_short() -> None:
    assert not Latch().wait(0.0)


def test_a_handler_may_wait_in_the_middle_of_a_wait() -> None:
    """A signal comes where the interrupted thread holds the lock already."""
    latch = Latch()
    setter = threading.Thread(target=latch.set)
    with latch._changed:
        setter.start()
        assert latch.wait(BOUND)
    setter.join()
