"""A judge that says what it was told to, for real streams without a server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from bargein.core import Prediction, Window
from bargein.errors import APIError

from .answers import Answer, Kind, no

__all__ = ["ScriptedBackend"]

_GIVES_ANSWERS = (Kind.REPLY, Kind.DRIP, Kind.TWICE, Kind.SWAPPED)


class ScriptedBackend:
    """A backend for ``AdaptiveInterruptionDetector(backend=…)`` that answers in the order told.

    ``answers``: what becomes of the windows, in order; the last holds for all that follow, and one
    iterator (:func:`~bargein.testing.answers.seeded`) is taken from as windows come. Without any,
    each window is a plain *no*. A fault is an exception here, and silence a call that hangs until
    :meth:`release` or the end of the session. Thread-safe.
    """

    model = "scripted"
    provider = "bargein.testing"

    def __init__(
        self, *answers: Answer | Iterator[Answer], default_threshold: float | None = 0.5
    ) -> None:
        self.default_threshold = default_threshold
        self.windows: list[Window] = []
        """All that it was asked about, in order."""
        self.sessions: list[str | None] = []
        """The streams that opened a session."""
        self.closed = 0
        """Sessions that were closed."""
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._released = threading.Event()
        self._choose = _in_order(answers)

    def answer(self, *answers: Answer | Iterator[Answer]) -> None:
        """Answer by these from here on."""
        self.answer_by(_in_order(answers))

    def answer_by(self, choose: Callable[[Window], Answer]) -> None:
        """Answer each window by what this function says, from here on."""
        with self._lock:
            self._choose = choose

    def release(self) -> None:
        """Let go of all calls that hang or wait; they answer at once, and so do later ones."""
        self._released.set()

    def wait_for(self, windows: int, timeout: float = 10.0) -> list[Window]:
        """Wait until it was asked about so many windows; return them."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.windows) >= windows, timeout):
                raise TimeoutError(
                    f"after {timeout:g} s there were {len(self.windows)} of {windows} windows"
                )
            return list(self.windows)

    def open_session(self, stream_id: str | None) -> _Session:
        """Open a stream's session."""
        with self._lock:
            self.sessions.append(stream_id)
        return _Session(self)

    def _judge(self, window: Window) -> Prediction:
        with self._changed:
            self.windows.append(window)
            answer = self._choose(window)
            self._changed.notify_all()
        if answer.kind in (Kind.SILENCE, Kind.STALL_INSIDE):
            self._released.wait()
            raise APIError(f"the scripted backend: {answer}")
        self._released.wait(answer.after + answer.lasts)
        if answer.kind not in _GIVES_ANSWERS:
            raise APIError(f"the scripted backend: {answer}")
        return answer.prediction(len(window.samples))

    def _close(self) -> None:
        with self._lock:
            self.closed += 1


class _Session:
    def __init__(self, backend: ScriptedBackend) -> None:
        self._backend = backend

    def predict(self, window: Window) -> Prediction:
        return self._backend._judge(window)

    def close(self) -> None:
        self._backend._close()


def _in_order(answers: tuple[Answer | Iterator[Answer], ...]) -> Callable[[Window], Answer]:
    if len(answers) == 1 and isinstance(answers[0], Iterator):
        endless = answers[0]
        return lambda window: next(endless, no)
    left = [answer for answer in answers if isinstance(answer, Answer)]

    def choose(window: Window) -> Answer:
        answer = left[0] if left else no
        if len(left) > 1:
            del left[0]
        return answer

    return choose
