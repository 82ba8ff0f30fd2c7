"""The judge that ``--backend`` names."""

from __future__ import annotations

import sys

from bargein.backends.named import named_backend
from bargein.backends.protocol import Backend
from bargein.errors import BargeinError, OptionError

__all__ = ["backend_of"]


def backend_of(name: str) -> Backend:
    """Return the backend that ``--backend`` names; a module may lie in the present folder.

    Raises :class:`~bargein.errors.OptionError` where there is none, or it can't be loaded.
    """
    sys.path.insert(0, "")  # a judge that lies beside the recording, as python -m would find it
    try:
        return named_backend(name)
    except BargeinError:
        raise
    except Exception as exc:  # a user's module may raise what it likes
        raise OptionError(
            f"--backend came as {name!r}, which can't be loaded: {type(exc).__name__}: {exc}"
        ) from exc
    finally:
        sys.path.remove("")
