"""Servers on loopback that misbehave to order, byte by byte: raw sockets and threads.

What :class:`~bargein.testing.ScriptedServer` stands on, for faults that it has no name for.

A script is a function of a :class:`Peer`; each connection runs it on a thread of its own::

    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.send_text('{"type":"session.created"}')
        peer.hold()                      # until the client or the test ends it

    with Server(script) as server:
        connect(server.url("ws"), ...)

Nothing outlives the ``with``: listener and connections are closed and the threads joined; what a
script raised is raised there, unless it is that the connection was lost.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

import attrs

from bargein.wire.websocket_frames import (
    Binary,
    Closed,
    FrameParser,
    Opcode,
    Text,
    WireEvent,
    build_frame,
    close_payload,
)

__all__ = ["BOUND", "Peer", "Request", "Script", "Server", "full_listener", "raw_listener"]

BOUND = 30.0
"""Seconds that anything here may wait: never reached unless a test is about to fail, however busy
the machine is."""

_ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


_SECRET = ("authorization", "proxy-authorization", "cookie")


@attrs.frozen
class Request:
    """An HTTP request; the names of the headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = attrs.field(default=b"", repr=lambda body: f"<{len(body)} bytes>")
    authorization: str | None = attrs.field(default=None, repr=False)
    """What :meth:`without_secrets` took out of the headers: never shown."""

    def without_secrets(self) -> Request:
        """Return the same with headers that can be shown, logged and kept."""
        shown = {name: "***" if name in _SECRET else v for name, v in self.headers.items()}
        return attrs.evolve(
            self, headers=shown, authorization=self.headers.get("authorization", self.authorization)
        )


class Peer:
    """The server's end of one connection. For its script's thread."""

    def __init__(self, sock: socket.socket, stopping: threading.Event) -> None:
        self.sock = sock
        self.stopping = stopping
        self.lock = threading.RLock()
        """Held while something whole is sent, where several threads answer on one connection."""
        self.mute = False
        """Whether nothing more is to be sent: half a reply must stay the last of it."""
        self._received = bytearray()
        self._parser = FrameParser(masked=True, max_message=1 << 24)
        self._events: list[WireEvent] = []

    # ---- bytes

    def send(self, data: bytes | str) -> None:
        """Send all of it."""
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def drip(self, data: bytes, pause: float) -> None:
        """Send a byte each ``pause`` seconds, until all is sent or the test is over."""
        for byte in data:
            if self.stopping.wait(pause):
                return
            self.send(bytes([byte]))

    def receive(self, size: int) -> bytes:
        """Receive just ``size`` bytes; raises ``ConnectionError`` where they don't come."""
        while len(self._received) < size:
            self._fill()
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def hold(self) -> None:
        """Read and forget until the client ends the connection, or the test does."""
        with contextlib.suppress(OSError):
            while self.sock.recv(1 << 16):
                pass

    def close(self) -> None:
        """End the connection in order."""
        self.sock.close()

    def reset(self) -> None:
        """End the connection with a RST."""
        self._make_abrupt()
        self.sock.close()

    def end(self, *, abrupt: bool = False) -> None:
        """End the connection from any thread: whoever reads from it is woken, and closes it."""
        self.mute = True
        with contextlib.suppress(OSError):
            if abrupt:
                self._make_abrupt()
            # a plain socket's, for a TLS socket's own says goodbye first
            socket.socket.shutdown(self.sock, socket.SHUT_RD if abrupt else socket.SHUT_RDWR)

    def _make_abrupt(self) -> None:
        """Have close() send a RST, whatever is still to be sent."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    # ---- HTTP

    def read_request(self) -> Request:
        """Read a request with its body (by ``Content-Length``)."""
        while b"\r\n\r\n" not in self._received:
            self._fill()
        head, _, _ = bytes(self._received).partition(b"\r\n\r\n")
        del self._received[: len(head) + 4]
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = (line.split(":", 1) for line in lines)
        headers = {name.lower(): value.strip() for name, value in pairs}
        return Request(method, target, headers, self.receive(int(headers.get("content-length", 0))))

    def respond(
        self,
        status: str,
        body: bytes | str = b"",
        headers: Iterable[str] = (),
        *,
        length: bool = True,
    ) -> None:
        """Send a response such as ``"429 Too Many Requests"``; without ``length`` none is told."""
        data = body.encode() if isinstance(body, str) else body
        lines = [f"HTTP/1.1 {status}", *headers]
        if length:
            lines.append(f"Content-Length: {len(data)}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + data)

    # ---- WebSocket

    def accept_websocket(self, *, also: bytes = b"") -> Request:
        """Answer a WebSocket handshake, with frames right behind the answer if ``also`` says so."""
        request = self.read_request()
        self.send(self.handshake_answer(request) + also)
        return request

    def handshake_answer(self, request: Request) -> bytes:
        """The answer that opens the WebSocket."""
        key = request.headers["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + _ACCEPT_SALT).digest()).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        return "\r\n".join([*lines, f"Sec-WebSocket-Accept: {accept}", "", ""]).encode()

    def send_frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> None:
        """Send one frame, unmasked as a server's are."""
        self.send(bytes(build_frame(opcode, payload, mask_key=None, fin=fin)))

    def send_text(self, text: str) -> None:
        """Send a text message."""
        self.send_frame(Opcode.TEXT, text.encode())

    def send_close(self, code: int | None = 1000, reason: str = "") -> None:
        """Send a CLOSE frame."""
        self.send_frame(Opcode.CLOSE, close_payload(code, reason))

    def read_message(self) -> WireEvent:
        """Receive the next message, of any kind."""
        while not self._events:
            if not self._received:
                self._fill()
            self._events, error = self._parser.feed(bytes(self._received))
            self._received.clear()
            if error is not None:
                raise error
        return self._events.pop(0)

    def read_text(self) -> str:
        """Receive messages up to the next text, and return it."""
        while True:
            message = self.read_message()
            if isinstance(message, Text):
                return message.data.decode()

    def read_binary(self) -> bytes:
        """Receive messages up to the next binary one, and return it."""
        while True:
            message = self.read_message()
            if isinstance(message, Binary):
                return message.data

    def read_until_closed(self) -> Closed:
        """Receive messages up to the client's CLOSE frame, and return it."""
        while True:
            message = self.read_message()
            if isinstance(message, Closed):
                return message

    def _fill(self) -> None:
        data = self.sock.recv(1 << 16)
        if not data:
            raise ConnectionError("the client ended the connection")
        self._received += data


