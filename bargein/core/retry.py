"""When to try again, how often, and what of an outage is worth telling. No clock, no dice."""

from __future__ import annotations

from collections.abc import Callable

from bargein.errors import APIError, APIStatusError

from .connect_options import APIConnectOptions

__all__ = [
    "FIRST_RETRY",
    "HEALTHY_AFTER",
    "MAX_RETRY_AFTER",
    "REST",
    "RetrySchedule",
    "about",
    "asked_to_wait",
]

FIRST_RETRY = 0.1
"""Seconds. Most losses are a server's restart or a proxy's whim, and an overlap is short."""

REST = 30.0
"""Seconds between attempts at a server that was given up while a fallback judges."""

HEALTHY_AFTER = 30.0
"""Seconds that a session must live, where nothing is judged, to count as well."""

MAX_RETRY_AFTER = 60.0
"""Seconds of ``Retry-After`` that are honoured: a call doesn't last for ever."""

SPREAD = 0.5
"""How much of a wait chance may add to it. Only upwards: nobody comes back before they said, and
hundreds of calls that lost one server don't return to it in step."""

WOBBLE = 0.1
"""By how much of itself a long period varies, both ways."""


def about(seconds: float, chance: float) -> float:
    """Return a period within a tenth of ``seconds``; ``chance`` is 0 to 1.

    >>> about(20.0, 0.0), about(20.0, 0.5), about(20.0, 1.0)
    (18.0, 20.0, 22.0)
    """
    return seconds * (1 - WOBBLE + 2 * WOBBLE * chance)


def asked_to_wait(error: APIError) -> float:
    """Return how many seconds (0 to 60) the server asked to be left alone."""
    wait = error.retry_after if isinstance(error, APIStatusError) else None
    return min(max(wait or 0.0, 0.0), MAX_RETRY_AFTER)


class RetrySchedule:
    """Counts failed attempts and says how long to wait after each.

    ``jitter`` gives a number from 0 to 1, another each time. Not thread-safe; a machine owns it.
    """

    def __init__(self, options: APIConnectOptions, jitter: Callable[[], float]) -> None:
        self.failures = 0
        """Failed attempts since the last sign of health."""
        self._options = options
        self._jitter = jitter

    def fail(self, error: APIError) -> float | None:
        """Count a failed attempt; return the seconds until the next, ``None``: none is left."""
        self.failures += 1
        if self._options.max_retry is not None and self.failures > self._options.max_retry:
            return None
        base = FIRST_RETRY if self.failures == 1 else self.interval
        asked = asked_to_wait(error)
        if asked > base:
            return asked + self.interval * SPREAD * self._jitter()
        return base + base * SPREAD * self._jitter()

    def rest(self, error: APIError) -> float:
        """Return the seconds until a server that was given up is tried again."""
        return max(about(REST, self._jitter()), asked_to_wait(error))

    def hold(self) -> float:
        """Return the seconds for which nothing is sent after a 429 within a session."""
        return self.interval + self.interval * SPREAD * self._jitter()

    def reset(self) -> None:
        """Start the count again: the server is well."""
        self.failures = 0

    @property
    def interval(self) -> float:
        """``retry_interval``, but no less than the first retry's: 0 mustn't become a busy loop."""
        return max(self._options.retry_interval, FIRST_RETRY)
