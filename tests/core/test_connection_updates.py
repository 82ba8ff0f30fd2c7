"""``update_options``: the new session first, then the switch, then the old one's goodbye."""

from __future__ import annotations

import pytest

from bargein.core.connection_states import ConnectionState, UpdateState
from bargein.core.inputs import Settings
from tests.core.connection_script import http, play, websocket

UP = """
    0.0  open           -> connect 1
    0.0  connected 1    -> create 1 0.5/2; serve 1; ready
"""


def test_the_old_session_serves_until_the_new_one_is_created() -> None:
    play(
        websocket(max_retry=0),
        UP
        + """
        1.0  sent 1          ->
        1.0  update 0.7/4    ->
        1.0  time            -> connect 2
        1.0  started 2       ->
        1.1  sent 2          ->
        1.2  connected 2     -> create 2 0.7/4
        1.2  sent 3          ->
        1.3  created 2 0.5   -> serve 2; settings 0.7/4
        1.3  sent 4          ->
        1.4  answered 1      ->
        1.4  answered 4      ->
        1.5  late 2          -> announce window
        1.6  answered 3      -> goodbye 1
        1.7  closed 1        -> disconnect 1
        1.8  lost 1          ->
        """,
    )


def test_an_old_session_with_nothing_in_flight_leaves_at_once() -> None:
    play(
        websocket(),
        UP
        + """
        1.0  update 0.7/4    ->
        1.0  time            -> connect 2
        1.1  connected 2     -> create 2 0.7/4
        1.2  created 2       -> serve 2; settings 0.7/4; goodbye 1
        2.2  time            -> disconnect 1
        2.3  closed 1        ->
        """,
    )


def test_streams_spread_their_updates_by_chance() -> None:
    play(
        websocket(jitter=0.75),
        UP
        + """
        1.0   update 0.7/4  ->
        1.75  time          -> connect 2
        """,
    )


def test_created_is_not_insisted_on() -> None:
    play(
        websocket(),
        UP
        + """
        1.0  update 0.7/4   ->
        1.0  time           -> connect 2
        1.1  connected 2    -> create 2 0.7/4
        2.1  time           -> serve 2; settings 0.7/4; goodbye 1
        2.2  created 2 0.5  ->
        """,
    )


def test_a_later_update_replaces_one_that_is_planned() -> None:
    play(
        websocket(jitter=0.5),
        UP
        + """
        1.0  update 0.7/4  ->
        1.2  update 0.8/4  ->
        1.5  time          -> connect 2
        1.6  connected 2   -> create 2 0.8/4
        """,
    )


def test_a_later_update_is_taken_along_by_a_session_that_still_connects() -> None:
    play(
        websocket(),
        UP
        + """
        1.0  update 0.7/4  ->
        1.0  time          -> connect 2
        1.2  update 0.8/4  ->
        1.6  connected 2   -> create 2 0.8/4
        1.7  created 2     -> serve 2; settings 0.8/4; goodbye 1
        """,
    )


def test_a_later_update_replaces_a_session_that_is_being_created() -> None:
    play(
        websocket(),
        UP
        + """
        1.0  update 0.7/4  ->
        1.0  time          -> connect 2
        1.2  connected 2   -> create 2 0.7/4
        1.3  update 0.7/4  ->
        1.3  update 0.8/4  -> disconnect 2; connect 3
        1.4  created 2     ->
        1.5  connected 3   -> create 3 0.8/4
        1.6  created 3     -> serve 3; settings 0.8/4; goodbye 1
        """,
    )


@pytest.mark.parametrize(
    ("until", "dropped"),
    [
        ("", ""),
        ("1.0 time -> connect 2", "disconnect 2"),
        ("1.0 time -> connect 2\n1.0 connected 2 -> create 2 0.7/4", "disconnect 2"),
    ],
)
def test_an_update_back_to_the_present_settings_is_no_change(until: str, dropped: str) -> None:
    machine = websocket()
    play(machine, UP + f"1.0 update 0.7/4 ->\n{until}\n1.0 update 0.5/2 -> {dropped}")
    assert machine.update_state is UpdateState.NONE
    assert machine.settings == Settings(0.5, 2)


def test_an_update_to_what_is_there_already_opens_nothing() -> None:
    machine = websocket()
    play(machine, UP + "1.0 update 0.5/2 ->")
    assert machine.update_state is UpdateState.NONE


