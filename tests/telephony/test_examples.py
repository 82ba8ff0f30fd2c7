"""The bridges of ``examples/telephony``, each in a process of its own, called over loopback.

The pjsua2 bot needs a SIP client and is called in the second tier (``peers/test_examples.py``).
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

import bargein
from bargein.telephony.codecs import audiosocket as codec

EXAMPLES = Path(__file__).parents[2] / "examples" / "telephony"
WAIT = 30.0


@contextmanager
def running(name: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Start an example on a free port; give the port and the process."""
    code = f"import sys; sys.path.insert(0, {str(EXAMPLES)!r}); import {name}; {name}.main(0)"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # The package under test, wherever it is; not what lies in the present folder.
        env={**os.environ, "PYTHONPATH": str(Path(bargein.__file__).parents[1])},
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on "), line + process.stdout.read()
        yield int(line.split()[-1]), process
    finally:
        process.kill()
        process.wait(WAIT)
        process.stdout.close()


@pytest.mark.parametrize("name", ["asterisk_audiosocket", "own_policy"])
def test_audiosocket(name: str) -> None:
    with running(name) as (port, process):
        with socket.create_connection(("127.0.0.1", port), WAIT) as peer:
            peer.sendall(codec.hello(uuid.uuid4()))
            heard = 0
            while heard < 960:
                data = peer.recv(4096)
                assert data
                heard += len(data)
            if name == "own_policy":
                peer.sendall(codec.dtmf("3"))
                assert process.stdout is not None
                assert process.stdout.readline() == "key 3\n"
        if name == "asterisk_audiosocket":
            assert process.stdout is not None
            assert "over (hangup)" in process.stdout.readline()


def test_chan_websocket() -> None:
    with (
        running("asterisk_websocket") as (port, _),
        connect(f"ws://127.0.0.1:{port}/media", subprotocols=["media"]) as peer,  # type: ignore[list-item]
    ):
        peer.send(
            "MEDIA_START connection_id:1 channel:WebSocket/bot/1 channel_id:1.1 format:ulaw "
            "optimal_frame_size:160 ptime:20"
        )
        heard = b""
        while len(heard) < 1600:
            message = peer.recv(WAIT)
            if isinstance(message, bytes):
                heard += message


def test_twilio() -> None:
    with running("twilio_bridge") as (port, _), connect(f"ws://127.0.0.1:{port}/media") as peer:
        peer.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        start = {
            "event": "start",
            "sequenceNumber": "1",
            "streamSid": "MZ1",
            "start": {
                "streamSid": "MZ1",
                "accountSid": "AC1",
                "callSid": "CA1",
                "tracks": ["inbound"],
                "customParameters": {},
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            },
        }
        peer.send(json.dumps(start))
        heard, marks = b"", 0
        while len(heard) < 3200:
            message = json.loads(peer.recv(WAIT))
            if message["event"] == "media":
                heard += base64.b64decode(message["media"]["payload"])
            marks += message["event"] == "mark"
        assert marks >= 1
    twiml = (EXAMPLES / "twiml.xml").read_text()
    assert "<Connect>" in twiml
    assert "<Stream " in twiml
