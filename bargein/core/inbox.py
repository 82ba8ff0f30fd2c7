"""What the caller's thread leaves for the worker: audio and control items, in one order.

A push validates, stamps and appends; decoding and conversion wait until somebody needs the
samples. The inbox says when the worker is worth waking. It holds no lock: whoever shares it
between threads brings one, held for the length of a call.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import attrs
import numpy as np

from bargein.audio import AudioFormat, read_frame
from bargein.errors import OptionError, StateError

from .inputs import AgentAudio, Audio, Close, EndOfInput, Gap, SetFormat, Skip, VoiceActivity

__all__ = ["MAX_WAITING", "Attention", "Inbox", "Stamped"]

MAX_WAITING = 5
"""Seconds of audio that may wait before a push. A worker that far behind has lost the call's
present; what is older helps no verdict."""

SHED_FRACTION = 4
"""Of a second: audio that nobody needs goes a quarter of a second at a time, not at each push."""

_DEFAULT_RATE = AudioFormat().sample_rate

AGENT_AUDIO_STEP = 0.1
"""Seconds of the agent's audio after which the worker is woken: fine enough to see it start."""


@attrs.frozen
class Stamped:
    """An input and when it entered, monotonic seconds; for audio, when its newest sample did."""

    item: Any
    now: float


@attrs.frozen(kw_only=True)
class Attention:
    """What the worker wants to be woken for, and what it can do without. The worker publishes it.

    ``wake_after``
        Input samples waiting; ``None``: audio alone never wakes.
    ``keep``
        Input samples that anybody could still need; what is older is skipped unread, which is
        neither a drop nor a gap. ``None``: everything is needed.
    ``crossing``
        The voice-activity threshold whose crossing matters; ``above`` tells on which side of it
        the tracker stands. ``None``: every probability matters.
    """

    wake_after: int | None = None
    keep: int | None = None
    crossing: float | None = None
    above: bool = False

    def is_quiet(self, probability: float) -> bool:
        """Whether a probability tells the tracker nothing new."""
        return self.crossing is not None and (probability >= self.crossing) == self.above


@attrs.define(eq=False)
class _Run:
    """Audio that came with no control item between; ``marks`` lie beside its samples."""

    width: int
    rate: int
    chunks: deque[bytes] = attrs.field(factory=deque)
    end: int = 0
    """Samples that ever came."""
    skipped: int = 0
    """Of them, those that nobody needs."""
    dropped: int = 0
    """Of them, those that were lost."""
    now: float = 0.0
    marks: deque[tuple[int, Stamped]] = attrs.field(factory=deque)


