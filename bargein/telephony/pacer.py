"""What the agent says, on its way to the network: paced, duckable, and never out of sight.

`Pacer` holds the agent's audio as one *programme*: passages, end to end. It hands the network no
more than it must, keeps the playout clock, and so knows at any moment which passage the caller is
hearing. Sans-IO: it is called now and then with *now*, monotonic seconds, and returns what to do.

A peer that plays what it gets (AudioSocket, RTP) can't take anything back, so what was written is
as good as heard. There the pacer stays 40 to 60 ms ahead. A peer that buffers (Twilio and its
family, chan_websocket) drops what it hasn't played when it is told to, so there the pacer may be
further ahead, and rides out a slow network and a slow thread.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable

import attrs
import numpy as np

from bargein.audio import AudioFormat, decode, encode_alaw, encode_mulaw

from .playout_clock import PlayoutClock

__all__ = ["LEAD", "PEER_LEAD", "Clear", "Mark", "Pacer", "PacerAction", "Passage", "Write"]

LEAD = 0.06
"""Seconds written ahead of a peer that plays at once: two frames and one in hand. So late a stop
takes effect; with less, a thread that is 40 ms late is heard."""

PEER_LEAD = 0.6
"""Seconds written ahead of a peer that buffers. Half a second of trouble goes unheard; a stop
drops it all, and what is lost to a peer that ignores ``clear`` stays bearable."""

MARK_EVERY = 0.2
"""Seconds of audio between marks: the error of "heard up to" on a peer that lags."""

REFERENCE_AHEAD = 0.06
"""Seconds by which `Pacer.reference` runs ahead of the playout, so that the echo guard never has
to wait for it when threads are late. An echo needs longer to come back."""

_MOST_WRITTEN = 250
"""Frames kept for `Pacer.reference`: five seconds."""


@attrs.define(eq=False)
class Passage:
    """A stretch of the agent's audio, in the line's format, and what the user calls it."""

    audio: bytes
    owner: object = None
    """Whose it is: the call's prompt."""
    interruptible: bool = True
    begin: int = 0
    """Its place in the programme, samples."""
    end: int = 0


@attrs.frozen
class Write:
    """Give this to the network."""

    audio: bytes


@attrs.frozen
class Mark:
    """Set a mark behind what was written."""

    name: str


@attrs.frozen
class Clear:
    """Have the network drop what it hasn't played."""


PacerAction = Write | Mark | Clear


