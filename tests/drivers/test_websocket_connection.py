"""An open WebSocket against peers that misbehave, plain and over TLS."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

import numpy as np
import pytest

from bargein.drivers import websocket_connection
from bargein.drivers.tls import TlsOptions, tls_context
from bargein.drivers.websocket_connect import connect
from bargein.drivers.websocket_connection import (
    ConnectionEvent,
    Eof,
    WebSocketConnection,
)
from bargein.errors import APIConnectionError, ProtocolError
from bargein.testing.certificates import authority, server_context
from bargein.testing.sockets import BOUND, Peer, Script, Server
from bargein.wire.websocket_frames import (
    Binary,
    Closed,
    Opcode,
    Ping,
    Pong,
    Text,
    build_frame,
    close_payload,
)
from bargein.wire.window_frames import pack_window, unpack_window


@pytest.fixture(scope="module")
def trusting() -> ssl.SSLContext:
    context = tls_context(TlsOptions(ca_file=None))
    authority().configure_trust(context)
    return context


class Link:
    """A connection and the loop that a worker would run around it."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self.connection = connection
        self.events: list[ConnectionEvent] = []
        self.begun: list[int] = []

    def pump(self, done: Callable[[], bool]) -> None:
        """Step until ``done``; fails where nothing happens for long."""
        connection = self.connection
        while True:
            self.events += connection.read()
            self.begun += connection.flush()
            if done():
                return
            if connection.read_now:
                continue
            poller = select.poll()
            poller.register(
                connection.fileno(),
                select.POLLIN | (select.POLLOUT if connection.wants_write else 0),
            )
            assert poller.poll(BOUND * 1000), f"nothing happens after {self.events[-3:]}"

    def events_up_to(self, count: int) -> list[ConnectionEvent]:
        self.pump(lambda: len(self.events) >= count)
        return self.events

    def until_end(self) -> ConnectionEvent:
        """The last event: what ended the connection."""
        self.pump(lambda: bool(self.events) and isinstance(self.events[-1], (Closed, Eof)))
        return self.events[-1]

    def until_sent(self) -> None:
        self.pump(lambda: self.connection.backlog == 0)

    def until_error(self) -> str:
        last = self.until_end()
        assert isinstance(last, Eof)
        return str(last.error)


Opener = Callable[[Script], AbstractContextManager[Link]]


@pytest.fixture(params=["ws", "wss"])
def opened(request: pytest.FixtureRequest, trusting: ssl.SSLContext) -> Opener:
    """Open a link to a server that runs a script; each test runs plain and over TLS."""

    @contextmanager
    def opener(script: Script) -> Iterator[Link]:
        tls = server_context() if request.param == "wss" else None
        with Server(script, tls=tls) as server:
            url = server.url(request.param, "/bargein")
            connection = connect(url, {}, timeout=BOUND, tls=trusting)
            try:
                yield Link(connection)
            finally:
                connection.close()

    return opener


# ---- what is said


def test_words_and_windows_go_both_ways(opened: Opener) -> None:
    heard: list[object] = []

    def script(peer: Peer) -> None:
        peer.accept_websocket()
        heard.append(peer.read_text())
        peer.send_text("created")
        window_id, samples = unpack_window(peer.read_binary())
        heard.extend([window_id, samples.tolist()])
        peer.send_frame(Opcode.BINARY, b"audio")
        peer.hold()

    with opened(script) as link:
        link.connection.send_text('{"é":1}')
        assert link.connection.send_window(7, np.arange(3, dtype=np.int16))

        assert link.events_up_to(2) == [Text(b"created"), Binary(b"audio")]

    assert heard == ['{"é":1}', 7, [0, 1, 2]]
    assert link.begun == [7]


def test_frames_right_behind_the_handshake_are_not_lost(opened: Opener) -> None:
    def script(peer: Peer) -> None:
        whole = bytes(build_frame(Opcode.TEXT, b"early", mask_key=None))
        peer.accept_websocket(also=whole + whole[:3])
        peer.send(whole[3:])
        peer.hold()

    with opened(script) as link:
        assert link.connection.read_now  # poll can't see it: it isn't in the socket any more
        assert link.events_up_to(2) == [Text(b"early"), Text(b"early")]


def test_fragments_are_put_together_and_pings_among_them_answered(opened: Opener) -> None:
    answered: list[object] = []

    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.send_frame(Opcode.TEXT, b"in ", fin=False)
        peer.send_frame(Opcode.PING, b"still there?")
        peer.send_frame(Opcode.CONTINUATION, b"three ", fin=False)
        peer.send_frame(Opcode.CONTINUATION, b"parts")
        answered.append(peer.read_message())
        peer.send_text("thanks")
        peer.hold()

    with opened(script) as link:
        assert link.events_up_to(3) == [
            Ping(b"still there?"),
            Text(b"in three parts"),
            Text(b"thanks"),
        ]

    assert answered == [Pong(b"still there?")]


