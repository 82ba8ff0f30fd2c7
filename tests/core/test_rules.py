"""The machine's thirteen rules, as transcripts. Each test is named after its rule."""

from __future__ import annotations

import numpy as np
import pytest

from bargein.core import (
    Close,
    EndOfInput,
    InterruptionMachine,
    Outcome,
    OverlapSpeechStarted,
    Prediction,
    Reason,
    Reply,
    SendWindow,
)
from bargein.errors import FrameError, StateError
from bargein.testing.machine import MachineCall as Call
from bargein.testing.sound import noise

OPEN = """
    0.0  agent started
    1.0  audio 1.0
    1.0  caller started 0.2
"""
"""An overlap is open; the window holds 1 s, of which 0.2 s is the caller's speech."""


# --- rule 1: the agent's turns --------------------------------------------------------------


def test_rule_1_agent_ended_settles_an_open_overlap_as_inconclusive() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  reply 1 no
        1.25 agent ended        -> inconclusive of 1 by 1: agent_ended
        1.25 look               -> silent, 0 in flight
        """
    )
    assert call.verdict.agent_ended
    assert call.verdict.detected == 1.25


def test_rule_1_agent_ended_settles_one_in_its_grace_from_what_was_answered() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.15 reply 1 no
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  sent 2
        1.25 caller ended
        1.3  agent ended        -> backchannel of 1 by 1
        1.35 reply 2 yes
        """
    )
    assert not call.verdict.agent_ended


def test_rule_1_agent_ended_in_a_grace_without_an_answer_leaves_it_open() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.15 caller ended
        1.2  agent ended        -> inconclusive of 1: timeout
        """
    )


def test_rule_1_a_new_turn_begins_with_an_empty_window_and_a_first_overlap() -> None:
    Call(audio_prefix_duration=0.5).play(
        """
        0.0  agent started
        2.0  audio 2.0
        2.0  caller started 0.1
        2.1  audio 0.1          -> send 1 (0.7 s)
        2.1  agent ended        -> cancel 1; inconclusive of 1: agent_ended
        2.2  audio 0.1
        2.2  agent started
        2.4  audio 0.2
        2.4  caller started 0.1
        2.5  audio 0.1          -> send 2 (0.3 s)
        2.5  sent 2
        2.5  caller ended
        2.6  reply 2 no         -> backchannel of 2 by 2
        4.6  audio 2.0
        4.6  caller started 0.1
        4.7  audio 0.1          -> send 3 (2.4 s)
        4.7  agent ended        -> cancel 3; inconclusive of 3: agent_ended
        4.7  agent started
        5.7  audio 1.0
        5.7  caller started 0.1
        5.8  audio 0.1          -> send 4 (0.7 s)
        """
    )


def test_rule_1_forgets_overlaps_not_the_wire() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  sent 2
        1.25 agent ended        -> inconclusive of 1: agent_ended
        1.25 look               -> silent, 2 in flight, due 1.8
        1.3  agent started
        1.4  audio 0.1
        1.4  caller started
        1.5  audio 0.1
        1.5  reply 1 yes        -> send 3 (0.2 s)
        1.5  look               -> open, 2 in flight, due 1.9
        1.9  deadline           -> cancel 2: timeout
        1.9  sent 3
        1.95 reply 3 no
        1.95 caller ended       -> backchannel of 2 by 3
        """
    )
    assert call.verdict.counts.timed_out == 1


def test_rule_1_a_repeated_start_or_end_of_the_agent_changes_nothing() -> None:
    Call().play(
        """
        0.0  agent ended
        0.0  look               -> silent, 0 in flight
        """
        + OPEN
        + """
        1.05 agent started
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.1  caller ended
        1.15 agent started
        1.2  look               -> grace, 1 in flight, due 1.3
        1.25 reply 1 yes        -> interruption of 1 by 1
        1.3  agent started
        1.3  look               -> speaking, 0 in flight
        """
    )


# --- rules 2 to 4: what a window holds -------------------------------------------------------


