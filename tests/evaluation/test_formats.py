"""Label files of other programs, good and bad."""

from __future__ import annotations

from pathlib import Path

import pytest

from bargein.evaluation.formats import (
    RawLabel,
    parse_audacity,
    parse_rttm,
    parse_srt,
    parse_textgrid,
)

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 9.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "overlaps"
        xmin = 0
        xmax = 9.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 1.25
            text = ""
        intervals [2]:
            xmin = 1.25
            xmax = 2.5
            text = "he said ""noise"" 3 "
    item [2]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 9.5
        points: size = 1
        points [1]:
            number = 4
            mark = "click"
"""

SHORT = """"ooTextFile"
"TextGrid"
0 9.5 <exists> 1 ! a comment with 7 "words"
"IntervalTier" "words" 0 9.5 1
0.5
1.5
"backchannel"
"""


def write(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def test_audacity(tmp_path: Path) -> None:
    path = write(
        tmp_path, "a.txt", "1.5\t2.25\tinterruption\n\\\t100\t200\n\n3\t4\ttwo\twords\n5\t5.5\n"
    )

    assert parse_audacity(path) == (
        [
            RawLabel(1, 1.5, 2.25, "interruption"),
            RawLabel(4, 3.0, 4.0, "two\twords"),
            RawLabel(5, 5.0, 5.5, ""),
        ],
        [],
    )


@pytest.mark.parametrize("line", ["1,000.5\t2\tnoise", "1.5", "nan\t2\tnoise", "1 2 noise"])
def test_a_bad_line_is_told_with_its_number(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, "a.txt", f"1\t2\tnoise\n{line}\n3\t4\tnoise\n")

    labels, problems = parse_audacity(path)

    assert [label.line for label in labels] == [1, 3]
    assert [(p.file, p.line) for p in problems] == [(str(path), 2)]
    assert "apart by tabs" in str(problems[0])


def test_commas_in_times_are_understood(tmp_path: Path) -> None:
    labels, problems = parse_audacity(write(tmp_path, "a.txt", "1,5\t2,25\tyes, right\n"))

    assert (labels, problems) == ([RawLabel(1, 1.5, 2.25, "yes, right")], [])


def test_rttm(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a.rttm",
        ";; made by hand\n"
        "SPKR-INFO call 1 <NA> <NA> <NA> unknown alice <NA>\n"
        "SPEAKER call 1 1.5 0.75 <NA> <NA> backchannel <NA> <NA>\n"
        "NON-SPEECH call 2 4 1 <NA> noise <NA> <NA>\n"
        "LEXEME call 1 5 1 word lex alice <NA>\n"
        "SPEAKER call 1 1.5\n"
        "SPEAKER call x 1.5 0.75 <NA> <NA> backchannel <NA> <NA>\n"
        "SPEAKER call 0 1.5 0.75 <NA> <NA> backchannel <NA> <NA>\n"
        "SPEAKER call <NA> 7 1 <NA> <NA> backchannel <NA> <NA>\n",
    )

    labels, problems = parse_rttm(path)

    assert labels == [
        RawLabel(3, 1.5, 2.25, "backchannel", "call", 0),
        RawLabel(4, 4.0, 5.0, "noise", "call", 1),
        RawLabel(5, 5.0, 6.0, "LEXEME", "call", 0),
        RawLabel(9, 7.0, 8.0, "backchannel", "call", None),
    ]
    assert [problem.line for problem in problems] == [6, 7, 8]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_long_textgrid(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, "a.TextGrid", LONG, encoding)

    assert parse_textgrid(path) == ([RawLabel(22, 1.25, 2.5, 'he said "noise" 3')], [])


def test_a_short_textgrid(tmp_path: Path) -> None:
    path = write(tmp_path, "a.TextGrid", SHORT)

    assert parse_textgrid(path) == ([RawLabel(7, 0.5, 1.5, "backchannel")], [])
    assert parse_textgrid(path, "words")[0] == [RawLabel(7, 0.5, 1.5, "backchannel")]
    labels, problems = parse_textgrid(path, "phones")
    assert labels == []
    assert "has no tier 'phones'; its interval tiers: 'words'" in str(problems[0])


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("", 1, "it ends too soon"),
        ("hello", 1, "it ends too soon"),
        ('"ooTextFile" "Pitch" 0 1', 1, "it says 'ooTextFile' and 'Pitch'"),
        (SHORT.replace('"backchannel"', ""), 6, "it ends too soon"),
        (SHORT.replace('"words"', "3"), 4, "3 stands where a text should"),
        ("ooBinaryFile\x08TextGrid", 1, "it is in the binary one"),
    ],
)
def test_what_is_no_textgrid_is_told(tmp_path: Path, text: str, line: int, why: str) -> None:
    path = write(tmp_path, "a.TextGrid", text)

    labels, problems = parse_textgrid(path)

    assert labels == []
    assert str(problems[0]).startswith(f"{path}:{line}: isn't a TextGrid in Praat's text format")
    assert why in str(problems[0])


def test_a_textgrid_without_tiers_is_empty(tmp_path: Path) -> None:
    path = write(tmp_path, "a.TextGrid", '"ooTextFile" "TextGrid" 0 1 <absent>')

    assert parse_textgrid(path) == ([], [])


def test_srt(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a.srt",
        "1\n00:00:01,500 --> 00:00:02,250\n[Continuer Backchannel] mm-hmm\n\n"
        "2\n01:00:03.5 --> 01:00:04,000\n[Overlap]\n\n"
        "3\n00:00:05,000 --> 6\n[Overlap]\n\n4\n00:00:07,000 --> 00:00:08,000\nno label\n",
    )

    labels, problems = parse_srt(path)

    assert labels == [
        RawLabel(2, 1.5, 2.25, "Continuer Backchannel"),
        RawLabel(6, 3603.5, 3604.0, "Overlap"),
    ]
    assert [problem.line for problem in problems] == [10, 14]
