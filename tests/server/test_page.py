"""docs/hosting.md, followed by a newcomer: its commands and its program, as they stand."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bargein.testing.sockets import BOUND

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
PORT = "8780"


def _block(name: str) -> str:
    found = re.search(rf"<!-- run: {name} -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    assert found, f"the page has no block {name!r}"
    return found[1]


def _command(name: str, port: str) -> tuple[list[str], dict[str, str]]:
    """The block's command with its variables; 8780 made ``port``, and a server finds its own."""
    words = shlex.split(_block(name).replace(PORT, port))
    variables = dict(word.split("=", 1) for word in words if re.fullmatch(r"[A-Z_]+=.*", word))
    words = words[words.index("bargein") :]
    command = [sys.executable, "-m", *words]
    if words[1] == "serve":
        command += ["--port", "0"]
    return command, variables


def _environment(variables: dict[str, str]) -> dict[str, str]:
    search = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))
    clean = {name: value for name, value in os.environ.items() if "BARGEIN_API" not in name}
    return clean | variables | {"PYTHONPATH": search}


@contextlib.contextmanager
def _served(name: str) -> Iterator[tuple[str, dict[str, str]]]:
    command, variables = _command(name, "0")
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=_environment(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline().strip()
            assert line.startswith("bargein serves local on http://")
            yield line.rpartition(":")[2], variables
        finally:
            server.terminate()
            assert server.wait(BOUND) == 0


def _run(command: list[str], variables: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=_environment(variables),
        capture_output=True,
        text=True,
        timeout=2 * BOUND,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_five_minutes(tmp_path: Path) -> None:
    program = re.search(r"```python\n(# try_it\.py\n.*?)```", PAGE, re.DOTALL)
    assert program
    with _served("serve") as (port, _):
        _run(*_command("check", port))
        (tmp_path / "try_it.py").write_text(program[1].replace(PORT, port), encoding="utf-8")
        said = _run([sys.executable, str(tmp_path / "try_it.py")], {}).splitlines()
        assert [line.partition(",")[0] for line in said] == [
            "at 15.8 s: backchannel",
            "at 19.6 s: interruption",
        ]
        for path in re.findall(rf"`http://127\.0\.0\.1:{PORT}(/\w+)`", PAGE):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=BOUND) as answer:
                assert answer.status == 200
                text = answer.read().decode()
    # The last was /metrics: what the page names is there.
    for figure in re.findall(r"^\| `(bargein_\w+)", PAGE, re.MULTILINE):
        assert figure in text


def test_with_keys() -> None:
    with _served("keys") as (port, variables):
        command, _ = _command("check with keys", port)
        _run(command, variables)
        with pytest.raises(AssertionError):
            _run(_command("check", port)[0], {})