Script = Callable[[Peer], None]


class Server:
    """A listener on 127.0.0.1 whose connections each run ``script``.

    ``listening=False``: its port is taken, but refuses connections until :meth:`listen`.
    """

    def __init__(
        self, script: Script, *, tls: ssl.SSLContext | None = None, listening: bool = True
    ) -> None:
        self._script = script
        self._tls = tls
        self._listener = raw_listener(listening=listening)
        self._listening = listening
        self.port: int = self._listener.getsockname()[1]
        self.stopping = threading.Event()
        self.connections = 0
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []
        self._acceptor = threading.Thread(target=self._accept, name="server")

    def url(self, scheme: str, path: str = "", host: str = "127.0.0.1") -> str:
        """The address under a scheme."""
        return f"{scheme}://{host}:{self.port}{path}"

    def __enter__(self) -> Server:
        if self._listening:
            self._acceptor.start()
        return self

    def listen(self) -> None:
        """Take connections from here on."""
        self._listening = True
        self._listener.listen(16)
        self._acceptor.start()

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self.stopping.set()
        if self._listening:
            with contextlib.suppress(OSError):  # wake the acceptor
                socket.create_connection(("127.0.0.1", self.port), timeout=BOUND).close()
            self._acceptor.join(BOUND)
        self._listener.close()
        self.drop_all()
        for thread in self._threads:
            thread.join(BOUND)
        if kind is None and self._errors:
            raise self._errors[0]

    def spawn(self, work: Callable[[], None]) -> None:
        """Do something on a thread of its own, which is joined at the end."""
        thread = threading.Thread(target=self._guard, args=(work,), name="server-work")
        self._threads.append(thread)
        thread.start()

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError:
            pass  # the client went away, or the test is over
        except BaseException as error:
            self._errors.append(error)

    def drop_all(self) -> None:
        """End all connections that there are."""
        with self._lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self.stopping.is_set():
                sock.close()
                return
            sock.settimeout(BOUND)
            self.connections += 1
            with self._lock:
                self._sockets.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), name="server-connection")
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._tls is not None:
                plain = sock
                sock = self._tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
                with self._lock:
                    self._sockets[self._sockets.index(plain)] = sock
                sock.do_handshake()
            self._script(Peer(sock, self.stopping))
        except OSError:
            pass  # the client went away, or the test is over
        except BaseException as error:
            self._errors.append(error)
        finally:
            with self._lock:
                sock.close()


def raw_listener(backlog: int = 16, *, listening: bool = True) -> socket.socket:
    """A (listening) socket on a free port of loopback, to be closed by the caller."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    if listening:
        listener.listen(backlog)
    return listener


@contextlib.contextmanager
def full_listener() -> Iterator[int]:
    """A port of loopback whose backlog is full: connecting to it hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(raw_listener(backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
