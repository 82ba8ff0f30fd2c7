"""Reading three games' speech: the packing, and the text beside it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from training.acted import Drascula, Queen, Sky, unpack, words_of


class Packer:
    """Writes RNC's bits: low end first, in 16-bit words that are fetched as soon as needed."""

    def __init__(self) -> None:
        self.bits: list[int] = []
        self.items: list[int | bytes] = []

    def put(self, value: int, count: int) -> None:
        self.items += [value >> i & 1 for i in range(count)]

    def plain(self, raw: bytes) -> None:
        self.items.append(raw)

    def packed(self, size: int, chunks: int = 1) -> bytes:
        # A reader holds 16 to 31 bits: a word is fetched when fewer than 16 are left, and plain
        # bytes lie where the next word would be fetched from, before one that was fetched already.
        words: list[list[int]] = [[]]
        tail: list[bytes] = [b""]
        for item in self.items:
            if isinstance(item, bytes):
                tail[-1] += item
                continue
            if len(words[-1]) == 16:
                words.append([])
                tail.append(b"")
            words[-1].append(item)
        body = b""
        for word, raw in zip(words, tail, strict=True):
            value = sum(bit << i for i, bit in enumerate(word))
            body += struct.pack("<H", value) + raw
        return (
            struct.pack(">4sIIHHBB", b"RNC\x01", size, len(body), 0, 0, 0, chunks) + body + b"\0\0"
        )


def table(packer: Packer, *lengths: int) -> None:
    packer.put(len(lengths), 5)
    for length in lengths:
        packer.put(length, 4)


def test_plain_bytes_and_a_repetition_are_unpacked() -> None:
    packer = Packer()
    packer.put(0, 2)
    table(packer, 1, 0, 1)  # 0 and 2 to 3 plain bytes
    table(packer, 0, 0, 1)  # distances of 3 or 4
    table(packer, 0, 1)  # three bytes repeated
    packer.put(2, 16)  # two turns
    packer.put(1, 1)  # leaf 2 ...
    packer.put(1, 1)  # ... with its bit: three plain bytes
    packer.plain(b"abc")
    packer.put(0, 1)
    packer.put(0, 1)  # distance 3
    packer.put(0, 1)  # 1 + 2 bytes
    packer.put(0, 1)  # no plain bytes
    assert unpack(packer.packed(6)) == b"abcabc"


def test_a_wrong_size_or_code_shows() -> None:
    packer = Packer()
    packer.put(0, 2)
    for _ in range(3):
        table(packer)
    packer.put(1, 16)
    packer.put(0, 32)
    with pytest.raises(ValueError, match="in no table"):
        unpack(packer.packed(1))
    empty = Packer()
    empty.put(0, 2)
    with pytest.raises(ValueError, match="unpacked 0 bytes; the header tells 5"):
        unpack(empty.packed(5, chunks=0))


def test_missing_packages_say_how_to_get_them(tmp_path: Path) -> None:
    for make in (Queen, Sky, Drascula):
        with pytest.raises(FileNotFoundError, match=r"python -m training\.fetch"):
            make(tmp_path)


def test_lines_are_found_with_their_words_and_speakers(tmp_path: Path) -> None:
    text = b"Hi there!*12Bye.*03"
    dialogue = bytes(20) + struct.pack(">hhh", 1, 0, 7) + bytes(6) + struct.pack(">H", 0x1F)
    dialogue += bytes([len(text)]) + text + bytes(8)
    files = {
        "BOB1.DOG": dialogue,
        "07001FP1.SB": b"",
        "07001FP2.SB": b"",
        "QUEEN2.JAS": b"Neat*02\r\nIt's*02open*02",
        "JOE00011.SB": b"",
        "JOE00022.SB": b"",
    }
    start = 15 + 21 * len(files)
    index, body = b"", b""
    for name, content in files.items():
        index += struct.pack(">12sBII", name.encode(), 1, start + len(body), len(content))
        body += content
    path = tmp_path / "deb/flight-of-the-amazon-queen/usr/share/scummvm/flight-of-the-amazon-queen"
    path.mkdir(parents=True)
    head = b"QTBLCEM10\0\0\0\1" + struct.pack(">H", len(files))
    (path / "queen.1c").write_bytes(head + index + body)
    found = [(line.name, line.who, line.text) for line in Queen(tmp_path).lines()]
    assert found == [
        ("07001FP1", "bob", "Hi there!"),
        ("07001FP2", "bob", "Bye."),
        ("JOE00011", "joe", "Neat"),
        ("JOE00022", "joe", "open"),
    ]


def test_sky_samples_are_found_by_number(tmp_path: Path) -> None:
    path = tmp_path / "deb/beneath-a-steel-sky/usr/share/scummvm/beneath-a-steel-sky"
    path.mkdir(parents=True)
    samples = bytes([128] * 100 + [228] * 100)
    disk = bytes(16) + bytes(22) + samples
    entry = struct.pack("<H", 50_001) + (1 | 1 << 23).to_bytes(3, "little")
    entry += (22 + len(samples)).to_bytes(3, "little")
    (path / "sky.dsk").write_bytes(disk)
    (path / "sky.dnr").write_bytes(struct.pack("<I", 1) + entry)
    sky = Sky(tmp_path)
    assert sky.numbers() == {50_001: (16, 222)}
    heard = sky.audio(50_001)
    assert len(heard) == round(200 * 16_000 / 11_025)
    assert abs(float(np.median(heard[200:260])) - 100 / 128) < 0.05


def test_words_are_compared_without_marks() -> None:
    assert words_of("Yeah... it's OK!") == "yeah it's ok"


def _table(*texts: bytes) -> bytes:
    """One character's lines, the same in all six languages, as the game keeps them."""
    block = b"\0\0"
    for text in (b"", *texts):
        # Two bytes tell how far the next line is; lines begin at multiples of four.
        held = text + b"\0" * (4 - (len(text) + 2) % 4)
        block += struct.pack(">H", len(held) + 2) + held
    return struct.pack(">H", 1 + len(texts)) + 6 * (struct.pack(">H", len(block)) + block)


def test_a_file_for_each_line_and_a_table_of_words(tmp_path: Path) -> None:
    folder = tmp_path / "deb/drascula/usr/share/scummvm/drascula/en"
    folder.mkdir(parents=True)
    tables = [
        [b"THAT'S THE SECOND BIGGEST DOOR I'VE SEEN IN MY LIFE", b"NOT REALLY"],
        [b"HEY IGOR"],
        *([b"HI"] for _ in range(8)),
    ]
    raw = b"DRASCULA" + b"".join(_table(*texts) for texts in tables)
    (folder / "drascula.dat").write_bytes(raw)
    (folder / "2.ALS").write_bytes(bytes([128] * 5_512 + [255] * 5_513))
    (folder / "D1.ALS").write_bytes(bytes([128] * 100))

    game = Drascula(tmp_path)
    lines = game.lines()

    assert [(line.name, line.who, line.text) for line in lines] == [
        ("2", "hacker", "Not really"),
        ("D1", "drascula", "Hey igor"),
    ]
    heard = game.audio(lines[0])
    assert len(heard) == 16_000
    assert abs(heard[:7_000]).max() < 0.1
    assert heard[9_000:15_000].min() > 0.9
