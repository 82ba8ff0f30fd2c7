"""What a call is left with when its judge is gone for good: a stream that finds who speaks.

A stream whose server can't be reached ends by that error once its retries are used up, and the
voice detector with it. The call goes on, and so must its caller be able to interrupt
(`BargeInPolicy.vad_fallback`): it gets a stream of a detector whose judge never answers.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from bargein.errors import APIConnectionError

if TYPE_CHECKING:
    from bargein.detector import AdaptiveInterruptionDetector

__all__ = ["unjudged"]


def nobody(window: Any) -> Any:
    """Judge nothing."""
    raise APIConnectionError("the call's judge is gone")


@functools.lru_cache(maxsize=1)
def unjudged() -> AdaptiveInterruptionDetector:
    """Return the process's one detector without a judge."""
    from bargein.detector import AdaptiveInterruptionDetector

    return AdaptiveInterruptionDetector(backend=nobody)
