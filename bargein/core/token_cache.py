"""A token that is made anew before it expires, for requests that outlive one."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["RENEW_BEFORE", "TokenCache"]

RENEW_BEFORE = 60.0
"""Seconds before a token's end at which no request starts with it any more: a server's clock may be
off, and a request takes its time."""


class TokenCache:
    """Keeps one token and replaces it in time.

    ``make(now)`` makes a token that is valid for ``lifetime`` seconds from ``now``, which is epoch
    seconds, as tokens are read by the server's wall clock. Safe from any thread: two that come at
    once may each make a token, and both are good. The repr holds no token.
    """

    def __init__(self, make: Callable[[float], str], *, lifetime: float) -> None:
        self._make = make
        self._usable = lifetime - min(RENEW_BEFORE, lifetime / 2)
        self._kept: tuple[float, str] | None = None

    def token(self, *, now: float) -> str:
        """Return a token that is good now and for a while.

        >>> cache = TokenCache(lambda now: f"from {now:g}", lifetime=600)
        >>> cache.token(now=1000.0), cache.token(now=1539.0), cache.token(now=1540.0)
        ('from 1000', 'from 1000', 'from 1540')
        """
        kept = self._kept
        # a clock that was set back would leave us with a token from the future
        if kept is None or not kept[0] <= now < kept[0] + self._usable:
            kept = self._kept = (now, self._make(now))
        return kept[1]
