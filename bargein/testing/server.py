"""An inference server on a port of loopback that answers to order, and records what it was sent.

WebSocket and HTTP on one port, plain or TLS. What becomes of a window is the next of the server's
answers (:mod:`bargein.testing.answers`; the last one holds for all that follow)::

    with ScriptedServer(answers.silence, answers.judged(0.8, after=0.12)) as server:
        with server.detector() as detector:
            ...
        assert [window.connection for window in server.recorder.windows] == [1, 1]
"""

from __future__ import annotations

import contextlib
import json
import queue
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import parse_qs, urlsplit

import numpy as np

from bargein.wire.websocket_frames import Binary, Closed, Ping, Text

from .answers import Answer, Kind, silence
from .heard import Heard
from .proxies import without_proxies
from .recorder import Recorder
from .sockets import BOUND, Peer, Request, Server

if TYPE_CHECKING:
    from bargein.detector import AdaptiveInterruptionDetector

__all__ = ["CREATED", "Action", "Greeting", "ScriptedServer", "Transport", "refuse"]

Transport = Literal["websocket", "http"]
Action = Answer | Callable[[Heard], object]
"""What becomes of a window: an answer, or a function of it."""

Greeting = Callable[[Peer], object]
"""What becomes of a connection, instead of being served."""

CREATED = '{"type":"session.created","default_threshold":0.5}'

_T = TypeVar("_T")


def refuse(line: str, body: str = "", *headers: str) -> Greeting:
    """A connection whose first request is refused: ``refuse("503 Busy", "", "Retry-After: 1")``."""

    def greet(peer: Peer) -> None:
        peer.read_request()
        peer.respond(line, body, headers)

    return greet


