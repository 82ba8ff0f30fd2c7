"""What the machine does when judges fail: the fallback, the policies, a lost connection."""

from __future__ import annotations

import numpy as np
import pytest

from bargein.core import Judge, JudgeSettings, Reason
from bargein.core.dispatch import policy_of
from bargein.core.overlap import FAIL_OPEN_SPEECH
from bargein.errors import OptionError
from bargein.testing.machine import MachineCall as Call
from bargein.testing.sound import noise

OPEN = """
    0.0  agent started
    1.0  audio 1.0
    1.0  caller started 0.2
"""
LOCAL = JudgeSettings(default_threshold=0.8, min_frames=3)


def test_nobody_is_ready_and_the_newest_audio_goes_out_when_somebody_is() -> None:
    call = Call(ready=False).play(
        OPEN
        + """
        1.1  audio 0.1
        1.5  audio 0.4
        1.5  look               -> open, 0 in flight
        1.5  ready              -> send 2 (1.5 s)
        """
    )
    assert call.machine._dispatch.take_counts().superseded == 4


def test_nobody_is_ready_and_the_overlap_ends() -> None:
    call = Call(ready=False).play(
        OPEN
        + """
        1.2  audio 0.2
        1.3  caller ended       -> inconclusive of 1: connection
        """
    )
    assert call.verdict.num_requests == 0


def test_who_went_on_while_nobody_could_judge_was_not_heard_out() -> None:
    """What was answered before the connection went says nothing of the words since then."""
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.15 reply 1 no
        1.2  lost
        2.0  audio 0.8
        2.0  caller ended       -> inconclusive of 1 by 1: connection
        """
    )


def test_a_connection_lost_after_the_last_window_changes_nothing() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.15 reply 1 no
        1.15 lost
        1.17 caller ended       -> backchannel of 1 by 1
        """
    )


def test_a_connection_that_was_back_in_time_changes_nothing() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.15 reply 1 no
        1.15 lost
        1.2  audio 0.1
        1.25 ready              -> send 2 (1.2 s)
        1.25 sent 2
        1.27 reply 2 no
        1.28 caller ended       -> backchannel of 1 by 2
        """
    )


def test_a_window_held_up_for_a_while_is_no_reason_once_a_newer_one_went() -> None:
    Call(ready=False).play(
        OPEN
        + """
        1.1  audio 0.1
        1.1  ready              -> send 1 (1.1 s)
        1.1  sent 1
        1.8  deadline           -> cancel 1: timeout
        1.8  caller ended       -> inconclusive of 1: timeout
        """
    )


def test_connection_comes_before_timeout_where_both_apply() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.8  deadline           -> cancel 1: timeout
        1.8  lost
        1.9  audio 0.1
        1.9  caller ended       -> inconclusive of 1: connection
        """
    )


def test_a_lost_connection_gives_up_its_windows_and_the_newest_audio_resumes() -> None:
    call = Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.25 lost               -> cancel 2; cancel 1: connection
        1.3  audio 0.1
        1.35 ready              -> send 4 (1.3 s)
        1.35 sent 4
        1.4  reply 4 yes        -> interruption of 1 by 4
        """
    )
    assert call.verdict.counts.superseded == 1
    assert call.verdict.num_requests == 2


def test_a_lost_connection_in_the_grace_settles() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  caller ended
        1.3  lost               -> cancel 1: connection; inconclusive of 1: connection
        """
    )


def test_a_lost_connection_at_the_end_of_input_settles() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  end of input
        1.3  lost         -> cancel 1: connection; inconclusive of 1: input_ended; finish
        """
    )


def test_the_loss_of_a_connection_frees_the_places_of_forgotten_turns() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  agent ended        -> inconclusive of 1: agent_ended
        1.2  look               -> silent, 1 in flight, due 1.8
        1.3  lost               -> cancel 1: connection
        1.3  look               -> silent, 0 in flight
        """
    )


