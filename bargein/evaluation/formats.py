"""Label files that other programs write: Audacity, RTTM, Praat TextGrid, SubRip.

Small parsers of our own: each format is a page, and packages that read them don't keep the line on
which a label stands, without which nobody finds a bad one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from .dataset import Problem

__all__ = ["PARSERS", "RawLabel", "parse_audacity", "parse_rttm", "parse_srt", "parse_textgrid"]


@attrs.frozen
class RawLabel:
    """A label as it stands in a file: seconds, and its own word."""

    line: int
    start: float
    end: float
    text: str
    recording: str = ""
    """The recording's name, where the format tells it."""
    channel: int | None = None
    """The channel, counted from 0, where the format tells it."""


Found = tuple[list[RawLabel], list[Problem]]
Parser = Callable[[Path], Found]


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, or in UTF-16 where it says so (Praat writes both).

    Raises ``OSError`` where it can't be read and ``UnicodeError`` where it is neither.
    """
    data = path.read_bytes()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return data.decode(encoding)


def read_lines(path: Path) -> list[str]:
    """Read a text file's lines, as editors count them.

    ``str.splitlines`` would also end one at characters that a label's text may hold (U+2028).
    """
    return re.split(r"\r\n|\r|\n", read_text(path))


def _seconds(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _parse_lines(path: Path, parse: Callable[[int, str], RawLabel | None], expected: str) -> Found:
    """Parse a line at a time; what can't be parsed is a problem with its line."""
    labels, problems = [], []
    for number, line in enumerate(read_lines(path), 1):
        try:
            label = parse(number, line)
        except (ValueError, IndexError):
            shown = line.strip()[:60]
            problems.append(Problem(str(path), number, f"came as {shown!r}; expected {expected}"))
            continue
        if label is not None:
            labels.append(label)
    return labels, problems


def parse_audacity(path: Path) -> Found:
    """Read Audacity's label track: start, end and text, apart by tabs.

    Lines that begin with a backslash hold a label's frequencies and say nothing of time. Where a
    comma parts a second from its fractions, some versions write one.
    """

    def parse(number: int, line: str) -> RawLabel | None:
        if not line.strip() or line.startswith("\\"):
            return None
        start, end, *text = line.split("\t")
        begin, over = (_seconds(time.replace(",", ".")) for time in (start, end))
        return RawLabel(number, begin, over, "\t".join(text).strip())

    return _parse_lines(path, parse, "start, end and label, apart by tabs")


_RTTM_FIELDS = 9
_RTTM_NO_TIMES = frozenset({"SPKR-INFO"})
_RTTM_NOISES = frozenset({"NON-SPEECH", "NON-LEX"})
"""Types of what isn't words (NIST RT-09, appendix A): music, laughter, breath, cough, …"""


def parse_rttm(path: Path) -> Found:
    """Read NIST's RTTM: type, file, channel, start, duration, text, subtype, name, …

    The label of a ``SPEAKER`` line is its name; ``NON-SPEECH`` and ``NON-LEX`` are noise; of any
    other type the type is the label, which somebody must map.
    """

    def parse(number: int, line: str) -> RawLabel | None:
        fields = line.split()
        if not fields or fields[0].startswith(";;") or fields[0] in _RTTM_NO_TIMES:
            return None
        if len(fields) < _RTTM_FIELDS:
            raise ValueError(line)
        kind, recording, channel, start, duration, _, _, name = fields[:8]
        text = name if kind == "SPEAKER" else "noise" if kind in _RTTM_NOISES else kind
        begin = _seconds(start)
        end = begin + _seconds(duration)
        side = None if channel == "<NA>" else int(channel) - 1
        if side is not None and side < 0:
            raise ValueError(line)
        return RawLabel(number, begin, end, text, recording, side)

    expected = "an RTTM line of nine fields or more, channels counted from 1, times in seconds"
    return _parse_lines(path, parse, expected)


_TOKEN = re.compile(
    r'"(?:[^"]|"")*"'  # a text, in which two quotes are one
    r"|<\w+>"  # a flag
    r"|(?<!\S)[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?!\S)"  # a number that stands free
    r"|![^\n]*"  # a comment
)
"""What counts in a text file of Praat's; all else is for the eye, so that the long and the short
form are one (the manual's page "TextGrid file formats")."""

_TEXTGRID = "a TextGrid in Praat's text format"


