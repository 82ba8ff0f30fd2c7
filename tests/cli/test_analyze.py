"""``bargein analyze`` as its user sees it: table, JSON, picture, errors of one line."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bargein.cli import main
from bargein.cli.progress import Progress
from tests.analysis.calls import EXAMPLE, example, write
from tests.fresh import run_fresh

JUDGES = "tests.cli.judges"

pytestmark = pytest.mark.usefixtures("_fonts")


@pytest.fixture
def short(tmp_path: Path) -> str:
    """The example's first backchannel."""
    return str(write(tmp_path / "short.wav", example(6.0, 8.5)))


def analyze(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["analyze", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_table_of_the_example_call(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = analyze(capsys, str(EXAMPLE), "--timings")

    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{EXAMPLE}: 0:48.00, 8000 Hz"
    heading = lines.index("")
    assert lines[heading + 1].split()[:3] == ["start", "length", "outcome"]
    assert len([line for line in lines if line.lstrip().startswith("0:")]) == 7
    assert any(line.startswith("7 overlaps: ") for line in lines)
    assert lines[-1].startswith("Computed in ")


def test_two_runs_print_the_same_json(capsys: pytest.CaptureFixture[str], short: str) -> None:
    _, first, _ = analyze(capsys, short, "--json")
    _, second, _ = analyze(capsys, short, "--json")

    document = json.loads(first)
    assert first == second
    assert set(document) == {"recording", "options", "overlaps", "summary"}
    (overlap,) = document["overlaps"]
    assert overlap["start"] < overlap["end"] <= overlap["decided_at"]
    assert overlap["outcome"] == "backchannel"
    assert overlap["prediction_duration"] == 0.0


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_picture(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, short: str, suffix: str, magic: bytes
) -> None:
    picture = tmp_path / f"call.{suffix}"
    code, _, _ = analyze(capsys, short, "--plot", str(picture))

    assert code == 0
    assert picture.read_bytes().startswith(magic)


def test_other_judges_and_settings(capsys: pytest.CaptureFixture[str], short: str) -> None:
    arguments = ["--backend", f"{JUDGES}:certain", "--threshold", "0.9", "--latency", "0.25"]
    code, out, _ = analyze(capsys, short, *arguments, "--no-echo-gate", "--eager-first-window")

    assert code == 0
    assert "interruption" in out
    assert "threshold 0.9, answers after 0.25 s" in out


def test_a_judge_that_fails_is_named_after_the_table(
    capsys: pytest.CaptureFixture[str], short: str
) -> None:
    code, out, err = analyze(capsys, short, "--backend", f"{JUDGES}:broken")

    assert code == 1
    assert "inconclusive (error)" in out
    assert "RuntimeError: out of order" in err


def test_sides_may_lie_anywhere(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    sides = example(6.0, 8.5)
    swapped = str(write(tmp_path / "swapped.wav", sides[:, ::-1]))
    caller = str(write(tmp_path / "caller.wav", sides[:, 0]))
    agent = str(write(tmp_path / "agent.wav", sides[:, 1]))
    numbers = ["--caller-channel", "2", "--agent-channel", "left"]
    outs = [
        analyze(capsys, swapped, "--swap")[1],
        analyze(capsys, swapped, *numbers)[1],
        analyze(capsys, caller, agent)[1],
    ]

    rows = [next(line for line in out.splitlines() if "backchannel" in line) for out in outs]
    assert rows[0] == rows[1] == rows[2]
    assert "caller: the first file, agent: the second" in outs[2]


def test_silence_has_no_overlaps(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = analyze(capsys, str(write(tmp_path / "s.wav", np.zeros((8000, 2), np.int16))))

    assert code == 0
    assert "No overlaps. The agent spoke for 0:00.00." in out


def broken_files(folder: Path) -> dict[str, tuple[str, int]]:
    """Name -> what the one line says, and the exit code."""
    (folder / "text.wav").write_text("this is no audio")
    (folder / "nothing.wav").write_bytes(b"")
    write(folder / "empty.wav", np.zeros((0, 2), np.int16))
    write(folder / "mono.wav", np.zeros(800, np.int16))
    whole = (write(folder / "whole.wav", np.zeros((8000, 2), np.int16))).read_bytes()
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    return {
        "missing.wav": ("no such file", 3),
        "text.wav": ("audio", 3),
        "nothing.wav": ("empty", 3),
        "empty.wav": ("empty", 3),
        "mono.wav": ("channel", 3),
        "cut.wav": ("truncated", 3),
    }


@pytest.mark.parametrize(
    "name", ["missing.wav", "text.wav", "nothing.wav", "empty.wav", "mono.wav", "cut.wav"]
)
def test_files_that_cannot_be_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    words, exit_code = broken_files(tmp_path)[name]
    code, out, err = analyze(capsys, str(tmp_path / name))

    assert (code, out) == (exit_code, "")
    assert err.startswith("bargein: ")
    assert err.count("\n") == 1
    assert words in err.lower()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--threshold", "2"], "threshold came as 2.0"),
        (["--backend", "nonsense"], "'nonsense'; expected"),
        (["--backend", "no.such.module:judge"], "can't be imported"),
        (["--backend", f"{JUDGES}:Unwilling"], "it isn't willing"),
        (["--plot", "/no/such/folder/call.png"], "folder that exists"),
        (["--plot", "call.gif"], ".png"),
        (["--swap", "--caller-channel", "1"], "--swap came with"),
        (["--caller-channel", "9"], "channel"),
        (["--backend", ""], "there is no backend ''"),
    ],
)
def test_options_that_cannot_be(
    capsys: pytest.CaptureFixture[str], short: str, arguments: list[str], words: str
) -> None:
    code, out, err = analyze(capsys, short, *arguments)

    assert code in (2, 3)
    assert (out, err.count("\n")) == ("", 1)
    assert words in err


@pytest.mark.parametrize("arguments", [["--caller-channel", "up"], ["--no-such-option"]])
def test_arguments_that_argparse_refuses(
    capsys: pytest.CaptureFixture[str], short: str, arguments: list[str]
) -> None:
    code, _, err = analyze(capsys, short, *arguments)

    assert code == 2
    assert err.count("\n") == 1
    assert "bargein analyze --help" in err or "bargein --help" in err


@pytest.mark.parametrize(
    ("module", "extra", "arguments"),
    [("soundfile", "files", []), ("matplotlib", "plot", ["--plot", "call.png"])],
)
def test_a_missing_extra_says_what_to_install(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    short: str,
    module: str,
    extra: str,
    arguments: list[str],
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    code, _, err = analyze(capsys, short, *arguments)

    assert code == 4
    assert f"pip install 'bargein[{extra}]'" in err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_progress_bar_is_for_terminals() -> None:
    times = iter([0.0, 0.0, 0.05, 0.2])
    terminal = Terminal()
    with Progress(10.0, terminal, clock=lambda: next(times)) as progress:
        progress(0.0)
        progress(2.0)  # too soon after the one before
        progress(5.0)
    shown = terminal.getvalue().split("\r\x1b[K")
    assert [text[-12:] for text in shown if text] == ["  0% of 10 s", " 50% of 10 s"]
    assert shown[-1] == ""  # it is wiped away

    pipe = io.StringIO()
    with Progress(10.0, pipe) as progress:
        progress(5.0)
    assert pipe.getvalue() == ""

    empty = Terminal()
    with Progress(0.0, empty, clock=lambda: 1.0) as progress:
        progress(0.0)
    assert "100%" in empty.getvalue()


def test_help_and_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "analyze" in capsys.readouterr().out
    assert main(["analyze", "--help"]) == 0
    assert "--detection-interval" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (PermissionError(13, "Permission denied", "call.png"), 1, "call.png: Permission denied"),
        (OSError("the disk is full"), 1, "the disk is full"),
    ],
)
def test_what_else_can_happen(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    short: str,
    error: BaseException,
    code: int,
    words: str,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("bargein.cli.analyze.open_call", fail)
    assert main(["analyze", short]) == code
    assert words in capsys.readouterr().err


def test_it_runs_as_a_module_and_in_a_closed_pipe(tmp_path: Path) -> None:
    path = write(tmp_path / "short.wav", example(6.0, 8.5))
    whole = run_fresh("-m", "bargein", "analyze", str(path))
    assert (whole.returncode, whole.stderr) == (0, "")
    assert "1 overlap: 0 interruptions, 1 backchannel, 0 inconclusive" in whole.stdout

    closed = run_fresh(
        "-c",
        "import os, sys\n"
        "read, write = os.pipe(); os.close(read); os.dup2(write, 1); os.close(write)\n"
        "from bargein.cli import main\n"
        f"sys.exit(main(['analyze', {str(path)!r}]))",
    )
    assert (closed.returncode, closed.stderr) == (141, "")


def test_long_recordings_are_read_in_pieces(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 8000, 2, subtype="ULAW") as file:
        for _ in range(600):
            file.write(np.zeros((8000, 2), np.int16))
    code, out, _ = analyze(capsys, str(path))

    assert code == 0
    assert ": 10:00.00, 8000 Hz" in out
