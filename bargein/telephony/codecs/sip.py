"""SIP messages, as far as answering calls needs: reading, and replies to them.

Source: RFC 3261. UDP: a datagram is one message. Only what an answerer uses is looked at; header
names are matched without case, and in their short forms.
"""

from __future__ import annotations

import re

import attrs

from .events import refuse, short

__all__ = ["Request", "Response", "parse_message", "request", "uri_of"]

MAX_MESSAGE = 8_192
"""Bytes; an INVITE with much SDP has 2,000."""

MAX_HEADERS = 100

_SHORT = {
    "i": "call-id",
    "f": "from",
    "t": "to",
    "v": "via",
    "m": "contact",
    "c": "content-type",
    "l": "content-length",
    "k": "supported",
}

_REASONS = {
    100: "Trying",
    180: "Ringing",
    200: "OK",
    400: "Bad Request",
    405: "Method Not Allowed",
    415: "Unsupported Media Type",
    481: "Call/Transaction Does Not Exist",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    503: "Service Unavailable",
}

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS"

_TOKEN = re.compile(r"[A-Za-z0-9!%*_+`'~.-]{1,32}")
_TAG = re.compile(r";\s*tag\s*=\s*([^;,\s]+)", re.IGNORECASE)


@attrs.frozen
class _Message:
    headers: tuple[tuple[str, str], ...] = attrs.field(repr=False)
    body: str = attrs.field(repr=False)

    def all(self, name: str) -> list[str]:
        """Return each value of a header, in order; `name` in lower case."""
        return [value for key, value in self.headers if key == name]

    def get(self, name: str) -> str:
        """Return a header's first value, or an empty text."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def call_id(self) -> str:
        return self.get("call-id")

    @property
    def cseq(self) -> tuple[int, str]:
        """The sequence number and the method that it counts."""
        number, _, method = self.get("cseq").partition(" ")
        return int(number), method.strip()

    @property
    def branch(self) -> str:
        """What tells transactions apart: the branch of the topmost Via."""
        found = re.search(r";\s*branch\s*=\s*([^;,\s]+)", self.get("via"))
        return found[1] if found else ""

    def tag(self, name: str) -> str:
        """Return the tag of ``from`` or ``to``; empty if it has none."""
        # Only past the angle brackets: an URI may have a parameter of that name.
        found = _TAG.search(self.get(name).rpartition(">")[2])
        return found[1] if found else ""


@attrs.frozen
class Request(_Message):
    """A request."""

    method: str = attrs.field(kw_only=True)
    uri: str = attrs.field(kw_only=True)

    def reply(
        self,
        status: int,
        *,
        to_tag: str = "",
        contact: str = "",
        body: str = "",
        extra: tuple[tuple[str, str], ...] = (),
    ) -> bytes:
        """Return the response to this request."""
        lines = [f"SIP/2.0 {status} {_REASONS[status]}"]
        lines += [f"Via: {via}" for via in self.all("via")]
        lines += [f"Record-Route: {route}" for route in self.all("record-route")]
        to = self.get("to")
        if to_tag and not self.tag("to"):
            to = f"{to};tag={to_tag}"
        lines += [f"From: {self.get('from')}", f"To: {to}"]
        lines += [f"Call-ID: {self.call_id}", f"CSeq: {self.get('cseq')}"]
        if contact:
            lines.append(f"Contact: <{contact}>")
        lines += [f"{name}: {value}" for name, value in extra]
        return _finish(lines, body)


@attrs.frozen
class Response(_Message):
    """A response to a request of ours."""

    status: int = attrs.field(kw_only=True)


def parse_message(data: bytes) -> Request | Response:
    """Read one datagram; raises `ProtocolError` where it isn't a SIP message that can be used."""
    if len(data) > MAX_MESSAGE:
        refuse(f"SIP: got {len(data)} bytes, expected at most {MAX_MESSAGE}")
    head, _, rest = data.partition(b"\r\n\r\n")
    try:
        lines = head.decode("utf-8").split("\r\n")
    except UnicodeDecodeError:
        refuse(f"SIP: got {short(data)}, expected text")
    headers = _headers(lines[1:])
    first = dict(reversed(headers))
    for name in ("via", "from", "to", "call-id", "cseq"):
        if not first.get(name):
            refuse(f"SIP: got {short(lines[0])} without {name}")
    number, _, method = first["cseq"].partition(" ")
    if not (number.isascii() and number.isdigit() and len(number) <= 10):
        refuse(f"SIP: got CSeq {short(first['cseq'])}, expected a number and a method")
    length = first.get("content-length", str(len(rest)))
    if not (
        length.isascii() and length.isdigit() and len(length) <= 5 and int(length) <= len(rest)
    ):
        refuse(f"SIP: got Content-Length {short(length)} with a body of {len(rest)} bytes")
    body = rest[: int(length)].decode("utf-8", "replace")
    words = lines[0].split(" ")
    if words[0] == "SIP/2.0":
        if len(words) < 2 or not re.fullmatch(r"[1-6][0-9][0-9]", words[1]):
            refuse(f"SIP: got the status line {short(lines[0])}")
        return Response(headers, body, status=int(words[1]))
    if len(words) != 3 or words[2] != "SIP/2.0" or not _TOKEN.fullmatch(words[0]):
        refuse(f"SIP: got the request line {short(lines[0])}, expected METHOD URI SIP/2.0")
    if method.strip() != words[0]:
        refuse(f"SIP: got {words[0]} with CSeq {short(first['cseq'])}")
    return Request(headers, body, method=words[0], uri=words[1])


def _headers(lines: list[str]) -> tuple[tuple[str, str], ...]:
    if len(lines) > MAX_HEADERS:
        refuse(f"SIP: got {len(lines)} header lines, expected at most {MAX_HEADERS}")
    found: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (" ", "\t") and found:  # folded
            name, value = found[-1]
            found[-1] = (name, f"{value} {line.strip()}")
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        # A bare line feed or carriage return would become a header of its own in a reply.
        if not colon or not name or "\n" in line or "\r" in line:
            refuse(f"SIP: got the header line {short(line)}, expected NAME: VALUE")
        found.append((_SHORT.get(name, name), value.strip()))
    return tuple(found)


def uri_of(value: str) -> str:
    """Return the URI in a From, To or Contact: ``"A" <sip:a@b;x>;tag=1`` → ``sip:a@b;x``."""
    start = value.find("<")
    if start >= 0:
        return value[start + 1 :].partition(">")[0].strip()
    return value.partition(";")[0].strip()


def request(
    method: str,
    uri: str,
    *,
    via: str,
    sender: str,
    to: str,
    call_id: str,
    cseq: int,
    routes: tuple[str, ...] = (),
) -> bytes:
    """Return a request of ours (a BYE); `via` as ``host:port;branch=…``."""
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {via}",
        "Max-Forwards: 70",
        *(f"Route: {route}" for route in routes),
        f"From: {sender}",
        f"To: {to}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
    ]
    return _finish(lines, "")


def _finish(lines: list[str], body: str) -> bytes:
    content = body.encode()
    if content:
        lines.append("Content-Type: application/sdp")
    lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode() + content
