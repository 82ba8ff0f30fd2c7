"""What the local backends cost: ``python -m benchmarks.local_backend``.

The floor is the VAD's own work for a second of audio in one go. Beside it: judging a second of an
open overlap, which is ten windows, in each of the ways in which windows come. Times are per call.
The second table is the learned judge's, per chunk of 32 ms, beside what the stream's own VAD
spends on the same chunk.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bargein.backends.learned import LearnedBackend, LearnedSession
from bargein.backends.local import LocalBackend
from bargein.core import Window
from bargein.vad.silero import SileroVad
from bargein.vad.track import CHUNK, SpeechTrack

from .timing import measure, table

RATE = 16_000
CALLS = 16
"""Calls whose windows come together in a batch."""


def windows(
    samples: npt.NDArray[np.int16], overlap: int, speech: SpeechTrack | None, bare: bool
) -> list[Window]:
    """The first ten windows of an overlap; they hold the second before its onset as well."""
    made = []
    for k in range(10):
        end = RATE + 3 * RATE // 10 + k * RATE // 10
        made.append(
            Window(
                id=overlap * 10 + k,
                overlap=overlap,
                samples=samples[:end],
                start=None if bare else 0,
                speech_start=None if bare else RATE,
                speech=None if speech is None else speech.read(0, end),
            )
        )
    return made


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(1)
    samples = (rng.standard_normal(4 * RATE) * 2_000).astype(np.int16)
    vad, backend = SileroVad.load(), LocalBackend()
    state = vad.new_state()
    second = samples[: RATE // CHUNK * CHUNK].reshape(-1, CHUNK)
    track = SpeechTrack(activations=False)
    track.feed(0, samples)
    known = windows(samples, 1, track, bare=False)
    bare = windows(samples, 1, None, bare=True)
    numbers = itertools.count(1)

    def one_by_one(given: list[Window]) -> Callable[[], object]:
        session = backend.open_session(None)
        return lambda: [session.predict(window) for window in given]

    def alone() -> None:
        session = backend.open_session(None)
        for window in windows(samples, next(numbers), None, bare=False):
            session.predict(window)

    def together() -> None:
        sessions = [backend.open_session(None) for _ in range(CALLS)]
        for window in windows(samples, next(numbers), None, bare=False):
            backend.predict_many([(session, window) for session in sessions])

    figures = measure(
        ("the VAD, a second at once", lambda: vad.run(second, state)),
        {
            "speech comes with the window": one_by_one(known),
            "judged from the window, with a second of warm-up": alone,
            f"the same, {CALLS} calls in a batch": together,
            "no positions: all of it, each time": one_by_one(bare),
        },
        rounds=9,
    )
    print(table(figures, title="the first second of an overlap, ten windows"))
    print()
    print(learned(samples))


def learned(samples: npt.NDArray[np.int16]) -> str:
    """The learned judge over ten windows, against the VAD over as many chunks, three at a time."""
    vad, backend = SileroVad.load(), LearnedBackend()
    track = SpeechTrack(activations=True)
    track.feed(0, samples)
    known = windows(samples, 1, track, bare=False)

    def judged(calls: int) -> list[LearnedSession]:
        sessions = [backend.open_session(None) for _ in range(calls)]
        for window in known:
            backend.predict_many([(session, window) for session in sessions])
        return sessions

    # Windows come each 0.1 s: three chunks and a bit.
    chunks = len(judged(1)[0].judged)
    state, some = vad.new_state(), samples[: chunks // 3 * 3 * CHUNK].reshape(-1, 3, CHUNK)
    figures = measure(
        ("the VAD", lambda: [vad.run(three, state) for three in some]),
        {
            "the learned judge": lambda: judged(1),
            f"the same, {CALLS} calls in a batch, all of them": lambda: judged(CALLS),
        },
        rounds=25,
    )
    lines = [f"{1e6 * each.seconds / chunks:6.1f} us per 32 ms  {each.name}" for each in figures]
    return "\n".join([table(figures, title="the learned judge, ten windows"), *lines])


if __name__ == "__main__":
    main()
