"""The track of speech: on the stream's grid, whatever the framing, with jumps and a gate."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bargein.errors import FrameError, ModelError, OptionError
from bargein.vad.silero import ACTIVATIONS, HIDDEN, SileroVad
from bargein.vad.track import CHUNK, Speech, SpeechTrack

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """6.5 s of a real voice and some noise, int16 at 16 kHz: see data/README.md."""
    with np.load(DATA / "silero_reference.npz") as archive:
        return archive["samples_16k"]


def judged(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the network says of the whole chunks, straight."""
    vad = SileroVad.load()
    whole = samples[: len(samples) // CHUNK * CHUNK].reshape(-1, CHUNK)
    return vad.run(whole, vad.new_state())


def test_chunks_lie_on_the_streams_grid(speech: np.ndarray) -> None:
    track = SpeechTrack()
    assert track.position is None
    assert track.known == range(0)
    new = track.feed(0, speech[:1_600])
    assert (new.first, len(new), new.start, new.end) == (0, 3, 0, 1_536)
    assert new.activations is None
    new = track.feed(1_600, speech[1_600:2_000])
    assert (new.first, len(new)) == (3, 0)
    new = track.feed(2_000, speech[2_000:2_048])
    assert (new.first, len(new), track.position, track.known) == (3, 1, 2_048, range(4))
    probabilities, activations = judged(speech[:2_048])
    assert track.read(0, 2_048) == Speech(0, probabilities, activations)
    np.testing.assert_array_equal(new.probabilities, probabilities[3:])


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 24_000), max_size=12), start=st.integers(-3_000, 90_000))
def test_no_framing_changes_a_bit(speech: np.ndarray, cuts: list[int], start: int) -> None:
    audio = speech[:24_000]
    whole, framed = SpeechTrack(), SpeechTrack()
    whole.feed(start, audio)
    edges = [0, *sorted(cuts), len(audio)]
    new = [framed.feed(start + a, audio[a:b]) for a, b in itertools.pairwise(edges)]
    everything = (start - CHUNK, start + len(audio))
    assert framed.read(*everything) == whole.read(*everything)
    assert framed.position == whole.position == start + len(audio)
    together = np.concatenate([part.probabilities for part in new])
    np.testing.assert_array_equal(together, whole.read(*everything).probabilities)
    for part, following in itertools.pairwise(new):
        if len(part):
            assert following.first == part.first + len(part)


def test_windows_that_overlap_are_judged_once(speech: np.ndarray) -> None:
    whole, windowed = SpeechTrack(), SpeechTrack()
    whole.feed(500, speech[500:30_000])
    for end in range(6_000, 30_001, 1_600):
        windowed.feed(500, speech[500:end])
    windowed.feed(500, speech[500:30_000])
    assert windowed.read(0, 30_000) == whole.read(0, 30_000)
    assert len(windowed.feed(4_000, speech[4_000:8_000])) == 0  # long known
    assert windowed.position == 30_000


def test_a_jump_begins_anew_as_if_zeros_came_before(speech: np.ndarray) -> None:
    track = SpeechTrack()
    track.feed(0, speech[:20_000])
    new = track.feed(30_100, speech[30_100:40_000])
    assert (new.first, track.known) == (58, range(58, 78))
    fresh = np.concatenate([np.zeros(30_100 - 58 * CHUNK, np.int16), speech[30_100:40_000]])
    probabilities, activations = judged(fresh)
    assert track.read(0, 40_000) == Speech(58, probabilities, activations)


def test_nothing_fed_is_nothing_known(speech: np.ndarray) -> None:
    track = SpeechTrack()
    assert len(track.feed(5_000, speech[:0])) == 0
    assert track.position is None
    assert len(track.read(0, 10_000)) == 0
    track.feed(5_000, speech[:100])  # no whole chunk yet
    assert (track.position, len(track.known)) == (5_100, 0)
    assert len(track.read(0, 10_000)) == 0
    track.feed(9_000, speech[:0])  # nothing came, so nothing jumped
    assert track.position == 5_100


def test_read_gives_the_chunks_inside_the_range(speech: np.ndarray) -> None:
    track = SpeechTrack(activations=False)
    track.feed(0, speech[:10_240])
    probabilities, _ = judged(speech[:10_240])
    assert track.read(512, 1_536) == Speech(1, probabilities[1:3])
    assert track.read(511, 1_537) == Speech(1, probabilities[1:3])
    assert track.read(513, 1_535) == Speech(2, [])
    assert track.read(-9_999, 99_999) == Speech(0, probabilities)
    assert len(track.read(50_000, 60_000)) == 0
    assert track.read(0, 10_240).activations is None


@pytest.mark.parametrize("step", [1_600, 20_000, 104_280])
def test_the_newest_seconds_are_kept(speech: np.ndarray, step: int) -> None:
    track = SpeechTrack(seconds=1.0)
    for start in range(0, len(speech), step):
        track.feed(start, speech[start : start + step])
    probabilities, activations = judged(speech)
    count = len(probabilities)
    assert track.known == range(count - 33, count)
    expected = Speech(count - 33, probabilities[-33:], activations[-33:])
    assert track.read(0, len(speech)) == expected


