"""How connections are made and remade: names, defaults, ranges."""

from __future__ import annotations

from typing import Any

import attrs

from bargein.errors import OptionError

from .checks import positive_seconds, seconds

__all__ = ["APIConnectOptions"]


def _retries(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise OptionError(
            f"{attribute.name} came as {value!r}; expected a whole number >= 0, or None "
            "(for ever, which is right for telephony)"
        )


@attrs.frozen(kw_only=True)
class APIConnectOptions:
    """How often and how patiently a server is tried. Immutable; durations are in seconds.

    Raises :class:`~bargein.errors.OptionError` (a ``ValueError``) for a value outside its range.

    >>> APIConnectOptions(max_retry=None)
    APIConnectOptions(max_retry=None, retry_interval=2.0, timeout=10.0)
    """

    max_retry: int | None = attrs.field(default=3, validator=_retries)
    """Attempts after the first failed one before the server is given up; ``None``: for ever. The
    count starts again after a reply, or a session that lived 30 s."""

    retry_interval: float = attrs.field(default=2.0, validator=seconds)
    """Between attempts, plus up to half as much again by chance; the first retry comes after
    0.1 s, and none sooner."""

    timeout: float = attrs.field(default=10.0, validator=positive_seconds)
    """For a connection to be made, handshake and all."""
