"""The inbox: order, stamps, wake-ups, what is skipped and what is lost."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from bargein.audio import AudioFormat
from bargein.core import (
    AgentSpeechStarted,
    Audio,
    Close,
    EndOfInput,
    Flush,
    Gap,
    SetFormat,
    Skip,
)
from bargein.core.inbox import MAX_WAITING, Attention, Inbox, Stamped
from bargein.core.inputs import AgentAudio, VoiceActivity
from bargein.errors import FrameError, OptionError, StateError

MULAW = AudioFormat(8000, 1, "mulaw")
FRAME = b"\x01" * 160


def audio(taken: list[Stamped]) -> bytes:
    return b"".join(entry.item.data for entry in taken if isinstance(entry.item, Audio))


def test_audio_between_controls_is_one_piece_with_its_newest_stamp() -> None:
    inbox = Inbox(MULAW)
    for i in range(3):
        assert inbox.push(bytes([i]) * 160, now=float(i)) is False
    assert inbox.put(Flush(), 3.0) is True
    inbox.push(b"\x09" * 160, now=4.0)

    assert inbox.waiting == 640
    assert inbox.take() == [
        Stamped(Audio(b"\x00" * 160 + b"\x01" * 160 + b"\x02" * 160), 2.0),
        Stamped(Flush(), 3.0),
        Stamped(Audio(b"\x09" * 160), 4.0),
    ]
    assert (inbox.waiting, inbox.take()) == (0, [])


def test_a_wrong_frame_is_refused_and_nothing_is_lost() -> None:
    inbox = Inbox(AudioFormat())
    inbox.push(b"ab", 0.0)
    with pytest.raises(FrameError, match=r"odd|bytes"):
        inbox.push(b"abc", 1.0)
    inbox.push(np.array([3], np.int16), 2.0)

    assert audio(inbox.take()) == b"ab\x03\x00"


def test_the_first_frame_sets_the_format_that_was_left_open() -> None:
    class Frame:
        data = memoryview(np.arange(4, dtype=np.int16))
        sample_rate, num_channels, samples_per_channel = 48_000, 2, 2

    inbox = Inbox()
    inbox.voice_activity(0.1, 0.0)
    inbox.push(Frame(), 1.0)

    assert inbox.format == AudioFormat(48_000, 2)
    kinds = [type(entry.item) for entry in inbox.take()]
    assert kinds == [VoiceActivity, SetFormat, Audio]


def test_another_format_counts_from_its_announcement_on() -> None:
    inbox = Inbox(MULAW)
    inbox.put(SetFormat(AudioFormat()), 0.0)

    assert inbox.format == AudioFormat()
    with pytest.raises(FrameError):
        inbox.push(b"abc", 1.0)


def test_it_wakes_when_enough_audio_waits() -> None:
    inbox = Inbox(MULAW)
    inbox.attention = Attention(wake_after=400)

    assert [inbox.push(FRAME, float(i)) for i in range(4)] == [False, False, True, True]


def test_what_nobody_needs_is_skipped_a_quarter_of_a_second_at_a_time() -> None:
    inbox = Inbox(MULAW)
    inbox.attention = Attention(keep=1600)
    for i in range(100):
        inbox.push(bytes([i]) * 160, float(i))

    first, second = inbox.take()
    assert isinstance(first.item, Skip)
    assert isinstance(second.item, Audio)
    assert first.item.samples + len(second.item.data) == 16_000
    assert 1600 <= len(second.item.data) <= 1600 + 2000 + 160
    assert second.item.data[-1] == 99
    assert second.now == 99.0
    assert inbox.dropped == 0.0


def test_more_than_five_seconds_is_lost_and_told_as_a_gap() -> None:
    inbox = Inbox(MULAW)
    for i in range(MAX_WAITING * 50 + 11):
        inbox.push(bytes([i % 256]) * 160, float(i))

    gap, rest = inbox.take()
    # The oldest go when more than 5 s wait before a push; that push is taken whole.
    assert gap.item == Gap(Fraction(10 * 160, 8000)) or gap.item == Gap(Fraction(9 * 160, 8000))
    assert inbox.dropped == pytest.approx(float(gap.item.duration))
    assert len(rest.item.data) + gap.item.duration * 8000 == (MAX_WAITING * 50 + 11) * 160


def test_one_frame_of_any_length_is_taken_whole_and_shed_from_its_front() -> None:
    inbox = Inbox(MULAW)
    inbox.push(b"\x05" * 80_000, 0.0)  # ten seconds
    assert inbox.waiting == 80_000
    inbox.push(FRAME, 1.0)

    gap, rest = inbox.take()
    assert gap.item == Gap(5)
    assert rest.item.data == b"\x05" * 40_000 + FRAME


def test_shedding_passes_over_controls() -> None:
    inbox = Inbox(MULAW)
    inbox.push(FRAME, 0.0)
    inbox.put(AgentSpeechStarted(), 1.0)
    for i in range(252):
        inbox.push(FRAME, 2.0 + i)

    kinds = [type(entry.item) for entry in inbox.take()]
    assert kinds == [Gap, AgentSpeechStarted, Gap, Audio]


def test_behind_a_control_that_waits_nothing_is_skipped() -> None:
    """The agent starts, and the worker hears of it late: what came since is needed."""
    inbox = Inbox(MULAW)
    inbox.attention = Attention(keep=160)
    inbox.put(AgentSpeechStarted(), 0.0)
    inbox.attention = Attention(keep=160)  # published by a worker that hasn't taken it yet
    for i in range(50):
        inbox.push(FRAME, 0.0 + i)

    kinds = [type(entry.item) for entry in inbox.take()]
    assert kinds == [AgentSpeechStarted, Audio]


def test_between_taking_and_publishing_nothing_is_skipped_or_merged() -> None:
    """What the worker wants may change by what it took: its old wishes don't count meanwhile."""
    inbox = Inbox(MULAW)
    inbox.attention = Attention(keep=160, crossing=0.5)
    inbox.push(FRAME, 0.0)
    inbox.take()
    wakes = []
    for i in range(50):
        inbox.push(FRAME, 1.0 + i)
        wakes.append(inbox.voice_activity(0.1, 1.0 + i))

    assert all(wakes)
    kinds = [type(entry.item) for entry in inbox.take()]
    assert kinds == [Audio, VoiceActivity] * 50