class Inbox:
    """Audio and control items in the order in which they came. Not thread-safe.

    ``format`` ``None``: the first frame's own. Control items are never dropped; audio is when
    more than 5 s of it wait, oldest first, and that is told as a gap. One frame of any length is
    taken whole.
    """

    __slots__ = (
        *("format", "waiting", "dropped", "ended", "due", "_items", "_run", "_agent_waiting"),
        *("_loud", "_controls", "_stale", "_attention", "_wake_after", "_limit"),
    )

    def __init__(self, format: AudioFormat | None = None) -> None:
        self.format = format
        self.waiting = 0
        """Input samples that wait."""
        self.dropped = 0.0
        """Seconds of audio lost, ever."""
        self.ended = False
        self.due = False
        """Whether what waits is worth the worker's time. Any thread may look, without the lock."""
        self._items: list[Stamped | _Run] = []
        self._run: _Run | None = None
        self._agent_waiting = 0.0
        self._loud = False
        self._controls = False
        """Whether control items wait: they change what is needed, so nothing can be skipped yet."""
        self._stale = False
        """Whether the worker took items and hasn't published since what it wants now."""
        self._attention = Attention()
        self._apply()

    @property
    def attention(self) -> Attention:
        """What the worker wants to be woken for; it sets this."""
        return self._attention

    @attention.setter
    def attention(self, attention: Attention) -> None:
        changed = attention is not self._attention
        self._attention = attention
        self._stale = False
        if changed or attention.keep is not None:
            self._apply()
        self.due = self.due or self.waiting >= self._wake_after

    def _apply(self) -> None:
        """Work out from what is wanted, at this rate, when to wake and when to let audio go."""
        wake_after, keep = self._attention.wake_after, self._keep
        self._wake_after = sys.maxsize if wake_after is None else wake_after
        rate = _DEFAULT_RATE if self.format is None else self.format.sample_rate
        self._limit = MAX_WAITING * rate
        if keep is not None:
            self._limit = min(self._limit, keep + rate // SHED_FRACTION)

    @property
    def _keep(self) -> int | None:
        return None if self._controls or self._stale else self._attention.keep

    # --- the caller's thread ----------------------------------------------------------------

    def push(self, frame: Any, now: float) -> bool:
        """Take a frame of audio; return whether to wake the worker.

        Raises :class:`~bargein.errors.FrameError` for a wrong frame (nothing is taken) and
        :class:`~bargein.errors.StateError` after the end.
        """
        run = self._run
        # What a callback pushes is mostly this: each lookup less counts, 50 times a second a call.
        if (
            type(frame) is bytes
            and run is not None
            and self.format is not None
            and not len(frame) % run.width
        ):
            data = frame
        else:
            data, fmt = read_frame(frame, self.format)
            if run is None or self.format is None:
                run = self._begin_run(fmt)
        if self.waiting > self._limit:
            self._shed(MAX_WAITING * run.rate)
        samples = len(data) // run.width
        run.chunks.append(data)
        run.end += samples
        run.now = now
        self.waiting = waiting = self.waiting + samples
        if waiting >= self._wake_after:
            self.due = True
        return self.due

    def put(self, item: Any, now: float) -> bool:
        """Take a control item; the worker is always to be woken.

        Raises :class:`~bargein.errors.StateError` after the end (but takes another ``Close``).
        """
        if not isinstance(item, Close):
            self._check_open(type(item).__name__)
        if isinstance(item, SetFormat):
            self.format = item.format
        self._controls = True
        self._apply()
        self.ended = self.ended or isinstance(item, (EndOfInput, Close))
        self._items.append(Stamped(item, now))
        self._run = None
        self.due = True
        return True

    def voice_activity(self, probability: float, now: float) -> bool:
        """Take a VAD's probability for the audio since the one before; return whether to wake.

        Raises :class:`~bargein.errors.OptionError` unless it is a number from 0 to 1.
        """
        try:
            fits = bool(0.0 <= probability <= 1.0)  # NaN doesn't
        except TypeError:
            fits = False
        if not fits:
            raise OptionError(
                f"a voice activity came as {probability!r}; expected a probability from 0 to 1"
            )
        run = self._run or self._begin_run(None)
        quiet = not self._stale and self.attention.is_quiet(probability)
        mark = (run.end, Stamped(VoiceActivity(probability), now))
        if (
            quiet
            and not self._loud
            and run.marks
            and isinstance(run.marks[-1][1].item, VoiceActivity)
        ):
            run.marks[-1] = mark
        else:
            run.marks.append(mark)
        self._loud = self._loud or not quiet
        self.due = self.due or not quiet
        return not quiet

    def agent_audio(self, frame: Any, format: AudioFormat | None, now: float) -> bool:
        """Take the agent's audio as it is played; return whether to wake.

        Without a format bare samples are in the caller's, or a line of 8 kHz would be heard at
        twice its speed. At most 5 s of it wait; then the oldest goes. Raises
        :class:`~bargein.errors.FrameError` for a wrong frame.
        """
        if format is None and isinstance(frame, (bytes, bytearray, memoryview, np.ndarray)):
            format = self.format
        data, fmt = read_frame(frame, format)
        run = self._run or self._begin_run(None)
        item = AgentAudio(data, fmt)
        run.marks.append((run.end, Stamped(item, now)))
        self._agent_waiting += item.duration
        if self._agent_waiting > MAX_WAITING:
            self._shed_agent(run)
        if self._agent_waiting < AGENT_AUDIO_STEP:
            return False
        self.due = True
        return True

    def _begin_run(self, fmt: AudioFormat | None) -> _Run:
        """Begin a stretch of audio and marks; ``None``: of marks, while the format is open."""
        self._check_open("audio")
        if self.format is None and fmt is not None:
            self.format = fmt
            self._items.append(Stamped(SetFormat(fmt), 0.0))
            self.due = True
            self._apply()
        fmt = self.format or AudioFormat()
        self._run = run = _Run(fmt.frame_width, fmt.sample_rate)
        self._items.append(run)
        return run

    def _check_open(self, what: str) -> None:
        if self.ended:
            raise StateError(
                f"{what} came after end_input() or close(); open a new stream for the next call"
            )

    def _shed(self, most: int) -> None:
        """Let the oldest audio go: what nobody needs, or what is more than ``most`` samples."""
        keep = self._keep
        lost = keep is None
        excess = self.waiting - (most if keep is None else keep)
        for run in self._items:
            if not isinstance(run, _Run):
                continue
            gone = 0
            while run.chunks and gone < excess:
                chunk = run.chunks.popleft()
                samples = len(chunk) // run.width
                if gone + samples > excess:  # a long frame: only its front goes
                    run.chunks.appendleft(chunk[(excess - gone) * run.width :])
                    samples = excess - gone
                gone += samples
            excess -= gone
            self.waiting -= gone
            if lost:
                run.dropped += gone
                self.dropped += gone / run.rate
            else:
                run.skipped += gone

    def _shed_agent(self, run: _Run) -> None:
        at = next(i for i, (_, mark) in enumerate(run.marks) if isinstance(mark.item, AgentAudio))
        self._agent_waiting -= run.marks[at][1].item.duration
        del run.marks[at]

    # --- the worker -------------------------------------------------------------------------

    def take(self) -> list[Stamped]:
        """Empty the inbox: audio joined to as few pieces as its order with the rest allows."""
        return list(self.detach())

    def detach(self) -> Iterable[Stamped]:
        """Do as :meth:`take`, but join the audio while the result is iterated over.

        That needs no lock any more: what came out isn't the inbox's.
        """
        items, self._items = self._items, []
        self._run = None
        self.waiting = 0
        self._agent_waiting = 0.0
        self.due = self._loud = self._controls = False
        self._stale = bool(items)
        if self._attention.keep is not None:  # nothing is shed until it is published anew
            self._apply()
        return _unpack_all(items) if items else ()


def _unpack_all(items: Iterable[Stamped | _Run]) -> Iterator[Stamped]:
    for item in items:
        if isinstance(item, Stamped):
            yield item
            continue
        if item.skipped:
            yield Stamped(Skip(item.skipped), item.now)
        if item.dropped:
            yield Stamped(Gap(Fraction(item.dropped, item.rate)), item.now)
        joined = b"".join(item.chunks)
        if item.marks:
            yield from _unpack_marked(item, joined)
        elif joined:
            yield Stamped(Audio(joined), item.now)


def _unpack_marked(run: _Run, joined: bytes) -> Iterator[Stamped]:
    """Give audio in pieces, each mark where it was made."""
    at = run.skipped + run.dropped
    audio = memoryview(joined)
    for position, mark in run.marks:
        if position > at:
            size = (position - at) * run.width
            yield Stamped(Audio(bytes(audio[:size])), mark.now)
            audio, at = audio[size:], position
        yield mark
    if audio:
        yield Stamped(Audio(bytes(audio)), run.now)
