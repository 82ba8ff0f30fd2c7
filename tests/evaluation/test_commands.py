"""bargein evaluate and bargein tune, as they are typed."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from bargein.cli import main
from tests.evaluation.material import pieces, write_csv
from tests.fresh import run_fresh

PATIENT = "tests.evaluation.judges:patient"
QUICK = ("--draws", "50", "--jobs", "1", "--thresholds", "0.2,0.5,0.9")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pieces(tmp_path_factory.mktemp("data"))


@pytest.fixture
def _few_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bargein.evaluation.tuning.THRESHOLDS", (0.2, 0.6, 0.9))
    monkeypatch.setattr("bargein.evaluation.tuning.DURATIONS", (0.05,))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("store"))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_table(capsys: pytest.CaptureFixture[str], manifest: Path, store: str) -> None:
    code, out, err = run(
        capsys,
        *("evaluate", manifest, "--backend", PATIENT, "--store", store, *QUICK),
        *("--against", "threshold=0.9,min-interruption-duration=0.1", "--latency", "0.1"),
    )

    assert (code, err) == (0, "")
    assert f"{manifest}: 7 overlaps in 7 calls" in out
    assert "2 interruptions, 3 backchannels, 2 noise" in out
    assert "threshold 0.5, minimum duration 0.05 s, answers after 0.1 s" in out
    assert "interruptions let in" in out
    assert "* 0.5" in out
    assert "threshold 0.9, minimum duration 0.1 s, on the same overlaps" in out
    assert "overlaps right that were wrong" in out
    assert all(line == line.rstrip() for line in out.splitlines())


def test_the_document_and_the_report(
    capsys: pytest.CaptureFixture[str], manifest: Path, store: str, tmp_path: Path
) -> None:
    code, out, err = run(
        capsys,
        *("evaluate", manifest, "--backend", PATIENT, "--store", store, *QUICK, "--json"),
        *("--report", tmp_path / "r.html", "--mistakes", "1", "--export", tmp_path / "board"),
        *("--where", "label=interruption"),
    )

    assert code == 0
    document = json.loads(out)
    assert document["dataset"]["interruption"] == 2
    assert document["point"]["false_noise"]["value"] is None
    assert [problem["what"] for problem in document["left_out"]] == [
        "has no backchannel: nothing is said of it",
        "has no noise: nothing is said of it",
    ]
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert "wrote 2 conversations" in err
    assert len(list((tmp_path / "board" / "traces").iterdir())) == 2


def test_several_processes_say_the_same(
    capsys: pytest.CaptureFixture[str], manifest: Path, store: str
) -> None:
    """Two processes, away from here, give the same document as this one."""
    common = ("evaluate", str(manifest), "--json", "--draws", "50", "--thresholds", "0.5")
    common += ("--backend", "local-sustained")

    other = run_fresh("-m", "bargein", *common, "--no-store", "--jobs", "2")
    code, out, _ = run(capsys, *common, "--store", store, "--jobs", "1")

    assert (code, other.returncode) == (0, 0), other.stderr
    assert other.stdout == out
    assert json.loads(out)["windows"]["judged"] > 0


def test_a_terminal_shows_a_bar(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    manifest: Path,
    store: str,
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)

    code, _, err = run(capsys, "evaluate", manifest, "--backend", PATIENT, "--store", store, *QUICK)

    assert code == 0
    assert "7/7" in err or "calls" in err


def test_what_is_left_out_is_listed_and_strict_stops(
    capsys: pytest.CaptureFixture[str], manifest: Path, store: str
) -> None:
    bad = manifest.with_name("bad.csv")
    lines = manifest.read_text(encoding="utf-8").splitlines()
    more = [lines[1].replace("0-0.wav", f"gone{k}.wav") for k in range(22)]
    bad.write_text("\n".join([*lines, *more]) + "\n", encoding="utf-8")
    common = ("evaluate", bad, "--backend", PATIENT, "--store", store, *QUICK)

    code, out, _ = run(capsys, *common)
    strict, _, err = run(capsys, *common, "--strict")

    assert code == 0
    assert "left out (22):" in out
    assert f"{bad}:9: " in out
    assert "… and 2 more" in out
    assert strict == 3
    assert err.startswith(f"bargein: {bad}:9: ")


@pytest.mark.parametrize(
    "command", [("evaluate",), ("tune", "--cost-false", "1", "--held-out", "0.5")]
)
@pytest.mark.usefixtures("_few_settings")
def test_what_only_the_audio_shows_is_left_out_and_strict_stops(
    capsys: pytest.CaptureFixture[str], manifest: Path, store: str, command: tuple[str, ...]
) -> None:
    """The agent turns out to be silent during a label."""
    bad = manifest.with_name("silent.csv")
    quiet = manifest.with_name("quiet.wav")
    soundfile.write(quiet, np.zeros((16_000, 2), np.int16), 8000)
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows.append(rows[0] | {"audio": quiet.name, "call": quiet.name, "agent_start": ""})
    write_csv(bad, rows)
    first, *rest = command
    common = (first, bad, *rest, "--backend", PATIENT, "--store", store, "--jobs", "1")

    code, out, _ = run(capsys, *common)
    strict, _, err = run(capsys, *common, "--strict")

    assert code == 0
    assert f"  {bad}:9: from 1.5 to 1.88 s the agent is silent: no overlap" in out
    assert strict == 3
    assert err.startswith(f"bargein: {bad}:9: from 1.5")


def test_a_judge_that_fails_is_told(
    capsys: pytest.CaptureFixture[str], manifest: Path, store: str
) -> None:
    code, out, err = run(
        capsys,
        *("evaluate", manifest, "--backend", "tests.evaluation.judges:broken", *QUICK),
        *("--no-store", "--map", "noise=ignore", "--group-by", "voice"),
    )

    assert code == 1
    assert "RuntimeError: out of order" in err
    assert "5 overlaps in 3 calls" in out
    assert "not counted: 2 labels ignored" in out


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (("--report", "nowhere/r.html"), 2, "expected a folder that exists"),
        (("--report", "r.pdf"), 2, "ends in .html"),
        (("--thresholds", "a"), 2, "numbers from 0 to 1"),
        (("--thresholds", "2"), 2, "numbers from 0 to 1"),
        (("--draws", "0"), 2, "1 or more"),
        (("--map", "x"), 2, "expected NAME=VALUE"),
        (("--map", "uh=cough"), 2, "'uh' is mapped to 'cough'; expected one of interruption,"),
        (("--where", "color=red"), 2, "no label has the column 'color'; there are: 'agent_start',"),
        (("--where", "label=red"), 3, "nothing to evaluate: 7 labels were filtered and 0 ignored"),
        (("--group-by", "color"), 2, "no label has the column 'color'"),
        (("--mistakes", "-1"), 2, "--mistakes came as -1; expected 0 or more"),
        (("--against", ""), 2, "--against came as ''; expected NAME=VALUE"),
        (("--export", __file__), 1, f"{__file__}: File exists"),
        (("--against", "threshold"), 2, "expected NAME=VALUE"),
        (("--backend", "nobody"), 2, "no backend 'nobody'"),
        (("--options", "gone.json"), 2, "can't be read"),
    ],
)
def test_bad_arguments(
    capsys: pytest.CaptureFixture[str],
    manifest: Path,
    arguments: tuple[str, ...],
    code: int,
    what: str,
) -> None:
    found, _, err = run(capsys, "evaluate", manifest, *arguments)

    assert found == code
    assert what in err


@pytest.mark.usefixtures("_few_settings")
def test_tune_writes_options_that_evaluate_takes(
    capsys: pytest.CaptureFixture[str], manifest: Path, store: str, tmp_path: Path
) -> None:
    options = tmp_path / "options.json"
    common = ("--backend", PATIENT, "--store", store, "--draws", "50", "--jobs", "1")

    code, out, _ = run(
        capsys,
        *("tune", manifest, *common, "--max-false-positive-rate", "0.9"),
        *("--output", options, "--held-out", "0.5"),
    )

    assert code == 0
    assert "recommended for tests.evaluation.judges:patient: threshold" in out
    assert "the held-out calls" in out
    found = json.loads(options.read_text(encoding="utf-8"))
    threshold = found["detection"]["threshold"]
    code, out, _ = run(capsys, "evaluate", manifest, "--options", options, "--store", store, *QUICK)
    assert code == 0
    assert f"(patient), threshold {threshold:g}," in out


@pytest.mark.usefixtures("_few_settings")
def test_tune_by_costs(capsys: pytest.CaptureFixture[str], manifest: Path, store: str) -> None:
    common = ("tune", manifest, "--backend", PATIENT, "--store", store, "--jobs", "1")

    code, out, _ = run(capsys, *common, "--cost-missed", "5", "--cost-false", "1", "--json")
    words, table, _ = run(capsys, *common, "--cost-second", "1")
    none, _, err = run(capsys, *common)

    assert (code, words, none) == (0, 0, 2)
    assert json.loads(out)["goal"]["costs"] == {"missed": 5.0, "false": 1.0, "second": 0.0}
    assert "for 100 overlaps, the held-out calls cost" in table
    assert "They differ in too few calls to be sure: label more" in table
    assert "one of the two: --max-false-positive-rate, or any of --cost-missed" in err


def test_tune_finds_out_first_whether_its_file_can_be_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "nowhere" / "o.json"
    code, _, err = run(capsys, "tune", "gone.csv", "--cost-second", "1", "--output", path)

    assert code == 2
    assert f"--output came as '{path}'; expected a folder that exists" in err


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_a_cluster_that_can_not_be_had_is_told(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    manifest: Path,
    engine: str,
) -> None:
    def connect(**given: object) -> None:
        raise ValueError(f"missing port number in {given['address']!r}")

    joined = ModuleType("ray.util.joblib")
    joined.register_ray = print  # type: ignore[attr-defined]
    for name in ("distributed", "ray", "ray.util"):
        module = ModuleType(name)
        module.Client = module.init = connect  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, joined.__name__, joined)
    code, _, err = run(capsys, "evaluate", manifest, "--cluster", f"{engine}:nonsense")

    assert code == 2
    assert err == (
        f"bargein: the cluster came as '{engine}:nonsense', which can't be used: "
        "missing port number in 'nonsense'\n"
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "isn't JSON"),
        ("[]", "came as a list"),
        ('{"detection": {"treshold": 1}}', "detection came as"),
        ('{"detection": {"threshold": 2}}', "detection: threshold"),
        ('{"backend": 3}', "backend came as 3"),
    ],
)
def test_options_files_that_can_not_be(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, what: str
) -> None:
    path = tmp_path / "o.json"
    path.write_text(text, encoding="utf-8-sig")  # as Windows' editors do

    code, _, err = run(capsys, "analyze", "x.wav", "--options", path)

    assert code == 2
    assert what in err