def test_rule_2_the_buffer_keeps_the_newest_audio() -> None:
    call = Call(max_audio_duration=0.5, audio_prefix_duration=0.5).play(
        """
        0.0  agent started
        9.0  audio 9.0
        9.0  caller started 3.0
        9.1  audio 0.1          -> send 1 (0.5 s)
        """
    )
    window = call.windows[1]
    assert window.start == 8.6 * 16_000
    np.testing.assert_array_equal(window.samples, noise(window.start, 8000))


def test_rule_3_audio_is_buffered_while_the_agent_speaks() -> None:
    call = Call().play(
        """
        0.5  audio 0.5
        0.5  agent started
        0.6  audio 0.1
        0.6  caller started
        0.7  audio 0.1          -> send 1 (0.2 s)
        """
    )
    assert call.windows[1].agent_start == 0


def test_rule_3_with_prefix_before_agent_what_came_before_is_kept_too() -> None:
    call = Call(prefix_before_agent=True, audio_prefix_duration=0.3).play(
        """
        0.1  audio 0.1
        0.9  audio 0.8
        0.95 gap 0.05
        0.95 agent started
        1.05 audio 0.1
        1.05 caller started 0.2
        1.15 audio 0.1          -> send 1 (0.5 s)
        """
    )
    window = call.windows[1]
    assert window.agent_start == 0.3 * 16_000
    assert window.speech_start == 0.2 * 16_000
    heard = noise(int(0.65 * 16_000), 8000)
    heard[4000:4800] = 0  # the gap
    np.testing.assert_array_equal(window.samples, heard)


def test_rule_3_the_prefix_reaches_back_to_the_last_turns_end_at_most() -> None:
    Call(prefix_before_agent=True).play(
        """
        0.0  agent started
        1.0  audio 1.0
        1.0  agent ended
        1.2  audio 0.2
        1.2  agent started
        1.2  caller started
        1.3  audio 0.1          -> send 1 (0.3 s)
        """
    )


def test_rule_3_a_prefix_of_nothing_is_kept_as_nothing() -> None:
    Call(prefix_before_agent=True, audio_prefix_duration=0.0).play(
        """
        1.0  audio 1.0
        1.0  agent started
        1.1  audio 0.1
        1.1  caller started
        1.2  audio 0.1          -> send 1 (0.1 s)
        """
    )


def test_rule_4_the_first_overlap_of_a_turn_trims_the_window_later_ones_dont() -> None:
    Call(audio_prefix_duration=0.5).play(
        """
        0.0  agent started
        2.0  audio 2.0
        2.0  caller started 0.3
        2.1  audio 0.1          -> send 1 (0.9 s)
        2.1  caller ended       -> cancel 1; inconclusive of 1: no_request
        3.1  audio 1.0
        3.1  caller started 0.3
        3.2  audio 0.1          -> send 2 (2 s)
        """
    )


def test_rule_4_with_reset_window_per_overlap_each_overlap_trims() -> None:
    Call(audio_prefix_duration=0.5, reset_window_per_overlap=True).play(
        """
        0.0  agent started
        2.0  audio 2.0
        2.0  caller started 0.3
        2.0  caller ended       -> inconclusive of 1: no_request
        3.0  audio 1.0
        3.0  caller started 0.3
        3.1  audio 0.1          -> send 1 (0.9 s)
        """
    )


def test_rule_4_starts_that_arent_ones_are_ignored_and_counted() -> None:
    call = Call().play("0.0 caller started" + OPEN + "1.05 caller started 0.5")
    assert call.machine.ignored == 2
    call.play(
        """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.2  caller ended       -> cancel 1; inconclusive of 1: no_request
        """
    )
    assert call.verdict.onset == pytest.approx(0.8)


