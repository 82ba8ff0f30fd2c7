"""Which proxy a connection goes through: what ``requests`` would take from the environment.

``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in lower case too, with networks
in ``NO_PROXY``, and on macOS and Windows what the system says. ``ws`` counts as ``http`` and
``wss`` as ``https``.
"""

from __future__ import annotations

import base64
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies

import attrs

from bargein.errors import APIConnectionError

__all__ = ["Proxy", "check_proxy", "proxy_for"]

_DEFAULT_PORT = 80  # of an http:// proxy without a port, as for any http:// address


@attrs.frozen
class Proxy:
    """An HTTP proxy; ``authorization`` is the value of ``Proxy-Authorization``, a secret."""

    host: str
    port: int
    authorization: str | None = attrs.field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def proxy_for(url: str) -> Proxy | None:
    """The proxy for a ``ws(s)`` URL, or ``None``.

    Raises :class:`~bargein.errors.APIConnectionError`, not retryable, for a proxy that a WebSocket
    can't go through (``https://`` and ``socks://`` ones) or whose address can't be read.
    """
    parts = _proxy_address(url, ("http",))
    if parts is None:
        return None
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
    assert parts.hostname is not None
    return Proxy(parts.hostname, parts.port or _DEFAULT_PORT, authorization)


def check_proxy(url: str) -> None:
    """Raise the same for the proxy of an ``http(s)`` URL; requests goes through ``https://`` too.

    Its own errors would show the password that an address may hold.
    """
    _proxy_address(url, ("http", "https"))


def _proxy_address(url: str, schemes: tuple[str, ...]) -> SplitResult | None:
    """Return the address of the proxy for a URL, which has a host and one of the schemes."""
    if not getproxies():  # requests, which takes a while to load, isn't needed to see that
        return None
    import requests.utils

    as_http = url.replace("ws", "http", 1) if url.startswith("ws") else url
    chosen = requests.utils.select_proxy(as_http, requests.utils.get_environ_proxies(as_http))
    if not chosen:
        return None
    if "://" not in chosen:
        chosen = f"http://{chosen}"
    try:
        parts = urlsplit(chosen)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        # not shown, and no cause either: the address may hold a password
        raise APIConnectionError(
            "the proxy that the environment names isn't an address; expected http://host:port",
            retryable=False,
        ) from None
    if parts.scheme not in schemes:
        raise APIConnectionError(
            f"the environment names a {parts.scheme}:// proxy on {host}; connections go through "
            f"{' and '.join(f'{scheme}://' for scheme in schemes)} proxies alone: give one, or "
            "name the server in NO_PROXY",
            retryable=False,
        )
    return parts
