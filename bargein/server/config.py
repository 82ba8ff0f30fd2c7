"""What a server allows, and to whom."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from bargein.errors import OptionError

__all__ = ["ServerConfig", "read_keys"]

KEY_VARIABLE = "BARGEIN_API_KEY"
SECRET_VARIABLE = "BARGEIN_API_SECRET"

MULTIPROCESS_DIR = "PROMETHEUS_MULTIPROC_DIR"
"""Environment: where prometheus_client keeps figures, so that workers' can be summed. It must be
there when that library is imported; so ``run`` imports nothing that does before it has said so."""

SECRET_BYTES = 32
"""That a secret should have at least: as many as HS256's signatures (RFC 7518, 3.2)."""

WINDOW_BYTES = 96_000
"""A window of 3 s at 16 kHz, 16 bits: the longest that any client may send."""


def _positive(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not value > 0:  # type: ignore[operator]
        raise OptionError(f"{attribute.name} came as {value!r}; expected a number > 0")


@attrs.frozen(kw_only=True)
class ServerConfig:
    """Limits and keys of a server. Immutable. Raises OptionError for a limit that can't be.

    ``keys`` maps each API key to its secret; without any, whoever reaches the server is served.
    """

    keys: Mapping[str, str] = attrs.field(factory=dict, repr=lambda keys: f"<{len(keys)} keys>")
    threads: int = attrs.field(default=1, validator=_positive)
    """Inference threads in this process. A small model in NumPy holds the interpreter's lock for
    much of its time: to use more cores, run more processes."""
    max_window_bytes: int = attrs.field(default=WINDOW_BYTES, validator=_positive)
    max_text_bytes: int = attrs.field(default=4096, validator=_positive)
    """A control message takes some 150."""
    max_sessions: int = attrs.field(default=1000, validator=_positive)
    max_sessions_per_key: int = attrs.field(default=1000, validator=_positive)
    max_session_length: float = attrs.field(default=4 * 3600.0, validator=_positive)
    """Seconds; then the session is closed when it is quiet, or after half a minute more, and the
    client opens another."""
    idle_timeout: float = attrs.field(default=600.0, validator=_positive)
    """Seconds without a message: a call whose agent talks to itself is no call."""
    create_timeout: float = attrs.field(default=10.0, validator=_positive)
    """Seconds that a connection may take to send session.create, or a request its body."""
    windows_per_second: float = attrs.field(default=50.0, validator=_positive)
    """Of one session; clients send ten."""
    requests_per_second: float = attrs.field(default=500.0, validator=_positive)
    """Of one key, to one process: HTTP windows, and WebSocket handshakes."""
    max_waiting: int = attrs.field(default=64, validator=_positive)
    """Windows that wait to be judged, from which on none is taken over HTTP: it would be answered
    too late to matter, as clients give up after 0.7 s and a core judges a hundred a second."""
    max_batch: int = attrs.field(default=32, validator=_positive)
    """Windows of several sessions that are judged at once, where the backend can."""
    align: bool = True
    """Whether windows of a WebSocket session are laid side by side by the audio that they share, so
    that only what is new is judged. (Without, each is judged alone, as one over HTTP is.)"""
    leeway: float = attrs.field(default=30.0, validator=_positive)
    """Seconds that a client's clock may be off."""
    drain_timeout: float = attrs.field(default=30.0, validator=_positive)
    """Seconds that sessions get to finish their overlaps when the server is to stop."""


def read_keys(environ: Mapping[str, str], path: str | os.PathLike[str] | None) -> dict[str, str]:
    """Read keys and secrets: ``key: secret`` lines of a file, or a pair from the environment.

    Empty lines and those that begin with ``#`` don't count. Raises OptionError for a file that
    can't be read or a line that isn't a pair; secrets are never shown.
    """
    if path is None:
        key, secret = environ.get(KEY_VARIABLE, ""), environ.get(SECRET_VARIABLE, "")
        if bool(key) != bool(secret):
            raise OptionError(f"set both {KEY_VARIABLE} and {SECRET_VARIABLE}, or neither")
        for name, value in ((KEY_VARIABLE, key), (SECRET_VARIABLE, secret)):
            if value != value.strip():
                raise OptionError(
                    f"{name} begins or ends with white space (a file's line end?), which no client "
                    "would sign with: take it away"
                )
        return {key: secret} if key else {}
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise OptionError(f"the key file {os.fspath(path)!r} can't be read: {why}") from error
    keys = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, colon, secret = (part.strip() for part in line.partition(":"))
        if not (key and colon and secret):
            raise OptionError(f"{os.fspath(path)}:{number}: expected 'key: secret'")
        if key in keys:
            raise OptionError(f"{os.fspath(path)}:{number}: the key {key!r} is there already")
        keys[key] = secret
    if not keys:
        raise OptionError(f"the key file {os.fspath(path)!r} holds no key")
    return keys
