"""Print the command that README.md shows after ``<!-- command: NAME -->``.

So CI runs what a reader pastes, to the letter.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def command(name: str) -> str:
    block = re.search(
        rf"<!-- command: {re.escape(name)} -->\s*```\w*\n(.*?)\n```",
        README.read_text(encoding="utf-8"),
        re.DOTALL,
    )
    if block is None:
        sys.exit(f"README.md has no block after '<!-- command: {name} -->'")
    return block[1]


if __name__ == "__main__":
    print(command(sys.argv[1]))
