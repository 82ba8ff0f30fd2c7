"""The token that a request carries: a JWT (RFC 7519) signed HS256, by PyJWT."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import TYPE_CHECKING

from bargein.errors import OptionError

if TYPE_CHECKING:
    import jwt

__all__ = ["SAFE_SECRET", "TOKEN_LIFETIME", "create_token"]

TOKEN_LIFETIME = 600
"""Seconds from ``nbf`` to ``exp`` (spec section 6): connecting is all that a token is for."""

SAFE_SECRET = 32
"""Bytes. RFC 7518, 3.2: a key of HS256 is no shorter than its hash."""

_ALGORITHM = "HS256"
"""The only one that the protocol has; it is never taken from anywhere else."""


@functools.cache
def _signer() -> jwt.PyJWS:
    """PyJWT's signing part, which can do HS256 and nothing else."""
    import jwt  # here: it takes a tenth of a second, and only servers that ask for tokens need it
    from jwt.algorithms import HMACAlgorithm

    class AnyLength(HMACAlgorithm):
        # PyJWT warns about a short secret at each signature: at each connection of each call, and
        # as an exception where warnings are errors. The detector says it once, in the log.
        def check_key_length(self, key: bytes) -> None:
            return None

    signer = jwt.PyJWS(algorithms=[])
    signer.register_algorithm(_ALGORITHM, AnyLength(hashlib.sha256))
    return signer


def create_token(api_key: str, api_secret: str, *, now: float) -> str:
    """A token valid from ``now`` (epoch seconds) on for 600 s. Any thread.

    A secret under 32 bytes is signed with all the same: how long it is was decided by who runs the
    server. Raises :class:`~bargein.errors.OptionError` for one that isn't a shared secret at all (a
    PEM key).
    """
    start = int(now)
    claims = {
        "iss": api_key,
        "sub": "agent",
        "nbf": start,
        "exp": start + TOKEN_LIFETIME,
        "inference": {"perform": True},
    }
    payload = json.dumps(claims, separators=(",", ":")).encode()
    signer = _signer()
    from jwt import PyJWTError

    try:
        return signer.encode(payload, api_secret, algorithm=_ALGORITHM)
    except PyJWTError as error:
        raise OptionError(
            f"api_secret can't sign a token ({error}); expected the secret that belongs to api_key"
        ) from error
