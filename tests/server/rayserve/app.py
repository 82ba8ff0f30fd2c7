"""bargein's server on Ray Serve: what docs/deploying.md shows, and a judge that takes notes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ray import serve

from bargein.backends import Session, resolve_backend
from bargein.core import Prediction, Window
from bargein.server import create_app

NOTES = "BARGEIN_TEST_NOTES"
"""Environment: a folder, in which each replica has a file that grows by a byte for each window."""


class Noting:
    """The local backend, which notes what this process judged."""

    model = provider = "local"

    def __init__(self) -> None:
        self._local = resolve_backend("local")
        self.default_threshold = self._local.default_threshold
        self._file = (Path(os.environ[NOTES]) / str(os.getpid())).open("ab", buffering=0)

    def note(self, count: int) -> None:
        """Note that so many windows are judged."""
        self._file.write(bytes(count))

    def open_session(self, stream_id: str | None) -> NotingSession:
        """Open one of the local backend's."""
        return NotingSession(self, self._local.open_session(stream_id))

    def predict_many(self, batch: Sequence[tuple[NotingSession, Window]]) -> Sequence[Prediction]:
        """Judge a batch, and note it."""
        self.note(len(batch))
        return self._local.predict_many([(session.local, window) for session, window in batch])


class NotingSession:
    """A session whose windows are noted when they are judged alone, too."""

    def __init__(self, backend: Noting, local: Session) -> None:
        self._backend, self.local = backend, local

    def predict(self, window: Window) -> Prediction:
        """Judge a window, and note it."""
        self._backend.note(1)
        return self.local.predict(window)

    def close(self) -> None:
        """Close the local backend's."""
        self.local.close()


@serve.deployment(
    num_replicas=2,
    max_ongoing_requests=1000,  # a session is one for as long as it lasts
    ray_actor_options={"num_cpus": 0.5},
    graceful_shutdown_timeout_s=30,
    health_check_period_s=2,
)
@serve.ingress(lambda: create_app(Noting()))
class Bargein:
    """Two servers."""


app = Bargein.bind()
