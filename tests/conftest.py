"""What holds for every test: nothing is left behind, and properties are tried the same way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import hypothesis
import pytest

from tests.leaks import leaks, snapshot

# "pytester" runs other people's projects. An installed bargein's plugin is found by its entry
# point; on the source tree there is none.
_found = any(entry.name == "bargein" for entry in metadata.entry_points(group="pytest11"))
pytest_plugins = ["pytester", *([] if _found else ["bargein.testing.plugin"])]

# Slow cores must not turn a good property into a failure, so neither time nor slowness counts.
_COMMON = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
# The same examples each time: a red run means that the code changed, not the dice.
hypothesis.settings.register_profile("steady", derandomize=True, max_examples=60, **_COMMON)
# For a longer hunt by hand: HYPOTHESIS_PROFILE=explore
hypothesis.settings.register_profile("explore", max_examples=2000, print_blob=True, **_COMMON)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread or an open descriptor.

    What a fixture of a wider scope holds was there before and doesn't count.
    """
    before = snapshot()
    yield
    found = leaks(before)
    if found:
        pytest.fail("the test left behind: " + "; ".join(found), pytrace=False)


@pytest.fixture(scope="session")
def _fonts() -> None:
    """Matplotlib keeps the fonts that it read open: let it read them before anything is counted."""
    from bargein.analysis import analyze, open_call
    from bargein.analysis.plot import draw

    with open_call(Path(__file__).parents[1] / "examples" / "call" / "call.flac") as call:
        analysis = analyze(call, backend="local-sustained", waveforms=True)
    draw(analysis).canvas.draw()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests whose peers aren't installed: ``.ci/run`` names those that are."""
    installed = set(os.environ.get("BARGEIN_PEERS", "").split())
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        needed = {name for mark in item.iter_markers("peer") for name in mark.args}
        (kept if needed <= installed else left_out).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept
