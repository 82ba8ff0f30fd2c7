"""docs/testing.md, followed by a newcomer: its files are written down and run as a project."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def files() -> dict[str, str]:
    """The page's files: blocks that name the same one follow each other."""
    text = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    assert text.count("```python\n") == len(BLOCK.findall(text))
    found: dict[str, str] = defaultdict(str)
    for name, code in BLOCK.findall(text):
        found[name] += code + "\n\n"
    return dict(found)


def test_the_page_works_as_it_is_written(kit_pytester: pytest.Pytester) -> None:
    for name, code in files().items():
        (kit_pytester.path / name).write_text(code, encoding="utf-8")

    result = kit_pytester.runpytest_subprocess("-W", "error")

    tests = sum(code.count("def test_") for code in files().values())
    assert tests >= 10
    assert result.ret == 0
    assert result.parseoutcomes()["passed"] >= tests
