"""Connecting a WebSocket: name lookup, proxy, TLS and handshake under one deadline.

websocket-client does the handshake, on a socket that we open and bound for it. Left to itself it
applies its timeout to each read, so a server that drips outlives it; it follows three redirects
with all headers; its socket can't be reached while it connects; and of a refusal without a length
it keeps no body. A connect belongs on a thread of its own (a pool's); whoever waits for it may call
it off.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from bargein.drivers.dial import dial
from bargein.drivers.proxies import Proxy, proxy_for
from bargein.drivers.tls import tls_context
from bargein.drivers.websocket_connection import WebSocketConnection
from bargein.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    OptionError,
    ProtocolError,
)
from bargein.wire.addresses import bracketed
from bargein.wire.status import MAX_BODY_CHARACTERS, retry_after_seconds, status_error

__all__ = ["ConnectAttempt", "connect"]

_MAX_HEAD = 1 << 14  # bytes; a longer head is no answer to a handshake (it has a few hundred)
_MAX_BODY = 4 * MAX_BODY_CHARACTERS  # bytes of a refusal that are read: UTF-8 has four a character
_BODY_PATIENCE = 1.0  # s; how long a refusal's body may take once its status is known
_PORTS = {"ws": 80, "wss": 443}


def connect(
    url: str,
    headers: Mapping[str, str],
    *,
    timeout: float,
    tls: ssl.SSLContext | None = None,
) -> WebSocketConnection:
    """Connect and return; see :class:`ConnectAttempt`, which can also be called off."""
    return ConnectAttempt(url, headers, timeout=timeout, tls=tls).run()


class ConnectAttempt:
    """One attempt to connect: :meth:`run` on one thread, :meth:`cancel` from any other."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        timeout: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare to connect to ``url`` (``ws`` or ``wss``) with these request headers.

        ``timeout`` (s) bounds the whole, but for a name lookup, which can't be interrupted.
        ``tls``: a context from :func:`~bargein.drivers.tls.tls_context`, made with its defaults
        where one is needed and none is given. Raises ``OptionError`` for a URL or header that can't
        be used; values of headers are never shown.
        """
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise OptionError(f"{url!r} can't be connected to; expected ws://host or wss://host")
        for name, value in headers.items():
            if any(c in "\r\n\0" for c in name + value):
                raise OptionError(f"the header {name!r} holds a line break, which no header may")
        self._url = url
        self._host: str = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._secure = parts.scheme == "wss"
        self._headers = [f"{name}: {value}" for name, value in headers.items()]
        self._timeout = timeout
        self._context = tls
        self._lock = threading.Lock()  # for the two below; never held while anything waits
        self._cancelled = False
        self._sock: socket.socket | None = None

    def run(self) -> WebSocketConnection:
        """Connect, once. Blocks for ``timeout`` at most (and a name lookup).

        Raises ``APITimeoutError``, ``APIConnectionError``, ``APIStatusError`` (the server refused;
        ``retry_after`` is set where it says when to come back) or ``ProtocolError`` (it isn't a
        WebSocket server). Whatever it raises, no socket is left.
        """
        deadline = time.monotonic() + self._timeout
        try:
            with self._stage("choosing a proxy from the environment"):
                proxy = proxy_for(self._url)
            host, port = (proxy.host, proxy.port) if proxy else (self._host, self._port)
            with self._stage(f"connecting to {'the proxy ' if proxy else ''}{host}:{port}"):
                dial(host, port, deadline=deadline, hold=self._hold)
            if proxy:
                with self._stage(f"asking the proxy {proxy} for {self._host}:{self._port}"):
                    self._tunnel(proxy, deadline)
            if self._secure:
                with self._stage(f"the TLS handshake with {self._host}:{self._port}"):
                    self._start_tls(deadline)
            with self._stage(f"the WebSocket handshake with {self._url}"):
                return self._upgrade(deadline)
        except BaseException:
            with self._lock:
                sock, self._sock = self._sock, None
            if sock is not None:
                sock.close()
            raise

    def cancel(self) -> None:
        """Call the attempt off, so that ``run`` raises soon. From any thread, at any time."""
        with self._lock:
            self._cancelled = True
            if self._sock is not None:
                # the plain socket's shutdown: the TLS one's would pull the session from under run()
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    # ---- steps, each under the deadline

    def _hold(self, sock: socket.socket) -> None:
        """Make this the socket that ``cancel`` shuts down."""
        with self._lock:
            self._sock = sock
            if self._cancelled:
                raise OSError("cancelled")  # _stage says it better

    def _tunnel(self, proxy: Proxy, deadline: float) -> None:
        target = f"{bracketed(self._host)}:{self._port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        assert self._sock is not None
        wire = _HandshakeSocket(self._sock, deadline)
        wire.send("\r\n".join([*lines, "", ""]).encode("latin-1"))
        wire.read_head()
        status = wire.status
        if status is None:
            raise ProtocolError(f"the proxy {proxy} answered with something that isn't HTTP")
        if not 200 <= status < 300:
            raise APIConnectionError(
                f"the proxy {proxy} refused to connect to {target}, with status {status}"
                + ("; check the user and password in its address" if status == 407 else ""),
                retryable=status >= 500,
            )

    def _start_tls(self, deadline: float) -> None:
        assert self._sock is not None
        context = self._context or tls_context()
        sock = context.wrap_socket(
            self._sock, server_hostname=self._host, do_handshake_on_connect=False
        )
        self._hold(sock)
        sock.settimeout(_remaining(deadline))
        sock.do_handshake()  # its timeout is for the whole handshake, not for each read

    def _upgrade(self, deadline: float) -> WebSocketConnection:
        import websocket

        assert self._sock is not None
        wire = _HandshakeSocket(self._sock, deadline)
        client: Any = websocket.WebSocket()  # half of it is typed, in some versions
        refusal = None
        try:
            client.connect(
                self._url,
                socket=wire,
                header=self._headers,
                suppress_origin=True,  # we are no browser
                redirect_limit=0,
                timeout=self._timeout,
            )
        except Exception:
            refusal = self._refusal(wire)
            if refusal is None:
                raise
        if refusal is not None:
            # Here, and not as what the other led to: websocket-client's error shows the body as it
            # came, and there are servers that give the token back in it.
            raise refusal
        with self._lock:
            if self._cancelled:
                raise OSError("cancelled")
            sock, self._sock = self._sock, None
        return WebSocketConnection(sock, received=wire.rest())

    def _refusal(self, wire: _HandshakeSocket) -> APIStatusError | None:
        """The error for an answer other than 101; ``None`` where there is no such answer."""
        status = wire.status
        if status is None or status == 101:
            return None
        wire.deadline = min(wire.deadline, time.monotonic() + _BODY_PATIENCE)
        retry_after, body = _read_refusal(wire)
        return status_error(
            status, body, retry_after_seconds(retry_after, now=time.time()), what=self._url
        )

    # ---- errors

    @contextlib.contextmanager
    def _stage(self, doing: str) -> Iterator[None]:
        """Turn what goes wrong into an error of ours that says what was going on."""
        try:
            yield
        except Exception as error:
            if self._cancelled:
                raise APIConnectionError(f"{doing} was called off") from error
            if isinstance(error, APIError):
                raise
            raise self._translate(doing, error) from error

    def _translate(self, doing: str, error: Exception) -> APIError:
        import websocket

        if isinstance(error, (TimeoutError, websocket.WebSocketTimeoutException)):
            return APITimeoutError(f"{doing} took longer than {self._timeout:g} s")
        if isinstance(error, ssl.SSLCertVerificationError):
            return APIConnectionError(
                f"{doing} failed: its certificate isn't trusted ({error.verify_message}); "
                f"name its root with ca_file, or check base_url"
            )
        if isinstance(error, UnicodeDecodeError):
            return ProtocolError(f"{doing} failed: the answer isn't a WebSocket's ({error})")
        if isinstance(error, (socket.gaierror, UnicodeError)):  # a name too long for the DNS
            return APIConnectionError(
                f"{doing} failed: the name can't be looked up ({error}); check base_url"
            )
        if isinstance(error, websocket.WebSocketConnectionClosedException):
            return APIConnectionError(f"{doing} failed: the server ended the connection")
        if isinstance(error, OSError):
            return APIConnectionError(f"{doing} failed: {error.strerror or error}")
        return ProtocolError(f"{doing} failed: the answer isn't a WebSocket's ({error})")


def _remaining(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("timed out")
    return seconds


class _HandshakeSocket:
    """A socket as a handshake uses it: bounded in time and in size as a whole, and buffered.

    What it read is kept until the handshake is over, because a refusal is read a second time, by a
    better HTTP parser. It reads no more of a refusal than its head.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.deadline = deadline
        self._sock = sock
        self._seen = bytearray()
        self._given = 0  # bytes of _seen that recv() gave out

    # what websocket-client calls

    def recv(self, size: int) -> bytes:
        if self._given == len(self._seen):
            if self.status not in (None, 101):
                raise OSError("refused")
            self._fill()
        data = bytes(self._seen[self._given : self._given + size])
        self._given += len(data)
        return data

    def send(self, data: bytes) -> int:
        self._sock.settimeout(_remaining(self.deadline))
        self._sock.sendall(data)
        return len(data)

    def gettimeout(self) -> float:
        return _remaining(self.deadline)

    def settimeout(self, timeout: float | None) -> None:
        """The deadline stands."""

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        """Left to who opened it."""

    # what we call

    @property
    def status(self) -> int | None:
        """The status of the answer; ``None`` until its head is whole, and where it has none."""
        head, end, _ = self._seen.partition(b"\r\n\r\n")
        if not end or not head.startswith(b"HTTP/1."):
            return None
        words = head[:64].split(None, 2)
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else None

    def read_head(self) -> None:
        """Read until the head is whole."""
        while b"\r\n\r\n" not in self._seen:
            if not self._fill():
                raise ConnectionError("the connection was ended")

    def rest(self) -> bytes:
        """What came after the head."""
        return bytes(self._seen[self._given :])

    def makefile(self, mode: str) -> io.BufferedReader:
        """The answer from its first byte on, for ``http.client``."""
        self._given = 0
        return io.BufferedReader(_Replay(self))

    def read_again(self, size: int) -> bytes:
        """As :meth:`recv`, past the head as well."""
        if self._given == len(self._seen):
            self._fill()
        data = bytes(self._seen[self._given : self._given + size])
        self._given += len(data)
        return data

    def _fill(self) -> bool:
        """Read what there is; False at the end of the stream."""
        if len(self._seen) >= _MAX_HEAD:
            raise ProtocolError(f"the answer to the handshake is longer than {_MAX_HEAD} bytes")
        self._sock.settimeout(_remaining(self.deadline))
        data = self._sock.recv(4096)
        self._seen += data
        return bool(data)


class _Replay(io.RawIOBase):
    def __init__(self, wire: _HandshakeSocket) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._wire.read_again(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _read_refusal(wire: _HandshakeSocket) -> tuple[str | None, bytes]:
    """The ``Retry-After`` header, and of the body what comes in time."""
    response = http.client.HTTPResponse(wire)  # type: ignore[arg-type]
    retry_after, body = None, b""
    try:
        response.begin()
        retry_after = response.getheader("Retry-After")
        while len(body) < _MAX_BODY and (piece := response.read1(_MAX_BODY)):
            body += piece
    except (http.client.HTTPException, OSError, ValueError, APIError):
        pass  # the status is known, and says enough
    finally:
        response.close()
    return retry_after, body
