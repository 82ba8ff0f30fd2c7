"""What upstream gets wrong, line by line, as far as the core can show it.

The lines are those of the list in the documentation of what differs from upstream; those about the
wire, connections and queues have their tests where these live.
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from bargein.audio import AudioFormat
from bargein.core import (
    AgentSpeechStarted,
    InterruptionMachine,
    OverlapSpeechStarted,
    SendWindow,
    SetFormat,
    estimate_probability,
)
from bargein.testing.machine import MachineCall as Call

OPEN = """
    0.0  agent started
    1.0  audio 1.0
    1.0  caller started 0.2
"""


def test_mistake_1_no_reply_at_all_is_inconclusive_not_a_backchannel() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  caller ended
        1.4  deadline           -> inconclusive of 1: timeout
        """
    )


def test_mistake_2_a_timeout_needs_no_further_audio() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.8  deadline           -> cancel 1: timeout
        """
    )


def test_mistake_3_a_late_reply_costs_its_window_alone() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.8  deadline           -> cancel 1: timeout
        1.85 reply 1 yes
        1.9  audio 0.1          -> send 2 (1.2 s)
        1.9  sent 2
        2.0  reply 2 yes        -> interruption of 1 by 2
        """
    )


def test_mistake_4_an_outage_with_a_window_in_flight_is_seamless() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.15 lost               -> cancel 1: connection
        1.2  audio 0.1
        1.3  ready              -> send 2 (1.2 s)
        1.3  sent 2
        1.4  reply 2 yes        -> interruption of 1 by 2
        """
    )


def test_mistake_5_a_window_decides_the_overlap_in_which_it_was_cut_alone() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  caller ended
        1.3  caller started     -> inconclusive of 1: timeout
        1.35 reply 1 yes
        1.4  caller ended       -> inconclusive of 2: no_request
        """
    )


def test_mistake_9_inputs_are_taken_while_nobody_is_ready_and_the_newest_alone_goes_out() -> None:
    Call(ready=False).play(
        OPEN
        + """
        1.5  audio 0.5
        1.5  caller ended       -> inconclusive of 1: connection
        1.6  caller started
        1.9  audio 0.3
        1.9  ready              -> send 2 (1.8 s)
        """
    )


def test_mistake_10_two_lone_spikes_are_no_high_probability() -> None:
    assert estimate_probability([0.9, 0.1, 0.1, 0.9, 0.2], 2) == pytest.approx(0.2)


def test_mistake_11_machines_hold_little_however_much_comes() -> None:
    machine = InterruptionMachine(format=AudioFormat(8000))
    machine.handle(AgentSpeechStarted(), now=0.0)
    machine.handle(OverlapSpeechStarted(), now=0.0)
    second = np.zeros(8000, np.int16).tobytes()
    machine.handle(second, now=1.0)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for at in range(60):
            machine.handle(second, now=2.0 + at)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 250_000  # two windows of 3 s are under way, unanswered


def test_mistake_12_a_slow_backend_makes_the_cadence_coarser_not_a_backlog() -> None:
    call = Call(max_in_flight=1, inference_timeout=5.0).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.6  audio 0.5
        1.65 reply 1 no         -> send 2 (1.6 s)
        1.65 sent 2
        2.2  audio 0.6
        2.25 reply 2 no         -> send 3 (2.2 s)
        2.25 sent 3
        2.3  reply 3 no
        2.3  caller ended       -> backchannel of 1 by 3
        """
    )
    assert call.verdict.counts.superseded == 4 + 5


def test_mistake_13_windows_handed_over_are_counted_whatever_carries_them() -> None:
    call = Call(max_in_flight=1).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.2  audio 0.1          -> cancel 1; send 2 (1.2 s)
        1.25 reply 2 no
        1.25 sent 2
        1.3  audio 0.1          -> send 3 (1.3 s)
        1.3  sent 3
        1.4  reply 3 no
        1.4  caller ended       -> backchannel of 1 by 3
        """
    )
    assert call.verdict.num_requests == 2


def test_mistake_14_an_overlap_that_is_cut_short_has_its_event_and_its_requests() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  agent started
        1.2  caller started
        1.3  agent ended        -> inconclusive of 1: agent_ended
        1.3  agent started
        1.3  caller started
        1.4  caller ended       -> inconclusive of 2: no_request
        1.5  caller started
        1.6  end of input       -> inconclusive of 3: input_ended; cancel 1; finish
        """
    )
    assert [verdict.num_requests for verdict in call.verdicts] == [1, 0, 0]


def test_mistake_15_a_frame_longer_than_the_window_and_another_rate_are_fine() -> None:
    call = Call(max_in_flight=2).play(
        OPEN
        + """
        11.0 audio 10.0         -> send 1 (3 s); send 2 (3 s)
        11.0 format 8000
        11.1 audio 0.1          -> cancel 1; send 3 (0.1 s)
        """
    )
    assert call.machine.position == 800
    start = call.windows[3].start
    assert start == 11 * 16_000


def test_mistake_16_times_on_the_users_clock_are_echoed_and_never_computed_with() -> None:
    call = Call().play(
        """
        0.0  agent started
        1.0  audio 1.0
        1.0  caller started 0.2 at=3600
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  reply 1 no
        1.3  caller ended at=0  -> backchannel of 1 by 1
        """
    )
    assert call.verdict.detection_delay == pytest.approx(0.4)
    assert (call.verdict.started_at, call.verdict.ended_at) == (3600, 0)


def test_mistake_17_a_positive_on_its_way_at_the_end_of_input_isnt_lost() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  end of input
        1.5  reply 1 yes        -> interruption of 1 by 1; finish
        """
    )


def test_a_format_change_amid_an_overlap_keeps_the_overlap_and_its_windows() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.15 audio 0.05
        1.15 format 44100
        1.2  audio 0.05
        """
    )
    assert call.machine.samples_to_cut() == 2205
    [action] = call.machine.handle(np.ones(2205, np.int16), now=1.25)
    assert isinstance(action, SendWindow)
    assert action.window.speech_start is not None
    assert action.window.start == 18_400
    assert action.window.speech_start == 12_800 - 18_400
    call.windows[2] = action.window
    call.play("1.3 sent 2\n1.4 reply 1 yes -> interruption of 1 by 1")
    assert call.verdict.speech_input is not None
    np.testing.assert_array_equal(call.verdict.speech_input, call.windows[1].samples)
    call.machine.handle(SetFormat(AudioFormat(8000)), now=1.5)
    assert call.machine.position == 0
