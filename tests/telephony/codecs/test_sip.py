"""SIP messages: read, answered, refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.errors import ProtocolError
from bargein.telephony.codecs.sip import Request, Response, parse_message, request, uri_of

from .feeding import complaint

INVITE = (
    b"INVITE sip:bot@192.0.2.1:5060 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK776;rport\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bKother\r\n"
    b"Record-Route: <sip:proxy;lr>\r\n"
    b'f: "Ann; tag=no" <sip:ann@192.0.2.7;tag=neither>;tag=88sja8x\r\n'
    b"To: <sip:bot@192.0.2.1>\r\n"
    b"i: 987asjd97y7atg\r\n"
    b"CSeq: 986759 INVITE\r\n"
    b"Subject: a\r\n"
    b"\t folded line\r\n"
    b"Content-Length: 5\r\n"
    b"\r\n"
    b"v=0\r\nmore"
)


def test_a_request() -> None:
    message = parse_message(INVITE)

    assert isinstance(message, Request)
    assert (message.method, message.uri) == ("INVITE", "sip:bot@192.0.2.1:5060")
    assert (message.call_id, message.cseq) == ("987asjd97y7atg", (986759, "INVITE"))
    assert (message.branch, message.tag("from"), message.tag("to")) == ("z9hG4bK776", "88sja8x", "")
    assert message.get("subject") == "a folded line"
    assert message.body == "v=0\r\n"
    assert len(message.all("via")) == 2


def test_its_reply() -> None:
    message = parse_message(INVITE)
    assert isinstance(message, Request)

    assert message.reply(200, to_tag="ours", contact="sip:b@h", body="v=0\r\n").decode() == (
        "SIP/2.0 200 OK\r\n"
        "Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK776;rport\r\n"
        "Via: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bKother\r\n"
        "Record-Route: <sip:proxy;lr>\r\n"
        'From: "Ann; tag=no" <sip:ann@192.0.2.7;tag=neither>;tag=88sja8x\r\n'
        "To: <sip:bot@192.0.2.1>;tag=ours\r\n"
        "Call-ID: 987asjd97y7atg\r\n"
        "CSeq: 986759 INVITE\r\n"
        "Contact: <sip:b@h>\r\n"
        "Content-Type: application/sdp\r\n"
        "Content-Length: 5\r\n"
        "\r\n"
        "v=0\r\n"
    )
    assert b"To: <sip:bot@192.0.2.1>\r\n" in message.reply(100)
    assert b"Allow: X\r\n" in message.reply(200, extra=(("Allow", "X"),))


def test_a_tag_that_is_there_is_kept() -> None:
    message = parse_message(INVITE.replace(b"192.0.2.1>\r\n", b"192.0.2.1>;tag=old\r\n"))
    assert isinstance(message, Request)

    assert b";tag=old\r\n" in message.reply(200, to_tag="new")


def test_a_response() -> None:
    message = parse_message(
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h\r\nFrom: a\r\nTo: b\r\nCall-ID: c\r\n"
        b"CSeq: 1 BYE\r\n\r\n"
    )

    assert isinstance(message, Response)
    assert (message.status, message.branch, message.body) == (200, "", "")


def test_a_request_of_ours_can_be_read() -> None:
    data = request(
        "BYE",
        "sip:ann@192.0.2.7",
        via="192.0.2.1:5060;branch=z9hG4bK1",
        sender="<sip:bot@h>;tag=a",
        to="<sip:ann@h>;tag=b",
        call_id="c",
        cseq=1,
        routes=("<sip:proxy;lr>",),
    )
    message = parse_message(data)

    assert isinstance(message, Request)
    assert (message.method, message.tag("to"), message.branch) == ("BYE", "b", "z9hG4bK1")
    assert message.get("route") == "<sip:proxy;lr>"


@pytest.mark.parametrize(
    ("value", "uri"),
    [
        ('"A" <sip:a@b;x>;tag=1', "sip:a@b;x"),
        ("sip:a@b;tag=1", "sip:a@b"),
        ("<sip:a@b", "sip:a@b"),
    ],
)
def test_uris(value: str, uri: str) -> None:
    assert uri_of(value) == uri


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"INVITE", b"\xff\xfe", "expected text"),
        (b"SIP/2.0\r\nv", b"HTTP/1.1\r\nv", "expected METHOD URI SIP/2.0"),
        (b"INVITE sip", b"IN<>TE sip", "expected METHOD URI SIP/2.0"),
        (b"INVITE sip", b"ACK sip", "got ACK with CSeq"),
        (b"To: <sip:bot@192.0.2.1>", b"X: y", "without to"),
        (b"986759 INVITE", b"many INVITE", "expected a number and a method"),
        (b"Length: 5", b"Length: 50", "Content-Length '50'"),
        (b"Length: 5", b"Length: -1", "Content-Length '-1'"),
        (b"Subject: a", b"Subject", "expected NAME: VALUE"),
        (b"Subject: a", b"Subject: a\nEvil: b", "expected NAME: VALUE"),
        (b"Subject: a", b"Subject: a\rEvil: b", "expected NAME: VALUE"),
        (b"Subject: a", b": a", "expected NAME: VALUE"),
        (b"Subject: a\r\n", b"Subject: a\r\n" * 120, "129 header lines"),
        (b"v=0", b"x" * 9_000, "expected at most 8192"),
    ],
)
def test_what_is_refused(old: bytes, new: bytes, said: str) -> None:
    assert said in complaint(lambda: parse_message(INVITE.replace(old, new, 1)))


@pytest.mark.parametrize("line", [b"SIP/2.0", b"SIP/2.0 20 OK", b"SIP/2.0 999 OK"])
def test_status_lines_that_are_none(line: bytes) -> None:
    data = line + b"\r\nVia: v\r\nFrom: a\r\nTo: b\r\nCall-ID: c\r\nCSeq: 1 BYE\r\n\r\n"
    assert "status line" in complaint(lambda: parse_message(data))


@given(st.binary(max_size=300), st.integers(0, len(INVITE)), st.integers(0, 40))
def test_any_bytes_give_a_message_or_a_protocol_error(noise: bytes, at: int, cut: int) -> None:
    for data in (noise, INVITE[:at] + noise + INVITE[at + cut :]):
        try:
            message = parse_message(data)
        except ProtocolError:
            continue
        assert message.cseq[0] >= 0
        if isinstance(message, Request):
            message.reply(200, to_tag="t")
