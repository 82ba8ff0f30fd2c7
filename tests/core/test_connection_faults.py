"""Spec section 7, row by row: what each fault does to a WebSocket stream, as transcripts."""

from __future__ import annotations

import pytest

from bargein.core.connection_states import ConnectionState
from bargein.core.inputs import Settings
from tests.core.connection_script import play, websocket

UP = """
    0.0  open           -> connect 1
    0.0  started 1      ->
    0.0  connected 1    -> create 1 0.5/2; serve 1; ready
"""


# --- cannot connect, connect timeout, connection lost, 5xx, 408, 499 -------------------------


@pytest.mark.parametrize("what", ["down", "slow", "503", "500", "408", "499"])
def test_cannot_connect_is_one_recoverable_error_and_the_retry_schedule(what: str) -> None:
    play(
        websocket(),
        f"""
        0.0  open              -> connect 1
        0.0  started 1         ->
        0.5  refused 1 {what}  -> announce {what}
        0.6  time              -> connect 2
        0.6  started 2         ->
        0.7  refused 2 {what}  ->
        2.7  time              -> connect 3
        2.7  started 3         ->
        2.9  connected 3       -> create 3 0.5/2; serve 3; ready
        """,
    )


def test_a_connect_timeout_is_retried_too() -> None:
    play(
        websocket(),
        """
        0.0   open         -> connect 1
        1.0   started 1    ->
        11.0  time         -> disconnect 1; announce connection
        11.1  time         -> connect 2
        11.1  connected 1  ->
        11.1  started 2    ->
        11.2  connected 2  -> create 2 0.5/2; serve 2; ready
        """,
    )


def test_a_lost_connection_fails_its_windows_and_comes_back_within_an_overlap() -> None:
    play(
        websocket(),
        UP
        + """
        1.0  agent speaks   ->
        2.0  overlap opens  ->
        2.1  sent 1         ->
        2.2  sent 2         ->
        2.3  lost 1 1006    -> unready; fail 1 connection; fail 2 connection; announce lost
        2.4  time           -> connect 2
        2.4  started 2      ->
        2.5  connected 2    -> create 2 0.5/2; serve 2; ready
        2.5  sent 3         ->
        2.6  answered 3     ->
        2.7  overlap settled ->
        """,
    )


@pytest.mark.parametrize("code", ["1006", "1011", "1012", ""])
def test_any_other_close_is_a_loss_even_while_nothing_is_in_flight(code: str) -> None:
    play(
        websocket(),
        UP
        + f"""
        1.0  lost 1 {code}  -> unready; announce lost
        1.1  time           -> connect 2
        """,
    )


def test_further_failures_until_recovery_are_counted_not_announced() -> None:
    machine = websocket(max_retry=None)
    play(
        machine,
        UP
        + """
        1.0  lost 1          -> unready; announce lost
        1.1  time            -> connect 2
        1.2  refused 2 down  ->
        3.2  time            -> connect 3
        3.3  started 3       ->
        3.4  connected 3     -> create 3 0.5/2; serve 3; ready
        3.5  lost 3          -> unready
        5.5  time            -> connect 4
        5.6  connected 4     -> create 4 0.5/2; serve 4; ready
        5.7  sent 1          ->
        5.8  answered 1      ->
        5.9  lost 4          -> unready; announce lost
        """,
    )
    counts = machine.take_counts()
    assert (counts.failures, counts.suppressed, counts.reconnects) == (4, 2, 2)
    assert machine.take_counts().failures == 0


# --- a clean close with nothing in flight and no overlap open --------------------------------


@pytest.mark.parametrize("close", ["lost 1 1000", "lost 1 1001"])
def test_a_clean_idle_close_is_no_fault_and_the_next_agent_start_reconnects(close: str) -> None:
    machine = websocket(max_retry=0)
    play(
        machine,
        UP
        + f"""
        1.0  agent speaks   ->
        2.0  {close}        -> unready
        3.0  agent silent   ->
        9.0  agent speaks   -> connect 2
        9.0  started 2      ->
        9.1  connected 2    -> create 2 0.5/2; serve 2; ready
        """,
    )
    assert machine.take_counts().failures == 0


def test_a_session_closed_by_the_server_is_a_clean_close() -> None:
    play(
        websocket(max_retry=0),
        UP
        + """
        1.0  closed 1       -> disconnect 1; unready
        9.0  agent speaks   -> connect 2
        """,
    )


def test_after_a_clean_close_an_overlap_of_the_same_turn_reconnects_as_well() -> None:
    play(
        websocket(),
        UP
        + """
        1.0  agent speaks   ->
        2.0  lost 1 1000    -> unready
        3.0  overlap opens  -> connect 2
        """,
    )


