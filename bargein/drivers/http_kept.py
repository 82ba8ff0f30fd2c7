"""A request on a connection that is kept alive: what every window but the first is.

requests and urllib3 take several times what the request itself costs, and most of it is for what
only a first request needs: proxies, TLS, redirects, retries, cookies. They make the connection and
the first exchange on it; from then on the request is written and its reply is read here. A reply
that isn't of the plain kind (a status line, headers, a body of a known length) is read by
``http.client`` and urllib3 after all, from its first byte on.
"""

from __future__ import annotations

import http.client
import io
import re
import select
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from bargein.errors import ProtocolError
from bargein.wire.addresses import bracketed

__all__ = [
    "MAX_REPLY",
    "READ",
    "Arriving",
    "KeptConnection",
    "host_of",
    "request_head",
    "request_headers",
]

MAX_REPLY = 1 << 20
"""Bytes. A reply's probabilities take some 2 KB; a megabyte isn't one."""

_MAX_HEAD = 1 << 16  # bytes; what http.client allows a single line
READ = 1 << 14
"""Bytes asked of the socket at a time: a reply comes in one piece."""

_END = b"\r\n\r\n"
_BARE_END = re.compile(rb"\n\r?\n")  # there are servers that end lines by \n alone


def host_of(url: str) -> str:
    """The ``Host`` header for a URL, as ``http.client`` writes it: no default port, no user."""
    parts = urlsplit(url)
    host = bracketed(parts.hostname or "")
    default = {"http": 80, "https": 443}[parts.scheme]
    return host if parts.port in (None, default) else f"{host}:{parts.port}"


