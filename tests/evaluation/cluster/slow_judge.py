"""A judge that takes its time, so that a worker can be killed while it judges."""

from __future__ import annotations

import os
import time

import numpy as np

from bargein.core import Prediction, Window


def slow(window: Window) -> Prediction:
    """The longer the caller has spoken, the surer."""
    assert window.speech_start is not None
    time.sleep(float(os.environ.get("JUDGE_SECONDS", "0")))
    heard = (len(window.samples) - window.speech_start) / 16_000
    count = -(-len(window.samples) // 400)
    return Prediction(np.full(count, min(1.0, max(0.0, heard / 1.6))))
