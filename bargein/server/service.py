"""What all requests of a server share: its config, engine, figures, and whether it is draining."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter

from bargein.backends import Backend
from bargein.core import Prediction
from bargein.core.verdicts import is_positive

from .auth import Refused, authenticate
from .config import ServerConfig
from .engine import Engine
from .metrics import Metrics

__all__ = ["Refusal", "Service"]

logger = logging.getLogger("bargein.server")

RETRY_AFTER = 1
"""Seconds that a client is asked to wait when the server is full: overlaps end within seconds."""


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
        self.engine = Engine(backend, int(config.threads))
        self.metrics = Metrics()
        self.draining = False
        self.sessions: set[asyncio.Task[object]] = set()
        self._by_key: Counter[str] = Counter()

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
            return authenticate(authorization, self.config)
        except Refused as error:
            raise Refusal(error.status, str(error), reason="token") from None

    def open_session(self, key: str) -> None:
        """Count a session in, or raise :class:`Refusal`."""
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
        self._by_key[key] += 1
        self.metrics.sessions.inc()
        self.metrics.sessions_total.inc()

    def close_session(self, key: str) -> None:
        """Count a session out."""
        self._by_key[key] -= 1
        self.metrics.sessions.dec()

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
