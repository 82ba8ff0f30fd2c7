"""Loopback is asked without a proxy, whatever the environment says of proxies."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

__all__ = ["without_proxies"]

_LOOPBACK = ("localhost", "127.0.0.1")
_NAMES = ("no_proxy", "NO_PROXY")


@contextlib.contextmanager
def without_proxies() -> Iterator[None]:
    """Have clients of this process reach loopback directly while the block runs.

    A company's continuous integration sets ``HTTP_PROXY`` for all that it runs, and few proxies
    lead back to the machine that asks.
    """
    before = {name: os.environ.get(name) for name in _NAMES}
    told = before["no_proxy"] or before["NO_PROXY"] or ""
    if "*" not in told:
        hosts = ",".join(dict.fromkeys([*filter(None, told.split(",")), *_LOOPBACK]))
        os.environ.update(dict.fromkeys(_NAMES, hosts))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
