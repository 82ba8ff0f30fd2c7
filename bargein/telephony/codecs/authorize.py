"""Who may open a WebSocket: Twilio's signature, and a user's name with a password.

Both make a function for a server's ``authorize``: it gets the handshake's path with its query, and
its headers by lower-case name. Sources: https://www.twilio.com/docs/usage/security (the
``X-Twilio-Signature`` header: HMAC-SHA1, base64), RFC 7617 (Basic, which Exotel sends).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping

__all__ = ["basic", "twilio", "twilio_signature"]

_Check = Callable[[str, Mapping[str, str]], bool]


def twilio_signature(auth_token: str, url: str, parameters: Mapping[str, str] | None = None) -> str:
    """Return what Twilio signs a request with.

    Args:
        auth_token: the account's secret.
        url: as Twilio was told it, scheme and query included.
        parameters: the fields of a form that was posted; a WebSocket's handshake has none.
    """
    fields = "".join(name + value for name, value in sorted((parameters or {}).items()))
    digest = hmac.new(auth_token.encode(), (url + fields).encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode("ascii")


def twilio(auth_token: str, origin: str) -> _Check:
    """Return a check of ``X-Twilio-Signature``.

    Args:
        auth_token: the account's secret.
        origin: scheme and host as Twilio was told them, ``wss://bot.example.com``: behind a proxy
            this server can't know them.
    """
    origin = origin.rstrip("/")

    def check(path: str, headers: Mapping[str, str]) -> bool:
        wanted = twilio_signature(auth_token, origin + path)
        return hmac.compare_digest(wanted.encode(), headers.get("x-twilio-signature", "").encode())

    return check


def basic(user: str, password: str) -> _Check:
    """Return a check of ``Authorization: Basic …``."""
    wanted = b"Basic " + base64.b64encode(f"{user}:{password}".encode())

    def check(path: str, headers: Mapping[str, str]) -> bool:
        return hmac.compare_digest(wanted, headers.get("authorization", "").encode())

    return check
