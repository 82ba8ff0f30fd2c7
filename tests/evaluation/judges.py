"""Judges by name, quick and counting."""

from __future__ import annotations

import numpy as np

from bargein.core import Prediction, Window

asked: list[int] = []
"""Windows that `patient` was asked about."""


def patient(window: Window) -> Prediction:
    """The longer the caller has spoken, the surer; certain after 1.6 s."""
    assert window.speech_start is not None
    asked.append(window.id)
    heard = (len(window.samples) - window.speech_start) / 16_000
    count = -(-len(window.samples) // 400)
    return Prediction(np.full(count, min(1.0, max(0.0, heard / 1.6)), np.float32))


def stubborn(window: Window) -> Prediction:
    """Decides by itself that nothing is an interruption."""
    return Prediction(is_interruption=False)


def broken(window: Window) -> Prediction:
    """Nothing can be judged."""
    raise RuntimeError("out of order")
