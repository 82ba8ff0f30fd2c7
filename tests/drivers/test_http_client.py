"""The HTTP client alone: statuses, aborts, kept-alive connections, proxies, certificates."""

from __future__ import annotations

import base64
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import responses

from bargein.core.token_cache import TokenCache
from bargein.drivers import dial
from bargein.drivers.http_adapter import HttpRequest
from bargein.drivers.http_client import HttpClient
from bargein.drivers.http_kept import MAX_REPLY
from bargein.drivers.tls import TlsOptions, tls_context
from bargein.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
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
from bargein.wire.http import InterruptionResponse

SAMPLES = np.arange(1600, dtype=np.int16)
WELL = '{"created_at":1,"is_bargein":true,"probabilities":[0.9,0.9,0.9,0.9]}'


def judge(
    client: HttpClient, request: HttpRequest | None = None, *, threshold: float | None = None
) -> InterruptionResponse:
    return client.judge(request or HttpRequest(), 1, SAMPLES, threshold=threshold, min_frames=2)


def well(peer: Peer) -> None:
    while True:
        peer.read_request()
        peer.respond("200 OK", WELL)


def failure(
    script: Script, *, timeout: float = BOUND, tls: ssl.SSLContext | None = None
) -> APIError:
    """The error of a first request to a server that runs ``script``."""
    with (
        Server(script) as server,
        closing(HttpClient(server.url("http"), timeout=timeout, tls=tls)) as client,
        pytest.raises(APIError) as caught,
    ):
        judge(client)
    return caught.value


# ---- statuses and bodies


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(500, True), (503, True), (408, True), (499, True), (401, False), (404, False), (307, False)],
)
def test_statuses(status: int, retryable: bool) -> None:
    with (
        responses.RequestsMock() as mock,
        closing(HttpClient("http://judge/v1", timeout=1.0, tls=None)) as client,
    ):
        mock.post("http://judge/v1/bargein", status=status, body="why")
        with pytest.raises(APIStatusError) as caught:
            judge(client)
        assert (caught.value.status_code, caught.value.retryable) == (status, retryable)
        assert caught.value.body == "why"


@pytest.mark.parametrize(
    ("headers", "asked"), [({"Retry-After": "7"}, 7.0), ({"Retry-After": "900"}, 60.0), ({}, None)]
)
def test_429(headers: dict[str, str], asked: float | None) -> None:
    with (
        responses.RequestsMock() as mock,
        closing(HttpClient("http://judge/v1", timeout=1.0, tls=None)) as client,
    ):
        mock.post("http://judge/v1/bargein", status=429, headers=headers)
        with pytest.raises(APIStatusError) as caught:
            judge(client)
        assert (caught.value.retry_after, caught.value.retryable) == (asked, asked is not None)


