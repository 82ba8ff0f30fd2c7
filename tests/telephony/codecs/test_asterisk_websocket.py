"""chan_websocket: both formats of control messages, framing, marks, and what isn't it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.audio.formats import AudioFormat
from bargein.errors import ProtocolError
from bargein.telephony.codecs.asterisk_websocket import FORMATS, MAX_MESSAGE, AsteriskMedia
from bargein.telephony.codecs.events import (
    Audio,
    Digit,
    Ended,
    Event,
    Flow,
    Ignored,
    MarkReached,
    Started,
)

from .feeding import complaint

PLAIN = (
    "MEDIA_START connection_id:e226 channel:WebSocket/bot channel_id:pbx1-1.9 format:ulaw "
    "optimal_frame_size:160 ptime:20"
)
AS_JSON = json.dumps(
    {
        "event": "MEDIA_START",
        "connection_id": "e226",
        "channel": "WebSocket/bot",
        "channel_id": "pbx1-1.9",
        "format": "ulaw",
        "optimal_frame_size": 160,
        "ptime": 20,
        "channel_variables": {"CALLER": "Ann"},
    },
    indent=1,
)
DETAILS = {"connection_id": "e226", "channel": "WebSocket/bot", "channel_id": "pbx1-1.9"}


def told(*messages: str | bytes) -> list[Event]:
    media = AsteriskMedia()
    return [event for message in messages for event in media.receive(message)]


def begun(start: str = PLAIN) -> AsteriskMedia:
    media = AsteriskMedia()
    media.receive(start)
    return media


def test_plain_text() -> None:
    assert told(
        PLAIN,
        b"\xff" * 160,
        "DTMF_END digit:7",
        "MEDIA_XOFF",
        "MEDIA_XON",
        "MEDIA_MARK_PROCESSED correlation_id:m",
        "MEDIA_MARK_PROCESSED m",
        "STATUS queue_length:43 xon_level:800",
        "QUEUE_DRAINED",
        "MEDIA_BUFFERING_COMPLETED id",
        "NEWS of:tomorrow",
        b"",
    ) == [
        Started("pbx1-1.9", AudioFormat(8_000, 1, "mulaw"), 160, DETAILS),
        Audio(b"\xff" * 160),
        Digit("7"),
        Flow(False),
        Flow(True),
        MarkReached("m"),
        MarkReached("m"),
        Ignored("event 'NEWS' {'of': 'tomorrow'}"),
    ]


def test_json() -> None:
    def event(name: str, **fields: Any) -> str:
        return json.dumps({"event": name, "channel_id": "pbx1-1.9", **fields})

    assert told(
        AS_JSON,
        event("DTMF_END", digit="#"),
        event("MEDIA_XOFF"),
        event("MEDIA_MARK_PROCESSED", correlation_id="m"),
        event("STATUS", queue_length=1),
        event("HANGUP"),
    ) == [
        Started(
            "pbx1-1.9",
            AudioFormat(8_000, 1, "mulaw"),
            160,
            {**DETAILS, "channel_variables.CALLER": "Ann"},
        ),
        Digit("#"),
        Flow(False),
        MarkReached("m"),
        Ended("HANGUP"),
    ]


@pytest.mark.parametrize(("name", "known"), list(FORMATS.items()))
def test_every_format(name: str, known: tuple[Any, int]) -> None:
    (started,) = told(f"MEDIA_START connection_id:x format:{name}")

    assert started == Started(
        "x", AudioFormat(known[1], 1, known[0]), known[1] // 50, {"connection_id": "x"}
    )


def test_commands_are_in_the_calls_own_format() -> None:
    plain, as_json = begun(), begun(AS_JSON)

    assert plain.mark("m") == "MARK_MEDIA m"
    assert plain.clear() == "FLUSH_MEDIA"
    assert plain.hang_up() == "HANGUP"
    assert json.loads(as_json.mark("m")) == {"command": "MARK_MEDIA", "correlation_id": "m"}
    assert json.loads(as_json.clear()) == {"command": "FLUSH_MEDIA"}


def test_audio_leaves_in_whole_frames_and_the_rest_waits() -> None:
    media = begun()

    assert media.media(b"a" * 100) == []
    assert media.media(b"b" * 100) == [b"a" * 100 + b"b" * 60]
    assert media.pad() == [b"b" * 40 + b"\xff" * 120]
    assert media.pad() == []
    media.media(b"c")
    media.clear()
    assert media.pad() == []


def test_long_audio_leaves_in_messages_that_asterisk_takes() -> None:
    media = begun("MEDIA_START connection_id:x format:slin192 optimal_frame_size:7680")

    messages = media.media(bytes(7680 * 30 + 2))

    assert max(len(message) for message in messages) <= MAX_MESSAGE
    assert all(len(message) % 7680 == 0 for message in messages)
    assert sum(len(message) for message in messages) == 7680 * 30


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([b"\0" * 160], "160 bytes of audio before MEDIA_START"),
        (["MEDIA_XON"], "expected MEDIA_START"),
        ([""], "got '' first"),
        (["{"], "expected a JSON object"),
        (["x" * (1 << 20) + "x"], "1048577 characters"),
        ([PLAIN, PLAIN], "a second MEDIA_START"),
        (["MEDIA_START connection_id:x format:opus"], "got format 'opus'"),
        (["MEDIA_START format:ulaw optimal_frame_size:0"], "optimal_frame_size of 0"),
        (["MEDIA_START format:ulaw optimal_frame_size:99999"], "optimal_frame_size of 99999"),
        (["MEDIA_START format:slin optimal_frame_size:161"], "optimal_frame_size of 161"),
        (["MEDIA_START format:slin", b"abc"], "3 bytes of audio"),
    ],
)
def test_what_is_refused(messages: list[str | bytes], said: str) -> None:
    assert said in complaint(lambda: told(*messages))


WORDS = st.sampled_from(
    [
        "MEDIA_START",
        "DTMF_END",
        "MEDIA_XON",
        "format:ulaw",
        "format:",
        ":",
        "digit:5",
        "{",
        "}",
        "optimal_frame_size:160",
        "optimal_frame_size:-1",
        '"event"',
        '"MEDIA_START"',
        ",",
        "\n",
    ]
)


@given(
    st.lists(st.lists(WORDS | st.text(max_size=6), max_size=6).map(" ".join), max_size=4),
    st.binary(max_size=9),
    st.booleans(),
)
def test_anything_gives_events_or_a_protocol_error(
    texts: list[str], audio: bytes, start: bool
) -> None:
    media = begun() if start else AsteriskMedia()
    try:
        for text in texts:
            media.receive(text)
        media.receive(audio)
    except ProtocolError:
        pass
