"""Actors' lines out of three talking adventures: real voices in conversation, and what they say.

*Flight of the Amazon Queen* (1995) keeps its speech as MP3 in one file, and beside it the text of
every dialogue: so a line's words are known, and who says it. *Beneath a Steel Sky* (1994) has other
actors; its text is packed in a way that only the game knows, so its lines are told by number alone.
*Drascula* (1996) has a file for each line, and a table of its words in six languages.
All are in Debian's main archive, under licences that let them be changed and passed on.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import attrs
import numpy as np
import soundfile as sf

from training.sound import Audio, to_rate

_QUEEN = "deb/flight-of-the-amazon-queen/usr/share/scummvm/flight-of-the-amazon-queen/queen.1c"
_SKY = "deb/beneath-a-steel-sky/usr/share/scummvm/beneath-a-steel-sky"

_DRASCULA = "deb/drascula/usr/share/scummvm/drascula/en"

_ENTRY = struct.Struct(">12sBII")
_ENTRIES_AT = 15
_AMIGA_HEADER = 20
"""Bytes before a dialogue's own contents."""

_PART = re.compile(r"\*[A-Z0-9]{2}")
"""Ends a part of a line: each part is one recording."""

_REPLIES = "QUEEN2.JAS"
"""The hero's remarks, one per line."""


@attrs.frozen
class Line:
    """A recorded line: the file's name, who says it, and the words."""

    name: str
    who: str
    text: str


class Queen:
    """Flight of the Amazon Queen's speech."""

    def __init__(self, sources: Path) -> None:
        path = sources / _QUEEN
        if not path.exists():
            raise FileNotFoundError(f"no {path}: run python -m training.fetch {sources}")
        self._raw = path.read_bytes()

    @cached_property
    def _files(self) -> dict[str, bytes]:
        (count,) = struct.unpack_from(">H", self._raw, _ENTRIES_AT - 2)
        found = {}
        for number in range(count):
            entry = _ENTRY.unpack_from(self._raw, _ENTRIES_AT + number * _ENTRY.size)
            name, _, start, size = entry
            found[name.split(b"\0")[0].decode("latin1")] = self._raw[start : start + size]
        return found

    def lines(self) -> list[Line]:
        """All lines whose words are known, by name."""
        found: dict[str, Line] = {}
        for name, content in self._files.items():
            if name.endswith(".DOG"):
                for line in self._dialogue(name, content[_AMIGA_HEADER:]):
                    found.setdefault(line.name, line)
        replies = self._files[_REPLIES].decode("latin1").split("\r\n")
        for number, text in enumerate(replies, 1):
            for part, said in enumerate(_parts(text), 1):
                line = Line(f"JOE{number:04d}{part}", "joe", said)
                if f"{line.name}.SB" in self._files:
                    found.setdefault(line.name, line)
        return [found[name] for name in sorted(found)]

    def _dialogue(self, name: str, content: bytes) -> Iterator[Line]:
        """Strings with a length before them, and before that the number that recordings bear."""
        (key,) = struct.unpack_from(">h", content, 4)
        other = name[:-4].rstrip("0123456789").lower()
        for at in range(4, len(content) - 4):
            text = content[at + 1 : at + 1 + content[at]]
            if content[at] < 3 or b"*" not in text or min(text) < 10:
                continue
            (number,) = struct.unpack_from(">H", content, at - 2)
            for part, said in enumerate(_parts(text.decode("latin1")), 1):
                for letter, who in (("P", other), ("J", "joe")):
                    line = f"{key:02d}{number:04X}{letter}{part}"
                    if f"{line}.SB" in self._files:
                        yield Line(line, who, said)

    def audio(self, line: Line) -> Audio:
        """A line's recording at 16 kHz, as it is."""
        samples, rate = sf.read(io.BytesIO(self._files[f"{line.name}.SB"]), dtype="float32")
        return to_rate(np.asarray(samples), int(rate))


def _parts(text: str) -> list[str]:
    return [part.strip() for part in _PART.split(text) if part.strip()]


def words_of(text: str) -> str:
    """Lower-case words alone, to compare with."""
    return " ".join(re.findall(r"[a-z']+", text.lower()))


_DRASCULA_RATE = 11_025
_DRASCULA_LANGUAGES = 6
"""Of which the first is English."""
_FIRST_DRASCULA_LINE = b"THAT'S THE SECOND BIGGEST DOOR"
_BEFORE_FIRST_LINE = 12
"""Bytes from the first table's start to that line."""
_DRASCULA_CHARACTERS = {
    "": "hacker",
    "D": "drascula",
    "B": "bartender",
    "BJ": "bj",
    "E": "stranger",
    "I": "igor",
    "L": "wolf",
    "P": "pianist",
    "T": "drunkard",
    "VB": "von-braun",
}
"""Prefix of a line's file -> who says it; in the order of the tables."""


