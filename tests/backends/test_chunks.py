"""Speech in windows: judged once, the same whatever came before, batched or not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bargein.backends import chunks
from bargein.backends.chunks import MARGIN, WARM_UP, StreamSpeech, find_speech
from bargein.core import Window
from bargein.vad.silero import SileroVad
from bargein.vad.track import CHUNK, Speech, SpeechTrack

from .sounds import join, voice, window


@pytest.fixture(scope="module")
def vad() -> SileroVad:
    return SileroVad.load()


class CountingVad(SileroVad):
    """The network, counting the chunks that it is asked about."""

    def __init__(self) -> None:
        vad = SileroVad.load()
        super().__init__(vad.sample_rate, vad._w)
        self.single = self.together = 0

    def run(self, chunks, state):  # type: ignore[no-untyped-def]
        self.single += len(chunks)
        return super().run(chunks, state)

    def step(self, chunks, state):  # type: ignore[no-untyped-def]
        self.together += len(chunks)
        return super().step(chunks, state)


def find(vad: SileroVad, stream: StreamSpeech, *windows: Window) -> Speech:
    """What is known of the last of a stream's windows."""
    return [find_speech(vad, [(stream, window)])[0] for window in windows][-1]


def straight(vad: SileroVad, samples: np.ndarray, first: int, last: int) -> Speech:
    """Chunks ``first`` to ``last`` judged in one go, from a fresh state."""
    part = samples[first * CHUNK : last * CHUNK].reshape(-1, CHUNK)
    return Speech(first, vad.run(part, vad.new_state())[0])


def test_what_the_stream_knows_is_taken(vad: SileroVad) -> None:
    counting = CountingVad()
    track = SpeechTrack(vad)
    track.feed(0, voice()[:40_000])
    found = find(counting, StreamSpeech(), window(voice(), 0.5, 2.0, onset=1.28, track=track))
    assert counting.single == counting.together == 0
    assert found == Speech(16, track.read(0, 32_000 - MARGIN).probabilities[16:])


