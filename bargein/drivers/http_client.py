"""Windows over HTTP, with requests: kept-alive connections, and requests that can be aborted.

``requests``' timeout is per read, so a reply that drips in byte by byte outlives it, and nothing in
it ends a request from another thread. Here each request knows its socket, and whoever keeps the
time shuts it down: the thread that waits comes free at once.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from bargein._version import __version__
from bargein.core.token_cache import TokenCache
from bargein.drivers.http_kept import (
    MAX_REPLY,
    KeptConnection,
    host_of,
    read_limited,
    request_head,
)
from bargein.drivers.proxies import check_proxy
from bargein.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
)
from bargein.wire.http import CONTENT_TYPE, InterruptionResponse, decode_reply, request_target

__all__ = ["MAX_REPLY", "USER_AGENT", "HttpClient", "HttpRequest"]

USER_AGENT = f"bargein/{__version__}"


class HttpRequest:
    """One request on its way. ``abort`` may come from any thread, at any time."""

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


def _shut(sock: socket.socket) -> None:
    # Not ssl.SSLSocket.shutdown: that one takes the TLS layer from under the thread that reads.
    with contextlib.suppress(OSError):  # not connected yet, or gone already
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


_current = threading.local()
"""``request``: the :class:`HttpRequest` that this thread makes."""


class _Tracked:
    """What both kinds of connection add to urllib3's: the request learns which socket it uses."""

    _fresh = True

    def _new_conn(self: Any) -> socket.socket:
        self._fresh = True
        try:
            return _connect(self._dns_host, self.port, self.timeout, self.socket_options)
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


def _connect(host: str, port: int, timeout: Any, options: Any) -> socket.socket:
    """Connect as ``socket.create_connection`` does, the request knowing each socket tried."""
    problem: OSError = OSError(f"{host} has no address")
    for family, kind, proto, _, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        sock = socket.socket(family, kind, proto)
        try:
            for option in options or ():
                sock.setsockopt(*option)
            if isinstance(timeout, (int, float)):
                sock.settimeout(timeout)
            _current.request.adopt(sock)
            if _current.request.aborted:
                raise TimeoutError("aborted")
            sock.connect(address)
            return sock
        except OSError as error:
            sock.close()
            problem = error
    raise problem


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


class _Adapter(HTTPAdapter):
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