def test_backing_off_leaves_what_is_on_the_wire() -> None:
    Call().play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  unready            -> cancel 2
        1.3  reply 1 yes        -> interruption of 1 by 1
        """
    )


def test_all_windows_on_the_wire_may_fail_at_once() -> None:
    Call(max_in_flight=3).play(
        OPEN
        + """
        1.3  audio 0.3          -> send 1 (1.1 s); send 2 (1.2 s); send 3 (1.3 s)
        1.3  sent 1
        1.3  sent 2
        1.4  failed all error   -> cancel 1: error; cancel 2: error
        1.4  failed 99 error
        1.4  look               -> open, 1 in flight
        """
    )


# --- the fallback ----------------------------------------------------------------------------


def test_while_the_remote_isnt_ready_windows_go_to_the_fallback_by_its_own_settings() -> None:
    call = Call(ready=False, fallback=LOCAL, threshold=0.1).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 at fallback (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 at fallback (1.2 s)
        1.2  sent 2
        1.3  audio 0.1
        1.3  look               -> open, 0 in flight, 2 at fallback, due 1.8
        1.3  reply 1 0.7        -> send 3 at fallback (1.3 s)
        1.3  sent 3
        1.4  reply 2 0.8        -> interruption of 1 by 2
        """
    )
    assert (call.windows[1].threshold, call.windows[1].min_frames) == (None, 3)
    assert call.verdict.judge is Judge.FALLBACK
    assert call.verdict.counts.fallback == call.verdict.counts.answered == 2
    assert call.verdict.num_requests == 3


def test_a_fallback_that_was_built_with_others_judges_by_those() -> None:
    judge = JudgeSettings(max_in_flight=1, threshold=0.3, min_frames=1)
    call = Call(ready=False, fallback=judge).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 at fallback (1.1 s)
        1.1  sent 1
        1.1  settings 0.9 9
        1.2  reply 1 0.3        -> interruption of 1 by 1
        """
    )
    assert (call.windows[1].threshold, call.windows[1].min_frames) == (0.3, 1)


def test_a_connection_lost_in_an_overlap_hands_it_to_the_fallback_newest_first() -> None:
    Call(fallback=LOCAL).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.25 lost      -> cancel 2; cancel 1: connection; send 3 at fallback (1.2 s)
        1.3  audio 0.1          -> send 4 at fallback (1.3 s)
        """
    )


def test_the_first_window_given_up_hands_the_overlap_to_the_fallback() -> None:
    call = Call(fallback=LOCAL, max_in_flight=1).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1
        1.8  deadline           -> cancel 1: timeout; send 2 at fallback (1.2 s)
        1.8  sent 2
        1.9  audio 0.1          -> send 3 at fallback (1.3 s)
        1.9  sent 3
        2.0  reply 2 no
        2.0  reply 3 no
        2.0  caller ended       -> backchannel of 1 by 3
        2.1  caller started
        2.2  audio 0.1          -> send 4 (1.4 s)
        """
    )
    assert call.verdict.judge is Judge.FALLBACK


def test_a_judge_that_takes_no_window_hands_the_overlap_to_the_fallback() -> None:
    """A peer that reads no more: no window is ever handed over, so none is ever late."""
    Call(fallback=LOCAL, max_in_flight=1).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.2  audio 0.1          -> cancel 1; send 2 (1.2 s)
        1.79 audio 0.59         -> cancel 2; send 3 (1.7 s)
        1.8  deadline           -> cancel 3; send 4 at fallback (1.7 s)
        1.8  sent 4
        1.85 reply 4 no
        1.9  audio 0.11         -> send 5 at fallback (1.8 s); send 6 at fallback (1.9 s)
        """
    )


def test_a_judge_that_takes_a_window_after_all_has_its_time_anew() -> None:
    Call(fallback=LOCAL, max_in_flight=2).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.7  sent 1
        1.8  look               -> open, 2 in flight, due 2.4
        2.3  sent 2
        2.4  deadline           -> cancel 1: timeout
        """
    )


def test_whoever_has_nobody_to_stand_in_waits_on() -> None:
    call = Call(max_in_flight=1).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        """
    )
    assert call.machine.next_deadline() is None
    call.play("3.0 caller ended -> cancel 1; inconclusive of 1: no_request")


