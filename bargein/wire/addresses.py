"""Where the server is and who we are to it (spec section 4), from arguments and environment.

A token is a key to the user's account, so it goes to nobody but who it is meant for: credentials
from the environment go to LiveKit's gateways alone; any other address gets only those that were
given as arguments.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Literal
from urllib.parse import SplitResult, quote, urlsplit

import attrs

from bargein.errors import OptionError
from bargein.wire.token import SAFE_SECRET

__all__ = [
    "DEFAULT_GATEWAY",
    "STAGING_GATEWAY",
    "Credentials",
    "Endpoint",
    "Transport",
    "bracketed",
    "resolve_endpoint",
]

DEFAULT_GATEWAY = "https://agent-gateway.livekit.cloud/v1"
STAGING_GATEWAY = "https://agent-gateway.staging.livekit.cloud/v1"

URL_VARIABLES = ("LIVEKIT_REMOTE_EOT_URL", "LIVEKIT_INFERENCE_URL")
KEY_VARIABLES = ("LIVEKIT_INFERENCE_API_KEY", "LIVEKIT_API_KEY")
SECRET_VARIABLES = ("LIVEKIT_INFERENCE_API_SECRET", "LIVEKIT_API_SECRET")

_STAGING_MARK = ".staging.livekit.cloud"
_GATEWAY_HOSTS = frozenset({urlsplit(DEFAULT_GATEWAY).hostname, urlsplit(STAGING_GATEWAY).hostname})
_SECURE = frozenset({"https", "wss"})
_SCHEMES = frozenset({"http", "https", "ws", "wss"})
_ASCII = "".join(map(chr, range(0x21, 0x7F)))  # what of a path is left as it is given

Transport = Literal["websocket", "http"]


@attrs.frozen(repr=False)
class Credentials:
    """A key and its secret. Neither ``repr`` nor ``str`` shows the secret."""

    api_key: str
    api_secret: str

    def __repr__(self) -> str:
        return f"Credentials(api_key={self.api_key!r}, api_secret='***')"


@attrs.frozen(kw_only=True)
class Endpoint:
    """A server, checked and ready to use.

    ``base_url`` has no trailing slash; ``credentials`` is ``None`` where no token is sent;
    ``warnings`` are sentences for the log.
    """

    base_url: str
    transport: Transport
    is_gateway: bool
    credentials: Credentials | None
    warnings: tuple[str, ...] = ()

    @property
    def websocket_url(self) -> str:
        """Where a WebSocket connects to: ``ws(s)://…/bargein``."""
        return self._with("ws") + "/bargein"

    @property
    def http_base_url(self) -> str:
        """``base_url`` with an ``http(s)`` scheme; windows are posted to ``/bargein`` below it."""
        return self._with("http")

    def _with(self, scheme: str) -> str:
        old, rest = self.base_url.split("://", 1)
        return f"{scheme}{'s' if old in _SECURE else ''}://{rest}"


def resolve_endpoint(
    *,
    environ: Mapping[str, str],
    base_url: str | None = None,
    api_key: str | None = None,
    api_secret: str | None = None,
    transport: Transport | None = None,
) -> Endpoint:
    """Settle address, credentials and transport from arguments and ``environ``.

    Empty strings count as not given. Raises :class:`~bargein.errors.OptionError` for an address
    that can't be used, for credentials missing or half given, and for an unknown transport.
    """
    url, source = _choose_url(environ, base_url)
    parts = _check_url(url, source)
    url = f"{parts.scheme}://{_ascii_netloc(parts, source)}{quote(parts.path, _ASCII)}".rstrip("/")
    gateway = _is_gateway(parts)
    if transport not in (None, "websocket", "http"):
        raise OptionError(f"the transport is {transport!r}; expected 'websocket' or 'http'")
    if transport is None:
        transport = "websocket" if gateway or parts.scheme in ("ws", "wss") else "http"
    credentials = _credentials(environ, api_key, api_secret, url, gateway)
    warnings: list[str] = []
    if credentials and parts.scheme not in _SECURE and not _is_this_machine(parts.hostname or ""):
        warnings.append(
            f"the credentials go to {url} without encryption: whoever is on the way can read and "
            f"use them; use {'https' if parts.scheme == 'http' else 'wss'}:// there"
        )
    if credentials and len(credentials.api_secret.encode()) < SAFE_SECRET:
        warnings.append(
            f"api_secret is shorter than the {SAFE_SECRET} bytes that a token's signature (HS256) "
            "asks for, and can be guessed from a token; give the server a longer one"
        )
    return Endpoint(
        base_url=url,
        transport=transport,
        is_gateway=gateway,
        credentials=credentials,
        warnings=tuple(warnings),
    )


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    for name in names:
        if value := environ.get(name, ""):
            return value, name
    return "", ""


