"""Who does the work, and what happens where it can't be done or kept."""

from __future__ import annotations

import logging
from pathlib import Path

import attrs
import joblib
import numpy as np
import pytest
import soundfile

from bargein.errors import OptionError
from bargein.evaluation import Candidate, Dataset, Resampling, evaluate, read_dataset
from bargein.evaluation.html import render_report
from bargein.evaluation.run import Plan, evaluate_call, load_backend
from tests.evaluation.material import pieces

PATIENT = Candidate(backend="tests.evaluation.judges:patient")
HOW = Resampling(50)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    whole = read_dataset(pieces(tmp_path_factory.mktemp("data")))
    return attrs.evolve(whole, calls=whole.calls[3:5])


def test_several_workers_give_what_one_gives(dataset: Dataset) -> None:
    one = evaluate(dataset, PATIENT, thresholds=(), resampling=HOW, jobs=1)
    with joblib.parallel_config(backend="threading"):
        two = evaluate(dataset, PATIENT, thresholds=(), resampling=HOW, jobs=2)

    assert two.to_dict() == one.to_dict()


def test_a_store_that_can_not_be_written_to_is_told(
    dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    some = attrs.evolve(dataset, calls=dataset.calls[:1])

    with caplog.at_level(logging.WARNING, logger="bargein"):
        found = evaluate(some, PATIENT, thresholds=(), resampling=HOW, store=str(tmp_path / "file"))

    assert len(found.results.entries) == 1
    assert "nothing can be kept in" in caplog.text


def test_audio_that_vanishes_is_a_text(dataset: Dataset, tmp_path: Path) -> None:
    call = dataset.calls[0]
    gone = attrs.evolve(call, caller=attrs.evolve(call.caller, path=str(tmp_path / "gone.wav")))

    found = evaluate_call(gone, Plan(backend=PATIENT.backend, store=str(tmp_path)))

    assert found == f"{tmp_path}/gone.wav: can't be read: No such file or directory"


def test_a_module_that_raises_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd_judges.py").write_text("raise RuntimeError('out of order')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(OptionError, match="can't be loaded: RuntimeError: out of order"):
        load_backend("odd_judges:judge")


def test_a_report_shows_calls_of_one_side_and_of_two_rates(
    dataset: Dataset, tmp_path: Path
) -> None:
    """And says so where the audio has gone since."""
    call = dataset.calls[0]
    agent = tmp_path / "agent.wav"
    soundfile.write(agent, np.ones(16_000 * 4, np.int16), 16_000)
    alone = attrs.evolve(call, id="alone", agent=None)
    rates = attrs.evolve(call, id="rates", agent=attrs.evolve(call.caller, path=str(agent)))
    stubborn = Candidate(backend="tests.evaluation.judges:stubborn")
    calls = tuple(
        attrs.evolve(
            each, overlaps=tuple(attrs.evolve(o, label="interruption") for o in each.overlaps)
        )
        for each in (alone, rates)
    )
    found = evaluate(
        attrs.evolve(dataset, calls=calls),
        stubborn,
        against=stubborn.changed({"threshold": "0.7"}),
        thresholds=(),
        resampling=HOW,
    )

    page = render_report(found)
    agent.unlink()
    later = render_report(attrs.evolve(found, sweep=()))

    assert page.count("<audio") == 2
    assert "can’t be told apart" in page
    assert later.count("<audio") == 1
    assert "agent.wav: no such file" in later
    assert "there is no threshold to turn" in later
