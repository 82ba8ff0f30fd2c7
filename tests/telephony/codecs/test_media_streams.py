"""Twilio's family: each vendor's published sequence, and what no vendor sends."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bargein.audio.formats import AudioFormat
from bargein.errors import ProtocolError
from bargein.telephony.codecs.dialects import DIALECTS, EXOTEL, PLIVO, TELNYX, TWILIO, Dialect
from bargein.telephony.codecs.events import (
    Audio,
    Cleared,
    Digit,
    Ended,
    Event,
    Gap,
    Ignored,
    MarkReached,
    Started,
)
from bargein.telephony.codecs.media_streams import MediaStream

from .feeding import complaint

SOUND = bytes(range(160))
SOUND64 = base64.b64encode(SOUND).decode()


def told(dialect: Dialect, *messages: dict[str, Any]) -> list[Event]:
    stream = MediaStream(dialect)
    return [event for message in messages for event in stream.receive(json.dumps(message))]


TWILIO_START = {
    "event": "start",
    "sequenceNumber": "1",
    "start": {
        "accountSid": "AC1",
        "streamSid": "MZ1",
        "callSid": "CA1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"who": "Ann"},
    },
    "streamSid": "MZ1",
}


def test_twilio() -> None:
    events = told(
        TWILIO,
        {"event": "connected", "protocol": "Call", "version": "1.0.0"},
        TWILIO_START,
        {
            "event": "media",
            "sequenceNumber": "3",
            "media": {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": SOUND64},
            "streamSid": "MZ1",
        },
        {"event": "media", "media": {"track": "outbound", "payload": SOUND64}, "streamSid": "MZ1"},
        {"event": "dtmf", "streamSid": "MZ1", "dtmf": {"track": "inbound_track", "digit": "1"}},
        {"event": "mark", "streamSid": "MZ1", "mark": {"name": "m"}},
        {"event": "stop", "streamSid": "MZ1", "stop": {"callSid": "CA1"}},
    )

    assert events == [
        Started(
            "MZ1",
            AudioFormat(8_000, 1, "mulaw"),
            160,
            {"streamSid": "MZ1", "callSid": "CA1", "customParameters.who": "Ann"},
        ),
        Audio(SOUND),
        Digit("1"),
        MarkReached("m"),
        Ended("stop"),
    ]


def test_what_twilio_is_sent() -> None:
    stream = MediaStream(TWILIO)
    stream.receive(json.dumps(TWILIO_START))

    assert json.loads(stream.media(SOUND)) == {
        "event": "media",
        "streamSid": "MZ1",
        "media": {"payload": SOUND64},
    }
    assert json.loads(stream.mark("m")) == {
        "event": "mark",
        "streamSid": "MZ1",
        "mark": {"name": "m"},
    }
    assert json.loads(stream.clear()) == {"event": "clear", "streamSid": "MZ1"}


def telnyx_media(chunk: int, data: bytes = SOUND) -> dict[str, Any]:
    return {
        "event": "media",
        "sequence_number": str(chunk + 1),
        "stream_id": "32DE",
        "media": {
            "track": "inbound",
            "chunk": str(chunk),
            "timestamp": "5",
            "payload": base64.b64encode(data).decode(),
        },
    }


TELNYX_START = {
    "event": "start",
    "sequence_number": "1",
    "stream_id": "32DE",
    "start": {
        "user_id": "secret",
        "call_control_id": "v2:T02",
        "from": "+13122010094",
        "media_format": {"encoding": "PCMA", "sample_rate": 8000, "channels": 1},
    },
}


def test_telnyx() -> None:
    events = told(
        TELNYX,
        {"event": "connected", "version": "1.0.0"},
        TELNYX_START,
        telnyx_media(1, b"a"),
        {"event": "dtmf", "stream_id": "32DE", "sequence_number": "5", "dtmf": {"digit": "#"}},
        {"event": "mark", "stream_id": "32DE", "mark": {"name": "m"}},
        {"event": "stop", "stream_id": "32DE", "stop": {}},
    )

    assert events == [
        Started(
            "32DE",
            AudioFormat(8_000, 1, "alaw"),
            160,
            {"call_control_id": "v2:T02", "from": "+13122010094"},
        ),
        Audio(b"a"),
        Digit("#"),
        MarkReached("m"),
        Ended("stop"),
    ]


def test_telnyx_doesnt_keep_the_order_so_it_is_made() -> None:
    events = told(
        TELNYX,
        TELNYX_START,
        *(telnyx_media(n, bytes([n])) for n in (1, 3, 2, 5, 6, 7, 8, 9, 10, 12)),
        {"event": "stop"},
    )

    assert events[1:4] == [Audio(b"\1"), Audio(b"\2"), Audio(b"\3")]
    assert events[4:6] == [Gap(1), Audio(b"\5")]
    assert events[-3:] == [Gap(1), Audio(b"\x0c"), Ended("stop")]


def test_what_telnyx_is_sent() -> None:
    stream = MediaStream(TELNYX)
    stream.receive(json.dumps(TELNYX_START))

    assert json.loads(stream.media(b"")) == {"event": "media", "media": {"payload": ""}}
    assert json.loads(stream.clear()) == {"event": "clear"}


PLIVO_START = {
    "sequenceNumber": 0,
    "event": "start",
    "start": {
        "callId": "c-1",
        "streamId": "s-1",
        "accountId": "MA1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-l16", "sampleRate": 16000},
    },
    "extra_headers": "userId=12345",
}


def test_plivo() -> None:
    events = told(
        PLIVO,
        PLIVO_START,
        {"event": "media", "media": {"track": "inbound", "chunk": 1, "payload": SOUND64}},
        {"event": "dtmf", "dtmf": {"track": "inbound", "digit": 4}},
        {"event": "playedStream", "streamId": "s-1", "name": "m"},
        {"event": "clearedAudio", "streamId": "s-1"},
        {"event": "stop"},
    )

    assert events == [
        Started(
            "s-1",
            AudioFormat(16_000),
            320,
            {"callId": "c-1", "streamId": "s-1", "extra_headers": "userId=12345"},
        ),
        Audio(SOUND),
        Digit("4"),
        MarkReached("m"),
        Cleared(),
        Ended("stop"),
    ]


def test_what_plivo_is_sent() -> None:
    stream = MediaStream(PLIVO)
    stream.receive(json.dumps(PLIVO_START))

    assert json.loads(stream.media(SOUND)) == {
        "event": "playAudio",
        "streamId": "s-1",
        "media": {"contentType": "audio/x-l16", "sampleRate": 16000, "payload": SOUND64},
    }
    assert json.loads(stream.mark("m")) == {"event": "checkpoint", "streamId": "s-1", "name": "m"}
    assert json.loads(stream.clear()) == {"event": "clearAudio", "streamId": "s-1"}


def test_exotel() -> None:
    start = {
        "event": "start",
        "sequence_number": 1,
        "stream_sid": "e-1",
        "start": {
            "stream_sid": "e-1",
            "account_sid": "x",
            "from": "09",
            "media_format": {"encoding": "base64", "sample_rate": "8000", "bit_rate": "128kbps"},
        },
    }

    events = told(
        EXOTEL,
        {"event": "connected"},
        start,
        {"event": "media", "stream_sid": "e-1", "media": {"chunk": 2, "payload": SOUND64}},
        {"event": "clear", "stream_sid": "e-1"},
        {"event": "stop", "stream_sid": "e-1", "stop": {"reason": "callended"}},
    )

    assert events == [
        Started("e-1", AudioFormat(8_000), 160, {"stream_sid": "e-1", "from": "09"}),
        Audio(SOUND),
        Ignored("event 'clear'"),
        Ended("stop"),
    ]


def test_a_start_that_says_little_is_the_dialects_usual() -> None:
    (started,) = told(TWILIO, {"event": "start", "streamSid": "MZ1", "start": {}})

    assert started == Started("MZ1", AudioFormat(8_000, 1, "mulaw"), 160, {})
    evolved = attrs.evolve(TWILIO, default=AudioFormat(16_000))
    start = {"event": "start", "streamSid": "MZ1", "start": {"mediaFormat": {}}}
    (started,) = told(evolved, start)
    assert isinstance(started, Started)
    assert started.format == AudioFormat(16_000)


def test_empty_audio_and_an_error_message() -> None:
    error = {"event": "error", "payload": {"code": 100002, "title": "unknown_error"}}
    (event,) = told(TELNYX, TELNYX_START, telnyx_media(1, b""), error)[1:]

    assert isinstance(event, Ignored)
    assert "'payload.code': '100002'" in event.what


def test_media_without_a_number_isnt_put_in_order() -> None:
    media = {"event": "media", "media": {"payload": SOUND64, "chunk": "soon"}}
    assert told(TELNYX, TELNYX_START, media)[1:] == [Audio(SOUND)]


def test_details_are_bounded_and_flat() -> None:
    deep: dict[str, Any] = {}
    for _ in range(40):
        deep = {"x": deep, "y": 1}
    start = {"n" * 1000: "v" * 1000, **{f"k{n}": n for n in range(200)}, "deep": deep, "list": []}

    (started,) = told(TWILIO, {"event": "start", "streamSid": "MZ1", "start": start})

    assert isinstance(started, Started)
    assert len(started.details) == 64
    assert max(len(text) for pair in started.details.items() for text in pair) == 256
    shallow = told(TWILIO, {"event": "start", "streamSid": "M", "start": {"no": [], "deep": deep}})[
        0
    ]
    assert isinstance(shallow, Started)
    assert len(shallow.details) == 31


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda d: str(d.name))
@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (["{"], "expected a JSON object"),
        (["[1]"], "expected a JSON object"),
        (["[" * 100_000], "expected a JSON object"),
        (["x" * (1 << 20) + "x"], "expected at most 1048576"),
        ([b"\0\1"], "a binary message of 2 bytes"),
        ([{"event": "media", "media": {"payload": ""}}], "got audio before start"),
        ([{"event": "dtmf", "dtmf": {"digit": "1"}}], "before start, expected start"),
        ([{"event": None}], "got None before start"),
        ([{"event": "start"}], "got None as 'start'"),
        ([{"event": "start", "start": {}}], "a start without"),
        (["START", "START"], "a second start"),
        (["START", {"event": "media"}], "as 'media', expected an object"),
        (["START", {"event": "media", "media": {}}], "got None as payload"),
        (["START", {"event": "media", "media": {"payload": "?"}}], "got '?' as payload"),
        (["START", {"event": "media", "media": {"payload": "\u00e9"}}], "as payload"),
        (["START", {"event": "dtmf", "dtmf": 5}], "got 5 as 'dtmf'"),
    ],
)
def test_what_is_refused(dialect: Dialect, messages: list[Any], said: str) -> None:
    start = json.dumps({"event": "start", dialect.stream_id: "id", "start": {}})
    stream = MediaStream(dialect)

    def feed() -> None:
        for message in messages:
            if message == "START":
                message = start
            stream.receive(json.dumps(message) if isinstance(message, dict) else message)

    assert said in complaint(feed)


@pytest.mark.parametrize(
    ("fmt", "said"),
    [
        ({"encoding": "opus"}, "encoding 'opus'"),
        ({"encoding": "audio/x-mulaw", "channels": 2}, "with 2 channel(s)"),
        ({"encoding": "audio/x-mulaw", "sampleRate": 4000}, "sample_rate must be"),
        ({"encoding": "audio/x-mulaw", "sampleRate": -8000}, "got sampleRate -8000, expected a"),
        ({"encoding": "audio/x-mulaw", "sampleRate": "8 kHz"}, "got sampleRate '8 kHz', expected"),
        ({"encoding": "audio/x-mulaw", "channels": [1]}, "got channels [1], expected a whole"),
    ],
)
def test_audio_that_cant_be_read(fmt: dict[str, Any], said: str) -> None:
    start = {"event": "start", "streamSid": "MZ1", "start": {"mediaFormat": fmt}}
    assert said in complaint(lambda: told(TWILIO, start))


def test_half_a_sample_is_refused() -> None:
    half = {"event": "media", "media": {"payload": base64.b64encode(b"abc").decode()}}
    assert "got 3 bytes of audio" in complaint(lambda: told(PLIVO, PLIVO_START, half))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "event",
                    "start",
                    "media",
                    "mark",
                    "dtmf",
                    "payload",
                    "digit",
                    "name",
                    "chunk",
                    "mediaFormat",
                    "media_format",
                    "encoding",
                    "sampleRate",
                    "streamSid",
                    "track",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
EVENTS = st.sampled_from(
    ["start", "media", "mark", "dtmf", "stop", "connected", "playedStream", "clearedAudio", "x"]
)


@settings(max_examples=30)
@given(
    st.sampled_from(list(DIALECTS.values())),
    st.lists(st.tuples(EVENTS, st.dictionaries(st.text(max_size=4), JSON) | JSON), max_size=4),
    st.booleans(),
)
def test_any_json_gives_events_or_a_protocol_error(
    dialect: Dialect, messages: list[tuple[str, Any]], begun: bool
) -> None:
    stream = MediaStream(dialect)
    if begun:
        stream.receive(json.dumps({"event": "start", dialect.stream_id: "id", "start": {}}))
    try:
        for event, value in messages:
            fields = value if isinstance(value, dict) else {event: value}
            stream.receive(json.dumps({**fields, "event": event}))
    except ProtocolError:
        pass


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_any_text_gives_events_or_a_protocol_error(message: str | bytes) -> None:
    with contextlib.suppress(ProtocolError):
        MediaStream(TWILIO).receive(message)
