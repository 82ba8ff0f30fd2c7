"""The start, the heartbeat, what is garbled, and the end: a WebSocket's life without its faults."""

from __future__ import annotations

import pytest

from bargein.core.connection_items import Connected, RequestFailed, Shut
from bargein.core.connection_states import ConnectionState, Timer
from bargein.errors import StateError
from tests.core.connection_script import action_text, error, http, play, websocket

UP = """
    0.0  open           -> connect 1
    0.0  connected 1    -> create 1 0.5/2; serve 1; ready
"""


def test_it_connects_at_the_start_and_windows_need_not_wait_for_created() -> None:
    machine = websocket()
    play(
        machine,
        """
        0.0  open           -> connect 1
        0.0  agent speaks   ->
        0.1  started 1      ->
        0.2  connected 1    -> create 1 0.5/2; serve 1; ready
        0.2  sent 1         ->
        0.2  sent 2         ->
        0.3  created 1 0.5  ->
        """,
    )
    assert machine.in_flight() == 2
    assert machine.take_counts().reconnects == 0


def test_the_connect_timeout_starts_when_a_thread_takes_the_attempt() -> None:
    machine = websocket()
    play(machine, "0.0 open -> connect 1")
    assert machine.next_deadline() is None
    play(machine, "50.0 started 1 ->")
    assert machine.next_deadline() == 60.0


def test_news_of_unknown_sessions_changes_nothing() -> None:
    play(
        websocket(),
        UP
        + """
        1.0  started 7    ->
        1.0  connected 7  ->
        1.0  lost 7       ->
        1.0  error 0 401  ->
        1.0  answered 9   ->
        1.0  late 9       ->
        """,
    )


def test_pings_vary_by_a_tenth_so_that_streams_do_not_ping_in_step() -> None:
    moments = []
    for jitter in (0.0, 0.5, 1.0):
        machine = websocket(jitter=jitter)
        play(machine, UP)
        moments.append(machine.next_deadline())
    assert moments == [18.0, 20.0, 22.0]


def test_chance_only_lengthens_a_retry() -> None:
    moments = []
    for jitter in (0.0, 0.5, 1.0):
        machine = websocket(jitter=jitter)
        play(machine, "0.0 open -> connect 1\n0.0 refused 1 down -> announce down")
        moments.append(machine.next_deadline())
    assert moments == pytest.approx([0.1, 0.125, 0.15])


def test_undecodable_text_is_one_recoverable_error() -> None:
    machine = websocket(max_retry=0)
    play(
        machine,
        UP
        + """
        1.0  sent 1       ->
        1.0  sent 2       ->
        1.0  garbled      -> announce garbled
        1.1  garbled      ->
        1.2  garbled 1    -> fail 1 error
        1.3  garbled 1    ->
        1.3  answered 2   ->
        1.4  garbled      -> announce garbled
        """,
    )
    assert machine.outage


# --- the end ---------------------------------------------------------------------------------


def test_goodbye_is_said_and_its_answer_waited_for() -> None:
    machine = websocket()
    play(
        machine,
        UP
        + """
        1.0  shut         -> unready; goodbye 1
        1.2  closed 1     -> disconnect 1; done
        1.3  shut         ->
        """,
    )
    assert machine.state is ConnectionState.ENDED
    assert machine.next_deadline() is None


@pytest.mark.parametrize(
    ("answer", "actions"),
    [("1.4 lost 1 1000", "done"), ("2.0 time", "disconnect 1; done")],
)
def test_goodbye_is_bounded(answer: str, actions: str) -> None:
    play(
        websocket(),
        UP
        + f"""
        1.0  sent 1       ->
        1.0  shut         -> unready; goodbye 1
        1.1  answered 1   ->
        1.2  error 1 500  ->
        1.3  pong 1       ->
        {answer}          -> {actions}
        """,
    )


def test_close_without_patience_says_goodbye_and_hangs_up() -> None:
    play(websocket(), UP + "1.0 shut 0 -> unready; goodbye 1; disconnect 1; done")