def request_headers(host: str, headers: dict[str, str]) -> bytes:
    """All of a request's head but its first line, as bytes. Raises ``ValueError``."""
    lines = [f"Host: {host}", "Accept-Encoding: identity"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return _line(*lines, "", "")


def request_head(target: str, headers: bytes) -> bytes:
    """A request's head; ``target`` begins with a slash. Raises ``ValueError``."""
    return _line(f"POST {target} HTTP/1.1", "") + headers


def _line(*lines: str) -> bytes:
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise ValueError("a header holds what no header may")  # it isn't shown: it may be a secret
    return "\r\n".join(lines).encode("ascii")


class KeptConnection:
    """A urllib3 connection that has served a request. For one thread at a time."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.sock: socket.socket = connection.sock
        self.reusable = True
        """Whether another request may follow."""
        self.plain = True
        """Whether the last reply was of the kind that is read here."""
        self._timeout: float | None = self.sock.gettimeout()
        self._blocks = True
        self._poll = select.poll()
        self._poll.register(self.sock, select.POLLIN)

    @property
    def is_stale(self) -> bool:
        """Whether the server closed it, or said something unasked, which nobody may take for a
        reply.
        """
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """Close it; may be called again."""
        self.reusable = False
        self._connection.close()

    def exchange(self, head: bytes, body: memoryview) -> tuple[int, Any, bytes]:
        """Send a request and return the reply's status, headers and body; blocks.

        Raises ``requests.ConnectionError`` where the connection turns out to be closed before a
        byte of the reply came, ``OSError``, urllib3's errors and ``ProtocolError``.
        """
        self.begin(blocking=True)
        reply = Arriving()
        try:
            self._send(head, body)
            data = self.sock.recv(READ)
        except TimeoutError:
            raise
        except OSError as error:
            raise requests.ConnectionError(error) from error
        if not data:
            raise requests.ConnectionError("the server closed the connection")
        while not reply.take(data):
            data = self._more()
        return self.end(reply)

    def begin(self, *, blocking: bool) -> None:
        """Take the connection for a request; no other may follow until :meth:`end`."""
        self.reusable = False
        if blocking is not self._blocks:
            self.sock.settimeout(self._timeout if blocking else 0.0)
            self._blocks = blocking

    def end(self, reply: Arriving) -> tuple[int, Any, bytes]:
        """Return a reply's status, headers and body. Blocks where it is unusual, to read it."""
        if reply.unusual:
            self.plain = False
            self.begin(blocking=True)
            return self._read_unusual(reply.data)
        self.reusable = reply.ends_well
        return reply.status, reply.headers, reply.body

    def _send(self, head: bytes, body: memoryview) -> None:
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.sendall(head + body)
            return
        sent = self.sock.sendmsg((head, body))
        if sent < len(head):  # hardly ever: the socket's buffer is empty
            self.sock.sendall(head[sent:] + body)
        elif sent < len(head) + len(body):
            self.sock.sendall(body[sent - len(head) :])

    def _more(self) -> bytes:
        data = self.sock.recv(READ)
        if not data:
            raise urllib3.exceptions.ProtocolError("the connection ended inside the reply")
        return data

    def _read_unusual(self, data: bytes) -> tuple[int, Any, bytes]:
        raw = http.client.HTTPResponse(_Again(self.sock, data), method="POST")  # type: ignore[arg-type]
        try:
            raw.begin()
        except http.client.HTTPException as error:
            raise urllib3.exceptions.ProtocolError(f"what came is no reply: {error!r}") from error
        response = urllib3.HTTPResponse(
            raw,
            headers=dict(raw.msg.items()),
            status=raw.status,
            preload_content=False,
            original_response=raw,
            request_method="POST",
        )
        try:
            return raw.status, response.headers, read_limited(response)
        finally:
            response.close()


class Arriving:
    """A reply of the plain kind that comes in pieces. Another kind is *unusual* from when it is
    known to be.
    """

    def __init__(self) -> None:
        self.data = b""
        """All that came."""
        self.unusual = False
        self.status = 0
        self.headers: dict[str, str] = {}
        """By lower-case names."""
        self._start: int | None = None
        self._end = 0

    def take(self, data: bytes) -> bool:
        """Take what came; return whether the reply is whole, or unusual.

        Raises ``ProtocolError`` for one that is too large.
        """
        self.data = data = self.data + data if self.data else data
        if self._start is None:
            end = data.find(_END)
            if end < 0 and len(data) < _MAX_HEAD and not _BARE_END.search(data):
                return False
            found = _plain(data[:end]) if end >= 0 else None
            if found is None:
                self.unusual = True
                return True
            self.status, self.headers, length = found
            if length > MAX_REPLY:
                raise ProtocolError(f"the reply is larger than {MAX_REPLY} bytes; it was not read")
            self._start = end + len(_END)
            self._end = self._start + length
        return len(data) >= self._end

    @property
    def body(self) -> bytes:
        """A whole reply's body."""
        return self.data[self._start : self._end]

    @property
    def ends_well(self) -> bool:
        """Whether another request may follow a whole reply on its connection."""
        closes = self.headers.get("connection", "").lower() == "close"
        return len(self.data) == self._end and not closes


def read_limited(response: Any) -> bytes:
    """Read a urllib3 response to its end, decoded, and no more than :data:`MAX_REPLY` of it."""
    reply: bytes = response.read(MAX_REPLY + 1, decode_content=True)
    if len(reply) > MAX_REPLY:
        raise ProtocolError(f"the reply is larger than {MAX_REPLY} bytes; it was not read")
    if response.length_remaining:  # urllib3 1 says nothing of it
        raise urllib3.exceptions.ProtocolError("the connection ended inside the reply")
    return reply


def _plain(head: bytes) -> tuple[int, dict[str, str], int] | None:
    """Status, headers by lower-case names, and the body's length; ``None``: not that simple."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if words[0] != "HTTP/1.1" or len(words) < 2 or not (words[1].isdigit() and len(words[1]) == 3):
        return None
    status = int(words[1])
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or name in headers or name[:1] in (" ", "\t"):  # repeated, or folded
            return None
        headers[name] = value.strip()
    length = headers.get("content-length", "")
    encoded = "transfer-encoding" in headers or "content-encoding" in headers
    bare = status < 200 or status in (204, 304)
    if encoded or bare or not (length.isascii() and length.isdigit() and len(length) < 16):
        return None
    return status, headers, int(length)


class _Again:
    """A socket whose first bytes have been read already, for ``http.client``."""

    def __init__(self, sock: socket.socket, data: bytes) -> None:
        self._file: Any = io.BufferedReader(_Replay(sock, data))

    def makefile(self, mode: str) -> Any:
        return self._file


class _Replay(io.RawIOBase):
    def __init__(self, sock: socket.socket, data: bytes) -> None:
        self._sock, self._data = sock, data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._data:
            return self._sock.recv_into(buffer)
        count = min(len(buffer), len(self._data))
        buffer[:count], self._data = self._data[:count], self._data[count:]
        return count
