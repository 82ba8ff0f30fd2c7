"""The server's figures for Prometheus. Over several worker processes they are summed."""

from __future__ import annotations

import os

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from .config import MULTIPROCESS_DIR

__all__ = ["Metrics", "forget_process"]

_LATENCY_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Seconds. Clients give a window up after 0.7 s by default; 0.1 s is what one should take."""


class Metrics:
    """Counts what the server does; one for an app."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.sessions = Gauge(
            "bargein_sessions",
            "WebSocket sessions open",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.sessions_total = Counter(
            "bargein_sessions_opened", "WebSocket sessions ever opened", registry=registry
        )
        self.windows = Counter(
            "bargein_windows", "Windows by what became of them", ["outcome"], registry=registry
        )
        self.latency = Histogram(
            "bargein_window_seconds",
            "From a window's arrival to its reply",
            registry=registry,
            buckets=_LATENCY_BUCKETS,
        )
        self.refused = Counter(
            "bargein_refused", "Requests and messages refused", ["reason"], registry=registry
        )

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        registry = self._registry
        if os.environ.get(MULTIPROCESS_DIR):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def forget_process(process: int) -> None:
    """Take a worker that is no more out of what is open now."""
    multiprocess.mark_process_dead(process)  # type: ignore[no-untyped-call]