def test_our_pings_are_answered(opened: Opener) -> None:
    def script(peer: Peer) -> None:
        peer.accept_websocket()
        ping = peer.read_message()
        assert isinstance(ping, Ping)
        peer.send_frame(Opcode.PONG, ping.data)
        peer.hold()

    with opened(script) as link:
        link.connection.send_ping(b"7")

        assert link.events_up_to(1) == [Pong(b"7")]


def test_a_reply_that_drips_is_whole_in_the_end(opened: Opener) -> None:
    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.drip(bytes(build_frame(Opcode.TEXT, b"slowly", mask_key=None)), 0.001)
        peer.hold()

    with opened(script) as link:
        assert link.events_up_to(1) == [Text(b"slowly")]


def test_many_replies_come_out_in_order(opened: Opener) -> None:
    frames = b"".join(
        bytes(build_frame(Opcode.TEXT, b"%d" % i, mask_key=None)) for i in range(20_000)
    )

    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.send(frames)  # more than one read takes, by bytes and by messages
        peer.hold()

    with opened(script) as link:
        assert link.events_up_to(20_000) == [Text(b"%d" % i) for i in range(20_000)]


def test_a_flood_is_read_in_portions(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_connection, "_READ_BUDGET", 1000)
    frame = bytes(build_frame(Opcode.TEXT, b"x" * 100_000, mask_key=None))

    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.send(frame * 3)
        peer.hold()

    with opened(script) as link:
        assert link.events_up_to(3) == [Text(b"x" * 100_000)] * 3


def test_text_that_is_not_utf8_is_handed_on(opened: Opener) -> None:
    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.send_frame(Opcode.TEXT, b"\xff")
        peer.hold()

    with opened(script) as link:
        assert link.events_up_to(1) == [Text(b"\xff")]


# ---- how it ends


@pytest.mark.parametrize(
    ("code", "reason", "echo"),
    [
        (1000, "", 1000),
        (1001, "going away", 1001),
        (None, "", None),
        (4000, "ours", 4000),
        (1006, "not for the wire", None),
    ],
)
def test_a_close_is_seen_and_answered(
    opened: Opener, code: int | None, reason: str, echo: int | None
) -> None:
    answers: list[Closed] = []

    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.send_text("last words")
        peer.send_close(code, reason)
        answers.append(peer.read_until_closed())

    with opened(script) as link:
        assert link.until_end() == Closed(code, reason)
        assert link.events[0] == Text(b"last words")
        link.until_sent()
        assert link.connection.read() == []
        assert not link.connection.read_now

    assert answers == [Closed(echo, "")]


def test_our_close_is_the_last_frame_and_drops_the_windows_before_it() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        connection = WebSocketConnection(ours)
        connection.send_text("bye")
        connection.send_window(1, np.zeros(100, dtype=np.int16))
        connection.send_close(1001, "done")
        connection.send_close(1000, "again")
        connection.send_text("too late")
        assert not connection.send_window(2, np.zeros(100, dtype=np.int16))

        assert connection.flush() == []
        connection.close()

        peer = Peer(theirs, threading.Event())
        assert peer.read_message() == Text(b"bye")
        assert peer.read_message() == Closed(1001, "done")
        with pytest.raises(ConnectionError):
            peer.read_message()


def test_a_peer_that_ignores_close_goes_on_being_read(opened: Opener) -> None:
    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.read_until_closed()
        peer.send_text("what?")
        peer.hold()

    with opened(script) as link:
        link.connection.send_close()

        assert link.events_up_to(1) == [Text(b"what?")]
    assert link.connection.closed


def test_a_close_after_ours_is_not_answered_again() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        connection = WebSocketConnection(ours)
        connection.send_close()
        connection.flush()
        theirs.sendall(bytes(build_frame(Opcode.CLOSE, close_payload(1000), mask_key=None)))

        assert connection.read() == [Closed(1000, "")]
        assert connection.backlog == 0
        connection.close()


def test_after_a_close_it_does_not_matter_that_the_peer_is_gone() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(bytes(build_frame(Opcode.CLOSE, close_payload(1001), mask_key=None)))
    connection = WebSocketConnection(ours)

    assert connection.read() == [Closed(1001, "")]
    assert connection.flush() == []
    assert connection.backlog == 0
    assert connection.read() == []
    connection.close()


def test_an_end_without_a_close(opened: Opener) -> None:
    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.send_text("a")
        peer.close()

    with opened(script) as link:
        assert "without a CLOSE frame" in link.until_error()
        assert link.events[0] == Text(b"a")
        assert link.connection.read() == []


