"""A SIP answerer: calls with signalling for the RTP line. For tests, and behind a PBX."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Sequence

from bargein.errors import OptionError, ProtocolError

from ..codecs import sip_calls as dialogs
from ..codecs.events import Flow
from ..codecs.rtp import parse_packet
from ..line import Answer, EndReason
from . import base
from .rtp import Calls, RtpLine, started
from .udp import UdpLoop

__all__ = ["SipAnswerer"]

Address = tuple[str, int]


class SipAnswerer(base.Server):
    """Answers SIP calls over UDP in G.711, each with an RTP port of its own.

    It answers every INVITE that offers PCMU or PCMA; there is no registration and no
    authentication, so let only a PBX or a test reach it. Hold (a re-INVITE with ``sendonly`` or
    ``inactive``) pauses the line (``on_flow``) and ends nothing.

    Args:
        on_call: what answers; runs on the one thread that receives for all calls.
        host: address to listen on, and to tell the other side where no `public_host` is given.
        port: UDP port; 0 takes a free one, see `address`.
        public_host: the IP address that the other side is told.
        rtp_ports: the UDP ports for audio; any free ones by default.
        max_calls: calls at a time; further ones are told that we are busy.
        idle_timeout: seconds without a packet of audio after which a call is ended.
    """

    name = "SIP answerer"

    def __init__(
        self,
        on_call: Answer,
        host: str = "127.0.0.1",
        port: int = 5060,
        *,
        public_host: str = "",
        rtp_ports: Sequence[int] = (0,),
        max_calls: int = base.MAX_CALLS,
        idle_timeout: float = base.IDLE_TIMEOUT,
    ) -> None:
        super().__init__(on_call, host, port, max_calls=max_calls, idle_timeout=idle_timeout)
        if host in ("0.0.0.0", "::", "") and not public_host:
            raise OptionError(
                f"host {host!r} can't be told to the other side: give public_host as well"
            )
        self._public = public_host or host
        self._rtp_ports = tuple(rtp_ports)
        self._next_port = 0
        self._media = Calls(idle_timeout, self._over)
        self._lines: dict[str, RtpLine] = {}
        self._sockets: dict[str, socket.socket] = {}
        self.garbage = 0
        """Datagrams on the SIP port that weren't SIP."""

    @property
    def calls(self) -> int:
        return len(self._media)

    def _open(self) -> None:
        self._sock = self._bind(self._port)
        self._address = self._sock.getsockname()[:2]
        contact = f"{self._public}:{self._address[1]}"
        self._dialogs = dialogs.SipCalls(contact, secrets.token_bytes(32), self._max_calls)
        self._loop = UdpLoop("bargein-sip", self._tick)
        self._loop.add(self._sock, self._datagram)
        self._loop.start()

    def _bind(self, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.bind((self._host, port))
        except OSError:
            sock.close()
            raise
        return sock

    def _datagram(self, data: bytes, peer: Address, now: float) -> None:
        if not data.strip():
            return  # a keep-alive
        try:
            actions = self._dialogs.receive(data, peer, now)
        except ProtocolError as exc:
            self.garbage += 1
            if self.garbage == 1:
                base.logger.warning("SIP from %s:%d: dropped: %s", *peer, exc.message)
            return
        self._do(actions, now)

    def _do(self, actions: Sequence[dialogs.Action], now: float) -> None:
        for action in actions:
            if isinstance(action, dialogs.Send):
                self._send(action)
            elif isinstance(action, dialogs.Invited):
                self._invited(action, now)
            elif isinstance(action, dialogs.Changed):
                self._changed(action)
            else:
                line = self._lines.get(action.call_id)
                if line is not None:
                    self._media.end(line, action.reason)

    def _send(self, action: dialogs.Send) -> None:
        try:
            self._sock.sendto(action.data, action.to)
        except OSError as exc:
            base.logger.debug("SIP to %s:%d: %s", *action.to, exc)

    def _invited(self, call: dialogs.Invited, now: float) -> None:
        try:
            sock = self._bind_media()
        except OSError as exc:
            base.logger.error("SIP call %s: no port for audio: %s", call.call_id, exc)
            self._do(self._dialogs.refuse(call.call_id, 503), now)
            return
        offer = call.offer
        line = RtpLine(
            started(
                call.call_id,
                offer.payload_type,
                {"caller": call.caller[:256], "called": call.called[:256]},
            ),
            sock=sock,
            remote=(offer.address, offer.port),
            payload_type=offer.payload_type,
            dtmf=offer.dtmf,
            on_stop=self._stop_soon,
        )
        line.held = offer.held
        self._loop.add(sock, lambda data, peer, at: self._audio(line, data, peer, at))
        self._lines[call.call_id] = line
        self._sockets[call.call_id] = sock
        media = (self._public, sock.getsockname()[1])
        # Answered first: what on_call writes then comes after the 200 OK.
        self._do(self._dialogs.accept(call.call_id, media, now), now)
        session = base.Session(self._on_call, f"SIP from {call.source[0]}:{call.source[1]}")
        if not self._media.begin(line, session):
            self._over(line, "handler")

    def _bind_media(self) -> socket.socket:
        for _ in self._rtp_ports:
            port = self._rtp_ports[self._next_port % len(self._rtp_ports)]
            self._next_port += 1
            try:
                return self._bind(port)
            except OSError:
                continue
        raise OSError("all rtp_ports are taken")

    def _audio(self, line: RtpLine, data: bytes, peer: Address, now: float) -> None:
        if peer != line.remote:
            # Behind NAT a caller's packets come from elsewhere than it said. The first sender is
            # believed, once: later strangers can't take the call over.
            if line.receiver.stats.received or not _is_packet(data):
                line.receiver.stats.bad += 1
                return
            line.remote = peer
        self._media.datagram(line, data, now)

    def _changed(self, change: dialogs.Changed) -> None:
        line = self._lines.get(change.call_id)
        if line is None:
            return
        offer = change.offer
        held = offer.held
        offered = (offer.address, offer.port)
        # One that has only said again where it thinks that it is hasn't moved.
        if offer.address != "0.0.0.0" and offer.port and offered != line.offered:
            line.remote = line.offered = offered
        if held != line.held:
            line.held = held
            self._media.tell(line, [Flow(not held)])

    def _stop_soon(self, line: RtpLine) -> None:
        reason = line.reason
        if reason is not None:
            self._loop.call(lambda: self._media.end(line, reason))

    def _over(self, line: RtpLine, reason: EndReason) -> None:
        now = time.monotonic()
        self._do(self._dialogs.hang_up(line.id, now), now)
        self._lines.pop(line.id, None)
        sock = self._sockets.pop(line.id, None)
        if sock is not None:
            self._loop.remove(sock)

    def _tick(self, now: float) -> float:
        self._do(self._dialogs.due(now), now)
        again = self._media.tick(now)
        deadline = self._dialogs.deadline()
        return again if deadline is None else min(again, deadline)

    def _shut(self, deadline: float) -> None:
        self._loop.call(lambda: self._media.end_all("shutdown"))
        self._loop.stop(deadline)


def _is_packet(data: bytes) -> bool:
    try:
        parse_packet(data)
    except ProtocolError:
        return False
    return True
