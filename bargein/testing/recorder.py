"""What a client sent: windows, sessions, requests without secrets. Lists, in order."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import numpy.typing as npt

from .sockets import Request

if TYPE_CHECKING:
    from .heard import Heard

__all__ = ["RecordedRequest", "RecordedSession", "RecordedWindow", "Recorder"]


@attrs.frozen
class RecordedWindow:
    """A window that came: int16 ``samples`` at 16 kHz, and under which settings.

    ``at``: seconds since the recorder began. ``connection``: counted from 1.
    """

    id: int
    samples: npt.NDArray[np.int16] = attrs.field(
        repr=lambda samples: f"<{len(samples)} samples>", eq=False
    )
    connection: int
    at: float
    threshold: float | None
    min_frames: int


@attrs.frozen
class RecordedSession:
    """A ``session.create``: the settings as they were sent, and whether a goodbye followed."""

    connection: int
    settings: dict[str, Any]


@attrs.frozen
class RecordedRequest:
    """An HTTP request or a handshake; secrets in its headers are blotted out."""

    connection: int
    request: Request


class Recorder:
    """Lists of what came. Written by the server's threads; look at them from any.

    Printing it shows one line for each thing, for a test that wonders.
    """

    def __init__(self) -> None:
        self.windows: list[RecordedWindow] = []
        self.sessions: list[RecordedSession] = []
        self.requests: list[RecordedRequest] = []
        self.goodbyes: list[int] = []
        """Connections on which the client said ``session.close``."""
        self.lost: list[int] = []
        """Connections that ended."""
        self._log: list[tuple[float, str]] = []
        self._began = time.monotonic()
        self._changed = threading.Condition()

    def wait_for(self, *, windows: int = 0, goodbyes: int = 0, timeout: float = 10.0) -> None:
        """Wait until at least so much came; raises ``TimeoutError`` that says what did."""
        with self._changed:
            came = self._changed.wait_for(
                lambda: len(self.windows) >= windows and len(self.goodbyes) >= goodbyes, timeout
            )
        if not came:
            raise TimeoutError(
                f"after {timeout:g} s there were {len(self.windows)} of {windows} windows and "
                f"{len(self.goodbyes)} of {goodbyes} goodbyes:\n{self}"
            )

    def __str__(self) -> str:
        return "\n".join(f"{at:8.3f}  {what}" for at, what in list(self._log)) or "nothing came"

    def _note(self, where: list[Any], what: Any, words: str) -> None:
        with self._changed:
            where.append(what)
            self._log.append((time.monotonic() - self._began, words))
            self._changed.notify_all()

    # --- for the server ---------------------------------------------------------------------

    def note_window(self, heard: Heard) -> None:
        """A window came."""
        window = RecordedWindow(
            id=heard.id,
            samples=heard.samples,
            connection=heard.connection,
            at=time.monotonic() - self._began,
            threshold=heard.threshold,
            min_frames=heard.min_frames,
        )
        words = f"window {heard.id} ({len(heard.samples) / 16_000:g} s)"
        self._note(self.windows, window, f"{words} on connection {heard.connection}")

    def note_session(self, connection: int, settings: dict[str, Any]) -> None:
        """A session was asked for."""
        said = " ".join(f"{name}={value}" for name, value in settings.items())
        session = RecordedSession(connection, settings)
        self._note(self.sessions, session, f"session.create on connection {connection}: {said}")

    def note_request(self, connection: int, request: Request) -> None:
        """A request came; its secrets are out already."""
        words = f"{request.method} {request.target} on connection {connection}"
        self._note(self.requests, RecordedRequest(connection, request), words)

    def note_goodbye(self, connection: int) -> None:
        """The client said goodbye."""
        self._note(self.goodbyes, connection, f"session.close on connection {connection}")

    def note_lost(self, connection: int) -> None:
        """A connection ended."""
        self._note(self.lost, connection, f"connection {connection} ended")
