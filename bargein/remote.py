"""A remote judge as a detector holds it: address, credentials, TLS, the HTTP client."""

from __future__ import annotations

import logging
import os
import ssl
import time
from collections.abc import Mapping

from bargein.core.checks import optional_instance
from bargein.core.connect_options import APIConnectOptions
from bargein.core.token_cache import TokenCache
from bargein.drivers.http_client import USER_AGENT, HttpClient
from bargein.drivers.tls import TlsOptions, tls_context
from bargein.wire.addresses import Endpoint, Transport, resolve_endpoint
from bargein.wire.token import TOKEN_LIFETIME, create_token

__all__ = ["Remote"]

logger = logging.getLogger("bargein")


class Remote:
    """One server, for all of a detector's streams. Thread-safe."""

    def __init__(
        self,
        *,
        base_url: str | None,
        api_key: str | None,
        api_secret: str | None,
        transport: Transport | None,
        tls: TlsOptions | None,
        connect: APIConnectOptions,
    ) -> None:
        optional_instance("tls", tls, TlsOptions)
        self.endpoint: Endpoint = resolve_endpoint(
            environ=os.environ,
            base_url=base_url,
            api_key=api_key,
            api_secret=api_secret,
            transport=transport,
        )
        for warning in self.endpoint.warnings:
            logger.warning("%s", warning)
        if self.endpoint.credentials is not None:
            self._create_token(time.time())  # a secret that can't sign is the caller's to hear of
        secure = self.endpoint.http_base_url.startswith("https:")
        self.tls: ssl.SSLContext | None = tls_context(tls) if secure else None
        self._client: HttpClient | None = None
        if self.endpoint.transport == "http":
            self._client = self._build_client(connect)

    def _build_client(self, connect: APIConnectOptions) -> HttpClient:
        token = None
        if self.endpoint.credentials is not None:
            token = TokenCache(self._create_token, lifetime=TOKEN_LIFETIME)
        return HttpClient(
            self.endpoint.http_base_url, timeout=connect.timeout, tls=self.tls, token=token
        )

    @property
    def client(self) -> HttpClient:
        """The HTTP client; there is one where the transport is HTTP."""
        assert self._client is not None
        return self._client

    def _create_token(self, now: float) -> str:
        credentials = self.endpoint.credentials
        assert credentials is not None
        return create_token(credentials.api_key, credentials.api_secret, now=now)

    def headers(self) -> Mapping[str, str]:
        """Return a WebSocket handshake's headers, with a token made for it."""
        headers = {"User-Agent": USER_AGENT}
        if self.endpoint.credentials is not None:
            headers["Authorization"] = f"Bearer {self._create_token(time.time())}"
        return headers

    def close(self) -> None:
        """Close kept-alive connections."""
        if self._client is not None:
            self._client.close()
