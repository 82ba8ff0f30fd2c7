"""sipp: calls that play a file of G.711."""

from __future__ import annotations

import itertools
import random
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

from bargein.audio.g711 import encode_alaw, encode_mulaw

from .sounds import Samples

_HEAD = """\
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: sipp <sip:sipp@[local_ip]:[local_port]>;tag=[pid]t[call_number]
To: bot <sip:bot@[remote_ip]:[remote_port]>{tag}
Call-ID: [call_id]
CSeq: {cseq} {method}
Contact: <sip:sipp@[local_ip]:[local_port]>
Max-Forwards: 70
"""

_SDP = """\
Content-Type: application/sdp
Content-Length: [len]

v=0
o=sipp 1 {version} IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio {port} RTP/AVP {law} 101
a=rtpmap:101 telephone-event/8000
a={way}
"""


# Below those that systems give out by themselves, none twice, and not where another run begins.
_first = random.randrange(10_000, 20_000, 4)
_ports = itertools.cycle([*range(_first, 20_000, 4), *range(10_000, _first, 4)])


def _send(method: str, cseq: int, body: str = "Content-Length: 0\n", *, tag: bool = True) -> str:
    head = _HEAD.format(method=method, cseq=cseq, tag="[peer_tag_param]" if tag else "")
    retry = "" if method == "ACK" else ' retrans="500"'
    text = f"{method} sip:bot@[remote_ip]:[remote_port] SIP/2.0\n{head}{body}"
    return f"<send{retry}><![CDATA[\n{text}\n]]></send>\n"


def _invite(
    cseq: int, law: int, way: str = "sendrecv", *, port: str = "[rtpstream_audio_port]"
) -> str:
    sdp = _SDP.format(version=cseq, law=law, way=way, port=port)
    return (
        _send("INVITE", cseq, sdp, tag=cseq > 1)
        + '<recv response="100" optional="true"/>\n<recv response="200"/>\n'
        + _send("ACK", cseq)
    )


def _pause(seconds: float) -> str:
    return f'<pause milliseconds="{round(seconds * 1000)}"/>\n'


def call(
    work: Path,
    port: int,
    said: Samples,
    *,
    name: str = "call",
    law: int = 0,
    seconds: float | None = None,
    hold_at: float | None = None,
    bye: bool = True,
    calls: int = 1,
    media_port: int | None = None,
) -> subprocess.Popen[str]:
    """Start sipp: one call, or several at once, that say `said` and hang up after `seconds`.

    With `hold_at` the call is held for a second at that time. Without `bye` the caller simply
    goes away. The first call's audio comes from `media_port`, a free one if it isn't given.
    """
    encode = encode_mulaw if law == 0 else encode_alaw
    audio = work / f"{name}.g711"
    audio.write_bytes(encode(said))
    seconds = said.size / 8_000 if seconds is None else seconds
    kind = "PCMU/8000" if law == 0 else "PCMA/8000"
    steps = [
        _invite(1, law),
        f'<nop><action><exec rtp_stream="{audio},1,{law},{kind}"/></action></nop>\n',
    ]
    if hold_at is None:
        steps.append(_pause(seconds))
    else:
        steps += [
            _pause(hold_at),
            '<nop><action><exec rtp_stream="pause"/></action></nop>\n',
            _invite(2, law, "sendonly"),
            _pause(1.0),
            _invite(3, law),
            '<nop><action><exec rtp_stream="resume"/></action></nop>\n',
            _pause(seconds - hold_at),
        ]
    return _run(work, port, name, steps, bye=bye, calls=calls, media_port=media_port)


def echo(work: Path, port: int, seconds: float, *, name: str = "echo") -> subprocess.Popen[str]:
    """Start a call that sends back each packet as it comes: an echo at 0 dB, and no delay."""
    steps = [_invite(1, 0, port="[media_port]"), _pause(seconds)]
    return _run(work, port, name, steps, "-rtp_echo")


def _run(
    work: Path,
    port: int,
    name: str,
    steps: list[str],
    *options: str,
    bye: bool = True,
    calls: int = 1,
    media_port: int | None = None,
) -> subprocess.Popen[str]:
    if bye:
        steps += [_send("BYE", 9), '<recv response="200"/>\n']
    scenario = work / f"{name}.xml"
    body = "".join(steps)
    scenario.write_text(
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n'
        f'<scenario name="{name}">\n{body}</scenario>\n'
    )
    command = ["sipp", "-sf", str(scenario), "-m", str(calls), "-l", str(calls), "-r", str(calls)]
    media_port = free_port() if media_port is None else media_port
    command += ["-i", "127.0.0.1", "-mi", "127.0.0.1", "-mp", str(media_port), "-nostdin", *options]
    command += ["-p", "0", f"127.0.0.1:{port}"]
    return subprocess.Popen(
        command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def free_port() -> int:
    """Return a UDP port for a call's audio that is free, as are the three behind it."""
    for port in _ports:
        with ExitStack() as stack:
            try:
                for each in range(port, port + 4):
                    probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    probe.bind(("127.0.0.1", each))
            except OSError:
                continue
            return port
    raise AssertionError("there is always a next one")


def finish(process: subprocess.Popen[str], timeout: float = 60.0) -> str:
    """Wait for sipp; fail if a call did."""
    said, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, f"{said[:1_000]}\n...\n{said[-2_000:]}"
    return said
