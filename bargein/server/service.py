"""What all requests of a server share: its config, engine, figures, and whether it is draining."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter

import numpy as np
import numpy.typing as npt

from bargein.backends import Backend
from bargein.core import Prediction
from bargein.core.verdicts import is_positive

from .auth import Refused, authenticate
from .config import ServerConfig
from .engine import Engine, Place
from .limits import Bucket
from .metrics import Metrics

__all__ = ["Refusal", "Service"]

logger = logging.getLogger("bargein.server")

RETRY_AFTER = 1
"""Seconds that a client is asked to wait when the server is full: overlaps end within seconds."""


DIGITS = 4
"""Decimals of a probability that is sent. Its verdict is found from all of them."""


def shortened(probabilities: npt.NDArray[np.float32]) -> list[float]:
    """Return probabilities as they are sent."""
    values: list[float] = np.round(probabilities.astype(np.float64), DIGITS).tolist()
    return values


class Refusal(Exception):
    """A request that isn't served: an HTTP status, why, and when to come back (seconds)."""

    def __init__(self, status: int, message: str, *, reason: str, retry_after: int | None = None):
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class Service:
    """One server process. For its event loop's thread."""

    def __init__(self, backend: Backend, config: ServerConfig) -> None:
        self.backend = backend
        self.config = config
        self.engine = Engine(backend, int(config.threads), int(config.max_batch))
        self.metrics = Metrics()
        self.draining = False
        self.sessions: set[asyncio.Task[object]] = set()
        self._by_key: Counter[str] = Counter()
        self._rates: dict[str, Bucket] = {}

    # --- admission --------------------------------------------------------------------------

    def admit(self, authorization: str | None) -> str:
        """Return whose request this is, or raise :class:`Refusal`."""
        if self.draining:
            raise Refusal(
                503,
                "the server is stopping; try another",
                reason="draining",
                retry_after=RETRY_AFTER,
            )
        try:
            key = authenticate(authorization, self.config)
        except Refused as error:
            raise Refusal(error.status, str(error), reason="token") from None
        now = time.monotonic()
        rate = self._rates.get(key)
        if rate is None:  # one for each key of the config: no client can make more
            rate = self._rates[key] = Bucket(self.config.requests_per_second, now)
        if not rate.take(now):
            raise Refusal(
                429,
                "this key asks too often",
                reason="rate",
                retry_after=RETRY_AFTER,
            )
        return key

    def open_session(self, key: str, name: str) -> Place:
        """Count a session in, and open the judge's; or raise :class:`Refusal`."""
        config = self.config
        if self._by_key.total() >= config.max_sessions:
            raise Refusal(503, "the server is full", reason="sessions", retry_after=RETRY_AFTER)
        if self._by_key[key] >= config.max_sessions_per_key:
            raise Refusal(
                429,
                "this key has too many sessions open",
                reason="sessions",
                retry_after=RETRY_AFTER,
            )
        place = self.open_place(name)
        self._by_key[key] += 1
        self.metrics.sessions.inc()
        self.metrics.sessions_total.inc()
        return place

    def close_session(self, key: str, place: Place) -> None:
        """Count a session out."""
        self.engine.close_place(place)
        self._by_key[key] -= 1
        self.metrics.sessions.dec()

    def open_place(self, name: str) -> Place:
        """Open a session with the judge, or raise :class:`Refusal`."""
        try:
            return self.engine.open_place(name)
        except Exception:
            logger.exception("the judge opens no session")
            raise Refusal(500, "the judge can't take this", reason="failed") from None

    # --- verdicts ---------------------------------------------------------------------------

    def decide(self, prediction: Prediction, threshold: float | None, min_frames: int) -> bool:
        """Return whether a prediction is an interruption, by the client's settings or ours."""
        positive = is_positive(
            prediction,
            threshold=threshold,
            default=self.backend.default_threshold,
            min_frames=min_frames,
        )
        return bool(positive)

    # --- the end ----------------------------------------------------------------------------

    async def drain(self) -> None:
        """Refuse what is new, and let sessions finish their overlaps."""
        self.draining = True
        logger.info("draining %d sessions", len(self.sessions))
        deadline = time.monotonic() + self.config.drain_timeout
        while self.sessions and time.monotonic() < deadline:
            await asyncio.wait(self.sessions, timeout=deadline - time.monotonic())
        logger.info("drained; %d sessions are left", len(self.sessions))