def test_rule_4_a_start_in_a_grace_settles_that_overlap_first() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.15 reply 1 no
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  sent 2
        1.2  caller ended
        1.3  caller started     -> backchannel of 1 by 1
        1.3  look               -> open, 1 in flight, due 1.9
        1.4  reply 2 yes
        1.4  audio 0.1          -> send 3 (1.3 s)
        """
    )
    assert [verdict.overlap for verdict in call.verdicts] == [1]


def test_rule_4_what_was_given_is_remembered() -> None:
    call = Call().play(
        """
        0.0  agent started
        1.0  caller started 0.2 at=1700000000.5 age=0.3
        1.5  caller ended at=1700000001.5 age=0.1   -> inconclusive of 1: no_request
        """
    )
    verdict = call.verdict
    assert verdict.started_at == 1700000000.5
    assert verdict.ended_at == 1700000001.5
    assert verdict.onset == pytest.approx(0.7)
    assert verdict.detected == pytest.approx(1.4)
    assert verdict.emitted == 1.5


# --- rules 5 to 7: cadence, identity, places -------------------------------------------------


def test_rule_5_a_window_is_cut_at_each_interval_within_a_frame_too() -> None:
    call = Call(max_in_flight=8).play(
        OPEN
        + """
        1.05 audio 0.05
        1.25 audio 0.2          -> send 1 (1.1 s); send 2 (1.2 s)
        1.3  audio 0.05         -> send 3 (1.3 s)
        """
    )
    for number, end in enumerate((1.1, 1.2, 1.3), 1):
        window = call.windows[number]
        assert window.start is not None
        assert window.start + len(window.samples) == round(end * 16_000)
    assert call.machine.samples_to_cut() == 1600


def test_rule_5_no_cut_is_due_outside_an_overlap() -> None:
    call = Call()
    assert call.machine.samples_to_cut() is None
    call.play(OPEN)
    assert call.machine.samples_to_cut() == 1600
    call.play("1.05 audio 0.03")
    assert call.machine.samples_to_cut() == 1120
    call.play("1.1 caller ended -> inconclusive of 1: no_request")
    assert call.machine.samples_to_cut() is None


def test_rule_5_eager_first_window() -> None:
    Call(eager_first_window=True).play(
        OPEN.replace("started 0.2", "started 0.2 -> send 1 (1 s)")
        + """
        1.1  audio 0.1          -> send 2 (1.1 s)
        """
    )


def test_rule_5_eager_first_window_waits_where_the_buffer_is_empty() -> None:
    Call(eager_first_window=True).play(
        """
        0.0  agent started
        0.0  caller started
        0.1  audio 0.1          -> send 1 (0.1 s)
        """
    )


def test_rule_6_a_window_says_what_it_is_and_where_it_lies() -> None:
    call = Call(threshold=0.7, min_interruption_duration=0.1).play(
        OPEN + "1.1 audio 0.1 -> send 1 (1.1 s)"
    )
    window = call.windows[1]
    assert (window.id, window.overlap) == (1, 1)
    assert (window.threshold, window.min_frames) == (0.7, 4)
    assert (window.start, window.agent_start) == (0, 0)
    assert window.speech_start == 0.8 * 16_000
    np.testing.assert_array_equal(window.samples, noise(0, 17_600))
    assert not window.samples.flags.writeable


def test_rule_6_where_agent_and_speech_started_may_lie_before_the_window() -> None:
    call = Call(max_audio_duration=0.5, audio_prefix_duration=0.1).play(
        """
        0.0  agent started
        2.0  audio 2.0
        2.0  caller started 1.0
        2.1  audio 0.1          -> send 1 (0.5 s)
        """
    )
    assert call.windows[1].agent_start == -1.6 * 16_000
    assert call.windows[1].speech_start == -0.6 * 16_000


def test_rule_6_a_reply_decides_only_its_own_overlap_once_and_only_until_it_is_settled() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  sent 2
        1.3  reply 2 yes        -> interruption of 1 by 2
        1.3  reply 2 yes
        1.4  caller started
        1.5  reply 1 yes
        1.5  reply 99 yes
        1.5  audio 0.1          -> send 3 (1.3 s)
        1.5  sent 3
        1.6  reply 3 no
        1.6  reply 3 yes
        1.7  caller ended       -> backchannel of 2 by 3
        """
    )
    assert call.verdict.counts.answered == 2
    assert call.verdict.counts.late == 3


