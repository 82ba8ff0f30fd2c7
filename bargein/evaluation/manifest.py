"""Manifests: one table, CSV or JSON lines, that names recordings and what was labelled in them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from .collect import Collector, Row
from .dataset import Problem
from .formats import read_lines, read_text

__all__ = ["COLUMNS", "read_csv", "read_json_lines"]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "audio": ("audio", "path", "file"),
    "caller_channel": ("caller_channel", "channel"),
    "agent_audio": ("agent_audio",),
    "agent_channel": ("agent_channel",),
    "start": ("start", "overlap_start", "onset"),
    "end": ("end", "overlap_end"),
    "label": ("label",),
    "call": ("call", "call_id"),
    "agent_start": ("agent_start",),
}
"""What is read -> the columns that it may stand in. Others are kept, as tags."""

_NEEDED = ("audio", "start", "end", "label")
_SIDES = {"left": 0, "right": 1}


def read_csv(path: Path, into: Collector) -> None:
    """Read a CSV file whose first line names its columns."""
    reader = csv.reader(StringIO(read_text(path), newline=""), strict=True)
    header = [name.strip().lower() for name in next(reader, [])]
    missing = _missing(header)
    if missing:
        into.problems.append(Problem(str(path), 1, missing))
        return
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            last = reader.line_num
            what = f"isn't CSV: {error}" + (f"; lost up to line {last}" if last > line else "")
            into.problems.append(Problem(str(path), line, what))
            continue
        if fields is None:
            return
        if fields and len(fields) != len(header):
            what = f"has {len(fields)} fields; expected {len(header)}, as the first line has"
            into.problems.append(Problem(str(path), line, what))
        elif fields:
            _take(dict(zip(header, fields, strict=True)), path, line, into)


def _missing(header: list[str]) -> str | None:
    """Say which column isn't there, or is there twice."""
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        return f"has two columns {twice!r}"
    for mark in (";", "\t"):
        if len(header) == 1 and mark in header[0]:
            return f"parts its columns by {mark!r}; expected commas"
    for name in _NEEDED:
        if not set(COLUMNS[name]) & set(header):
            return (
                f"has no column {name!r}; expected at least {', '.join(map(repr, _NEEDED))}, "
                f"and came with {', '.join(map(repr, header)) or 'nothing'}"
            )
    return None


def read_json_lines(path: Path, into: Collector) -> None:
    """Read JSON lines: an object for each overlap, or for each call with a list ``overlaps``."""
    for line, text in enumerate(read_lines(path), 1):
        if not text.strip():
            continue
        try:
            entry = json.loads(text)
            if not isinstance(entry, dict):
                raise ValueError(f"a {type(entry).__name__}")
        except ValueError as error:
            into.problems.append(Problem(str(path), line, f"isn't a JSON object: {error}"))
            continue
        if entry.get("overlaps") == []:
            into.problems.append(Problem(str(path), line, "has no overlaps"))
        for fields in _entries(entry):
            _take(fields, path, line, into)


def _entries(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not isinstance(entry.get("overlaps"), list):
        yield entry
        return
    common = {name: value for name, value in entry.items() if name != "overlaps"}
    for overlap in entry["overlaps"]:
        yield common | (overlap if isinstance(overlap, dict) else {"label": overlap})


def _take(fields: Mapping[str, Any], path: Path, line: int, into: Collector) -> None:
    given = {
        name: value
        for name, names in COLUMNS.items()
        if (value := next((fields[n] for n in names if _is_given(fields.get(n))), None)) is not None
    }
    known = {n for names in COLUMNS.values() for n in names}
    tags = {n: str(v) for n, v in fields.items() if n not in known and v is not None}
    try:
        row = _row(given, tags, path, line)
    except ValueError as error:
        into.problems.append(Problem(str(path), line, str(error)))
        return
    into.take(row)


def _is_given(value: object) -> bool:
    return value is not None and str(value).strip() != ""


def _row(given: Mapping[str, Any], tags: Mapping[str, str], path: Path, line: int) -> Row:
    for name in _NEEDED:
        if name not in given:
            raise ValueError(f"has no {name}; expected {', '.join(_NEEDED)}")
    agent_start = given.get("agent_start")
    return Row(
        audio=str(path.parent / str(given["audio"]).strip()),
        agent_audio=(
            str(path.parent / str(given["agent_audio"]).strip()) if "agent_audio" in given else None
        ),
        caller_channel=_channel(given, "caller_channel"),
        agent_channel=_channel(given, "agent_channel"),
        start=_seconds(given["start"], "start"),
        end=_seconds(given["end"], "end"),
        text=str(given["label"]).strip(),
        call=str(given["call"]).strip() if "call" in given else None,
        agent_start=None if agent_start is None else _seconds(agent_start, "agent_start"),
        file=str(path),
        line=line,
        tags={**tags, **{n: str(v) for n, v in given.items()}},
    )


def _seconds(value: object, name: str) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError(f"{name} came as {value!r}; expected seconds")
    return seconds


def _channel(given: Mapping[str, Any], name: str) -> int | None:
    """Read a channel: left, right, or a number from 1. From 0 inside."""
    if name not in given:
        return None
    text = str(given[name]).strip().lower()
    if text in _SIDES:
        return _SIDES[text]
    if text.isdecimal() and int(text) >= 1:
        return int(text) - 1
    raise ValueError(f"{name} came as {given[name]!r}; expected left, right, or a number from 1")
