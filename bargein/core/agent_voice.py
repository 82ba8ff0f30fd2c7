"""The agent's own audio on the caller's timeline: for the echo gate, and for when it is audible."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bargein.audio import Converter, decode

from .inputs import AgentAudio
from .playout import Playout
from .tracker import Fallen
from .window import WINDOW_RATE

__all__ = ["AgentVoice"]

SLACK = WINDOW_RATE // 5
"""Samples (0.2 s) that the agent's audio may come late before it counts as silence: what playout
buffers and threads take, and no longer than a gap in the caller's audio may be."""


class AgentVoice:
    """Places the agent's audio where the caller's audio stood when it was played.

    Audio that comes on end lies on end; after a pause it begins anew where the caller is. It may
    run ahead. Not thread-safe.

    ``push`` gets the audio: int16 (n,), 16 kHz, and its position (the echo gate's ``push``).
    """

    def __init__(
        self,
        playout: Playout | None,
        push: Callable[[npt.NDArray[np.int16], int], None] | None,
    ) -> None:
        self._playout = playout
        self._push = push
        self._converter: Converter | None = None
        self._offset = 0
        """From the converter's output numbers to the caller's grid."""

    @property
    def tells(self) -> bool:
        """Whether when the agent is audible is found out here, and the agent was heard at all."""
        return self._playout is not None and self._converter is not None

    def defer(self) -> None:
        """The user says when the agent is audible, and knows better: find it out no more."""
        self._playout = None

    def hear(self, item: AgentAudio, position: int) -> list[Fallen]:
        """Take the agent's audio, played from the caller's grid position on."""
        converter = self._converter
        if (
            converter is None
            or converter.sample_rate != item.format.sample_rate
            or self._offset + converter.stable < position - SLACK
        ):
            self._converter = converter = Converter(item.format.sample_rate)
            self._offset = position
        start = self._offset + converter.stable
        samples = converter.push(decode(item.data, item.format))
        if self._push is not None:
            self._push(samples, start)
        return self._playout.push(samples, start) if self._playout is not None else []

    def pause(self, position: int) -> list[Fallen]:
        """Take that the caller's audio is there: agent audio that should be there is silence.

        What falls counts from ``SLACK`` later on, for until then it might have come.
        """
        if self._playout is None or not self._playout.speaking:
            return []
        return [
            Fallen(entry.position + SLACK, entry.sentinel)
            for entry in self._playout.advance(position - SLACK)
        ]