def test_rule_6_windows_not_yet_sent_are_dropped_at_decision_and_end() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.3  reply 1 yes        -> cancel 2; interruption of 1 by 1
        1.3  sent 2
        1.3  caller started
        1.4  audio 0.1          -> send 3 (1.3 s)
        1.4  caller ended       -> cancel 3; inconclusive of 2: no_request
        1.4  look               -> speaking, 0 in flight
        """
    )
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  caller ended       -> cancel 2
        1.2  look               -> grace, 1 in flight, due 1.4
        """
    )


def test_rule_6_settings_reach_the_windows_that_are_sent_from_then_on() -> None:
    call = Call(max_in_flight=1).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1
        1.2  settings 0.9 4
        1.3  reply 1 0.6        -> interruption of 1 by 1
        1.3  caller started
        1.4  audio 0.1          -> send 3 (1.3 s)
        1.4  sent 3
        1.5  reply 3 0.6
        1.5  settings none 2
        1.5  audio 0.1          -> send 4 (1.4 s)
        1.5  sent 4
        1.5  settings 0.9 4
        1.6  reply 4 0.6        -> interruption of 2 by 4
        """
    )
    assert (call.windows[3].threshold, call.windows[3].min_frames) == (0.9, 4)
    assert (call.windows[4].threshold, call.windows[4].min_frames) == (None, 2)


def test_rule_7_the_newest_window_waits_and_replaces_an_older_one() -> None:
    call = Call(max_in_flight=2).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  sent 2
        1.3  audio 0.1
        1.4  audio 0.1
        1.4  look               -> open, 2 in flight, due 1.8
        1.45 reply 1 no         -> send 4 (1.4 s)
        1.5  sent 4
        1.5  caller ended
        1.6  reply 4 no
        1.6  reply 2 no         -> backchannel of 1 by 4
        """
    )
    assert call.verdict.counts.superseded == 1
    assert call.verdict.num_requests == 3


def test_rule_7_a_window_not_handed_over_holds_its_place_but_may_be_superseded() -> None:
    call = Call(max_in_flight=2).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  look               -> open, 2 in flight, due 1.8
        1.3  audio 0.1          -> cancel 2; send 3 (1.3 s)
        1.3  sent 2
        1.3  sent 3
        1.35 caller ended
        1.4  reply 2 yes
        1.4  reply 1 no
        1.4  reply 3 no         -> backchannel of 1 by 3
        """
    )
    assert call.verdict.num_requests == 2
    assert call.verdict.counts.superseded == 1
    assert call.verdict.counts.late == 1


def test_rule_7_of_the_windows_of_one_input_the_newest_that_find_places_are_sent() -> None:
    call = Call(max_in_flight=2).play(
        OPEN
        + """
        2.0  audio 1.0          -> send 1 (1.9 s); send 2 (2 s)
        2.3  audio 0.3          -> cancel 1; send 3 (2.2 s); cancel 2; send 4 (2.3 s)
        2.3  sent 3
        2.6  audio 0.3          -> cancel 4; send 5 (2.6 s)
        2.6  sent 5
        2.9  audio 0.3
        2.9  reply 3 yes        -> interruption of 1 by 3
        """
    )
    assert call.verdict.counts.superseded == 8 + 2 + 1 + 2 + 1 + 2


def test_rule_7_the_place_of_a_window_given_up_goes_to_the_one_that_waits() -> None:
    Call(max_in_flight=1).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.3  audio 0.2
        1.8  deadline           -> cancel 1: timeout; send 2 (1.3 s)
        """
    )


# --- rules 8 to 10: verdicts -----------------------------------------------------------------


