"""Answering SIP calls, sans-IO: datagrams and the time in, actions out.

Source: RFC 3261 (transactions over UDP, dialogs), RFC 3264 (hold). It is what a test of RTP needs
and a small deployment behind a PBX can use, no product: UDP only, no authentication, no
forking, no offers of its own. Every call is answered or refused at once.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Literal

import attrs

from bargein.errors import ProtocolError

from .sdp import Offer, answer, parse_offer
from .sip import ALLOW, Request, parse_message, request, uri_of

__all__ = ["Action", "Changed", "Invited", "Over", "Send", "SipCalls"]

T1 = 0.5
"""Seconds until the first retransmission (RFC 3261, 17.1.1.1)."""

T2 = 4.0
"""Seconds between retransmissions at most."""

GIVE_UP = 64 * T1
"""Seconds without an answer after which the other side is gone."""

KEPT_REPLIES = 256
"""Newest replies, kept for requests that come again; each lives a few seconds in practice."""

Address = tuple[str, int]


@attrs.frozen
class Send:
    """Send this datagram."""

    data: bytes
    to: Address


@attrs.frozen
class Invited:
    """A call came in: `SipCalls.accept` it or `SipCalls.refuse` it now."""

    call_id: str
    offer: Offer
    caller: str
    called: str
    source: Address


@attrs.frozen
class Changed:
    """A call's media changed: held, resumed, or moved to another address."""

    call_id: str
    offer: Offer


@attrs.frozen
class Over:
    """A call is over, by the other side's wish ("hangup") or silence ("lost")."""

    call_id: str
    reason: Literal["hangup", "lost"]


Action = Send | Invited | Changed | Over


@attrs.define
class _Call:
    invite: Request
    source: Address
    offer: Offer
    tag: str
    session: int
    cseq: int
    media: Address = ("", 0)
    version: int = 1
    reply: bytes = b""
    acked: bool = True
    again: float = 0.0
    wait: float = T1
    until: float = 0.0
    bye: bytes = b""
    """Our BYE, once sent; the call lives on until it is answered or given up."""


