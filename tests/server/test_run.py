"""Listening, and stopping: in this process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bargein.errors import OptionError
from bargein.server import ServerConfig, run
from bargein.server.run import serve
from bargein.testing.certificates import client_certificate
from bargein.testing.sockets import BOUND
from tests.server.running import judge


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _get(port: int, path: str, *, most: int = 4096) -> bytes:
    with socket.create_connection(("127.0.0.1", port), BOUND) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return client.recv(most)


def _serve(then: Callable[[int], None], **options: Any) -> int:
    """Serve here, with ``then`` in a thread."""
    threads: list[threading.Thread] = []

    def ready(port: int) -> None:
        threads.append(threading.Thread(target=then, args=(port,)))
        threads[0].start()

    try:
        config = ServerConfig(**options)
        return serve(lambda: judge, config, host="127.0.0.1", port=0, ready=ready)
    finally:
        threads[0].join(BOUND)


def test_it_serves_until_it_is_told_to_stop() -> None:
    said: list[bytes] = []

    def ask(port: int) -> None:
        said.append(_get(port, "/readyz"))
        os.kill(os.getpid(), signal.SIGTERM)

    assert _serve(ask) == 0
    assert said[0].startswith(b"HTTP/1.1 200")


def test_a_second_signal_does_not_wait_for_sessions() -> None:
    went: list[bool] = []

    def ask(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), BOUND) as client:
            client.sendall(
                b"GET /bargein HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            assert b" 101 " in client.recv(4096)
            os.kill(os.getpid(), signal.SIGINT)
            while b" 503 " not in _get(port, "/readyz"):
                pass
            os.kill(os.getpid(), signal.SIGINT)
            while client.recv(4096):
                pass
            went.append(True)

    # uvicorn hands the second one on once it has ended, as to any program in a terminal.
    with pytest.raises(KeyboardInterrupt):
        _serve(ask, drain_timeout=3600.0)
    assert went == [True]


def _newest() -> str:
    """Return this machine's own address, of IPv6 if it has that."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
        return "::1"
    return "127.0.0.1"


@pytest.mark.parametrize("shares", [True, False])
def test_workers_have_one_port(shares: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if shares and not hasattr(socket, "SO_REUSEPORT"):
        shares = False
    seen: dict[str, Any] = {}

    def listen(listener: socket.socket, *given: Any, parent: int) -> int:
        seen["own"] = listener
        assert parent == os.getpid()
        seen["port"] = listener.getsockname()[1]
        seen["folder"] = os.environ["PROMETHEUS_MULTIPROC_DIR"]
        return 0

    class Supervisor:
        def __init__(self, workers: int, work: Any, *, stopped: Any, ended: Any) -> None:
            assert workers == 3
            self.work, self.stopped = work, stopped
            ended(1)

        def run(self) -> int:
            self.work(1)
            self.stopped()
            assert seen["own"].fileno() == -1
            return 5

    monkeypatch.setattr(run, "SHARES_PORTS", shares)
    monkeypatch.setattr(run, "Supervisor", Supervisor)
    monkeypatch.setattr(run, "_run", listen)
    monkeypatch.setattr(run, "attempt", lambda load: None)
    ports: list[int] = []
    config = ServerConfig()
    code = serve(lambda: judge, config, host=_newest(), port=0, workers=3, ready=ports.append)
    assert (code, ports) == (5, [seen["port"]])
    assert not os.path.exists(seen["folder"])
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_that_another_server_has_is_not_shared_in_silence(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "attempt", lambda load: None)
    with run._listen("127.0.0.1", 0, shared=True) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            OptionError, match=rf"can't listen on 127.0.0.1:{port}: Address already"
        ):
            serve(lambda: judge, ServerConfig(), host="127.0.0.1", port=port, workers=workers)


def test_a_key_with_a_pass_phrase_is_refused_without_asking(tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    certificate = client_certificate(tmp_path)
    with pytest.raises(OptionError, match="has a pass phrase"):
        serve(
            lambda: judge,
            ServerConfig(),
            host="127.0.0.1",
            port=0,
            certificate=str(certificate),
            key=str(locked),
        )
