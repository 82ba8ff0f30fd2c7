"""What a judge must be: a backend opens a session per stream, a session judges windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy.typing as npt

from bargein.core import Prediction, Window
from bargein.errors import OptionError

__all__ = ["Backend", "BatchBackend", "FunctionBackend", "Session", "as_backend"]


class Session(Protocol):
    """One stream's judge. Called by one thread at a time, in the order of window ids."""

    def predict(self, window: Window) -> Prediction:
        """Judge a window. What it raises fails that window alone."""

    def close(self) -> None:
        """Free what the session holds; called once, after the last prediction."""


@runtime_checkable
class Backend(Protocol):
    """A model, shared by all streams. Its attributes and ``open_session`` are thread-safe.

    ``default_threshold``: what decides where the user gave no threshold; ``None`` where the
    backend always decides by itself (:attr:`~bargein.core.Prediction.is_interruption`).
    """

    model: str
    provider: str
    default_threshold: float | None

    def open_session(self, stream_id: str | None) -> Session:
        """Open a stream's session; cheap, any thread."""


@runtime_checkable
class BatchBackend(Backend, Protocol):
    """A backend that judges windows of several streams at once for less than one by one."""

    def predict_many(self, batch: Sequence[tuple[Session, Window]]) -> list[Prediction]:
        """Judge one window of each session, all different; answers in the batch's order."""


class FunctionBackend:
    """A plain function of a window as a backend.

    The function returns a :class:`~bargein.core.Prediction`, or probabilities (anything that
    becomes a float32 array of one per 25 ms). It is called from several threads at once, for
    different streams.
    """

    provider = "custom"

    def __init__(
        self,
        function: Callable[[Window], Prediction | npt.ArrayLike],
        *,
        default_threshold: float | None = 0.5,
    ) -> None:
        self.model: str = getattr(function, "__name__", type(function).__name__)
        self.default_threshold = default_threshold
        self._function = function

    def open_session(self, stream_id: str | None) -> _FunctionSession:
        """Return a session that calls the function."""
        return _FunctionSession(self._function)


class _FunctionSession:
    def __init__(self, function: Callable[[Window], Prediction | npt.ArrayLike]) -> None:
        self._function = function

    def predict(self, window: Window) -> Prediction:
        answer = self._function(window)
        return answer if isinstance(answer, Prediction) else Prediction(answer)

    def close(self) -> None:
        pass


def as_backend(backend: Any) -> Backend:
    """Return ``backend`` itself, a plain function wrapped as one, or raise OptionError."""
    if isinstance(backend, Backend):
        return backend
    if callable(backend):
        return FunctionBackend(backend)
    raise OptionError(
        f"a backend came as {backend!r}; expected an object with model, provider, "
        "default_threshold and open_session(), or a function that takes a window"
    )