@pytest.mark.parametrize("refusal", ["refused 2 401", "error 2 400"])
def test_a_refused_update_leaves_the_old_session_running(refusal: str) -> None:
    machine = websocket(max_retry=0)
    connected = refusal.startswith("error")
    play(machine, UP + "1.0 sent 1 ->\n1.0 update 0.7/4 ->\n1.0 time -> connect 2")
    if connected:
        play(machine, "1.1 connected 2 -> create 2 0.7/4")
    what = refusal.split()[-1]
    play(machine, f"1.2 {refusal} -> {'disconnect 2; ' if connected else ''}announce {what}")
    play(
        machine,
        """
        1.3  answered 1   ->
        1.4  lost 1       -> unready; announce lost for good; end by lost
        """,
    )
    assert machine.settings == Settings(0.5, 2), "the session that runs says what is in force"


def test_a_refused_update_spends_no_retry() -> None:
    play(
        websocket(max_retry=1),
        UP
        + """
        1.0  update 0.7/4   ->
        1.0  time           -> connect 2
        1.2  refused 2 503  -> announce 503
        1.4  lost 1         -> unready; announce lost
        1.5  time           -> connect 3
        1.6  connected 3    -> create 3 0.7/4; serve 3; settings 0.7/4; ready
        """,
    )


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        ("1.1 refused 2 down -> announce down", False),
        ("1.1 lost 2 -> announce lost", True),
        ("1.1 closed 2 -> disconnect 2; announce closed", True),
        ("1.1 error 2 500 -> disconnect 2; announce 500", True),
    ],
)
def test_a_failure_that_may_pass_is_tried_again_without_another_error(
    failure: str, told: bool
) -> None:
    machine = websocket(max_retry=0)
    play(machine, UP + "1.0 update 0.7/4 ->\n1.0 time -> connect 2")
    if told:
        play(machine, "1.1 connected 2 -> create 2 0.7/4")
    play(
        machine,
        f"""
        {failure}
        18.0  time            -> ping 1
        18.0  pong 1          ->
        28.1  time            -> connect 3
        28.2  refused 3 down  ->
        29.0  update 0.9/4    ->
        29.0  time            -> connect 4
        29.1  refused 4 down  -> announce down
        """,
    )


def test_a_new_session_that_takes_too_long_to_connect_is_a_refusal() -> None:
    play(
        websocket(),
        UP
        + """
        1.0   update 0.7/4   ->
        1.0   time           -> connect 2
        1.0   started 2      ->
        11.0  time           -> disconnect 2; announce connection
        """,
    )


def test_an_update_that_leaves_nobody_with_a_threshold_is_refused() -> None:
    machine = websocket()
    play(
        machine,
        UP
        + """
        1.0  update -/2    ->
        1.0  time          -> connect 2
        1.1  connected 2   -> create 2 -/2
        1.2  created 2     -> disconnect 2; announce no-threshold
        """,
    )
    assert machine.state is ConnectionState.READY
    assert machine.settings == Settings(0.5, 2)


@pytest.mark.parametrize(
    "before",
    [
        "0.0 open -> connect 1",
        "0.0 open -> connect 1\n0.1 refused 1 down -> announce down",
        UP + "0.1 lost 1 1000 -> unready",
    ],
)
def test_without_a_session_the_next_one_takes_the_settings(before: str) -> None:
    machine = websocket()
    play(machine, before + "\n0.2 update 0.7/4 ->")
    now = 0.2
    if machine.state is ConnectionState.IDLE:
        play(machine, "0.2 agent speaks -> connect 2")
    elif machine.state is ConnectionState.WAITING:
        play(machine, "0.2 time -> connect 2")
    number = 1 if machine.state is ConnectionState.CONNECTING and "lost" not in before else 2
    if "refused" in before or "lost" in before:
        number = 2
    play(
        machine,
        f"{now} connected {number} -> create {number} 0.7/4; serve {number}; settings 0.7/4; ready",
    )


def test_the_loss_of_the_old_session_takes_the_pending_update_along() -> None:
    play(
        websocket(),
        UP
        + """
        1.0  update 0.7/4  ->
        1.0  time          -> connect 2
        1.1  lost 1        -> disconnect 2; unready; announce lost
        1.2  connected 2   ->
        1.2  time          -> connect 3
        1.3  connected 3   -> create 3 0.7/4; serve 3; settings 0.7/4; ready
        """,
    )