def test_rule_8_a_positive_reply_decides_at_once() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.25 reply 1 0.5        -> interruption of 1 by 1
        1.3  audio 0.1
        1.3  caller ended
        1.3  look               -> speaking, 0 in flight
        """
    )
    verdict = call.verdict
    assert verdict.is_interruption
    assert verdict.detected == verdict.emitted == 1.25
    assert verdict.detection_delay == pytest.approx(0.45)
    assert verdict.total_duration == pytest.approx(0.15)
    assert verdict.probability == 0.5
    assert verdict.probabilities is not None
    assert len(verdict.probabilities) == 44
    np.testing.assert_array_equal(verdict.speech_input, call.windows[1].samples)
    assert not verdict.speech_input.flags.writeable  # type: ignore[union-attr]


def test_rule_8_an_older_window_may_decide_after_a_newer_one_was_negative() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  sent 2
        1.3  reply 2 no
        1.4  reply 1 yes        -> interruption of 1 by 1
        """
    )
    np.testing.assert_array_equal(call.verdict.speech_input, call.windows[1].samples)


def test_rule_9_windows_on_the_wire_may_decide_within_the_grace() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  caller ended at=5
        1.2  look               -> grace, 1 in flight, due 1.4
        1.3  audio 0.1
        1.35 reply 1 yes        -> interruption of 1 by 1
        """
    )
    assert call.verdict.detected == 1.35
    assert call.verdict.ended_at is None


def test_rule_9_the_grace_ends_early_when_no_window_is_left() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  sent 2
        1.2  caller ended
        1.25 reply 2 no
        1.3  reply 1 no         -> backchannel of 1 by 2
        """
    )


def test_rule_9_there_is_no_grace_with_nothing_on_the_wire() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.15 reply 1 no
        1.2  caller ended       -> backchannel of 1 by 1
        1.3  caller ended
        """
    )
    assert call.verdict.detected == 1.2


def test_rule_9_the_newest_answered_window_counts_those_still_due_dont() -> None:
    call = Call(max_in_flight=3).play(
        OPEN
        + """
        1.3  audio 0.3          -> send 1 (1.1 s); send 2 (1.2 s); send 3 (1.3 s)
        1.3  sent 1
        1.3  sent 2
        1.3  sent 3
        1.35 caller ended
        1.4  reply 2 0.2
        1.45 reply 1 0.3
        1.55 deadline           -> backchannel of 1 by 2
        1.55 look               -> speaking, 1 in flight, due 2
        2.0  deadline           -> cancel 3: timeout
        """
    )
    assert call.verdict.probability == pytest.approx(0.2)
    assert call.verdict.detection_delay == pytest.approx(0.6)
    assert call.verdict.detected == 1.35


@pytest.mark.parametrize("reason", ["connection", "timeout", "error"])
def test_rule_9_a_newer_window_given_up_leaves_it_open_an_older_one_doesnt(reason: str) -> None:
    beginning = (
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  sent 2
    """
    )
    Call().play(
        beginning
        + f"""
        1.3  reply 1 no
        1.3  failed 2 {reason}  -> cancel 2: {reason}
        1.3  caller ended       -> inconclusive of 1 by 1: {reason}
        """
    )
    Call().play(
        beginning
        + f"""
        1.3  failed 1 {reason}  -> cancel 1: {reason}
        1.3  reply 2 no
        1.3  caller ended       -> backchannel of 1 by 2
        """
    )


def test_rule_9_no_grace_at_all_is_upstreams_behaviour() -> None:
    Call(verdict_grace=0.0).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  caller ended       -> inconclusive of 1: timeout
        """
    )


def test_rule_9_ended_with_the_agent_has_no_grace() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  caller ended with agent  -> inconclusive of 1: agent_ended
        1.2  agent ended
        1.3  caller ended
        """
    )
    assert call.verdict.agent_ended
    assert call.verdict.detection_delay == 0.0
    assert call.verdict.speech_input is None
    assert call.verdict.probabilities is None


