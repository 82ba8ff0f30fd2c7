"""The schedule's numbers, the connect options, and tokens that are renewed in time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.core.connect_options import APIConnectOptions
from bargein.core.retry import RetrySchedule, about, asked_to_wait
from bargein.core.token_cache import TokenCache
from bargein.errors import APIConnectionError, APIStatusError, OptionError

DOWN = APIConnectionError("down")


def asks(seconds: float | None) -> APIStatusError:
    return APIStatusError("busy", status_code=429, retry_after=seconds)


def test_the_first_retry_comes_soon_and_the_others_by_the_interval() -> None:
    schedule = RetrySchedule(APIConnectOptions(max_retry=3), lambda: 0.0)
    assert [schedule.fail(DOWN) for _ in range(4)] == [0.1, 2.0, 2.0, None]
    schedule.reset()
    assert schedule.fail(DOWN) == 0.1


def test_chance_adds_up_to_half() -> None:
    schedule = RetrySchedule(APIConnectOptions(), lambda: 1.0)
    assert [schedule.fail(DOWN), schedule.fail(DOWN)] == pytest.approx([0.15, 3.0])
    assert schedule.hold() == 3.0


def test_an_interval_of_zero_is_no_busy_loop() -> None:
    schedule = RetrySchedule(APIConnectOptions(max_retry=None, retry_interval=0), lambda: 0.0)
    assert {schedule.fail(DOWN) for _ in range(5)} == {0.1}
    assert schedule.hold() == 0.1


def test_a_server_that_asks_for_time_gets_it_and_no_crowd_afterwards() -> None:
    for chance, expected in ((0.0, 7.0), (1.0, 8.0)):
        schedule = RetrySchedule(APIConnectOptions(), lambda chance=chance: chance)
        assert schedule.fail(asks(7.0)) == expected
    schedule = RetrySchedule(APIConnectOptions(), lambda: 0.0)
    assert schedule.fail(asks(0.0)) == 0.1, "a server may forgive the wait, but not the schedule"


@pytest.mark.parametrize(
    ("asked", "waits"), [(None, 0.0), (-1.0, 0.0), (3.0, 3.0), (60.0, 60.0), (1e9, 60.0)]
)
def test_retry_after_counts_from_zero_to_a_minute(asked: float | None, waits: float) -> None:
    assert asked_to_wait(asks(asked)) == waits
    assert asked_to_wait(DOWN) == 0.0


def test_a_rest_is_about_thirty_seconds() -> None:
    rests = [
        RetrySchedule(APIConnectOptions(), lambda chance=chance: chance).rest(DOWN)
        for chance in (0.0, 0.5, 1.0)
    ]
    assert rests == pytest.approx([27.0, 30.0, 33.0])
    assert RetrySchedule(APIConnectOptions(), lambda: 0.0).rest(asks(45.0)) == 45.0


@given(st.floats(0.1, 100.0), st.floats(0.0, 1.0))
def test_about_stays_within_a_tenth(seconds: float, chance: float) -> None:
    assert about(seconds, chance) == pytest.approx(seconds, rel=0.1 + 1e-9)


# --- options ---------------------------------------------------------------------------------


def test_the_defaults() -> None:
    options = APIConnectOptions()
    assert (options.max_retry, options.retry_interval, options.timeout) == (3, 2.0, 10.0)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("max_retry", -1, "a whole number >= 0, or None"),
        ("max_retry", 1.5, "a whole number >= 0, or None"),
        ("max_retry", True, "a whole number >= 0, or None"),
        ("max_retry", "3", "a whole number >= 0, or None"),
        ("retry_interval", -0.1, "seconds >= 0"),
        ("retry_interval", None, "seconds >= 0"),
        ("retry_interval", float("nan"), "seconds >= 0"),
        ("timeout", 0, "seconds > 0"),
        ("timeout", float("inf"), "seconds > 0"),
        ("timeout", False, "seconds > 0"),
        ("timeout", "10", "seconds > 0"),
    ],
)
def test_options_out_of_range_are_refused(name: str, value: object, expected: str) -> None:
    with pytest.raises(OptionError) as caught:
        APIConnectOptions(**{name: value})
    assert str(caught.value).startswith(f"{name} came as {value!r}; expected {expected}")


@pytest.mark.parametrize("value", [{"max_retry": None}, {"max_retry": 0}, {"retry_interval": 0}])
def test_the_edges_are_allowed(value: dict[str, object]) -> None:
    assert APIConnectOptions(**value)  # type: ignore[arg-type]


# --- tokens ----------------------------------------------------------------------------------


def test_a_token_is_kept_while_it_is_good_and_renewed_before_it_ends() -> None:
    made: list[float] = []

    def make(now: float) -> str:
        made.append(now)
        return f"token {len(made)}"

    cache = TokenCache(make, lifetime=600)
    assert [cache.token(now=now) for now in (0.0, 1.0, 539.9)] == ["token 1"] * 3
    assert cache.token(now=540.0) == "token 2"
    assert cache.token(now=100.0) == "token 3", "the clock was set back: that token isn't valid yet"
    assert made == [0.0, 540.0, 100.0]


def test_a_short_lived_token_is_used_for_half_its_life() -> None:
    cache = TokenCache(lambda now: f"{now:g}", lifetime=10)
    assert [cache.token(now=now) for now in (0.0, 4.9, 5.0)] == ["0", "0", "5"]


def test_the_repr_holds_no_token() -> None:
    cache = TokenCache(lambda now: "the token itself", lifetime=600)
    cache.token(now=0.0)
    assert "the token itself" not in repr(cache)
