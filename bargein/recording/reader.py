"""Reads a call's recording, as far as it was written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.core.setup import CallSetup
from bargein.errors import MissingExtraError, RecordingError

from .entries import load_input, load_setup
from .writer import FORMAT, VERSION

__all__ = ["CallRecording", "Entry", "find_recordings", "load_recording"]

_SEGMENT = re.compile(r"(caller|agent)-(\d{4,})-(\d+)\.(flac|pcm)")


@attrs.frozen
class Entry:
    """One line of a recording, in the order in which it happened.

    ``kind`` is ``input`` (``item``, and ``direct`` if it went past the pipeline), ``deadline``,
    or ``output``, ``event``, ``error``, ``ended`` or ``lost`` (``plain``: the line itself).
    """

    line: int
    kind: str
    now: float = 0.0
    item: Any = None
    direct: bool = False
    plain: dict[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.define(eq=False)
class CallRecording:
    """A recorded call. Reading it twice gives the same; the files stay closed meanwhile."""

    path: Path
    header: dict[str, Any]
    setup: CallSetup
    complete: bool = True
    """Whether it has its end; else the process died, or the disk was too slow. Known once
    :meth:`entries` has been read to its end."""
    cut: str | None = None
    """Where and why reading ended before the last line, if it did."""

    @property
    def stream_id(self) -> str:
        """The call's name."""
        return str(self.header["stream_id"])

    @property
    def model(self) -> str:
        """Who judged."""
        return str(self.header["model"])

    def entries(self) -> Iterator[Entry]:
        """Yield what happened, the audio in its place.

        Ends before a line that is damaged or whose audio isn't there, and says so in ``cut``.
        """
        self.complete, self.cut = False, None
        audio = _Audio(self.path)
        path = self.path / "call.jsonl"
        with path.open("rb") as lines:
            next(lines)
            for number, line in enumerate(lines, 2):
                try:
                    entry = _entry(number, json.loads(line), audio)
                except (ValueError, KeyError, TypeError, EOFError) as error:
                    whole = line.endswith(b"\n")
                    why = str(error) if whole else "the line isn't whole"
                    self.cut = f"{path}:{number}: {why}"
                    return
                if entry.kind in ("ended", "lost"):
                    self.complete = entry.kind == "ended"
                    if entry.kind == "lost":
                        self.cut = f"{path}:{number}: {entry.plain['lost']}"
                yield entry

    def events(self) -> list[dict[str, Any]]:
        """Return the events as they were emitted: JSON types, arrays as digests."""
        return [entry.plain["event"] for entry in self.entries() if entry.kind == "event"]


def load_recording(path: str | os.PathLike[str]) -> CallRecording:
    """Open a call's recording: its folder, or the ``call.jsonl`` in it.

    Raises :class:`~bargein.errors.RecordingError` if there is none, or if it is of a newer
    version than this library's.
    """
    folder = Path(path)
    if folder.name == "call.jsonl":
        folder = folder.parent
    lines = folder / "call.jsonl"
    try:
        with lines.open("rb") as opened:
            first = opened.readline()
    except OSError as error:
        raise RecordingError(f"{folder}: no recording of a call: {error.strerror}") from error
    try:
        header = json.loads(first)
        if header.get("format") != FORMAT:
            raise ValueError
    except (ValueError, AttributeError):
        raise RecordingError(
            f"{lines}:1: not a recording's header; expected JSON with format {FORMAT!r}"
        ) from None
    version = header.get("version")
    if not isinstance(version, int) or version < 1:
        raise RecordingError(f"{lines}:1: version {version!r}; expected a whole number from 1")
    if version > VERSION:
        raise RecordingError(
            f"{lines}:1: version {version!r}; this library reads up to {VERSION}: install a newer "
            f"one (it was written by bargein {header.get('bargein')})"
        )
    try:
        return CallRecording(folder, header, load_setup(header["setup"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RecordingError(f"{lines}:1: a damaged header: {error!r}") from error


def find_recordings(path: str | os.PathLike[str]) -> list[Path]:
    """Return the recordings in a folder, by name; the folder itself if it is one."""
    folder = Path(path)
    if folder.name == "call.jsonl" or (folder / "call.jsonl").exists():
        return [folder]
    found = sorted(lines.parent for lines in folder.glob("*/call.jsonl"))
    if not found:
        raise RecordingError(f"{folder}: no recording of a call there, nor in its folders")
    return found


def _entry(number: int, plain: Any, audio: _Audio) -> Entry:
    if "in" in plain:
        direct = plain.get("direct", False)
        if plain["in"] == "SetFormat":
            audio.begin_segment("caller")
        item = load_input(plain, audio.take)
        return Entry(number, "input", plain["t"], item, direct, plain)
    if "deadline" in plain:
        return Entry(number, "deadline", plain["t"], plain=plain)
    for key, kind in _KINDS.items():
        if key in plain:
            return Entry(number, kind, plain=plain)
    raise RecordingError(f"a line of no kind that is known: {sorted(plain)}")


_KINDS = {"out": "output", "event": "event", "error": "error", "ended": "ended", "lost": "lost"}


class _Audio:
    """Both sides' samples, a segment at a time."""

    def __init__(self, folder: Path) -> None:
        self._left: dict[str, list[tuple[int, Path]]] = {"caller": [], "agent": []}
        found: dict[tuple[str, int], Path] = {}
        for path in sorted(folder.iterdir()):
            match = _SEGMENT.fullmatch(path.name)
            # Both are there if the process died between writing the one and deleting the other.
            if match and ((match[1], int(match[2])) not in found or match[4] == "flac"):
                found[match[1], int(match[2])] = path
        for who, number in sorted(found, reverse=True):
            self._left[who].append((number, found[who, number]))
        self._number = dict.fromkeys(self._left, 0)
        self._rest = {who: np.zeros(0, np.int16) for who in self._left}

    def take(self, who: str, count: int) -> npt.NDArray[np.int16]:
        """Return the next samples; raises ``EOFError`` if they aren't there."""
        while len(self._rest[who]) < count:
            if not self._left[who]:
                raise EOFError(f"{count - len(self._rest[who])} samples of the {who} are missing")
            number, path = self._left[who].pop()
            self._number[who] += 1
            if number != self._number[who]:
                raise EOFError(f"segment {self._number[who]} of the {who}'s audio is missing")
            self._rest[who] = np.concatenate((self._rest[who], _read(path)))
        taken, self._rest[who] = self._rest[who][:count], self._rest[who][count:]
        return taken

    def begin_segment(self, who: str) -> None:
        """A new format begins a new segment: nothing of the one before is left."""
        self._rest[who] = self._rest[who][:0]


def _read(path: Path) -> npt.NDArray[np.int16]:
    if path.suffix == ".pcm":
        data = path.read_bytes()
        return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16, copy=False)
    try:
        soundfile = import_module("soundfile")
    except ImportError:
        raise MissingExtraError("reading a call's recording", "files") from None
    try:
        samples: npt.NDArray[np.int16] = soundfile.read(path, dtype="int16")[0]
    except soundfile.LibsndfileError as error:
        raise EOFError(f"{path.name} can't be read: {error}") from error
    return samples
