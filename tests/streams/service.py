"""An inference server on loopback that behaves to order, over any transport, and a caller.

Every window that arrives is put into :attr:`Service.heard`; what happens to it then is the next of
the service's ``answers`` (the last one holds for all that follow), each a function of
:class:`Heard`. Without answers the test replies by hand::

    with Service("ws") as service, service.detector() as detector:
        caller = Caller(detector)
        caller.interrupt()
        service.next().reply(True)
        assert caller.event().is_interruption
"""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.core import (
    InterruptionDetectionError,
    InterruptionMetrics,
    OverlappingSpeechEvent,
)
from bargein.core.connect_options import APIConnectOptions
from bargein.detector import AdaptiveInterruptionDetector
from bargein.drivers.tls import TlsOptions
from bargein.errors import StreamEnded
from bargein.wire.websocket_frames import Binary, Closed, Ping, Text
from tests.drivers.certificates import authority, server_context
from tests.drivers.servers import BOUND, Peer, Request, Server

__all__ = ["CREATED", "Answer", "Caller", "Heard", "Service", "Transport", "answers", "refuse"]

Transport = str
"""``ws``, ``wss``, ``http`` or ``https``."""

CREATED = '{"type":"session.created","default_threshold":0.5}'
_numbers = itertools.count(1)
STEP = bytes(3200)  # 0.1 s of 16 kHz mono: one window


