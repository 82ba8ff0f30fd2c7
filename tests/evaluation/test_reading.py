"""Manifests and folders: what is read, and how what is wrong is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bargein.errors import DatasetError
from bargein.evaluation import Dataset, Track, read_dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten seconds of stereo and of mono."""
    for name, channels in (("call.wav", 2), ("mono.wav", 1), ("agent.wav", 1)):
        samples = np.ones((80_000, channels), np.int16)
        soundfile.write(tmp_path / name, samples, 8000)
    return tmp_path


def manifest(folder: Path, text: str, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def told(dataset: Dataset) -> list[str]:
    return [str(problem) for problem in dataset.problems if problem.line is not None]


GOOD = (
    "audio,start,end,label\n"
    "call.wav,1,2,interruption\ncall.wav,3,4,backchannel\ncall.wav,5,6,noise\n"
)


def test_a_manifest(folder: Path) -> None:
    path = manifest(folder, GOOD)

    dataset = read_dataset(path, strict=True)

    (call,) = dataset.calls
    audio = str(folder / "call.wav")
    assert (call.id, call.caller, call.agent) == (audio, Track(audio, 0), Track(audio, 1))
    assert [(o.start, o.end, o.label, o.file, o.line) for o in call.overlaps] == [
        (1.0, 2.0, "interruption", str(path), 2),
        (3.0, 4.0, "backchannel", str(path), 3),
        (5.0, 6.0, "noise", str(path), 4),
    ]
    assert dataset.problems == ()


def test_columns_go_by_other_names_and_the_rest_are_tags(folder: Path) -> None:
    path = manifest(
        folder,
        "path,onset,overlap_end,LABEL,channel,agent_channel,call_id,agent_start,mood\n"
        'call.wav,1,2,Interruption,right,left,c7,0.5,"calm, mostly"\n',
    )

    (call,) = read_dataset(path).calls

    assert (call.caller.channel, call.agent and call.agent.channel) == (1, 0)
    assert (call.id, call.agent_start) == ("c7", 0.5)
    assert call.overlaps[0].tags["mood"] == "calm, mostly"


def test_a_file_of_one_channel_is_the_callers_and_an_agents_file_may_be_named(folder: Path) -> None:
    path = manifest(
        folder,
        "audio,agent_audio,start,end,label\nmono.wav,,1,2,noise\nmono.wav,agent.wav,3,4,noise\n",
    )

    alone, both = read_dataset(path).calls

    assert alone.agent is None
    assert both.agent == Track(str(folder / "agent.wav"), 0)


def test_json_lines(folder: Path) -> None:
    lines = [
        {"audio": "call.wav", "start": 1, "end": 2, "label": "noise", "agent_start": None},
        {"audio": "mono.wav", "call": "m", "overlaps": [{"start": 1, "end": 2, "label": "noise"}]},
        {"audio": "mono.wav", "call": "m", "overlaps": ["noise"]},
        [1],
    ]
    path = manifest(folder, "\n".join(map(json.dumps, lines)) + "\n\n{\n", "m.jsonl")

    dataset = read_dataset(path)

    assert [call.id for call in dataset.calls] == [str(folder / "call.wav"), "m"]
    assert [problem.line for problem in dataset.problems if problem.line] == [3, 4, 6]


def test_labels_are_mapped_ignored_and_filtered(folder: Path) -> None:
    path = manifest(
        folder,
        "audio,start,end,label,split\ncall.wav,1,2,Uh-huh,a\ncall.wav,3,4,laugh,a\n"
        "call.wav,5,6,noise,b\ncall.wav,7,8,what,a\n",
    )

    dataset = read_dataset(
        path, names={"uh-huh": "backchannel", "laugh": "ignore"}, where={"split": "a"}
    )

    assert [o.label for o in dataset.calls[0].overlaps] == ["backchannel"]
    assert dataset.calls[0].unscored == ((3.0, 4.0), (5.0, 6.0), (7.0, 8.0))
    assert (dataset.ignored, dataset.filtered) == (1, 1)
    assert told(dataset) == [
        f"{path}:5: the label came as 'what'; expected one of interruption, backchannel, noise, "
        "ignore, or a mapping to one"
    ]


def test_calls_are_told_apart_by_a_column(folder: Path) -> None:
    text = GOOD.replace("label\n", "label,voice\n").replace("tion\n", "tion,anna\n")
    path = manifest(
        folder, text.replace("nnel\n", "nnel,anna\n").replace("noise\n", "noise,bert\n")
    )

    dataset = read_dataset(path, group_by="voice")

    assert (dataset.calls[0].id, dataset.overlaps) == ("anna", 2)
    assert told(dataset) == [
        f"{path}:4: voice came as bert; the same recording has anna before ({path}:2)"
    ]


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("call.wav,x,2,noise", "start came as 'x'; expected seconds"),
        ("call.wav,nan,2,noise", "start came as 'nan'; expected seconds"),
        ("call.wav,1,,noise", "has no end"),
        ("call.wav,1,2", "has 3 fields; expected 4"),
        ("call.wav,-1,2,noise", "begins at -1 s, before the recording"),
        ("call.wav,2,2,noise", "ends at 2 s, not after its start at 2 s"),
        ("call.wav,8,11,noise", "ends at 11 s; {folder}/call.wav ends at 10.00 s"),
        ("call.wav,1.5,2.5,noise", "begins at 1.5 s, before the interruption ends"),
        ("gone.wav,1,2,noise", "{folder}/gone.wav: no such file"),
        ("m.csv,1,2,noise", "not an audio file"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_the_rest_goes_on(
    folder: Path, row: str, what: str
) -> None:
    path = manifest(folder, f"{GOOD}{row}\n")

    dataset = read_dataset(path)

    assert dataset.overlaps == 3
    (problem,) = told(dataset)
    assert problem.startswith(f"{path}:5: ")
    assert what.format(folder=folder) in problem
    with pytest.raises(DatasetError, match=r"m\.csv:5: "):
        read_dataset(path, strict=True)


@pytest.mark.parametrize(
    ("header", "row", "what"),
    [
        ("caller_channel", "3", "the caller's channel is 3; {folder}/call.wav has 2"),
        ("caller_channel", "0", "caller_channel came as '0'; expected left, right"),
        ("agent_channel", "3", "the agent's channel is 3"),
        ("agent_start", "2.5", "ends at 2 s; the agent starts at 2.5 s"),
    ],
)
def test_channels_and_the_agents_start_must_fit(
    folder: Path, header: str, row: str, what: str
) -> None:
    text = f"audio,start,end,label,{header}\n" + f"call.wav,1,2,noise,{row}\n" * 2
    dataset = read_dataset(manifest(folder, text + "mono.wav,1,2,noise,\n"))

    for line, problem in zip((2, 3), told(dataset), strict=True):
        assert problem.startswith(f"{folder}/m.csv:{line}: ")
        assert what.format(folder=folder) in problem


def test_both_sides_can_not_be_one_channel(folder: Path) -> None:
    text = "audio,start,end,label,channel,agent_channel\ncall.wav,1,2,noise,1,1\n"
    text += "mono.wav,1,2,noise,,\n"

    assert "are the same channel, 1" in told(read_dataset(manifest(folder, text)))[0]


def test_a_recording_has_one_agent_start(folder: Path) -> None:
    text = "audio,start,end,label,agent_start\ncall.wav,1,2,noise,0\ncall.wav,3,4,noise,1\n"

    assert (
        "agent_start came as 1.0; the same recording has 0.0"
        in told(read_dataset(manifest(folder, text)))[0]
    )


def test_a_row_that_is_no_csv_is_told_and_the_rest_goes_on(folder: Path) -> None:
    path = manifest(folder, GOOD + 'call.wav,"7"x,8,noise\ncall.wav,8,9,noise\n')
    open_quote = manifest(folder, GOOD + 'call.wav,7,"8,noise\ncall.wav,8,9,noise\n', "q.csv")

    assert told(dataset := read_dataset(path)) == [f"{path}:5: isn't CSV: ',' expected after '\"'"]
    assert dataset.overlaps == 4
    assert told(read_dataset(open_quote)) == [
        f"{open_quote}:5: isn't CSV: unexpected end of data; lost up to line 6"
    ]


def test_a_line_of_json_may_hold_any_text_and_a_call_without_overlaps_is_told(folder: Path) -> None:
    common = {"audio": "call.wav", "note": "one\u2028two\x85"}
    lines = [
        json.dumps(common | {"start": 1, "end": 2, "label": "noise"}, ensure_ascii=False),
        json.dumps(common | {"overlaps": []}),
    ]
    path = manifest(folder, "\n".join(lines), "m.jsonl")

    dataset = read_dataset(path)

    assert dataset.overlaps == 1
    assert told(dataset) == [f"{path}:2: has no overlaps"]


def test_an_empty_class_is_told(folder: Path) -> None:
    dataset = read_dataset(manifest(folder, GOOD.replace("noise", "backchannel")))

    assert [str(p) for p in dataset.problems] == [
        f"{folder}/m.csv: has no noise: nothing is said of it"
    ]


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("m.csv", "audio,start,end\n", "has no column 'label'"),
        ("m.csv", "", "came with nothing"),
        ("m.csv", "audio,start,end,label\n", "it has no label"),
        ("m.csv", "audio;start;end;label\n", "parts its columns by ';'; expected commas"),
        ("m.csv", GOOD + '"x\n', "isn't CSV"),
        ("m.csv", GOOD.replace("end", "start"), "has two columns 'start'"),
        ("m.txt", "1\t2\tnoise\n", "expected a manifest"),
        ("m.csv", None, "can't be read: No such file"),
        ("m.rttm", None, "no such file or folder"),
    ],
)
def test_nothing_to_evaluate(folder: Path, name: str, text: str | None, what: str) -> None:
    path = folder / name if text is None else manifest(folder, text, name)

    with pytest.raises(DatasetError, match=what):
        read_dataset(path, strict=True)


