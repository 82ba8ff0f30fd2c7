"""What a backend must be; a plain function is one too; what isn't is refused helpfully."""

from __future__ import annotations

import numpy as np
import pytest

from bargein.backends import Backend, BatchBackend, FunctionBackend, as_backend
from bargein.core import Prediction, Window
from bargein.errors import OptionError, ProtocolError

from .sounds import silence, window

HALF = window(silence(0.5), 0.0, 0.5)


def loudness(window: Window) -> list[float]:
    """A judge in one line."""
    return [min(1.0, float(np.abs(window.samples).max()) / 32_768)] * 20


def test_a_function_is_a_backend() -> None:
    backend = as_backend(loudness)
    assert isinstance(backend, FunctionBackend)
    assert isinstance(backend, Backend)
    assert not isinstance(backend, BatchBackend)
    assert (backend.model, backend.provider) == ("loudness", "custom")
    assert backend.default_threshold == 0.5
    session = backend.open_session("call")
    prediction = session.predict(HALF)
    assert prediction.probabilities.dtype == np.float32
    assert prediction.probabilities.shape == (20,)
    assert prediction.is_interruption is None
    assert prediction.duration == 0.0
    session.close()


def test_a_function_may_decide_itself() -> None:
    answer = Prediction(is_interruption=True, duration=0.01)
    backend = FunctionBackend(lambda window: answer, default_threshold=None)
    assert backend.default_threshold is None
    assert backend.open_session(None).predict(HALF) is answer


def test_a_callable_object_is_named_by_its_class() -> None:
    class Judge:
        def __call__(self, window: Window) -> list[float]:
            return [0.0]

    assert as_backend(Judge()).model == "Judge"


def test_what_a_function_says_is_checked() -> None:
    session = as_backend(lambda window: [2.0]).open_session(None)
    with pytest.raises(ProtocolError, match="outside"):
        session.predict(HALF)


def test_a_backend_stays_what_it_is() -> None:
    backend = FunctionBackend(loudness)
    assert as_backend(backend) is backend


@pytest.mark.parametrize("wrong", [None, 3, "http://judge.example", object()])
def test_anything_else_is_refused(wrong: object) -> None:
    with pytest.raises(OptionError, match=r"backend came as .*expected an object with model"):
        as_backend(wrong)
