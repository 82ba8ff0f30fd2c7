"""What the tests of recordings share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bargein.recording import Recorder, find_recordings, load_recording
from bargein.recording.reader import CallRecording
from bargein.runtime.pool import connect_pool, http_pool, inference_pool
from bargein.testing.sockets import BOUND


@pytest.fixture(autouse=True)
def _idle_pools() -> Iterator[None]:
    yield
    for pool in (connect_pool, http_pool, inference_pool):
        pool.stop(BOUND)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    """A recorder into an empty folder."""
    with Recorder(tmp_path / "calls") as recorder:
        yield recorder


def only_call(recorder: Recorder) -> CallRecording:
    """Return the one call that was recorded, when it is on the disk."""
    recorder.close()
    (path,) = find_recordings(recorder.folder)
    return load_recording(path)