def test_fail_open_acts_when_no_window_is_taken() -> None:
    Call(fallback="fail_open").play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.8  deadline           -> cancel 1
        1.8  audio 0.7          -> interruption of 1: fail_open
        """
    )


def test_an_overlap_that_ended_waits_for_no_hand_over() -> None:
    call = Call(fallback=LOCAL).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.25 caller ended       -> cancel 2
        """
    )
    assert call.machine.next_deadline() == pytest.approx(1.25 + 0.2)


def test_a_later_window_given_up_doesnt() -> None:
    Call(fallback=LOCAL).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  reply 1 no
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  sent 2
        1.3  failed 2 error     -> cancel 2: error
        1.3  audio 0.1          -> send 3 (1.3 s)
        """
    )


def test_the_first_window_is_the_first_that_was_handed_over() -> None:
    Call(fallback=LOCAL, max_in_flight=1).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.2  audio 0.1          -> cancel 1; send 2 (1.2 s)
        1.2  sent 2
        1.3  failed 2 error     -> cancel 2: error
        1.3  audio 0.1          -> send 3 at fallback (1.3 s)
        """
    )
    Call(fallback=LOCAL, max_in_flight=1).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.2  failed 1 error     -> cancel 1: error
        1.2  audio 0.1          -> send 2 at fallback (1.2 s)
        """
    )


def test_either_may_decide_and_the_first_positive_wins() -> None:
    call = Call(fallback=LOCAL, max_in_flight=2).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  sent 2
        1.3  failed 1 error     -> cancel 1: error
        1.3  audio 0.1          -> send 3 at fallback (1.3 s)
        1.3  sent 3
        1.35 reply 3 no
        1.4  reply 2 yes        -> interruption of 1 by 2
        """
    )
    assert call.verdict.judge is Judge.PRIMARY


def test_remote_windows_given_up_dont_leave_it_open_where_the_fallback_answered_newer_ones() -> (
    None
):
    Call(fallback=LOCAL).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  lost               -> cancel 1: connection
        1.2  audio 0.1          -> send 2 at fallback (1.2 s)
        1.2  sent 2
        1.3  reply 2 no
        1.3  caller ended       -> backchannel of 1 by 2
        """
    )


def test_the_loss_of_the_remote_leaves_the_fallbacks_windows() -> None:
    Call(fallback=LOCAL).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.1  unready
        1.2  audio 0.1          -> send 2 at fallback (1.2 s)
        1.2  sent 2
        1.2  lost               -> cancel 1: connection
        1.3  reply 2 yes        -> interruption of 1 by 2
        """
    )


def test_a_fallbacks_window_may_fail_too() -> None:
    Call(fallback=LOCAL, ready=False).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 at fallback (1.1 s)
        1.1  sent 1
        1.2  failed all error
        1.2  failed all error at fallback -> cancel 1 at fallback: error
        1.2  caller ended       -> inconclusive of 1: error
        """
    )


def test_the_remote_comes_back_at_once_when_it_is_ready_with_none_in_flight() -> None:
    Call(fallback=LOCAL).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  lost               -> cancel 1: connection
        1.2  audio 0.1          -> send 2 at fallback (1.2 s)
        1.2  sent 2
        1.25 ready
        1.3  audio 0.1          -> send 3 (1.3 s)
        """
    )


def test_the_remote_waits_while_it_owes_an_answer() -> None:
    Call(fallback=LOCAL).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  unready
        1.2  audio 0.1          -> send 2 at fallback (1.2 s)
        1.2  sent 2
        1.25 ready
        1.3  audio 0.1          -> send 3 at fallback (1.3 s)
        1.3  sent 3
        1.35 reply 1 no
        1.4  audio 0.1          -> send 4 (1.4 s)
        """
    )


def test_a_stalled_remote_gets_nothing_more_in_that_overlap_because_its_place_came_free() -> None:
    Call(fallback=LOCAL).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  sent 2
        1.9  deadline           -> cancel 1: timeout; cancel 2: timeout
        1.9  audio 0.1          -> send 3 at fallback (1.3 s)
        1.9  sent 3
        2.0  reply 3 no
        2.0  audio 0.1          -> send 4 at fallback (1.4 s)
        2.0  caller ended   -> cancel 4 at fallback; backchannel of 1 by 3
        """
    )