def test_a_clean_close_with_a_window_in_flight_is_a_loss() -> None:
    play(
        websocket(),
        UP
        + """
        1.0  agent speaks     ->
        2.0  overlap opens    ->
        2.1  sent 1           ->
        2.1  overlap settled  ->
        2.2  lost 1 1000      -> unready; fail 1 connection; announce lost
        """,
    )


@pytest.mark.parametrize("close", ["lost 1 1000", "closed 1"])
@pytest.mark.parametrize("state", ["opens", "grace"])
def test_a_clean_close_with_an_overlap_unsettled_is_a_loss(close: str, state: str) -> None:
    what = "lost" if close.startswith("lost") else "closed"
    gone = "" if what == "lost" else "disconnect 1; "
    play(
        websocket(),
        UP
        + f"""
        1.0  agent speaks     ->
        1.0  overlap {state}  ->
        2.0  {close}          -> {gone}unready; announce {what}
        2.1  time             -> connect 2
        """,
    )


# --- 429 -------------------------------------------------------------------------------------


def test_a_handshake_429_is_left_alone_for_as_long_as_it_asks() -> None:
    play(
        websocket(),
        """
        0.0  open               -> connect 1
        0.0  refused 1 429:7    -> announce 429
        7.0  time               -> connect 2
        7.0  refused 2 429:0.5  ->
        9.0  time               -> connect 3
        """,
    )


def test_retry_after_is_honoured_up_to_a_minute() -> None:
    play(
        websocket(),
        """
        0.0   open               -> connect 1
        0.0   refused 1 429:900  -> announce 429
        60.0  time               -> connect 2
        """,
    )


def test_a_429_without_retry_after_is_unrecoverable() -> None:
    play(
        websocket(),
        """
        0.0  open           -> connect 1
        0.1  refused 1 429  -> announce 429 for good; end by 429
        """,
    )


def test_after_a_429_within_the_session_nothing_is_sent_for_the_retry_interval() -> None:
    play(
        websocket(max_retry=0),
        UP
        + """
        1.0  sent 1        ->
        1.0  sent 2        ->
        1.1  error 1 429   -> unready; fail 1 error; fail 2 error; announce 429
        2.1  error 1 429   ->
        4.1  time          -> ready
        4.2  sent 3        ->
        4.3  answered 3    ->
        """,
    )


def test_a_429_within_a_session_is_remembered_by_the_next_one() -> None:
    play(
        websocket(),
        UP
        + """
        1.0  error 1 429   -> unready; announce 429
        1.1  lost 1        ->
        1.2  time          -> connect 2
        1.3  connected 2   -> create 2 0.5/2; serve 2
        3.0  time          -> ready
        """,
    )


def test_the_end_of_a_wait_for_a_lost_session_readies_nothing() -> None:
    play(
        websocket(),
        UP
        + """
        1.0   error 1 429    -> unready; announce 429
        1.1   lost 1         ->
        1.2   time           -> connect 2
        9.0   started 2      ->
        9.1   connected 2    -> create 2 0.5/2; serve 2; ready
        """,
    )


# --- other 4xx -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["400", "401", "403", "404", "410"])
def test_other_4xx_are_unrecoverable_at_once(status: str) -> None:
    play(
        websocket(max_retry=None),
        f"""
        0.0  open                -> connect 1
        0.1  refused 1 {status}  -> announce {status} for good; end by {status}
        """,
    )


@pytest.mark.parametrize("code", ["500", "503", "408", "499", "0"])
def test_an_error_message_fails_the_windows_in_flight_not_the_stream(code: str) -> None:
    play(
        websocket(max_retry=0),
        UP
        + f"""
        1.0  sent 1          ->
        1.0  sent 2          ->
        1.1  error 1 {code}  -> fail 1 error; fail 2 error; announce {code}
        1.1  cancelled 1     ->
        1.2  sent 3          ->
        1.3  error 1 {code}  -> fail 3 error
        1.4  sent 4          ->
        1.5  answered 4      ->
        1.6  error 1 {code}  -> announce {code}
        """,
    )


@pytest.mark.parametrize("code", ["400", "401", "404"])
def test_an_error_message_with_another_4xx_ends_the_stream(code: str) -> None:
    play(
        websocket(max_retry=None),
        UP
        + f"""
        1.0  sent 1          ->
        1.1  error 1 {code}  -> disconnect 1; unready; fail 1 error; announce {code} for good; \
end by {code}
        1.2  answered 1      ->
        1.2  shut            ->
        """,
    )


