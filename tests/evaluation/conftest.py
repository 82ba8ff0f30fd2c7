"""What the tests of reports share."""

from __future__ import annotations

import io

import pytest
from matplotlib.figure import Figure


@pytest.fixture(scope="session", autouse=True)
def _fonts() -> None:
    """Matplotlib keeps the fonts that it read open: let it read them before anything is counted."""
    figure = Figure()
    figure.add_subplot().set_xlabel("x")
    figure.savefig(io.BytesIO(), format="svg")
