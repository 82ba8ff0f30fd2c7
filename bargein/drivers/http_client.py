"""Windows over HTTP, with requests: kept-alive connections, and errors in this library's words."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import requests
import urllib3
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies

from bargein._version import __version__
from bargein.core.token_cache import TokenCache
from bargein.errors import APIConnectionError, APIError, APITimeoutError
from bargein.wire.http import CONTENT_TYPE, InterruptionResponse, decode_reply, request_target

from .http_adapter import Adapter, HttpRequest
from .http_exchange import Exchange
from .http_kept import KeptConnection, host_of, read_limited, request_head, request_headers
from .proxies import check_proxy

__all__ = ["USER_AGENT", "HttpClient"]

USER_AGENT = f"bargein/{__version__}"

_FAULTS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What is put into this library's words."""


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
        self._idle: list[Adapter] = []  # each with a connection that is kept alive
        self._process = os.getpid()
        self._proxies = get_environ_proxies(base_url, no_proxy=None)
        self._proxy_fault = _proxy_fault(base_url)
        self._host = host_of(base_url)
        self._plain = True
        """Whether replies are of the kind that is read by ourselves, as far as is known."""
        self._known: tuple[int, str | None, bytes] | None = None
        """A request's length and token, and the headers that these lead to."""
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
        body = _bytes_of(samples)
        return self._ask(
            request, window_id, time.monotonic(), lambda: self._post(request, url, body)
        )

    def _ask(
        self,
        request: HttpRequest,
        window_id: int,
        started: float,
        exchange: Callable[[], tuple[int, Any, bytes]],
    ) -> InterruptionResponse:
        """Make an exchange on this thread and return what its reply says, or raise why not."""
        try:
            with request:
                reply = exchange()
        except _FAULTS as error:
            raise self._explain(error, request.aborted, started) from error
        if request.aborted:  # in the middle of what may look like a reply
            raise self._explain(TimeoutError(), True, started)
        return _decode(reply, window_id, started)

    # --- without a thread -------------------------------------------------------------------

    def begin(
        self,
        window_id: int,
        samples: npt.NDArray[np.int16],
        *,
        threshold: float | None,
        min_frames: int,
        now: float,
    ) -> Exchange | None:
        """Return a request as :meth:`judge` makes it, to be gone on with; blocks nowhere.

        ``None``: no connection is there for it, and :meth:`judge` makes one. When it is over it is
        to be given to :meth:`conclude`, or :meth:`resume` where it needs a thread; until then
        :meth:`drop` ends it.
        """
        if not self._plain or self._proxy_fault is not None:
            return None
        url = request_target(self._base_url, threshold, min_frames, window_id)
        body = _bytes_of(samples)
        try:
            head = self._head(Adapter.target(url), len(body))
        except ValueError:  # judge() says what is wrong with it
            return None
        found = self._take_kept()
        if found is None:
            return None
        adapter, kept = found
        return Exchange(
            adapter,
            kept,
            window_id=window_id,
            url=url,
            head=head,
            body=body,
            timeout=self._timeout,
            now=now,
        )

    def _take_kept(self) -> tuple[Adapter, KeptConnection] | None:
        """Take a connection that can serve, the one used last first."""
        passed = []
        found = None
        while found is None and (adapter := self._take_idle()) is not None:
            kept = adapter.take_kept()
            if kept is None:
                passed.append(adapter)
            else:
                found = adapter, kept
        for adapter in passed:
            self._give_back(adapter)
        return found

    def conclude(self, exchange: Exchange) -> InterruptionResponse:
        """Return what the reply says. Raises an :class:`~bargein.errors.APIError`."""
        try:
            if exchange.error is not None:
                raise exchange.error
            reply = exchange.kept.end(exchange.reply)
        except _FAULTS as error:
            raise self._explain(error, False, exchange.started) from error
        finally:
            self._release(exchange)
        return _decode(reply, exchange.window_id, exchange.started)

    def resume(self, request: HttpRequest, exchange: Exchange) -> InterruptionResponse:
        """Do what is left of an exchange that needs a thread; blocks. Raises as :meth:`judge`."""
        call = self._ask_anew if exchange.lost else self._read_on
        return self._ask(
            request, exchange.window_id, exchange.started, lambda: call(request, exchange)
        )

    def _ask_anew(self, request: HttpRequest, exchange: Exchange) -> tuple[int, Any, bytes]:
        self._release(exchange)
        return self._exchange(request, exchange.url, exchange.body, anew=True)

    def _read_on(self, request: HttpRequest, exchange: Exchange) -> tuple[int, Any, bytes]:
        request.adopt(exchange.kept.sock, reused=True)
        try:
            return exchange.kept.end(exchange.reply)
        finally:
            request.finish()
            self._release(exchange)

    def drop(self, exchange: Exchange) -> None:
        """End an exchange that nobody waits for any more; its connection is closed."""
        exchange.kept.close()
        self._release(exchange)

    def _release(self, exchange: Exchange) -> None:
        if not exchange.kept.plain:
            self._plain = False
        exchange.adapter.give_back(exchange.kept)
        self._give_back(exchange.adapter)

    # --- on a thread ------------------------------------------------------------------------

    def _post(self, request: HttpRequest, url: str, body: memoryview) -> tuple[int, Any, bytes]:
        try:
            return self._exchange(request, url, body)
        except requests.ConnectionError:
            # A kept-alive connection that the server closed meanwhile is nobody's fault, and a
            # window may be judged twice: once more, on a new one.
            if not request.reused or request.aborted:
                raise
            return self._exchange(request, url, body, anew=True)

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
        self, kept: KeptConnection, adapter: Adapter, request: HttpRequest, url: str, body: Any
    ) -> tuple[int, Any, bytes]:
        request.adopt(kept.sock, reused=True)
        try:
            head = self._head(adapter.target(url), len(body))
            return kept.exchange(head, body)
        finally:
            request.finish()  # before it serves another, or is closed and its number another's
            if not kept.plain:
                self._plain = False
            adapter.give_back(kept)

    def _exchange_by(
        self, adapter: Adapter, prepared: requests.PreparedRequest
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
        prepared.headers = CaseInsensitiveDict(_headers(len(body), self._take_token()))
        prepared.hooks = default_hooks()
        return prepared

    def _head(self, target: str, length: int) -> bytes:
        """A request's head. Its headers are mostly those of the one before, so they are kept."""
        token = self._take_token()
        known = self._known
        if known is None or known[:2] != (length, token):
            headers = request_headers(self._host, _headers(length, token))
            self._known = known = length, token, headers
        return request_head(target, known[2])

    def _take_token(self) -> str | None:
        return None if self._token is None else self._token.token(now=time.time())

    def _take_adapter(self) -> Adapter:
        idle = self._take_idle()
        if self._closed:
            raise APIConnectionError("the detector was closed", retryable=False)
        return Adapter(self._tls) if idle is None else idle

    def _take_idle(self) -> Adapter | None:
        with self._lock:
            if self._process != os.getpid():
                # After a fork the kept connections are the parent's: two processes that talk on
                # one would read each other's replies.
                for adapter in self._idle:
                    adapter.close()
                self._process, self._idle = os.getpid(), []
            # The one used last: its connection is the least likely to have been closed.
            return self._idle.pop() if self._idle else None

    def _give_back(self, adapter: Adapter) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(adapter)
                return
        adapter.close()

    def _explain(self, error: Exception, aborted: bool, started: float) -> APIError:
        """Turn what requests, urllib3 or the system raised into this library's words."""
        if aborted:
            took = time.monotonic() - started
            return APITimeoutError(f"no reply within {took:.2f} s; the request was aborted")
        where = self._base_url
        if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)):
            return APITimeoutError(f"{where} was silent for {self._timeout:g} s")
        cause = _innermost(error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return APIConnectionError(
                f"TLS with {where} failed: its certificate isn't trusted ({cause.verify_message}); "
                "name its root with ca_file, or check base_url"
            )
        if isinstance(error, requests.exceptions.SSLError):
            return APIConnectionError(f"TLS with {where} failed: {_words(cause)}")
        if isinstance(error, requests.exceptions.ProxyError):
            return APIConnectionError(f"the proxy for {where} failed: {_words(cause)}")
        if isinstance(cause, socket.gaierror):
            return APIConnectionError(
                f"connecting to {where} failed: the name can't be looked up ({cause.strerror}); "
                "check base_url"
            )
        return APIConnectionError(f"the connection to {where} failed: {_words(cause)}")

    def close(self) -> None:
        """Close all kept-alive connections; requests on their way end by themselves."""
        with self._lock:
            self._closed = True
            adapters, self._idle = self._idle, []
        for adapter in adapters:
            adapter.close()


def _headers(length: int, token: str | None) -> dict[str, str]:
    headers = {
        "Content-Type": CONTENT_TYPE,
        "Content-Length": str(length),
        "User-Agent": USER_AGENT,
        "Accept": "application/json",
    }
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _bytes_of(samples: npt.NDArray[np.int16]) -> memoryview:
    return np.ascontiguousarray(samples, dtype="<i2").data.cast("B")


def _decode(reply: tuple[int, Any, bytes], window_id: int, started: float) -> InterruptionResponse:
    round_trip = time.monotonic() - started
    return decode_reply(*reply, window_id=window_id, round_trip=round_trip, now=time.time())


def _proxy_fault(url: str) -> str | None:
    try:
        check_proxy(url)
    except APIConnectionError as error:
        return str(error)
    return None


def _innermost(error: BaseException) -> BaseException:
    """Return the first cause: the outer layers only name each other."""
    seen = error
    while True:
        inner = seen.__cause__ or seen.__context__ or getattr(seen, "reason", None)
        if inner is None and seen.args and isinstance(seen.args[0], BaseException):
            inner = seen.args[0]
        if not isinstance(inner, BaseException) or inner is seen:
            return seen
        seen = inner


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
