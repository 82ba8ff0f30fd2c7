"""What the tests with real peers share; ``.ci/peers/telephony.sh`` installs the peers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

REPORT: list[str] = []
"""Lines that are printed at the end of the run."""


@pytest.fixture
def report() -> list[str]:
    return REPORT


@pytest.fixture(scope="session", autouse=True)
def _print_report() -> Iterator[None]:
    yield
    where = os.environ.get("BARGEIN_TELEPHONY_REPORT")
    if where and REPORT:
        with Path(where).open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in REPORT)
