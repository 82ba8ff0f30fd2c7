"""The shipped judge on a small fixed part of the test split: its figures mustn't fall.

``training/drift.py`` wrote the data, with what the shipped weights said of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bargein.audio.g711 import decode_mulaw
from bargein.backends.gru import Network
from bargein.backends.learned import LearnedBackend
from bargein.core import Window, estimate_probability

from .sounds import RATE

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parent / "data" / "drift.npz"
ONSET = RATE // 2


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    with np.load(DATA) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.fixture(scope="module")
def estimates(data: dict[str, Any]) -> np.ndarray[Any, Any]:
    """(clips, windows): judged together, a window of every clip at a time."""
    backend = LearnedBackend()
    sessions = [backend.open_session(None) for _ in data["mulaw"]]
    clips = [decode_mulaw(code.tobytes()) for code in data["mulaw"]]

    def judged() -> Iterator[list[float]]:
        for number in range(1, data["estimates"].shape[1] + 1):
            end = ONSET + number * RATE // 10
            windows = [
                Window(id=number, overlap=1, samples=clip[:end], start=0, speech_start=ONSET)
                for clip in clips
            ]
            found = backend.predict_many(list(zip(sessions, windows, strict=True)))
            yield [estimate_probability(one.probabilities, 2) for one in found]

    return np.array(list(judged())).T


def test_every_estimate_is_what_it_was(
    data: dict[str, Any], estimates: np.ndarray[Any, Any]
) -> None:
    # Other libraries of linear algebra round otherwise; over a second that stays far below this.
    np.testing.assert_allclose(estimates, data["estimates"], atol=0.01)


@pytest.mark.parametrize("label", ["interruption", "backchannel", "noise"])
def test_figures_do_not_fall(
    data: dict[str, Any], estimates: np.ndarray[Any, Any], label: str
) -> None:
    chosen = [about["label"] == label for about in json.loads(str(data["about"]))]
    assert sum(chosen) >= 12
    was, now = (
        float((each[chosen].max(axis=1) >= 0.5).mean()) for each in (data["estimates"], estimates)
    )
    if label == "interruption":
        assert now >= max(was - 0.05, 0.85)
    else:
        assert now <= min(was + 0.05, 0.3)


def test_weights_data_and_card_belong_together(data: dict[str, Any]) -> None:
    digest = Network.load().digest
    path = ROOT / "bargein" / "backends" / "weights" / "judge.npz"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert str(data["weights"]) == digest
    assert digest in (ROOT / "docs" / "model-card.md").read_text(encoding="utf-8")
    assert path.stat().st_size <= 1_000_000
