"""One window over HTTP."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.errors import APIError, APIStatusError, ProtocolError
from bargein.wire.http import InterruptionResponse, decode_reply, encode_reply, request_target


def decode(
    body: bytes | dict[str, object], status: int = 200, headers: dict[str, str] | None = None
) -> InterruptionResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_reply(status, headers or {}, raw, window_id=7, round_trip=0.25, now=1_700_000_000)


def test_the_target() -> None:
    assert request_target("https://h/v1", 0.5, 2, 9) == (
        "https://h/v1/bargein?threshold=0.5&min_frames=2&created_at=9"
    )


def test_a_threshold_that_is_not_given_is_left_out() -> None:
    assert request_target("http://h", None, 1, 2**64 - 1) == (
        "http://h/bargein?min_frames=1&created_at=18446744073709551615"
    )


@pytest.mark.parametrize("status", [200, 201])
def test_a_reply(status: int) -> None:
    response = decode(
        {"created_at": 9, "is_bargein": True, "prediction_duration": 0.1, "probabilities": [0.5]},
        status,
    )

    assert response == InterruptionResponse(
        created_at=9,
        is_bargein=True,
        prediction_duration=0.1,
        probabilities=np.array([0.5], dtype=np.float32),
    )


def test_what_a_reply_may_leave_out() -> None:
    response = decode({"is_bargein": False})

    assert (response.created_at, response.is_bargein) == (7, False)
    assert response.prediction_duration == 0.25  # the round trip
    assert response.probabilities.size == 0


def test_a_reply_may_leave_the_decision_to_its_probabilities() -> None:
    response = decode({"probabilities": [0.5], "prediction_duration": -1})

    assert response.is_bargein is None
    assert response.prediction_duration == 0.0


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "isn't JSON"),
        (b"<html>", "isn't JSON"),
        (b"[]", "a JSON object"),
        (b"{}", "neither is_bargein nor probabilities"),
        (b'{"is_bargein":null,"probabilities":null}', "neither"),
        (b'{"is_bargein":"yes"}', "is_bargein is 'yes'"),
        (b'{"is_bargein":1}', "is_bargein is 1"),
        (b'{"is_bargein":true,"probabilities":[NaN]}', "nan"),
        (b'{"is_bargein":true,"created_at":-1}', "created_at"),
        (b'{"is_bargein":true,"prediction_duration":"x"}', "prediction_duration"),
        (b'{"x":"' + b"x" * (1 << 20) + b'"}', "at most 1048576"),
    ],
)
def test_a_reply_that_cannot_be_read(body: bytes, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=complaint):
        decode(body)


def test_a_redirect_is_not_followed() -> None:
    with pytest.raises(APIStatusError, match="redirects") as caught:
        decode(b"", 307, {"Location": "https://elsewhere/"})

    assert (caught.value.status_code, caught.value.retryable) == (307, False)


@pytest.mark.parametrize("name", ["Retry-After", "retry-after"])
def test_retry_after_is_found_in_any_spelling(name: str) -> None:
    with pytest.raises(APIStatusError) as caught:
        decode(b"slow down", 429, {"Server": "x", name: "5"})

    assert (caught.value.retryable, caught.value.retry_after) == (True, 5.0)
    assert caught.value.body == "slow down"


@given(
    st.integers(100, 599),
    st.binary() | st.dictionaries(st.text(), st.text()).map(lambda d: json.dumps(d).encode()),
)
def test_any_reply_gives_a_response_or_an_api_error(status: int, body: bytes) -> None:
    outcome: InterruptionResponse | APIError
    try:
        outcome = decode(body, status)
    except APIError as error:
        outcome = error

    assert isinstance(outcome, InterruptionResponse) or outcome.message


@pytest.mark.parametrize("decision", [True, False, None])
def test_what_a_server_encodes_a_client_decodes(decision: bool | None) -> None:
    response = InterruptionResponse(
        created_at=3,
        is_bargein=decision,
        prediction_duration=0.5,
        probabilities=np.array([0.1, 0.9], dtype=np.float32),
    )

    assert decode(encode_reply(response)) == response
    assert ("is_bargein" in encode_reply(response)) == (decision is not None)
