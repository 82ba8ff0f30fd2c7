"""Properties: what is cut depends on positions, never on how the audio was framed."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bargein.audio import AudioFormat
from bargein.core import (
    AgentSpeechEnded,
    AgentSpeechStarted,
    Gap,
    InterruptionMachine,
    InterruptionOptions,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    SendWindow,
    SetFormat,
)

FORMATS = [
    AudioFormat(16_000),
    AudioFormat(8_000, 1, "mulaw"),
    AudioFormat(44_100),
    AudioFormat(11_025, 2),
    AudioFormat(48_000, 2, "s16be"),
    AudioFormat(24_000, 1, "u8"),
]

MANY = 1000
"""Windows in flight: nothing is superseded, so each cut can be seen."""

CONTROLS = [
    AgentSpeechStarted(),
    AgentSpeechEnded(),
    OverlapSpeechStarted(speech_duration=0.15),
    OverlapSpeechEnded(),
    Gap(0.2),
    Gap(0.05),
    Gap(0.21),
    None,
]


@attrs.frozen
class Script:
    """Pieces of audio (seconds), each with a control item behind it."""

    format: AudioFormat
    pieces: list[tuple[float, Any]]
    options: InterruptionOptions

    def audio(self) -> list[bytes]:
        noise = np.random.Generator(np.random.PCG64(7))
        return [
            noise.bytes(round(seconds * self.format.sample_rate) * self.format.frame_width)
            for seconds, _ in self.pieces
        ]

    def cuts(self, frame: float) -> list[tuple[int, int, bytes]]:
        """Return each window's id, end and bytes where frames are ``frame`` seconds long."""
        machine = InterruptionMachine(self.options, format=self.format)
        size = max(1, round(frame * self.format.sample_rate)) * self.format.frame_width
        found = []
        for data, (_, control) in zip(self.audio(), self.pieces, strict=True):
            inputs = [data[at : at + size] for at in range(0, len(data), size)]
            for item in [*inputs, control] if control else inputs:
                for action in machine.handle(item, now=0.0):
                    if isinstance(action, SendWindow):
                        window = action.window
                        assert window.start is not None
                        end = window.start + len(window.samples)
                        found.append((window.id, end, window.samples.tobytes()))
        return found


OPTIONS = st.builds(
    InterruptionOptions,
    max_audio_duration=st.sampled_from([3.0, 0.37]),
    audio_prefix_duration=st.sampled_from([0.2, 0.0]),
    detection_interval=st.sampled_from([0.1, 0.0333, 0.5]),
    inference_timeout=st.sampled_from([0.7, 0.001]),
    eager_first_window=st.booleans(),
    reset_window_per_overlap=st.booleans(),
    prefix_before_agent=st.booleans(),
    max_in_flight=st.just(MANY),
)

SCRIPTS = st.builds(
    Script,
    format=st.sampled_from(FORMATS),
    pieces=st.lists(
        st.tuples(st.floats(0.0, 0.8), st.sampled_from(CONTROLS)), min_size=1, max_size=6
    ).map(lambda pieces: [(0.1, CONTROLS[0]), (0.4, CONTROLS[2]), *pieces]),
    options=OPTIONS,
)


@settings(max_examples=25)
@given(script=SCRIPTS, frame=st.sampled_from([0.007, 0.02, 0.0501, 1.0, 10.0]))
def test_frame_size_never_changes_what_is_cut(script: Script, frame: float) -> None:
    assert script.cuts(frame) == script.cuts(0.031)


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_frames_of_7_ms_20_ms_1_s_and_10_s_give_the_same_windows(fmt: AudioFormat) -> None:
    pieces = [(0.3, CONTROLS[0]), (1.3, CONTROLS[2]), (2.5, CONTROLS[4]), (1.0, None)]
    script = Script(fmt, pieces, InterruptionOptions(max_in_flight=MANY, verdict_grace=0.0))
    cuts = script.cuts(10.0)
    assert len(cuts) >= 36
    assert script.cuts(0.007) == script.cuts(0.02) == script.cuts(1.0) == cuts