@pytest.mark.parametrize("fin", [True, False])
def test_an_end_in_mid_message(opened: Opener, fin: bool) -> None:
    frame = bytes(build_frame(Opcode.TEXT, b"half a reply", mask_key=None, fin=fin))

    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.send(frame[:8] if fin else frame)
        peer.close()

    with opened(script) as link:
        assert "in the middle of a message" in link.until_error()


def test_a_reset(opened: Opener) -> None:
    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.read_text()
        peer.reset()

    with opened(script) as link:
        link.connection.send_text("x")
        last = link.until_end()

        assert isinstance(last, Eof)
        assert isinstance(last.error, APIConnectionError)
        assert last.error.retryable
        if "lost" in str(last.error):  # TLS reports some resets as an end
            assert isinstance(last.error.__cause__, OSError)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"HTTP/1.1 500 Oops\r\n\r\n", "reserved bits"),
        (b"\x81\x7f" + (2 << 20).to_bytes(8, "big"), "2097152 bytes; at most 1048576"),
        (b"\x81\x85abcdhello", "is masked"),
    ],
    ids=["garbage", "2 MiB", "masked"],
)
def test_what_cannot_be_understood_ends_the_reading(
    opened: Opener, data: bytes, complaint: str
) -> None:
    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.send_text("fine")
        peer.send(data)
        peer.hold()

    with opened(script) as link:
        last = link.until_end()

        assert link.events[0] == Text(b"fine")
        assert isinstance(last, Eof)
        assert isinstance(last.error, ProtocolError)
        assert complaint in str(last.error)
        assert link.connection.read() == []


def test_a_2_mib_reply_is_not_waited_for(opened: Opener) -> None:
    def script(peer: Peer) -> None:
        peer.accept_websocket()
        peer.send_frame(Opcode.TEXT, bytes(2 << 20))

    with opened(script) as link:
        assert "2097152 bytes" in link.until_error()


# ---- a peer that doesn't read


@pytest.fixture
def stalled() -> Iterator[tuple[WebSocketConnection, socket.socket]]:
    """A connection whose peer reads only when the test says so, with small buffers."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection = WebSocketConnection(ours, max_backlog=200_000)
    theirs.settimeout(BOUND)
    yield connection, theirs
    connection.close()
    theirs.close()


WINDOW = np.arange(40_000, dtype=np.int16)  # 80,000 bytes


def test_windows_wait_and_are_told_when_they_begin(
    stalled: tuple[WebSocketConnection, socket.socket],
) -> None:
    connection, theirs = stalled
    assert connection.send_window(1, WINDOW)
    assert connection.send_window(2, WINDOW)

    assert connection.flush() == [1]
    assert connection.flush() == []
    assert 80_000 < connection.backlog < 160_028

    peer, received, begun = Peer(theirs, threading.Event()), [], []
    reader = threading.Thread(
        target=lambda: received.extend([peer.read_binary(), peer.read_binary()])
    )
    reader.start()
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLOUT)
    while connection.wants_write:
        assert poller.poll(BOUND * 1000)
        begun += connection.flush()
    reader.join(BOUND)

    assert begun == [2]
    assert received == [pack_window(1, WINDOW), pack_window(2, WINDOW)]
    assert connection.backlog == 0


def test_a_window_that_has_not_begun_can_be_taken_back(
    stalled: tuple[WebSocketConnection, socket.socket],
) -> None:
    connection, _ = stalled
    connection.send_window(1, WINDOW)
    connection.send_window(2, WINDOW)
    connection.flush()
    before = connection.backlog

    assert not connection.discard(1)  # half of it is gone
    assert connection.discard(2)
    assert not connection.discard(2)
    assert not connection.discard(99)
    assert connection.backlog == before - len(build_frame(2, bytes(80_008), mask_key=b"abcd"))


def test_the_backlog_is_bounded(stalled: tuple[WebSocketConnection, socket.socket]) -> None:
    connection, _ = stalled

    taken = [connection.send_window(i, WINDOW) for i in range(5)]

    assert taken == [True, True, False, False, False]
    assert connection.backlog < 200_000


def test_a_window_larger_than_the_bound_still_goes_out_alone() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        connection = WebSocketConnection(ours, max_backlog=10)

        assert connection.send_window(1, WINDOW)
        assert not connection.send_window(2, WINDOW)
        connection.close()


def test_pings_of_a_peer_that_does_not_read_are_answered_once(
    stalled: tuple[WebSocketConnection, socket.socket],
) -> None:
    connection, theirs = stalled
    connection.send_window(1, WINDOW)
    connection.flush()
    before = connection.backlog
    events: list[ConnectionEvent] = []
    for index in range(50):
        theirs.sendall(bytes(build_frame(Opcode.PING, b"%02d" % index, mask_key=None)))
        events += connection.read()

    assert events == [Ping(b"%02d" % index) for index in range(50)]
    assert connection.backlog == before + len(build_frame(Opcode.PONG, b"49", mask_key=b"abcd"))


def test_sending_to_a_peer_that_is_gone(
    stalled: tuple[WebSocketConnection, socket.socket],
) -> None:
    connection, theirs = stalled
    theirs.sendall(bytes(build_frame(Opcode.TEXT, b"last words", mask_key=None)))
    theirs.close()
    connection.send_window(1, WINDOW)

    assert connection.flush() == []
    assert connection.read_now
    assert (connection.backlog, connection.wants_write) == (0, False)
    assert not connection.send_window(2, WINDOW)

    events = connection.read()
    assert events[0] == Text(b"last words")
    assert isinstance(events[-1], Eof)
    assert len(events) == 2
    assert not connection.read_now


def test_windows_pass_a_slow_reader_over_tls(trusting: ssl.SSLContext) -> None:
    go = threading.Event()
    received: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
        peer.accept_websocket()
        assert go.wait(BOUND)
        received.extend(peer.read_binary() for _ in range(60))
        peer.send_text("all there")
        peer.hold()

    window = np.arange(48_000, dtype=np.int16)
    with (
        Server(script, tls=server_context()) as server,
        closing(connect(server.url("wss"), {}, timeout=BOUND, tls=trusting)) as connection,
    ):
        link = Link(connection)
        queued = 0
        while queued < 60:  # until the buffers of both ends are full, and further
            if connection.send_window(queued, window):
                queued += 1
                link.begun += connection.flush()
            else:
                go.set()
                link.pump(lambda: connection.backlog < 500_000)
        assert go.is_set()

        assert link.events_up_to(1) == [Text(b"all there")]

    assert received == [pack_window(index, window) for index in range(60)]
    assert link.begun == list(range(60))


# ---- TLS that wants the other direction first


def wants(connection: WebSocketConnection) -> bool:
    return connection.wants_write  # type checkers take a property for a constant


class Moody(socket.socket):
    """A socket that raises what it is told to, as TLS does in a renegotiation."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock.family, sock.type, fileno=sock.detach())
        self.on_send: list[Exception] = []
        self.on_recv: list[Exception] = []

    def send(self, *args: Any) -> int:
        if self.on_send:
            raise self.on_send.pop(0)
        return super().send(*args)

    def recv(self, *args: Any) -> bytes:
        if self.on_recv:
            raise self.on_recv.pop(0)
        return super().recv(*args)