class SipCalls:
    """All the calls of one SIP port. Not thread-safe; keeps no clock.

    Args:
        contact: where requests reach us, ``host:port``.
        seed: makes tags and branches; give random bytes, so that they can't be guessed.
        max_calls: calls at a time; further ones are told that we are busy.
    """

    def __init__(self, contact: str, seed: bytes, max_calls: int = 100) -> None:
        self.contact = contact
        self._seed = seed
        self._max_calls = max_calls
        self._made = 0
        self._calls: dict[str, _Call] = {}
        self._replies: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    def receive(self, data: bytes, source: Address, now: float) -> list[Action]:
        """Take a datagram; raises `ProtocolError` where it isn't SIP (drop and count it)."""
        message = parse_message(data)
        if not isinstance(message, Request):
            call = self._calls.get(message.call_id)
            if call is not None and call.bye and message.status >= 200:
                del self._calls[message.call_id]
            return []
        if message.method == "ACK":
            call = self._calls.get(message.call_id)
            if call is not None:
                call.acked = True
            return []
        key = (message.call_id, message.branch, message.method)
        kept = self._replies.get(key)
        if kept is not None:
            return [Send(kept, source)]
        if message.method == "INVITE":
            return self._invite(message, source, now)
        return self._other(message, source)

    def accept(self, call_id: str, media: Address, now: float) -> list[Action]:
        """Answer an `Invited` call: its audio is wanted at `media`."""
        call = self._calls[call_id]
        call.media = media
        return self._answer(call, call.invite, call.source, now)

    def refuse(self, call_id: str, status: int = 486) -> list[Action]:
        """Turn an `Invited` call away."""
        call = self._calls.pop(call_id)
        return self._reply(call.invite, call.source, status, call.tag)

    def hang_up(self, call_id: str, now: float) -> list[Action]:
        """End a call by a BYE of ours; nothing more is told of it."""
        call = self._calls.get(call_id)
        if call is None or call.bye:
            return []
        invite = call.invite
        contact = invite.get("contact")
        call.bye = request(
            "BYE",
            uri_of(contact) if contact else uri_of(invite.get("from")),
            via=f"{self.contact};rport;branch=z9hG4bK{self._token('branch')}",
            sender=f"{invite.get('to')};tag={call.tag}",
            to=invite.get("from"),
            call_id=call_id,
            cseq=1,
            routes=tuple(invite.all("record-route")),
        )
        call.acked = True
        call.again, call.wait, call.until = now + T1, T1, now + GIVE_UP
        return [Send(call.bye, call.source)]

    def deadline(self) -> float | None:
        """When `due` has something to do, in the caller's clock; None: nothing waits."""
        waiting = [call.again for call in self._calls.values() if self._waits(call)]
        return min(waiting, default=None)

    def due(self, now: float) -> list[Action]:
        """Send again what wasn't answered; give up what won't be."""
        actions: list[Action] = []
        for call_id, call in list(self._calls.items()):
            if not self._waits(call) or now < call.again:
                continue
            if now >= call.until:
                if call.bye:
                    del self._calls[call_id]
                else:
                    actions.append(Over(call_id, "lost"))
                    actions += self.hang_up(call_id, now)
                continue
            actions.append(Send(call.bye or call.reply, call.source))
            call.wait = min(call.wait * 2, T2)
            call.again = now + call.wait
        return actions

    @staticmethod
    def _waits(call: _Call) -> bool:
        return bool(call.bye) or not call.acked

    def _invite(self, message: Request, source: Address, now: float) -> list[Action]:
        call = self._calls.get(message.call_id)
        if call is None and message.tag("to"):
            return self._reply(message, source, 481)
        try:
            offer = parse_offer(message.body)
        except ProtocolError:
            return self._reply(message, source, 488)  # an offerless INVITE as well
        if call is not None:
            return self._reinvite(call, message, source, offer, now)
        if len(self._calls) >= self._max_calls:
            return self._reply(message, source, 486)
        session = int.from_bytes(bytes.fromhex(self._token("session"))[:4], "big")
        call = _Call(message, source, offer, self._token("tag"), session, message.cseq[0])
        self._calls[message.call_id] = call
        caller, called = uri_of(message.get("from")), uri_of(message.get("to"))
        invited = Invited(message.call_id, offer, caller, called, source)
        return [Send(message.reply(100), source), invited]

    def _reinvite(
        self, call: _Call, message: Request, source: Address, offer: Offer, now: float
    ) -> list[Action]:
        if call.bye or message.tag("to") != call.tag or message.cseq[0] <= call.cseq:
            return self._reply(message, source, 481)
        if offer.payload_type != call.offer.payload_type:
            return self._reply(message, source, 488)  # a line's format never changes
        call.cseq, call.source, call.offer = message.cseq[0], source, offer
        call.version += 1
        return [*self._answer(call, message, source, now), Changed(message.call_id, offer)]

    def _other(self, message: Request, source: Address) -> list[Action]:
        if message.method == "OPTIONS":
            return self._reply(message, source, 200, extra=(("Allow", ALLOW),))
        call = self._calls.get(message.call_id)
        if message.method == "BYE":
            if call is None or message.tag("to") != call.tag:
                return self._reply(message, source, 481)
            del self._calls[message.call_id]
            over: list[Action] = [] if call.bye else [Over(message.call_id, "hangup")]
            return [*self._reply(message, source, 200, call.tag), *over]
        if message.method == "CANCEL":
            # Every call was answered or refused by now, so there is nothing left to cancel.
            known = call is not None and call.invite.branch == message.branch
            return self._reply(message, source, 200 if known else 481)
        return self._reply(message, source, 405, extra=(("Allow", ALLOW),))

    def _answer(self, call: _Call, message: Request, source: Address, now: float) -> list[Action]:
        address, port = call.media
        body = answer(call.offer, address, port, call.session, call.version)
        actions = self._reply(message, source, 200, call.tag, body)
        call.reply = message.reply(200, to_tag=call.tag, contact=self._uri(), body=body)
        call.acked, call.wait = False, T1
        call.again, call.until = now + T1, now + GIVE_UP
        return actions

    def _reply(
        self,
        message: Request,
        source: Address,
        status: int,
        tag: str = "",
        body: str = "",
        extra: tuple[tuple[str, str], ...] = (),
    ) -> list[Action]:
        data = message.reply(
            status, to_tag=tag or self._token("tag"), contact=self._uri(), body=body, extra=extra
        )
        self._replies[(message.call_id, message.branch, message.method)] = data
        while len(self._replies) > KEPT_REPLIES:
            self._replies.popitem(last=False)
        return [Send(data, source)]

    def _uri(self) -> str:
        return f"sip:bargein@{self.contact}"

    def _token(self, what: str) -> str:
        self._made += 1
        made = f"{what}{self._made}".encode()
        return hashlib.blake2s(made, key=self._seed[:32], digest_size=8).hexdigest()
