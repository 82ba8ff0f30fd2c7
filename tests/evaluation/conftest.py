"""What the tests of reports share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _drawn(_fonts: None) -> None:
    """Reports have charts."""
