"""What the caller has probably heard, at 8 kHz: 160 samples are 20 ms."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bargein.telephony.playout_clock import MARK_PATIENCE, PlayoutClock

RATE = 8000


def seconds(position: int) -> float:
    return position / RATE


def test_nothing_was_heard_before_anything_was_handed_over() -> None:
    clock = PlayoutClock(RATE)

    assert clock.heard(100.0) == 0
    assert clock.all_heard(100.0)
    assert clock.ahead(100.0) == 0


def test_audio_is_heard_in_real_time() -> None:
    clock = PlayoutClock(RATE)
    clock.hand_over(8000, now=10.0)

    assert seconds(clock.heard(10.0)) == 0
    assert seconds(clock.heard(10.25)) == 0.25
    assert seconds(clock.heard(99.0)) == 1.0
    assert clock.ahead(10.25) == 0.75
    assert clock.silent_from() == 11.0
    assert not clock.all_heard(10.9)
    assert clock.all_heard(11.0)


def test_audio_follows_on_what_waits() -> None:
    clock = PlayoutClock(RATE)
    clock.hand_over(800, now=10.0)
    clock.hand_over(800, now=10.05)

    assert clock.silent_from() == pytest.approx(10.2)
    assert seconds(clock.heard(10.15)) == pytest.approx(0.15)


def test_silence_between_is_not_heard_as_audio() -> None:
    clock = PlayoutClock(RATE)
    clock.hand_over(800, now=10.0)
    clock.hand_over(800, now=20.0)

    assert seconds(clock.heard(15.0)) == pytest.approx(0.1)
    assert seconds(clock.heard(20.05)) == pytest.approx(0.15)
    clock.hand_over(800, now=30.0)
    assert seconds(clock.heard(30.0)) == pytest.approx(0.2)


def test_the_way_to_the_ear_counts() -> None:
    clock = PlayoutClock(RATE, latency=0.2)
    clock.hand_over(8000, now=10.0)

    assert clock.heard(10.2) == 0
    assert seconds(clock.heard(10.5)) == pytest.approx(0.3)
    assert seconds(clock.played(10.5)) == pytest.approx(0.5)
    assert not clock.all_heard(11.1)
    assert clock.all_heard(11.2)


def test_a_pause_at_the_peer_keeps_the_latency() -> None:
    clock = PlayoutClock(RATE, latency=0.2)
    clock.hand_over(800, now=10.0)
    clock.hand_over(800, now=10.15)  # 50 ms late

    assert seconds(clock.heard(10.31)) == pytest.approx(0.1)
    assert seconds(clock.heard(10.4)) == pytest.approx(0.15)


def test_what_is_cleared_is_never_heard() -> None:
    clock = PlayoutClock(RATE)
    clock.hand_over(8000, now=10.0)

    assert seconds(clock.clear(10.3)) == pytest.approx(0.3)
    assert clock.handed == 2400
    assert clock.all_heard(10.3)
    assert seconds(clock.heard(20.0)) == pytest.approx(0.3)
    clock.hand_over(800, now=20.0)
    assert seconds(clock.heard(20.1)) == pytest.approx(0.4)


def test_a_mark_that_is_missing_holds_the_clock() -> None:
    clock = PlayoutClock(RATE)
    clock.hand_over(1600, now=10.0)
    clock.mark("a")
    clock.hand_over(1600, now=10.0)
    clock.mark("b")

    assert seconds(clock.heard(10.3)) == 0.2
    assert clock.silent_from() is None
    clock.mark_returned("a", cleared=False, now=10.35)  # 150 ms late: so is all the rest
    assert seconds(clock.heard(10.35)) == pytest.approx(0.2)
    assert seconds(clock.heard(10.45)) == pytest.approx(0.3)
    assert not clock.all_heard(10.7)
    clock.mark_returned("b", cleared=False, now=10.6)
    assert clock.all_heard(10.6)


def test_marks_before_the_one_that_came_are_done_too() -> None:
    clock = PlayoutClock(RATE)
    for name in "abc":
        clock.hand_over(1600, now=10.0)
        clock.mark(name)

    clock.mark_returned("b", cleared=False, now=10.4)
    clock.mark_returned("a", cleared=False, now=10.5)  # unknown by now
    assert seconds(clock.heard(10.5)) == pytest.approx(0.5)


def test_a_mark_that_came_early_proves_nothing() -> None:
    clock = PlayoutClock(RATE)
    clock.hand_over(8000, now=10.0)
    clock.mark("end")

    clock.mark_returned("end", cleared=False, now=10.1)
    assert seconds(clock.heard(10.1)) == pytest.approx(0.1)
    assert not clock.all_heard(10.9)


def test_a_mark_that_came_through_a_clear_proves_nothing() -> None:
    """Twilio sends all pending marks back at once after ``clear``."""
    clock = PlayoutClock(RATE)
    clock.hand_over(8000, now=10.0)
    clock.mark("end")
    clock.mark_returned("end", cleared=True, now=12.0)
    assert clock.all_heard(12.0)

    clock.hand_over(8000, now=20.0)
    clock.mark("next")
    clock.clear(20.3)
    clock.mark_returned("next", cleared=True, now=20.4)
    assert seconds(clock.heard(30.0)) == pytest.approx(1.3)


def test_marks_that_never_come_back_are_given_up() -> None:
    """chan_websocket forgets the marks that it flushes; others may get lost."""
    clock = PlayoutClock(RATE)
    clock.hand_over(8000, now=10.0)
    clock.mark("lost")

    clock.expire(11.0 + MARK_PATIENCE)
    assert not clock.all_heard(12.0)
    clock.expire(11.01 + MARK_PATIENCE)
    assert clock.all_heard(12.1)
    assert clock.lost_marks == 1


def test_a_clear_while_a_mark_is_late() -> None:
    clock = PlayoutClock(RATE)
    clock.hand_over(1600, now=10.0)
    clock.mark("a")
    clock.hand_over(1600, now=10.5)
    clock.hand_over(1600, now=11.0)

    assert clock.clear(11.1) == 1600
    assert seconds(clock.heard(20.0)) == 0.2


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.01, 0.02, 0.3, 2.0]),
        st.sampled_from(["hand", "mark", "return", "cleared", "clear", "expire"]),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([0.0, 0.15]))
def test_the_clock_never_runs_back_nor_ahead(
    steps: list[tuple[float, str]], latency: float
) -> None:
    """Heard is at most played, played at most handed, and time takes nothing back."""
    clock = PlayoutClock(RATE, latency=latency)
    now, names = 5.0, iter(range(100))
    pending: list[str] = []
    for step, what in steps:
        before = clock.played(now)
        now += step
        assert before <= clock.played(now) <= clock.handed
        if what == "hand":
            clock.hand_over(160, now)
        elif what == "mark":
            pending.append(str(next(names)))
            clock.mark(pending[-1])
        elif what in ("return", "cleared") and pending:
            clock.mark_returned(pending.pop(0), what == "cleared", now)
        elif what == "clear":
            assert clock.clear(now) == clock.handed
        elif what == "expire":
            clock.expire(now)
        assert 0 <= clock.heard(now) <= clock.played(now) <= clock.handed
        assert clock.ahead(now) >= 0
    clock.expire(now + 60)
    assert clock.all_heard(now + 60)
    assert clock.heard(now + 60) == clock.handed