class ScriptedServer:
    """A server for windows, to be used in a ``with``; nothing of it outlives that.

    ``answers``
        What becomes of the windows, in the order in which they come; the last holds for all
        that follow. One iterator (:func:`~bargein.testing.answers.seeded`) is taken from as
        windows come. Without any, windows are to be answered by hand: :meth:`next`.
    ``greetings``
        What becomes of the first connections, each a function of a
        :class:`~bargein.testing.sockets.Peer` (:func:`refuse`, ``Peer.hold``, ``Peer.reset``).
    ``created``
        What it says to ``session.create``; ``None``: nothing.
    ``says_goodbye``
        Whether it answers ``session.close``.
    ``listening``
        ``False``: connections are refused until ``server.listen()``.
    ``tls``
        ``True``: with a certificate of :mod:`bargein.testing.certificates` (extra ``testing``).

    While it runs, this process reaches loopback without a proxy, whatever the environment says.
    All may be called from any thread.
    """

    def __init__(
        self,
        *answers: Action | Iterator[Action],
        greetings: Sequence[Greeting] = (),
        created: str | None = CREATED,
        says_goodbye: bool = True,
        listening: bool = True,
        tls: bool | ssl.SSLContext = False,
    ) -> None:
        self.recorder = Recorder()
        self.heard: queue.Queue[Heard] = queue.Queue()
        """Each window; to be taken."""
        self.sessions: queue.Queue[dict[str, Any]] = queue.Queue()
        """The settings of each ``session.create``; to be taken."""
        self.requests: queue.Queue[Request] = queue.Queue()
        """Each handshake, or each window's request, without secrets; to be taken."""
        self.goodbyes: queue.Queue[int] = queue.Queue()
        """The connection of each ``session.close``."""
        self.lost: queue.Queue[int] = queue.Queue()
        """The connections that ended."""
        self.created = created
        self.says_goodbye = says_goodbye
        self._choose = _in_order(answers)
        self._greetings = list(greetings)
        self._lock = threading.Lock()
        self._away = False
        self._held: list[Callable[[], None]] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if tls is True:
            from .certificates import server_context

            tls = server_context()
        self._tls = tls or None
        self._directly = without_proxies()
        self.server = Server(self._serve, tls=self._tls, listening=listening)

    def __enter__(self: _T) -> _T:
        self._directly.__enter__()  # type: ignore[attr-defined]
        self.server.__enter__()  # type: ignore[attr-defined]
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        self._directly.__exit__(*exception)
        self.server.__exit__(*exception)

    # --- where it is ------------------------------------------------------------------------

    def url(self, transport: Transport = "websocket") -> str:
        """The address to be given as ``base_url``."""
        schemes = ("wss", "https") if self._tls is not None else ("ws", "http")
        return self.server.url(schemes[transport == "http"], host="localhost")

    @property
    def ca_file(self) -> Path | None:
        """The root certificate by which a client trusts it; ``None`` where it speaks no TLS."""
        if self._tls is None:
            return None
        if self._folder is None:
            from .certificates import write_authority

            self._folder = tempfile.TemporaryDirectory(prefix="bargein-testing-")
            write_authority(Path(self._folder.name))
        return Path(self._folder.name) / "ca.pem"

    def detector(
        self, transport: Transport = "websocket", **options: Any
    ) -> AdaptiveInterruptionDetector:
        """Return a detector that asks this server; ``options`` are the detector's."""
        from bargein.detector import AdaptiveInterruptionDetector
        from bargein.drivers.tls import TlsOptions

        if self._tls is not None:
            options.setdefault("tls", TlsOptions(ca_file=self.ca_file))
        return AdaptiveInterruptionDetector(base_url=self.url(transport), **options)

    # --- what it does -----------------------------------------------------------------------

    def answer(self, *answers: Action | Iterator[Action]) -> None:
        """Answer by these from here on."""
        with self._lock:
            self._choose = _in_order(answers)

    def answer_by(self, choose: Callable[[Heard], Action]) -> None:
        """Answer each window by what this function says, from here on."""
        with self._lock:
            self._choose = choose

    def greet_next(self, *greetings: Greeting) -> None:
        """Let the next connections meet these."""
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

    # --- what came --------------------------------------------------------------------------

    def next(self) -> Heard:
        """Wait for the next window."""
        return self.heard.get(timeout=BOUND)

    def next_unanswered(self) -> Heard:
        """Wait for the next window that the server has no answer for."""
        while (heard := self.next()).answered:
            pass
        return heard

    @property
    def connections(self) -> int:
        """Connections that ever came."""
        return self.server.connections

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
                return
            request = peer.read_request()
            if "sec-websocket-key" in request.headers:
                self._websocket(peer, number, request)
            else:
                self._http(peer, number, request)
        finally:
            self.recorder.note_lost(number)
            self.lost.put(number)

    def _note(self, number: int, request: Request) -> None:
        shown = request.without_secrets()
        self.recorder.note_request(number, shown)
        self.requests.put(shown)

    def _http(self, peer: Peer, number: int, request: Request) -> None:
        while True:
            self._note(number, request)
            query = parse_qs(urlsplit(request.target).query)
            heard = Heard(
                id=int(query["created_at"][0]),
                samples=np.frombuffer(request.body, "<i2"),
                peer=peer,
                connection=number,
                request=request,
                threshold=float(query["threshold"][0]) if "threshold" in query else None,
                min_frames=int(query["min_frames"][0]),
            )
            self._take(heard)
            request = peer.read_request()

    def _websocket(self, peer: Peer, number: int, request: Request) -> None:
        self._note(number, request)
        peer.send(peer.handshake_answer(request))
        settings: dict[str, Any] = {}
        while True:
            message = peer.read_message()
            if isinstance(message, Binary):
                heard = Heard(
                    id=int.from_bytes(message.data[:8], "little"),
                    samples=np.frombuffer(message.data, "<i2", offset=8),
                    peer=peer,
                    connection=number,
                    threshold=settings.get("threshold"),
                    min_frames=settings.get("min_frames", 2),
                )
                self._take(heard)
            elif isinstance(message, Text):
                settings = self._text(peer, number, json.loads(message.data)) or settings
            elif isinstance(message, Ping):
                with peer.lock:
                    peer.send_frame(0xA, message.data)
            elif isinstance(message, Closed):
                return

    def _text(self, peer: Peer, number: int, message: dict[str, Any]) -> dict[str, Any] | None:
        if message["type"] == "session.create":
            settings: dict[str, Any] = message["settings"]
            self.recorder.note_session(number, settings)
            self.sessions.put(settings)
            if self.created is not None:
                self._say(peer, self.created)
            return settings
        assert message == {"type": "session.close"}, f"the client said {message}"
        self.recorder.note_goodbye(number)
        self.goodbyes.put(number)
        if self.says_goodbye:
            self._say(peer, '{"type":"session.closed"}')
        return None

    def _say(self, peer: Peer, text: str) -> None:
        with peer.lock:
            if not peer.mute:
                peer.send_text(text)

    # --- windows ----------------------------------------------------------------------------

    def _take(self, heard: Heard) -> None:
        with self._lock:
            action = self._choose(heard)
        heard.answered = action is not silence
        self.recorder.note_window(heard)
        self.heard.put(heard)
        if not isinstance(action, Answer):
            action(heard)
        elif action.after or action.kind is Kind.DRIP:
            self.server.spawn(lambda: self._later(heard, action))
        else:
            self._perform(heard, action)

    def _later(self, heard: Heard, answer: Answer) -> None:
        if not self.server.stopping.wait(answer.after):
            self._perform(heard, answer)

    def _perform(self, heard: Heard, answer: Answer) -> None:
        if answer.kind is Kind.SWAPPED:
            with self._lock:
                self._held.append(lambda: heard.perform(answer))
            return
        heard.perform(answer)
        if answer.kind is Kind.REPLY:
            with self._lock:
                held, self._held = self._held, []
            for reply in held:
                with contextlib.suppress(OSError):  # its connection ended meanwhile
                    reply()


def _in_order(answers: Sequence[Action | Iterator[Action]]) -> Callable[[Heard], Action]:
    """Take the next at each window; the last one holds."""
    if len(answers) == 1 and isinstance(answers[0], Iterator):
        endless = answers[0]
        return lambda heard: next(endless, silence)
    left: list[Any] = list(answers)

    def choose(heard: Heard) -> Action:
        action: Action = left[0] if left else silence
        if len(left) > 1:
            del left[0]
        return action

    return choose
