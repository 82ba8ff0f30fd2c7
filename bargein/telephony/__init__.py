"""Phone calls: the ways in and out (codecs, lines), and the call itself on top of them.

Nothing here is loaded before it is used. The WebSocket servers need the extra ``telephony``;
AudioSocket, RTP and the SIP answerer need nothing but the library.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Answer": "line",
    "AsteriskWebSocketServer": "lines.chan_websocket",
    "AudioSocketServer": "lines.audiosocket",
    "BargeInPolicy": "policy",
    "Call": "call",
    "CallEvent": "call_events",
    "Dialect": "codecs.dialects",
    "EchoCanceller": "echo",
    "EchoOptions": "echo",
    "EndReason": "line",
    "Line": "line",
    "LineHandler": "line",
    "MediaStreamsServer": "lines.media_streams",
    "Part": "prompt",
    "Prompt": "prompt",
    "RtpEndpoint": "lines.rtp",
    "SipAnswerer": "lines.sip",
    "StopReason": "policy",
}
"""Public names, and the module below this package in which each lives."""

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
