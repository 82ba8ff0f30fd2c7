"""The scripts: what of them goes stale in silence."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MISTAKES = load("try_mistakes")


@pytest.mark.parametrize(
    ("line", "what", "edits"), [pytest.param(*each) for each in MISTAKES.MISTAKES]
)
def test_each_mistake_that_is_made_on_purpose_can_be_made(
    line: int, what: str, edits: list[tuple[str, str, str]]
) -> None:
    """Or somebody moved the code, and must move the mistake along."""
    for edit in edits:
        text = (ROOT / "bargein" / edit[0]).read_text(encoding="utf-8")

        assert MISTAKES.mistaken(text, edit) != text
