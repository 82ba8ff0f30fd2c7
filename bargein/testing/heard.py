"""A window as a server got it, and how an answer to it looks on the wire."""

from __future__ import annotations

import json
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.core.verdicts import is_positive
from bargein.wire.websocket_frames import Opcode, build_frame

from .answers import NO, WRONG, YES, Answer, Kind
from .sockets import Peer, Request

__all__ = ["Heard"]

DEFAULT_THRESHOLD = 0.5
"""What a scripted server judges by where the client names no threshold."""

_GARBAGE = "this is no JSON \x00 {{{"


@attrs.define(eq=False)
class Heard:
    """A window that arrived, and the means to say something to it. Any thread."""

    id: int
    samples: npt.NDArray[np.int16] = attrs.field(repr=lambda samples: f"<{len(samples)} samples>")
    peer: Peer = attrs.field(repr=False)
    connection: int
    request: Request | None = attrs.field(default=None, repr=False)
    """The request, over HTTP."""
    answered: bool = False
    """Whether the server has an answer of its own for it."""
    threshold: float | None = None
    """By which the client wants it judged; ``None``: by the server's own."""
    min_frames: int = 2

    # --- by hand ----------------------------------------------------------------------------

    def reply(self, positive: bool, **fields: Any) -> None:
        """Answer in order, with some fields changed."""
        self.say(json.dumps(self.fields(positive) | fields))

    def fields(self, positive: bool) -> dict[str, Any]:
        """Return the fields of a plain answer."""
        return self._fields(Answer(probability=YES if positive else NO, decision=positive))

    def encoded(self, positive: bool) -> bytes:
        """Return the bytes of a plain answer, for who wants to tear them apart."""
        return self._bytes(json.dumps(self.fields(positive)))

    def say(self, text: str) -> None:
        """Send a text: a message, or the body of a 200."""
        self._send(self._bytes(text))

    # --- an answer --------------------------------------------------------------------------

    def perform(self, answer: Answer) -> None:
        """Do to the client what an answer says, at once (``after`` is the server's to wait for)."""
        peer = self.peer
        kind = answer.kind
        if kind is Kind.CLOSE and self.request is None:
            with peer.lock:
                if not peer.mute:
                    peer.send_close(answer.code)
                    peer.mute = True
        elif kind in (Kind.DROP, Kind.RESET, Kind.CLOSE):
            with peer.lock:
                peer.end(abrupt=kind is Kind.RESET)
        elif kind in (Kind.DROP_INSIDE, Kind.STALL_INSIDE):
            data = self._bytes(json.dumps(self._fields(answer)))
            self._send(data[: len(data) // 2], last=True)
            if kind is Kind.DROP_INSIDE:
                peer.end()
        elif kind is Kind.ERROR:
            self._send(self._error(answer))
        elif kind is Kind.GARBAGE:
            self.say(_GARBAGE)
        elif kind is Kind.RAW:
            self.say(answer.text.replace("{id}", str(self.id)))
        elif kind is not Kind.SILENCE:
            self._reply(answer)

    def _reply(self, answer: Answer) -> None:
        data = self._bytes(json.dumps(self._fields(answer)))
        if answer.kind is Kind.TWICE and self.request is None:
            data += data
        if answer.kind is not Kind.DRIP:
            self._send(data)
            return
        with self.peer.lock:
            if not self.peer.mute:
                self.peer.drip(data, answer.lasts / len(data))

    def _fields(self, answer: Answer) -> dict[str, Any]:
        prediction = answer.prediction(len(self.samples))
        positive = is_positive(
            prediction,
            threshold=self.threshold,
            default=DEFAULT_THRESHOLD,
            min_frames=self.min_frames,
        )
        reply: dict[str, Any] = {
            "created_at": self.id + (WRONG if answer.kind is Kind.WRONG_ID else 0),
            "prediction_duration": 0.01,
            "probabilities": [round(p, 6) for p in prediction.probabilities.tolist()],
        }
        if self.request is not None:
            return reply | {"is_bargein": positive}
        return {"type": "bargein_detected" if positive else "inference_done", **reply}

    def _error(self, answer: Answer) -> bytes:
        code = answer.code or 500
        if self.request is not None:
            return _response(f"{code} {answer.text or 'Error'}", answer.text, answer.headers)
        message = {"type": "error", "message": answer.text, "code": code, "session_id": "s"}
        return bytes(build_frame(Opcode.TEXT, json.dumps(message).encode(), mask_key=None))

    def _bytes(self, text: str) -> bytes:
        if self.request is not None:
            return _response("200 OK", text)
        return bytes(build_frame(Opcode.TEXT, text.encode(), mask_key=None))

    def _send(self, data: bytes, *, last: bool = False) -> None:
        with self.peer.lock:
            if not self.peer.mute:
                self.peer.send(data)
                self.peer.mute = last


def _response(status: str, body: str, headers: tuple[str, ...] = ()) -> bytes:
    data = body.encode()
    # a status line is one line, whatever the text
    lines = [f"HTTP/1.1 {' '.join(status.split())}", *headers, f"Content-Length: {len(data)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + data