def test_an_answer_that_decides_nothing_is_no_sign_of_health() -> None:
    Call(fallback=LOCAL, primary=JudgeSettings()).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  reply 1 0.9
        1.2  audio 0.1          -> send 2 at fallback (1.2 s)
        """
    )


def test_an_answer_of_a_forgotten_turn_is_a_sign_of_health() -> None:
    Call(fallback=LOCAL, max_in_flight=3).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  caller ended with agent  -> inconclusive of 1: agent_ended
        1.2  caller started
        1.3  audio 0.1          -> send 2 (1.2 s)
        1.3  sent 2
        1.4  failed 2 error     -> cancel 2: error
        1.4  audio 0.1          -> send 3 at fallback (1.3 s)
        1.45 reply 1 no
        1.5  audio 0.1          -> send 4 (1.4 s)
        """
    )


def test_a_place_that_the_remote_wasnt_handed_yet_is_taken_back_when_it_isnt_ready() -> None:
    # The fallback is full and a newer window waits for it: the older one is of no use any more.
    call = Call(fallback=JudgeSettings(max_in_flight=1), max_in_flight=3).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  failed 1 error     -> cancel 1: error
        1.3  audio 0.1          -> send 3 at fallback (1.3 s)
        1.3  sent 3
        1.4  audio 0.1
        1.4  unready            -> cancel 2
        1.5  reply 3 no         -> send 4 at fallback (1.4 s)
        """
    )
    assert call.machine._dispatch.take_counts().superseded == 1


def test_of_several_windows_not_handed_over_the_newest_goes_to_the_fallback() -> None:
    Call(fallback=LOCAL, max_in_flight=3).play(
        OPEN
        + """
        1.3  audio 0.3          -> send 1 (1.1 s); send 2 (1.2 s); send 3 (1.3 s)
        1.3  lost      -> cancel 1; cancel 2; cancel 3; send 4 at fallback (1.3 s)
        """
    )


def test_news_of_a_window_that_was_taken_back_isnt_taken_for_the_fallbacks() -> None:
    call = Call(fallback=LOCAL).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  unready            -> cancel 1; send 2 at fallback (1.1 s)
        1.1  sent 1
        1.2  reply 1 yes
        1.2  look               -> open, 0 in flight, 1 at fallback
        1.2  reply 2 no
        1.2  caller ended       -> backchannel of 1 by 2
        """
    )
    assert call.verdict.num_requests == 1
    assert call.verdict.counts.late == 1


def test_a_window_taken_back_is_dropped_where_the_fallback_has_a_newer_one() -> None:
    Call(fallback=LOCAL).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1          -> send 2 (1.2 s)
        1.2  failed 1 error     -> cancel 1: error
        1.3  audio 0.1          -> send 3 at fallback (1.3 s)
        1.3  unready            -> cancel 2
        1.3  look               -> open, 0 in flight, 1 at fallback
        """
    )


def test_a_window_that_waits_keeps_its_audio_over_a_long_gap() -> None:
    call = Call(max_in_flight=3).play(
        OPEN
        + """
        1.3  audio 0.3          -> send 1 (1.1 s); send 2 (1.2 s); send 3 (1.3 s)
        1.3  lost               -> cancel 1; cancel 2; cancel 3
        9.3  gap 8.0
        9.35 audio 0.05
        9.4  ready              -> send 4 (1.3 s)
        """
    )
    np.testing.assert_array_equal(call.windows[4].samples, noise(0, 20_800))


def test_nothing_waits_behind_the_remote_for_the_fallback() -> None:
    Call(fallback=LOCAL, max_in_flight=1).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  audio 0.1
        1.2  unready            -> send 2 at fallback (1.2 s)
        """
    )


# --- policies --------------------------------------------------------------------------------


