"""No secret shows: in no repr, log line, error, event or traceback, whatever goes wrong."""

from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bargein.detector import AdaptiveInterruptionDetector
from bargein.drivers.tls import TlsOptions
from bargein.errors import APIError, BargeinError
from bargein.testing.certificates import client_certificate
from bargein.testing.sockets import BOUND, Peer
from tests.streams.service import Caller, Service, answers, refuse

# Not spelled out in the tests: a traceback shows their lines.
SECRET = "-".join(["marker", "secret", "of", "thirty", "two", "bytes"])
PROXY = "pass" + "word" + "marker"
KEY_PASSWORD = "key" + "marker"
PEM = f"-----BEGIN PUBLIC KEY-----\n{SECRET}\n-----END PUBLIC KEY-----\n"


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)  # of requests, urllib3 and websocket-client, too
    yield
    clean(caplog.text)


def clean(text: str) -> None:
    """Nothing of it, not even a token signed with it."""
    for marker in (SECRET, PROXY, KEY_PASSWORD, "eyJ", "Bearer e"):
        assert marker not in text
    assert base64.b64encode(f"me:{PROXY}".encode()).decode() not in text


def look(detector: AdaptiveInterruptionDetector, caller: Caller, error: Any) -> None:
    remote = detector._remote
    assert remote is not None
    seen = [detector, detector.options, detector.conn_options, remote, remote.endpoint, caller]
    seen += [caller.stream, caller.stream.stats(), error, error.error, error.to_dict()]
    seen += [vars(error.error), error.error.__cause__, error.error.__context__]
    for thing in seen:
        clean(repr(thing))
        clean(str(thing))
    clean("".join(traceback.format_exception(error.error)))


def echo(peer: Peer) -> None:
    """A server that gives a request's headers back in its refusal."""
    request = peer.read_request()
    peer.respond("403 Forbidden", f"not with {request.headers['authorization']}")


def broken(peer: Peer) -> None:
    peer.read_request()
    peer.send(b"\x00\xffnothing that anybody knows\r\n\r\n")


GREETINGS = {
    "refused": refuse("401 Unauthorized", "no"),
    "echoed": echo,
    "broken": broken,
    "dropped": lambda peer: None,
    "stalled": Peer.hold,
}


@pytest.mark.parametrize("fault", GREETINGS)
def test_the_api_secret_and_its_tokens(any_transport: str, fault: str, tmp_path: Path) -> None:
    with (
        Service(any_transport, greetings=[GREETINGS[fault]] * 9) as service,
        service.detector(
            folder=tmp_path,
            api_key="key",
            api_secret=SECRET,
            inference_timeout=0.05,
            conn={"timeout": 0.05 if fault == "stalled" else BOUND},
        ) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        look(detector, caller, caller.error())


def test_the_token_arrives(any_transport: str, tmp_path: Path) -> None:
    import jwt

    with (
        Service(any_transport, answers.yes) as service,
        service.detector(folder=tmp_path, api_key="key", api_secret=SECRET) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        assert caller.outcome() == ("interruption", None)
        header = service.requests.get(timeout=BOUND).authorization
        claims = jwt.decode(header.removeprefix("Bearer "), SECRET, algorithms=["HS256"])
        assert claims["iss"] == "key"
        assert claims["inference"] == {"perform": True}


def test_no_credentials_from_elsewhere(
    any_transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a cloud's, from the environment, nor ~/.netrc's go to another address."""
    (tmp_path / "netrc").write_text(f"machine localhost login me password {PROXY}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("LIVEKIT_API_KEY", "key")
    monkeypatch.setenv("LIVEKIT_API_SECRET", SECRET)
    with (
        Service(any_transport, answers.yes) as service,
        service.detector(folder=tmp_path) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        assert caller.outcome() == ("interruption", None)
        assert "authorization" not in service.requests.get(timeout=BOUND).headers


@pytest.mark.parametrize(
    "address",
    [
        "http://me:{}@127.0.0.1:1",
        "http://me:{}@[broken",
        "http://me:{}@:0",
        "socks5://me:{}@127.0.0.1:1",
        "me:{}@127.0.0.1:1",
        "http://me:{}@127.0.0.1:port",
    ],
)
def test_a_proxys_password(transport: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Service(transport) as service:
        monkeypatch.setenv("http_proxy", address.format(PROXY))
        for name in ("no_proxy", "NO_PROXY"):  # the server wants to be reached without
            monkeypatch.delenv(name)
        with (
            service.detector(api_key="key", api_secret=SECRET) as detector,
            Caller(detector) as caller,
        ):
            caller.interrupt()
            problem = caller.error()
            assert isinstance(problem.error, APIError)
            look(detector, caller, problem)
            assert service.connections == 0  # never past the proxy


def test_a_client_keys_password(tmp_path: Path) -> None:
    path = client_certificate(tmp_path)
    options = TlsOptions(client_certificate=path, client_key_password=KEY_PASSWORD)
    clean(repr(options))
    with pytest.raises(BargeinError) as caught:
        AdaptiveInterruptionDetector(
            base_url="https://localhost",
            tls=TlsOptions(client_certificate=tmp_path, client_key_password=KEY_PASSWORD),
        )
    clean("".join(traceback.format_exception(caught.value)))


def test_credentials_that_cant_be() -> None:
    for options in (
        {"api_secret": SECRET},
        {"api_secret": SECRET, "api_key": "k", "transport": "pigeon"},
        {"api_secret": SECRET, "api_key": "k", "base_url": "ftp://x"},
        {"api_secret": PEM, "api_key": "k"},
    ):
        base: dict[str, Any] = {"base_url": "http://localhost"}
        with pytest.raises(BargeinError) as caught:
            AdaptiveInterruptionDetector(**(base | options))
        clean(str(caught.value))
        clean(repr(caught.value))