def test_where_the_gate_is_shut_there_is_silence_and_the_network_hears_on(
    speech: np.ndarray,
) -> None:
    asked: list[tuple[int, float]] = []

    def gate(index: int, level: float) -> bool:
        asked.append((index, level))
        return index % 3 != 0

    track = SpeechTrack()
    new = [track.feed(i, speech[i : i + 1_600], gate) for i in range(0, 32_000, 1_600)]
    probabilities, activations = judged(speech[:32_000])
    probabilities[::3] = 0
    activations[::3] = 0
    assert track.read(0, 32_000) == Speech(0, probabilities, activations)
    np.testing.assert_array_equal(np.concatenate([n.probabilities for n in new]), probabilities)
    assert [index for index, _ in asked] == list(range(62))


def test_levels_are_rms_below_full_scale() -> None:
    levels: list[float] = []

    def gate(index: int, level: float) -> bool:
        levels.append(level)
        return True

    square = np.tile(np.array([-32_768, 32_767], np.int16), CHUNK // 2)
    tenth = np.full(CHUNK, 3_277, np.int16)
    sine = np.round(32_767 * np.sin(np.arange(CHUNK) * 2 * np.pi / 64)).astype(np.int16)
    silence = np.zeros(CHUNK, np.int16)
    SpeechTrack().feed(0, np.concatenate([square, tenth, sine, silence]), gate)
    assert levels == pytest.approx([0, -20, -3.01, -math.inf], abs=0.01)


def test_a_reset_forgets(speech: np.ndarray) -> None:
    used, fresh = SpeechTrack(), SpeechTrack()
    used.feed(0, speech[20_000:40_000])
    used.reset()
    assert used.position is None
    assert len(used.read(0, 40_000)) == 0
    used.feed(0, speech[:9_000])
    fresh.feed(0, speech[:9_000])
    assert used.read(0, 9_000) == fresh.read(0, 9_000)


def test_what_was_read_cannot_change(speech: np.ndarray) -> None:
    track = SpeechTrack(seconds=0.5)
    new = track.feed(0, speech[:8_000])
    known = track.read(0, 8_000)
    assert known.activations is not None
    before = known.probabilities.copy(), known.activations.copy()
    for array in (new.probabilities, known.probabilities, known.activations):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    track.feed(8_000, speech[8_000:40_000])  # over the same slots
    np.testing.assert_array_equal(known.probabilities, before[0])
    np.testing.assert_array_equal(known.activations, before[1])
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        known.first = 1  # type: ignore[misc]


def test_speech_copies_what_others_may_write_to() -> None:
    mine = np.array([0.25, 0.5], np.float32)
    made = Speech(3, mine, np.ones((2, ACTIVATIONS)))
    mine[0] = 1
    assert made.probabilities.tolist() == [0.25, 0.5]
    assert made.activations is not None
    assert made.activations.dtype == np.float32
    assert made == Speech(3, [0.25, 0.5], np.ones((2, 2 * HIDDEN)))
    assert made != Speech(3, [0.25, 0.5])
    assert made != Speech(4, [0.25, 0.5], np.ones((2, 2 * HIDDEN)))
    assert made != Speech(3, [0.25, 0.75], np.ones((2, 2 * HIDDEN)))


def test_the_callers_buffer_may_be_reused(speech: np.ndarray) -> None:
    track, expected = SpeechTrack(), SpeechTrack()
    expected.feed(0, speech[:1_000])
    buffer = np.empty(500, np.int16)
    for start in (0, 500):
        buffer[:] = speech[start : start + 500]
        track.feed(start, buffer)
    assert track.read(0, 1_000) == expected.read(0, 1_000)


def test_what_does_not_fit_is_refused_by_name() -> None:
    track = SpeechTrack()
    with pytest.raises(FrameError, match="float64"):
        track.feed(0, np.zeros(512))  # type: ignore[arg-type]
    with pytest.raises(FrameError, match=r"\(2, 512\)"):
        track.feed(0, np.zeros((2, 512), np.int16))
    assert track.position is None
    with pytest.raises(OptionError, match=r"seconds=0"):
        SpeechTrack(seconds=0)
    with pytest.raises(OptionError, match="nan"):
        SpeechTrack(seconds=math.nan)
    with pytest.raises(OptionError, match="8000"):
        SpeechTrack(SileroVad.load(8_000))


def test_a_failed_load_leaves_the_track_as_it_was(
    speech: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(sample_rate: int) -> SileroVad:
        raise ModelError("gone")

    track = SpeechTrack()
    monkeypatch.setattr(SileroVad, "load", fail)
    with pytest.raises(ModelError, match="gone"):
        track.feed(0, speech[:1_000])
    monkeypatch.undo()
    track.feed(0, speech[:1_000])
    assert len(track.read(0, 1_000)) == 1


def test_a_given_vad_is_used(speech: np.ndarray) -> None:
    given_vad, by_itself = SpeechTrack(SileroVad.load()), SpeechTrack()
    assert given_vad.feed(0, speech[:1_100]) == by_itself.feed(0, speech[:1_100])
