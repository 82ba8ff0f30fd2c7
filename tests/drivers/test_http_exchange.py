"""Requests that take no thread: gone on with when their socket is ready, on one that is kept."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from bargein.drivers.http_adapter import HttpRequest
from bargein.drivers.http_client import HttpClient
from bargein.drivers.http_exchange import Exchange
from bargein.drivers.http_kept import MAX_REPLY
from bargein.drivers.tls import TlsOptions, tls_context
from bargein.errors import APIConnectionError, APIStatusError, APITimeoutError, ProtocolError
from bargein.testing.certificates import server_context, write_authority
from bargein.testing.sockets import BOUND, Peer, Script, Server

WINDOW = np.arange(48_000, dtype=np.int16)
WELL = '{"created_at":1,"is_bargein":true,"probabilities":[0.9,0.9]}'


def well(peer: Peer) -> None:
    while True:
        peer.read_request()
        peer.respond("200 OK", WELL)


def then(second: Script) -> Script:
    """Answer a connection's first request well, and leave what comes then to ``second``."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.respond("200 OK", WELL)
        second(peer)

    return script


@contextmanager
def client_of(
    script: Script, *, timeout: float = BOUND, folder: Path | None = None
) -> Iterator[tuple[HttpClient, Server]]:
    """A client that has a kept connection; with ``folder`` over TLS."""
    tls = None if folder is None else tls_context(TlsOptions(ca_file=write_authority(folder)))
    with Server(script, tls=None if folder is None else server_context()) as server:
        url = server.url("http" if folder is None else "https", host="localhost")
        client = HttpClient(url, timeout=timeout, tls=tls)
        assert begin(client) is None  # no connection is there
        client.judge(HttpRequest(), 1, WINDOW[:800], threshold=None, min_frames=2)
        try:
            yield client, server
        finally:
            client.close()


def begin(client: HttpClient, samples: np.ndarray = WINDOW) -> Exchange | None:
    return client.begin(7, samples, threshold=0.5, min_frames=2, now=time.monotonic())


def begun(client: HttpClient, samples: np.ndarray = WINDOW) -> Exchange:
    exchange = begin(client, samples)
    assert exchange is not None
    return exchange


def run(exchange: Exchange) -> None:
    """Go on with it until it is over, as a reactor does."""
    while not exchange.advance(time.monotonic()):
        poll = select.poll()
        poll.register(exchange.fileno(), exchange.mask)
        assert poll.poll(BOUND * 1e3)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_plain_reply_and_the_connection_serves_again(secure: bool, tmp_path: Path) -> None:
    with client_of(well, folder=tmp_path if secure else None) as (client, server):
        for _ in range(3):
            exchange = begun(client)
            run(exchange)
            assert not exchange.needs_thread
            response = client.conclude(exchange)
            assert (response.is_bargein, response.created_at) == (True, 1)
            assert response.probabilities.tolist() == [np.float32(0.9)] * 2
        client.judge(HttpRequest(), 1, WINDOW, threshold=None, min_frames=2)  # by a thread as well
        assert server.connections == 1


def test_what_is_sent_is_what_a_thread_would_send() -> None:
    requests = []

    def note(peer: Peer) -> None:
        while True:
            requests.append(peer.read_request())
            peer.respond("200 OK", WELL)

    with client_of(then(note)) as (client, _):
        client.judge(HttpRequest(), 7, WINDOW, threshold=0.5, min_frames=2)
        exchange = begun(client)
        run(exchange)
        client.conclude(exchange)
    assert requests[0] == requests[1]


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_more_than_the_sockets_hold(secure: bool, tmp_path: Path) -> None:
    read, sizes = threading.Event(), []

    def late(peer: Peer) -> None:
        assert read.wait(BOUND)
        sizes.append(len(peer.read_request().body))
        peer.respond("200 OK", WELL)

    long = np.zeros(1 << 23, np.int16)
    with client_of(then(late), folder=tmp_path if secure else None) as (client, _):
        exchange = begun(client, long)
        assert not exchange.advance(time.monotonic())
        assert exchange.mask == select.POLLOUT
        read.set()
        run(exchange)
        assert client.conclude(exchange).is_bargein
    assert sizes == [long.nbytes]


