"""A caller on Twilio's network, as its pages describe it: 20 ms pacing, a buffer, marks, clear.

It plays what the bridge sends at 20 ms a tick, gives a mark back when all before it was played,
and on a clear drops its buffer and gives all marks back at once (Plivo: drops them as well).
"""

from __future__ import annotations

import base64
import collections
import json
import threading
import time
from typing import Any

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from bargein.audio.g711 import decode_mulaw, encode_mulaw
from bargein.telephony.codecs.dialects import Dialect

from .sounds import AUDIBLE, RATE, Samples

FRAME = RATE // 50
AHEAD = 0.02
"""Seconds that the network is behind what it was just given."""


class VendorCall:
    """One call of a vendor's; `run` blocks until it is over."""

    def __init__(
        self,
        dialect: Dialect,
        said: Samples,
        *,
        stream: str = "MZ1",
        digits: dict[float, str] | None = None,
    ) -> None:
        self.dialect = dialect
        self.stream = stream
        self.said: list[Samples] = []
        self.heard: list[Samples] = []
        self.clears: list[float] = []
        self.returned: list[str] = []
        self._script = said
        self._digits = sorted((digits or {}).items())
        self._buffer: collections.deque[Any] = collections.deque()
        self._lock = threading.Lock()
        self._begun = 0.0
        self.sequence = 0

    def run(self, port: int) -> VendorCall:
        with connect(f"ws://127.0.0.1:{port}/media", compression=None) as socket:
            reader = threading.Thread(target=self._read, args=(socket,))
            reader.start()
            self._send(socket, "connected", protocol="Call", version="1.0.0")
            self._send(socket, "start", start=self._start())
            self._begun = time.monotonic()
            try:
                for number in range(-(-self._script.size // FRAME)):
                    self._tick(socket, number)
                self._send(socket, "stop", stop={"callSid": "CA1"})
            except ConnectionClosed:
                pass
            socket.close()
            reader.join()
        return self

    def _start(self) -> dict[str, Any]:
        dialect = self.dialect
        fmt = {"encoding": "audio/x-mulaw", dialect.rate_field: RATE, "channels": 1}
        return {
            dialect.stream_id: self.stream,
            "callSid": "CA1",
            "tracks": ["inbound"],
            dialect.format_field: fmt,
        }

    def _send(self, socket: Any, event: str, **fields: Any) -> None:
        self.sequence += 1
        message = {"event": event, "sequenceNumber": str(self.sequence), **fields}
        message[self.dialect.stream_id] = self.stream
        socket.send(json.dumps(message))

    def _tick(self, socket: Any, number: int) -> None:
        wait = self._begun + number * 0.02 - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        frame = np.zeros(FRAME, np.int16)
        part = self._script[number * FRAME : (number + 1) * FRAME]
        frame[: part.size] = part
        self.said.append(frame)
        payload = base64.b64encode(encode_mulaw(frame)).decode()
        media = {"track": "inbound", "chunk": str(number + 1), "timestamp": str(number * 20)}
        self._send(socket, "media", media={**media, "payload": payload})
        while self._digits and self._digits[0][0] <= number * 0.02:
            digit = self._digits.pop(0)[1]
            self._send(socket, "dtmf", dtmf={"track": "inbound_track", "digit": digit})
        self.heard.append(self._play(socket))

    def _play(self, socket: Any) -> Samples:
        frame = np.zeros(FRAME, np.int16)
        marks = []
        with self._lock:
            at = 0
            while self._buffer:
                first = self._buffer[0]
                if isinstance(first, str):
                    marks.append(self._buffer.popleft())
                    continue
                if at == FRAME:
                    break
                take = min(FRAME - at, first.size)
                frame[at : at + take] = first[:take]
                at += take
                if take == first.size:
                    self._buffer.popleft()
                else:
                    self._buffer[0] = first[take:]
        self._return(socket, marks)
        return frame

    def _return(self, socket: Any, marks: list[str]) -> None:
        for name in marks:
            self.returned.append(name)
            if self.dialect.mark_flat:
                self._send(socket, self.dialect.mark_back, name=name)
            else:
                self._send(socket, self.dialect.mark_back, mark={"name": name})

    def _read(self, socket: Any) -> None:
        dialect = self.dialect
        try:
            for text in socket:
                message = json.loads(text)
                event = message["event"]
                if event == dialect.play:
                    data = base64.b64decode(message["media"]["payload"])
                    with self._lock:
                        self._buffer.append(decode_mulaw(data))
                elif event == dialect.mark:
                    source = message if dialect.mark_flat else message["mark"]
                    with self._lock:
                        self._buffer.append(source["name"])
                elif event == dialect.clear:
                    self._clear(socket)
        except ConnectionClosed:
            pass

    def _clear(self, socket: Any) -> None:
        self.clears.append(time.monotonic() - self._begun)
        with self._lock:
            marks = [entry for entry in self._buffer if isinstance(entry, str)]
            self._buffer.clear()
        if self.dialect.marks_return_when_cleared:
            self._return(socket, marks)
        if self.dialect.cleared:
            self._send(socket, self.dialect.cleared)

    def tracks(self) -> tuple[Samples, Samples]:
        """Return what was said and heard, on one clock."""
        return np.concatenate(self.said), np.concatenate(self.heard)

    def played(self) -> float:
        """Return how much of the prompt (s) was played: frames in which it is audible."""
        frames = np.abs(np.array(self.heard).astype(np.int32)).max(axis=1)
        return float((frames > AUDIBLE).sum()) * FRAME / RATE