def test_rule_9_a_second_end_in_the_grace_is_ignored() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  caller ended
        1.3  caller ended with agent
        1.4  deadline           -> inconclusive of 1: timeout
        """
    )


def test_rule_9_the_first_reason_that_applies_is_told() -> None:
    beginning = (
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  sent 2
    """
    )
    Call().play(
        beginning
        + """
        1.2  failed 1 error      -> cancel 1: error
        1.2  failed 2 connection -> cancel 2: connection
        1.3  caller ended        -> inconclusive of 1: connection
        """
    )
    Call().play(  # unanswered when the grace ended: that is a timeout
        beginning
        + """
        1.2  failed 1 error      -> cancel 1: error
        1.3  caller ended
        1.5  deadline            -> inconclusive of 1: timeout
        """
    )
    Call().play(
        beginning
        + """
        1.2  failed 1 error      -> cancel 1: error
        1.25 failed 2 error      -> cancel 2: error
        1.3  caller ended        -> inconclusive of 1: error
        """
    )


def test_rule_10_exactly_one_event_for_each_overlap() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  caller ended
        1.3  reply 1 yes        -> interruption of 1 by 1
        1.4  deadline
        1.4  caller ended
        1.4  flush
        1.4  agent ended
        1.4  agent started
        1.4  end of input       -> finish
        1.4  close
        1.5  reply 1 yes
        """
    )
    assert len(call.verdicts) == 1


# --- rules 11 to 13: time, the end, faults ---------------------------------------------------


def test_rule_11_a_window_is_given_up_when_its_deadline_passes() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  look               -> open, 1 in flight
        1.2  sent 1
        1.2  sent 1
        1.2  look               -> open, 1 in flight, due 1.9
        1.89 deadline
        1.9  deadline           -> cancel 1: timeout
        1.9  look               -> open, 0 in flight
        1.95 reply 1 yes
        2.0  caller ended       -> inconclusive of 1: timeout
        """
    )
    assert call.verdict.num_requests == 1
    assert call.verdict.counts.timed_out == 1
    assert call.verdict.counts.late == 1


def test_rule_11_what_fell_due_is_taken_in_its_own_order_however_late_the_call() -> None:
    # Window 2's deadline lies past the grace's end, so it was still within it then.
    script = (
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  reply 1 no
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  sent 2
        1.3  caller ended
        """
    )
    Call().play(script + "1.5 deadline -> backchannel of 1 by 1")
    Call().play(script + "9.0 deadline -> backchannel of 1 by 1; cancel 2: timeout")


def test_rule_11_the_deadline_clock_never_steps_back_though_ages_use_their_own_stamp() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        0.5  sent 1
        0.5  look               -> open, 1 in flight, due 1.8
        0.4  reply 1 no
        0.4  caller ended       -> backchannel of 1 by 1
        """
    )
    assert call.verdict.total_duration == 0.0
    assert call.verdict.detection_delay == 0.0
    assert call.verdict.detected == 0.4
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.0  caller ended
        1.0  look               -> grace, 1 in flight, due 1.3
        1.9  flush
        1.2  deadline           -> inconclusive of 1: timeout; cancel 1: timeout
        """
    )


def test_rule_12_end_of_input_waits_for_the_windows_until_their_deadlines() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  end of input       -> cancel 2
        1.2  look               -> draining, 1 in flight, due 1.8
        1.75 audio 0.1          -> raises StateError
        1.79 reply 1 yes        -> interruption of 1 by 1; finish
        1.79 look               -> ended, 0 in flight
        """
    )
    assert call.verdict.reason is None


def test_rule_12_without_a_positive_it_is_inconclusive() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  sent 2
        1.25 end of input
        1.3  reply 1 no
        1.9  deadline           -> cancel 2: timeout; inconclusive of 1 by 1: input_ended; finish
        """
    )
    assert call.verdict.detected == 1.25
    assert call.verdict.emitted == 1.9


def test_rule_12_end_of_input_with_nothing_on_the_wire_ends_at_once() -> None:
    Call().play(OPEN + "1.2 end of input -> inconclusive of 1: input_ended; finish")
    Call().play("0.0 end of input -> finish")


def test_rule_12_end_of_input_leaves_a_grace_as_it_was() -> None:
    beginning = (
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.15 reply 1 no
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  sent 2
        1.3  caller ended
        1.35 end of input
        1.35 look               -> draining, 1 in flight, due 1.5
    """
    )
    Call().play(beginning + "1.4 reply 2 yes -> interruption of 1 by 2; finish")
    Call().play(beginning + "1.5 deadline -> backchannel of 1 by 1; cancel 2; finish")


