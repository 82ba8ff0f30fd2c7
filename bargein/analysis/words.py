"""Figures in words."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, what: str) -> str:
    """Return a number with its noun: 1 window, 2 windows, 3 noise."""
    return f"{number} {what}" + ("" if number == 1 or what == "noise" else "s")
