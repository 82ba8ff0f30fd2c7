"""Session descriptions: what softphones offer, what is answered, what can't be had."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.errors import ProtocolError
from bargein.telephony.codecs.sdp import Offer, answer, parse_offer

from .feeding import complaint


def lines(*added: str, media: str = "m=audio 4000 RTP/AVP 0 8 101") -> str:
    return "\r\n".join(
        [
            "v=0",
            "o=- 1 1 IN IP4 192.0.2.7",
            "s=-",
            "c=IN IP4 192.0.2.7",
            "t=0 0",
            media,
            *added,
            "",
        ]
    )


DTMF = "a=rtpmap:101 telephone-event/8000"


def test_an_offer() -> None:
    assert parse_offer(lines(DTMF, "a=fmtp:101 0-15", "a=ptime:20")) == Offer(
        "192.0.2.7", 4000, 0, 101, "sendrecv", ("audio",), 0
    )


@pytest.mark.parametrize(
    ("media", "added", "law", "dtmf"),
    [
        ("m=audio 4000 RTP/AVP 8 0", (), 8, None),
        ("m=audio 4000 RTP/AVP 9 111 8 96 97", ("a=rtpmap:96 TELEPHONE-EVENT/8000",), 8, 96),
        ("m=audio 4000 RTP/AVP 0 96 97", ("a=rtpmap:97 telephone-event/8000",), 0, 97),
        (
            "m=audio 4000 RTP/AVP 0 101",
            ("a=rtpmap:0 pcmu/8000", "a=rtpmap:101 opus/48000/2"),
            0,
            None,
        ),
        ("m=audio 4000/2 RTP/AVP 0 x", ("a=rtpmap:nonsense",), 0, None),
        ("m=audio 4000 RTP/AVP 0 500", ("a=rtpmap:500 telephone-event/8000",), 0, None),
        (
            "m=audio 4000 RTP/AVP 0 96 97",
            ("a=rtpmap:96 telephone-event/8000", "a=rtpmap:97 telephone-event/8000"),
            0,
            96,
        ),
    ],
)
def test_formats(media: str, added: tuple[str, ...], law: int, dtmf: int | None) -> None:
    offer = parse_offer(lines(*added, media=media))

    assert (offer.payload_type, offer.dtmf) == (law, dtmf)
    assert offer.encoding == ("mulaw" if law == 0 else "alaw")


@pytest.mark.parametrize(
    ("direction", "answered", "held"),
    [
        ("sendrecv", "sendrecv", False),
        ("sendonly", "recvonly", True),
        ("recvonly", "sendonly", False),
        ("inactive", "inactive", True),
    ],
)
def test_hold(direction: str, answered: str, held: bool) -> None:
    offer = parse_offer(lines(f"a={direction}"))
    early = parse_offer(lines().replace("t=0 0", f"t=0 0\r\na={direction}"))

    assert offer.held is early.held is held
    assert f"a={answered}\r\n" in answer(offer, "192.0.2.1", 5000, 7, 1)


def test_hold_as_it_was_done_of_old() -> None:
    assert parse_offer(lines("c=IN IP4 0.0.0.0")).held


def test_an_answer() -> None:
    offer = parse_offer(lines(DTMF, media="m=video 9 RTP/SAVPF 96\r\nm=audio 4000 RTP/AVP 8 101"))

    assert answer(offer, "192.0.2.1", 5000, 7, 2).split("\r\n") == [
        "v=0",
        "o=- 7 2 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP4 192.0.2.1",
        "t=0 0",
        "m=video 0 RTP/SAVPF 0",
        "m=audio 5000 RTP/AVP 8 101",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=sendrecv",
        "",
    ]


def test_an_answer_over_ipv6_without_keys() -> None:
    offer = parse_offer(lines("c=IN IP6 2001:db8::1", media="m=audio 4000 RTP/AVP 0"))

    text = answer(offer, "2001:db8::2", 5000, 7, 1)

    assert offer.address == "2001:db8::1"
    assert "c=IN IP6 2001:db8::2\r\n" in text
    assert "m=audio 5000 RTP/AVP 0\r\n" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected an m=audio line"),
        (lines(media="m=audio 0 RTP/AVP 0"), "expected an m=audio line"),
        (lines(media="m=audio 4000 RTP/SAVP 0"), "expected an m=audio line"),
        (lines(media="m=audio x RTP/AVP 0"), "expected m=audio PORT"),
        (lines(media="m=audio 99999 RTP/AVP 0"), "expected m=audio PORT"),
        (lines(media="m=audio 4000"), "expected m=audio PORT"),
        (lines(media="m=audio 4000 RTP/AVP 9 111"), "expected PCMU or PCMA"),
        (
            lines(media="m=audio 4000 RTP/AVP 0")
            .replace("0 RTP", "1 RTP")
            .replace("c=IN IP4 192.0.2.7", "c=IN IP4 evil.example"),
            "expected an IP address",
        ),
        (lines("c="), ""),
        ("a=x\n" * 300, "got 300 lines"),
    ],
)
def test_what_cant_be_had(text: str, said: str) -> None:
    if not said:
        assert parse_offer(text).address == "192.0.2.7"
        return
    assert said in complaint(lambda: parse_offer(text))


WORDS = st.sampled_from(
    [
        "m=audio 4000 RTP/AVP 0",
        "m=",
        "a=rtpmap:0 PCMA/8000",
        "a=sendonly",
        "c=IN IP4 1.2.3.4",
        "c=",
        "a=rtpmap:101 telephone-event/8000",
        "m=audio 1 RTP/AVP 101 8",
        "=",
        "a=rtpmap:²",
    ]
)


@given(st.lists(WORDS | st.text(max_size=20), max_size=10))
def test_any_text_gives_an_offer_or_a_protocol_error(parts: list[str]) -> None:
    try:
        offer = parse_offer("\n".join(parts))
    except ProtocolError:
        return
    assert answer(offer, "1.2.3.4", 1, 1, 1)
