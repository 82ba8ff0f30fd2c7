"""Calls by RTP: the line, and an endpoint that answers whoever sends to its port."""

from __future__ import annotations

import secrets
import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from bargein.audio.formats import AudioFormat
from bargein.errors import ProtocolError

from ..codecs import events as ev
from ..codecs import rtp as codec
from ..line import Answer, EndReason
from . import base
from .udp import UdpLoop

__all__ = ["RtpEndpoint", "RtpLine"]

Address = tuple[str, int]

TICK = 0.02
"""Seconds between looks at a call that waits for a packet or announced silence."""

REST = 0.25
"""Seconds between looks at calls that need nothing of the kind."""

HELD_BACK = 0.1
"""Seconds without a packet after which those that wait for a missing one are given out."""

IDLE_TIMEOUT = 60.0
"""Seconds without a packet after which a call without signalling is over: it has no other end."""

FORGET = 5.0
"""Seconds for which an ended call's packets are still dropped, not taken for a new call."""


class RtpLine(base.LineBase):
    """One call's audio over UDP. Its reader is the server's one receiving thread."""

    def __init__(
        self,
        started: ev.Started,
        *,
        sock: socket.socket,
        remote: Address,
        payload_type: int,
        dtmf: int | None,
        on_stop: Callable[[RtpLine], None],
    ) -> None:
        super().__init__(started)
        law: Literal["mulaw", "alaw"] = "alaw" if payload_type == codec.PCMA else "mulaw"
        self.receiver = codec.RtpReceiver(law, dtmf)
        self.remote = remote
        """Where its audio goes to, and comes from."""
        self.offered = remote
        """Where the other side said that it is; behind NAT it is elsewhere."""
        self.heard = time.monotonic()
        self.held = False
        self._sock = sock
        self._on_stop = on_stop
        self._sender = codec.RtpSender(
            payload_type,
            secrets.randbits(32),
            secrets.randbits(16),
            secrets.randbits(32),
        )

    def _send_audio(self, audio: bytes) -> None:
        with self._lock:
            if self.held:
                return
            for packet in self._sender.packets(audio, time.monotonic()):
                try:
                    self._sock.sendto(packet, self.remote)
                except OSError:
                    return  # full, gone, or nobody there: UDP promises nothing

    def _wake(self) -> None:
        self._on_stop(self)


def started(call: str, payload_type: int, details: dict[str, str]) -> ev.Started:
    """Return a call's beginning; G.711 is all that there is."""
    fmt = AudioFormat(codec.RATE, 1, "alaw" if payload_type == codec.PCMA else "mulaw")
    return ev.Started(call, fmt, codec.FRAME, details)


class Calls:
    """The RTP calls of one loop: their sessions, idle times and ends. The loop's thread only."""

    def __init__(self, idle_timeout: float, on_over: Callable[[RtpLine, EndReason], None]) -> None:
        self._idle_timeout = idle_timeout
        self._on_over = on_over
        self._sessions: dict[RtpLine, base.Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, line: RtpLine, session: base.Session) -> bool:
        if not session.begin(line):
            session.end("handler")
            return False
        self._sessions[line] = session
        return True

    def datagram(self, line: RtpLine, data: bytes, now: float) -> None:
        before = line.receiver.stats.received
        events = line.receiver.receive(data, now)
        if line.receiver.stats.received > before:
            line.heard = now
        self.tell(line, events)

    def tell(self, line: RtpLine, events: list[ev.Event]) -> None:
        session = self._sessions.get(line)
        if session is None:
            return
        try:
            over = line.reason or session.tell(events)
        except ProtocolError as error:
            self.end(line, "protocol", error.message)
            return
        if over is not None:
            self.end(line, over)

    def end(self, line: RtpLine, reason: EndReason, why: str = "") -> None:
        session = self._sessions.get(line)
        if session is None:
            return
        if line.reason is None:
            session.tell(line.receiver.flush(time.monotonic()))
        del self._sessions[line]
        line.stop(reason)  # nothing is written from here on
        stats = line.receiver.stats
        session.end(line.reason or reason, why or f"{stats}")
        self._on_over(line, line.reason or reason)

    def tick(self, now: float) -> float:
        """Look at all calls; return when to look again."""
        again = now + REST
        for line in list(self._sessions):
            receiver = line.receiver
            if line.reason is not None:
                self.end(line, line.reason)
                continue
            if receiver.quiet:
                self.tell(line, receiver.advance(now))
                again = now + TICK
            if receiver.holding:
                if now - line.heard >= HELD_BACK:
                    self.tell(line, receiver.flush(now))
                again = min(again, now + TICK)
            if now - line.heard >= self._idle_timeout:
                self.end(line, "timeout", "no packet came for the idle timeout")
        return again

    def end_all(self, reason: EndReason) -> None:
        for line in list(self._sessions):
            self.end(line, reason)


