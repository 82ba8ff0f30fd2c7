"""Local judges by name, and what happens where the learned one's weights aren't there."""

from __future__ import annotations

import logging

import pytest

from bargein.backends.choice import LOCAL_NAMES, local_backend
from bargein.backends.gru import Network
from bargein.backends.learned import OPERATING_POINTS, LearnedBackend
from bargein.backends.local import LocalBackend
from bargein.errors import ModelError, OptionError


def test_every_name_is_a_judge() -> None:
    for name in LOCAL_NAMES:
        backend = local_backend(name)
        if name == "local-sustained":
            assert isinstance(backend, LocalBackend)
            continue
        assert isinstance(backend, LearnedBackend)
        point = "balanced" if name == "local" else name.removeprefix("local-")
        assert backend.operating_point == point
        assert backend.default_threshold == OPERATING_POINTS[point]
    assert isinstance(local_backend(), LearnedBackend)


def test_other_names_are_refused() -> None:
    with pytest.raises(OptionError, match=r"'locale'.*'local'.*'local-sustained'"):
        local_backend("locale")


def test_without_weights_sustained_speech_judges_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Network:
        raise ModelError("the judge's weights aren't there: reinstall bargein")

    monkeypatch.setattr(Network, "load", fail)
    with caplog.at_level(logging.WARNING, "bargein"):
        backend = local_backend("local-eager")
    assert isinstance(backend, LocalBackend)
    (record,) = caplog.records
    assert "reinstall" in record.message
    assert "sustained speech judges in place of 'local-eager'" in record.message
