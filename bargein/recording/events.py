"""An event as a recording keeps it: all fields, and a digest in place of each array."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from bargein.core import OverlappingSpeechEvent

__all__ = ["dump_event"]


def dump_event(event: OverlappingSpeechEvent, offset: float) -> dict[str, Any]:
    """Return an event as JSON types; ``offset`` seconds from the machine's clock to the epoch.

    The window that decided and its probabilities are told by their SHA-256: they can be made again
    from the recording, and that they are the same is what the digest shows.
    """
    plain = event.to_dict()
    for name in ("speech_input", "probabilities"):
        array = getattr(event, name)
        plain[name] = None if array is None else _digest(array)
    return {"event": plain, "offset": offset}


def _digest(array: np.ndarray[Any, Any]) -> str:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(little.tobytes()).hexdigest()
