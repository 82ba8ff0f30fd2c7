"""TLS as both transports use it: one context for a detector, made from a few options.

Verification is on by default. The roots are the system's, as ``ssl`` finds them (``SSL_CERT_FILE``
and ``SSL_CERT_DIR`` count), or certifi's where the system has none.
"""

from __future__ import annotations

import os
import ssl
import traceback
from typing import Any

import attrs

from bargein.errors import OptionError

__all__ = ["TlsOptions", "tls_context"]


@attrs.frozen(kw_only=True)
class TlsOptions:
    """How a server's certificate is checked, and which one is shown to it.

    ``ca_file``: a PEM file of roots to trust instead of the system's. ``client_certificate``: a PEM
    file with our own certificate, its key in ``client_key`` where it isn't in the same file, and
    the key's password in ``client_key_password``. ``verify=False`` trusts anybody: for a test
    bench.
    """

    ca_file: str | os.PathLike[str] | None = None
    client_certificate: str | os.PathLike[str] | None = None
    client_key: str | os.PathLike[str] | None = None
    client_key_password: str | None = attrs.field(default=None, repr=False)
    verify: bool = True


def tls_context(options: TlsOptions | None = None) -> ssl.SSLContext:
    """The context for these options. Costs tens of milliseconds: make one and share it.

    May be used by any number of threads at once. Raises :class:`~bargein.errors.OptionError` for a
    file that can't be read or isn't what it should be.
    """
    options = options or TlsOptions()
    if options.client_key is not None and options.client_certificate is None:
        raise OptionError("client_key is given without client_certificate; give both")
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif options.ca_file is not None:
        try:
            context.load_verify_locations(cafile=options.ca_file)
        except (OSError, ValueError) as error:  # SSLError is an OSError
            raise _unusable("ca_file", options.ca_file, "PEM certificates", error) from error
    else:
        context.load_default_certs()
        if not _has_roots(context):
            import certifi

            context.load_verify_locations(cafile=certifi.where())
    if options.client_certificate is not None:
        _load_client_certificate(context, options)
    return context


class _Context(ssl.SSLContext):
    """Leaves no socket open where the connection was lost before TLS began.

    ``wrap_socket`` takes the descriptor over and then, before Python 3.13, forgets to close it.
    """

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        try:
            return super().wrap_socket(*args, **kwargs)
        except OSError as error:
            for frame, _ in traceback.walk_tb(error.__traceback__):
                half_made = frame.f_locals.get("self")
                if isinstance(half_made, ssl.SSLSocket):
                    half_made.close()
            raise


def _has_roots(context: ssl.SSLContext) -> bool:
    """Whether the system gave any root: loaded, or in a folder that OpenSSL looks into later."""
    if context.cert_store_stats()["x509_ca"]:
        return True
    folder = ssl.get_default_verify_paths().capath
    return folder is not None and bool(os.listdir(folder))


def _load_client_certificate(context: ssl.SSLContext, options: TlsOptions) -> None:
    assert options.client_certificate is not None
    # A callback even without a password: else OpenSSL asks for one on the terminal, and waits.
    password = options.client_key_password or ""
    try:
        context.load_cert_chain(
            options.client_certificate, options.client_key, password=lambda: password
        )
    except (OSError, ValueError) as error:
        expected = (
            "a PEM certificate with its key (or client_key), and client_key_password if locked"
        )
        raise _unusable(
            "client_certificate", options.client_certificate, expected, error
        ) from error


def _unusable(
    name: str, path: str | os.PathLike[str], expected: str, error: Exception
) -> OptionError:
    return OptionError(f"{name} {os.fspath(path)!r} can't be used ({error}); expected {expected}")