@pytest.mark.parametrize("body", ["", "oh", "[]", "{}", '{"probabilities":[2.0]}'])
def test_bodies_that_cant_be(body: str) -> None:
    with (
        responses.RequestsMock() as mock,
        closing(HttpClient("http://judge/v1", timeout=1.0, tls=None)) as client,
    ):
        mock.post("http://judge/v1/bargein", body=body)
        with pytest.raises(ProtocolError):
            judge(client)


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError("a"),
        requests.ReadTimeout("b"),
        requests.ConnectTimeout("c"),
        requests.exceptions.SSLError("d"),
        requests.exceptions.ProxyError("e"),
        requests.exceptions.InvalidURL("f"),
        requests.exceptions.ChunkedEncodingError("g"),
        requests.exceptions.ContentDecodingError("h"),
        OSError("i"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_nothing_of_requests_leaks_out(error: Exception) -> None:
    with (
        responses.RequestsMock() as mock,
        closing(HttpClient("http://judge/v1", timeout=1.0, tls=None)) as client,
    ):
        mock.post("http://judge/v1/bargein", body=error)
        with pytest.raises(APIConnectionError) as caught:
            judge(client)
        assert isinstance(caught.value, APITimeoutError) == ("Timeout" in type(error).__name__)
        assert caught.value.__cause__ is error


def test_what_is_asked() -> None:
    asked: queue.Queue[Request] = queue.Queue()

    def script(peer: Peer) -> None:
        asked.put(peer.read_request())
        peer.respond("200 OK", WELL)

    token = TokenCache(lambda now: "t" * 20, lifetime=600)
    with (
        Server(script) as server,
        closing(HttpClient(server.url("http"), timeout=BOUND, tls=None, token=token)) as client,
    ):
        response = judge(client, threshold=0.5)
        assert response.is_bargein is True
        assert 0.0 < response.prediction_duration < BOUND  # the round trip
        request = asked.get(timeout=BOUND)
        assert request.method == "POST"
        assert request.target == "/bargein?threshold=0.5&min_frames=2&created_at=1"
        assert request.body == SAMPLES.tobytes()
        headers = request.headers
        assert headers["authorization"] == "Bearer " + "t" * 20
        assert headers["content-type"] == "application/octet-stream"
        assert headers["user-agent"].startswith("bargein/")
        assert "cookie" not in headers


# ---- connections


def test_connections_are_kept_and_reused() -> None:
    with (
        Server(well) as server,
        closing(HttpClient(server.url("http"), timeout=BOUND, tls=None)) as client,
    ):
        for _ in range(5):
            judge(client)
        assert server.connections == 1


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_kept_connection_that_the_server_closed_is_replaced_silently(
    secure: bool, tmp_path: Path
) -> None:
    served: queue.Queue[Peer] = queue.Queue()

    def once(peer: Peer) -> None:
        """Answer one request, and end the connection in the middle of the second."""
        peer.read_request()
        peer.respond("200 OK", WELL)
        served.put(peer)
        peer.read_request()

    context = server_context() if secure else None
    ours = tls_context(TlsOptions(ca_file=write_authority(tmp_path))) if secure else None
    with (
        Server(once, tls=context) as server,
        closing(
            HttpClient(
                server.url("https" if secure else "http", host="localhost"),
                timeout=BOUND,
                tls=ours,
            )
        ) as client,
    ):
        for _ in range(3):
            assert judge(client).is_bargein is True
        assert server.connections == 3


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_new_connection_that_is_lost_is_told(secure: bool, tmp_path: Path) -> None:
    def drop(peer: Peer) -> None:
        peer.read_request()

    context = server_context() if secure else None
    ours = tls_context(TlsOptions(ca_file=write_authority(tmp_path))) if secure else None
    with (
        Server(drop, tls=context) as server,
        closing(
            HttpClient(
                server.url("https" if secure else "http", host="localhost"),
                timeout=BOUND,
                tls=ours,
            )
        ) as client,
    ):
        with pytest.raises(APIConnectionError):
            judge(client)
        assert server.connections == 1


def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    barrier = threading.Barrier(3)

    def together(peer: Peer) -> None:
        peer.read_request()
        barrier.wait(BOUND)
        peer.respond("200 OK", WELL)
        peer.hold()

    with (
        Server(together) as server,
        closing(HttpClient(server.url("http"), timeout=BOUND, tls=None)) as client,
    ):
        threads = [threading.Thread(target=judge, args=(client,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(BOUND)
        assert server.connections == 3


def test_a_pool_that_is_kept_keeps_no_connection_open() -> None:
    """urllib3's errors know their pool, the pool its connections, and users keep errors."""
    with Server(well) as server:
        client = HttpClient(server.url("http"), timeout=BOUND, tls=None)
        judge(client)
        [adapter] = client._idle
        manager = adapter.poolmanager
        [key] = manager.pools.keys()
        [connection] = [c for c in manager.pools[key].pool.queue if c is not None]
        client.close()
        assert connection.sock is None


def test_a_reply_over_a_mebibyte_is_refused() -> None:
    def large(peer: Peer) -> None:
        peer.read_request()
        peer.respond("200 OK", b"x" * (MAX_REPLY + 1))

    assert isinstance(error := failure(large), ProtocolError)
    assert "1048576" in str(error)


def test_after_close_nothing_is_sent() -> None:
    client = HttpClient("http://127.0.0.1:9", timeout=1.0, tls=None)
    client.close()
    with pytest.raises(APIConnectionError, match="closed"):
        judge(client)


def test_a_client_that_is_closed_meanwhile_keeps_nothing() -> None:
    reached, go = threading.Event(), threading.Event()

    def waits(peer: Peer) -> None:
        peer.read_request()
        reached.set()
        assert go.wait(BOUND)
        peer.respond("200 OK", WELL)
        peer.hold()

    with Server(waits) as server:
        client = HttpClient(server.url("http"), timeout=BOUND, tls=None)
        thread = threading.Thread(target=judge, args=(client,))
        thread.start()
        assert reached.wait(BOUND)
        client.close()
        go.set()
        thread.join(BOUND)
        assert not client._idle


def test_nobody_listens_there() -> None:
    with closing(raw_listener(listening=False)) as listener:
        port = listener.getsockname()[1]
        client = HttpClient(f"http://127.0.0.1:{port}", timeout=BOUND, tls=None)
        with pytest.raises(APIConnectionError, match="refused"):
            judge(client)
        client.close()


def test_a_name_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    client = HttpClient("http://judge.example", timeout=BOUND, tls=None)
    with pytest.raises(APIConnectionError, match=r"not known.*check base_url"):
        judge(client)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [])
    with pytest.raises(APIConnectionError, match="no address"):
        judge(client)
    client.close()


def test_silence_is_a_timeout() -> None:
    assert isinstance(failure(Peer.hold, timeout=0.05), APITimeoutError)


# ---- aborts


def half(peer: Peer) -> None:
    peer.read_request()
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{")


STALLS: dict[str, Callable[[Peer], None]] = {
    "waiting": lambda peer: None,
    "inside the head": lambda peer: peer.send("HTTP/1.1 200"),
    "inside the body": half,
}


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("stall", STALLS)
def test_an_abort_frees_whoever_waits(stall: str, secure: bool, tmp_path: Path) -> None:
    reached = threading.Event()

    def script(peer: Peer) -> None:
        STALLS[stall](peer)
        reached.set()
        peer.hold()

    context = server_context() if secure else None
    ours = tls_context(TlsOptions(ca_file=write_authority(tmp_path))) if secure else None
    with (
        Server(script, tls=context) as server,
        closing(
            HttpClient(
                server.url("https" if secure else "http", host="localhost"),
                timeout=10 * BOUND,
                tls=ours,
            )
        ) as client,
    ):
        abort_when(reached, client)


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "by a proxy"])
def test_an_abort_frees_whoever_waits_for_tls(
    proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = threading.Event()

    def script(peer: Peer) -> None:
        if proxied:
            peer.read_request()
            peer.send("HTTP/1.1 200 Established\r\n\r\n")
        assert peer.sock.recv(1)  # of the client's hello
        reached.set()
        peer.hold()

    with Server(script) as server:
        url = server.url("https", host="localhost")
        if proxied:
            monkeypatch.setenv("https_proxy", server.url("http", host="localhost"))
        with closing(HttpClient(url, timeout=10 * BOUND, tls=tls_context(TlsOptions()))) as client:
            abort_when(reached, client)


def abort_when(reached: threading.Event, client: HttpClient) -> None:
    request, told = HttpRequest(), queue.Queue[Any]()

    def run() -> None:
        try:
            told.put(judge(client, request))
        except APIError as error:
            told.put(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert reached.wait(BOUND)
    request.abort()
    error = told.get(timeout=BOUND)
    thread.join(BOUND)
    assert isinstance(error, APITimeoutError)
    assert "aborted" in str(error)


def test_an_abort_while_it_drips() -> None:
    reached = threading.Event()

    def drip(peer: Peer) -> None:
        peer.read_request()
        reached.set()
        peer.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + b" " * 9000, 0.005)

    with (
        Server(drip) as server,
        closing(HttpClient(server.url("http"), timeout=BOUND, tls=None)) as client,
    ):
        abort_when(reached, client)


def test_an_abort_while_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """To a listener whose queue is full, which answers no SYN."""
    reached = threading.Event()
    adopt = HttpRequest.adopt

    def tell(self: HttpRequest, sock: socket.socket, *, reused: bool = False) -> None:
        adopt(self, sock, reused=reused)
        reached.set()

    with full_listener() as port:
        client = HttpClient(f"http://127.0.0.1:{port}", timeout=10 * BOUND, tls=None)
        connecting = threading.Event()
        connect = socket.socket.connect

        class Socket(socket.socket):
            def connect(self, where: Any) -> None:
                connecting.set()
                connect(self, where)

        monkeypatch.setattr(HttpRequest, "adopt", tell)
        monkeypatch.setattr(dial.socket, "socket", Socket)
        try:
            request, told = HttpRequest(), queue.Queue[Any]()

            def run() -> None:
                try:
                    told.put(judge(client, request))
                except APIError as error:
                    told.put(error)

            thread = threading.Thread(target=run)
            thread.start()
            assert connecting.wait(BOUND)
            while told.empty():  # it may come a moment before the system's call
                request.abort()
                try:
                    error = told.get(timeout=0.02)
                except queue.Empty:
                    continue
                break
            thread.join(BOUND)
            assert isinstance(error, APITimeoutError)
        finally:
            client.close()


def test_an_address_that_fails_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window's time is short, and the first address may lead nowhere, as IPv6 does at places."""
    told = queue.Queue[Any]()
    with full_listener() as dead, Server(well) as server:
        family = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        both = [(*family, ("127.0.0.1", dead)), (*family, ("127.0.0.1", server.port))]
        with monkeypatch.context() as patched:
            patched.setattr(socket, "getaddrinfo", lambda *args, **kwargs: both)
            client = HttpClient("http://two-addresses", timeout=10 * BOUND, tls=None)
            thread = threading.Thread(target=lambda: told.put(judge(client)), daemon=True)
            thread.start()
            assert told.get(timeout=BOUND).is_bargein is True
            thread.join(BOUND)
            client.close()


def test_an_abort_before_it_begins() -> None:
    request = HttpRequest()
    request.abort()
    with (
        Server(well) as server,
        closing(HttpClient(server.url("http"), timeout=BOUND, tls=None)) as client,
    ):
        with pytest.raises(APITimeoutError, match="aborted"):
            judge(client, request)
        assert judge(client).is_bargein is True
        with pytest.raises(APITimeoutError, match="aborted"):  # on a kept connection, too
            judge(client, request)


def test_an_abort_after_its_end_harms_nobody() -> None:
    request = HttpRequest()
    with (
        Server(well) as server,
        closing(HttpClient(server.url("http"), timeout=BOUND, tls=None)) as client,
    ):
        judge(client, request)
        request.abort()
        judge(client)
        assert server.connections == 1


# ---- proxies


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, queue.Queue[Request]]]:
    """An HTTP proxy, named in the environment: it answers, or tunnels and then answers itself."""
    asked: queue.Queue[Request] = queue.Queue()

    def script(peer: Peer) -> None:
        request = peer.read_request()
        asked.put(request)
        if request.method == "CONNECT":
            peer.respond("200 Established", length=False)
            context = server_context("judge.example")
            secure = context.wrap_socket(peer.sock, server_side=True)
            with closing(secure):
                inner = Peer(secure, peer.stopping)
                asked.put(inner.read_request())
                inner.respond("200 OK", WELL)
                inner.hold()
            return
        peer.respond("200 OK", WELL)
        peer.hold()

    with Server(script) as server:
        address = f"http://me:hunter%202@127.0.0.1:{server.port}"
        monkeypatch.setenv("http_proxy", address)
        monkeypatch.setenv("https_proxy", address)
        yield server, asked


def authorization() -> str:
    return "Basic " + base64.b64encode(b"me:hunter 2").decode()


def test_http_by_a_proxy(proxied: tuple[Server, queue.Queue[Request]]) -> None:
    _, asked = proxied
    with closing(HttpClient("http://judge.example/v1", timeout=BOUND, tls=None)) as client:
        assert judge(client).is_bargein is True
        request = asked.get(timeout=BOUND)
        assert request.target.startswith("http://judge.example/v1/bargein?")
        assert request.headers["proxy-authorization"] == authorization()


def test_https_by_a_proxy(proxied: tuple[Server, queue.Queue[Request]], tmp_path: Path) -> None:
    _, asked = proxied
    tls = tls_context(TlsOptions(ca_file=write_authority(tmp_path)))
    with closing(HttpClient("https://judge.example/v1", timeout=BOUND, tls=tls)) as client:
        assert judge(client).is_bargein is True
        tunnel, request = asked.get(timeout=BOUND), asked.get(timeout=BOUND)
        assert (tunnel.method, tunnel.target) == ("CONNECT", "judge.example:443")
        assert tunnel.headers["proxy-authorization"] == authorization()
        assert request.target.startswith("/v1/bargein?")
        assert "proxy-authorization" not in request.headers


def test_no_proxy_is_heeded(
    proxied: tuple[Server, queue.Queue[Request]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, asked = proxied
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with (
        Server(well) as server,
        closing(HttpClient(server.url("http"), timeout=BOUND, tls=None)) as client,
    ):
        judge(client)
        assert asked.empty()


def test_a_socks_proxy_is_refused_and_not_gone_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    with Server(well) as server:
        client = HttpClient(server.url("http", host="localhost"), timeout=BOUND, tls=None)
        with pytest.raises(APIConnectionError, match="socks5") as caught:
            judge(client)
        assert not caught.value.retryable
        assert server.connections == 0
        client.close()


# ---- certificates, netrc


def test_a_client_certificate(tmp_path: Path) -> None:
    ca, own = write_authority(tmp_path), client_certificate(tmp_path)
    with Server(well, tls=server_context(ask_client=True)) as server:
        url = server.url("https", host="localhost")
        shown = tls_context(TlsOptions(ca_file=ca, client_certificate=own))
        with closing(HttpClient(url, timeout=BOUND, tls=shown)) as client:
            assert judge(client).is_bargein is True
        bare = tls_context(TlsOptions(ca_file=ca))
        with (
            closing(HttpClient(url, timeout=BOUND, tls=bare)) as client,
            pytest.raises(APIConnectionError),
        ):
            judge(client)


@pytest.mark.parametrize("trusts", ["nobody", "another name"])
def test_a_certificate_that_isnt_the_servers(trusts: str, tmp_path: Path) -> None:
    ca = write_authority(tmp_path) if trusts == "another name" else None
    names = ("elsewhere.example",) if trusts == "another name" else ()
    with (
        Server(well, tls=server_context(*names)) as server,
        closing(
            HttpClient(
                server.url("https", host="localhost"),
                timeout=BOUND,
                tls=tls_context(TlsOptions(ca_file=ca)),
            )
        ) as client,
        pytest.raises(APIConnectionError, match=r"TLS.*certificate.*ca_file"),
    ):
        judge(client)


def test_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    asked: queue.Queue[Request] = queue.Queue()

    def script(peer: Peer) -> None:
        asked.put(peer.read_request())
        peer.respond("200 OK", WELL)

    with (
        Server(script) as server,
        closing(HttpClient(server.url("http"), timeout=BOUND, tls=None)) as client,
    ):
        judge(client)
        assert "authorization" not in asked.get(timeout=BOUND).headers
