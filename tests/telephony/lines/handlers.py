"""A handler that keeps what it is told, and ways to wait for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bargein.telephony.line import EndReason, Line

WAIT = 30.0
"""Seconds until a test gives up; only a failure takes so long."""


class Handler:
    """Keeps all; `wait` blocks until something holds of it."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.audio = bytearray()
        self.told: list[tuple[Any, ...]] = []
        self.ended: EndReason | None = None
        self._changed = threading.Condition()

    def _tell(self, *what: Any) -> None:
        with self._changed:
            assert self.ended is None, "told after the end"
            self.told.append(what)
            self._changed.notify_all()

    def on_audio(self, audio: bytes) -> None:
        self.audio += audio
        self._tell("audio", len(audio))

    def on_gap(self, seconds: float) -> None:
        self._tell("gap", seconds)

    def on_mark(self, name: str, cleared: bool) -> None:
        self._tell("mark", name, cleared)

    def on_dtmf(self, digit: str) -> None:
        self._tell("dtmf", digit)

    def on_flow(self, writable: bool) -> None:
        self._tell("flow", writable)

    def on_end(self, reason: EndReason) -> None:
        self._tell("end", reason)
        self.ended = reason

    def wait(self, holds: Callable[[Handler], object]) -> Handler:
        with self._changed:
            assert self._changed.wait_for(lambda: holds(self), WAIT), self.told[-20:]
        return self

    def wait_end(self) -> EndReason:
        self.wait(lambda h: ("end",) in [t[:1] for t in h.told])
        assert [t[0] for t in self.told].count("end") == 1
        return self.told[-1][1]  # type: ignore[no-any-return]

    @property
    def others(self) -> list[tuple[Any, ...]]:
        """All but the audio."""
        return [told for told in self.told if told[0] != "audio"]


class Answerer:
    """An ``on_call`` that keeps its handlers, in order."""

    def __init__(self, make: Callable[[Line], Handler] = Handler) -> None:
        self.handlers: list[Handler] = []
        self._make = make
        self._changed = threading.Condition()

    def __call__(self, line: Line) -> Handler:
        handler = self._make(line)
        with self._changed:
            self.handlers.append(handler)
            self._changed.notify_all()
        return handler

    def wait(self, number: int = 1) -> Handler:
        """Return the newest handler, once there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.handlers) >= number, WAIT)
            return self.handlers[number - 1]


class Echo(Handler):
    """Sends back what it hears."""

    def on_audio(self, audio: bytes) -> None:
        super().on_audio(audio)
        self.line.write(audio)


class Broken(Handler):
    """Raises at the first audio."""

    def on_audio(self, audio: bytes) -> None:
        raise RuntimeError("a bug in a handler")


class Warnings(logging.Handler):
    """Keeps what is logged as a warning or worse; `wait` blocks until there are so many."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        self._changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self.messages.append(record.getMessage())
            self._changed.notify_all()

    def wait(self, number: int = 1) -> list[str]:
        with self._changed:
            found = self._changed.wait_for(lambda: len(self.messages) >= number, WAIT)
            assert found, self.messages
            return list(self.messages)


@contextmanager
def warnings() -> Iterator[Warnings]:
    """Keep the lines' warnings, while it is entered."""
    logger, kept = logging.getLogger("bargein.telephony"), Warnings()
    logger.addHandler(kept)
    try:
        yield kept
    finally:
        logger.removeHandler(kept)


def refuse(line: Line) -> Handler:
    raise RuntimeError("no more calls today")


class Starved:
    """A listening socket that has no descriptor for the next connection."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.failed = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def accept(self) -> Any:
        if not self.failed.is_set():
            self.failed.set()
            raise OSError(24, "Too many open files")
        return self._sock.accept()
