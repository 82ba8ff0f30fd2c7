"""What a call's stream finds, on its way to the call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bargein.core import (
    InterruptionDetectionError,
    OverlappingSpeechEvent,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
)
from bargein.core.taps import Tap

__all__ = ["Ear", "Hearer"]

logger = logging.getLogger("bargein")


class Hearer(Protocol):
    """A call, as its stream knows it. All is told on the stream's thread, in order."""

    id: str

    def _heard_of_overlap(self, item: OverlapSpeechStarted | OverlapSpeechEnded) -> None: ...

    def _heard_verdict(self, event: OverlappingSpeechEvent) -> None: ...

    def _heard_error(self, error: InterruptionDetectionError) -> None: ...

    def _stream_ended(self, error: BaseException | None) -> None: ...


class Ear(Tap):
    """Hears what the call's stream finds. It is its own watcher."""

    def __init__(self, call: Hearer) -> None:
        self._call = call

    def begin(self, stream_id: str, setup: Any, about: Mapping[str, Any]) -> Tap:
        return self

    def close(self, timeout: float) -> None:
        """There is nothing to finish."""

    def machine_input(self, item: Any, now: float) -> None:
        if isinstance(item, (OverlapSpeechStarted, OverlapSpeechEnded)):
            self._safely(self._call._heard_of_overlap, item)

    def event(self, event: OverlappingSpeechEvent, offset: float) -> None:
        self._safely(self._call._heard_verdict, event)

    def error(self, error: InterruptionDetectionError) -> None:
        self._safely(self._call._heard_error, error)

    def end(self, error: BaseException | None) -> None:
        self._safely(self._call._stream_ended, error)

    def _safely(self, tell: Callable[[Any], None], what: Any) -> None:
        try:
            tell(what)
        except Exception:  # a tap that raises would end the stream
            logger.exception("%s: a call couldn't take what its stream found", self._call.id)
