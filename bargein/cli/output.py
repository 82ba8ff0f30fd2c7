"""What goes to the standard output, whatever its encoding: names of files may hold any letter."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

__all__ = ["escape_what_cannot_be_printed", "print_json"]


def escape_what_cannot_be_printed() -> None:
    """Have letters that the output's encoding lacks come out as ``\\xfc``, as on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def print_json(document: Any, *, indent: int | None = 2) -> None:
    """Print one JSON document, its strings as they are where the output is Unicode."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    is_unicode = encoding.lower().startswith("utf")
    print(json.dumps(document, indent=indent, ensure_ascii=not is_unicode))
