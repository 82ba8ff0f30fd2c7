"""The reorder window: in order, out of order, lost, twice, and anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bargein.telephony.codecs.reorder import ReorderWindow


def test_in_order_nothing_waits() -> None:
    window: ReorderWindow[str] = ReorderWindow(3)

    assert window.put(7, "a") == [(0, "a")]
    assert window.put(8, "b") == [(0, "b")]
    assert not window.holding


def test_two_that_changed_places() -> None:
    window: ReorderWindow[str] = ReorderWindow(3)
    window.put(1, "a")

    assert window.put(3, "c") == []
    assert window.holding
    assert window.put(2, "b") == [(0, "b"), (0, "c")]


def test_a_lost_one_is_waited_for_until_the_window_is_full() -> None:
    window: ReorderWindow[str] = ReorderWindow(2)
    window.put(1, "a")

    assert [window.put(3, "c"), window.put(4, "d")] == [[], []]
    assert window.put(5, "e") == [(1, "c"), (0, "d"), (0, "e")]
    assert window.put(2, "b") == []
    assert window.late == 1


def test_twice() -> None:
    window: ReorderWindow[str] = ReorderWindow(2)
    window.put(1, "a")
    window.put(3, "c")

    assert (window.put(1, "a"), window.put(3, "c"), window.late) == ([], [], 2)


def test_flush_gives_up_waiting() -> None:
    window: ReorderWindow[str] = ReorderWindow(3)
    window.put(1, "a")
    window.put(3, "c")
    window.put(6, "f")

    assert window.flush() == [(1, "c"), (2, "f")]
    assert window.flush() == []


def test_numbers_wrap() -> None:
    window: ReorderWindow[str] = ReorderWindow(3, 65_536)
    window.put(65_534, "a")

    assert window.put(0, "c") == []
    assert window.put(65_535, "b") == [(0, "b"), (0, "c")]
    assert window.put(1, "d") == [(0, "d")]


def test_a_jump_is_a_new_start() -> None:
    window: ReorderWindow[str] = ReorderWindow(3, 65_536)
    window.put(1, "a")
    window.put(3, "c")

    assert window.put(40_000, "x") == [(1, "c"), (0, "x")]
    assert window.put(40_001, "y") == [(0, "y")]


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 5))
def test_what_comes_out_is_in_order_and_the_window_is_small(numbers: list[int], limit: int) -> None:
    window: ReorderWindow[int] = ReorderWindow(limit)
    out: list[int] = []
    for number in numbers:
        out += [piece for _, piece in window.put(number, number)]
        assert len(window._held) <= limit
    out += [piece for _, piece in window.flush()]

    assert out == sorted(set(out))
    assert len(out) + window.late == len(numbers)
