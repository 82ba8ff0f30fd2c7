"""The token, read back with PyJWT's own decoder."""

from __future__ import annotations

import warnings

import jwt
import pytest

from bargein.errors import OptionError
from bargein.wire.token import SAFE_SECRET, create_token
from tests.fresh import run_fresh

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
    assert (type(claims["nbf"]), type(claims["exp"])) == (int, int)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}


def test_another_secret_makes_another_signature() -> None:
    token = create_token("APIkey", SECRET, now=0)

    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, SECRET + "!", algorithms=["HS256"])


def test_a_short_secret_is_signed_with_without_a_warning() -> None:
    short = "devsecret"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        token = create_token("k", short, now=0)

    # The same bytes that PyJWT makes where nobody minds its warning.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        claims = jwt.decode(token, short, algorithms=["HS256"], options={"verify_exp": False})
    assert len(short) < SAFE_SECRET
    assert claims["iss"] == "k"


def test_a_key_that_is_no_secret_is_refused_without_being_shown() -> None:
    pem = "-----BEGIN PUBLIC KEY-----\nTUlJQklq\n-----END PUBLIC KEY-----\n"

    with pytest.raises(OptionError, match="api_secret can't sign") as caught:
        create_token("k", pem, now=0)

    assert "TUlJQklq" not in str(caught.value)


def test_key_and_secret_may_hold_any_character() -> None:
    token = create_token('k"é', SECRET + "é", now=0)

    claims = jwt.decode(token, SECRET + "é", algorithms=["HS256"], options={"verify_exp": False})
    assert claims["iss"] == 'k"é'


def test_pyjwt_loads_when_the_first_token_is_made() -> None:
    done = run_fresh(
        "-c",
        "import sys\n"
        "from bargein.wire.token import create_token\n"
        "before = 'jwt' in sys.modules\n"
        f"create_token('k', {SECRET!r}, now=0)\n"
        "print(before, 'jwt' in sys.modules)",
    )

    assert (done.returncode, done.stdout) == (0, "False True\n"), done.stderr