@settings(max_examples=30)
@given(
    rate=st.sampled_from([8_000, 11_025, 16_000, 44_100, 192_000]),
    interval=st.sampled_from([0.1, 0.0333, 0.07, 1 / 3]),
    frames=st.lists(st.integers(0, 9_000), max_size=20),
)
def test_cuts_lie_at_whole_intervals_past_the_start_rounded_half_up(
    rate: int, interval: float, frames: list[int]
) -> None:
    options = InterruptionOptions(detection_interval=interval, max_in_flight=MANY)
    machine = InterruptionMachine(options, format=AudioFormat(rate))
    machine.handle(AgentSpeechStarted(), now=0.0)
    machine.handle(bytes(2 * 777), now=0.0)
    machine.handle(OverlapSpeechStarted(), now=0.0)
    found = []
    for frame in frames:
        missing = machine.samples_to_cut()
        assert missing is not None
        actions = machine.handle(bytes(2 * frame), now=0.0)
        assert bool(actions) == (frame >= missing)
        found += [a.window.start + len(a.window.samples) for a in actions]  # type: ignore
    position = 777 + sum(frames)
    cuts = (777 + int(k * options.interval * rate + Fraction(1, 2)) for k in range(1, 1000))
    assert found == [at * 16_000 // rate for at in cuts if at <= position]


@given(
    rate=st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 48_000]),
    samples=st.integers(1, 30_000),
)
@example(rate=44_100, samples=22_051)
@example(rate=11_025, samples=3)
def test_a_window_has_as_many_samples_as_its_audio_gives(rate: int, samples: int) -> None:
    options = InterruptionOptions(detection_interval=samples / rate)
    machine = InterruptionMachine(options, format=AudioFormat(rate))
    machine.handle(AgentSpeechStarted(), now=0.0)
    machine.handle(OverlapSpeechStarted(), now=0.0)
    missing = machine.samples_to_cut()
    assert missing is not None
    [action] = machine.handle(bytes(2 * missing), now=0.0)
    assert isinstance(action, SendWindow)
    assert len(action.window.samples) == missing * 16_000 // rate


def test_a_window_at_16_khz_is_the_audio_itself() -> None:
    audio = np.arange(40_000, dtype=np.int16)
    machine = InterruptionMachine(InterruptionOptions(max_in_flight=MANY))
    machine.handle(AgentSpeechStarted(), now=0.0)
    machine.handle(OverlapSpeechStarted(), now=0.0)
    windows = [a.window for a in machine.handle(audio, now=0.0)]  # type: ignore[union-attr]
    assert len(windows) == 25
    for window in windows:
        np.testing.assert_array_equal(
            window.samples, audio[window.start : window.start + len(window.samples)]
        )


def test_positions_go_on_from_the_exact_time_before_a_change_of_format() -> None:
    machine = InterruptionMachine(format=AudioFormat(11_025))
    machine.handle(AgentSpeechStarted(), now=0.0)
    machine.handle(bytes(2 * 5001), now=0.0)
    machine.handle(SetFormat(AudioFormat(44_100)), now=0.0)
    machine.handle(bytes(2 * 7003), now=0.0)
    machine.handle(SetFormat(AudioFormat(8_000)), now=0.0)
    machine.handle(OverlapSpeechStarted(), now=0.0)
    [action] = machine.handle(bytes(2 * 800), now=0.0)
    assert isinstance(action, SendWindow)
    assert action.window.start == int((5001 / 11_025 + 7003 / 44_100) * 16_000)


def test_silence_is_what_a_short_gap_leaves() -> None:
    machine = InterruptionMachine()
    machine.handle(AgentSpeechStarted(), now=0.0)
    machine.handle(OverlapSpeechStarted(), now=0.0)
    loud = np.full(800, 1000, np.int16)
    machine.handle(loud, now=0.0)
    [action] = machine.handle(Gap(0.05), now=0.0)
    assert isinstance(action, SendWindow)
    np.testing.assert_array_equal(action.window.samples, np.r_[loud, np.zeros(800, np.int16)])
    [action] = machine.handle(Gap(0.2), now=0.0)[-1:]
    assert len(action.window.samples) == 800 + 800 + 3200  # type: ignore[union-attr]


def test_a_long_gap_empties_the_window_and_starts_the_cadence_anew() -> None:
    machine = InterruptionMachine()
    machine.handle(AgentSpeechStarted(), now=0.0)
    machine.handle(np.ones(8000, np.int16), now=0.0)
    machine.handle(OverlapSpeechStarted(), now=0.0)
    machine.handle(np.ones(800, np.int16), now=0.0)
    assert machine.handle(Gap(0.2001), now=0.0) == []
    assert machine.samples_to_cut() == 1600
    [action] = machine.handle(np.ones(1600, np.int16), now=0.0)
    assert isinstance(action, SendWindow)
    assert len(action.window.samples) == 1600
    assert action.window.start == 8800 + 3202
