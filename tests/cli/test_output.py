"""Outputs of all kinds: closed ones, and such as lack letters."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bargein.cli import main
from tests.analysis.calls import example, write
from tests.fresh import run_fresh


@pytest.fixture
def call(tmp_path: Path) -> Path:
    """The example's first backchannel, in a file with letters that Latin-1 has and has not."""
    return write(tmp_path / "ü 电话.wav", example(6.0, 8.5))


def test_a_closed_output_is_none_of_our_business(
    monkeypatch: pytest.MonkeyPatch, call: Path
) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as after bargein … >&-
    assert main(["analyze", str(call)]) == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_letters_that_an_output_lacks_are_escaped(
    monkeypatch: pytest.MonkeyPatch, call: Path, encoding: str
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    for arguments in (["evaluate", "--help"], ["analyze", str(call)]):
        done = run_fresh("-m", "bargein", *arguments, encoding=encoding)
        assert (done.returncode, done.stderr) == (0, "")
    lacking = "电话" if encoding == "utf-8" else r"\u7535\u8bdd"
    assert f"{lacking}.wav: 0:02.50, 8000 Hz" in done.stdout

    done = run_fresh("-m", "bargein", "analyze", str(call), "--json", encoding=encoding)
    assert json.loads(done.stdout)["recording"]["caller"]["file"] == str(call)
