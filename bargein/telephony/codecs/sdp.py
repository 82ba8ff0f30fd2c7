"""Session descriptions, as far as a G.711 call needs: read an offer, write an answer.

Sources: RFC 8866 (SDP), RFC 3264 (offer and answer), RFC 3551 (static payload types).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Literal

import attrs

from .events import refuse, short

__all__ = ["Direction", "Offer", "answer", "parse_offer"]

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

MAX_LINES = 200
"""Lines of a description; offers with video have some 60."""

_ANSWERED: dict[Direction, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}

_NAMES = {"PCMU": 0, "PCMA": 8}
_MAP = re.compile(r"(\d{1,3}) ([A-Za-z0-9._-]+)/(\d+)")


@attrs.frozen
class Offer:
    """What the other side offers for audio."""

    address: str
    """Where it wants its audio; an IP address (never a name: no lookup on a media thread)."""
    port: int
    payload_type: int
    """0 (PCMU) or 8 (PCMA): the first of the two in its order of liking."""
    dtmf: int | None
    """Payload type of telephone events."""
    direction: Direction
    media: tuple[str, ...]
    """All the offer's media (``audio``, ``video``), in order; the answer must name them all."""
    audio_index: int

    @property
    def held(self) -> bool:
        """Whether what we send isn't heard: the other side holds the call."""
        return self.direction in ("sendonly", "inactive") or self.address == "0.0.0.0"

    @property
    def encoding(self) -> Literal["mulaw", "alaw"]:
        """The law of `payload_type`."""
        return "mulaw" if self.payload_type == 0 else "alaw"


@attrs.define
class _Media:
    kind: str
    port: int
    formats: list[str]
    address: str = ""
    direction: Direction | None = None
    maps: dict[int, str] = attrs.field(factory=dict)


def parse_offer(text: str) -> Offer:
    """Read an offer; raises `ProtocolError` where there is no audio in G.711 that can be had."""
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        refuse(f"SDP: got {len(lines)} lines, expected at most {MAX_LINES}")
    session = _Media("session", 0, [])
    media: list[_Media] = []
    for line in lines:
        kind, _, value = line.strip().partition("=")
        if kind == "m":
            media.append(_media(value))
        else:
            _attribute(media[-1] if media else session, kind, value)
    index = next((i for i, part in enumerate(media) if part.kind == "audio" and part.port), None)
    if index is None:
        refuse(f"SDP: got {short(text, 120)}, expected an m=audio line with a port")
    return _audio(session, media[index], tuple(part.kind for part in media), index)


def _media(value: str) -> _Media:
    words = value.split()
    if len(words) < 4 or not _is_port(words[1]):
        refuse(f"SDP: got {short('m=' + value)}, expected m=audio PORT RTP/AVP FORMATS")
    kind = words[0] if words[2] == "RTP/AVP" else f"{words[0]}/{words[2]}"
    return _Media(kind, int(words[1].split("/")[0]), words[3:])


def _is_port(word: str) -> bool:
    port = word.split("/")[0]
    return port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65_535


def _attribute(part: _Media, kind: str, value: str) -> None:
    if kind == "c":
        part.address = value.split()[-1] if value.split() else ""
    elif kind == "a" and value in _ANSWERED:
        part.direction = value
    elif kind == "a" and value.startswith("rtpmap:"):
        found = _MAP.match(value[len("rtpmap:") :].strip())
        if found is not None:
            part.maps[int(found[1])] = f"{found[2].upper()}/{found[3]}"


def _audio(session: _Media, part: _Media, kinds: tuple[str, ...], index: int) -> Offer:
    address = part.address or session.address
    try:
        ipaddress.ip_address(address)
    except ValueError:
        refuse(f"SDP: got {short(address)} as address of the audio, expected an IP address")
    payload_type = dtmf = None
    for word in part.formats:
        if not (word.isascii() and word.isdigit() and len(word) <= 3):
            continue
        number = int(word)
        name = part.maps.get(number, {0: "PCMU/8000", 8: "PCMA/8000"}.get(number, ""))
        if name in ("PCMU/8000", "PCMA/8000") and number == _NAMES[name[:4]]:
            payload_type = number if payload_type is None else payload_type
        elif name == "TELEPHONE-EVENT/8000" and number < 128:
            dtmf = number if dtmf is None else dtmf
    if payload_type is None:
        refuse(f"SDP: got the formats {short(' '.join(part.formats))}, expected PCMU or PCMA")
    direction = part.direction or session.direction or "sendrecv"
    return Offer(address, part.port, payload_type, dtmf, direction, kinds, index)


def answer(offer: Offer, address: str, port: int, session: int, version: int) -> str:
    """Return the answer: the offered law, telephone events where offered, nothing but audio.

    Args:
        offer: what it answers.
        address: where our audio is received; an IP address.
        port: where our audio is received.
        session: a number of this call's.
        version: goes up with each answer of the call.
    """
    family = "IP6" if ":" in address else "IP4"
    name = "PCMU" if offer.payload_type == 0 else "PCMA"
    lines = [
        "v=0",
        f"o=- {session} {version} IN {family} {address}",
        "s=-",
        f"c=IN {family} {address}",
        "t=0 0",
    ]
    for index, kind in enumerate(offer.media):
        if index != offer.audio_index:
            what, _, profile = kind.partition("/")
            lines.append(f"m={what} 0 {profile or 'RTP/AVP'} 0")
            continue
        formats = f"{offer.payload_type}" + (f" {offer.dtmf}" if offer.dtmf is not None else "")
        lines.append(f"m=audio {port} RTP/AVP {formats}")
        lines.append(f"a=rtpmap:{offer.payload_type} {name}/8000")
        if offer.dtmf is not None:
            lines.append(f"a=rtpmap:{offer.dtmf} telephone-event/8000")
            lines.append(f"a=fmtp:{offer.dtmf} 0-15")
        lines.append("a=ptime:20")
        lines.append(f"a={_ANSWERED[offer.direction]}")
    return "\r\n".join(lines) + "\r\n"
