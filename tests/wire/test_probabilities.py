"""A reply's probabilities are the same whether they are parsed at once or when they are wanted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.core import Prediction
from bargein.errors import ProtocolError
from bargein.wire import messages as m
from bargein.wire.probabilities import Listed, read_reply


def lies_in_the_text(text: str) -> bool:
    return type(read_reply(text.encode()).get("probabilities")) is Listed


@pytest.mark.parametrize(
    "numbers",
    ["[0.25]", "[0.25,0.5]", "[0.25, 1.0, 0.0]", "[2.5e-07, 1e-05]", "[9.99e-01]", "[0.1e-12]"],
)
def test_a_list_of_plain_decimals_is_not_made_into_numbers_before_somebody_asks(
    numbers: str,
) -> None:
    text = f'{{"probabilities": {numbers},"created_at":3}}'
    fields = read_reply(text.encode())

    assert fields["created_at"] == 3
    assert type(fields["probabilities"]) is Listed
    prediction = Prediction(fields["probabilities"])
    np.testing.assert_array_equal(
        prediction.probabilities, np.array(json.loads(numbers), np.float32)
    )
    assert not prediction.probabilities.flags.writeable
    assert prediction.probabilities is prediction.probabilities


@pytest.mark.parametrize(
    "numbers",
    [
        *("null", "[]", "[1]", "[1.5]", "[0.5,2.0]", "[-0.5]", "[3e-00]", "[0.5e3]", "[NaN]"),
        *("[0.5,]", "[0.5 ,0.5]", "[0.5,  0.5]", "[00.5]", "[.5]", "[0.]", "[true]", '["0.5"]'),
    ],
)
def test_any_other_list_is_looked_through_value_by_value(numbers: str) -> None:
    text = f'{{"probabilities":{numbers}}}'
    try:
        assert read_reply(text.encode()) == json.loads(text) or "NaN" in numbers
    except ProtocolError:
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"inner":{"probabilities":[0.5]}}',
        '{"inner":{"probabilities":[0.5]},"probabilities":[0.25]}',
        '{"inner":{"probabilities":[0.5]},"probabilities":null}',
        '{"probabilities":[0.5],"probabilities":[0.25]}',
        '{"a\\"probabilities":[0.5]}',
        '{"inner":{"probabilities":[0.5]},"probab\\u0069lities":null}',
        '{"message":"\\"probabilities\\":[0.5]"}',
        '["probabilities",[0.5]]',
    ],
)
def test_only_a_list_that_is_surely_the_messages_own_stays_in_the_text(text: str) -> None:
    if text.startswith("["):
        with pytest.raises(ProtocolError):
            read_reply(text.encode())
        return
    assert not lies_in_the_text(text)
    assert read_reply(text.encode()) == json.loads(text)


def test_a_list_of_no_object_is_told_as_before() -> None:
    with pytest.raises(ProtocolError, match="isn't JSON"):
        read_reply(b'{"probabilities":[0.5]')


@given(
    values=st.lists(st.floats(-0.1, 1.1) | st.integers(-1, 2), max_size=8),
    compact=st.booleans(),
)
def test_how_it_is_read_changes_nothing(values: list[float], compact: bool) -> None:
    separators = (",", ":") if compact else (", ", ": ")
    fields = {"type": "inference_done", "created_at": 1, "probabilities": values}
    text = json.dumps(fields, separators=separators)
    late, at_once = m.decode_server(text.encode()), m.decode_server(text)

    assert late == at_once
    assert isinstance(at_once, m.InterruptionWSInferenceDoneMessage)
    assert (at_once.invalid is None) is all(0 <= value <= 1 for value in values)
