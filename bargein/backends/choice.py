"""The judges that ship with the library, by name."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType

from bargein.errors import ModelError, OptionError

from .learned import LearnedBackend, OperatingPoint
from .local import LocalBackend
from .protocol import Backend

__all__ = ["LOCAL_NAMES", "local_backend"]

logger = logging.getLogger("bargein")

_SUSTAINED = "local-sustained"

_POINTS: Mapping[str, OperatingPoint] = MappingProxyType(
    {
        "local": "balanced",
        "local-cautious": "cautious",
        "local-balanced": "balanced",
        "local-eager": "eager",
    }
)

LOCAL_NAMES = (*_POINTS, _SUSTAINED)
"""What :func:`local_backend` knows."""


def local_backend(name: str = "local") -> Backend:
    """Return a local judge: the learned one at an operating point, or that of sustained speech.

    Where the learned judge's weights are missing or damaged, sustained speech judges in its place,
    and the log says so: a caller must be able to interrupt all the same.

    Raises:
        OptionError: there is no local judge of this name.
        ModelError: the VAD's weights are missing or damaged, which both need.
    """
    if name == _SUSTAINED:
        return LocalBackend()
    if name not in _POINTS:
        raise OptionError(
            f"there is no local judge {name!r}; expected {', '.join(map(repr, LOCAL_NAMES))}"
        )
    try:
        return LearnedBackend(_POINTS[name])
    except ModelError as error:
        found = LocalBackend()
        logger.warning("%s; until then, sustained speech judges in place of %r", error, name)
        return found
