"""TLS options into a context."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from bargein.drivers.tls import TlsOptions, tls_context
from bargein.errors import OptionError
from bargein.testing.certificates import authority, client_certificate, write_authority
from bargein.testing.sockets import BOUND, Peer, raw_listener


def test_verification_is_on_by_default() -> None:
    context = tls_context()

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_ca_file_replaces_the_systems_roots(tmp_path: Path) -> None:
    context = tls_context(TlsOptions(ca_file=write_authority(tmp_path)))

    assert context.cert_store_stats()["x509_ca"] == 1


@pytest.mark.parametrize("folder", ["empty", "full", "none"])
def test_without_roots_of_the_system_certifis_are_used(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if folder == "full":
        write_authority(tmp_path)
    where = None if folder == "none" else str(tmp_path)
    paths = ssl.DefaultVerifyPaths(None, where, "", "", "", "")  # type: ignore[arg-type]
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda self: None)

    roots = tls_context().cert_store_stats()["x509_ca"]

    assert (roots == 0) == (folder == "full")  # a folder is looked into later, by OpenSSL


def test_the_systems_roots_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_authority(tmp_path)
    monkeypatch.setattr(
        ssl.SSLContext, "load_default_certs", lambda self: self.load_verify_locations(path)
    )

    assert tls_context().cert_store_stats()["x509_ca"] == 1


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_a_ca_file_that_is_none(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "roots.pem"
    if content is not None:
        path.write_text(content)

    with pytest.raises(OptionError, match=r"ca_file '.*roots.pem' can't be used"):
        tls_context(TlsOptions(ca_file=path))


def test_a_client_certificate_without_its_key(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="client_certificate"):
        tls_context(TlsOptions(client_certificate=write_authority(tmp_path)))


def test_a_key_without_a_certificate() -> None:
    with pytest.raises(OptionError, match="without client_certificate"):
        tls_context(TlsOptions(client_key="key.pem"))


def locked_key(folder: Path, password: bytes) -> tuple[Path, Path]:
    issued = authority().issue_cert("client@example.org")
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    certificate, locked = folder / "cert.pem", folder / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password),
        )
    )
    return certificate, locked


def test_a_locked_key_is_opened_with_its_password(tmp_path: Path) -> None:
    certificate, key = locked_key(tmp_path, b"hunter2")

    tls_context(
        TlsOptions(client_certificate=certificate, client_key=key, client_key_password="hunter2")
    )


@pytest.mark.parametrize("password", [None, "wrong-password"])
def test_a_locked_key_without_the_right_password(tmp_path: Path, password: str | None) -> None:
    certificate, key = locked_key(tmp_path, b"hunter2")
    options = TlsOptions(
        client_certificate=certificate, client_key=key, client_key_password=password
    )

    with pytest.raises(OptionError, match="client_key_password") as caught:
        tls_context(options)

    assert "wrong-password" not in f"{caught.value} {options!r}"


def test_one_file_may_hold_certificate_and_key(tmp_path: Path) -> None:
    tls_context(TlsOptions(client_certificate=client_certificate(tmp_path)))


def test_a_connection_that_was_reset_before_tls_is_left_closed() -> None:
    """``tests/conftest.py`` looks."""
    with raw_listener() as listener:
        ours = socket.create_connection(listener.getsockname(), BOUND)
        Peer(listener.accept()[0], threading.Event()).reset()
        with pytest.raises(ConnectionResetError):
            tls_context().wrap_socket(ours, server_hostname="localhost")
