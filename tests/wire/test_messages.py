"""JSON text into messages and back; whatever a peer sends, a message or a ProtocolError."""

from __future__ import annotations

import json
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.errors import ProtocolError
from bargein.wire import messages as m
from bargein.wire.fields import MAX_REPLY_BYTES


def server(**fields: object) -> m.ServerMessage:
    return m.decode_server(json.dumps(fields))


def client(**fields: object) -> m.ClientMessage:
    return m.decode_client(json.dumps(fields))


def reply(**fields: object) -> m.InterruptionWSInferenceDoneMessage:
    message = server(type="inference_done", **fields)
    assert isinstance(message, m.InterruptionWSInferenceDoneMessage)
    return message


SETTINGS: dict[str, Any] = {
    "sample_rate": 16000,
    "num_channels": 1,
    "threshold": 0.5,
    "min_frames": 2,
    "encoding": "s16le",
}


# ---- what we send


def test_session_create_is_byte_for_byte_what_the_protocol_shows() -> None:
    create = m.InterruptionWSSessionCreateMessage(
        settings=m.InterruptionWSSessionCreateSettings(threshold=0.5, min_frames=2)
    )

    assert m.encode(create) == (
        '{"type":"session.create","settings":{"sample_rate":16000,"num_channels":1,'
        '"threshold":0.5,"min_frames":2,"encoding":"s16le"}}'
    )


def test_a_threshold_that_is_not_given_is_left_out() -> None:
    settings = m.InterruptionWSSessionCreateSettings(min_frames=2)

    text = m.encode(m.InterruptionWSSessionCreateMessage(settings=settings))

    assert "threshold" not in text


def test_session_close() -> None:
    assert m.encode(m.InterruptionWSSessionCloseMessage()) == '{"type":"session.close"}'


def test_json_has_no_nan_so_none_is_sent() -> None:
    with pytest.raises(ValueError, match="float"):
        m.encode(m.InterruptionWSInferenceDoneMessage(created_at=1, prediction_duration=np.nan))


unit = st.floats(0, 1, width=32)
ids = st.integers(0, 2**64 - 1)
reply_fields = {
    "created_at": ids,
    "prediction_duration": st.floats(0, 10),
    "probabilities": st.lists(unit, max_size=130),
}


@given(
    st.one_of(
        st.builds(m.InterruptionWSSessionCreatedMessage, default_threshold=st.none() | unit),
        st.builds(m.InterruptionWSSessionClosedMessage),
        st.builds(m.InterruptionWSDetectedMessage, **reply_fields),
        st.builds(m.InterruptionWSInferenceDoneMessage, **reply_fields),
        st.builds(
            m.InterruptionWSErrorMessage,
            message=st.text(),
            code=st.integers(1, 999),
            session_id=st.text(),
        ),
        st.builds(m.UnknownMessage, type=st.just("session.resumed")),
    )
)
def test_what_a_server_encodes_a_client_decodes(message: m.ServerMessage) -> None:
    assert m.decode_server(m.encode(message)) == message
    assert m.decode_server(m.encode(message).encode()) == message


@given(
    st.one_of(
        st.builds(
            m.InterruptionWSSessionCreateMessage,
            settings=st.builds(
                m.InterruptionWSSessionCreateSettings,
                threshold=st.none() | unit,
                min_frames=st.integers(1, 120),
            ),
        ),
        st.builds(m.InterruptionWSSessionCloseMessage),
        st.builds(m.UnknownMessage, type=st.just("session.pause")),
    )
)
def test_what_a_client_encodes_a_server_decodes(message: m.ClientMessage) -> None:
    assert m.decode_client(m.encode(message)) == message


# ---- replies


def test_a_reply() -> None:
    message = server(
        type="bargein_detected", created_at=7, prediction_duration=0.02, probabilities=[0, 0.25, 1]
    )

    assert isinstance(message, m.InterruptionWSDetectedMessage)
    assert message.type == "bargein_detected"
    assert message.type is m.InterruptionWSMessageType.INTERRUPTION_DETECTED
    assert (message.created_at, message.prediction_duration) == (7, 0.02)
    assert message.probabilities.dtype == np.float32
    assert message.probabilities.tolist() == [0.0, 0.25, 1.0]
    assert message.invalid is None
    assert message.extra == ()


@pytest.mark.parametrize("fields", [{}, {"prediction_duration": None, "probabilities": None}])
def test_duration_and_probabilities_may_be_missing_or_null(fields: dict[str, None]) -> None:
    message = reply(created_at=1, **fields)

    assert (message.prediction_duration, message.probabilities.size) == (0.0, 0)
    assert message.probabilities.dtype == np.float32
    assert message.invalid is None


def test_no_probabilities_are_no_fault() -> None:
    assert reply(created_at=1, probabilities=[]).invalid is None


def test_probabilities_cannot_be_written_to_and_messages_hash() -> None:
    message = reply(created_at=1, probabilities=[0.5])

    with pytest.raises(ValueError, match="read-only"):
        message.probabilities[0] = 1.0
    assert message in {message}


