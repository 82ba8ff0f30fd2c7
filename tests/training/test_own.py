"""A folder of one's own clips becomes overlaps to train on."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from tests.backends.sounds import RATE, voice
from training import own

HEAD = "path,label,onset,end,agent_start,speaker\n"


def write(folder: Path, rows: str) -> Path:
    """A real voice at 0.29 s and at 1.28 s, as mono and as stereo clips."""
    folder.mkdir(exist_ok=True)
    samples = voice()[: 3 * RATE]
    sf.write(folder / "mono.wav", samples, RATE)
    sf.write(folder / "stereo.flac", np.stack([samples, np.zeros_like(samples)], 1), RATE)
    (folder / "manifest.csv").write_text(HEAD + rows, encoding="utf-8")
    return folder


def speaker(part: str) -> str:
    return next(f"person {n}" for n in range(100) if own.part_of(f"person {n}") == part)


def test_clips_become_overlaps_by_speaker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = f"mono.wav,backchannel,0.29,1.04,0.0,{speaker('train')}\n"
    rows += f"stereo.flac,interruption,1.28,3.0,1.15,{speaker('validate')}\n"
    clips = write(tmp_path / "clips", rows)
    monkeypatch.setattr(sys, "argv", ["own", str(clips), str(tmp_path / "set")])
    own.main()
    found = {}
    for part in ("train", "validate"):
        with np.load(tmp_path / "set" / f"{part}-own-0.npz") as arrays:
            assert arrays["samples"].shape[2] == 512
            found[part] = str(arrays["about"][0])
            assert arrays["lengths"][0] > 20
    assert '"label": "backchannel"' in found["train"]
    assert '"label": "interruption"' in found["validate"]
    assert '"kind": "own"' in found["train"]
    assert "overlaps to validate on" in capsys.readouterr().out


def test_one_speaker_is_not_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = write(tmp_path / "clips", f"mono.wav,noise,0.29,1.04,0.0,{speaker('train')}\n")
    monkeypatch.setattr(sys, "argv", ["own", str(clips), str(tmp_path / "set")])
    with pytest.raises(SystemExit, match="no overlap to validate on"):
        own.main()


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("mono.wav,cough,0.2,1.0,0,a\n", r"line 2: got label='cough'"),
        ("mono.wav,noise,,1.0,0,a\n", "line 2: no onset"),
        ("mono.wav,noise,1.0,1.0,0,a\n", "line 2: its end"),
    ],
)
def test_a_wrong_manifest_is_told_by_its_line(tmp_path: Path, row: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        own.manifest(write(tmp_path / "clips", row))