def test_what_is_not_text_or_can_not_be_read(folder: Path) -> None:
    (folder / "m.csv").write_bytes(b"\xff\xfa\x00audio")
    with pytest.raises(DatasetError, match="isn't text in UTF-8"):
        read_dataset(folder / "m.csv")

    (folder / "d.csv").mkdir()
    with pytest.raises(DatasetError, match="nothing to evaluate"):
        read_dataset(folder / "d.csv")


# --- folders --------------------------------------------------------------------------------


def test_labels_beside_recordings(folder: Path) -> None:
    (folder / "m.csv").unlink(missing_ok=True)
    (folder / "call.txt").write_text("1\t2\tinterruption\n", encoding="utf-8")
    (folder / "readme.txt").write_text("Not labels.", encoding="utf-8")
    (folder / "all.rttm").write_text(
        "SPEAKER mono 1 1 1 <NA> <NA> backchannel <NA> <NA>\n"
        "SPEAKER gone 1 1 1 <NA> <NA> backchannel <NA> <NA>\n",
        encoding="utf-8",
    )

    dataset = read_dataset(folder)

    assert [(c.name, c.overlaps[0].label) for c in dataset.calls] == [
        (str(folder / "mono.wav"), "backchannel"),
        (str(folder / "call.wav"), "interruption"),
    ]
    assert [str(p) for p in dataset.problems] == [
        f"{folder}/agent.wav: has no labels beside it",
        f"{folder}/all.rttm:2: names the recording 'gone', which isn't beside it",
        f"{folder}: has no noise: nothing is said of it",
    ]


