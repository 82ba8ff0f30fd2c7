"""``bargein check``: try a server, or the local judge, out, and say what is right and wrong."""

from __future__ import annotations

import argparse
import os

from bargein.detector import AdaptiveInterruptionDetector
from bargein.drivers.tls import TlsOptions
from bargein.errors import OptionError

from .exits import ExitCode
from .judge import backend_of
from .output import print_json

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    judge = parser.add_argument_group("the judge (default: the environment's, or LiveKit's)")
    which = judge.add_mutually_exclusive_group()
    which.add_argument(
        "--backend", metavar="NAME", help="a judge on this machine: local, …, or module:attribute"
    )
    which.add_argument("--base-url", metavar="URL", help="a server: http, https, ws or wss")
    judge.add_argument("--transport", choices=["websocket", "http"], help="default: by the URL")
    judge.add_argument("--threshold", type=float, metavar="P", help="default: the judge's own")
    keys = parser.add_argument_group("credentials (gateways: LIVEKIT_API_KEY, LIVEKIT_API_SECRET)")
    keys.add_argument("--api-key", metavar="KEY", help="for any other address")
    keys.add_argument(
        "--api-secret-env",
        metavar="NAME",
        help="the environment variable that holds its secret (arguments are seen by everybody)",
    )
    tls = parser.add_argument_group("TLS")
    tls.add_argument(
        "--ca-file", metavar="FILE", help="roots to trust instead of the system's, PEM"
    )
    tls.add_argument("--client-certificate", metavar="FILE", help="our own certificate, PEM")
    tls.add_argument("--client-key", metavar="FILE", help="its key, if in another file")
    parser.add_argument(
        "--timeout", type=float, default=10.0, metavar="S", help="seconds in all (default: 10)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Check, print; return the exit code."""
    tls = TlsOptions(
        ca_file=arguments.ca_file,
        client_certificate=arguments.client_certificate,
        client_key=arguments.client_key,
    )
    with AdaptiveInterruptionDetector(
        backend=None if arguments.backend is None else backend_of(arguments.backend),
        base_url=arguments.base_url,
        transport=arguments.transport,
        threshold=arguments.threshold,
        api_key=arguments.api_key,
        api_secret=_secret(arguments.api_secret_env),
        tls=None if tls == TlsOptions() else tls,
    ) as detector:
        report = detector.check(timeout=arguments.timeout)
    if arguments.json:
        print_json(report.to_dict())
    else:
        print(report)
    if report.ok:
        return ExitCode.OK
    return ExitCode.FAILED if report.address is None else ExitCode.REMOTE


def _secret(name: str | None) -> str | None:
    if name is None:
        return None
    secret = os.environ.get(name)
    if not secret:
        raise OptionError(
            f"--api-secret-env came as {name!r}; expected the name of an environment variable that "
            "is set, and holds the secret"
        )
    return secret