def test_else_it_is_judged_from_a_second_before_the_onset(vad: SileroVad) -> None:
    found = find(vad, StreamSpeech(), window(voice(), 0.0, 3.0, onset=1.5))
    first = (24_000 - WARM_UP) // CHUNK
    assert found == straight(vad, voice(), first, (48_000 - MARGIN) // CHUNK)


def test_or_from_the_windows_first_whole_chunk(vad: SileroVad) -> None:
    found = find(vad, StreamSpeech(), window(voice(), 0.99, 3.0, onset=1.5))
    assert found == straight(vad, voice(), -(-15_840 // CHUNK), (48_000 - MARGIN) // CHUNK)
    anywhere = find(vad, StreamSpeech(), window(voice(), 0.99, 3.0))
    assert anywhere == found


def test_a_window_that_says_not_where_it_lies_has_a_grid_of_its_own(vad: SileroVad) -> None:
    counting = CountingVad()
    stream = StreamSpeech()
    for end in (2.0, 2.1):
        bare = window(voice(), 0.99, end, shift=None)
        own = voice()[15_840 : round(end * 16_000)]
        expected = straight(vad, own, 0, (len(own) - MARGIN) // CHUNK)
        assert find(counting, stream, bare) == expected
    assert counting.single == 31 + 34  # afresh each time


def test_each_chunk_is_judged_once() -> None:
    counting = CountingVad()
    stream = StreamSpeech()
    ends = np.arange(1.4, 4.5, 0.1)
    windows = [window(voice(), max(0.28, end - 3.0), end, onset=1.28) for end in ends]
    for number, cut in enumerate(windows):
        found = find(counting, stream, cut)
        assert found.end <= round(ends[number] * 16_000) - MARGIN
        assert found.first >= cut.start / CHUNK
    whole = (round(ends[-1] * 16_000) - MARGIN) // CHUNK
    assert counting.single == whole - (20_480 - WARM_UP) // CHUNK - 1
    # Of what lies before the window nothing is kept.
    assert find(counting, stream, windows[-1]).first * CHUNK >= windows[-1].start


def test_an_overlap_starts_anew(vad: SileroVad) -> None:
    stream = StreamSpeech()
    find(vad, stream, window(voice(), 0.5, 2.0, onset=1.28))
    again = find(vad, stream, window(voice(), 0.5, 2.5, onset=2.0, overlap=2))
    assert again == straight(vad, voice(), 31, (40_000 - MARGIN) // CHUNK)


def test_so_does_a_window_past_what_was_judged(vad: SileroVad) -> None:
    stream = StreamSpeech()
    find(vad, stream, window(voice(), 0.0, 2.0, onset=1.28))
    later = find(vad, stream, window(voice(), 2.5, 3.5, onset=1.28))
    assert later == straight(vad, voice(), -(-40_000 // CHUNK), (56_000 - MARGIN) // CHUNK)


def test_after_the_streams_speech_ends_it_goes_on_alone(vad: SileroVad) -> None:
    track = SpeechTrack(vad)
    track.feed(0, voice()[:40_000])
    stream = StreamSpeech()
    find(vad, stream, window(voice(), 0.0, 2.0, onset=1.28, track=track))
    short = window(voice(), 0.0, 3.0, onset=1.28, track=track)
    assert find(vad, stream, short) == find(
        vad, StreamSpeech(), window(voice(), 0.0, 3.0, onset=1.28)
    )


def test_speech_that_begins_behind_the_onset_is_not_enough(vad: SileroVad) -> None:
    late, warm = (SpeechTrack(vad, activations=False) for _ in range(2))
    late.feed(24_000, voice()[24_000:48_000])
    warm.feed(16_000, voice()[16_000:48_000])  # not the whole window, but from the onset on
    asked = {"begin": 0.0, "end": 3.0, "onset": 1.28}
    alone = find(vad, StreamSpeech(), window(voice(), **asked))
    assert find(vad, StreamSpeech(), window(voice(), track=late, **asked)) == alone
    known = find(vad, StreamSpeech(), window(voice(), track=warm, **asked))
    assert known == warm.read(0, 48_000 - MARGIN)
    # Where the onset is unknown, all of the window must be known.
    unknown = find(vad, StreamSpeech(), window(voice(), 0.0, 3.0, track=warm))
    assert unknown == find(vad, StreamSpeech(), window(voice(), 0.0, 3.0))


def test_speech_on_an_unknown_grid_is_not_looked_at(vad: SileroVad) -> None:
    bare = Window(id=1, overlap=1, samples=voice()[:16_000], speech=Speech(0, np.zeros(31)))
    assert find(vad, StreamSpeech(), bare) == straight(vad, voice(), 0, 31)


@pytest.mark.parametrize("count", [0, 1, 65, 66, 577, 578])
@pytest.mark.parametrize("start", [0, 1, 700, None])
@pytest.mark.parametrize("onset", [None, -900, 30, 90_000])
def test_short_windows_know_little(
    vad: SileroVad, count: int, start: int | None, onset: int | None
) -> None:
    short = Window(id=1, overlap=1, samples=voice()[:count], start=start, speech_start=onset)
    found = find(vad, StreamSpeech(), short)
    assert len(found) == (count == 578 and start in (0, None) and onset != 90_000)


@settings(max_examples=15)
@given(
    shift=st.integers(0, 2_000),
    onset=st.sampled_from([0.9, 1.28, 1.333]),
    answered=st.lists(st.booleans(), min_size=12, max_size=12),
    provisional=st.integers(0, 32),
)
def test_superseded_windows_change_nothing(
    shift: int, onset: float, answered: list[bool], provisional: int
) -> None:
    """Nor does a resampler's look-ahead, which makes a window's newest samples differ."""
    vad = SileroVad.load()
    every, some = StreamSpeech(), StreamSpeech()
    for number, chosen in enumerate(answered):
        end = onset + 0.15 + 0.1 * number
        rough = voice().copy()
        last = round(end * 16_000)
        rough[last - provisional : last] += 900
        cut = window(rough, 0.2, end, onset=onset, number=number, shift=shift)
        found = find(vad, every, cut)
        if chosen:
            assert find(vad, some, cut) == found


@settings(max_examples=10)
@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 13), st.floats(0.3, 1.4)), max_size=14), max_size=3
    )
)
def test_a_batch_gives_what_one_by_one_gives(
    batches: Sequence[Sequence[tuple[int, float]]],
) -> None:
    vad = SileroVad.load()
    together = [StreamSpeech() for _ in range(14)]
    alone = [StreamSpeech() for _ in range(14)]
    for turn, batch in enumerate(batches):
        windows = {
            stream: window(voice(), 0.1 * stream, 0.1 * stream + length + 0.2 * turn)
            for stream, length in batch
        }
        found = find_speech(vad, [(together[stream], cut) for stream, cut in windows.items()])
        for (stream, cut), speech in zip(windows.items(), found, strict=True):
            assert find(vad, alone[stream], cut) == speech


def test_many_streams_go_through_the_network_together() -> None:
    counting = CountingVad()
    streams = [StreamSpeech() for _ in range(12)]
    ends = [0.3] * 4 + [0.6] * 6 + [0.9] * 2
    windows = [window(voice(), 0.0, end) for end in ends]
    find_speech(counting, list(zip(streams, windows, strict=True)))
    counts = [(round(end * 16_000) - MARGIN) // CHUNK for end in ends]
    assert counts[0] < counts[4] < counts[-1]
    assert counting.together == 4 * counts[0] + 8 * counts[4]
    assert counting.single == 2 * (counts[-1] - counts[4])
    assert chunks._BATCH_FROM == 8


def test_silence_around_does_not_matter_much(vad: SileroVad) -> None:
    """The warm-up is enough: a state that heard more gives nearly the same."""
    samples = join(3.0, voice())
    track = SpeechTrack(vad)
    track.feed(0, samples)
    cut = window(samples, 1.0, 4.0, onset=3.3)
    known = window(samples, 1.0, 4.0, onset=3.3, track=track)
    ours, theirs = find(vad, StreamSpeech(), cut), find(vad, StreamSpeech(), known)
    both = min(len(ours), 20)
    np.testing.assert_allclose(ours.probabilities[-both:], theirs.probabilities[-both:], atol=0.05)
