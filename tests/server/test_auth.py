"""Who is let in."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
import websocket

from bargein.errors import OptionError
from bargein.server import ServerConfig
from bargein.server.auth import _NOBODY, Refused, authenticate
from bargein.server.config import read_keys
from tests.server.running import KEY, LOUD, SECRET, running, token

CONFIG = ServerConfig(keys={KEY: SECRET})
GOOD = {"iss": KEY, "sub": "agent", "inference": {"perform": True}}


def signed(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    now = time.time()
    payload = GOOD | {"nbf": now, "exp": now + 600} | claims
    return jwt.encode({k: v for k, v in payload.items() if v is not None}, secret, algorithm)


def test_a_good_token() -> None:
    assert authenticate(f"Bearer {token()}", CONFIG) == KEY
    assert authenticate(f"bearer {signed(nbf=time.time() + 20)}", CONFIG) == KEY


def test_nobody_needs_a_token_where_there_are_no_keys() -> None:
    assert authenticate(None, ServerConfig()) == ""


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (None, "needed"),
        ("Basic abc", "needed"),
        ("Bearer ", "needed"),
        ("Bearer x.y.z", "isn't valid here"),
        (f"Bearer {token(secret='another secret of 32 characters!')}", "isn't valid here"),
        (f"Bearer {token(key='stranger')}", "isn't valid here"),
        (f"Bearer {signed(iss=None)}", "isn't valid here"),
        (f"Bearer {signed(exp=None)}", "isn't valid here"),
        (f"Bearer {signed(secret='', algorithm='none')}", "isn't valid here"),
        (f"Bearer {signed(secret=SECRET * 2, algorithm='HS512')}", "isn't valid here"),
        (f"Bearer {token(age=3600)}", "expired"),
        (f"Bearer {token(age=-3600)}", "isn't valid yet"),
    ],
)
def test_a_bad_token(header: str | None, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        authenticate(header, CONFIG)
    assert caught.value.status == 401


@pytest.mark.parametrize("grant", [None, True, {}, {"perform": "true"}])
def test_a_token_without_the_grant(grant: Any) -> None:
    with pytest.raises(Refused, match="grant") as caught:
        authenticate(f"Bearer {signed(inference=grant)}", CONFIG)
    assert caught.value.status == 403


def test_both_transports_ask_for_it() -> None:
    with running(keys={KEY: SECRET}) as server:
        status, _, text = server.request("POST", "/bargein", LOUD)
        assert (status, "needed" in text) == (401, True)
        good = {"Authorization": f"Bearer {token()}"}
        assert server.request("POST", "/bargein", LOUD, good)[0] == 200
        with pytest.raises(websocket.WebSocketBadStatusException) as caught, server.session():
            pass
        assert caught.value.status_code == 401
        with server.session(token=token()):
            pass
        assert server.metric('bargein_refused_total{reason="token"}') == 2


# --- where keys come from ---


def test_keys_of_the_environment() -> None:
    pair = {"BARGEIN_API_KEY": "a", "BARGEIN_API_SECRET": "b"}
    assert read_keys(pair, None) == {"a": "b"}
    assert read_keys({}, None) == {}
    with pytest.raises(OptionError, match="set both"):
        read_keys({"BARGEIN_API_KEY": "a"}, None)
    for pair in (("a", "b\n"), (" ", "b")):
        names = ("BARGEIN_API_KEY", "BARGEIN_API_SECRET")
        with pytest.raises(OptionError, match="white space"):
            read_keys(dict(zip(names, pair, strict=True)), None)


def test_keys_of_a_file(tmp_path) -> None:
    path = tmp_path / "keys"
    path.write_text("# ours\n\none: first\ntwo:se:cond\n")
    assert read_keys({}, path) == {"one": "first", "two": "se:cond"}
    path.write_bytes(b"\xef\xbb\xbfone: first\r\n")  # as Windows' editors write it
    assert read_keys({}, path) == {"one": "first"}
    for text, says in [
        ("one\n", "keys:1: expected"),
        ("#\n", "holds no key"),
        ("one: a\ntwo: b\none: c\n", "keys:3: the key 'one' is there already"),
    ]:
        path.write_text(text)
        with pytest.raises(OptionError, match=says):
            read_keys({}, path)
    with pytest.raises(OptionError, match="can't be read"):
        read_keys({}, tmp_path / "none")


@pytest.mark.parametrize("age", [0, 3600])
def test_an_answer_does_not_tell_which_keys_there_are(age: float) -> None:
    for key in (KEY, "stranger"):
        with pytest.raises(Refused, match="isn't valid here"):
            authenticate(
                f"Bearer {token(key, 'a guess of thirty-two characters', age=age)}", CONFIG
            )
    # Not even to somebody who knew what strangers' tokens are checked with.
    with pytest.raises(Refused, match="isn't valid here"):
        authenticate(f"Bearer {token('stranger', _NOBODY)}", CONFIG)


def test_secrets_are_not_shown() -> None:
    assert SECRET not in repr(CONFIG)


@pytest.mark.parametrize("value", [0, -1, True, "1"])
def test_a_limit_that_cannot_be(value: Any) -> None:
    with pytest.raises(OptionError, match="idle_timeout"):
        ServerConfig(idle_timeout=value)