@pytest.mark.parametrize(
    "reply",
    [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        f"{len(WELL):x}\r\n{WELL}\r\n0\r\n\r\n",
        f"HTTP/1.1 200 OK\nContent-Length: {len(WELL)}\n\n{WELL}",
    ],
    ids=["chunked", "newlines"],
)
def test_an_unusual_reply_is_read_by_a_thread_and_so_are_those_after_it(reply: str) -> None:
    def unusual(peer: Peer) -> None:
        peer.read_request()
        peer.send(reply)

    with client_of(then(unusual)) as (client, _):
        exchange = begun(client)
        run(exchange)
        assert exchange.needs_thread
        assert client.resume(HttpRequest(), exchange).is_bargein
        assert begin(client) is None


def test_a_connection_that_was_closed_meanwhile_is_replaced_by_a_thread() -> None:
    def closed(peer: Peer) -> None:
        peer.read_request()
        peer.close()

    with client_of(then(closed)) as (client, server):
        exchange = begun(client)
        run(exchange)
        assert exchange.needs_thread
        assert client.resume(HttpRequest(), exchange).is_bargein
        assert server.connections == 2


def cut(peer: Peer) -> None:
    peer.read_request()
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    peer.close()


def busy(peer: Peer) -> None:
    peer.read_request()
    peer.respond("503 Service Unavailable", "busy")


def garbage(peer: Peer) -> None:
    peer.read_request()
    peer.respond("200 OK", "garbage")


def huge(peer: Peer) -> None:
    peer.read_request()
    peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {MAX_REPLY + 1}\r\n\r\n")
    peer.hold()


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        (cut, APIConnectionError, "inside the reply"),
        (busy, APIStatusError, "503"),
        (garbage, ProtocolError, "JSON"),
        (huge, ProtocolError, "larger than"),
    ],
)
def test_faults_are_told_as_by_a_thread(script: Script, error: type[Exception], words: str) -> None:
    with client_of(then(script)) as (client, _):
        exchange = begun(client)
        run(exchange)
        assert not exchange.needs_thread
        with pytest.raises(error, match=words):
            client.conclude(exchange)


def test_a_server_that_is_silent_for_too_long() -> None:
    with client_of(then(lambda peer: peer.hold()), timeout=5.0) as (client, _):
        exchange = begun(client)
        begin_at = exchange.started
        assert not exchange.advance(begin_at + 1.0)
        assert exchange.deadline == begin_at + 6.0  # it took what was sent
        assert not exchange.advance(begin_at + 5.9)
        assert exchange.advance(begin_at + 6.0)
        assert not exchange.needs_thread
        with pytest.raises(APITimeoutError, match="silent for 5 s"):
            client.conclude(exchange)


@pytest.mark.parametrize("when", ["before", "after"])
def test_nothing_is_left_of_what_is_dropped(when: str) -> None:
    with client_of(then(lambda peer: peer.hold())) as (client, server):
        exchange = begun(client)
        if when == "after":
            assert not exchange.advance(time.monotonic())
        client.drop(exchange)
        assert exchange.fileno() == -1
        assert begin(client) is None  # its adapter has no connection now
        client.judge(HttpRequest(), 1, WINDOW, threshold=None, min_frames=2)
        assert server.connections == 2


def test_an_abort_frees_the_thread_that_reads_the_rest() -> None:
    def stalls(peer: Peer) -> None:
        peer.read_request()
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n")
        peer.hold()

    request = HttpRequest()
    request.abort()
    with client_of(then(stalls)) as (client, _):
        exchange = begun(client)
        run(exchange)
        with pytest.raises(APITimeoutError, match="aborted"):
            client.resume(request, exchange)


def test_a_head_that_cannot_be_is_left_to_a_thread() -> None:
    with client_of(well) as (client, _):
        client._host, client._known = "example.com\r\nX: y", None
        assert begin(client) is None


def test_each_request_has_a_connection_of_its_own() -> None:
    with client_of(well) as (client, server):
        first = begun(client)
        client.judge(HttpRequest(), 1, WINDOW, threshold=None, min_frames=2)
        second = begun(client)
        assert begin(client) is None
        assert server.connections == 2
        client.drop(second)
        run(first)
        client.conclude(first)
        third = begun(client)  # past the one that has no connection any more
        assert third.kept is first.kept
        client.drop(third)
