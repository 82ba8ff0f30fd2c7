"""The token that a request carries: a JWT (RFC 7519) signed HS256 (RFC 7518, 3.2).

Made with the standard library: three base64 parts and one HMAC. A JWT package would bring
``cryptography`` into the process (several MB, and a tenth of a second) for algorithms that the
protocol doesn't use, and warns about short secrets, which are the server's choice. The tests read
the tokens back with PyJWT.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

__all__ = ["TOKEN_LIFETIME", "create_token"]

TOKEN_LIFETIME = 600
"""Seconds from ``nbf`` to ``exp`` (spec section 6): connecting is all that a token is for."""

_HEADER = b'{"alg":"HS256","typ":"JWT"}'


def _part(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def create_token(api_key: str, api_secret: str, *, now: float) -> str:
    """A token valid from ``now`` (epoch seconds) on for 600 s."""
    start = int(now)
    claims = {
        "iss": api_key,
        "sub": "agent",
        "nbf": start,
        "exp": start + TOKEN_LIFETIME,
        "inference": {"perform": True},
    }
    body = _part(_HEADER) + b"." + _part(json.dumps(claims, separators=(",", ":")).encode())
    signature = hmac.new(api_secret.encode(), body, hashlib.sha256).digest()
    return (body + b"." + _part(signature)).decode("ascii")