def test_an_empty_and_an_unreadable_label_file_are_told(folder: Path) -> None:
    (folder / "call.txt").write_text("1\t2\tnoise\n", encoding="utf-8")
    (folder / "mono.txt").write_text("", encoding="utf-8")
    (folder / "agent.TextGrid").write_bytes(b"\xfa\xfb")
    (folder / "gone.txt").write_text("1\t2\tnoise\n", encoding="utf-8")
    (folder / "lost.TextGrid").write_text("hello", encoding="utf-8")
    (folder / "call.flac").write_bytes((folder / "call.wav").read_bytes())
    (folder / "cal.wav").write_bytes((folder / "call.wav").read_bytes())
    (folder / "agent.txt").write_bytes(b"\xfa\xfb")

    problems = [str(p) for p in read_dataset(folder).problems]

    assert f"{folder}/mono.txt: has no labels" in problems
    assert any("agent.TextGrid: can't be read" in p for p in problems)
    assert any("agent.txt: can't be read" in p for p in problems)
    for name in ("gone.txt", "lost.TextGrid"):
        assert f"{folder}/{name}: there is no recording of this name beside it" in problems
    assert f"{folder}/call.wav: isn't read: call.flac beside it has the same name" in problems
    assert f"{folder}/cal.wav: has no labels beside it" in problems
    assert not any("agent.wav" in p for p in problems)


def test_a_folders_manifest_is_read(folder: Path) -> None:
    manifest(folder, GOOD, "manifest.csv")

    assert read_dataset(folder).overlaps == 3


def caption(number: int, start: str, end: str, label: str) -> str:
    return f"{number}\n00:00:{start},000 --> 00:00:{end},100\n[{label}] text\n\n"


def test_conversations_of_two_speakers(tmp_path: Path) -> None:
    """Two of three annotators must agree; what isn't scored, or disputed, is counted."""
    home = tmp_path / "20"
    home.mkdir()
    for speaker in (1, 2):
        soundfile.write(home / f"speaker_{speaker}_audio.wav", np.ones(80_000, np.int16), 8000)
    interruption, turn = "Floor-taking Competitive Interruption", "Normal Turn"
    one = caption(1, "01", "02", interruption) + caption(2, "04", "05", "Continuer Backchannel")
    (home / "speaker_1_annotation_a.srt").write_text(one, encoding="utf-8")
    (home / "speaker_1_annotation_b.srt").write_text(
        caption(1, "01", "02", interruption) + caption(2, "06", "07", turn), encoding="utf-8"
    )
    (home / "speaker_1_annotation_c.srt").write_text(caption(1, "01", "02", turn), encoding="utf-8")

    dataset = read_dataset(tmp_path)

    (call,) = dataset.calls
    assert call.id == "20"
    assert call.caller.path.endswith("speaker_1_audio.wav")
    assert call.agent == Track(str(home / "speaker_2_audio.wav"), 0)
    assert [(o.start, o.end, o.label) for o in call.overlaps] == [(1.0, 2.1, "interruption")]
    # "a" alone heard the backchannel, "b" and "c" a turn each, somewhere else.
    assert dataset.ignored == 3
    assert call.unscored == ((1.0, 2.1), (4.0, 5.1), (6.0, 7.1))
    assert f"{home}: has no speaker_2_annotation_a.srt" in str(dataset.problems[0])
