"""The learned local judge: knows "mm-hmm" from "wait". Nothing leaves home.

It needs nothing beyond the core install and works offline from the first call. What it was taught,
how well it judges, and what it can't do: see ``docs/model-card.md``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from bargein.core import Prediction, Window
from bargein.core.window import FRAME_SAMPLES
from bargein.errors import OptionError
from bargein.vad.silero import SileroVad
from bargein.vad.track import CHUNK, Speech

from .chunks import StreamSpeech, find_speech, grid_start
from .gru import BEFORE, JudgeState, Network
from .protocol import Session
from .sustained import loud_speech, newest_run

__all__ = ["OPERATING_POINTS", "LearnedBackend", "LearnedSession", "OperatingPoint"]

OperatingPoint = Literal["cautious", "balanced", "eager"]

OPERATING_POINTS: Mapping[str, float] = MappingProxyType(
    {"cautious": 0.7, "balanced": 0.5, "eager": 0.4}
)
"""Name -> threshold. A cautious judge stops the agent for less that isn't meant so, and misses or
delays more that is; the model card has the figures of each."""

_Chunk = tuple[JudgeState, Speech, npt.NDArray[np.int16]]


class LearnedBackend:
    """Judges by a small network over the VAD's activations. A
    :class:`~bargein.backends.BatchBackend`.

    Each probability says how likely this is a true interruption, given what was heard up to there.
    The threshold that suits a moment falls with time (after 0.1 s nobody can tell "yeah" from
    "yeah, but …"); that is in the probabilities already: 0.5 is the balanced operating point at
    any time. The answer depends on the audio and the onset alone, not on which windows came before.

    Thread-safe; one object may serve all streams, and several cost nothing more (the weights are
    shared by the process). Holds no resource that would have to be closed.

    ``operating_point``
        Which threshold is the default: ``"cautious"``, ``"balanced"`` or ``"eager"``.
    ``weights``
        A file that ``training.export`` wrote, instead of the shipped one.
    ``clock``
        Seconds, from which :attr:`~bargein.core.Prediction.duration` is taken.

    Raises :class:`~bargein.errors.OptionError` where there is no such operating point and
    :class:`~bargein.errors.ModelError` where weights are missing or damaged.
    """

    model: str = "bargein-judge-4"
    provider: str = "bargein"
    needs_activations = True
    """The stream's speech track must keep the VAD's activations."""

    def __init__(
        self,
        operating_point: OperatingPoint = "balanced",
        *,
        weights: str | PathLike[str] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if operating_point not in OPERATING_POINTS:
            raise OptionError(
                f"got operating_point={operating_point!r}; expected one of "
                f"{', '.join(map(repr, OPERATING_POINTS))}"
            )
        self.operating_point = operating_point
        self.default_threshold: float | None = OPERATING_POINTS[operating_point]
        self._vad = SileroVad.load()  # here, so that what is wrong with it shows at once
        self.network = Network.load() if weights is None else Network.read(weights)
        self._clock = clock

    def open_session(self, stream_id: str | None) -> LearnedSession:
        """Open a stream's session; takes microseconds and 1 kB until it is used."""
        return LearnedSession(self)

    def predict_many(self, batch: Sequence[tuple[Session, Window]]) -> list[Prediction]:
        """Judge one window of each session; the same answers as one by one, for less.

        Each prediction's duration is that of the whole batch. May be called from several threads
        at once, for different sessions.

        Raises:
            OptionError: a session isn't a learned backend's, or comes twice.
        """
        began = self._clock()
        pairs = [(_own(session), window) for session, window in batch]
        if len({id(session) for session, _ in pairs}) < len(pairs):
            raise OptionError(
                f"a batch of {len(pairs)} windows came with a session twice; expected one "
                "window of each: a session's windows are judged one after the other"
            )
        found = find_speech(self._vad, [(session.speech, window) for session, window in pairs])
        heard = zip(pairs, found, strict=True)
        jobs = [
            session.new_chunks(window, speech, self.network) for (session, window), speech in heard
        ]
        judged = self.network.listen([job for job in jobs if job is not None])
        answers = iter(judged)
        predictions = []
        for (session, window), job in zip(pairs, jobs, strict=True):
            if job is not None:
                session.judged.extend(next(answers))
            predictions.append(session.answer(window))
        duration = max(0.0, self._clock() - began)
        return [Prediction(values, duration=duration) for values in predictions]


class LearnedSession:
    """One stream's judge: :class:`LearnedBackend` makes it. Not for two threads at once."""

    def __init__(self, backend: LearnedBackend) -> None:
        self._backend = backend
        self.close()

    def predict(self, window: Window) -> Prediction:
        """Judge a window."""
        return self._backend.predict_many([(self, window)])[0]

    def close(self) -> None:
        """Free what is held; harmless twice."""
        self.speech = StreamSpeech(activations=True)
        self._overlap: int | None = None
        self._state: JudgeState | None = None
        self._first = 0
        self.judged: list[float] = []
        """The probability after each chunk of the overlap, from chunk ``_first`` on."""

    def new_chunks(self, window: Window, speech: Speech, network: Network) -> _Chunk | None:
        """What of a window wasn't judged yet; ``None`` where nobody has spoken."""
        start = grid_start(window)
        samples = window.samples[speech.start - start : speech.end - start].reshape(-1, CHUNK)
        after = self._first + len(self.judged)
        continues = (
            self._state is not None
            and window.start is not None
            and window.overlap == self._overlap
            and speech.first <= after
        )
        if not continues:
            self._overlap = None if window.start is None else window.overlap
            self._state, self.judged = None, []
            if window.speech_start is not None:
                onset = (start + window.speech_start) // CHUNK
            else:
                run = newest_run(loud_speech(speech, _powers(samples)))
                if run is None:
                    return None
                onset = speech.first + run
            self._first = after = max(onset - BEFORE, speech.first)
            self._state = network.new_state()
        assert self._state is not None
        new = slice(max(0, after - speech.first), None)
        assert speech.activations is not None
        chunks = Speech(
            speech.first + new.start, speech.probabilities[new], speech.activations[new]
        )
        return self._state, chunks, samples[new]

    def answer(self, window: Window) -> npt.NDArray[np.float32]:
        """A probability for each 25 ms: that of the chunk in which its middle lies.

        Up to where the judge listens it is 0; after the newest chunk the last one holds.
        """
        count = -(-len(window.samples) // FRAME_SAMPLES)
        if not self.judged:
            return np.zeros(count, np.float32)
        middles = np.arange(count) * FRAME_SAMPLES + FRAME_SAMPLES // 2 + grid_start(window)
        chunks = middles // CHUNK - self._first
        values = np.array([0.0, *self.judged], np.float32)
        return values[np.clip(chunks + 1, 0, len(self.judged))]


def _own(session: Session) -> LearnedSession:
    if not isinstance(session, LearnedSession):
        raise OptionError(
            f"a session came as {session!r}; the learned backend judges only those that its own "
            "open_session() made"
        )
    return session


def _powers(samples: npt.NDArray[np.int16]) -> list[float]:
    """The energy of each chunk: sums of squares of int16 are exact, in whatever order."""
    powers: list[float] = np.square(samples, dtype=np.float64).sum(axis=1).tolist()
    return powers