def _choose_url(environ: Mapping[str, str], base_url: str | None) -> tuple[str, str]:
    """The address, and where it came from (for messages)."""
    if base_url:
        return base_url, "base_url"
    url, name = _first(environ, URL_VARIABLES)
    if url:
        return url, f"the environment variable {name}"
    staging = _STAGING_MARK in environ.get("LIVEKIT_URL", "")
    return (STAGING_GATEWAY if staging else DEFAULT_GATEWAY), "the default"


def _check_url(url: str, source: str) -> SplitResult:
    if not isinstance(url, str):
        raise OptionError(f"{source} is a {type(url).__name__}; expected a string")
    expected = "expected an address like https://host/v1 (http, https, ws or wss)"
    if any(c.isspace() or not c.isprintable() for c in url):
        raise OptionError(f"{source} holds a space or a control character; {expected}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OptionError(f"{source} isn't an address ({error}); {expected}") from error
    if "@" in parts.netloc:  # not shown: what stands before the @ is a secret
        raise OptionError(
            f"{source} holds a user name or a password; give api_key and api_secret instead"
        )
    if parts.scheme not in _SCHEMES or not parts.hostname or port == 0:
        raise OptionError(f"{source} is {url!r}; {expected}")
    if parts.query or parts.fragment:
        raise OptionError(f"{source} is {url!r}, with a query or a fragment; {expected}, no more")
    return parts


def _ascii_netloc(parts: SplitResult, source: str) -> str:
    """Return host and port as they go over the wire: names of other alphabets in punycode."""
    host = parts.hostname or ""
    try:
        name = host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise OptionError(f"{source} names {host!r}, which can't be a host's name") from error
    if host.isascii():
        return parts.netloc
    return name if parts.port is None else f"{name}:{parts.port}"


def _is_gateway(parts: SplitResult) -> bool:
    """Whether this is one of LiveKit's gateways, reached in a way that hides the token."""
    return (
        parts.scheme in _SECURE and parts.hostname in _GATEWAY_HOSTS and parts.port in (None, 443)
    )


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _credentials(
    environ: Mapping[str, str],
    api_key: str | None,
    api_secret: str | None,
    url: str,
    gateway: bool,
) -> Credentials | None:
    if not gateway:
        if bool(api_key) != bool(api_secret):
            given, other = ("api_key", "api_secret") if api_key else ("api_secret", "api_key")
            raise OptionError(
                f"{given} is given without {other}; {url} isn't a LiveKit gateway, so nothing is "
                f"taken from the environment: give both, or neither to send no token"
            )
        return Credentials(api_key, api_secret) if api_key and api_secret else None
    key = api_key or _first(environ, KEY_VARIABLES)[0]
    secret = api_secret or _first(environ, SECRET_VARIABLES)[0]
    missing = [
        name
        for name, value in (("LIVEKIT_API_KEY", key), ("LIVEKIT_API_SECRET", secret))
        if not value
    ]
    if missing:
        raise OptionError(
            f"{url} needs a key and a secret, and {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing: set LIVEKIT_API_KEY and "
            f"LIVEKIT_API_SECRET, or give api_key= and api_secret=; or run without them on this "
            f'machine with backend="local"'
        )
    return Credentials(key, secret)


def bracketed(host: str) -> str:
    """A host as it stands before a port: IPv6 in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]" if ":" in host else host
