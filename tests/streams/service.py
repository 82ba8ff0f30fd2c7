"""The streams' server and caller: the kit's (``bargein.testing``), patient unless told otherwise.

A test answers by hand here, so a window is waited for as long as a test may take.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bargein.core.connect_options import APIConnectOptions
from bargein.detector import AdaptiveInterruptionDetector
from bargein.testing import answers as kit
from bargein.testing.caller import STEP, Caller
from bargein.testing.heard import Heard
from bargein.testing.server import CREATED, Greeting, ScriptedServer, refuse
from bargein.testing.sockets import BOUND

__all__ = ["CREATED", "STEP", "Answer", "Caller", "Heard", "Service", "Transport", "answers"]
__all__ += ["refuse"]

Transport = str
"""``ws``, ``wss``, ``http`` or ``https``."""

Answer = kit.Answer | Callable[[Heard], None]


class answers:
    """What may become of a window: the kit's, and what only these tests want."""

    yes = kit.yes
    no = kit.no
    silence = kit.silence
    drop = kit.drop
    reset = kit.reset
    drop_inside = kit.drop_inside
    stall_inside = kit.stall_inside
    drip = kit.drip(4.0)
    """More than the client's patience for the whole."""
    text = staticmethod(kit.raw)
    close = staticmethod(kit.close)

    @staticmethod
    def status(line: str, body: str = "", *headers: str) -> Answer:
        """An HTTP status."""
        return lambda heard: heard.peer.respond(line, body, headers)

    @staticmethod
    def fields(positive: bool, **fields: Any) -> Answer:
        """An answer with some fields changed."""
        return lambda heard: heard.say(json.dumps(heard.fields(positive) | fields))


class Service(ScriptedServer):
    """The kit's server, for one transport."""

    def __init__(
        self,
        transport: Transport,
        *answers: Answer,
        greetings: Sequence[Greeting] = (),
        tls: ssl.SSLContext | None = None,
        **kind: Any,
    ) -> None:
        secure = transport in ("wss", "https")
        super().__init__(*answers, greetings=greetings, tls=tls or secure, **kind)
        self.transport = transport

    def detector(
        self, *, folder: Path | None = None, conn: dict[str, Any] | None = None, **options: Any
    ) -> AdaptiveInterruptionDetector:
        """A detector that asks this server, and waits long for it unless told otherwise."""
        patient: dict[str, Any] = {"inference_timeout": BOUND, "verdict_grace": BOUND}
        connect = {"max_retry": None, "retry_interval": 0, "timeout": BOUND} | (conn or {})
        return super().detector(
            "http" if self.transport.startswith("http") else "websocket",
            **(patient | options),
            conn_options=APIConnectOptions(**connect),
        )
