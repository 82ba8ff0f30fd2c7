"""Who may use the server: tokens as clients make them (spec section 6)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import jwt

from .config import ServerConfig

__all__ = ["Refused", "authenticate"]

_ALGORITHMS = ["HS256"]  # pinned: a token doesn't get to choose how it is checked

_NOBODY = secrets.token_hex(32)
"""No key has this secret. A token for a key that isn't there is checked with it, so that neither
the time that it takes nor the answer tells which keys there are."""


class Refused(Exception):
    """A token that isn't good enough; ``status`` is the HTTP status to answer with."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def authenticate(authorization: str | None, config: ServerConfig) -> str:
    """Return the API key that a request's ``Authorization`` header speaks for; "" without keys.

    Raises :class:`Refused`: 401 for a token that is missing, forged, early or late; 403 for a
    good one without the grant. PyJWT compares signatures in constant time.
    """
    if not config.keys:
        return ""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refused(401, "a token is needed: Authorization: Bearer <token>")
    key = _claimed_key(token)
    known = key in config.keys
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token,
            config.keys[key] if known else _NOBODY,
            algorithms=_ALGORITHMS,
            issuer=key,
            leeway=config.leeway,
            options={"require": ["exp", "nbf", "iss"]},
        )
    except jwt.ExpiredSignatureError:
        raise Refused(401, "the token has expired; make a new one for each connection") from None
    except jwt.ImmatureSignatureError:
        raise Refused(401, "the token isn't valid yet; check the client's clock") from None
    except jwt.PyJWTError:
        raise Refused(401, "the token isn't valid here; check key and secret") from None
    if not known:
        raise Refused(401, "the token isn't valid here; check key and secret")
    grant = claims.get("inference")
    if not isinstance(grant, dict) or grant.get("perform") is not True:
        raise Refused(403, 'the token lacks the grant {"inference": {"perform": true}}')
    return key


def _claimed_key(token: str) -> str:
    """Return whom a token claims to be from; nothing of it is believed before it is checked."""
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError):
        issuer = None
    return issuer if isinstance(issuer, str) else ""
