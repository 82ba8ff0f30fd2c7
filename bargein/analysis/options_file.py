"""Options in a file: what ``bargein tune`` writes, and any command and program can load.

JSON: an object with any of ``backend`` (a name), and the groups ``detection``,
``tracker``, ``echo_gate`` and ``playout``, whose fields are those of the settings of that name.
What is left out stays as it is by default. Other keys (who wrote it, on what) say nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import attrs

from bargein.core import InterruptionOptions
from bargein.core.echo import EchoGateOptions
from bargein.core.playout import PlayoutOptions
from bargein.core.tracker import TrackerOptions
from bargein.errors import OptionError
from bargein.files import write_file

__all__ = ["GROUPS", "read_options", "write_options"]

GROUPS: Mapping[str, type[Any]] = {
    "detection": InterruptionOptions,
    "tracker": TrackerOptions,
    "echo_gate": EchoGateOptions,
    "playout": PlayoutOptions,
}
"""A group's name in the file, and the settings that it holds."""


def read_options(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read an options file; return ``backend`` and the groups that it has, fields checked.

    ``AdaptiveInterruptionDetector(backend=found["backend"], **found["detection"])`` uses it.

    Raises :class:`~bargein.errors.OptionError` where it can't be read, or holds what can't be.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            found = json.load(file)
    except OSError as error:
        raise OptionError(f"{path}: can't be read: {error.strerror or error}") from error
    except ValueError as error:
        raise OptionError(f"{path}: isn't JSON: {error}") from error
    if not isinstance(found, dict):
        raise OptionError(f"{path}: came as a {type(found).__name__}; expected an object")
    for name, settings in GROUPS.items():
        group = found.get(name, {})
        known = {field.name for field in attrs.fields(settings)}
        if not isinstance(group, dict) or not set(group) <= known:
            raise OptionError(
                f"{path}: {name} came as {group!r}; expected an object with any of "
                f"{', '.join(sorted(known))}"
            )
        try:
            settings(**group)
        except OptionError as error:
            raise OptionError(f"{path}: {name}: {error}") from error
    if not isinstance(found.get("backend", ""), str):
        raise OptionError(f"{path}: backend came as {found['backend']!r}; expected a name")
    return found


def write_options(path: str | os.PathLike[str], options: Mapping[str, Any]) -> None:
    """Write an options file. Raises ``OSError`` where that can't be done."""
    write_file(path, (json.dumps(options, indent=2, ensure_ascii=False) + "\n").encode())