def test_a_message_keeps_its_own_copy_of_what_can_be_written_to() -> None:
    values = np.array([0.5], dtype=np.float32)
    message = m.InterruptionWSInferenceDoneMessage(created_at=1, probabilities=values)
    values[0] = 0.9

    assert message.probabilities.tolist() == [0.5]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("[NaN]", "nan"),
        ("[0.5, NaN]", "nan"),
        ("[0.5, NaN, 2]", "nan"),
        ("[Infinity]", "inf"),
        ("[-Infinity]", "-inf"),
        ("[1e999]", "inf"),
        ("[-0.001]", "-0.001"),
        ("[0.5, 1.00000001]", "1.00000001"),
        ("[2]", "2"),
        ("[" + "9" * 400 + "]", "more than 64 bits"),
        ("[0.5, " + "9" * 400 + "]", "more than 64 bits"),
        ("[36893488147419103232]", "more than 64 bits"),
        ("[true]", "bool"),
        ('["0.5"]', "str"),
        ("[0.5, null]", "NoneType"),
        ("[[0.5]]", "list"),
        ("0.5", "0.5"),
        ('"high"', "'high'"),
        ("{}", "an object"),
    ],
)
def test_bad_probabilities_fail_their_window_alone(value: str, reason: str) -> None:
    message = m.decode_server(
        f'{{"type":"bargein_detected","created_at":9,"probabilities":{value}}}'
    )

    assert isinstance(message, m.InterruptionWSDetectedMessage)
    assert message.created_at == 9
    assert message.invalid is not None
    assert reason in message.invalid
    assert message.probabilities.size == 0


@pytest.mark.parametrize("value", ["-1", "NaN", "Infinity", "-Infinity", "null", "9" * 400])
def test_a_duration_that_can_be_none_is_zero_and_the_verdict_stands(value: str) -> None:
    message = m.decode_server(
        f'{{"type":"bargein_detected","created_at":9,"prediction_duration":{value}}}'
    )

    assert isinstance(message, m.InterruptionWSDetectedMessage)
    assert (message.prediction_duration, message.invalid) == (0.0, None)


@pytest.mark.parametrize("value", [True, "fast", [], {}])
def test_a_duration_that_is_no_number_fails_the_window(value: object) -> None:
    message = reply(created_at=9, prediction_duration=value, probabilities=[0.5])

    assert message.invalid is not None
    assert "prediction_duration" in message.invalid
    assert message.probabilities.size == 0


def test_of_two_faults_the_probabilities_are_named() -> None:
    message = reply(created_at=9, prediction_duration="fast", probabilities=[7])

    assert message.invalid is not None
    assert "probabilities" in message.invalid


@pytest.mark.parametrize("value", [0, 1, 2**64 - 1])
def test_an_id_is_any_unsigned_64_bit_number(value: int) -> None:
    assert reply(created_at=value).created_at == value


def test_an_id_may_be_written_as_a_whole_float() -> None:
    created_at = reply(created_at=5.0).created_at

    assert created_at == 5
    assert type(created_at) is int


@pytest.mark.parametrize(
    "value",
    ["-1", "18446744073709551616", "true", "1.5", '"1"', "null", "NaN", "1e999", "[]", "{}"],
)
def test_a_reply_that_names_no_window_is_a_protocol_error(value: str) -> None:
    with pytest.raises(ProtocolError, match="created_at"):
        m.decode_server(f'{{"type":"inference_done","created_at":{value}}}')


def test_a_reply_without_an_id_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="created_at is None"):
        server(type="inference_done")


# ---- the other messages of a server


@pytest.mark.parametrize(("fields", "default"), [({}, None), ({"default_threshold": None}, None)])
def test_a_session_may_tell_no_default(fields: dict[str, None], default: None) -> None:
    message = server(type="session.created", **fields)

    assert message == m.InterruptionWSSessionCreatedMessage(default_threshold=default)


@pytest.mark.parametrize("value", [0, 1, 0.5])
def test_a_default_threshold(value: float) -> None:
    message = server(type="session.created", default_threshold=value)

    assert message == m.InterruptionWSSessionCreatedMessage(default_threshold=float(value))


@pytest.mark.parametrize("value", [True, "0.5", -0.1, 1.1, float("nan"), []])
def test_a_default_threshold_outside_its_range(value: object) -> None:
    with pytest.raises(ProtocolError, match="default_threshold"):
        server(type="session.created", default_threshold=value)


def test_an_error_without_code_and_session() -> None:
    message = server(type="error", message="out of memory")

    assert message == m.InterruptionWSErrorMessage(message="out of memory", code=500, session_id="")


def test_an_error_with_nothing_at_all() -> None:
    message = server(type="error", message=None, code=None, session_id=None)

    assert message == m.InterruptionWSErrorMessage(message="", code=500, session_id="")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("code", "429"),
        ("code", True),
        ("code", 0),
        ("code", 2**40),
        ("message", 5),
        ("message", {}),
        ("session_id", 5),
    ],
)
def test_an_error_with_fields_of_the_wrong_type(field: str, value: object) -> None:
    with pytest.raises(ProtocolError, match=field):
        server(**{"type": "error", "message": "x", field: value})


