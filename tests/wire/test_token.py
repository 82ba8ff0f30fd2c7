"""The token, read back with PyJWT."""

from __future__ import annotations

import warnings

import jwt
import pytest

from bargein.wire.token import create_token

SECRET = "a secret of at least thirty-two bytes"


def test_a_token_is_what_pyjwt_expects() -> None:
    token = create_token("APIkey", SECRET, now=1_700_000_000.9)

    claims = jwt.decode(
        token, SECRET, algorithms=["HS256"], options={"verify_exp": False, "verify_nbf": False}
    )

    assert claims == {
        "iss": "APIkey",
        "sub": "agent",
        "nbf": 1_700_000_000,
        "exp": 1_700_000_600,
        "inference": {"perform": True},
    }
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}


def test_another_secret_makes_another_signature() -> None:
    token = create_token("APIkey", SECRET, now=0)

    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, SECRET + "!", algorithms=["HS256"])


def test_a_short_secret_is_signed_with_without_comment() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert create_token("k", "devsecret", now=0).count(".") == 2


def test_key_and_secret_may_hold_any_character() -> None:
    token = create_token('k"é', SECRET + "é", now=0)

    claims = jwt.decode(token, SECRET + "é", algorithms=["HS256"], options={"verify_exp": False})
    assert claims["iss"] == 'k"é'