class HttpClient:
    """Posts windows to one server. Thread-safe: as many connections as requests at a time.

    ``timeout`` in seconds bounds connecting and each read; the whole is bounded by whoever holds
    the :class:`HttpRequest` and aborts it. Redirects aren't followed: a token goes nowhere else.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float,
        tls: ssl.SSLContext | None,
        token: TokenCache | None = None,
    ) -> None:
        self._base_url = base_url
        self._timeout = timeout
        self._token = token
        self._tls = tls
        self._lock = threading.RLock()  # a signal's handler may close the detector
        self._idle: list[_Adapter] = []  # each with a connection that is kept alive
        self._process = os.getpid()
        self._proxies = get_environ_proxies(base_url, no_proxy=None)
        self._proxy_fault = _proxy_fault(base_url)
        self._host = host_of(base_url)
        self._plain = True
        """Whether replies are of the kind that is read by ourselves, as far as is known."""
        self._closed = False

    def judge(
        self,
        request: HttpRequest,
        window_id: int,
        samples: npt.NDArray[np.int16],
        *,
        threshold: float | None,
        min_frames: int,
    ) -> InterruptionResponse:
        """Post a window (int16 ``(n,)``, 16 kHz) and return the answer; blocks.

        Raises an :class:`~bargein.errors.APIError`, and nothing of ``requests``.
        """
        if self._proxy_fault is not None:
            raise APIConnectionError(self._proxy_fault, retryable=False)
        url = request_target(self._base_url, threshold, min_frames, window_id)
        body = np.ascontiguousarray(samples, dtype="<i2").data.cast("B")
        started = time.monotonic()
        try:
            status, headers, reply = self._post(request, url, body)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._explain(error, request, time.monotonic() - started) from error
        finally:
            request.finish()
        if request.aborted:  # in the middle of what may look like a reply
            raise self._explain(TimeoutError(), request, time.monotonic() - started)
        return decode_reply(
            status,
            headers,
            reply,
            window_id=window_id,
            round_trip=time.monotonic() - started,
            now=time.time(),
        )

    def _post(self, request: HttpRequest, url: str, body: memoryview) -> tuple[int, Any, bytes]:
        _current.request = request
        try:
            return self._exchange(request, url, body)
        except requests.ConnectionError:
            # A kept-alive connection that the server closed meanwhile is nobody's fault, and a
            # window may be judged twice: once more, on a new one.
            if not request.reused or request.aborted:
                raise
            return self._exchange(request, url, body, anew=True)
        finally:
            _current.request = None

    def _exchange(
        self, request: HttpRequest, url: str, body: memoryview, *, anew: bool = False
    ) -> tuple[int, Any, bytes]:
        adapter = self._take_adapter()
        try:
            kept = adapter.take_kept() if self._plain else None
            if kept is not None and anew:
                kept.close()
            elif kept is not None:
                return self._exchange_on(kept, adapter, request, url, body)
            return self._exchange_by(adapter, self._prepare(url, body.tobytes()))
        finally:
            request.finish()  # before its connection serves another
            self._give_back(adapter)

    def _exchange_on(
        self, kept: KeptConnection, adapter: _Adapter, request: HttpRequest, url: str, body: Any
    ) -> tuple[int, Any, bytes]:
        request.adopt(kept.sock, reused=True)
        try:
            head = request_head(adapter.target(url), self._host, self._headers(len(body)))
            return kept.exchange(head, body)
        finally:
            request.finish()  # before it serves another, or is closed and its number another's
            if not kept.plain:
                self._plain = False
            adapter.give_back(kept)

    def _exchange_by(
        self, adapter: _Adapter, prepared: requests.PreparedRequest
    ) -> tuple[int, Any, bytes]:
        response = adapter.send(prepared, stream=True, timeout=self._timeout, proxies=self._proxies)
        try:
            reply = read_limited(response.raw)
            return response.status_code, response.headers, reply
        finally:
            response.close()

    def _prepare(self, url: str, body: bytes) -> requests.PreparedRequest:
        # A requests.Session would work out proxies, cookies and ~/.netrc anew for each window:
        # twice the cost of the request itself, and another's credentials in the place of ours.
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url, prepared.body = "POST", url, body
        prepared.headers = CaseInsensitiveDict(self._headers(len(body)))
        prepared.hooks = default_hooks()
        return prepared

    def _headers(self, length: int) -> dict[str, str]:
        headers = {
            "Content-Type": CONTENT_TYPE,
            "Content-Length": str(length),
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
        }
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.token(now=time.time())}"
        return headers

    def _take_adapter(self) -> _Adapter:
        with self._lock:
            if self._closed:
                raise APIConnectionError("the detector was closed", retryable=False)
            if self._process != os.getpid():
                # After a fork the kept connections are the parent's: two processes that talk on
                # one would read each other's replies.
                for adapter in self._idle:
                    adapter.close()
                self._process, self._idle = os.getpid(), []
            # The one used last: its connection is the least likely to have been closed.
            return self._idle.pop() if self._idle else _Adapter(self._tls)

    def _give_back(self, adapter: _Adapter) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(adapter)
                return
        adapter.close()

    def _explain(self, error: Exception, request: HttpRequest, took: float) -> APIError:
        """Turn what requests, urllib3 or the system raised into this library's words."""
        if request.aborted:
            return APITimeoutError(f"no reply within {took:.2f} s; the request was aborted")
        where = self._base_url
        if isinstance(error, requests.exceptions.SSLError):
            return APIConnectionError(f"TLS with {where} failed: {_innermost(error)}")
        if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)):
            return APITimeoutError(f"{where} was silent for {self._timeout:g} s")
        if isinstance(error, requests.exceptions.ProxyError):
            return APIConnectionError(f"the proxy for {where} failed: {_innermost(error)}")
        return APIConnectionError(f"the connection to {where} failed: {_innermost(error)}")

    def close(self) -> None:
        """Close all kept-alive connections; requests on their way end by themselves."""
        with self._lock:
            self._closed = True
            adapters, self._idle = self._idle, []
        for adapter in adapters:
            adapter.close()


def _proxy_fault(url: str) -> str | None:
    try:
        check_proxy(url)
    except APIConnectionError as error:
        return str(error)
    return None


def _innermost(error: BaseException) -> str:
    """Return the first cause's words: the outer layers only name each other."""
    seen: BaseException = error
    while True:
        inner = seen.__cause__ or seen.__context__ or getattr(seen, "reason", None)
        if inner is None and seen.args and isinstance(seen.args[0], BaseException):
            inner = seen.args[0]
        if not isinstance(inner, BaseException) or inner is seen:
            return str(seen) or type(seen).__name__
        seen = inner
