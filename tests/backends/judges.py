"""Networks with weights drawn at random: the learned judge's mechanics don't hang on training."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from bargein.backends.gru import FEATURES

WIDTH = 64


def random_arrays(seed: int = 0, networks: int = 2) -> dict[str, Any]:
    """The arrays of a file of weights."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray[Any, Any]:
        values = rng.standard_normal((networks, *shape)) / np.sqrt(shape[0])
        return np.asarray(values, np.float32)

    return {
        "front": draw(FEATURES, WIDTH),
        "front_bias": draw(WIDTH),
        "inputs": draw(WIDTH, 3 * WIDTH),
        "inputs_bias": draw(3 * WIDTH),
        "hidden": draw(WIDTH, 3 * WIDTH),
        "hidden_bias": draw(3 * WIDTH),
        "out": draw(WIDTH),
        "out_bias": rng.standard_normal(networks).astype(np.float32),
        "limits": np.linspace(2.0, 0.0, 30, dtype=np.float32),
        "slope": np.float32(0.8),
        "about": np.array(json.dumps({"networks": networks})),
    }


def packed(arrays: dict[str, Any]) -> bytes:
    """A file of weights."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()
