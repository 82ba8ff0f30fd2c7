"""Requests on kept connections: what is sent, and every kind of reply."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
from collections.abc import Iterator

import pytest
import requests
import urllib3

from bargein.drivers.http_kept import (
    MAX_REPLY,
    KeptConnection,
    host_of,
    request_head,
    request_headers,
)
from bargein.errors import ProtocolError
from bargein.testing.sockets import BOUND

HEAD = b"POST / HTTP/1.1\r\n\r\n"


class Connection:
    """As urllib3's, as far as that matters here."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def close(self) -> None:
        self.sock.close()


class Pair:
    """A kept connection and the server's end of it."""

    def __init__(self) -> None:
        near, self.far = socket.socketpair()
        for sock in (near, self.far):
            sock.settimeout(BOUND)
        self.kept = KeptConnection(Connection(near))

    def exchange(self, *reply: bytes, end: bool = False) -> tuple[int, dict[str, str], bytes]:
        for part in reply:
            self.far.sendall(part)
        if end:
            self.far.shutdown(socket.SHUT_WR)
        status, headers, body = self.kept.exchange(HEAD, memoryview(b"body"))
        return status, {name.lower(): value for name, value in headers.items()}, body


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.kept.close()
    made.far.close()


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://example.com/v1", "example.com"),
        ("http://example.com:80", "example.com"),
        ("https://example.com:443", "example.com"),
        ("http://example.com:443", "example.com:443"),
        ("http://user:secret@example.com:81", "example.com:81"),
        ("https://[::1]:8443/x", "[::1]:8443"),
    ],
)
def test_the_host_header(url: str, host: str) -> None:
    assert host_of(url) == host


def test_the_head_of_a_request() -> None:
    head = request_head("/a?b=1", request_headers("example.com", {"Content-Length": "4"}))
    assert head == (
        b"POST /a?b=1 HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: identity\r\n"
        b"Content-Length: 4\r\n\r\n"
    )
    for value in ("b\r\nC: d", "b\0", "ü", "例"):
        with pytest.raises(ValueError, match="no header may") as caught:
            request_headers("example.com", {"A": value})
        assert value not in str(caught.value)
        with pytest.raises(ValueError, match="no header may"):
            request_head(value, b"")


def test_a_plain_reply(pair: Pair) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Y:  z \r\n\r\n{}"
    for _ in range(2):
        assert pair.exchange(reply) == (200, {"content-length": "2", "x-y": "z"}, b"{}")
        assert pair.far.recv(1000) == HEAD + b"body"
        assert pair.kept.reusable
        assert pair.kept.plain
    assert not pair.kept.is_stale


def test_a_reply_in_pieces(pair: Pair) -> None:
    reply = b"HTTP/1.1 500 Oh\r\nContent-Length: 5\r\n\r\nhello"

    def drip() -> None:
        for at in range(len(reply)):
            pair.far.sendall(reply[at : at + 1])

    thread = threading.Thread(target=drip)
    thread.start()
    assert pair.exchange()[::2] == (500, b"hello")
    thread.join()
    assert pair.kept.reusable


def test_a_window_larger_than_the_sockets_buffer(pair: Pair) -> None:
    body = bytes(range(256)) * 8192
    got = bytearray()

    def serve() -> None:
        while len(got) < len(HEAD) + len(body):
            got.extend(pair.far.recv(1 << 16))
        pair.far.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    assert pair.kept.exchange(HEAD, memoryview(body))[0] == 200
    thread.join()
    assert got == HEAD + body