class _Tokens:
    """The tokens of a TextGrid, each with its line."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found = (m for m in _TOKEN.finditer(text) if not m[0].startswith("!"))
        self._line, self._position = 1, 0

    @property
    def line(self) -> int:
        """The line of the newest token."""
        return self._line

    def take(self) -> tuple[int, str]:
        match = next(self._found, None)
        if match is None:
            raise ValueError("it ends too soon")
        self._line += self._text.count("\n", self._position, match.start())
        self._position = match.start()
        return self._line, match[0]

    def number(self) -> float:
        return _seconds(self.take()[1])

    def text(self) -> tuple[int, str]:
        line, token = self.take()
        if not token.startswith('"'):
            raise ValueError(f"{token} stands where a text should")
        return line, token[1:-1].replace('""', '"')


def parse_textgrid(path: Path, tier: str | None = None) -> Found:
    """Read a Praat TextGrid, its long or its short text form; intervals without a text are none.

    Of the tiers the one called ``tier`` (by default ``overlaps``) is read; where there is none of
    that name, and none was asked for, all interval tiers are.
    """
    wanted = (tier or "overlaps").lower()
    text = read_text(path)
    tokens = _Tokens(text)
    try:
        tiers = list(_read_tiers(tokens))
    except ValueError as error:
        why = "it is in the binary one" if text.startswith("ooBinaryFile") else str(error)
        return [], [Problem(str(path), tokens.line, f"isn't {_TEXTGRID}: {why}")]
    chosen = [labels for name, labels in tiers if name.lower() == wanted]
    if not chosen and tier is not None:
        names = ", ".join(repr(name) for name, _ in tiers) or "none"
        return [], [Problem(str(path), None, f"has no tier {tier!r}; its interval tiers: {names}")]
    return [label for labels in chosen or [each for _, each in tiers] for label in labels], []


def _read_tiers(tokens: _Tokens) -> Iterator[tuple[str, list[RawLabel]]]:
    file_type, kind = tokens.text()[1], tokens.text()[1]
    if (file_type, kind) != ("ooTextFile", "TextGrid"):
        raise ValueError(f"it says {file_type!r} and {kind!r} at its start")
    tokens.number(), tokens.number()
    if tokens.take()[1] != "<exists>":
        return
    for _ in range(int(tokens.number())):
        kind, name = tokens.text()[1], tokens.text()[1]
        tokens.number(), tokens.number()
        labels = []
        for _ in range(int(tokens.number())):
            start = tokens.number()
            end = tokens.number() if kind == "IntervalTier" else start
            line, text = tokens.text()
            if kind == "IntervalTier" and text.strip():
                labels.append(RawLabel(line, start, end, text.strip()))
        if kind == "IntervalTier":
            yield name, labels


_SRT_TIMES = re.compile(
    r"\s*(\d+):(\d\d):(\d\d)[,.](\d{1,3})\s*-->\s*(\d+):(\d\d):(\d\d)[,.](\d{1,3})"
)
_SRT_LABEL = re.compile(r"\s*\[([^\]]+)\]")


def parse_srt(path: Path) -> Found:
    """Read SubRip: the label is what stands in brackets at the start of a caption's text."""
    labels, problems = [], []
    lines = read_lines(path)
    for at, line in enumerate(lines):
        if "-->" not in line:
            continue
        times = _SRT_TIMES.match(line)
        text = lines[at + 1] if at + 1 < len(lines) else ""
        bracket = _SRT_LABEL.match(text)
        if times is None or bracket is None:
            what = "expected times as 00:00:01,500 --> 00:00:02,000 and then a [label]"
            shown = line if times is None else text
            problems.append(Problem(str(path), at + 1, f"came as {shown.strip()!r}; {what}"))
            continue
        hour, minute, second, rest = (times.groups()[k::4] for k in range(4))
        start, end = (
            int(hour[k]) * 3600
            + int(minute[k]) * 60
            + int(second[k])
            + int(rest[k].ljust(3, "0")) / 1000
            for k in (0, 1)
        )
        labels.append(RawLabel(at + 1, start, end, bracket[1].strip()))
    return labels, problems


PARSERS: dict[str, Parser] = {
    ".txt": parse_audacity,
    ".rttm": parse_rttm,
    ".textgrid": parse_textgrid,
    ".srt": parse_srt,
}
"""By a file's ending, in small letters."""