def test_a_second_close_shortens_the_first_ones_patience_and_never_lengthens_it() -> None:
    play(
        websocket(),
        UP
        + """
        1.0  shut 0.6     -> unready; goodbye 1
        1.1  shut 5       ->
        1.1  shut 0.2     ->
        1.3  time         -> disconnect 1; done
        """,
    )
    play(
        websocket(),
        UP
        + """
        1.0  shut         -> unready; goodbye 1
        1.1  shut 0       -> disconnect 1; done
        """,
    )


@pytest.mark.parametrize(
    ("before", "actions"),
    [
        ("", "done"),
        ("0.0 open -> connect 1", "disconnect 1; done"),
        ("0.0 open -> connect 1\n0.0 refused 1 down -> announce down", "done"),
        ("0.0 open -> connect 1\n0.0 refused 1 401 -> announce 401 for good", "done"),
        (UP + "0.0 lost 1 1000 -> unready", "done"),
        (UP + "0.0 error 1 429 -> unready; announce 429", "goodbye 1; disconnect 1; done"),
        (
            UP + "0.0 update 0.7/4 ->\n0.0 time -> connect 2",
            "disconnect 2; unready; goodbye 1; disconnect 1; done",
        ),
    ],
)
def test_close_in_any_state(before: str, actions: str) -> None:
    machine = websocket(fallback=True)
    play(machine, f"{before}\n0.0 shut 0 -> {actions}")
    assert machine.state is ConnectionState.ENDED
    assert machine.timers() == frozenset()


def test_close_while_an_old_session_leaves_waits_for_both() -> None:
    play(
        websocket(),
        UP
        + """
        1.0  update 0.7/4   ->
        1.0  time           -> connect 2
        1.1  connected 2    -> create 2 0.7/4
        1.2  created 2      -> serve 2; settings 0.7/4; goodbye 1
        1.5  shut           -> unready; goodbye 2
        1.6  closed 2       -> disconnect 2
        2.2  time           -> disconnect 1; done
        """,
    )


def test_close_while_an_old_session_still_has_windows() -> None:
    play(
        websocket(),
        UP
        + """
        1.0  sent 1         ->
        1.0  update 0.7/4   ->
        1.0  time           -> connect 2
        1.1  connected 2    -> create 2 0.7/4
        1.2  created 2      -> serve 2; settings 0.7/4
        1.5  shut           -> unready; goodbye 1; goodbye 2
        1.6  lost 1         ->
        1.7  lost 2         -> done
        """,
    )


def test_http_ends_at_once() -> None:
    machine = http()
    play(machine, "0.0 open -> ready\n1.0 shut -> done\n1.0 shut ->")
    assert machine.state is ConnectionState.ENDED


# --- misuse ----------------------------------------------------------------------------------


def test_what_is_no_input_of_a_transport_is_refused() -> None:
    with pytest.raises(StateError, match="Connected came to a HttpConnection; expected one of"):
        http().handle(Connected(1), now=0.0)
    with pytest.raises(StateError, match="RequestFailed came to a WebSocketConnection"):
        websocket().handle(RequestFailed(1, error("down")), now=0.0)


def test_a_clock_that_steps_back_is_held() -> None:
    machine = websocket()
    play(machine, UP)
    machine.handle(Shut(1.0), now=10.0)
    assert machine.handle_deadline(now=5.0) == []
    assert machine.next_deadline() == 11.0
    assert [action_text(a) for a in machine.handle_deadline(now=11.0)] == ["disconnect 1", "done"]


def test_a_ping_that_was_due_long_ago_goes_out_once() -> None:
    machine = websocket()
    play(machine, UP)
    assert [action_text(a) for a in machine.handle_deadline(now=500.0)] == ["ping 1"]
    assert machine.next_deadline() == 510.0
    assert machine.timers() == {Timer.PING, Timer.PONG}


def test_a_loss_by_one_timer_silences_the_others_that_are_due() -> None:
    machine = websocket()
    play(machine, UP + "18.0 time -> ping 1")
    # the pong's time and the next ping's have both passed
    did = machine.handle_deadline(now=60.0)
    assert [action_text(a) for a in did] == ["disconnect 1", "unready", "announce pong"]
