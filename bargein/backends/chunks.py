"""Speech in a window, chunk by chunk: what its stream knows already, else judged here.

A stream whose own VAD runs sends what it found with each window, and nothing is computed twice.
Where it has none (the user brought a VAD, or the window came over a wire) the session judges the
chunks of its windows itself: each once, as windows overlap.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from bargein.core import Window
from bargein.vad.silero import ACTIVATIONS, SileroVad, VadState
from bargein.vad.track import CHUNK, SAMPLE_RATE, Speech

__all__ = ["MARGIN", "WARM_UP", "StreamSpeech", "find_speech"]

MARGIN = 66
"""Samples. A chunk counts from when it ends so far before the window does. A resampler's newest
2 to 3 ms are provisional (they change from one window to the next), and a stream's own VAD hears a
chunk 4 ms after its end; two samples more are for rounding at odd rates."""

WARM_UP = SAMPLE_RATE
"""Samples (1 s) before the caller's onset from which chunks are judged, where the window reaches
back so far: the VAD must know the room. What it hears hangs on the onset, not on where a window
happens to begin, so that it doesn't matter which windows were superseded."""

_BATCH_FROM = 8
"""Streams. Fewer cost less one after the other, each with all its chunks at once."""

_Chunks = npt.NDArray[np.int16]
_Floats = npt.NDArray[np.float32]


def grid_start(window: Window) -> int:
    """Where the window begins on its stream's grid; 0, a grid of its own, where that is unknown."""
    return 0 if window.start is None else window.start


def _span(window: Window) -> range:
    """The chunks that count: from the warm-up before the onset to the newest certain one."""
    start = grid_start(window)
    end = (start + len(window.samples) - MARGIN) // CHUNK
    if window.speech_start is not None:
        warm = (start + window.speech_start - WARM_UP) // CHUNK
        return range(min(max(-(-start // CHUNK), warm), end), end)
    return range(min(-(-start // CHUNK), end), end)


def _known(window: Window, activations: bool) -> Speech | None:
    """What came with the window, if it reaches from the onset to the newest certain chunk."""
    speech, span = window.speech, _span(window)
    if speech is None or window.start is None:
        return None
    if activations and speech.activations is None:
        return None
    first = span.start
    if window.speech_start is not None:
        first = max(first, (window.start + window.speech_start) // CHUNK)
    if speech.first > first or speech.first + len(speech) < span.stop:
        return None
    first = max(span.start, speech.first)
    rows = slice(first - speech.first, span.stop - speech.first)
    if speech.activations is None or not activations:
        return Speech(first, speech.probabilities[rows])
    return Speech(first, speech.probabilities[rows], speech.activations[rows])


class StreamSpeech:
    """The chunks of one stream's windows, each judged once. Belongs to a session.

    It starts anew at an overlap's first window, where a window begins past what was judged, and
    at each window that doesn't say where it lies. Holds 2 kB, for the newest window's chunks; with
    ``activations`` (where a judge looks at more than probabilities) 100 kB.
    """

    def __init__(self, *, activations: bool = False) -> None:
        self.activations = activations
        self._overlap: int | None = None
        self._state: VadState | None = None
        self._forget(0)

    def _forget(self, first: int) -> None:
        self._first = first
        self._probabilities: _Floats = np.empty(0, np.float32)
        self._activations: _Floats = np.empty((0, ACTIVATIONS), np.float32)

    def missing(self, window: Window, vad: SileroVad) -> tuple[VadState, _Chunks]:
        """The chunks that must be judged for this window, (k, 512), and the state to do it with."""
        span = _span(window)
        after = self._first + len(self._probabilities)
        anew = window.start is None or window.overlap != self._overlap or span.start > after
        if anew or self._state is None:
            self._overlap = None if window.start is None else window.overlap
            after = span.start
            self._forget(after)
            self._state = vad.new_state()
        start = grid_start(window)
        samples = window.samples[after * CHUNK - start : max(after, span.stop) * CHUNK - start]
        return self._state, samples.reshape(-1, CHUNK)

    def take(self, window: Window, probabilities: _Floats, activations: _Floats) -> Speech:
        """Add what was found for the missing chunks; give what is known of the window."""
        span = _span(window)
        passed = max(0, span.start - self._first)
        self._probabilities = np.concatenate((self._probabilities[passed:], probabilities))
        self._first += passed
        rows = slice(0, span.stop - self._first)
        if not self.activations:
            return Speech(self._first, self._probabilities[rows])
        self._activations = np.concatenate((self._activations[passed:], activations))
        return Speech(self._first, self._probabilities[rows], self._activations[rows])


def find_speech(vad: SileroVad, batch: Sequence[tuple[StreamSpeech, Window]]) -> list[Speech]:
    """Give the speech in one window of each stream; the streams are all different.

    Chunk i covers [512 i, 512 (i + 1)) of the stream's grid, or of the window's own where it
    doesn't say where it lies. Every chunk ends at least 4 ms before the window does. The answers
    are the same, to the last bit, whatever else is in the batch.
    """
    answers = [_known(window, stream.activations) for stream, window in batch]
    asked = [i for i, answer in enumerate(answers) if answer is None]
    jobs = [batch[i][0].missing(batch[i][1], vad) for i in asked]
    for i, found in zip(asked, _judge(vad, jobs), strict=True):
        stream, window = batch[i]
        answers[i] = stream.take(window, *found)
    return [answer for answer in answers if answer is not None]


@attrs.define(eq=False)
class _Row:
    """One stream's share of a batch."""

    state: VadState
    chunks: _Chunks
    found: _Floats
    activations: _Floats


def _row(state: VadState, chunks: _Chunks) -> _Row:
    count = len(chunks)
    empty = np.empty((count, ACTIVATIONS), np.float32)
    return _Row(state, chunks, np.empty(count, np.float32), empty)


def _judge(
    vad: SileroVad, jobs: Sequence[tuple[VadState, _Chunks]]
) -> list[tuple[_Floats, _Floats]]:
    """Judge each stream's chunks, moving its state on; many streams chunk by chunk together."""
    rows = [_row(*job) for job in jobs]
    most_first = sorted(rows, key=lambda row: -len(row.chunks))
    done = _judge_together(vad, most_first) if len(rows) >= _BATCH_FROM else 0
    for row in rows:
        if len(row.chunks) > done:
            found = vad.run(row.chunks[done:], row.state)
            row.found[done:], row.activations[done:] = found
    return [(row.found, row.activations) for row in rows]


def _judge_together(vad: SileroVad, rows: list[_Row]) -> int:
    """Judge all chunks that enough streams have; give how many of each that is.

    ``rows`` are in order of their number of chunks, most first, so those that still have one are
    always the first so many.
    """
    joined = VadState(
        h=np.concatenate([row.state.h for row in rows]),
        c=np.concatenate([row.state.c for row in rows]),
        context=np.concatenate([row.state.context for row in rows]),
    )
    done = len(rows[_BATCH_FROM - 1].chunks)
    for at in range(done):
        active = [row for row in rows if len(row.chunks) > at]
        n = len(active)
        state = VadState(joined.h[:n], joined.c[:n], joined.context[:n])
        found, activations = vad.step(np.stack([row.chunks[at] for row in active]), state)
        for i, row in enumerate(active):
            row.found[at], row.activations[at] = found[i], activations[i]
    for i, row in enumerate(rows):
        row.state.h[...], row.state.c[...] = joined.h[i], joined.c[i]
        row.state.context[...] = joined.context[i]
    return done
