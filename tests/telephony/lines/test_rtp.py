"""RTP on loopback, with and without SIP: calls, hold, keys, strangers, ends."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from bargein.audio.formats import AudioFormat
from bargein.errors import OptionError
from bargein.telephony import RtpEndpoint, SipAnswerer
from bargein.telephony.codecs.rtp import Packet, RtpSender, parse_packet
from bargein.telephony.codecs.sip import Request, Response, parse_message, request
from bargein.telephony.lines import base
from bargein.telephony.lines import rtp as lines

from .handlers import WAIT, Answerer, Broken, Echo, Handler, refuse

SOUND = bytes(range(160))


def udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(WAIT)
    return sock


@pytest.fixture
def answerer() -> Answerer:
    return Answerer(Echo)


@pytest.fixture
def endpoint(answerer: Answerer) -> Iterator[RtpEndpoint]:
    with RtpEndpoint(answerer, port=0) as endpoint:
        yield endpoint


def test_a_call_without_signalling(endpoint: RtpEndpoint, answerer: Answerer) -> None:
    with closing(udp()) as caller:
        for packet in RtpSender(8, 7).packets(SOUND * 2, 0.0):
            caller.sendto(packet, endpoint.address)
        handler = answerer.wait().wait(lambda h: len(h.audio) == 320)
        line = handler.line
        assert (line.id, line.format) == ("00000007", AudioFormat(8_000, 1, "alaw"))
        assert (line.paced_by_peer, line.marks, line.frame) == (False, False, 160)
        assert line.details["caller"] == f"127.0.0.1:{caller.getsockname()[1]}"
        back = [parse_packet(caller.recv(2_000)) for _ in range(2)]
        assert [p.payload for p in back] == [SOUND, SOUND]
        assert (back[0].payload_type, back[0].marker, back[1].marker) == (8, True, False)
        line.hang_up()
        assert handler.wait_end() == "closed"
        # What is still on its way isn't a new call.
        caller.sendto(Packet(8, 9, 9, 7, False, SOUND).encode(), endpoint.address)
        with closing(udp()) as other:
            other.sendto(Packet(0, 1, 1, 8, False, SOUND).encode(), endpoint.address)
            answerer.wait(2)
        assert endpoint.calls == 1
    assert len(answerer.handlers) == 2


def test_a_caller_who_is_gone_for_long_may_call_again(
    endpoint: RtpEndpoint, answerer: Answerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "FORGET", 0.0)
    with closing(udp()) as caller:
        for number in (1, 2):
            caller.sendto(Packet(0, 9, 9, number, False, SOUND).encode(), endpoint.address)
            handler = answerer.wait(number)
            handler.line.hang_up()
            assert handler.wait_end() == "closed"


def test_loss_keys_and_what_still_waits(endpoint: RtpEndpoint, answerer: Answerer) -> None:
    def packet(number: int, kind: int = 0, payload: bytes = SOUND) -> bytes:
        return Packet(kind, number, number * 160, 7, False, payload).encode()

    with closing(udp()) as caller:
        for number in (1, 3):
            caller.sendto(packet(number), endpoint.address)
        # Nothing follows: the one that waits for number 2 is given out after a while.
        handler = answerer.wait().wait(lambda h: len(h.audio) == 320)
        caller.sendto(packet(4, 101, b"\5\x8a\0\xa0"), endpoint.address)
        handler.wait(lambda h: ("dtmf", "5") in h.told)
        assert handler.others == [("gap", 0.02), ("dtmf", "5")]
        caller.sendto(packet(5, 13, b"\x40"), endpoint.address)
        # Announced silence is made here, as time goes by.
        handler.wait(lambda h: len(h.audio) > 320 + 160)


def test_strangers_and_garbage(endpoint: RtpEndpoint, answerer: Answerer) -> None:
    with closing(udp()) as caller, closing(udp()) as stranger:
        for data in (b"", b"garbage", Packet(96, 1, 1, 1, False, SOUND).encode()):
            stranger.sendto(data, endpoint.address)
        caller.sendto(Packet(0, 1, 1, 1, False, SOUND).encode(), endpoint.address)
        caller.sendto(b"garbage", endpoint.address)
        caller.sendto(Packet(0, 2, 161, 1, False, SOUND).encode(), endpoint.address)
        handler = answerer.wait().wait(lambda h: len(h.audio) == 320)
        assert endpoint.calls == 1
        assert handler.others == []


def test_a_call_nobody_speaks_on_is_over(
    answerer: Answerer, caplog: pytest.LogCaptureFixture
) -> None:
    with RtpEndpoint(answerer, port=0, idle_timeout=0.05) as endpoint, closing(udp()) as caller:
        caller.sendto(Packet(0, 1, 1, 1, False, SOUND).encode(), endpoint.address)
        assert answerer.wait().wait_end() == "timeout"
    assert "no packet came for the idle timeout" in caplog.text


def test_too_many_refused_and_broken(caplog: pytest.LogCaptureFixture) -> None:
    with closing(udp()) as one, closing(udp()) as two:
        broken = Answerer(Broken)
        data = Packet(0, 1, 1, 1, False, SOUND).encode()
        with RtpEndpoint(broken, port=0, max_calls=1) as endpoint:
            one.sendto(data, endpoint.address)
            assert broken.wait().wait_end() == "handler"
        with RtpEndpoint(refuse, port=0, max_calls=1) as endpoint:
            for _ in range(6):
                with closing(udp()) as other:
                    other.sendto(data, endpoint.address)
        good = Answerer()
        with RtpEndpoint(good, port=0, max_calls=1) as endpoint:
            one.sendto(data, endpoint.address)
            good.wait()
            two.sendto(data, endpoint.address)
            one.sendto(Packet(0, 2, 161, 1, False, SOUND).encode(), endpoint.address)
            good.handlers[0].wait(lambda h: len(h.audio) == 320)
            assert endpoint.calls == 1
        assert good.handlers[0].wait_end() == "shutdown"
    assert "refused, on_call raised" in caplog.text
    assert "1 connections are the limit" in caplog.text


def test_a_flood_of_audio_is_cut_off(
    endpoint: RtpEndpoint, answerer: Answerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "MAX_AHEAD", 0.1)
    with closing(udp()) as flood:
        for number in range(20):
            flood.sendto(
                Packet(0, number, 1_000 * number, 1, False, bytes(1_000)).encode(), endpoint.address
            )
        assert answerer.wait().wait_end() == "protocol"


def test_a_port_that_is_taken(endpoint: RtpEndpoint, answerer: Answerer) -> None:
    with pytest.raises(OSError, match="in use"):
        RtpEndpoint(answerer, port=endpoint.address[1]).start()
    with pytest.raises(OSError, match="in use"):
        SipAnswerer(answerer, port=endpoint.address[1]).start()


class Phone:
    """A SIP phone, as small as it gets: one socket for SIP, one for audio."""

    def __init__(self, server: SipAnswerer) -> None:
        self.server = server.address
        self.sip, self.rtp = udp(), udp()
        self.host, self.port = self.sip.getsockname()
        self.cseq = 0
        self.tag = ""
        self.remote = ("", 0)
        self.sender = RtpSender(0, 7)

    def close(self) -> None:
        self.sip.close()
        self.rtp.close()

    def send(self, method: str, body: str = "", cseq: int | None = None) -> None:
        if cseq is None:
            self.cseq += 1
        number = self.cseq if cseq is None else cseq
        tag = f";tag={self.tag}" if self.tag else ""
        data = request(
            method,
            "sip:bot@127.0.0.1",
            via=f"{self.host}:{self.port};branch=z9hG4bK{self.port}{method}{number}",
            sender=f"<sip:ann@{self.host}:{self.port}>;tag=theirs",
            to=f"<sip:bot@127.0.0.1>{tag}",
            call_id=f"call-{self.port}",
            cseq=number,
        )
        head = data.partition(b"Content-Length")[0]
        data = head + f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        self.sip.sendto(data, self.server)

    def get(self, method: str = "") -> Request | Response:
        """Return the next final response or request."""
        while True:
            message = parse_message(self.sip.recv(9_000))
            if isinstance(message, Request) or message.status >= 200:
                return message

    def sdp(self, way: str = "sendrecv", law: int = 0) -> str:
        port = self.rtp.getsockname()[1]
        return (
            f"v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio {port} RTP/AVP {law} 101\r\n"
            f"a=rtpmap:101 telephone-event/8000\r\na={way}\r\n"
        )

    def invite(self, way: str = "sendrecv", law: int = 0) -> Response:
        self.send("INVITE", self.sdp(way, law))
        response = self.get()
        assert isinstance(response, Response)
        if response.status == 200:
            self.tag = response.tag("to")
            port = int(response.body.partition("m=audio ")[2].split()[0])
            self.remote = ("127.0.0.1", port)
            self.send("ACK", cseq=self.cseq)
        return response

    def say(self, audio: bytes) -> None:
        for packet in self.sender.packets(audio, 0.0):
            self.rtp.sendto(packet, self.remote)


@pytest.fixture
def sip(answerer: Answerer) -> Iterator[SipAnswerer]:
    with SipAnswerer(answerer, port=0, max_calls=20) as sip:
        yield sip


def test_a_call_with_signalling(sip: SipAnswerer, answerer: Answerer) -> None:
    with closing(Phone(sip)) as phone:
        assert phone.invite().status == 200
        handler = answerer.wait()
        assert handler.line.details["called"] == "sip:bot@127.0.0.1"
        phone.say(SOUND * 2)
        assert parse_packet(phone.rtp.recv(2_000)).payload == SOUND
        phone.rtp.sendto(Packet(101, 3, 480, 7, False, b"\1\x8a\0\xa0").encode(), phone.remote)
        handler.wait(lambda h: ("dtmf", "1") in h.told)
        phone.send("BYE")
        response = phone.get()
        assert isinstance(response, Response)
        assert response.status == 200
        assert handler.wait_end() == "hangup"
    assert handler.audio == SOUND * 2
    assert sip.calls == 0


def test_hold_ends_nothing(sip: SipAnswerer, answerer: Answerer) -> None:
    with closing(Phone(sip)) as phone:
        phone.invite()
        handler = answerer.wait()
        phone.invite("sendonly")
        handler.wait(lambda h: h.told == [("flow", False)])
        handler.line.write(SOUND)  # nobody hears it, so it isn't sent
        phone.invite("sendonly")
        phone.invite()
        handler.wait(lambda h: h.told == [("flow", False), ("flow", True)])
        handler.line.write(SOUND[::-1])
        assert parse_packet(phone.rtp.recv(2_000)).payload == SOUND[::-1]


def test_we_hang_up_and_the_server_stops(sip: SipAnswerer, answerer: Answerer) -> None:
    with closing(Phone(sip)) as one, closing(Phone(sip)) as two:
        one.invite()
        two.invite()
        answerer.wait(2).line.hang_up()
        bye = two.get()
        assert isinstance(bye, Request)
        assert bye.method == "BYE"
        assert answerer.handlers[1].wait_end() == "closed"
        sip.close()
        bye = one.get()
        assert isinstance(bye, Request)
        assert answerer.handlers[0].wait_end() == "shutdown"


def test_audio_from_elsewhere(sip: SipAnswerer, answerer: Answerer) -> None:
    with closing(Phone(sip)) as phone, closing(udp()) as nat, closing(udp()) as stranger:
        phone.invite()
        handler = answerer.wait()
        stranger.sendto(b"garbage", phone.remote)
        for packet in RtpSender(0, 7).packets(SOUND, 0.0):
            nat.sendto(packet, phone.remote)
        assert parse_packet(nat.recv(2_000)).payload == SOUND
        for packet in RtpSender(0, 8).packets(SOUND, 0.0):
            stranger.sendto(packet, phone.remote)
        for packet in RtpSender(0, 7, 1, 160).packets(SOUND[::-1], 0.0):
            nat.sendto(packet, phone.remote)
        handler.wait(lambda h: len(h.audio) == 320)
    assert handler.audio == SOUND + SOUND[::-1]


def test_who_says_again_where_it_thinks_that_it_is_hasnt_moved(
    sip: SipAnswerer, answerer: Answerer
) -> None:
    with closing(Phone(sip)) as phone, closing(udp()) as nat:
        phone.invite()
        sender = RtpSender(0, 7)
        for sound in (SOUND, SOUND[::-1]):
            for packet in sender.packets(sound, 0.0):
                nat.sendto(packet, phone.remote)
            assert parse_packet(nat.recv(2_000)).payload == sound
            phone.invite("sendonly")  # with its address behind NAT, as before
            phone.invite()
        # Another address is a move.
        moved = phone.rtp
        phone.rtp = udp()
        moved.close()
        phone.invite()
        for packet in sender.packets(SOUND, 0.0):
            phone.rtp.sendto(packet, phone.remote)
        assert parse_packet(phone.rtp.recv(2_000)).payload == SOUND


def test_ten_calls_at_once(sip: SipAnswerer, answerer: Answerer) -> None:
    phones = [Phone(sip) for _ in range(10)]
    try:
        for number, phone in enumerate(phones):
            phone.invite()
            phone.say(bytes([number]) * 160)
        for number, phone in enumerate(phones):
            assert parse_packet(phone.rtp.recv(2_000)).payload == bytes([number]) * 160
        assert sip.calls == 10
    finally:
        for phone in phones:
            phone.close()


def test_bad_peers(sip: SipAnswerer, answerer: Answerer, caplog: pytest.LogCaptureFixture) -> None:
    with closing(Phone(sip)) as phone, closing(udp()) as stranger:
        for data in (b"garbage", b"\r\n\r\n", bytes(9_000), b"more garbage"):
            stranger.sendto(data, sip.address)
        assert phone.invite(law=9).status == 488
        assert phone.invite().status == 200
        answerer.wait()
    assert sip.garbage == 3
    dropped = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(dropped) == 1
    assert "dropped: SIP: got" in dropped[0].getMessage()


def test_no_ports_and_no_answer(caplog: pytest.LogCaptureFixture, answerer: Answerer) -> None:
    with closing(udp()) as taken:
        port = taken.getsockname()[1]
        with (
            SipAnswerer(answerer, port=0, rtp_ports=(port,)) as sip,
            closing(Phone(sip)) as phone,
        ):
            assert phone.invite().status == 503
    assert "no port for audio" in caplog.text
    with SipAnswerer(refuse, port=0) as sip, closing(Phone(sip)) as phone:
        phone.invite()
        bye = phone.get()
        assert isinstance(bye, Request)
        assert bye.method == "BYE"
    with pytest.raises(OptionError, match="public_host"):
        SipAnswerer(answerer, "0.0.0.0")


def test_a_caller_who_goes_without_a_word(answerer: Answerer) -> None:
    with (
        SipAnswerer(answerer, port=0, idle_timeout=0.05) as sip,
        closing(Phone(sip)) as phone,
    ):
        phone.invite()
        assert answerer.wait().wait_end() == "timeout"
        assert isinstance(phone.get(), Request)


def test_a_broken_on_end_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Worse(Handler):
        def on_end(self, reason: object) -> None:
            super().on_end("closed")
            raise RuntimeError("another bug")

    answerer = Answerer(Worse)
    with RtpEndpoint(answerer, port=0) as endpoint, closing(udp()) as caller:
        caller.sendto(Packet(0, 1, 1, 1, False, SOUND).encode(), endpoint.address)
        handler = answerer.wait()
        handler.line.hang_up()
        handler.wait_end()
        with closing(udp()) as other:
            other.sendto(Packet(0, 1, 1, 1, False, SOUND).encode(), endpoint.address)
            answerer.wait(2)
    assert "raised in on_end" in caplog.text


def test_silence_that_is_held_back_when_a_call_ends(
    endpoint: RtpEndpoint, answerer: Answerer
) -> None:
    with closing(udp()) as caller:
        for number in (1, 3):
            data = Packet(0, number, number * 160, 7, False, SOUND).encode()
            caller.sendto(data, endpoint.address)
        answerer.wait().wait(lambda h: h.told)
        endpoint.close()
    assert answerer.handlers[0].wait_end() == "shutdown"
