"""What the tests of live streams share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from bargein.runtime.pool import connect_pool, http_pool, inference_pool
from bargein.testing.sockets import BOUND


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("LIVEKIT_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _idle_pools() -> Iterator[None]:
    """Let the pools' threads finish what they do, so that nothing of it counts as left behind."""
    yield
    for pool in (connect_pool, http_pool, inference_pool):
        pool.stop(BOUND)


@pytest.fixture(params=["ws", "http"])
def transport(request: pytest.FixtureRequest) -> str:
    """Both transports."""
    return str(request.param)


@pytest.fixture(params=["ws", "wss", "http", "https"])
def any_transport(request: pytest.FixtureRequest) -> str:
    """Both transports, plain and over TLS."""
    return str(request.param)
