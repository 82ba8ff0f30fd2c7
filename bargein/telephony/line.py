"""What a server and a call know of each other: `Line`, `LineHandler` and `Answer`.

A server (`bargein.telephony.lines`) makes one `Line` for each call that comes in and hands it to
its `Answer`, which returns the `LineHandler` that is told what happens on it. Nothing above this
module knows which network a call came by, and nothing below it knows what a call is for.

**Order.** ``answer(line)`` runs first, on the line's reader thread, and has to return before the
handler is told anything; the line may be written to from then on, also from within ``answer``.
Then come ``on_audio`` and the others, one at a time, and ``on_end`` once, last. They all run on
the line's reader thread, which for RTP is one thread for all calls. So they must not block: what
takes longer than a millisecond or two belongs on another thread.

**Silence.** No audio may come for as long as the peer likes, during hold and DTMF above all; that
alone ends nothing. `LineHandler.on_gap` tells, when audio comes again, how much of it was lost, or
left out by a sender whose timestamps say so (RTP); other networks don't tell.

**Flow.** ``on_flow(False)`` asks for a pause in writing: chan_websocket's buffer is full, or the
peer holds the call and hears nothing (SIP). ``on_flow(True)`` takes it back. What is written
meanwhile is not an error, but may be lost.

**Faults.** A line ends by itself when its peer breaks the protocol, goes away, stays silent past
the idle timeout, or doesn't take what it is sent. A handler that raises ends its own line
(``handler``) and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from bargein.audio.formats import AudioFormat

__all__ = ["Answer", "EndReason", "Line", "LineHandler"]

EndReason = Literal[
    "hangup",  # the peer ended the call: BYE, stop, or simply the end of the connection
    "closed",  # we did: Line.hang_up
    "shutdown",  # the server is closing
    "lost",  # the connection broke
    "protocol",  # the peer sent what isn't in the protocol; the log says what
    "timeout",  # nothing came from the peer for the idle timeout, or not in time to begin
    "slow",  # the peer doesn't take what it is sent: the bounded out-buffer is full
    "handler",  # the handler raised; the log has the traceback
]
"""Why a line ended, as `LineHandler.on_end` is told."""


class Line(Protocol):
    """One call's way to the network.

    The attributes never change. The methods may be called from any thread, never block, and
    after the end do nothing.
    """

    @property
    def id(self) -> str:
        """The call's id on its network: an AudioSocket UUID, a stream id, a SIP Call-ID."""

    @property
    def format(self) -> AudioFormat:
        """The caller's audio as it comes, and what `write` takes."""

    @property
    def paced_by_peer(self) -> bool:
        """Whether the peer keeps what is written and plays it in real time.

        True (Twilio and its family, chan_websocket): writing ahead is right, and `clear` drops
        what has not been played. False (AudioSocket, RTP): what is written goes out at once and
        can't be taken back, so the writer paces it, some 40 to 60 ms ahead at most.
        """

    @property
    def marks(self) -> bool:
        """Whether `mark` is answered by `LineHandler.on_mark`."""

    @property
    def frame(self) -> int:
        """Samples that the peer likes in one `write` (20 ms, or what it asked for)."""

    @property
    def details(self) -> Mapping[str, str]:
        """What the network told of the call: caller, called, custom parameters. No secrets.

        What is in it comes from the other side: don't trust it, nor print it raw.
        """

    def write(self, audio: bytes) -> None:
        """Send agent audio, in `format`, whole samples, any length.

        Raises `bargein.errors.FrameError` where it isn't a whole number of samples.
        """

    def mark(self, name: str) -> None:
        """Ask to be told when what was written so far has been played; nothing if not `marks`."""

    def clear(self) -> None:
        """Drop what the peer has buffered; nothing where there is no such thing."""

    def hang_up(self) -> None:
        """End the call. The handler gets its ``on_end("closed")``, unless it ended already."""


class LineHandler(Protocol):
    """What a server tells of one line, one call at a time. Nothing here may block."""

    def on_audio(self, audio: bytes) -> None:
        """The caller's audio, in the line's format: whole samples, any length."""

    def on_gap(self, seconds: float) -> None:
        """So much audio is missing before what comes next (RTP): lost, or a pause over 0.2 s."""

    def on_mark(self, name: str, cleared: bool) -> None:
        """A mark has come back.

        `name` is as given to `Line.mark`. `cleared` says that it came back because of a
        `Line.clear`, or may have: it doesn't prove that what was written before it was heard. On
        a line whose peer forgets the marks that it flushes (chan_websocket) they are given back
        so by the line itself.
        """

    def on_dtmf(self, digit: str) -> None:
        """A key was pressed: one of ``0123456789*#ABCD``. Once per key."""

    def on_flow(self, writable: bool) -> None:
        """The peer takes no more audio for now (False), or takes it again (True)."""

    def on_end(self, reason: EndReason) -> None:
        """The line is gone. Exactly once, and the last call."""


Answer = Callable[[Line], LineHandler]
"""A server's ``on_call``. Raising refuses the call; that is logged, and nobody else notices."""
