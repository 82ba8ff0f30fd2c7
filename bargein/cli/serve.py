"""``bargein serve``: judge the overlaps of many bridges, over WebSocket and HTTP, on one port."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import sys

import attrs

from bargein.errors import MissingExtraError, OptionError
from bargein.server.config import SECRET_BYTES, ServerConfig, read_keys
from bargein.wire.addresses import bracketed

from .judge import backend_of

__all__ = ["add_arguments", "run"]

logger = logging.getLogger("bargein.server")

_LIMITS: dict[str, tuple[type, str]] = {
    "threads": (int, "of the judge, in each process"),
    "max_sessions": (int, "WebSocket sessions in a process; beyond: 503"),
    "max_sessions_per_key": (int, "the same for one key; beyond: 429"),
    "max_session_length": (float, "seconds; then it is closed when it is quiet"),
    "idle_timeout": (float, "seconds without a message, after which a session is closed"),
    "windows_per_second": (float, "of one session; beyond: an error message, 429"),
    "requests_per_second": (float, "of one key: HTTP windows and handshakes; beyond: 429"),
    "drain_timeout": (float, "seconds that open overlaps get when the server is to stop"),
}
"""Field of ServerConfig -> its kind, and what it says of itself."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--backend", default="local", help="default: local; or module:attribute")
    where = parser.add_argument_group("where")
    where.add_argument("--host", default="127.0.0.1", help="default: this machine alone")
    where.add_argument("--port", type=int, default=8780, help="default: 8780; 0: any that is free")
    where.add_argument("--workers", type=int, default=1, metavar="N", help="processes; default: 1")
    where.add_argument("--certificate", metavar="FILE", help="serve TLS with it, PEM")
    where.add_argument("--key", metavar="FILE", help="its private key, PEM")
    who = parser.add_argument_group(
        "who may use it (default: BARGEIN_API_KEY and BARGEIN_API_SECRET of the environment)"
    )
    who.add_argument("--keys", metavar="FILE", help="lines of 'key: secret'")
    who.add_argument("--insecure", action="store_true", help="serve whoever comes, in public too")
    limits = parser.add_argument_group("limits, each of one process")
    defaults = attrs.fields_dict(ServerConfig)
    for name, (kind, what) in _LIMITS.items():
        limits.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind,
            default=kind(defaults[name].default),
            metavar="N",
            help=f"{what} (default: {defaults[name].default:g})",
        )
    parser.add_argument("--verbose", action="store_true", help="log more")


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop; return the exit code."""
    try:
        from bargein.server.run import serve
    except ModuleNotFoundError as error:
        raise MissingExtraError("bargein serve", "server") from error
    keys = read_keys(os.environ, arguments.keys)
    host = arguments.host.removeprefix("[").removesuffix("]")  # as IPv6 stands in addresses
    _check_exposure(host, bool(keys), arguments.insecure)
    if bool(arguments.certificate) != bool(arguments.key):
        raise OptionError("--certificate and --key go together; give both, or neither for no TLS")
    if arguments.workers < 1:
        raise OptionError(f"--workers came as {arguments.workers}; expected 1 or more")
    if not 0 <= arguments.port <= 65_535:
        raise OptionError(f"--port came as {arguments.port}; expected 0 to 65535")
    config = ServerConfig(keys=keys, **{name: getattr(arguments, name) for name in _LIMITS})
    _set_up_logs(arguments.verbose)
    for key, secret in keys.items():
        if len(secret.encode()) < SECRET_BYTES:
            logger.warning("the secret of the key %r is short; give it 32 characters or more", key)
    scheme = "https" if arguments.certificate else "http"

    def ready(port: int) -> None:
        address = f"{scheme}://{bracketed(host)}:{port}"
        print(f"bargein serves {arguments.backend} on {address}", flush=True)

    return serve(
        lambda: backend_of(arguments.backend),
        config,
        host=host,
        port=arguments.port,
        workers=arguments.workers,
        certificate=arguments.certificate,
        key=arguments.key,
        ready=ready,
    )


def _set_up_logs(verbose: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    # Its lines are JSON, and nothing else, so that a collector can read them.
    access = logging.getLogger("bargein.server.access")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    access.handlers, access.propagate = [handler], False


def _check_exposure(host: str, has_keys: bool, insecure: bool) -> None:
    if has_keys or insecure or _is_loopback(host):
        return
    raise OptionError(
        f"--host {host} can be reached by others, and there are no keys: set BARGEIN_API_KEY and "
        "BARGEIN_API_SECRET, give --keys FILE, or say --insecure if whoever comes may be served"
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
