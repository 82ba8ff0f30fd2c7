"""The local backend: judges by how long the caller's speech is sustained. Nothing leaves home.

It needs nothing beyond the core install and works offline from the first call. It is a
stopwatch, not an understanding: see ``docs/local.md`` for what it can't tell apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from bargein.core import Prediction, Window
from bargein.errors import OptionError
from bargein.vad.silero import SileroVad
from bargein.vad.track import Speech

from .chunks import StreamSpeech, find_speech, grid_start
from .protocol import Session
from .sustained import interruption_probabilities

__all__ = ["LocalBackend", "LocalSession"]


class LocalBackend:
    """Judges windows by the speech sustained since the caller's onset. A
    :class:`~bargein.backends.BatchBackend`.

    Each probability says how likely this is a true interruption, given the speech up to there.
    At the default threshold that is passed at about half a second of speech. The answer depends
    on the audio and the onset alone, not on which windows came before.

    Thread-safe; one object may serve all streams, and several cost nothing more (the weights are
    shared by the process). Holds no resource that would have to be closed.

    Args:
        clock: seconds, from which :attr:`~bargein.core.Prediction.duration` is taken.

    Raises:
        ModelError: the VAD's weights are missing or damaged.
    """

    model: str = "silero-v6-sustained"
    provider: str = "bargein"
    default_threshold: float | None = 0.5

    def __init__(self, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._vad = SileroVad.load()  # here, so that what is wrong with it shows at once
        self._clock = clock

    def open_session(self, stream_id: str | None) -> LocalSession:
        """Open a stream's session; takes a microsecond and 100 bytes until it is used."""
        return LocalSession(self)

    def predict_many(self, batch: Sequence[tuple[Session, Window]]) -> list[Prediction]:
        """Judge one window of each session; the same answers as one by one, for less.

        From eight windows on that bring no speech with them, their chunks go through the VAD
        together. Each prediction's duration is that of the whole batch. May be called from
        several threads at once, for different sessions.

        Raises:
            OptionError: a session isn't a local backend's, or comes twice.
        """
        began = self._clock()
        sessions = [_own(session) for session, _ in batch]
        if len(set(map(id, sessions))) < len(sessions):
            raise OptionError(
                f"a batch of {len(sessions)} windows came with a session twice; expected one "
                "window of each: a session's windows are judged one after the other"
            )
        windows = [window for _, window in batch]
        streams = [session.speech for session in sessions]
        found = find_speech(self._vad, list(zip(streams, windows, strict=True)))
        answers = [_answer(*pair) for pair in zip(windows, found, strict=True)]
        duration = max(0.0, self._clock() - began)
        return [Prediction(answer, duration=duration) for answer in answers]


class LocalSession:
    """One stream's judge: :class:`LocalBackend` makes it. Not for two threads at once."""

    def __init__(self, backend: LocalBackend) -> None:
        self.speech = StreamSpeech()
        self._backend = backend

    def predict(self, window: Window) -> Prediction:
        """Judge a window."""
        return self._backend.predict_many([(self, window)])[0]

    def close(self) -> None:
        """Free what is held; harmless twice."""
        self.speech = StreamSpeech()


def _own(session: Session) -> LocalSession:
    if not isinstance(session, LocalSession):
        raise OptionError(
            f"a session came as {session!r}; the local backend judges only those that its own "
            "open_session() made"
        )
    return session


def _answer(window: Window, speech: Speech) -> npt.NDArray[np.float32]:
    start = grid_start(window)
    return interruption_probabilities(
        speech,
        window.samples,
        start=start,
        onset=None if window.speech_start is None else start + window.speech_start,
    )
