"""The fake clock."""

from __future__ import annotations

import pytest

from bargein.errors import OptionError
from bargein.testing import FakeClock


def test_what_falls_due_happens_in_order_at_its_own_time() -> None:
    clock, told = FakeClock(), []

    def tell(word: str):
        return lambda: told.append((clock(), word))

    clock.call_later(0.3, tell("late"))
    clock.call_at(0.1, tell("deadline"), priority=1)
    clock.call_at(0.1, tell("reply"), priority=0)
    clock.call_at(0.1, tell("reply 2"), priority=0)
    never = clock.call_at(0.2, tell("never"))
    never.cancel()
    assert clock.next_due() == 0.1

    clock.advance(0.2)
    assert told == [(0.1, "reply"), (0.1, "reply 2"), (0.1, "deadline")]
    clock.advance(0.1)  # 0.1 + 0.2 is 0.3 here
    assert told[-1] == (0.3, "late")
    assert clock.next_due() is None
    assert clock.now == 0.3


def test_what_happens_may_bring_about_more() -> None:
    clock, told = FakeClock(5.0), []

    def again() -> None:
        told.append(clock())
        clock.call_later(1.0, again)

    clock.call_at(1.0, again)  # in the past: at once
    clock.advance(2.5)

    assert told == [5.0, 6.0, 7.0]
    assert clock() == 7.5


def test_step_by_step() -> None:
    clock, told = FakeClock(), []
    clock.call_later(0.5, lambda: told.append("x"))

    assert clock.step()
    assert (clock(), told) == (0.5, ["x"])
    assert not clock.step()


def test_it_doesnt_run_backwards() -> None:
    clock = FakeClock(1.0)
    with pytest.raises(OptionError, match="backwards"):
        clock.advance(-0.1)
    clock.advance_to(0.5)
    assert clock() == 1.0