def test_fail_open_is_an_interruption_after_half_a_second_from_the_onset() -> None:
    call = Call(ready=False, fallback=Reason.FAIL_OPEN).play(
        OPEN
        + """
        1.1  audio 0.1
        1.2  audio 0.1
        1.3  audio 0.1          -> interruption of 1: fail_open
        1.4  audio 0.1
        """
    )
    verdict = call.verdict
    assert FAIL_OPEN_SPEECH == 0.5
    assert verdict.is_interruption
    assert verdict.detection_delay == pytest.approx(0.5)
    assert verdict.detected == 1.3
    assert (verdict.num_requests, verdict.speech_input, verdict.judge) == (0, None, None)


def test_fail_open_may_decide_at_once_and_in_a_gap() -> None:
    Call(ready=False, fallback="fail_open", eager_first_window=True).play(
        """
        0.0  agent started
        1.0  audio 1.0
        1.0  caller started 0.6 -> interruption of 1: fail_open
        """
    )
    Call(ready=False, fallback="fail_open").play(
        OPEN + "1.1 audio 0.1\n1.3 gap 0.2 -> interruption of 1: fail_open"
    )


def test_fail_open_leaves_a_short_overlap_open() -> None:
    Call(ready=False, fallback="fail_open").play(
        OPEN
        + """
        1.2  audio 0.2
        1.2  caller ended       -> inconclusive of 1: connection
        """
    )


def test_fail_open_acts_when_the_connection_is_lost() -> None:
    Call(fallback="fail_open", max_in_flight=2).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.3  audio 0.2          -> send 2 (1.3 s)
        1.35 lost     -> cancel 2; cancel 1: connection; interruption of 1: fail_open
        """
    )


def test_fail_open_acts_when_the_first_window_is_given_up() -> None:
    Call(fallback="fail_open", max_in_flight=1).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.5  audio 0.4
        1.8  deadline           -> cancel 1: timeout; interruption of 1: fail_open
        """
    )
    Call(fallback="fail_open", max_in_flight=1).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.5  audio 0.4
        1.5  failed 1 error     -> cancel 1: error; interruption of 1: fail_open
        """
    )


def test_fail_open_before_its_time_is_no_reason_where_the_remote_is_ready() -> None:
    Call(fallback="fail_open").play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.1  failed 1 error     -> cancel 1: error
        1.2  audio 0.1
        1.2  caller ended       -> inconclusive of 1: error
        """
    )


def test_fail_closed_never_is_an_interruption() -> None:
    call = Call(ready=False, fallback=Reason.FAIL_CLOSED).play(
        OPEN
        + """
        2.0  audio 1.0
        3.0  caller ended       -> backchannel of 1: fail_closed
        """
    )
    assert call.verdict.probability == 0.0
    assert not call.verdict.is_interruption


def test_fail_closed_gives_way_to_an_answer() -> None:
    beginning = (
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.2  unready
        1.2  audio 0.1
    """
    )
    Call(fallback="fail_closed").play(beginning + "1.3 reply 1 yes -> interruption of 1 by 1")
    Call(fallback="fail_closed").play(
        beginning
        + """
        1.3  reply 1 no
        1.3  caller ended       -> backchannel of 1: fail_closed
        """
    )


def test_without_a_fallback_the_first_window_given_up_changes_nothing() -> None:
    Call(max_in_flight=1).play(
        OPEN
        + """
        1.1  audio 0.1          -> send 1 (1.1 s)
        1.1  sent 1
        1.8  deadline           -> cancel 1: timeout
        1.9  audio 0.1          -> send 2 (1.2 s)
        """
    )


@pytest.mark.parametrize("fallback", ["fail", Reason.CLOSED, 3, object(), [Reason.FAIL_OPEN]])
def test_a_fallback_that_isnt_one_is_refused(fallback: object) -> None:
    with pytest.raises(OptionError, match="expected a judge's settings, fail_open, fail_closed"):
        policy_of(fallback)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [{"max_in_flight": 0}, {"min_frames": 0}, {"threshold": 1.1}, {"default_threshold": -1}],
)
def test_a_judges_settings_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        JudgeSettings(**wrong)  # type: ignore[arg-type]
