"""Shadow mode: a second judge hears the same calls, decides nothing, and is compared."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from bargein.core import (
    AgentSpeechEnded,
    AgentSpeechStarted,
    Audio,
    Close,
    EndOfInput,
    Flush,
    Gap,
    Input,
    Outcome,
    OverlappingSpeechEvent,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    SetFormat,
    Skip,
)
from bargein.core.setup import CallSetup
from bargein.core.taps import Tap
from bargein.errors import BargeinError, OptionError
from bargein.files import check_folder
from bargein.runtime.delivery import Delivery

if TYPE_CHECKING:
    from bargein.detector import AdaptiveInterruptionDetector
    from bargein.stream import InterruptionStreamBase

__all__ = ["Disagreement", "Shadow", "ShadowCounts"]

logger = logging.getLogger("bargein")

_Pair = tuple[OverlappingSpeechEvent, OverlappingSpeechEvent]

SAME_ONSET = 0.25
"""Seconds between two onsets that are one overlap's: the shadow is told milliseconds later, and two
overlaps are at least a pause of 0.3 s apart."""

MOST = 1000
"""Disagreements kept in memory, newest first to stay; the log keeps all."""

MOST_ALONE = 64
"""Overlaps of a call that wait for the other judge's word: minutes of a busy one."""

_FORWARDED = (
    *(Gap, Skip, SetFormat, Flush, EndOfInput),
    *(AgentSpeechStarted, AgentSpeechEnded, OverlapSpeechStarted, OverlapSpeechEnded),
)


@attrs.frozen
class Disagreement:
    """An overlap of which the two judges thought otherwise. Events come without their arrays."""

    stream_id: str
    decided: OverlappingSpeechEvent
    """By the judge that counts."""
    shadow: OverlappingSpeechEvent
    """By the shadow."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "stream_id": self.stream_id,
            "decided": self.decided.to_dict(),
            "shadow": self.shadow.to_dict(),
        }


@attrs.frozen
class ShadowCounts:
    """How often the two thought the same."""

    agreed: int = 0
    disagreed: int = 0
    undecided: int = 0
    """Overlaps that one of them couldn't judge. An agent that stops for the one leaves the other
    little to hear: a slower shadow is undecided where it might have said the same."""
    unmatched: int = 0
    """Overlaps that only one of them saw."""


class Shadow:
    """Has ``detector`` judge whatever the streams that it is given to judge. Thread-safe.

    The shadow's streams get the same audio and the same sentinels at the same positions, so they
    cut the same windows; their events go nowhere but into the comparison. What the shadow costs
    or suffers, the stream doesn't notice::

        shadow = Shadow(AdaptiveInterruptionDetector(backend="local-sustained"))
        stream = detector.stream(shadow=shadow)

    ``log``: a file to which each disagreement is added as a line of JSON, without audio. The
    detector stays its maker's to close, after the streams that it shadows.

    Raises :class:`~bargein.errors.OptionError` for what is no detector, or a log in no folder.
    """

    def __init__(
        self,
        detector: AdaptiveInterruptionDetector,
        *,
        log: str | os.PathLike[str] | None = None,
    ) -> None:
        if not callable(getattr(detector, "stream", None)):
            raise OptionError(
                f"a shadow's detector came as {detector!r}; expected an "
                "AdaptiveInterruptionDetector"
            )
        if log is not None:
            check_folder("log", log)
        self._detector = detector
        self._log = log
        self._lock = threading.Lock()
        self._counts = ShadowCounts()
        self._disagreements: deque[Disagreement] = deque(maxlen=MOST)
        self._followers: weakref.WeakSet[_Follower] = weakref.WeakSet()

    @property
    def counts(self) -> ShadowCounts:
        """What was compared so far."""
        return self._counts

    @property
    def disagreements(self) -> list[Disagreement]:
        """The newest of them, oldest first."""
        with self._lock:
            return list(self._disagreements)

    def begin(self, stream_id: str, setup: CallSetup, about: Mapping[str, Any]) -> Tap:
        """Shadow one call; for streams."""
        fmt = setup.format
        stream = self._detector.stream(
            id=stream_id,
            sample_rate=fmt.sample_rate,
            num_channels=fmt.num_channels,
            encoding=fmt.encoding,
        )
        follower = _Follower(self, stream)
        with self._lock:
            self._followers.add(follower)
        return follower

    def close(self, timeout: float = 5.0) -> None:
        """Wait until what both have judged is compared, at most ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        with self._lock:
            followers = list(self._followers)
        for follower in followers:
            follower.wait(max(0.0, deadline - time.monotonic()))

    def compare(
        self, stream_id: str, decided: OverlappingSpeechEvent, shadow: OverlappingSpeechEvent
    ) -> None:
        """Take what both thought of one overlap."""
        if Outcome.INCONCLUSIVE in (decided.outcome, shadow.outcome):
            self.count("undecided")
        elif decided.outcome is shadow.outcome:
            self.count("agreed")
        else:
            self.count("disagreed")
            found = Disagreement(stream_id, decided.without_arrays(), shadow.without_arrays())
            with self._lock:
                self._disagreements.append(found)
                self._write(found)

    def count(self, what: str) -> None:
        """Count one more."""
        with self._lock:
            self._counts = attrs.evolve(self._counts, **{what: getattr(self._counts, what) + 1})

    def _write(self, found: Disagreement) -> None:
        logger.info(
            "%s: %s, the shadow says %s",
            found.stream_id,
            found.decided.outcome.value,
            found.shadow.outcome.value,
        )
        if self._log is None:
            return
        try:
            with open(self._log, "a", encoding="utf-8") as log:
                log.write(json.dumps(found.to_dict(), ensure_ascii=False) + "\n")
        except OSError as error:
            logger.error("%s: a disagreement can't be written: %s", self._log, error.strerror)


