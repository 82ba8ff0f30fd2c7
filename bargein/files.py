"""Files that people asked for: a picture, a report, options. Whole, or not there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from bargein.errors import OptionError

__all__ = ["check_folder", "write_file"]


def check_folder(name: str, path: str | os.PathLike[str]) -> None:
    """Find out before the work begins whether a file can lie there.

    Raises :class:`~bargein.errors.OptionError` naming the option where its folder isn't there.
    """
    folder = Path(path).parent
    if not folder.is_dir():
        came = os.fspath(path)
        raise OptionError(f"{name} came as {came!r}; expected a folder that exists: {folder}")


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file; where that fails, no part of it stays.

    Raises ``OSError`` that names the file, as one of a full disk by itself doesn't.
    """
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError as error:
        if error.filename is None:  # it could be opened, so there is a piece of it
            error.filename = os.fspath(path)
            with contextlib.suppress(OSError):
                if Path(path).is_file():
                    Path(path).unlink()
        raise
