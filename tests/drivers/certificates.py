"""Certificates made for a test run: the kit's (``bargein.testing.certificates``)."""

from __future__ import annotations

from bargein.testing.certificates import (
    authority,
    client_certificate,
    server_context,
    write_authority,
)

__all__ = ["authority", "client_certificate", "server_context", "write_authority"]
