"""JSON from a peer, read field by field: each reader gives a value or a ``ProtocolError``.

Python's ``json`` is more generous than the protocol: it takes NaN, endless numbers and UTF-16,
and its ``true`` is a number. These readers aren't.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from bargein.errors import ProtocolError

__all__ = [
    "MAX_REPLY_BYTES",
    "extra_names",
    "first_names",
    "read_count",
    "read_object",
    "read_seconds",
    "read_text",
    "read_unit",
    "read_window_id",
    "shown",
]

MAX_REPLY_BYTES = 1 << 20
"""Bytes; a longer reply is refused (spec section 6). A 3 s window's is about 3 KB."""

_MAX_NAMES = 16  # names kept of what a message has too much: enough to find the cause, no flood
_MAX_NAME = 100  # characters kept of a name that the peer chose
_scan = json.JSONDecoder().raw_decode
_ID_LIMIT = 1 << 64  # window ids are unsigned 64-bit numbers


def shown(value: object) -> str:
    """A JSON value for an error message: short whatever it is, and never a failure of its own."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of more than 64 bits"  # printing a huge one can be refused by Python
    return repr(value[:60] if isinstance(value, str) else value)


def read_object(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object of at most :data:`MAX_REPLY_BYTES`; raises ``ProtocolError``."""
    if len(text) > MAX_REPLY_BYTES:
        raise ProtocolError(
            f"the peer sent {len(text)} bytes in one message; at most {MAX_REPLY_BYTES} are read"
        )
    try:
        # bytes would let json guess UTF-16 and UTF-32, which the protocol doesn't have
        whole = text if isinstance(text, str) else text.decode("utf-8")
        # An object with nothing around it, as mostly, needs none of what json.loads looks for.
        value, end = _scan(whole) if whole.startswith("{") else (None, -1)
        if end != len(whole):
            value = json.loads(whole)
    except (ValueError, RecursionError) as error:
        start = text[:60]
        reason = f"{type(error).__name__}: {str(error)[:100]}"
        raise ProtocolError(
            f"the peer sent text that isn't JSON in UTF-8 ({reason}); it begins {start!r}"
        ) from error
    if not isinstance(value, dict):
        raise ProtocolError(f"the peer sent {shown(value)} where a JSON object was expected")
    return value


def read_window_id(value: object) -> int:
    """``created_at``: a whole number, 0 <= id < 2**64; raises ``ProtocolError``."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value < _ID_LIMIT:
        raise ProtocolError(
            f"created_at is {shown(value)}; "
            f"expected a window's id, a whole number from 0 to 2**64 - 1"
        )
    return value


def read_seconds(value: object) -> float:
    """``prediction_duration``: seconds; 0.0 for null and for what no duration can be.

    Raises ``ProtocolError`` for what isn't a number.
    """
    if value is None:
        return 0.0
    if type(value) is not float and type(value) is not int:
        raise ProtocolError(f"prediction_duration is {shown(value)}; expected seconds, a number")
    try:
        seconds = float(value)
    except OverflowError:
        return 0.0
    return seconds if seconds >= 0.0 and math.isfinite(seconds) else 0.0


def first_names(names: Iterable[str]) -> tuple[str, ...]:
    """The first 16 names, each cut to 100 characters: what a log needs of what a peer invented."""
    return tuple(name[:_MAX_NAME] for name in islice(names, _MAX_NAMES))


def extra_names(fields: Mapping[str, Any], known: frozenset[str]) -> tuple[str, ...]:
    """The names of the fields that aren't ``known``; see :func:`first_names`."""
    if fields.keys() <= known:
        return ()
    return first_names(name for name in fields if name not in known)


def read_text(fields: Mapping[str, Any], name: str) -> str:
    """A string; "" where it is missing or null."""
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ProtocolError(f"{name} is {shown(value)}; expected a string")
    # a lone surrogate is legal JSON, but no log file can hold it
    return value.encode("utf-8", "replace").decode("utf-8")


def read_unit(value: object, name: str) -> float | None:
    """A number from 0 to 1, or ``None`` for null."""
    if value is None:
        return None
    if (type(value) is int or type(value) is float) and 0 <= value <= 1:
        return float(value)
    raise ProtocolError(f"{name} is {shown(value)}; expected a number from 0 to 1")


def read_count(fields: Mapping[str, Any], name: str, default: int | None) -> int:
    """A whole number above 0; ``default``, where there is one, for a missing one or null."""
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if type(value) is not int or not 0 < value < 1 << 31:
        raise ProtocolError(f"{name} is {shown(value)}; expected a whole number above 0")
    return value