class RtpEndpoint(base.Server):
    """One UDP port to which calls are sent as plain RTP, with no signalling.

    What Asterisk's ARI (``externalMedia``) and ``Dial(UnicastRTP/host:port/c(ulaw))`` do: each
    sender's address is a call, answered to where it comes from, in the law of its first packet.
    A call ends when nothing came for `idle_timeout`.

    Args:
        on_call: what answers; runs on the one thread that receives for all calls.
        host: address to listen on.
        port: UDP port; 0 takes a free one, see `address`.
        dtmf: payload type of telephone events (RFC 4733).
        max_calls: calls at a time.
        idle_timeout: seconds.

    Anyone who can send to the port makes calls: let only the PBX reach it.
    """

    name = "RTP endpoint"

    def __init__(
        self,
        on_call: Answer,
        host: str = "127.0.0.1",
        port: int = 7000,
        *,
        dtmf: int | None = 101,
        max_calls: int = base.MAX_CALLS,
        idle_timeout: float = IDLE_TIMEOUT,
    ) -> None:
        super().__init__(on_call, host, port, max_calls=max_calls, idle_timeout=idle_timeout)
        self._dtmf = dtmf
        self._lines: dict[Address, RtpLine] = {}
        self._gone: OrderedDict[Address, float] = OrderedDict()
        self._media = Calls(idle_timeout, self._over)

    @property
    def calls(self) -> int:
        return len(self._media)

    def _open(self) -> None:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._sock.bind((self._host, self._port))
        except OSError:
            self._sock.close()
            raise
        self._address = self._sock.getsockname()[:2]
        self._loop = UdpLoop("bargein-rtp", self._media.tick)
        self._loop.add(self._sock, self._datagram)
        self._loop.start()

    def _datagram(self, data: bytes, peer: Address, now: float) -> None:
        line = self._lines.get(peer)
        if line is None:
            if self._is_gone(peer, now):
                return
            line = self._begin(data, peer)
        if line is not None:
            self._media.datagram(line, data, now)

    def _is_gone(self, peer: Address, now: float) -> bool:
        ended = self._gone.get(peer)
        if ended is None:
            return False
        if now - ended < FORGET:
            self._gone[peer] = now  # its stream still runs
            return True
        del self._gone[peer]
        return False

    def _begin(self, data: bytes, peer: Address) -> RtpLine | None:
        try:
            packet = codec.parse_packet(data)
        except ProtocolError:
            return None
        if packet.payload_type not in (codec.PCMU, codec.PCMA):
            return None
        if len(self._media) >= self._max_calls:
            self._full(peer)
            return None
        line = RtpLine(
            started(
                f"{packet.ssrc:08x}",
                packet.payload_type,
                {"caller": f"{peer[0]}:{peer[1]}"},
            ),
            sock=self._sock,
            remote=peer,
            payload_type=packet.payload_type,
            dtmf=self._dtmf,
            on_stop=self._stop_soon,
        )
        if not self._media.begin(
            line, base.Session(self._on_call, f"RTP from {peer[0]}:{peer[1]}")
        ):
            self._remember(peer)
            return None
        self._lines[peer] = line
        return line

    def _stop_soon(self, line: RtpLine) -> None:
        reason = line.reason
        if reason is not None:
            self._loop.call(lambda: self._media.end(line, reason))

    def _over(self, line: RtpLine, reason: EndReason) -> None:
        self._lines.pop(line.remote, None)
        self._remember(line.remote)

    def _remember(self, peer: Address) -> None:
        self._gone[peer] = time.monotonic()
        while len(self._gone) > 4 * self._max_calls:
            self._gone.popitem(last=False)

    def _shut(self, deadline: float) -> None:
        self._loop.call(lambda: self._media.end_all("shutdown"))
        self._loop.stop(deadline)
