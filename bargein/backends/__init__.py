"""Judges: what turns a window of the caller's audio into a probability of interruption."""

from .protocol import Backend, BatchBackend, FunctionBackend, Session, as_backend

__all__ = ["Backend", "BatchBackend", "FunctionBackend", "Session", "as_backend"]
