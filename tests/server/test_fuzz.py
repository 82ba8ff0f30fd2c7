"""Thousands of bad inputs don't bring the server down, nor disturb a session beside them."""

from __future__ import annotations

import contextlib
import json
import logging
import random
import socket
import struct

import pytest

from tests.server.running import Running, create_session, receive, running, send_window

VALUES = [0, -1, 0.5, 2**64, 1e308, True, None, "", "x" * 300, [], [[]], {}, {"type": "x"}]
WORDS = ["session.create", "session.close", "settings", "type", "threshold", "min_frames", "null"]


def _junk(dice: random.Random, most: int = 300) -> bytes:
    return dice.randbytes(dice.randrange(most))


def _text(dice: random.Random) -> str:
    pieces = ["{", "}", '"', ":", "[", "]", ",", "1e999", "-1", "NaN", "\u2603", *WORDS]
    return "".join(dice.choices(pieces, k=dice.randrange(1, 40)))


def _mutated(dice: random.Random) -> str:
    """A message that is nearly right."""
    settings = {"sample_rate": 16000, "num_channels": 1, "min_frames": 2, "encoding": "s16le"}
    message = {"type": dice.choice(["session.create", "session.close", "x"]), "settings": settings}
    for _ in range(dice.randrange(3)):
        target = dice.choice([settings, message])
        target[dice.choice([*settings, "threshold", "type", "settings"])] = dice.choice(VALUES)
    return json.dumps(message)


def _header(dice: random.Random) -> bytes:
    """A frame's header that promises anything."""
    size = dice.choice([0, 125, 126, 65_536, 192_001, 2**31, 2**63, 2**64 - 1])
    first = dice.choice([0x82, 0x81, 0x02, 0x00, 0x80, 0x88, 0x89, 0xF2, 0x83])
    return bytes((first, 0xFF)) + size.to_bytes(8, "big") + _junk(dice, 40)


def _query(dice: random.Random) -> bytes:
    pieces = ["threshold", "min_frames", "created_at", "=", "&", "%", "%00", "-", "1e9", "9" * 30]
    return "".join(dice.choices(pieces, k=dice.randrange(8))).encode()


def _http(server: Running, dice: random.Random) -> None:
    lines = [
        _junk(dice),
        b"POST /bargein?threshold=" + _junk(dice, 20).hex().encode() + b" HTTP/1.1\r\n",
        b"POST /bargein HTTP/1.1\r\nHost: x\r\nAuthorization: " + _junk(dice, 40) + b"\r\n\r\n",
        b"POST /bargein?" + _query(dice) + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
        b"POST /bargein HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /bargein HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /bargein HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n" + _junk(dice, 30),
        b"GET /bargein HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ]
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(dice.choice(lines))
        if dice.random() < 0.3:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _websocket(server: Running, dice: random.Random) -> None:
    with server.session(create=False) as client, contextlib.suppress(OSError):
        if dice.random() < 0.7:
            create_session(client, threshold=dice.choice([0.5, -1, "x", None, 1e300, [1]]))
        for _ in range(dice.randrange(1, 12)):
            match dice.randrange(7):
                case 0:
                    client.send(_text(dice))
                case 1:
                    client.send_binary(_junk(dice))
                case 2:
                    client.sock.sendall(_junk(dice))
                case 3:
                    client.send(_junk(dice), 1)  # a text that isn't UTF-8
                case 4:
                    client.send(_mutated(dice))
                case 5:
                    client.sock.sendall(_header(dice))
                case 6:
                    client.send(_junk(dice, 200), dice.choice([0, 1, 8, 9, 10]))


@pytest.mark.parametrize("seed", range(5))
def test_garbage(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    dice = random.Random(seed)
    with running(windows_per_second=1e6) as server, server.session() as good:
        for case in range(1, 1001):
            with contextlib.suppress(OSError):
                dice.choice([_http, _websocket])(server, dice)
            if case % 50 == 0:
                send_window(good, case)
                assert receive(good)["created_at"] == case
        assert server.request("GET", "/healthz")[0] == 200
        assert server.metric('bargein_windows_total{outcome="failed"}') == 0
    # Nothing of it is an error of the server's.
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