class Drascula:
    """Drascula: The Vampire Strikes Back: its speech in English."""

    def __init__(self, sources: Path) -> None:
        self._folder = sources / _DRASCULA
        if not self._folder.is_dir():
            raise FileNotFoundError(f"no {self._folder}: run python -m training.fetch {sources}")

    def lines(self) -> list[Line]:
        """All lines, by character and number."""
        raw = (self._folder / "drascula.dat").read_bytes()
        at = raw.index(_FIRST_DRASCULA_LINE) - _BEFORE_FIRST_LINE
        found = []
        for prefix, who in _DRASCULA_CHARACTERS.items():
            texts, at = self._table(raw, at)
            for number, text in enumerate(texts):
                if text.strip() and (self._folder / f"{prefix}{number}.ALS").exists():
                    found.append(Line(f"{prefix}{number}", who, text.capitalize()))
        return found

    def _table(self, raw: bytes, at: int) -> tuple[list[str], int]:
        """One character's lines in English, and where the next table begins."""
        (count,) = struct.unpack_from(">H", raw, at)
        at += 2
        english: list[str] = []
        for language in range(_DRASCULA_LANGUAGES):
            (size,) = struct.unpack_from(">H", raw, at)
            block = raw[at + 2 : at + 2 + size]
            at += 2 + size
            if language == 0:
                # Before each line stands how far it is to the next one.
                start, english = 4, [""]
                for _ in range(1, count):
                    start += struct.unpack_from(">H", block, start - 2)[0]
                    english.append(block[start:].split(b"\0")[0].decode("latin1"))
        return english, at

    def audio(self, line: Line) -> Audio:
        """A line's recording at 16 kHz, as it is."""
        raw = (self._folder / f"{line.name}.ALS").read_bytes()
        samples = (np.frombuffer(raw, np.uint8).astype(np.float32) - 128.0) / 128.0
        return to_rate(samples, _DRASCULA_RATE)


_SKY_RATE = 11_025
_SKY_HEADER = 22
_SPEECH = range(50_000, 60_000)
"""Numbers of the files that are speech."""


class Sky:
    """Beneath a Steel Sky's speech."""

    def __init__(self, sources: Path) -> None:
        folder = sources / _SKY
        if not folder.is_dir():
            raise FileNotFoundError(f"no {folder}: run python -m training.fetch {sources}")
        self._disk = (folder / "sky.dsk").read_bytes()
        self._index = (folder / "sky.dnr").read_bytes()

    def numbers(self) -> dict[int, tuple[int, int]]:
        """Number of each recording -> where it lies: offset, bytes."""
        (count,) = struct.unpack_from("<I", self._index)
        found = {}
        for entry in range(count):
            raw = self._index[4 + 8 * entry : 12 + 8 * entry]
            number = int.from_bytes(raw[:2], "little")
            offset = int.from_bytes(raw[2:5], "little")
            if offset >> 23:
                offset = (offset & 0x7FFFFF) << 4
            if number in _SPEECH:
                found[number] = (offset, int.from_bytes(raw[5:], "little") & 0x3FFFFF)
        return dict(sorted(found.items()))

    def audio(self, number: int) -> Audio:
        """A recording at 16 kHz, as it is."""
        offset, size = self.numbers()[number]
        raw = self._disk[offset + _SKY_HEADER : offset + size]
        raw = unpack(raw) if raw.startswith(b"RNC\x01") else raw
        samples = (np.frombuffer(raw, np.uint8).astype(np.float32) - 128.0) / 128.0
        return to_rate(samples, _SKY_RATE)


class _Bits:
    """Bits from the low end of little-endian 16-bit words, with plain bytes between them."""

    def __init__(self, packed: bytes, at: int) -> None:
        self.packed, self.at = packed, at
        self.held = int.from_bytes(packed[at : at + 2], "little")
        self.count = 16

    def take(self, count: int) -> int:
        value = self.held & ((1 << count) - 1)
        self.held >>= count
        self.count -= count
        if self.count < 16:
            self.at += 2
            self.held |= int.from_bytes(self.packed[self.at : self.at + 2], "little") << self.count
            self.count += 16
        return value

    def plain(self, count: int) -> bytes:
        taken = self.packed[self.at : self.at + count]
        self.at += count
        self.count -= 16
        self.held &= (1 << self.count) - 1
        self.held |= int.from_bytes(self.packed[self.at : self.at + 2], "little") << self.count
        self.count += 16
        return taken


_Codes = dict[tuple[int, int], int]


def _codes(bits: _Bits) -> _Codes:
    """A Huffman code: (length, bits as they come) -> leaf."""
    lengths = [bits.take(4) for _ in range(bits.take(5))]
    found, code = {}, 0
    for length in range(1, 17):
        for leaf, own in enumerate(lengths):
            if own == length:
                found[length, int(f"{code:0{length}b}"[::-1], 2)] = leaf
                code += 1
        code <<= 1
    return found


def _value(bits: _Bits, codes: _Codes) -> int:
    for length in range(1, 17):
        leaf = codes.get((length, bits.held & ((1 << length) - 1)))
        if leaf is not None:
            bits.take(length)
            return leaf if leaf < 2 else bits.take(leaf - 1) | 1 << (leaf - 1)
    raise ValueError("a code that is in no table; expected data packed by RNC's method 1")


def unpack(packed: bytes) -> bytes:
    """Undo RNC ProPack's method 1: Huffman-coded runs of plain bytes and of repeated ones."""
    size, _, _, _, _, chunks = struct.unpack_from(">IIHHBB", packed, 4)
    bits = _Bits(packed, 18)
    bits.take(2)
    out = bytearray()
    for _ in range(chunks):
        plain, back, long = _codes(bits), _codes(bits), _codes(bits)
        turns = bits.take(16)
        for turn in range(turns):
            count = _value(bits, plain)
            if count:
                out += bits.plain(count)
            if turn < turns - 1:
                distance, count = _value(bits, back) + 1, _value(bits, long) + 2
                for _ in range(count):
                    out.append(out[-distance])
    if len(out) != size:
        raise ValueError(f"unpacked {len(out)} bytes; the header tells {size}")
    return bytes(out)
