"""Spec section 7 over HTTP: a failed request is an attempt; then nothing goes until it may."""

from __future__ import annotations

import pytest

from bargein.core.connection_states import ConnectionState
from tests.core.connection_script import http, play

UP = "0.0 open -> ready\n"


@pytest.mark.parametrize(
    ("what", "reason"),
    [("down", "connection"), ("slow", "connection"), ("503", "error"), ("408", "error")],
)
def test_a_failed_request_is_an_attempt(what: str, reason: str) -> None:
    play(
        http(),
        UP
        + f"""
        1.0  sent 1         ->
        1.1  failed 1 {what} -> unready; fail 1 {reason}; announce {what}
        1.2  time           -> ready
        1.2  sent 2         ->
        1.3  failed 2 {what} -> unready; fail 2 {reason}
        3.3  time           -> ready
        3.4  sent 3         ->
        3.5  answered 3     ->
        3.6  sent 4         ->
        3.7  failed 4 {what} -> unready; fail 4 {reason}; announce {what}
        3.8  time           -> ready
        """,
    )


def test_requests_that_fail_by_the_same_outage_are_one_attempt() -> None:
    machine = http(max_retry=1)
    play(
        machine,
        UP
        + """
        1.0  sent 1           ->
        1.0  sent 2           ->
        1.0  sent 3           ->
        1.0  sent 4           ->
        1.1  failed 1 down    -> unready; fail 1 connection; announce down
        1.1  failed 2 down    -> fail 2 connection
        1.1  failed 3 503:5   -> fail 3 error
        1.1  failed 1 down    ->
        6.1  time             -> ready
        6.2  late 4           ->
        """,
    )
    assert machine.take_counts().reconnects == 1


def test_a_reply_of_another_request_ends_the_outage_but_not_the_wait() -> None:
    play(
        http(max_retry=1),
        UP
        + """
        1.0  sent 1           ->
        1.0  sent 2           ->
        1.1  failed 1 429:5   -> unready; fail 1 error; announce 429
        1.2  answered 2       ->
        6.1  time             -> ready
        6.1  sent 3           ->
        6.2  failed 3 down    -> unready; fail 3 connection; announce down
        """,
    )


@pytest.mark.parametrize("status", ["401", "404", "429"])
def test_what_no_retry_mends_ends_the_stream(status: str) -> None:
    play(
        http(max_retry=None),
        UP
        + f"""
        1.0  sent 1           ->
        1.0  sent 2           ->
        1.1  failed 1 {status} -> unready; fail 1 error; announce {status} for good; \
fail 2 connection; end by {status}
        1.1  failed 2 {status} ->
        """,
    )


def test_it_ends_the_stream_from_a_wait_as_well() -> None:
    play(
        http(max_retry=None),
        UP
        + """
        1.0  sent 1           ->
        1.0  sent 2           ->
        1.1  failed 1 down    -> unready; fail 1 connection; announce down
        1.1  failed 2 401     -> fail 2 error; announce 401 for good; end by 401
        """,
    )


def test_with_a_fallback_it_rests_and_tries_with_the_newest_window() -> None:
    machine = http(max_retry=1, fallback=True)
    play(
        machine,
        UP
        + """
        1.0   sent 1           ->
        1.1   failed 1 down    -> unready; fail 1 connection; announce down
        1.2   time             -> ready
        1.3   sent 2           ->
        1.3   sent 3           ->
        1.4   failed 2 down    -> unready; fail 2 connection; announce down for good
        1.4   failed 3 down    -> fail 3 connection
        28.4  time             -> ready
        29.0  sent 4           ->
        29.7  late 4           -> unready
        56.7  time             -> ready
        57.0  sent 5           ->
        57.1  answered 5       ->
        57.2  sent 6           ->
        57.3  late 6           -> announce window
        """,
    )
    assert machine.state is ConnectionState.READY


def test_four_late_replies_in_a_row_are_an_attempt_and_other_requests_go_on() -> None:
    play(
        http(max_retry=None),
        UP
        + """
        1.0  sent 1           ->
        1.0  sent 2           ->
        1.0  sent 3           ->
        1.0  sent 4           ->
        1.0  sent 5           ->
        1.7  late 1           -> announce window
        1.7  late 2           ->
        1.7  late 3           ->
        1.7  late 4           -> unready
        1.75 answered 5       ->
        1.8  time             -> ready
        """,
    )


def test_a_reply_that_cannot_be_understood_fails_its_window_alone() -> None:
    play(
        http(max_retry=0),
        UP
        + """
        1.0  sent 1     ->
        1.1  garbled 1  -> announce garbled; fail 1 error
        1.1  sent 2     ->
        1.2  answered 2 ->
        """,
    )


def test_the_call_needs_no_connection() -> None:
    play(http(), UP + "1.0 agent speaks ->\n2.0 overlap opens ->\n2.0 open ->")
