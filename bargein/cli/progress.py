"""A progress bar on a terminal; nothing in a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

__all__ = ["Progress"]

_WIDTH = 40
"""Characters of the bar; with the figures beside it, it fits 80 columns."""

_PAUSE = 0.1
"""Seconds between two drawings: smooth to the eye, and free."""


class Progress:
    """Shows how much of a recording is done, on ``stream`` if that is a terminal.

    A context manager that wipes the bar away; call it with the seconds that are done.
    """

    def __init__(
        self, total: float, stream: TextIO, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._stream = stream
        self._clock = clock
        self._shown = stream.isatty()
        self._next = clock()

    def __call__(self, done: float) -> None:
        now = self._clock()
        if not self._shown or now < self._next:
            return
        self._next = now + _PAUSE
        share = min(1.0, done / self._total) if self._total else 1.0
        bar = "#" * round(share * _WIDTH)
        self._write(f"[{bar:.<{_WIDTH}}] {share:4.0%} of {self._total:.0f} s")

    def _write(self, text: str) -> None:
        self._stream.write(f"\r\x1b[K{text}")
        self._stream.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown:
            self._write("")