# --- a window's reply too late ---------------------------------------------------------------


def test_late_windows_are_one_error_per_run_and_the_next_go_on() -> None:
    play(
        websocket(max_retry=0),
        UP
        + """
        1.0  sent 1       ->
        1.1  sent 2       ->
        1.2  sent 3       ->
        1.7  late 1       -> announce window
        1.8  late 2       ->
        1.9  late 3       ->
        1.9  fallback-late 3 ->
        2.0  answered 1   ->
        2.0  sent 4       ->
        2.1  answered 4   ->
        2.2  sent 5       ->
        2.9  late 5       -> announce window
        """,
    )


@pytest.mark.parametrize("max_retry", [3, None])
def test_four_late_windows_in_a_row_are_a_lost_connection(max_retry: int | None) -> None:
    play(
        websocket(max_retry),
        UP
        + """
        1.0  sent 1       ->
        1.1  sent 2       ->
        1.2  sent 3       ->
        1.3  sent 4       ->
        1.4  sent 5       ->
        1.7  late 1       -> announce window
        1.8  late 2       ->
        1.9  late 3       ->
        2.0  late 4       -> disconnect 1; unready; fail 5 connection
        2.1  time         -> connect 2
        2.1  late 5       ->
        2.1  connected 2  -> create 2 0.5/2; serve 2; ready
        """,
    )


def test_an_answer_of_any_kind_breaks_a_run_of_late_windows() -> None:
    machine = websocket(max_retry=0)
    play(machine, UP)
    for n, word in enumerate(("late", "late", "late", "cancelled", "late", "late", "late")):
        play(machine, f"1.0 sent {n} ->\n")
        play(machine, f"1.0 {word} {n} -> {'announce window' if n == 0 else ''}")
    play(machine, "1.0 sent 8 ->\n1.0 garbled 8 -> fail 8 error\n1.0 sent 9 ->\n1.0 late 9 ->")
    assert machine.state is ConnectionState.READY


def test_a_pong_missing_for_ten_seconds_is_a_lost_connection() -> None:
    play(
        websocket(),
        UP
        + """
        18.0  time         -> ping 1
        18.5  pong 1       ->
        36.0  time         -> ping 1
        46.0  time         -> disconnect 1; unready; announce pong
        46.1  time         -> connect 2
        """,
    )


# --- retries used up, or unrecoverable -------------------------------------------------------


def test_without_a_fallback_used_up_retries_end_the_stream() -> None:
    play(
        websocket(max_retry=2),
        """
        0.0  open            -> connect 1
        0.0  refused 1 down  -> announce down
        0.1  time            -> connect 2
        0.1  refused 2 down  ->
        2.1  time            -> connect 3
        2.1  refused 3 503   -> announce 503 for good; end by 503
        2.2  agent speaks    ->
        2.3  shut            ->
        """,
    )


def test_with_no_retries_the_first_failure_is_the_only_error() -> None:
    play(
        websocket(max_retry=0),
        """
        0.0  open            -> connect 1
        0.0  refused 1 down  -> announce down for good; end by down
        """,
    )


def test_retries_for_ever_are_never_used_up() -> None:
    machine = websocket(max_retry=None)
    play(machine, "0.0 open -> connect 1\n0.0 refused 1 down -> announce down")
    now = 0.1
    for n in range(2, 50):
        play(machine, f"{now} time -> connect {n}\n{now} refused {n} down ->")
        now += 2.0
    assert machine.state is ConnectionState.WAITING


def test_with_a_fallback_one_unrecoverable_error_and_a_try_every_thirty_seconds() -> None:
    machine = websocket(max_retry=1, fallback=True)
    play(
        machine,
        """
        0.0   open            -> connect 1
        0.0   refused 1 down  -> announce down
        0.1   time            -> connect 2
        0.1   refused 2 down  -> announce down for good
        27.1  time            -> connect 3
        27.2  refused 3 down  ->
        54.2  time            -> connect 4
        54.2  refused 4 401   ->
        81.2  time            -> connect 5
        81.2  connected 5     -> create 5 0.5/2; serve 5; ready
        81.3  sent 1          ->
        81.4  answered 1      ->
        81.5  lost 5          -> unready; announce lost
        81.6  time            -> connect 6
        """,
    )
    assert machine.take_counts().suppressed == 2


def test_with_a_fallback_an_unrecoverable_error_rests_at_once() -> None:
    play(
        websocket(fallback=True),
        """
        0.0   open           -> connect 1
        0.0   refused 1 401  -> announce 401 for good
        27.0  time           -> connect 2
        """,
    )