def test_a_lone_surrogate_is_made_printable() -> None:
    message = m.decode_server(r'{"type":"error","message":"half \ud83d"}')

    assert message == m.InterruptionWSErrorMessage(message="half ?")


# ---- what the protocol doesn't know


def test_an_unknown_type_is_named_with_its_fields() -> None:
    assert server(type="session.resumed", a=1, b=2) == m.UnknownMessage(
        type="session.resumed", fields=("a", "b")
    )
    assert client(type="session.pause", why="?") == m.UnknownMessage(
        type="session.pause", fields=("why",)
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "session.created"},
        {"type": "session.closed"},
        {"type": "inference_done", "created_at": 1},
        {"type": "bargein_detected", "created_at": 1},
        {"type": "error"},
    ],
)
def test_extra_fields_are_named(fields: dict[str, Any]) -> None:
    message = server(**fields, region="eu", build=3)

    assert not isinstance(message, m.UnknownMessage)
    assert message.extra == ("region", "build")


def test_of_many_or_long_names_only_the_first_are_kept() -> None:
    names = {f"{index:03}" + "x" * 1000: 0 for index in range(100)}

    message = server(type="y" * 1000, **names)

    assert isinstance(message, m.UnknownMessage)
    assert len(message.fields) == 16
    assert {len(name) for name in message.fields} == {100}
    assert len(message.type) == 100


@pytest.mark.parametrize("kind", [None, 5, [], {}, True])
def test_a_type_that_is_no_string(kind: object) -> None:
    with pytest.raises(ProtocolError, match="type"):
        server(type=kind)
    with pytest.raises(ProtocolError, match="type"):
        client(type=kind)


# ---- what a client says


def test_session_create_is_read() -> None:
    message = client(type="session.create", settings=SETTINGS | {"vad": True}, trace="x")

    assert message == m.InterruptionWSSessionCreateMessage(
        settings=m.InterruptionWSSessionCreateSettings(threshold=0.5, min_frames=2),
        extra=("trace", "settings.vad"),
    )


def test_session_close_is_read() -> None:
    assert client(type="session.close", why=1) == m.InterruptionWSSessionCloseMessage(
        extra=("why",)
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sample_rate", None),
        ("sample_rate", 0),
        ("num_channels", "1"),
        ("min_frames", 2.5),
        ("threshold", 2),
        ("encoding", 16),
    ],
)
def test_settings_of_the_wrong_type(field: str, value: object) -> None:
    with pytest.raises(ProtocolError, match=field):
        client(type="session.create", settings=SETTINGS | {field: value})


@pytest.mark.parametrize("settings", [None, [], "s16le"])
def test_settings_that_are_no_object(settings: object) -> None:
    with pytest.raises(ProtocolError, match="settings is"):
        client(type="session.create", settings=settings)


# ---- what can't be understood at all


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "hello",
        b"\xff\xfe",
        b'{"type":"\xff"}',
        '{"type":"error"}'.encode("utf-16"),
        '{"a":1}x',
        "[" * 100_000,
        '{"a":' * 50_000,
        pytest.param("1" * 5000, id="a number that Python won't parse"),
    ],
)
def test_undecodable_text(text: str | bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        m.decode_server(text)

    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["[]", "5", "null", '"x"', "true", "NaN"])
def test_json_that_is_no_object(text: str) -> None:
    with pytest.raises(ProtocolError, match="expected"):
        m.decode_server(text)


def test_a_text_above_the_limit_is_not_even_parsed() -> None:
    text = '{"type":"error","message":"' + "x" * MAX_REPLY_BYTES + '"}'

    with pytest.raises(ProtocolError, match="1048576"):
        m.decode_server(text)


def one_outcome(decode: Any, text: str | bytes) -> None:
    outcome: object
    try:
        outcome = decode(text)
    except ProtocolError as error:
        outcome = error

    assert isinstance(outcome, ProtocolError) or attrs.has(type(outcome))
    assert str(outcome).encode()  # whatever it is, a log can hold it


@given(st.binary() | st.text())
def test_any_text_gives_a_message_or_a_protocol_error(text: str | bytes) -> None:
    one_outcome(m.decode_server, text)
    one_outcome(m.decode_client, text)


NAMES = [
    *("type", "settings", "default_threshold", "created_at", "prediction_duration"),
    *("probabilities", "message", "code", "session_id", "sample_rate", "num_channels"),
    *("threshold", "min_frames", "encoding"),
]
scalars = (
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(-(2**70), 2**70) | ids | unit
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=3),
)
kinds = st.sampled_from([kind.value for kind in m.InterruptionWSMessageType]) | scalars
objects = st.dictionaries(st.sampled_from(NAMES), values)


@given(kinds, objects, objects)
def test_any_object_gives_a_message_or_a_protocol_error(
    kind: Any, fields: dict[str, Any], settings: dict[str, Any]
) -> None:
    text = json.dumps(fields | {"type": kind, "settings": settings})

    one_outcome(m.decode_server, text)
    one_outcome(m.decode_client, text)
