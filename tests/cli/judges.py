"""Judges that `--backend module:attribute` finds."""

from __future__ import annotations

import numpy as np

from bargein.core import Prediction, Window
from bargein.errors import OptionError


def certain(window: Window) -> Prediction:
    """Everything is an interruption."""
    return Prediction(np.ones(-(-len(window.samples) // 400), np.float32))


def broken(window: Window) -> Prediction:
    """Nothing can be judged."""
    raise RuntimeError("out of order")


class Unwilling:
    """A backend that can't be made."""

    def __init__(self) -> None:
        raise OptionError("it isn't willing")
