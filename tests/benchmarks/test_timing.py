"""The stopwatch: on a clock that only the subjects move, every figure is known."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from benchmarks import imports
from benchmarks.timing import Figure, measure, table


class Work:
    """A clock, and subjects that take so long by it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def clock(self) -> float:
        return self.now

    def taking(self, seconds: float, name: str = "") -> Callable[[], None]:
        def subject() -> None:
            self.now += seconds
            self.log.append(name)

        return subject


def test_ratios_are_to_the_floor() -> None:
    work = Work()

    floor, twice, half = measure(
        ("floor", work.taking(2**-10)),
        {"twice": work.taking(2**-9), "half": work.taking(2**-11)},
        rounds=3,
        clock=work.clock,
    )

    assert (floor.name, floor.ratio) == ("floor", 1.0)
    assert (twice.name, twice.seconds, twice.ratio) == ("twice", 2**-9, 2.0)
    assert (half.ratio, half.low, half.high) == (0.5, 0.5, 0.5)


def test_a_drift_of_the_machine_cancels() -> None:
    work = Work()

    def slowing(share: float) -> Callable[[], None]:
        def subject() -> None:
            work.now += share * 0.001 * (1 + work.now)

        return subject

    _, twice = measure(
        ("floor", slowing(1)), {"twice": slowing(2)}, rounds=9, block=0.002, clock=work.clock
    )

    assert twice.ratio == pytest.approx(2.0, rel=0.05)


def test_the_order_rotates_and_the_collector_rests() -> None:
    work = Work()
    collecting = []

    def look() -> None:
        work.now += 1
        collecting.append(gc.isenabled())

    measure(
        ("a", work.taking(1, "a")),
        {"b": work.taking(1, "b"), "c": look},
        rounds=3,
        clock=work.clock,
    )

    # One call each to find the number of calls, then three rounds.
    assert "".join(work.log) == "ab" + "ab" + "ba" + "ab"
    assert collecting == [True, False, False, False]
    assert gc.isenabled()


def test_one_round_has_no_spread() -> None:
    work = Work()
    gc.disable()
    try:
        (figure,) = measure(("only", work.taking(1)), {}, rounds=1, clock=work.clock)
        assert not gc.isenabled()
    finally:
        gc.enable()

    assert figure == Figure("only", 1.0, 1.0, 1.0, 1.0)


def test_wrong_calls_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="rounds is 0"):
        measure(("floor", int), {}, rounds=0)
    with pytest.raises(ValueError, match="floor's name, 'floor'"):
        measure(("floor", int), {"floor": int})


def test_the_table_reads_well() -> None:
    figures = [
        Figure("bare copy", 2.5e-8, 1.0, 1.0, 1.0),
        Figure("push", 1.25e-6, 50.0, 49.5, 51.25),
        Figure("window", 0.0123, 492000.0, 1.0, 2.0),
        Figure("call", 2.0, 8e7, 1.0, 2.0),
    ]

    assert table(figures, title="cost").splitlines() == [
        "cost",
        "              time        ratio    low   high",
        "bare copy    25 ns         1.00   1.00   1.00",
        "push       1.25 us        50.00  49.50  51.25",
        "window     12.3 ms    492000.00   1.00   2.00",
        "call           2 s  80000000.00   1.00   2.00",
    ]
    assert table(figures[:1]).startswith("   ")


def test_a_new_process_tells_its_time_and_memory() -> None:
    seconds, megabytes = imports.probe("held = b'x' * 40_000_000")

    assert seconds > 0
    assert megabytes > 40
