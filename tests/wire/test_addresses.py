"""Where the server is, and who gets a token."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from bargein.errors import OptionError
from bargein.wire.addresses import (
    DEFAULT_GATEWAY,
    STAGING_GATEWAY,
    Credentials,
    Endpoint,
    resolve_endpoint,
)

ENV = {"LIVEKIT_API_KEY": "env-key", "LIVEKIT_API_SECRET": "env-secret"}
MINE: dict[str, Any] = {"api_key": "my-key", "api_secret": "my-secret-which-has-thirty-two-bytes"}


def resolve(environ: dict[str, str] | None = None, **arguments: Any) -> Endpoint:
    return resolve_endpoint(environ=environ or {}, **arguments)


# ---- which address


@pytest.mark.parametrize(
    ("environ", "base_url", "expected"),
    [
        ({}, None, DEFAULT_GATEWAY),
        ({"LIVEKIT_URL": "wss://x.staging.livekit.cloud"}, None, STAGING_GATEWAY),
        ({"LIVEKIT_URL": "wss://x.livekit.cloud"}, None, DEFAULT_GATEWAY),
        ({"LIVEKIT_INFERENCE_URL": "http://b"}, None, "http://b"),
        (
            {"LIVEKIT_REMOTE_EOT_URL": "http://a", "LIVEKIT_INFERENCE_URL": "http://b"},
            None,
            "http://a",
        ),
        ({"LIVEKIT_REMOTE_EOT_URL": "", "LIVEKIT_INFERENCE_URL": "http://b"}, None, "http://b"),
        ({"LIVEKIT_REMOTE_EOT_URL": "", "LIVEKIT_INFERENCE_URL": ""}, None, DEFAULT_GATEWAY),
        ({"LIVEKIT_REMOTE_EOT_URL": "http://a"}, "http://c", "http://c"),
        ({"LIVEKIT_REMOTE_EOT_URL": "http://a"}, "", "http://a"),
        ({}, "http://c/v1///", "http://c/v1"),
        ({}, "http://c:8080/", "http://c:8080"),
        ({}, "HTTPS://Host/V1", "https://Host/V1"),
        ({}, "ws://[::1]:9/x", "ws://[::1]:9/x"),
    ],
)
def test_address(environ: dict[str, str], base_url: str | None, expected: str) -> None:
    assert resolve(ENV | environ, base_url=base_url).base_url == expected


@pytest.mark.parametrize(
    ("base_url", "transport", "websocket_url", "http_base_url"),
    [
        ("http://h/v1", "http", "ws://h/v1/bargein", "http://h/v1"),
        ("https://h", "http", "wss://h/bargein", "https://h"),
        ("ws://h:81", "websocket", "ws://h:81/bargein", "http://h:81"),
        ("wss://h", "websocket", "wss://h/bargein", "https://h"),
        (DEFAULT_GATEWAY, "websocket", "wss" + DEFAULT_GATEWAY[5:] + "/bargein", DEFAULT_GATEWAY),
    ],
)
def test_transport(base_url: str, transport: str, websocket_url: str, http_base_url: str) -> None:
    endpoint = resolve(ENV, base_url=base_url)

    assert endpoint.transport == transport
    assert endpoint.websocket_url == websocket_url
    assert endpoint.http_base_url == http_base_url


@pytest.mark.parametrize("base_url", ["http://h", "wss://h", DEFAULT_GATEWAY])
@pytest.mark.parametrize("transport", ["http", "websocket"])
def test_an_explicit_transport_wins(base_url: str, transport: str) -> None:
    assert resolve(ENV, base_url=base_url, transport=transport).transport == transport


def test_an_unknown_transport_is_refused() -> None:
    with pytest.raises(OptionError, match=r"'carrier pigeon'; expected 'websocket' or 'http'"):
        resolve(ENV, transport="carrier pigeon")


@pytest.mark.parametrize(
    ("base_url", "complaint"),
    [
        ("ftp://h", "'ftp://h'; expected an address like"),
        ("h/v1", "'h/v1'"),
        ("http://", "'http://'"),
        ("http://:80", "'http://:80'"),
        ("http://h:0", "'http://h:0'"),
        ("http://h:99999", "isn't an address"),
        ("http://h:x", "isn't an address"),
        ("http://[::1", "isn't an address"),
        ("http://h/a b", "a space"),
        ("http://h/\r\nX: y", "a control character"),
        ("http://h?x=1", "a query"),
        ("http://h#x", "a fragment"),
        (f"http://{64 * 'h'}", "can't be a host's name"),
        ("http://a..b", "can't be a host's name"),
        (5, "base_url is a int"),
    ],
)
def test_an_address_that_cannot_be_used(base_url: Any, complaint: str) -> None:
    with pytest.raises(OptionError) as caught:
        resolve(base_url=base_url)

    assert complaint in str(caught.value)
    assert "base_url" in str(caught.value)


@pytest.mark.parametrize(
    ("base_url", "sent"),
    [
        ("https://bücher.example/v1", "https://xn--bcher-kva.example/v1"),
        ("ws://例え.example:8080", "ws://xn--r8jz45g.example:8080"),
        ("http://h/ü/%20/a:b@c", "http://h/%C3%BC/%20/a:b@c"),
        ("http://My_Host:80", "http://My_Host:80"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1"),
    ],
)
def test_an_address_is_ascii_as_it_goes_over_the_wire(base_url: str, sent: str) -> None:
    assert resolve(base_url=base_url).base_url == sent


def test_the_variable_is_named_that_holds_a_bad_address() -> None:
    with pytest.raises(OptionError, match="the environment variable LIVEKIT_INFERENCE_URL"):
        resolve({"LIVEKIT_INFERENCE_URL": "nonsense"})


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(OptionError, match="user name or a password") as caught:
        resolve(base_url="https://me:hunter2@h/v1")

    assert "hunter2" not in str(caught.value)


# ---- who gets a token


@pytest.mark.parametrize(
    "base_url",
    [
        *(DEFAULT_GATEWAY, STAGING_GATEWAY, "wss://agent-gateway.livekit.cloud/v1"),
        *("https://AGENT-gateway.livekit.cloud:443/v2",),
    ],
)
def test_a_gateway_gets_the_environments_credentials(base_url: str) -> None:
    endpoint = resolve(ENV, base_url=base_url)

    assert endpoint.is_gateway
    assert endpoint.credentials == Credentials("env-key", "env-secret")


@pytest.mark.parametrize(
    "base_url",
    [
        *("https://example.com", "http://localhost:8080", "http://agent-gateway.livekit.cloud/v1"),
        *(
            "https://agent-gateway.livekit.cloud:8443",
            "https://agent-gateway.livekit.cloud.evil.org",
        ),
        *("https://livekit.cloud", "ws://agent-gateway.livekit.cloud"),
    ],
)
def test_a_stranger_gets_nothing_from_the_environment(base_url: str) -> None:
    endpoint = resolve(ENV, base_url=base_url)

    assert not endpoint.is_gateway
    assert endpoint.credentials is None
    assert endpoint.warnings == ()


def test_any_address_gets_credentials_given_as_arguments() -> None:
    endpoint = resolve(ENV, base_url="https://example.com", **MINE)

    assert endpoint.credentials == Credentials("my-key", "my-secret-which-has-thirty-two-bytes")
    assert endpoint.warnings == ()


@pytest.mark.parametrize(
    ("environ", "arguments", "expected"),
    [
        (ENV, MINE, ("my-key", "my-secret-which-has-thirty-two-bytes")),
        (ENV, {"api_key": "my-key"}, ("my-key", "env-secret")),
        (ENV, {"api_key": "", "api_secret": ""}, ("env-key", "env-secret")),
        (
            ENV | {"LIVEKIT_INFERENCE_API_KEY": "k", "LIVEKIT_INFERENCE_API_SECRET": "s"},
            {},
            ("k", "s"),
        ),
        (ENV | {"LIVEKIT_INFERENCE_API_KEY": ""}, {}, ("env-key", "env-secret")),
    ],
)
def test_credentials_of_a_gateway(
    environ: dict[str, str], arguments: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert resolve(environ, **arguments).credentials == Credentials(*expected)


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({}, "LIVEKIT_API_KEY and LIVEKIT_API_SECRET are missing"),
        ({"LIVEKIT_API_KEY": "k"}, "LIVEKIT_API_SECRET is missing"),
        ({"LIVEKIT_API_SECRET": "s"}, "LIVEKIT_API_KEY is missing"),
    ],
)
def test_a_gateway_without_credentials(environ: dict[str, str], missing: str) -> None:
    with pytest.raises(OptionError) as caught:
        resolve(environ)

    text = str(caught.value)
    assert missing in text
    assert "LIVEKIT_API_KEY" in text
    assert "LIVEKIT_API_SECRET" in text
    assert 'backend="local"' in text


def test_a_secret_that_can_be_guessed_is_warned_about_once_and_not_shown() -> None:
    (warning,) = resolve(base_url="https://h", api_key="k", api_secret="devsecret").warnings

    assert "shorter than the 32 bytes" in warning
    assert "devsecret" not in warning


@pytest.mark.parametrize(("given", "other"), [("api_key", "api_secret"), ("api_secret", "api_key")])
def test_half_credentials_for_a_stranger(given: str, other: str) -> None:
    with pytest.raises(OptionError, match=f"{given} is given without {other}") as caught:
        resolve(ENV, base_url="https://example.com", **{given: "hunter2"})

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "base_url", ["http://10.0.0.5", "ws://example.com", "http://notlocalhost", "http://[2001::1]"]
)
def test_a_token_over_plain_http_to_another_machine_is_warned_about(base_url: str) -> None:
    (warning,) = resolve(base_url=base_url, **MINE).warnings

    assert base_url in warning
    assert ("https://" if base_url.startswith("http") else "wss://") in warning
    assert "my-secret" not in warning


@pytest.mark.parametrize(
    "base_url",
    ["http://localhost:1", "http://a.localhost", "ws://127.0.0.9", "http://[::1]", "https://h"],
)
def test_a_token_that_nobody_can_read_is_not(base_url: str) -> None:
    assert resolve(base_url=base_url, **MINE).warnings == ()


def test_the_secret_is_in_no_repr() -> None:
    endpoint = resolve(ENV)

    shown = f"{endpoint!r} {endpoint} {endpoint.credentials!s} {[endpoint.credentials]}"
    assert "env-key" in shown
    assert "env-secret" not in shown
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        endpoint.base_url = "https://evil.org"  # type: ignore[misc]