@attrs.define(eq=False)
class Heard:
    """A window as the server got it, and the means to say something to it. Any thread."""

    id: int
    samples: npt.NDArray[np.int16]
    peer: Peer
    connection: int
    request: Request | None = None
    """The request, over HTTP."""
    answered: bool = False
    """Whether the service has an answer of its own for it."""

    def reply(self, positive: bool, **fields: Any) -> None:
        """Answer in order."""
        self.say(json.dumps(self.fields(positive) | fields))

    def fields(self, positive: bool) -> dict[str, Any]:
        probability = 0.9 if positive else 0.1
        reply: dict[str, Any] = {
            "created_at": self.id,
            "prediction_duration": 0.01,
            "probabilities": [probability] * (-(-len(self.samples) // 400)),
        }
        if self.request is not None:
            return reply | {"is_bargein": positive}
        return {"type": "bargein_detected" if positive else "inference_done", **reply}

    def say(self, text: str) -> None:
        """Send a text: a message, or the body of a 200."""
        if self.request is None:
            self.peer.send_text(text)
        else:
            self.peer.respond("200 OK", text)

    def encoded(self, positive: bool) -> bytes:
        """The bytes of an answer in order, for who wants to tear them apart."""
        text = json.dumps(self.fields(positive)).encode()
        if self.request is None:
            assert 125 < len(text) < 65_536
            return b"\x81\x7e" + len(text).to_bytes(2, "big") + text
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text


Answer = Callable[[Heard], None]
Greeting = Callable[[Peer], None]


class answers:
    """What may become of a window."""

    @staticmethod
    def yes(heard: Heard) -> None:
        heard.reply(True)

    @staticmethod
    def no(heard: Heard) -> None:
        heard.reply(False)

    @staticmethod
    def silence(heard: Heard) -> None:
        """Nothing."""

    @staticmethod
    def drop(heard: Heard) -> None:
        heard.peer.sock.close()

    @staticmethod
    def reset(heard: Heard) -> None:
        heard.peer.reset()

    @staticmethod
    def drop_inside(heard: Heard) -> None:
        """Half a reply, and the end of the connection."""
        data = heard.encoded(True)
        heard.peer.send(data[: len(data) // 2])
        heard.peer.close()

    @staticmethod
    def stall_inside(heard: Heard) -> None:
        """Half a reply, and no more."""
        data = heard.encoded(True)
        heard.peer.send(data[: len(data) // 2])
        heard.peer.hold()

    @staticmethod
    def drip(heard: Heard) -> None:
        """A byte now and then: more than the client's patience for the whole."""
        heard.peer.drip(heard.encoded(True), 0.02)

    @staticmethod
    def status(line: str, body: str = "", *headers: str) -> Answer:
        """An HTTP status."""
        return lambda heard: heard.peer.respond(line, body, headers)

    @staticmethod
    def text(text: str) -> Answer:
        """A text of this wording, ``{id}`` being the window's."""
        return lambda heard: heard.say(text.replace("{id}", str(heard.id)))

    @staticmethod
    def fields(positive: bool, **fields: Any) -> Answer:
        """An answer with some fields changed."""
        return lambda heard: heard.reply(positive, **fields)

    @staticmethod
    def close(code: int | None) -> Answer:
        """A CLOSE frame, and whatever the client says to it."""

        def answer(heard: Heard) -> None:
            heard.peer.send_close(code)
            heard.peer.hold()

        return answer


def refuse(line: str, body: str = "", *headers: str) -> Greeting:
    """A connection on which the first request is refused."""

    def greet(peer: Peer) -> None:
        peer.read_request()
        peer.respond(line, body, headers)

    return greet


class Service:
    """A server for windows. ``greetings``: the first connections' scripts, before it serves."""

    def __init__(
        self,
        transport: Transport,
        *answers: Answer,
        greetings: Sequence[Greeting] = (),
        created: str | None = CREATED,
        says_goodbye: bool = True,
        listening: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.transport = transport
        self.heard: queue.Queue[Heard] = queue.Queue()
        self.sessions: queue.Queue[dict[str, Any]] = queue.Queue()
        """The settings of each ``session.create``."""
        self.requests: queue.Queue[Request] = queue.Queue()
        """Each handshake, or each window's request."""
        self.goodbyes: queue.Queue[int] = queue.Queue()
        """The connection of each ``session.close``."""
        self.lost: queue.Queue[int] = queue.Queue()
        """The connections that ended."""
        self.created = created
        self.says_goodbye = says_goodbye
        self._answers = list(answers)
        self._greetings = list(greetings)
        self._lock = threading.Lock()
        self._away = False
        if transport in ("wss", "https"):
            tls = tls or server_context()
        self.server = Server(self._serve, tls=tls, listening=listening)

    def __enter__(self) -> Service:
        self.server.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.server.__exit__(*exception)

    def next(self) -> Heard:
        """Wait for the next window."""
        return self.heard.get(timeout=BOUND)

    def next_unanswered(self) -> Heard:
        """Wait for the next window that the service has no answer for."""
        while (heard := self.next()).answered:
            pass
        return heard

    @property
    def connections(self) -> int:
        """Connections that ever came."""
        return self.server.connections

    def greet_next(self, *greetings: Greeting) -> None:
        """Let the next connections run these."""
        with self._lock:
            self._greetings = list(greetings)

    def vanish(self) -> None:
        """End all connections, and each new one as soon as it comes."""
        with self._lock:
            self._away = True
        self.server.drop_all()

    def come_back(self) -> None:
        """Be there again."""
        with self._lock:
            self._away = False

    def answer(self, *answers: Answer) -> None:
        """Answer by these from here on."""
        with self._lock:
            self._answers = list(answers)

    def detector(
        self, *, folder: Path | None = None, conn: dict[str, Any] | None = None, **options: Any
    ) -> AdaptiveInterruptionDetector:
        """A detector that asks this server, and waits long for it unless told otherwise."""
        defaults: dict[str, Any] = {"inference_timeout": BOUND, "verdict_grace": BOUND}
        if self.transport in ("wss", "https") and "tls" not in options:
            assert folder is not None
            path = folder / "ca.pem"
            authority().cert_pem.write_to_path(str(path))
            defaults["tls"] = TlsOptions(ca_file=path)
        connect = {"max_retry": None, "retry_interval": 0, "timeout": BOUND} | (conn or {})
        defaults["base_url"] = self.server.url(self.transport, host="localhost")
        return AdaptiveInterruptionDetector(
            **(defaults | options), conn_options=APIConnectOptions(**connect)
        )

    # --- connections ------------------------------------------------------------------------

    def _serve(self, peer: Peer) -> None:
        with self._lock:
            number = self.connections
            greeting = self._greetings.pop(0) if self._greetings else None
            if self._away:
                greeting = Peer.close
        try:
            if greeting is not None:
                greeting(peer)
            elif self.transport in ("ws", "wss"):
                self._websocket(peer, number)
            else:
                self._http(peer, number)
        finally:
            self.lost.put(number)

    def _take(self, *heard: Any) -> None:
        with self._lock:
            answer = self._answers[0] if self._answers else answers.silence
            if len(self._answers) > 1:
                del self._answers[0]
        window = Heard(*heard)
        window.answered = answer is not answers.silence
        self.heard.put(window)
        answer(window)

    def _http(self, peer: Peer, number: int) -> None:
        while True:
            request = peer.read_request()
            self.requests.put(request)
            window = int(request.target.rpartition("created_at=")[2])
            self._take(window, np.frombuffer(request.body, "<i2"), peer, number, request)

    def _websocket(self, peer: Peer, number: int) -> None:
        self.requests.put(peer.accept_websocket())
        while True:
            message = peer.read_message()
            if isinstance(message, Binary):
                window = int.from_bytes(message.data[:8], "little")
                samples = np.frombuffer(message.data, "<i2", offset=8)
                self._take(window, samples, peer, number)
            elif isinstance(message, Text):
                self._text(peer, number, json.loads(message.data))
            elif isinstance(message, Ping):
                peer.send_frame(0xA, message.data)
            elif isinstance(message, Closed):
                return

    def _text(self, peer: Peer, number: int, message: dict[str, Any]) -> None:
        if message["type"] == "session.create":
            self.sessions.put(message["settings"])
            if self.created is not None:
                peer.send_text(self.created)
        else:
            assert message == {"type": "session.close"}
            self.goodbyes.put(number)
            if self.says_goodbye:
                peer.send_text('{"type":"session.closed"}')


class Caller:
    """Who talks over the agent, and hears what comes of it: a stream, and all that it tells.

    Listens before the stream opens, so that nothing is missed. ``options``: the stream's.
    """

    def __init__(self, detector: AdaptiveInterruptionDetector, **options: Any) -> None:
        self.events: queue.Queue[OverlappingSpeechEvent] = queue.Queue()
        self.errors: queue.Queue[InterruptionDetectionError] = queue.Queue()
        self.metrics: queue.Queue[InterruptionMetrics] = queue.Queue()
        self._id = options.setdefault("id", f"call-{next(_numbers)}")
        detector.on("overlapping_speech", lambda event: self._hear(self.events, event))
        detector.on("error", lambda error: self._hear(self.errors, error))
        detector.on("metrics_collected", lambda metrics: self._hear(self.metrics, metrics))
        self.stream = detector.stream(**options)

    def _hear(self, queue: queue.Queue[Any], told: Any) -> None:
        if told.stream_id == self._id:
            queue.put(told)

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def read_all(self) -> list[OverlappingSpeechEvent]:
        """Read the stream to its end; raises what ended it."""
        events = []
        with contextlib.suppress(StreamEnded):
            while True:
                events.append(self.stream.recv(BOUND))
        return events

    def interrupt(self, speech_duration: float = 0.2) -> None:
        """The agent speaks, the caller begins to, and a window is due."""
        self.stream.agent_speech_started()
        self.begin(speech_duration)

    def begin(self, speech_duration: float = 0.2) -> None:
        """An overlap begins while the agent speaks; its first window is due."""
        self.speak(2)
        self.stream.overlap_speech_started(speech_duration=speech_duration)
        self.speak()

    def speak(self, windows: int = 1) -> None:
        """Go on for so many windows' time."""
        for _ in range(windows):
            self.stream.push_frame(STEP)

    def speak_until(self, told: queue.Queue[Any]) -> Any:
        """Go on until something comes in this queue; return it."""
        for _ in range(int(BOUND / 0.05)):
            self.speak()
            with contextlib.suppress(queue.Empty):
                return told.get(timeout=0.05)
        raise AssertionError("nothing came")

    def wait_until_heard(self) -> None:
        """Wait until the worker has taken all audio (and all that came before it)."""
        moment = threading.Event()
        for _ in range(int(BOUND / 0.001)):
            if not self.stream.stats().waiting_audio:
                return
            moment.wait(0.001)
        raise AssertionError("the worker takes no audio")

    def stop(self) -> None:
        self.stream.overlap_speech_ended()

    def event(self) -> OverlappingSpeechEvent:
        """Wait for the next event."""
        return self.events.get(timeout=BOUND)

    def outcome(self) -> tuple[str, str | None]:
        """Wait for the next event; its outcome and reason."""
        event = self.event()
        return event.outcome.value, None if event.reason is None else event.reason.value

    def error(self) -> InterruptionDetectionError:
        """Wait for the next error."""
        return self.errors.get(timeout=BOUND)
