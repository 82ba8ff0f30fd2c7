"""Status codes into errors: one table for HTTP replies, handshakes and ``error`` messages.

Spec section 7: 5xx, 408 and 499 may be tried again; 429 only where the server says when; any other
4xx is the caller's mistake (a bad token, a bad URL) and no retry mends it.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from email.utils import parsedate_tz

from bargein.errors import APIStatusError
from bargein.wire.messages import InterruptionWSErrorMessage

__all__ = [
    "MAX_BODY_CHARACTERS",
    "MAX_RETRY_AFTER",
    "body_excerpt",
    "message_error",
    "retry_after_seconds",
    "status_error",
]

MAX_RETRY_AFTER = 60.0
"""Seconds; a server that asks for longer is asked again after this (spec section 7)."""

MAX_BODY_CHARACTERS = 500
"""Characters of an error's body that are kept (spec section 7)."""

_RETRYABLE_4XX = frozenset({408, 499})  # the server's own timeout, and a proxy's "client gave up"
_SECONDS = re.compile(r"[0-9]{1,18}(\.[0-9]{1,9})?")
# Some servers echo a request's headers in an error page; a token must not reach a log that way.
_TOKEN = re.compile(r"(?i:bearer)\s+[\w.~+/=-]+|eyJ[\w-]+\.[\w-]+\.[\w-]+")


def body_excerpt(body: str | bytes | None) -> str | None:
    """The first 500 characters of a body, with tokens blotted out; ``None`` where it is empty."""
    if not body:
        return None
    if isinstance(body, bytes):
        # four bytes a character at most; twice that, so that a token at the cut is seen whole
        body = body[: 8 * MAX_BODY_CHARACTERS].decode("utf-8", "replace")
    return _TOKEN.sub("***", body[: 2 * MAX_BODY_CHARACTERS])[:MAX_BODY_CHARACTERS]


def retry_after_seconds(value: str | None, *, now: float) -> float | None:
    """A ``Retry-After`` header: seconds or an HTTP date, as seconds from 0 to 60.

    ``now`` is epoch seconds. ``None`` where the header is missing or can't be read.
    """
    if value is None:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), MAX_RETRY_AFTER)
    try:
        date = parsedate_tz(value)
        if date is None:
            return None
        # a date without a zone is GMT (RFC 9110, 5.6.7)
        until = datetime(*date[:6], tzinfo=timezone.utc).timestamp() - (date[9] or 0)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(until - now, 0.0), MAX_RETRY_AFTER)


def _retryable(status: int, retry_after: float | None) -> bool:
    if status == 429:
        return retry_after is not None
    return status >= 500 or status in _RETRYABLE_4XX


def _advice(status: int, retry_after: float | None) -> str:
    if status < 300 or status in (405, 426):  # 2xx: to a handshake, which wants 101
        return "it wants another transport there: check base_url, or give transport="
    if 300 <= status < 400:
        return "redirects aren't followed: give the address that it leads to as base_url"
    if status in (401, 403):
        return "check api_key and api_secret, and that base_url is theirs"
    if status == 404:
        return "check base_url: /bargein is added to it"
    if status == 407:
        return "check the user and password in the proxy's address"
    if status == 429:
        return (
            f"too many requests; it asks to wait {retry_after:g} s"
            if retry_after is not None
            else "too many requests, and it doesn't say when to come back"
        )
    return "it may be tried again" if _retryable(status, None) else "trying again won't help"


def status_error(
    status: int,
    body: str | bytes | None = None,
    retry_after: float | None = None,
    *,
    what: str = "the server",
) -> APIStatusError:
    """The error for a status other than success, its ``retryable`` and ``retry_after`` set.

    ``body`` is cut to 500 characters; ``retry_after`` is in seconds, from
    :func:`retry_after_seconds`; ``what`` says who answered.
    """
    excerpt = body_excerpt(body)
    said = f"; it said: {excerpt}" if excerpt else ""
    return APIStatusError(
        f"{what} answered with status {status}: {_advice(status, retry_after)}{said}",
        status_code=status,
        body=excerpt,
        retryable=_retryable(status, retry_after),
        retry_after=retry_after,
    )


def message_error(message: InterruptionWSErrorMessage) -> APIStatusError:
    """The error for an ``error`` message within a session.

    It fails the windows in flight; ``retryable`` is False where it ends the stream as well, that is
    for a 4xx other than 408, 429 and 499 (spec section 6).
    """
    code = message.code
    fatal = 400 <= code < 500 and code != 429 and code not in _RETRYABLE_4XX
    excerpt = body_excerpt(message.message)
    return APIStatusError(
        f"the server sent an error message with code {code}: {excerpt or 'it gives no reason'}",
        status_code=code,
        body=excerpt,
        retryable=not fatal,
    )