def test_a_rest_is_no_shorter_than_the_server_asks() -> None:
    play(
        websocket(max_retry=0, fallback=True),
        """
        0.0   open              -> connect 1
        0.0   refused 1 503:40  -> announce 503 for good
        40.0  time              -> connect 2
        """,
    )


def test_a_remote_on_trial_rests_again_at_the_first_late_window() -> None:
    play(
        websocket(max_retry=0, fallback=True),
        """
        0.0   open            -> connect 1
        0.0   refused 1 down  -> announce down for good
        27.0  time            -> connect 2
        27.0  connected 2     -> create 2 0.5/2; serve 2; ready
        27.1  sent 1          ->
        27.8  late 1          -> disconnect 2; unready
        54.8  time            -> connect 3
        """,
    )


def test_a_trial_that_is_lost_unproven_rests_again() -> None:
    play(
        websocket(fallback=True),
        """
        0.0   open           -> connect 1
        0.0   refused 1 401  -> announce 401 for good
        27.0  time           -> connect 2
        27.0  connected 2    -> create 2 0.5/2; serve 2; ready
        28.0  lost 2         -> unready
        55.0  time           -> connect 3
        """,
    )


# --- the retry count -------------------------------------------------------------------------


def test_the_retry_count_starts_again_after_a_reply() -> None:
    play(
        websocket(max_retry=1),
        UP
        + """
        1.0  lost 1       -> unready; announce lost
        1.1  time         -> connect 2
        1.1  connected 2  -> create 2 0.5/2; serve 2; ready
        1.2  sent 1       ->
        1.3  answered 1   ->
        1.4  lost 2       -> unready; announce lost
        1.5  time         -> connect 3
        """,
    )


def test_without_a_reply_it_does_not() -> None:
    play(
        websocket(max_retry=1),
        UP
        + """
        1.0  lost 1       -> unready; announce lost
        1.1  time         -> connect 2
        1.1  connected 2  -> create 2 0.5/2; serve 2; ready
        1.4  lost 2       -> unready; announce lost for good; end by lost
        """,
    )


def test_a_late_reply_is_no_sign_of_health() -> None:
    play(
        websocket(max_retry=1),
        UP
        + """
        1.0  lost 1       -> unready; announce lost
        1.1  time         -> connect 2
        1.1  connected 2  -> create 2 0.5/2; serve 2; ready
        1.2  sent 1       ->
        1.9  late 1       ->
        2.0  answered 1   ->
        2.1  lost 2       -> unready; announce lost for good; end by lost
        """,
    )


def test_the_retry_count_starts_again_after_a_session_of_thirty_seconds() -> None:
    play(
        websocket(max_retry=1),
        UP
        + """
        1.0   lost 1       -> unready; announce lost
        1.1   time         -> connect 2
        1.1   connected 2  -> create 2 0.5/2; serve 2; ready
        19.1  time         -> ping 2
        19.2  pong 2       ->
        31.1  lost 2       -> unready; announce lost
        31.2  time         -> connect 3
        """,
    )


def test_a_long_session_ends_an_outage_once_not_for_each_fault() -> None:
    play(
        websocket(),
        UP
        + """
        1.0   garbled      -> announce garbled
        2.0   garbled      ->
        18.0  time         -> ping 1
        18.0  pong 1       ->
        31.0  garbled      -> announce garbled
        32.0  garbled      ->
        """,
    )


# --- a configuration that can't work ---------------------------------------------------------


def test_no_threshold_anywhere_is_a_fatal_configuration_error_that_says_so() -> None:
    machine = websocket(max_retry=None, settings=Settings(None, 2))
    play(
        machine,
        """
        0.0  open         -> connect 1
        0.0  connected 1  -> create 1 -/2; serve 1; ready
        0.0  sent 1       ->
        0.1  created 1    -> disconnect 1; unready; fail 1 error; announce no-threshold for good; \
end by no-threshold
        """,
    )


@pytest.mark.parametrize(
    ("threshold", "created"), [(None, "created 1 0.5"), (0.5, "created 1"), (0.0, "created 1")]
)
def test_a_threshold_from_either_side_is_enough(threshold: float | None, created: str) -> None:
    machine = websocket(settings=Settings(threshold, 2))
    shown = "-" if threshold is None else f"{threshold:g}"
    play(
        machine,
        f"""
        0.0  open         -> connect 1
        0.0  connected 1  -> create 1 {shown}/2; serve 1; ready
        0.1  {created}    ->
        """,
    )
