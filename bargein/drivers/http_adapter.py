"""requests' and urllib3's connections, such that a request can be ended from outside.

``requests``' timeout is per read, so a reply that drips in byte by byte outlives it, and nothing in
it ends a request from another thread. Here each request knows its socket, and whoever keeps the
time shuts it down: the thread that waits comes free at once.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from .dial import dial
from .http_kept import KeptConnection

__all__ = ["Adapter", "HttpRequest"]

_current = threading.local()
"""``request``: the :class:`HttpRequest` that this thread makes."""


class HttpRequest:
    """One request on its way. ``abort`` may come from any thread, at any time.

    ``with request:`` on the thread that makes it; its connections learn so whose they are.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.aborted = False
        self.reused = False
        """Whether it went out on a connection that had served before."""

    def adopt(self, sock: socket.socket, *, reused: bool = False) -> None:
        """Note the socket that the request uses now; ends it if the request was aborted."""
        with self._lock:
            self._socket, self.reused = sock, reused
            if self.aborted:
                _shut(sock)

    def hold(self, sock: socket.socket) -> None:
        """Note a socket that is to be connected. Raises ``TimeoutError`` after an abort."""
        self.adopt(sock)
        if self.aborted:
            raise TimeoutError("aborted")

    def abort(self) -> None:
        """Shut the request's socket down, so that whoever reads or connects on it comes free."""
        with self._lock:
            self.aborted = True
            if self._socket is not None:
                _shut(self._socket)

    def finish(self) -> None:
        """Let go of the socket, which may serve another request now."""
        with self._lock:
            self._socket = None

    def __enter__(self) -> HttpRequest:
        _current.request = self
        return self

    def __exit__(self, *_: object) -> None:
        _current.request = None
        self.finish()


def _shut(sock: socket.socket) -> None:
    # Not ssl.SSLSocket.shutdown: that one takes the TLS layer from under the thread that reads.
    with contextlib.suppress(OSError):  # not connected yet, or gone already
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _Tracked:
    """What both kinds of connection add to urllib3's: the request learns which socket it uses."""

    _fresh = True

    def _new_conn(self: Any) -> socket.socket:
        self._fresh = True
        try:
            sock = dial(
                self._dns_host,
                self.port,
                deadline=time.monotonic() + self.timeout,
                hold=_current.request.hold,
            )
            sock.settimeout(self.timeout)
            return sock
        except TimeoutError as error:
            raise urllib3.exceptions.ConnectTimeoutError(
                self, f"connecting to {self.host} took over {self.timeout} s"
            ) from error
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(
                self, f"connecting to {self.host} failed: {error}"
            ) from error

    _held: list[bytes] | None = None
    """Parts of a request that go out together: a packet and a wake-up less at both ends."""

    def request(self: Any, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:  # connects on its way, perhaps by a proxy's tunnel
            super().request(*args, **kwargs)  # type: ignore[misc]
            self._fresh = False
            return
        # With TLS there is a socket before the first request, too.
        _current.request.adopt(self.sock, reused=not self._fresh)
        self._fresh = False
        self._held = []
        try:
            super().request(*args, **kwargs)  # type: ignore[misc]
        finally:
            held, self._held = self._held, None
        super().send(b"".join(held))  # type: ignore[misc]

    def send(self: Any, data: Any) -> None:
        if self._held is None:
            super().send(data)  # type: ignore[misc]
        else:
            self._held.append(data)


class _Http(_Tracked, HTTPConnection):
    pass


class _Https(_Tracked, HTTPSConnection):
    _guard: socket.socket | None = None

    def connect(self) -> None:
        try:
            super().connect()
        finally:
            guard, self._guard = self._guard, None
            if guard is not None:
                _current.request.finish()
                guard.close()

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        # TLS takes the descriptor over from this object; a shutdown by the other ends it as well.
        self._guard = sock.dup()
        _current.request.adopt(self._guard)
        return sock


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


class Adapter(HTTPAdapter):
    """requests' adapter over connections that tell their sockets, through proxies as well.

    The TLS context is ours, whole: requests would add certifi's roots to a CA file of the user's.
    """

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._context = tls
        self._pool: Any = None
        self._kept: KeptConnection | None = None
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def take_kept(self) -> KeptConnection | None:
        """Take the connection that served last, if it can serve again."""
        kept, self._kept = self._kept, None
        if kept is None and self._pool is not None and not self._pool.proxy:
            connection = self._pool._get_conn()  # by a proxy each request is another matter
            if connection.sock is None:
                self._pool._put_conn(connection)
            else:
                kept = KeptConnection(connection)
        if kept is not None and kept.is_stale:
            kept.close()
            kept = None
        return kept

    def give_back(self, kept: KeptConnection) -> None:
        """Keep a connection for the next request, or close it if it can't serve that."""
        if kept.reusable:
            self._kept = kept
        else:
            kept.close()

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
        # urllib3 leaves connections to the garbage collector, and every error knows its pool: one
        # that a user keeps would keep a socket open.
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - no mapping: it can't be iterated
                manager.pools[key].close()
        super().close()

    # An adapter serves one server by one way. What requests works out anew for each request, and
    # the cookies that it looks for, cost as much as the request itself.

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        if self._pool is None:
            self._pool = super().get_connection_with_tls_context(*args, **kwargs)
        return self._pool

    def get_connection(self, url: Any, proxies: Any = None) -> Any:
        """As above, before requests 2.32."""
        if self._pool is None:
            self._pool = super().get_connection(url, proxies)
        return self._pool

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        if proxies:
            return super().request_url(request, proxies)
        assert request.url is not None
        return self.target(request.url)

    @staticmethod
    def target(url: str) -> str:
        """What of a URL stands in the request's first line."""
        return "/" + url.split("/", 3)[3]

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.headers = resp.status, resp.headers
        response.raw, response.request = resp, req
        return response

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """The context has all that there is to verify."""

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, True, None)
        return host, {}
