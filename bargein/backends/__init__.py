"""Judges: what turns a window of the caller's audio into a probability of interruption."""

from .named import named_backend, resolve_backend
from .protocol import Backend, BatchBackend, FunctionBackend, Session, as_backend

__all__ = [
    "Backend",
    "BatchBackend",
    "FunctionBackend",
    "Session",
    "as_backend",
    "named_backend",
    "resolve_backend",
]
