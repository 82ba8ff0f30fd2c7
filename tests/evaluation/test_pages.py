"""Each command on the pages about evaluating is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from bargein.cli.main import _parser

PAGES = ("evaluating", "evaluating-at-scale", "tuning")
DOCS = Path(__file__).resolve().parents[2] / "docs"
COMMANDS = [
    line
    for page in PAGES
    for line in re.findall(
        r"^\$ bargein (.+)$", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.M
    )
]


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 10


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_taken(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "options.json").write_text("{}", encoding="utf-8")
    words = shlex.split(line.partition(" > ")[0], comments=True)

    parsed = _parser(words[0])[0].parse_args(words)

    assert parsed.command == words[0]