def test_a_head_larger_than_the_sockets_buffer(pair: Pair) -> None:
    class Small:
        """Takes a few bytes of what is sent at once, all of what is sent to the end."""

        def __init__(self, sock: socket.socket) -> None:
            self.sock = sock
            self.recv, self.sendall = sock.recv, sock.sendall

        def sendmsg(self, parts: tuple[bytes, memoryview]) -> int:
            return self.sock.send(parts[0][:3])

    pair.kept.sock = Small(pair.kept.sock)  # type: ignore[assignment]
    assert pair.exchange(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")[0] == 200
    assert pair.far.recv(1000) == HEAD + b"body"


@pytest.mark.parametrize(
    ("extra", "rest"),
    [(b"Connection: close\r\n", b""), (b"", b"HTTP/1.1 408 Too late\r\n\r\n")],
    ids=["close", "more than was asked for"],
)
def test_a_connection_that_cannot_serve_again(pair: Pair, extra: bytes, rest: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + extra
    assert pair.exchange(head + b"\r\n{}" + rest)[2] == b"{}"
    assert not pair.kept.reusable


ZIPPED = gzip.compress(b"{}")
UNUSUAL = {
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunked, with a length": b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\n{}\r\n0\r\n\r\n",
    "to the end": b"\r\n{}",
    "a header twice": b"A: b\r\nA: c\r\nContent-Length: 2\r\n\r\n{}",
    "a folded header": b"A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}",
    "compressed": b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    % len(gzip.compress(b"{}"))
    + gzip.compress(b"{}"),
}


@pytest.mark.parametrize("reply", UNUSUAL.values(), ids=UNUSUAL)
def test_an_unusual_reply_is_read_all_the_same(pair: Pair, reply: bytes) -> None:
    status, _, body = pair.exchange(b"HTTP/1.1 200 OK\r\n" + reply, end=True)
    assert (status, body) == (200, b"{}")
    assert not pair.kept.plain
    assert not pair.kept.reusable


def test_an_interim_reply_is_passed_over(pair: Pair) -> None:
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    status, _, body = pair.exchange(b"HTTP/1.1 100 Continue\r\n\r\n", final)
    assert (status, body) == (200, b"{}")


def test_http_1_0(pair: Pair) -> None:
    reply = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    assert pair.exchange(reply)[::2] == (200, b"{}")
    assert not pair.kept.reusable


@pytest.mark.parametrize("length", [b"-1", b"two", b"9" * 20, "²".encode("latin-1")])
def test_a_length_that_is_none(pair: Pair, length: bytes) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n{}"
    with contextlib.suppress(urllib3.exceptions.HTTPError, ProtocolError):
        pair.exchange(reply, end=True)
    assert not pair.kept.reusable


@pytest.mark.parametrize(
    "reply", [b"SSH-2.0 hello\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"x" * (1 << 16)]
)
def test_what_is_no_reply(pair: Pair, reply: bytes) -> None:
    def send() -> None:
        pair.far.sendall(reply)
        pair.far.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    with pytest.raises(urllib3.exceptions.ProtocolError, match="no reply"):
        pair.exchange()
    thread.join()
    assert not pair.kept.reusable


@pytest.mark.parametrize("length", [MAX_REPLY + 1, 0], ids=["announced", "sent"])
def test_a_reply_that_is_too_large(pair: Pair, length: int) -> None:
    def serve() -> None:
        announced = b"Content-Length: %d\r\n" % length if length else b""
        pair.far.sendall(b"HTTP/1.1 200 OK\r\n" + announced + b"\r\n")
        with contextlib.suppress(OSError):
            pair.far.sendall(bytes(MAX_REPLY + 2))
        pair.far.close()

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(ProtocolError, match="larger"):
        pair.exchange()
    pair.kept.close()
    thread.join()


@pytest.mark.parametrize(
    "reply",
    [b"HTTP/1.1 200 OK\r\nConte", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"],
    ids=["in the head", "in the body"],
)
def test_a_reply_that_is_cut(pair: Pair, reply: bytes) -> None:
    with pytest.raises(urllib3.exceptions.ProtocolError, match="inside the reply"):
        pair.exchange(reply, end=True)
    assert not pair.kept.reusable


def test_a_cut_reply_that_is_chunked(pair: Pair) -> None:
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}"
    with pytest.raises(urllib3.exceptions.ProtocolError):
        pair.exchange(reply, end=True)


def test_a_server_that_is_gone(pair: Pair) -> None:
    pair.far.shutdown(socket.SHUT_WR)
    assert pair.kept.is_stale
    with pytest.raises(requests.ConnectionError):
        pair.exchange()
    pair.far.close()
    with pytest.raises(requests.ConnectionError):
        pair.kept.exchange(HEAD, memoryview(b"body"))
    assert not pair.kept.reusable


def test_a_server_that_says_nothing(pair: Pair) -> None:
    pair.kept.sock.settimeout(0.01)
    with pytest.raises(TimeoutError):
        pair.exchange()
    assert not pair.kept.reusable


def test_a_server_that_ends_lines_by_newlines_alone_isnt_waited_for(pair: Pair) -> None:
    assert pair.exchange(b"HTTP/1.1 200 OK\nContent-Length: 2\n\n", b"ok") == (
        200,
        {"content-length": "2"},
        b"ok",
    )
    assert not pair.kept.plain
    assert not pair.kept.reusable
