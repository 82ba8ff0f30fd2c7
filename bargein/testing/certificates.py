"""Certificates made for a test run, and the contexts of servers that show them.

Needs the extra ``testing``. Nothing of it touches the system's trust store.
"""

from __future__ import annotations

import functools
import ssl
from pathlib import Path
from typing import Any

from bargein.errors import MissingExtraError

__all__ = ["authority", "client_certificate", "server_context", "write_authority"]


@functools.cache
def authority() -> Any:
    """The authority that signs all of them, one a process: a ``trustme.CA``."""
    try:
        import trustme
    except ImportError:
        raise MissingExtraError("a test server that speaks TLS", "testing") from None
    return trustme.CA()


@functools.cache
def server_context(*names: str, ask_client: bool = False) -> ssl.SSLContext:
    """A server's context with a certificate for these names (default: localhost, 127.0.0.1)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*(names or ("localhost", "127.0.0.1"))).configure_cert(context)
    if ask_client:
        context.verify_mode = ssl.CERT_REQUIRED
        authority().configure_trust(context)
    return context


def write_authority(folder: Path) -> Path:
    """A PEM file with the authority's root, for ``TlsOptions(ca_file=…)``."""
    path = folder / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    return path


def client_certificate(folder: Path) -> Path:
    """A PEM file with a client's certificate and its key."""
    path = folder / "client.pem"
    whole = authority().issue_cert("client@example.org").private_key_and_cert_chain_pem
    whole.write_to_path(str(path))
    return path
