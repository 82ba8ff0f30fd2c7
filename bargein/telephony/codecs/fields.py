"""Reading a JSON object that someone else wrote: the fields that are there, of the right kind."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

from .events import refuse, short

__all__ = ["MAX_TEXT", "decode_base64", "flatten", "integer", "parse_object", "text"]

MAX_TEXT = 1 << 20
"""Characters of one message: over a minute of audio, base64. The servers' default limit as well."""

MAX_DEPTH = 32
"""Levels of a message; vendors use four."""

_MAX_DETAILS = 64
_MAX_DETAIL = 256


def parse_object(message: str, who: str) -> dict[str, Any]:
    """Return the JSON object of a text message, or raise `ProtocolError`."""
    if len(message) > MAX_TEXT:
        refuse(f"{who}: got a message of {len(message)} characters, expected at most {MAX_TEXT}")
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        refuse(f"{who}: got {short(message)}, expected a JSON object")
    if not isinstance(value, dict):
        refuse(f"{who}: got {short(message)}, expected a JSON object")
    return value


def child(message: dict[str, Any], name: str, who: str) -> dict[str, Any]:
    """Return the object `name` of a message, or raise `ProtocolError`."""
    value = message.get(name)
    if not isinstance(value, dict):
        refuse(f"{who}: got {short(value)} as {name!r}, expected an object")
    return value


def text(message: dict[str, Any], name: str, default: str = "") -> str:
    """Return a field as text: vendors write numbers now as numbers, now as strings."""
    value = message.get(name)
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return default


def integer(message: dict[str, Any], name: str) -> int | None:
    """Return a field as a whole number, from 0 to 2**63; None if it is none."""
    value = text(message, name)
    if value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    return None


def decode_base64(value: object, who: str) -> bytes:
    """Return the bytes of a base64 payload, or raise `ProtocolError`."""
    if not isinstance(value, str):
        refuse(f"{who}: got {short(value)} as payload, expected base64")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        refuse(f"{who}: got {short(value)} as payload, expected base64")


def flatten(message: dict[str, Any], skip: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return the texts and numbers of a message by dotted names; a bounded number of them."""
    found: dict[str, str] = {}
    for name, value in _leaves(message, "", skip, 0):
        if len(found) == _MAX_DETAILS:
            break
        found[name[:_MAX_DETAIL]] = value[:_MAX_DETAIL]
    return found


def _leaves(
    message: dict[str, Any], prefix: str, skip: frozenset[str], depth: int
) -> Iterator[tuple[str, str]]:
    for name, value in message.items():
        if name in skip or depth == MAX_DEPTH:
            continue
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.", skip, depth + 1)
        elif isinstance(value, (str, int, float)):
            yield f"{prefix}{name}", str(value)
