"""What the kit's own tests share."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import bargein
from bargein.runtime.pool import connect_pool, http_pool, inference_pool
from bargein.testing.sockets import BOUND

INSTALLED = any(
    entry.value == "bargein.testing.plugin" for entry in metadata.entry_points(group="pytest11")
)
"""Whether pytest finds the plugin by itself. On the source tree there is no entry point."""


@pytest.fixture(autouse=True)
def _idle_pools() -> Iterator[None]:
    """Let the pools' threads finish what they do, so that nothing of it counts as left behind."""
    yield
    for pool in (connect_pool, http_pool, inference_pool):
        pool.stop(BOUND)


@pytest.fixture
def kit_pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Somebody's own project, which sees the bargein that is tested here and its plugin."""
    if not INSTALLED:
        monkeypatch.setenv("PYTHONPATH", str(Path(bargein.__file__).parents[1]))
        monkeypatch.setenv("PYTEST_PLUGINS", "bargein.testing.plugin")
    return pytester
