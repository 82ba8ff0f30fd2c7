"""Backends by name, as options and command lines give them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bargein.errors import OptionError

from .protocol import Backend, as_backend

__all__ = ["named_backend", "resolve_backend"]

_LOCAL = ("local", "local-cautious", "local-balanced", "local-eager", "local-sustained")


def named_backend(name: str) -> Backend:
    """Return the backend of a name: a local judge's (``local``, …), or ``module:attribute``.

    What the attribute holds is a backend, a function of a window, or a class of backends.
    Raises :class:`~bargein.errors.OptionError` where there is none.
    """
    if name in _LOCAL:
        from .choice import local_backend

        return local_backend(name)
    module, colon, attribute = name.partition(":")
    if not colon:
        raise OptionError(
            f"there is no backend {name!r}; expected {', '.join(map(repr, _LOCAL))}, or "
            "'module:attribute'"
        )
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise OptionError(f"the backend {name!r} can't be imported: {error}") from error
    return as_backend(found() if isinstance(found, type) else found)


def resolve_backend(backend: Any) -> Backend:
    """Return a backend from a name, a backend, or a function of a window."""
    return named_backend(backend) if isinstance(backend, str) else as_backend(backend)
