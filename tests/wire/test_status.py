"""Status codes into errors."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.wire.messages import InterruptionWSErrorMessage
from bargein.wire.status import body_excerpt, message_error, retry_after_seconds, status_error

NOW = 1_700_000_000.0


@pytest.mark.parametrize("status", [408, 499, 500, 502, 503, 504, 599])
def test_what_may_be_tried_again(status: int) -> None:
    error = status_error(status)

    assert error.retryable
    assert error.status_code == status
    assert str(status) in str(error)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 410, 422, 451])
def test_what_no_retry_mends(status: int) -> None:
    assert not status_error(status).retryable


def test_429_may_be_tried_again_where_it_says_when() -> None:
    told, silent = status_error(429, None, 3.0), status_error(429)

    assert (told.retryable, told.retry_after) == (True, 3.0)
    assert (silent.retryable, silent.retry_after) == (False, None)
    assert "3 s" in str(told)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (200, "give transport="),
        (426, "give transport="),
        (307, "redirects aren't followed"),
        (401, "check api_key"),
        (404, "check base_url"),
        (407, "the proxy's address"),
        (422, "trying again won't help"),
        (503, "may be tried again"),
    ],
)
def test_the_message_says_what_to_do(status: int, advice: str) -> None:
    assert advice in str(status_error(status))


def test_the_body_is_cut_to_500_characters() -> None:
    error = status_error(400, "é" * 2000, what="the gateway")

    assert error.body == "é" * 500
    assert str(error).startswith("the gateway answered with status 400")
    assert "é" * 500 in str(error)


def test_a_body_of_bytes_need_not_be_utf8() -> None:
    assert status_error(400, b"bad \xff token").body == "bad � token"


@pytest.mark.parametrize("body", [None, "", b""])
def test_no_body(body: str | bytes | None) -> None:
    assert status_error(400, body).body is None


def test_tokens_that_a_server_echoes_are_blotted_out() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJrIn0.c2lnbmF0dXJl"
    body = body_excerpt(f"Authorization: Bearer {token}; jwt={token}; bearer  abc.def")

    assert body == "Authorization: ***; jwt=***; ***"
    at_the_cut = body_excerpt(" " * 490 + token)
    assert at_the_cut is not None
    assert "eyJ" not in at_the_cut


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("60", 60.0),
        ("61", 60.0),
        ("9" * 18, 60.0),
        (formatdate(NOW + 20, usegmt=True), 20.0),
        (formatdate(NOW + 3600, usegmt=True), 60.0),
        (formatdate(NOW - 5, usegmt=True), 0.0),
        ("Tue, 14 Nov 2023 22:13:50", 30.0),  # no zone: GMT
        ("Tue Nov 14 22:13:50 2023", 30.0),  # asctime, which RFC 9110 asks to be read
        ("Tuesday, 14-Nov-23 22:13:50 GMT", 30.0),  # RFC 850, likewise
        ("Tue, 14 Nov 2023 23:13:50 +0100", 30.0),
    ],
)
def test_retry_after(value: str, seconds: float) -> None:
    assert retry_after_seconds(value, now=NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "-1", "soon", "nan", "inf", "1e3", "٣", "9" * 19),
        "Tue, 99 Nov 2023 22:13:50 GMT",
        "Tue, 14 Nov 99999 22:13:50 GMT",
    ],
)
def test_a_retry_after_that_cannot_be_read(value: str | None) -> None:
    assert retry_after_seconds(value, now=NOW) is None


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2},? [0-9]{1,3} [A-Z][a-z]{2} [0-9:+ -]{0,20}"))
def test_any_retry_after_is_read_or_passed_over(value: str) -> None:
    seconds = retry_after_seconds(value, now=NOW)

    assert seconds is None or 0.0 <= seconds <= 60.0


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
def test_a_4xx_within_a_session_is_fatal(code: int) -> None:
    error = message_error(InterruptionWSErrorMessage(message="no", code=code))

    assert not error.retryable
    assert (error.status_code, error.body) == (code, "no")


@pytest.mark.parametrize("code", [1, 408, 429, 499, 500, 503, 1011])
def test_other_codes_within_a_session_are_not(code: int) -> None:
    error = message_error(InterruptionWSErrorMessage(code=code))

    assert error.retryable
    assert "it gives no reason" in str(error)