def test_news_of_the_old_session_is_never_news_of_the_new_one() -> None:
    machine = websocket(max_retry=0)
    play(
        machine,
        UP
        + """
        1.0  sent 1         ->
        1.0  sent 2         ->
        1.0  update 0.7/4   ->
        1.0  time           -> connect 2
        1.1  connected 2    -> create 2 0.7/4
        1.2  created 2      -> serve 2; settings 0.7/4
        1.3  sent 3         ->
        1.4  error 1 401    -> fail 1 error; fail 2 error; goodbye 1
        1.4  pong 1         ->
        1.5  lost 1         ->
        1.6  answered 3     ->
        """,
    )
    assert machine.take_counts().suppressed == 1


def test_windows_lost_with_the_old_session_fail_alone() -> None:
    machine = websocket(max_retry=0)
    play(
        machine,
        UP
        + """
        1.0  sent 1         ->
        1.0  update 0.7/4   ->
        1.0  time           -> connect 2
        1.1  connected 2    -> create 2 0.7/4
        1.2  created 2      -> serve 2; settings 0.7/4
        1.3  sent 3         ->
        1.4  lost 1         -> fail 1 connection
        1.6  answered 3     ->
        """,
    )
    assert machine.in_flight() == 0


def test_a_loss_fails_the_windows_of_the_session_that_is_lost_alone() -> None:
    play(
        websocket(),
        UP
        + """
        1.0  sent 1         ->
        1.0  update 0.7/4   ->
        1.0  time           -> connect 2
        1.1  connected 2    -> create 2 0.7/4
        1.2  created 2      -> serve 2; settings 0.7/4
        1.3  sent 3         ->
        1.4  lost 2         -> unready; fail 3 connection; announce lost
        1.45 answered 1     -> goodbye 1
        1.5  time           -> connect 3
        """,
    )


def test_a_pong_that_the_old_session_owes_is_not_the_new_ones_debt() -> None:
    machine = websocket(max_retry=0)
    play(
        machine,
        UP
        + """
        17.9  sent 1         ->
        18.0  time           -> ping 1
        18.1  update 0.7/4   ->
        18.1  time           -> connect 2
        18.2  connected 2    -> create 2 0.7/4
        18.3  created 2      -> serve 2; settings 0.7/4
        36.3  time           -> ping 2
        36.4  pong 2         ->
        """,
    )


def test_giving_up_drops_the_old_session_as_well() -> None:
    play(
        websocket(max_retry=0),
        UP
        + """
        1.0  sent 1         ->
        1.0  update 0.7/4   ->
        1.0  time           -> connect 2
        1.1  connected 2    -> create 2 0.7/4
        1.2  created 2      -> serve 2; settings 0.7/4
        1.4  lost 2         -> unready; announce lost for good; disconnect 1; fail 1 connection; \
end by lost
        """,
    )


def test_a_held_session_stays_held_over_a_switch() -> None:
    play(
        websocket(),
        UP
        + """
        1.0  update 0.7/4   ->
        1.0  time           -> connect 2
        1.1  connected 2    -> create 2 0.7/4
        1.2  error 1 429    -> unready; announce 429
        1.3  created 2      -> serve 2; settings 0.7/4; goodbye 1
        2.3  time           -> disconnect 1
        3.2  time           -> ready
        """,
    )


def test_a_long_life_counts_at_the_switch() -> None:
    play(
        websocket(max_retry=1),
        """
        0.0   open          -> connect 1
        0.0   refused 1 down -> announce down
        0.1   time          -> connect 2
        0.1   connected 2   -> create 2 0.5/2; serve 2; ready
        18.1  time          -> ping 2
        18.1  pong 2        ->
        31.0  update 0.7/4  ->
        31.0  time          -> connect 3
        31.0  connected 3   -> create 3 0.7/4
        31.0  created 3     -> serve 3; settings 0.7/4; goodbye 2
        31.5  lost 3        -> unready; announce lost
        """,
    )


def test_http_takes_settings_with_the_next_request() -> None:
    play(
        http(),
        """
        0.0  update 0.6/2  -> settings 0.6/2
        0.0  open          -> ready
        1.0  update 0.7/4  -> settings 0.7/4
        1.0  update 0.7/4  ->
        """,
    )
