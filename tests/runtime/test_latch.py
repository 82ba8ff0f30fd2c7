"""What happens once is seen by all who wait, by a signal's handler too."""

from __future__ import annotations

import contextlib
import sys
import threading
from types import FrameType
from typing import Any

from bargein.runtime import latch as latch_module
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
    with latch._lock:
        setter.start()
        assert latch.wait(BOUND)
    setter.join()


def test_ctrl_c_wherever_it_comes_leaves_the_lock_free() -> None:
    """Python looks for signals where a function begins, a condition's ``__exit__`` too."""
    at = fired = 0

    def interrupt(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal at, fired
        if frame.f_code.co_filename not in (latch_module.__file__, threading.__file__):
            return None
        if event == "call":
            at += 1
            if at == wanted:
                fired += 1
                raise KeyboardInterrupt
        return interrupt

    for wanted in range(1, 40):
        at, latch = 0, Latch()
        before = sys.gettrace()
        sys.settrace(interrupt)
        try:
            with contextlib.suppress(KeyboardInterrupt):
                latch.wait(0.001)
        finally:
            sys.settrace(before)
        setter = threading.Thread(target=latch.set, daemon=True)
        setter.start()
        setter.join(BOUND)
        assert latch.is_set, f"locked out by the interrupt {wanted}"
    assert fired > 3
