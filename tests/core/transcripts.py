"""Transcripts of the machine: the kit's (``bargein.testing.machine``), under the tests' names."""

from __future__ import annotations

from bargein.testing.machine import MachineCall as Call
from bargein.testing.sound import noise

__all__ = ["Call", "noise"]
