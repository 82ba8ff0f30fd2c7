"""Run code in a new interpreter that sees the same ``bargein`` as this one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import bargein

__all__ = ["run_fresh"]

# The folder that holds the package under test: site-packages, or the checkout.
_HOME = str(Path(bargein.__file__).parents[1])


def run_fresh(
    *arguments: str, timeout: float = 120.0, encoding: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``python *arguments`` away from the checkout; warnings are errors there too.

    The new process's output is returned as text; whether its exit code is right is the
    test's to say.
    """
    environment = {**os.environ, "PYTHONPATH": _HOME, "PYTHONWARNINGS": "error"}
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            encoding=encoding,
            timeout=timeout,
            check=False,
        )