def test_tls_may_want_to_read_before_it_writes_and_the_reverse() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        sock = Moody(ours)
        connection = WebSocketConnection(sock)
        connection.send_window(1, np.zeros(4, dtype=np.int16))

        sock.on_send = [ssl.SSLWantReadError()]
        assert connection.flush() == [1]  # TLS has its beginning: it can't be taken back
        assert not wants(connection)
        assert not connection.discard(1)

        sock.on_recv = [ssl.SSLWantWriteError()]
        assert connection.read() == []
        assert wants(connection)
        assert connection.flush() == []
        assert wants(connection)
        assert connection.read() == []
        assert not wants(connection)

        connection.send_window(2, np.zeros(4, dtype=np.int16))
        sock.on_send = [ssl.SSLWantWriteError()]
        assert connection.flush() == [2]
        assert wants(connection)
        assert connection.flush() == []
        connection.close()

        peer = Peer(theirs, threading.Event())
        windows = [unpack_window(peer.read_binary())[0] for _ in range(2)]
    assert windows == [1, 2]


# ---- the end of it


def test_close_is_immediate_and_may_be_called_again(
    stalled: tuple[WebSocketConnection, socket.socket],
) -> None:
    connection, _ = stalled
    connection.send_window(1, WINDOW)
    connection.flush()

    connection.close()
    connection.close()

    assert connection.closed
    assert connection.fileno() == -1
    assert (connection.backlog, connection.wants_write, connection.read_now) == (0, False, False)
    assert connection.read() == []
    assert connection.flush() == []
    connection.send_text("nobody hears this")
    assert not connection.send_window(2, WINDOW)
    assert connection.backlog == 0


@pytest.mark.parametrize("frame", [b"\x81\x00", b"\x89\x00"], ids=["text", "ping"])
def test_a_flood_of_tiny_frames_is_given_out_in_portions(frame: bytes) -> None:
    near, far = socket.socketpair()
    with closing(far), closing(WebSocketConnection(near)) as connection:
        far.sendall(frame * 1000 + b"\x88\x00")
        portions = [connection.read()]
        while connection.read_now or not isinstance(portions[-1][-1], Closed):
            portions.append(connection.read())
        assert max(map(len, portions)) == 64
        assert sum(map(len, portions)) == 1001