class _Follower(Tap):
    """Follows one call: hands its inputs on, and pairs the two judges' events."""

    def __init__(self, shadow: Shadow, stream: InterruptionStreamBase) -> None:
        self._shadow = shadow
        self._stream = stream
        self._lock = threading.Lock()
        # Comparing may write to a file, which is nothing for a reactor's thread.
        self._delivery = Delivery(f"{stream.id}'s shadow", self._compare)
        self._decided: deque[OverlappingSpeechEvent] = deque()
        self._shadowed: deque[OverlappingSpeechEvent] = deque()
        stream.on("overlapping_speech", self._shadow_event)

    def machine_input(self, item: Input, now: float) -> None:
        # A shadow whose judge failed for good takes nothing any more; the call goes on.
        with contextlib.suppress(BargeinError):
            if type(item) is Audio:
                self._stream.push_frame(item.data)
            elif isinstance(item, _FORWARDED):
                self._stream._worker.put(item)
            elif isinstance(item, Close):
                self._stream.close(0.0)

    def event(self, event: OverlappingSpeechEvent, offset: float) -> None:
        self._add(self._decided, event)

    def end(self, error: BaseException | None) -> None:
        with contextlib.suppress(BargeinError):
            if error is not None:
                self._stream.close(0.0)

    def _shadow_event(self, event: OverlappingSpeechEvent) -> None:
        self._add(self._shadowed, event)

    def _add(self, events: deque[OverlappingSpeechEvent], event: OverlappingSpeechEvent) -> None:
        with self._lock:
            events.append(event.without_arrays())
            self._delivery.put(*self._pairs())

    def _compare(self, pair: Any) -> None:
        if pair is None:
            self._shadow.count("unmatched")
        else:
            self._shadow.compare(self._stream.id, *pair)

    def wait(self, timeout: float) -> None:
        """Wait until all pairs so far are compared."""
        self._delivery.wait(timeout)

    def _pairs(self) -> list[_Pair | None]:
        """Take the overlaps that both have judged, by their onsets, in order; ``None`` for one
        that only one of them saw. The lock is held.
        """
        pairs: list[_Pair | None] = []
        while self._decided and self._shadowed:
            apart = _onset(self._decided[0]) - _onset(self._shadowed[0])
            if abs(apart) <= SAME_ONSET:
                pairs.append((self._decided.popleft(), self._shadowed.popleft()))
            else:
                pairs.append(None)
                (self._shadowed if apart > 0 else self._decided).popleft()
        for events in (self._decided, self._shadowed):
            if len(events) > MOST_ALONE:  # the other judge is gone, or it hangs
                pairs.append(None)
                events.popleft()
        return pairs


def _onset(event: OverlappingSpeechEvent) -> float:
    return event.overlap_started_at or 0.0
