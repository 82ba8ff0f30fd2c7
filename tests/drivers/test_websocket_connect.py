"""Connecting: refusals, proxies, certificates, servers that stall, and calling it off."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bargein.drivers import websocket_connect
from bargein.drivers.tls import TlsOptions, tls_context
from bargein.drivers.websocket_connect import ConnectAttempt, connect
from bargein.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    OptionError,
    ProtocolError,
)
from bargein.testing.certificates import client_certificate, server_context, write_authority
from bargein.testing.sockets import (
    BOUND,
    Peer,
    Request,
    Script,
    Server,
    full_listener,
    raw_listener,
)

# Here and not in the tests: a traceback shows their lines.
TOKEN = {"Authorization": "Bearer hunter2"}
PASSWORD_HOST = "me:hunter2@127.0.0.1"


@pytest.fixture
def trusting(tmp_path: Path) -> ssl.SSLContext:
    return tls_context(TlsOptions(ca_file=write_authority(tmp_path)))


def refused(script: Script, *, timeout: float = BOUND) -> APIError:
    """The error of connecting to a server that runs ``script``."""
    with Server(script) as server, pytest.raises(APIError) as caught:
        connect(server.url("ws", "/v1/bargein"), TOKEN, timeout=timeout)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    return caught.value


def answer(*args: object, **kwargs: object) -> Script:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.respond(*args, **kwargs)  # type: ignore[arg-type]
        peer.hold()

    return script


# ---- what is asked


def test_the_request_is_what_we_say_and_no_more() -> None:
    requests: list[Request] = []

    def script(peer: Peer) -> None:
        requests.append(peer.accept_websocket())
        peer.hold()

    with Server(script) as server:
        connect(
            server.url("ws", "/v1/bargein"),
            {"Authorization": "Bearer abc", "User-Agent": "bargein/1"},
            timeout=BOUND,
        ).close()

    (request,) = requests
    assert (request.method, request.target) == ("GET", "/v1/bargein")
    assert request.headers["authorization"] == "Bearer abc"
    assert request.headers["user-agent"] == "bargein/1"
    assert "origin" not in request.headers
    assert "sec-websocket-extensions" not in request.headers


@pytest.mark.parametrize("url", ["http://h", "h:80", "ws://", "ftp://h"])
def test_a_url_that_is_no_websocket_is_refused_at_once(url: str) -> None:
    with pytest.raises(OptionError, match="expected ws://host"):
        ConnectAttempt(url, {}, timeout=1)


def test_a_header_with_a_line_break_is_refused_and_not_shown() -> None:
    with pytest.raises(OptionError, match="'Authorization' holds a line break") as caught:
        ConnectAttempt("ws://h", {"Authorization": "hunter2\r\nX: y"}, timeout=1)

    assert "hunter2" not in str(caught.value)


# ---- refusals


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        ("401 Unauthorized", False),
        ("404 Not Found", False),
        ("429 Too Many Requests", False),
        ("499 Gone", True),
        ("503 Service Unavailable", True),
        ("200 OK", False),
    ],
)
def test_a_status_is_mapped(status: str, retryable: bool) -> None:
    error = refused(answer(status, "bad token: expired"))

    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.retryable) == (int(status[:3]), retryable)
    assert error.body == "bad token: expired"
    assert error.__cause__ is None  # it would show the body whole, with what it echoes


def test_a_429_that_says_when() -> None:
    error = refused(answer("429 Too Many Requests", "", ["Retry-After: 7"]))

    assert isinstance(error, APIStatusError)
    assert (error.retryable, error.retry_after) == (True, 7.0)


def test_a_redirect_is_not_followed() -> None:
    with Server(answer("200 OK")) as elsewhere:
        location = f"Location: {elsewhere.url('ws')}"
        error = refused(answer("307 Temporary Redirect", "", [location]))

    assert elsewhere.connections == 0
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.retryable) == (307, False)
    assert "redirects aren't followed" in str(error)


def test_a_chunked_body_is_read() -> None:
    chunks = b"8\r\nno such \r\n5\r\ncall!\r\n0\r\n\r\n"
    error = refused(answer("404 Not Found", chunks, ["Transfer-Encoding: chunked"], length=False))

    assert error.body == "no such call!"


def test_a_body_without_length_ends_with_the_connection() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.respond("403 Forbidden", "not you", length=False)
        peer.close()

    assert refused(script).body == "not you"


def test_of_a_long_body_500_characters_are_read() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.respond("500 Oops", b"", ["Content-Length: 10000000"], length=False)
        peer.send(b"x" * 100_000)
        peer.hold()

    assert refused(script).body == "x" * 500


def test_a_body_that_stops_short_or_stalls_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_connect, "_BODY_PATIENCE", 0.05)

    error = refused(answer("401 Unauthorized", "half", ["Content-Length: 100"], length=False))

    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.body) == (401, "half")


def test_a_refusal_that_makes_no_sense_otherwise_keeps_its_status() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send("HTTP/1.1 503 Busy\r\n" + "X: y\r\n" * 300 + "\r\n")
        peer.hold()

    error = refused(script)

    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.body) == (503, None)


@pytest.mark.parametrize(
    "text",
    [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: wrong\r\n\r\n",
        "HTTP/1.1 101 \xff\r\n\r\n",
        "x" * (1 << 16),
    ],
)
def test_a_server_that_speaks_something_else(text: str) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(text.encode("latin-1"))
        peer.hold()

    error = refused(script)

    assert isinstance(error, ProtocolError)
    assert "the WebSocket handshake with ws://127.0.0.1" in str(error) or "longer" in str(error)


def test_a_server_that_hangs_up() -> None:
    error = refused(lambda peer: peer.close())

    assert type(error) is APIConnectionError
    assert error.retryable


def test_a_server_that_hangs_up_in_mid_answer() -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send("HTTP/1.1 101 Swi")
        peer.close()

    error = refused(script)

    assert type(error) is APIConnectionError
    assert "ended the connection" in str(error)


# ---- stalls


def test_a_server_that_stalls() -> None:
    error = refused(lambda peer: peer.hold(), timeout=0.1)

    assert isinstance(error, APITimeoutError)
    assert "the WebSocket handshake" in str(error)
    assert "0.1 s" in str(error)


def test_a_server_that_drips_does_not_outlive_the_timeout() -> None:
    def script(peer: Peer) -> None:
        request = peer.read_request()
        peer.drip(peer.handshake_answer(request), 0.02)

    assert isinstance(refused(script, timeout=0.2), APITimeoutError)


def test_a_listener_that_never_answers_tls(trusting: ssl.SSLContext) -> None:
    with Server(lambda peer: peer.hold()) as server, pytest.raises(APITimeoutError) as caught:
        connect(server.url("wss"), {}, timeout=0.1, tls=trusting)

    assert "the TLS handshake" in str(caught.value)


def test_a_connect_that_hangs() -> None:
    with full_listener() as port, pytest.raises(APITimeoutError, match="connecting to"):
        connect(f"ws://127.0.0.1:{port}", {}, timeout=0.1)


def test_nobody_listens() -> None:
    with raw_listener(listening=False) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            APIConnectionError, match=f"connecting to 127.0.0.1:{port} failed"
        ) as caught:
            connect(f"ws://127.0.0.1:{port}", {}, timeout=BOUND)

    assert caught.value.retryable
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_an_address_that_fails_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.hold()

    with full_listener() as dead, Server(script) as server:
        family = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        both = [(*family, ("127.0.0.1", dead)), (*family, ("127.0.0.1", server.port))]
        with monkeypatch.context() as patched:
            patched.setattr(socket, "getaddrinfo", lambda *args, **kwargs: both)
            connect("ws://two-addresses", {}, timeout=2.0).close()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".org"])
def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    def lookup(name: str, *args: object, **kwargs: object) -> None:
        name.encode("idna")  # as the real one does first
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)

    with pytest.raises(APIConnectionError, match="can't be looked up"):
        connect(f"ws://{host}", {}, timeout=BOUND)


# ---- calling it off


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_an_attempt_can_be_called_off_while_the_server_stalls(
    scheme: str, trusting: ssl.SSLContext
) -> None:
    asked = threading.Event()

    def script(peer: Peer) -> None:
        peer.receive(1)
        asked.set()
        peer.hold()

    with Server(script) as server:
        attempt = ConnectAttempt(server.url(scheme), {}, timeout=60, tls=trusting)
        found: list[BaseException] = []

        def run() -> None:
            with pytest.raises(APIConnectionError, match="was called off") as caught:
                attempt.run()
            found.append(caught.value)

        thread = threading.Thread(target=run)
        thread.start()
        assert asked.wait(BOUND)
        attempt.cancel()
        thread.join(BOUND)
        assert not thread.is_alive()  # while the server still holds the connection

    assert len(found) == 1


def test_an_attempt_can_be_called_off_while_it_connects() -> None:
    with full_listener() as port:
        attempt = ConnectAttempt(f"ws://127.0.0.1:{port}", {}, timeout=60)
        opened = threading.Event()
        hold = attempt._hold

        def holding(sock: socket.socket) -> None:
            hold(sock)
            opened.set()

        attempt._hold = holding  # type: ignore[method-assign]
        found: list[str] = []

        def run() -> None:
            with pytest.raises(APIConnectionError) as caught:
                attempt.run()
            found.append(str(caught.value))

        thread = threading.Thread(target=run)
        thread.start()
        assert opened.wait(BOUND)
        for _ in range(1000):  # it may not have come to connect() yet
            attempt.cancel()
            thread.join(BOUND / 1000)
            if not thread.is_alive():
                break
        assert not thread.is_alive()

    assert "was called off" in found[0]


def test_an_attempt_called_off_before_it_runs() -> None:
    with Server(lambda peer: peer.hold()) as server:
        attempt = ConnectAttempt(server.url("ws"), {}, timeout=BOUND)
        attempt.cancel()

        with pytest.raises(APIConnectionError, match="called off"):
            attempt.run()
    assert server.connections == 0


def test_an_attempt_called_off_at_the_last_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.hold()

    import websocket

    with Server(script) as server:
        attempt = ConnectAttempt(server.url("ws"), {}, timeout=BOUND)
        shake: Any = websocket.WebSocket.connect

        def shake_and_cancel(*args: Any, **kwargs: Any) -> None:
            shake(*args, **kwargs)
            attempt.cancel()

        monkeypatch.setattr(websocket.WebSocket, "connect", shake_and_cancel)
        with pytest.raises(APIConnectionError, match="called off"):
            attempt.run()


def test_calling_off_after_the_fact_does_nothing() -> None:
    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.hold()

    with Server(script) as server:
        attempt = ConnectAttempt(server.url("ws"), {}, timeout=BOUND)
        connection = attempt.run()
        attempt.cancel()

        assert connection.fileno() >= 0
        assert connection.read() == []
        connection.close()


# ---- TLS


def accepted(server_tls: ssl.SSLContext, tls: ssl.SSLContext | None, host: str) -> None:
    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.hold()

    with Server(script, tls=server_tls) as server:
        connect(server.url("wss", host=host), {}, timeout=BOUND, tls=tls).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_certificate_that_is_trusted(trusting: ssl.SSLContext, host: str) -> None:
    accepted(server_context(), trusting, host)


def test_a_certificate_of_a_stranger() -> None:
    with pytest.raises(APIConnectionError, match=r"isn't trusted .* name its root with ca_file"):
        accepted(server_context(), None, "localhost")


def test_a_certificate_for_another_name(trusting: ssl.SSLContext) -> None:
    with pytest.raises(APIConnectionError, match="isn't trusted"):
        accepted(server_context("example.org"), trusting, "localhost")


def test_verification_can_be_switched_off() -> None:
    accepted(server_context("example.org"), tls_context(TlsOptions(verify=False)), "localhost")


def test_a_server_that_asks_who_we_are(tmp_path: Path) -> None:
    options = TlsOptions(
        ca_file=write_authority(tmp_path), client_certificate=client_certificate(tmp_path)
    )

    accepted(server_context(ask_client=True), tls_context(options), "localhost")


def test_a_server_that_speaks_no_tls(trusting: ssl.SSLContext) -> None:
    def script(peer: Peer) -> None:
        peer.receive(1)
        peer.send("HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.hold()

    with (
        Server(script) as server,
        pytest.raises(APIConnectionError, match="TLS handshake") as caught,
    ):
        connect(server.url("wss"), {}, timeout=BOUND, tls=trusting)

    assert isinstance(caught.value.__cause__, ssl.SSLError)


# ---- proxies


@contextlib.contextmanager
def proxy(status: str = "200 Connection established") -> Iterator[tuple[Server, list[Request]]]:
    """A proxy that connects to where it is asked to, and passes bytes on."""
    requests: list[Request] = []

    def script(peer: Peer) -> None:
        request = peer.read_request()
        requests.append(request)
        if not status.startswith("200"):
            peer.respond(status)
            peer.hold()
            return
        _, port = request.target.rsplit(":", 1)
        with socket.create_connection(("127.0.0.1", int(port)), timeout=BOUND) as onward:
            peer.send(f"HTTP/1.1 {status}\r\n\r\n")
            back = threading.Thread(target=pass_on, args=(onward, peer.sock))
            back.start()
            pass_on(peer.sock, onward)
            back.join(BOUND)

    with Server(script) as server:
        yield server, requests


def pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("scheme", "variable"),
    [
        ("ws", "http_proxy"),
        ("wss", "https_proxy"),
        ("wss", "HTTPS_PROXY"),
        ("ws", "all_proxy"),
    ],
)
def test_the_environments_proxy_is_used(
    scheme: str, variable: str, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets: list[Request] = []

    def script(peer: Peer) -> None:
        targets.append(peer.accept_websocket())
        peer.hold()

    tls = server_context() if scheme == "wss" else None
    with Server(script, tls=tls) as server, proxy() as (middle, requests):
        monkeypatch.setenv(variable, middle.url("http", host="me:hun%20ter2@127.0.0.1"))
        url = server.url(scheme, "/bargein", host="localhost")
        connect(url, {"Authorization": "Bearer abc"}, timeout=BOUND, tls=trusting).close()

    (request,) = requests
    assert (request.method, request.target) == ("CONNECT", f"localhost:{server.port}")
    expected = base64.b64encode(b"me:hun ter2").decode()
    assert request.headers["proxy-authorization"] == f"Basic {expected}"
    assert "authorization" not in request.headers  # the token isn't the proxy's business
    assert targets[0].target == "/bargein"
    assert "proxy-authorization" not in targets[0].headers


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "127.0.0.0/8", "*", "example.org, 127.0.0.1"])
def test_no_proxy_is_heeded(no_proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.hold()

    with Server(script) as server, proxy() as (middle, requests):
        monkeypatch.setenv("http_proxy", middle.url("http"))
        monkeypatch.setenv("NO_PROXY", no_proxy)
        connect(server.url("ws"), {}, timeout=BOUND).close()

    assert requests == []


def test_a_proxy_for_another_scheme_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.hold()

    with Server(script) as server:
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        connect(server.url("ws"), {}, timeout=BOUND).close()


@pytest.mark.parametrize(
    ("status", "retryable", "complaint"),
    [
        ("407 Proxy Authentication Required", False, "check the user and password"),
        ("403 Forbidden", False, "with status 403"),
        ("502 Bad Gateway", True, "with status 502"),
    ],
)
def test_a_proxy_that_refuses(
    status: str, retryable: bool, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(status) as (middle, _):
        monkeypatch.setenv("http_proxy", middle.url("http", host=PASSWORD_HOST))
        with pytest.raises(APIConnectionError, match=complaint) as caught:
            connect("ws://[2001:db8::1]:81", {}, timeout=BOUND)

    assert caught.value.retryable is retryable
    assert "[2001:db8::1]:81" in str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("script", "kind", "complaint"),
    [
        (lambda peer: peer.close(), APIConnectionError, "asking the proxy"),
        (lambda peer: peer.send("SSH-2.0\r\n\r\n"), ProtocolError, "isn't HTTP"),
    ],
    ids=["hangs up", "is none"],
)
def test_a_proxy_that_misbehaves(
    script: Script, kind: type[APIError], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def after_reading(peer: Peer) -> None:
        peer.read_request()
        script(peer)

    with Server(after_reading) as middle:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{middle.port}")  # without a scheme
        with pytest.raises(kind, match=complaint):
            connect("ws://example.org", {}, timeout=BOUND)


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("https://me:hunter2@proxy.example.org", "a https:// proxy on proxy.example.org"),
        ("socks5://me:hunter2@proxy.example.org:1080", "http:// proxies alone"),
        ("http://me:hunter2@", "isn't an address"),
        ("http://me:hunter2@proxy:hunter2", "isn't an address"),
    ],
)
def test_a_proxy_that_a_websocket_cannot_use(
    address: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", address)

    with pytest.raises(APIConnectionError, match=complaint) as caught:
        connect("ws://example.org", {}, timeout=BOUND)

    assert not caught.value.retryable
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