def test_voice_activity_lies_beside_the_samples() -> None:
    inbox = Inbox(MULAW)
    inbox.push(FRAME, 0.0)
    assert inbox.voice_activity(0.9, 0.5) is True
    inbox.push(FRAME, 1.0)

    assert inbox.take() == [
        Stamped(Audio(FRAME), 0.5),
        Stamped(VoiceActivity(0.9), 0.5),
        Stamped(Audio(FRAME), 1.0),
    ]


def test_only_a_crossing_wakes_and_quiet_probabilities_leave_one() -> None:
    inbox = Inbox(MULAW)
    inbox.attention = Attention(crossing=0.5, above=False)
    woken = []
    for i, probability in enumerate([0.1, 0.2, 0.3, 0.7, 0.2, 0.1]):
        inbox.push(FRAME, float(i))
        woken.append(inbox.voice_activity(probability, float(i)))

    assert woken == [False, False, False, True, False, False]
    heard = [e.item.probability for e in inbox.take() if isinstance(e.item, VoiceActivity)]
    # Before the crossing the newest is enough; after it, each counts until somebody looked.
    assert heard == [0.3, 0.7, 0.2, 0.1]


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan"), None])
def test_a_voice_activity_that_is_no_probability_is_refused(probability: float) -> None:
    with pytest.raises(OptionError, match="probability from 0 to 1"):
        Inbox(MULAW).voice_activity(probability, 0.0)


def test_agent_audio_wakes_each_tenth_of_a_second_and_is_bounded() -> None:
    inbox = Inbox(MULAW)
    inbox.voice_activity(0.5, 0.0)
    woken = [inbox.agent_audio(FRAME, MULAW, float(i)) for i in range(5)]
    assert woken == [False, False, False, False, True]
    for i in range(300):
        inbox.agent_audio(FRAME, MULAW, 5.0 + i)

    items = [entry.item for entry in inbox.take()]
    kept = [item for item in items if isinstance(item, AgentAudio)]
    assert sum(item.duration for item in kept) == pytest.approx(MAX_WAITING)
    assert VoiceActivity(0.5) in items


def test_agent_audio_without_a_format_is_in_the_callers_or_in_its_own() -> None:
    own = SimpleNamespace(
        data=memoryview(bytes(640)).cast("h"),
        sample_rate=16_000,
        num_channels=1,
        samples_per_channel=320,
    )
    inbox, unopened = Inbox(MULAW), Inbox()
    for frame in (bytes(160), bytearray(160), own):
        inbox.agent_audio(frame, None, 0.0)
    unopened.agent_audio(bytes(640), None, 0.0)

    heard = [
        [(i.format, i.duration) for e in taken.take() if isinstance(i := e.item, AgentAudio)]
        for taken in (inbox, unopened)
    ]

    wide = AudioFormat(16_000)
    assert heard == [[(MULAW, 0.02), (MULAW, 0.02), (wide, 0.02)], [(wide, 0.02)]]


def test_after_the_end_nothing_is_taken_but_close() -> None:
    inbox = Inbox(MULAW)
    inbox.put(EndOfInput(), 0.0)
    with pytest.raises(StateError, match="audio came after"):
        inbox.push(FRAME, 1.0)
    with pytest.raises(StateError, match="Flush came after"):
        inbox.put(Flush(), 1.0)
    inbox.put(Close(), 2.0)

    assert [type(entry.item) for entry in inbox.take()] == [EndOfInput, Close]


def test_marks_older_than_what_was_shed_come_first() -> None:
    inbox = Inbox(MULAW)
    inbox.attention = Attention(keep=160)
    inbox.voice_activity(0.9, 0.0)
    for i in range(20):
        inbox.push(FRAME, float(i))

    kinds = [type(entry.item) for entry in inbox.take()]
    assert kinds == [Skip, VoiceActivity, Audio]


def test_what_is_worth_no_waking_up_is_worth_no_look() -> None:
    inbox = Inbox(MULAW)
    inbox.attention = Attention(wake_after=320)
    assert not inbox.push(bytes(160), 0.0)
    assert not inbox.due
    assert inbox.push(bytes(160), 0.0)
    assert inbox.due
    inbox.take()
    assert not inbox.due
    inbox.push(bytes(160), 0.0)
    inbox.attention = Attention(wake_after=160)  # the worker wants less than what waits already
    assert inbox.due


def test_a_first_frame_that_brings_its_format_is_due() -> None:
    inbox = Inbox()
    assert inbox.push(bytes(160), 0.0)
    assert inbox.due
