"""Answering calls: dialogs as transcripts, retransmissions by a made-up clock."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bargein.errors import ProtocolError
from bargein.telephony.codecs.sip import Request, Response, parse_message
from bargein.telephony.codecs.sip_calls import (
    KEPT_REPLIES,
    Action,
    Changed,
    Invited,
    Over,
    Send,
    SipCalls,
)

PEER = ("192.0.2.7", 5060)
SDP = "v=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 4000 RTP/AVP {law} 101\r\na={way}\r\n"


def sdp(way: str = "sendrecv", law: int = 0) -> str:
    return SDP.format(way=way, law=law)


def message(
    method: str,
    *,
    call: str = "c1",
    cseq: int = 1,
    to_tag: str = "",
    branch: str = "",
    body: str = "",
    extra: str = "",
) -> bytes:
    tag = f";tag={to_tag}" if to_tag else ""
    return (
        f"{method} sip:bot@192.0.2.1 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK{branch or f'{call}{cseq}{method}'}\r\n"
        f"From: <sip:ann@192.0.2.7>;tag=theirs\r\nTo: <sip:bot@192.0.2.1>{tag}\r\n"
        f"Call-ID: {call}\r\nCSeq: {cseq} {method}\r\n{extra}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def calls(max_calls: int = 10) -> SipCalls:
    return SipCalls("192.0.2.1:5060", b"seed", max_calls)


def said(actions: list[Action]) -> list[Any]:
    """Return sent messages as their status or method, other actions as they are."""
    found: list[Any] = []
    for action in actions:
        if isinstance(action, Send):
            parsed = parse_message(action.data)
            found.append(parsed.method if isinstance(parsed, Request) else parsed.status)
        else:
            found.append(type(action).__name__)
    return found


def reply(actions: list[Action]) -> Response:
    parsed = parse_message(next(a.data for a in actions if isinstance(a, Send)))
    assert isinstance(parsed, Response)
    return parsed


def answered(sip: SipCalls, call: str = "c1", *, ack: bool = True) -> str:
    """Bring a call to life and return our tag."""
    sip.receive(message("INVITE", call=call, body=sdp()), PEER, 0.0)
    tag = reply(sip.accept(call, ("192.0.2.1", 7000), 0.0)).tag("to")
    if ack:
        assert sip.receive(message("ACK", call=call, to_tag=tag), PEER, 0.0) == []
    return tag


def test_a_call_and_its_hangup() -> None:
    sip = calls()
    actions = sip.receive(message("INVITE", body=sdp()), PEER, 0.0)

    assert said(actions) == [100, "Invited"]
    invited = actions[1]
    assert isinstance(invited, Invited)
    assert (invited.caller, invited.called) == ("sip:ann@192.0.2.7", "sip:bot@192.0.2.1")
    assert (invited.offer.address, invited.offer.port) == ("192.0.2.7", 4000)
    ok = reply(sip.accept("c1", ("192.0.2.1", 7000), 0.0))
    assert ok.status == 200
    assert "m=audio 7000 RTP/AVP 0\r\n" in ok.body
    assert ok.get("contact") == "<sip:bargein@192.0.2.1:5060>"
    tag = ok.tag("to")
    assert sip.deadline() == 0.5
    sip.receive(message("ACK", to_tag=tag), PEER, 0.1)
    assert sip.deadline() is None
    assert said(sip.receive(message("BYE", cseq=2, to_tag=tag), PEER, 5.0)) == [200, "Over"]
    assert len(sip) == 0


def test_an_answer_is_sent_again_until_it_is_acknowledged() -> None:
    sip = calls()
    answered(sip, ack=False)

    times = []
    now = 0.0
    for _ in range(4):
        now = sip.deadline() or 0.0
        assert sip.due(now - 0.01) == []
        assert said(sip.due(now)) == [200]
        times.append(now)
    assert times == [0.5, 1.5, 3.5, 7.5]


def test_a_caller_who_never_acknowledges_is_gone() -> None:
    sip = calls()
    answered(sip, ack=False)

    assert said(sip.due(32.0)) == ["Over", "BYE"]
    assert said(sip.due(32.5)) == ["BYE"]
    assert sip.due(64.0 + 32.0) == []
    assert len(sip) == 0


def test_requests_that_come_again_get_the_same_reply() -> None:
    sip = calls()
    first = sip.receive(message("INVITE", body=sdp()), PEER, 0.0)
    ok = sip.accept("c1", ("192.0.2.1", 7000), 0.0)

    assert said(first) == [100, "Invited"]
    assert sip.receive(message("INVITE", body=sdp()), PEER, 0.1) == ok
    tag = reply(ok).tag("to")
    bye = sip.receive(message("BYE", cseq=2, to_tag=tag), PEER, 1.0)
    assert sip.receive(message("BYE", cseq=2, to_tag=tag), PEER, 1.5) == bye[:1]


def test_hold_and_resume() -> None:
    sip = calls()
    tag = answered(sip)

    held = sip.receive(message("INVITE", cseq=2, to_tag=tag, body=sdp("sendonly")), PEER, 1.0)
    assert said(held) == [200, "Changed"]
    assert "a=recvonly" in reply(held).body
    assert isinstance(held[1], Changed)
    assert held[1].offer.held
    sip.receive(message("ACK", cseq=2, to_tag=tag), PEER, 1.0)
    back = sip.receive(message("INVITE", cseq=3, to_tag=tag, body=sdp()), PEER, 2.0)
    assert isinstance(back[1], Changed)
    assert not back[1].offer.held
    assert " 3 IN IP4" in reply(back).body


def test_offers_that_cant_be_taken() -> None:
    sip = calls()
    tag = answered(sip)

    def status(*, cseq: int, to_tag: str, body: str) -> list[Any]:
        invite = message("INVITE", cseq=cseq, to_tag=to_tag, body=body, branch=f"n{cseq}")
        return said(sip.receive(invite, PEER, 1.0))

    assert status(cseq=2, to_tag=tag, body=sdp(law=8)) == [488]
    assert status(cseq=3, to_tag=tag, body=sdp(law=9)) == [488]
    assert status(cseq=4, to_tag=tag, body="") == [488]
    assert status(cseq=1, to_tag=tag, body=sdp()) == [481]
    assert status(cseq=5, to_tag="else", body=sdp()) == [481]
    new = message("INVITE", call="c9", body="")
    assert said(sip.receive(new, PEER, 1.0)) == [488]
    stray = message("INVITE", call="c8", to_tag="x", body=sdp())
    assert said(sip.receive(stray, PEER, 1.0)) == [481]
    assert len(sip) == 1


def test_busy_and_refused() -> None:
    sip = calls(max_calls=1)
    answered(sip)

    assert said(sip.receive(message("INVITE", call="c2", body=sdp()), PEER, 0.0)) == [486]
    other = calls()
    other.receive(message("INVITE", body=sdp()), PEER, 0.0)
    assert said(other.refuse("c1", 503)) == [503]
    assert len(other) == 0


def test_we_hang_up() -> None:
    sip = calls()
    sip.receive(
        message(
            "INVITE",
            body=sdp(),
            extra="Contact: <sip:ann@192.0.2.9:5070>\r\nRecord-Route: <sip:p;lr>\r\n",
        ),
        PEER,
        0.0,
    )
    tag = reply(sip.accept("c1", ("192.0.2.1", 7000), 0.0)).tag("to")
    (sent,) = sip.hang_up("c1", 1.0)

    assert isinstance(sent, Send)
    bye = parse_message(sent.data)
    assert isinstance(bye, Request)
    assert (bye.method, bye.uri, bye.get("route")) == (
        "BYE",
        "sip:ann@192.0.2.9:5070",
        "<sip:p;lr>",
    )
    assert (bye.tag("from"), bye.tag("to")) == (tag, "theirs")
    assert sip.hang_up("c1", 1.0) == []
    assert sip.hang_up("nobody", 1.0) == []
    assert said(sip.due(1.5)) == ["BYE"]
    for status, left in ((100, 1), (200, 0)):
        line = f"SIP/2.0 {status} OK\r\nVia: {bye.get('via')}\r\nFrom: {bye.get('from')}\r\n"
        line += f"To: {bye.get('to')}\r\nCall-ID: c1\r\nCSeq: 1 BYE\r\n\r\n"
        assert sip.receive(line.encode(), PEER, 2.0) == []
        assert len(sip) == left
    assert sip.receive(line.encode(), PEER, 2.0) == []


def test_both_hang_up_at_once() -> None:
    sip = calls()
    tag = answered(sip)
    sip.hang_up("c1", 1.0)

    assert said(sip.receive(message("INVITE", cseq=2, to_tag=tag, body=sdp()), PEER, 1.0)) == [481]
    assert said(sip.receive(message("BYE", cseq=3, to_tag=tag), PEER, 1.0)) == [200]


def test_other_requests() -> None:
    sip = calls()
    tag = answered(sip)

    options = sip.receive(message("OPTIONS", call="o"), PEER, 0.0)
    assert said(options) == [200]
    assert reply(options).get("allow") == "INVITE, ACK, BYE, CANCEL, OPTIONS"
    assert said(sip.receive(message("MESSAGE", call="m"), PEER, 0.0)) == [405]
    assert said(sip.receive(message("BYE", call="nobody"), PEER, 0.0)) == [481]
    assert said(sip.receive(message("BYE", cseq=2, to_tag="wrong"), PEER, 0.0)) == [481]
    cancel = message("CANCEL", branch="c11INVITE")
    assert said(sip.receive(cancel, PEER, 0.0)) == [200]
    assert said(sip.receive(message("CANCEL", call="nobody"), PEER, 0.0)) == [481]
    assert sip.receive(message("ACK", call="nobody"), PEER, 0.0) == []
    assert len(sip) == 1
    assert tag


def test_replies_are_kept_for_a_while_only() -> None:
    sip = calls()
    for number in range(KEPT_REPLIES + 50):
        sip.receive(message("OPTIONS", call=f"o{number}"), PEER, 0.0)

    assert len(sip._replies) == KEPT_REPLIES


METHODS = st.sampled_from(["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "MESSAGE"])


@given(
    st.lists(
        st.tuples(
            METHODS,
            st.integers(1, 3),
            st.sampled_from(["", "right", "wrong"]),
            st.sampled_from(["", sdp(), sdp("inactive"), "junk"]),
            st.floats(0, 20),
        ),
        max_size=12,
    )
)
def test_any_order_of_requests(steps: list[tuple[str, int, str, str, float]]) -> None:
    sip = calls()
    now, begun, ended, tag = 0.0, 0, 0, ""
    for method, cseq, to, body, wait in steps:
        now += wait
        data = message(method, cseq=cseq, to_tag=tag if to == "right" else to, body=body)
        actions = [*sip.due(now), *sip.receive(data, PEER, now)]
        for action in actions:
            if isinstance(action, Invited):
                begun += 1
                tag = reply(sip.accept("c1", ("192.0.2.1", 7000), now)).tag("to")
            ended += isinstance(action, Over)
        assert 0 <= begun - ended <= 1


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        calls().receive(data, PEER, 0.0)
