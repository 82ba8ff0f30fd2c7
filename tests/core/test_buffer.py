"""The ring, the cadence and the buffer, each alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.audio import AudioFormat
from bargein.core import InterruptionOptions
from bargein.core.buffer import CallerBuffer
from bargein.core.cadence import Cadence
from bargein.core.options import round_half_up
from bargein.core.ring import SampleRing
from bargein.testing.sound import noise


def buffer(rate: int = 16_000, hold: float = 0.5, **options: object) -> CallerBuffer:
    known = InterruptionOptions(**options)  # type: ignore[arg-type]
    return CallerBuffer(known, AudioFormat(rate), hold)


# --- the ring --------------------------------------------------------------------------------


@given(
    capacity=st.integers(1, 50),
    start=st.integers(0, 200),
    writes=st.lists(st.integers(0, 120), max_size=12),
)
def test_the_ring_gives_back_the_newest_samples(
    capacity: int, start: int, writes: list[int]
) -> None:
    ring = SampleRing(capacity)
    ring.end = start
    for count in writes:
        ring.write(noise(ring.end, count))
    total = sum(writes)
    assert ring.end == start + total
    assert ring.capacity == capacity
    assert ring.oldest == ring.end - capacity
    readable = min(capacity, total)
    for count in {readable, readable // 2}:
        out = np.empty(count, np.int16)
        ring.read_into(out, ring.end - readable)
        np.testing.assert_array_equal(out, noise(ring.end - readable, count))


def test_the_ring_takes_no_memory_before_its_first_write() -> None:
    ring = SampleRing(10**12)
    ring.read_into(np.empty(0, np.int16), 0)
    assert ring.end == 0


def test_the_ring_refuses_to_give_what_it_doesnt_hold() -> None:
    ring = SampleRing(10)
    with pytest.raises(AssertionError):
        ring.read_into(np.empty(1, np.int16), 0)
    ring.write(noise(0, 15))
    for start, count in ((4, 1), (10, 6), (15, 1)):
        with pytest.raises(AssertionError):
            ring.read_into(np.empty(count, np.int16), start)


# --- the cadence -----------------------------------------------------------------------------


@given(
    start=st.integers(0, 10**9),
    step=st.fractions(Fraction(1, 4), 5000),
    end=st.integers(0, 300),
    split=st.integers(0, 300),
)
def test_cuts_are_whole_steps_from_the_start_however_the_way_is_split(
    start: int, step: Fraction, end: int, split: int
) -> None:
    cadence = Cadence(start, step)
    expected = {start + round_half_up(k * step) for k in range(1, int(end / step) + 2)}
    whole = cadence.due(start, start + end)
    assert whole == sorted(at for at in expected if start < at <= start + end)
    split = min(split, end)
    assert cadence.due(start, start + split) + cadence.due(start + split, start + end) == whole
    assert cadence.after(start + end) > start + end


def test_cuts_never_drift() -> None:
    cadence = Cadence(0, InterruptionOptions().interval * 11_025)
    hour = 11_025 * 3600
    assert cadence.due(hour - 5000, hour)[-1] == hour
    assert cadence.due(0, 5513) == [1103, 2205, 3308, 4410, 5513]


# --- the buffer ------------------------------------------------------------------------------


def test_nothing_is_looked_at_while_the_agent_is_silent() -> None:
    audio = buffer()
    audio.push(noise(0, 100).tobytes())
    audio.push_silence(50)
    assert (audio.position, audio.length) == (150, 0)


def test_the_buffer_holds_the_newest_audio_and_can_be_trimmed() -> None:
    audio = buffer(max_audio_duration=1.0)
    audio.open()
    audio.push(noise(0, 20_000).tobytes())
    assert audio.length == 16_000
    audio.trim(10_000)
    audio.trim(12_000)
    assert audio.length == 10_000
    cut = audio.cut()
    assert (cut.start, cut.end) == (10_000, 20_000)
    np.testing.assert_array_equal(audio.read(cut), noise(10_000, 10_000))
    audio.shut()
    assert audio.length == 0


def test_an_empty_window_is_empty() -> None:
    audio = buffer(rate=44_100)
    audio.open()
    assert len(audio.read(audio.cut())) == 0
    audio.push(noise(0, 2).tobytes())  # less than one sample at 16 kHz
    assert len(audio.read(audio.cut())) == 0
    audio.push(noise(2, 8).tobytes())  # fewer samples than a resampler holds back
    cut = audio.cut()
    assert len(audio.read(cut)) == 3
    audio.trim(3)
    assert len(audio.read(audio.cut())) == 1


@pytest.mark.parametrize("rate", [16_000, 8_000, 44_100])
@pytest.mark.parametrize("happens", ["audio", "shut", "gap", "format", "trim", "silence"])
def test_a_live_window_can_be_read_whatever_comes_after_it(rate: int, happens: str) -> None:
    audio = buffer(rate, hold=0.01, max_audio_duration=0.5, audio_prefix_duration=0.0)
    audio.open()
    audio.push(noise(0, rate).tobytes())
    cut = audio.cut()
    before = audio.read(cut).copy()
    if happens == "shut":
        audio.shut()
        audio.push(noise(0, rate).tobytes())
        audio.open()
    elif happens == "gap":
        audio.skip(7 * rate)
    elif happens == "format":
        audio.set_format(AudioFormat(22_050))
    elif happens == "trim":
        audio.trim(0)
    for _ in range(3):
        if happens == "silence":
            audio.push_silence(rate // 5)
        audio.push(noise(5, rate // 3).tobytes())
    np.testing.assert_array_equal(audio.read(cut), before)
    assert audio.live == 1
    audio.release(cut)
    audio.release(cut)
    assert audio.live == 0
    assert cut.saved is None


def test_all_windows_can_be_let_go_of_at_once() -> None:
    audio = buffer()
    audio.open()
    audio.push(bytes(100))
    assert len({audio.cut(), audio.cut()}) == audio.live == 2
    audio.release_all()
    assert audio.live == 0


def test_a_frame_of_any_length_is_taken() -> None:
    audio = buffer(rate=8_000)
    audio.open()
    audio.push(noise(0, 8_000 * 60).tobytes())
    whole = audio.read(audio.cut())
    pieces = buffer(rate=8_000)
    pieces.open()
    for at in range(0, 8_000 * 60, 8_000):
        pieces.push(noise(at, 8_000).tobytes())
    np.testing.assert_array_equal(pieces.read(pieces.cut()), whole)
    assert len(whole) == 48_000


@pytest.mark.parametrize("seconds", [1e-9, 3.0])
def test_the_shortest_and_the_longest_options_are_served(seconds: float) -> None:
    for rate in (8_000, 16_000, 192_000):
        audio = buffer(rate, hold=seconds, max_audio_duration=seconds, audio_prefix_duration=0.0)
        audio.open()
        audio.push(noise(0, 4 * rate).tobytes())
        expected = max(1, round(seconds * rate)) * 16_000 // rate
        assert len(audio.read(audio.cut())) == expected


def test_a_long_timeout_takes_no_more_memory_than_ten_seconds() -> None:
    audio = buffer(hold=1e9)
    assert audio._ring.capacity <= 13 * 16_000


def test_the_prefix_is_what_came_last_however_it_came() -> None:
    audio = buffer(prefix_before_agent=True, audio_prefix_duration=0.5)
    at = 0
    for count in (3_000, 100, 9_000, 0, 1_234, 4_321):
        audio.push(noise(at, count).tobytes())
        at += count
    audio.open()
    assert audio.length == 8_000
    np.testing.assert_array_equal(audio.read(audio.cut()), noise(at - 8_000, 8_000))
    audio.shut()
    audio.open()
    assert audio.length == 0


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_a_long_gap_and_a_new_format_empty_the_prefix(rate: int) -> None:
    audio = buffer(rate, prefix_before_agent=True)
    audio.push(noise(0, 1_000).tobytes())
    audio.skip(rate)
    audio.push(noise(0, 300).tobytes())
    audio.open()
    assert audio.length == 300
    audio.shut()
    audio.push(noise(0, 300).tobytes())
    audio.set_format(AudioFormat(16_000))
    audio.push(noise(0, 200).tobytes())
    audio.open()
    assert audio.length == 200
    np.testing.assert_array_equal(audio.read(audio.cut()), noise(0, 200))


def test_positions_go_on_exactly_over_changes_of_format() -> None:
    audio = buffer(rate=11_025)
    elapsed = Fraction(0)
    for rate in (44_100, 8_000, 48_000, 11_025):
        before = audio.format.sample_rate
        audio.push(bytes(2 * 1_001))
        elapsed += Fraction(1_001, before)
        audio.set_format(AudioFormat(rate))
        assert audio.position == 0
        assert audio.grid(0) == int(elapsed * 16_000)
    assert audio.grid(-11_025) == audio.grid(0) - 16_000
