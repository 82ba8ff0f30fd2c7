"""Bring what the pages show of the commands up to date.

``python scripts/update_example.py`` redraws ``docs/images/call.png`` and rewrites what each command
printed that the pages show, with the bargein that is installed: to be run when the judge, the
tracker, a table or the picture changed. ``tests/test_docs.py`` tells where words have changed.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from bargein.cli import main

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "call.png"
PAGES = ("analyze.md", "evaluating.md", "tuning.md")

BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def update(page: Path) -> None:
    """Follow a page, and have its console blocks that show an output show today's."""
    namespace: dict[str, object] = {}

    def shown(block: re.Match[str]) -> str:
        command, _, printed = block[2].partition("\n")
        if block[1] == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(block[2], str(page), "exec"), namespace)
        elif printed and not printed.startswith("$"):
            return f"```console\n{command}\n{_output(command)}```"
        return block[0]

    page.write_text(BLOCK.sub(shown, page.read_text(encoding="utf-8")), encoding="utf-8")


def _output(command: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = main(shlex.split(command)[2:])
    if code:
        sys.exit(f"{command}: ended with code {code}")
    return printed.getvalue()


def run() -> None:
    """Follow the pages in a folder with the examples in it, as their reader would."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        os.chdir(folder)
        Path("examples").symlink_to(ROOT / "examples", target_is_directory=True)
        for page in PAGES:
            update(ROOT / "docs" / page)
        shutil.copyfile("call.png", PICTURE)
        os.chdir(ROOT)


if __name__ == "__main__":
    run()
