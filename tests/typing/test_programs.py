"""What type checkers say of a user's program: nothing of a right one, each mistake of a wrong one.

``BARGEIN_PEERS="mypy pyright" pytest -m peer tests/typing`` runs these by hand.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bargein

PROGRAMS = Path(__file__).parent / "programs"
HOME = Path(bargein.__file__).parents[1]


def mypy(folder: Path, program: str) -> set[int]:
    """Give the lines that mypy --strict complains about."""
    command = ["-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", ".cache", program]
    # A checkout isn't installed, so it must be pointed at; an installed package is found.
    installed = HOME.name == "site-packages"
    environment = {**os.environ, **({} if installed else {"MYPYPATH": str(HOME)})}
    out = run([sys.executable, *command], folder, environment)
    return {int(line) for line in re.findall(rf"^{program}:(\d+): error", out, re.MULTILINE)}


def pyright(folder: Path, program: str) -> set[int]:
    """Give the lines that pyright in strict mode complains about."""
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(HOME)], "include": [program]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = ["-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    report = json.loads(run([sys.executable, *command], folder, dict(os.environ)))
    assert report["summary"]["filesAnalyzed"] == 1
    return {
        found["range"]["start"]["line"] + 1
        for found in report["generalDiagnostics"]
        if found["severity"] == "error"
    }


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


CHECKERS = [
    pytest.param(mypy, marks=pytest.mark.peer("mypy"), id="mypy"),
    pytest.param(pyright, marks=pytest.mark.peer("pyright"), id="pyright"),
]


@pytest.mark.parametrize("check", CHECKERS)
@pytest.mark.parametrize("program", ["right.py", "wrong.py"])
def test_each_mistake_is_found_and_nothing_else(
    check: Callable[[Path, str], set[int]], program: str, tmp_path: Path
) -> None:
    text = (PROGRAMS / program).read_text(encoding="utf-8")
    shutil.copy(PROGRAMS / program, tmp_path)
    marked = {n for n, line in enumerate(text.splitlines(), 1) if line.endswith("# wrong")}

    assert bool(marked) == (program == "wrong.py")
    assert check(tmp_path, program) == marked
