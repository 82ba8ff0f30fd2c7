"""A reply's probabilities: looked through as soon as they come, made into numbers when wanted.

They are nine tenths of a reply's text, and most replies only say that the overlap goes on. So a
list of plain decimals, which is what servers write, is found and checked in the text by one
regular expression, and taken out of it before the rest is parsed. Any other list is parsed with
the rest, and looked through value by value.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from bargein.core.window import Checked
from bargein.wire.fields import MAX_REPLY_BYTES, read_object, shown

__all__ = [
    "NO_PROBABILITIES",
    "Listed",
    "as_checked",
    "read_probabilities",
    "read_reply",
]

_NUMBERS = frozenset({int, float})

_KEY = b'"probabilities"'
# What is from 0 to 1 by its look alone, as programs print it: 0.25, 1.0, 2.5e-07.
_ONE = rb"(?:0\.\d+|1\.0|\d(?:\.\d+)?e-(?:0[1-9]|[1-9]\d))"
_LIST = re.compile(rb"%b: ?\[%b(?:, ?%b)*\]" % (_KEY, _ONE, _ONE))


class Listed(Checked):
    """Probabilities that lie in a reply's text still; each is known to be from 0 to 1."""

    __slots__ = ("_text",)

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self._text = text

    def make(self) -> npt.NDArray[np.float32]:
        """Read the numbers."""
        return _read_only(json.loads(self._text))


def read_reply(text: str | bytes) -> dict[str, Any]:
    """Parse a reply, as :func:`read_object` does, but for a plain list: that comes as ``Listed``.

    Raises ``ProtocolError``.
    """
    if isinstance(text, bytes) and len(text) <= MAX_REPLY_BYTES:
        start, end = _find_list(text)
        if end:
            fields = read_object(text[:start] + b"null" + text[end:])
            if fields.get("probabilities", text) is None:  # its own, not those of an object in it
                fields["probabilities"] = Listed(text[start:end])
                return fields
    return read_object(text)


def _find_list(text: bytes) -> tuple[int, int]:
    """Return where the one list of plain decimals lies; (0, 0): there is none, or another."""
    at = text.find(_KEY)
    # A second one, or one whose name is in a string, is a riddle for a real parser.
    if at < 0 or b"\\" in text or text.find(_KEY, at + 1) >= 0:
        return 0, 0
    found = _LIST.match(text, at)
    return (0, 0) if found is None else (text.find(b"[", at), found.end())


def as_checked(values: Checked | npt.ArrayLike) -> Checked:
    """What a message may be made with, as what it keeps."""
    return values if isinstance(values, Checked) else Checked(_read_only(values))


def _read_only(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """The values as a float32 array of their own that nobody can write to."""
    array = np.array(values, dtype=np.float32)
    array.setflags(write=False)
    return array


NO_PROBABILITIES = Checked(_read_only([]))


def read_probabilities(value: object) -> tuple[Checked, str | None]:
    """``probabilities`` as float32 ``(n,)``, and what is wrong with them or ``None``."""
    if type(value) is Listed:
        return value, None
    if value is None:
        return NO_PROBABILITIES, None
    if not isinstance(value, list):
        return NO_PROBABILITIES, f"probabilities is {shown(value)}; expected a list of numbers"
    if not value:
        return NO_PROBABILITIES, None
    strange = set(map(type, value)) - _NUMBERS  # a bool is an int to NumPy, not to us
    if strange:
        names = ", ".join(sorted(kind.__name__ for kind in strange))
        return NO_PROBABILITIES, f"probabilities holds {names}; expected numbers alone"
    total: float
    try:
        total = sum(value)
    except OverflowError:  # an endless whole number beside a float
        total = math.nan
    # min and max can overlook a NaN; the sum can't, and a NaN differs from itself.
    if total == total and min(value) >= 0 and max(value) <= 1:
        return Checked(_read_only(value)), None
    worst = next(item for item in value if not 0 <= item <= 1)
    return NO_PROBABILITIES, f"probabilities holds {shown(worst)}; expected numbers from 0 to 1"
