"""The example call is what its table says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from training.sound import Audio, active_level, to_rate

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "call"


@pytest.fixture(scope="module")
def contents() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / "contents.json").read_text("utf-8"))
    return loaded


@pytest.fixture(scope="module")
def channels() -> tuple[Audio, Audio]:
    samples, rate = sf.read(FOLDER / "call.flac", dtype="float32")
    assert rate == 8_000
    caller, agent = (to_rate(np.ascontiguousarray(samples[:, k]), rate) for k in (0, 1))
    return caller, agent


def span(samples: Audio, first: float, last: float) -> Audio:
    return samples[round(first * 16_000) : round(last * 16_000)]


def test_it_is_small() -> None:
    assert (FOLDER / "call.flac").stat().st_size < 700_000


def test_it_has_what_an_example_needs(contents: dict[str, Any]) -> None:
    labels = [event["label"] for event in contents["caller"] if event["over_agent"]]

    assert labels.count("backchannel") >= 2
    assert labels.count("interruption") == 2
    assert labels.count("noise") >= 1
    assert labels.count("echo") == len(contents["agent"])
    assert [e["onset"] for e in contents["caller"]] == sorted(
        e["onset"] for e in contents["caller"]
    )


def test_the_agent_speaks_where_it_should(
    contents: dict[str, Any], channels: tuple[Audio, Audio]
) -> None:
    agent = channels[1]
    end = 0.0
    for turn in contents["agent"]:
        assert active_level(span(agent, end + 0.02, turn["start"] - 0.02)) < -70.0
        assert active_level(span(agent, turn["start"], turn["end"])) > -24.0
        end = turn["end"]


def test_the_caller_sounds_where_it_should(
    contents: dict[str, Any], channels: tuple[Audio, Audio]
) -> None:
    caller = channels[0]
    for event in contents["caller"]:
        level = active_level(span(caller, event["onset"], event["end"]))
        if event["label"] == "echo":
            continue
        before = active_level(span(caller, event["onset"] - 0.15, event["onset"] - 0.01))
        assert level > -31.0
        assert level > before + 8.0, event


def test_the_agent_gives_way_to_the_interruption(contents: dict[str, Any]) -> None:
    first, last = (e for e in contents["caller"] if e["label"] == "interruption")
    menu, _, given_up, _ = contents["agent"]

    assert menu["end"] - first["onset"] == pytest.approx(0.7)
    assert first["end"] - first["onset"] >= 1.2
    assert last["onset"] < given_up["start"] < given_up["end"] < last["end"]