class Pacer:
    """One call's agent audio. Not thread-safe.

    Args:
        format: the line's; mono.
        frame: samples for one write.
        paced_by_peer: whether the peer buffers, and drops its buffer when told to.
        marks: whether the peer returns marks.
        latency: see `PlayoutClock`.
        lead: seconds to stay ahead; by default `LEAD` or `PEER_LEAD`.
    """

    def __init__(
        self,
        format: AudioFormat,
        *,
        frame: int,
        paced_by_peer: bool = False,
        marks: bool = False,
        latency: float = 0.0,
        lead: float | None = None,
    ) -> None:
        self.format = format
        self.clock = PlayoutClock(format.sample_rate, latency=latency)
        self._frame = frame
        self._clears = paced_by_peer
        self._marks = marks
        self._lead = lead if lead is not None else PEER_LEAD if paced_by_peer else LEAD
        self._programme: deque[Passage] = deque()
        self._open = 0
        """Prompts of which more may come."""
        self._paused = False
        self._writable = True
        self._gain: Callable[[bytes], bytes] | None = None
        self._written: deque[tuple[int, bytes]] = deque()
        """What was written and not yet given as reference: the position after it, and it."""
        self._names = itertools.count(1)
        self._marked = 0
        """Where the newest mark stands."""

    # --- what the user does -----------------------------------------------------------------

    @property
    def end(self) -> int:
        """The position after the last passage."""
        return self._programme[-1].end if self._programme else self.clock.handed

    def add(self, passage: Passage) -> None:
        """Append a passage to the programme; sets its place."""
        passage.begin = self.end
        passage.end = passage.begin + len(passage.audio) // self.format.frame_width
        self._programme.append(passage)

    def open(self) -> None:
        """Note that more may come: a silence now isn't the programme's end."""
        self._open += 1

    def close(self) -> None:
        """Take one `open` back."""
        self._open -= 1

    def pause(self, now: float) -> list[PacerAction]:
        """Hand nothing more over; take back what can be. The place is kept."""
        self._paused = True
        return self._take_back(now)

    def duck(self, gain: float, now: float) -> list[PacerAction]:
        """Go on softer by ``gain`` dB; what was handed over already as far as can be."""
        factor = 10 ** (gain / 20)
        self._gain = lambda audio: softer(audio, self.format, factor)
        return self._take_back(now) + self.tick(now)

    def resume(self, now: float) -> list[PacerAction]:
        """Undo `pause` and `duck`."""
        taken = self._take_back(now) if self._gain is not None else []
        self._paused, self._gain = False, None
        return taken + self.tick(now)

    def stop(self, now: float) -> list[PacerAction]:
        """Drop the programme. What can't be taken back is played, and nothing after it."""
        actions = self._take_back(now)
        self._paused, self._gain, self._open = False, None, 0
        handed = self.clock.handed
        while self._programme and self._programme[-1].begin >= handed:
            self._programme.pop()
        if self._programme:
            self._programme[-1].end = min(self._programme[-1].end, handed)
        return actions

    # --- what the network does --------------------------------------------------------------

    def flow(self, writable: bool) -> None:
        """The peer takes no more audio for now, or takes it again."""
        self._writable = writable

    def mark_returned(self, name: str, cleared: bool, now: float) -> None:
        """A mark came back."""
        self.clock.mark_returned(name, cleared, now)

    # --- what time does ---------------------------------------------------------------------

    def tick(self, now: float) -> list[PacerAction]:
        """Return what to hand over by now. Call it every 20 ms while `active`."""
        clock, rate = self.clock, self.format.sample_rate
        clock.expire(now)
        actions: list[PacerAction] = []
        while not self._paused and self._writable and clock.ahead(now) < self._lead:
            missing = self.end - clock.handed
            size = min(missing, self._frame)
            # Of a prompt that is still coming the last part of a frame waits for its rest.
            if size <= 0 or (size < self._frame and self._open):
                break
            if clock.ahead(now) + size / rate > max(self._lead, size / rate) + 1e-9:
                break
            actions += self._write(size, now)
        # The last mark tells when all was heard.
        if self._marks and not self._open and self._marked < clock.handed == self.end:
            actions += self._mark()
        self._forget(now)
        return actions

    @property
    def active(self) -> bool:
        """Whether there is, or may come, something to hand over."""
        return self._open > 0 or self.clock.handed < self.end

    def finished(self, now: float) -> bool:
        """Whether the caller has heard the whole programme."""
        return not self.active and self.clock.all_heard(now)

    def silent_from(self, now: float) -> float:
        """Return when the caller will have heard what was handed over and not taken back."""
        until = self.clock.silent_from()
        return now if until is None else until  # a mark that is still out is late by now

    def heard(self, now: float) -> int:
        """Return the position up to which the caller has heard."""
        return self.clock.heard(now)

    def passage(self, now: float) -> Passage | None:
        """Return the passage that the caller is hearing or about to, or heard last."""
        position, found = self.clock.heard(now), None
        for passage in self._programme:
            if passage.begin > position:
                break
            found = passage
        return found

    def reference(self, now: float) -> bytes:
        """Return the agent's audio that was, or is about to be, played since the last call."""
        limit = self.clock.played(now) + round(REFERENCE_AHEAD * self.format.sample_rate)
        pieces = []
        while self._written and self._written[0][0] <= limit:
            pieces.append(self._written.popleft()[1])
        return b"".join(pieces)

    # --- inside -----------------------------------------------------------------------------

    def _write(self, size: int, now: float) -> list[PacerAction]:
        audio = self._cut(self.clock.handed, size)
        if self._gain is not None:
            audio = self._gain(audio)
        self.clock.hand_over(size, now)
        self._written.append((self.clock.handed, audio))
        if len(self._written) > _MOST_WRITTEN:  # nobody asks for it: the caller's audio has stopped
            self._written.popleft()
        due = self.clock.handed - self._marked >= MARK_EVERY * self.format.sample_rate
        return [Write(audio), *(self._mark() if self._marks and due else [])]

    def _mark(self) -> list[PacerAction]:
        name = f"bargein-{next(self._names)}"
        self.clock.mark(name)
        self._marked = self.clock.handed
        return [Mark(name)]

    def _cut(self, position: int, size: int) -> bytes:
        """Return the programme's audio from a position on."""
        width = self.format.frame_width
        pieces = []
        for passage in self._programme:
            if passage.begin >= position + size:
                break
            start, stop = max(position, passage.begin), min(position + size, passage.end)
            if start < stop:
                begin = (start - passage.begin) * width
                pieces.append(passage.audio[begin : begin + (stop - start) * width])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take_back(self, now: float) -> list[PacerAction]:
        """Have a peer that buffers drop what it hasn't played; the programme is there again."""
        if not self._clears or self.clock.ahead(now) <= 0:
            return []
        self.clock.clear(now)
        handed = self.clock.handed
        while self._written and self._written[-1][0] > handed:
            self._written.pop()
        self._marked = handed
        return [Clear()]

    def _forget(self, now: float) -> None:
        """Drop passages that were heard, but for the newest, which may be asked for."""
        heard = self.clock.heard(now)
        while len(self._programme) > 1 and self._programme[1].begin <= heard:
            self._programme.popleft()


def softer(audio: bytes, fmt: AudioFormat, factor: float) -> bytes:
    """Return mono audio scaled by a factor of at most 1, in the same format."""
    if fmt.encoding == "u8":
        middle = np.frombuffer(audio, np.uint8).astype(np.float64) - 128
        return np.rint(middle * factor + 128).astype(np.uint8).tobytes()
    samples = np.rint(decode(audio, fmt) * factor).astype(np.int16)
    if fmt.encoding == "mulaw":
        return encode_mulaw(samples)
    if fmt.encoding == "alaw":
        return encode_alaw(samples)
    encoded: bytes = samples.astype(">i2" if fmt.encoding == "s16be" else "<i2").tobytes()
    return encoded
