"""Bring the documented analysis of the example call up to date.

``python scripts/update_example.py`` redraws ``docs/images/call.png`` and rewrites what the command
prints in ``docs/analyze.md``, with the bargein that is installed: to be run when the judge, the
tracker or the picture changed.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from pathlib import Path

from bargein.cli import main

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "bargein analyze examples/call/call.flac --plot call.png"
PAGE = ROOT / "docs" / "analyze.md"
PICTURE = ROOT / "docs" / "images" / "call.png"


def run() -> int:
    """Analyse, draw, rewrite; return the exit code."""
    os.chdir(ROOT)
    PICTURE.parent.mkdir(exist_ok=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = main([*COMMAND.split()[1:-1], str(PICTURE)])
    if code:
        return code
    block = re.compile(rf"(?<=\$ {re.escape(COMMAND)}\n).*?(?=^```)", re.DOTALL | re.MULTILINE)
    text, count = block.subn(lambda _: printed.getvalue(), PAGE.read_text(encoding="utf-8"))
    if count != 1:
        print(f"{PAGE}: has {count} blocks that begin with `$ {COMMAND}`, expected one")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run())