def test_rule_12_a_long_timeout_of_a_settled_overlap_doesnt_keep_the_end() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  caller ended with agent -> inconclusive of 1: agent_ended
        1.3  end of input       -> cancel 1; finish
        1.3  look               -> ended, 0 in flight
        """
    )


@pytest.mark.parametrize(
    ("line", "actions", "ended"),
    [
        ("", "inconclusive of 1: closed; cancel 1; finish", 1.3),
        ("1.2 caller ended", "inconclusive of 1: closed; cancel 1; finish", 1.2),
        ("1.2 end of input", "inconclusive of 1: closed; cancel 1; finish", 1.2),
        ("1.2 reply 1 no", "inconclusive of 1 by 1: closed; finish", 1.3),
    ],
)
def test_rule_12_close_waits_for_nothing(line: str, actions: str, ended: float) -> None:
    call = Call().play(
        OPEN
        + f"""
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        {line}
        1.3  close              -> {actions}
        1.4  close
        1.4  look               -> ended, 0 in flight
        9.9  deadline
        """
    )
    assert not call.verdict.agent_ended
    assert call.verdict.detected == ended


def test_rule_13_misuse_raises_and_leaves_the_machine_as_it_was() -> None:
    machine = InterruptionMachine()
    for wrong in (b"\0", np.zeros(3, np.float32), object(), [0, 1]):
        with pytest.raises(FrameError):
            machine.handle(wrong, now=0.0)
    assert machine.position == 0
    machine.handle(b"\0\0", now=0.0)
    assert machine.position == 1
    machine.handle(EndOfInput(), now=1.0)
    with pytest.raises(StateError, match=r"Audio came after the end of input; open a new stream"):
        machine.handle(b"\0\0", now=2.0)
    with pytest.raises(StateError, match="OverlapSpeechStarted"):
        machine.handle(OverlapSpeechStarted(), now=2.0)
    assert machine.position == 1
    assert machine.handle(Close(), now=3.0) == []


def test_rule_13_a_prediction_that_nothing_can_decide_fails_its_window() -> None:
    call = Call(primary=None).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  reply 1 0.99
        1.3  caller ended       -> inconclusive of 1: error
        """
    )
    assert call.verdict.outcome is Outcome.INCONCLUSIVE
    assert call.verdict.reason is Reason.ERROR


def test_rule_13_replies_are_taken_whatever_the_state() -> None:
    machine = InterruptionMachine()
    reply = Reply(7, Prediction(is_interruption=True))
    assert machine.handle(reply, now=0.0) == []
    machine.handle(Close(), now=0.0)
    assert machine.handle(reply, now=0.0) == []


def test_a_stream_opened_without_a_format_takes_its_first_frames() -> None:
    class Frame:
        data = noise(0, 960).tobytes()
        sample_rate, num_channels, samples_per_channel = 48_000, 2, 480

    machine = InterruptionMachine()
    machine.handle(Frame(), now=0.0)
    assert (machine.format.sample_rate, machine.format.num_channels) == (48_000, 2)
    assert machine.position == 480
    machine.handle(bytes(4), now=0.0)
    assert machine.position == 481

    bare = InterruptionMachine()
    bare.handle(bytes(2), now=0.0)
    with pytest.raises(FrameError, match="set_format"):
        bare.handle(Frame(), now=0.0)


def test_actions_come_in_the_order_in_which_they_are_to_be_done() -> None:
    machine = Call(max_in_flight=1).play(OPEN).machine
    first = machine.handle(noise(16_000, 1600), now=1.1)
    second = machine.handle(noise(17_600, 1600), now=1.2)
    assert [type(a) for a in first] == [SendWindow]
    assert [type(a).__name__ for a in second] == ["CancelWindow", "SendWindow"]
