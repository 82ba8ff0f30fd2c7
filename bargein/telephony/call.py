"""A phone call as one object: the caller's audio in, the agent's out, and what came of it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from bargein.audio import AudioFormat
from bargein.core import (
    InterruptionDetectionError,
    OverlappingSpeechEvent,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
)
from bargein.core.taps import Tap
from bargein.errors import OptionError, StateError
from bargein.runtime.queue import EventQueue

from .caller import CallerAudio
from .echo import EchoOptions
from .line import EndReason, Line
from .pacer import Clear, Mark, Pacer, PacerAction, Passage, Write
from .policy import (
    AgentEnded,
    AgentStarted,
    BargeInPolicy,
    CallerStarted,
    CallerStopped,
    Duck,
    JudgeLost,
    PassageStarted,
    Pause,
    PolicyAction,
    PolicyInput,
    PolicyMachine,
    Resume,
    Stop,
    VerdictGiven,
)
from .prompt import LineEncoder, Part, Prompt
from .ticker import Ticker, shared_ticker

if TYPE_CHECKING:
    from bargein.detector import AdaptiveInterruptionDetector
    from bargein.stream import Watcher

__all__ = ["Call", "CallEvent", "CallEventKind"]

logger = logging.getLogger("bargein")

MAX_EVENTS = 1024
"""Events that wait unread: an hour of a lively call."""

EVENT_ARRAYS = 4
"""Of them, those whose verdicts keep their windows (96 KB each)."""

CallEventKind = Literal[
    "agent_started",
    "agent_ended",
    "overlap_started",
    "overlap_ended",
    "verdict",
    "ducked",
    "paused",
    "resumed",
    "stopped",
    "prompt_ended",
    "dtmf",
    "error",
    "ended",
]

_SILENCES = 0.2
"""Seconds: a shorter gap is heard as silence, as everywhere in the library."""


@attrs.frozen(kw_only=True)
class CallEvent:
    """What happened in a call. Fields that don't belong to its kind are ``None``."""

    kind: CallEventKind
    call_id: str
    at: float
    """Seconds of the call, by the caller's audio."""
    time: float
    """Monotonic seconds."""
    prompt: Prompt | None = None
    """The prompt that was heard: of ``stopped``, ``prompt_ended`` and the agent's events."""
    heard_up_to: int | None = None
    """Milliseconds of the prompt that the caller has heard: what belongs in a dialogue's
    history."""
    verdict: OverlappingSpeechEvent | None = None
    reason: str | None = None
    """Of ``stopped`` a `StopReason`'s value, of ``ended`` an `EndReason`, of ``overlap_ended``
    ``caller_stopped`` or ``agent_ended``."""
    digit: str | None = None
    error: Exception | None = None


class Call:
    """One call. It is its line's handler: give it to a server by returning it from ``on_call``.

    The agent speaks by `play` and `open_prompt`. What the caller says over it is judged by a
    stream of ``detector``, and ``policy`` says what the agent does about it. Everything that
    happens is a `CallEvent`: read them by iterating, by `recv`, or have them given to a function
    by `on`.

    Thread-safe. Nothing here blocks but `recv`, iteration, and `Prompt.wait`. Listeners run on a
    thread of this call's own, so they may take their time; that holds up no audio.

    ``line``
        The way to the network.
    ``detector``
        The judge. It is shared by calls, and not closed by them.
    ``policy``
        By default `BargeInPolicy()`.
    ``echo``
        How the agent's echo is kept out; ``None``: not beyond the core's level gate, for lines
        that are known to be clean.
    ``latency``
        Seconds from the network's playout to the caller's ear, if known.
    ``recorder``
        Watches the stream (:mod:`bargein.recording`).
    ``tap``
        Is given both sides' audio as the stream gets them: ``tap(caller, agent, now)``, in the
        line's format, on the media thread.
    ``ticker``
        Paces the agent's audio; by default one thread for all calls of the process.
    ``clock``
        Monotonic seconds.
    """

    def __init__(
        self,
        line: Line,
        detector: AdaptiveInterruptionDetector,
        *,
        policy: BargeInPolicy | None = None,
        echo: EchoOptions | None = EchoOptions(),  # noqa: B008 - frozen
        latency: float = 0.0,
        recorder: Watcher | None = None,
        tap: Callable[[bytes, bytes, float], object] | None = None,
        ticker: Ticker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if line.format.num_channels != 1:
            raise OptionError(
                f"the line has {line.format.num_channels} channels; a call takes lines of one"
            )
        self.line = line
        self.id = line.id
        self._clock = clock
        self._ticker = ticker or shared_ticker()
        self._lock = threading.RLock()
        """For all below. Never held while the stream is called: its thread may wait for us."""
        self._pacer = Pacer(
            line.format,
            frame=line.frame,
            paced_by_peer=line.paced_by_peer,
            marks=line.marks,
            latency=latency,
        )
        self._policy = PolicyMachine(policy)
        self._position = 0
        """Samples of the caller's audio, and of its gaps."""
        self._speaking = False
        self._turn_begin = 0
        """Where in the programme the agent's turn begins."""
        self._passage: Passage | None = None
        self._prompts: deque[Prompt] = deque()
        """Those that weren't settled yet."""
        self._ended = False
        self._judge_can_be_lost = not detector.has_fallback
        self._events: EventQueue[CallEvent] = EventQueue(
            f"the call {line.id}", limit=MAX_EVENTS, arrays=EVENT_ARRAYS
        )
        self._listeners = _CallListeners(line.id)
        self._tap = tap
        self._caller = CallerAudio(line.format, echo)
        fmt = self._caller.format
        self.stream = detector.stream(
            id=line.id,
            sample_rate=fmt.sample_rate,
            encoding=fmt.encoding,
            vad="silero",
            recorder=recorder,
            shadow=_Ear(self),
        )
        """The call's stream of the detector."""

    # --- the agent --------------------------------------------------------------------------

    @property
    def policy(self) -> BargeInPolicy:
        """What is done with a verdict; may be set at any time."""
        return self._policy.policy

    @policy.setter
    def policy(self, policy: BargeInPolicy) -> None:
        with self._lock:
            self._policy.policy = policy

    @property
    def details(self) -> Mapping[str, str]:
        """What the network told of the call. Don't trust it."""
        return self.line.details

    def play(
        self,
        *parts: Any,
        text: str = "",
        interruptible: bool = True,
        sample_rate: int | None = None,
        encoding: str = "s16le",
    ) -> Prompt:
        """Say something, after what is being said; return the prompt.

        Each part is audio, or a `Part`. Bare bytes are in the line's format unless
        ``sample_rate`` (and ``encoding``) say otherwise; arrays are int16. After the call's end
        the prompt is ``stopped`` at once.

        Raises :class:`~bargein.errors.FrameError` for audio that is none.
        """
        prompt = self.open_prompt()
        try:
            for part in parts:
                if not isinstance(part, Part):
                    part = Part(part, text, interruptible)
                prompt.write(
                    part.audio,
                    text=part.text,
                    interruptible=part.interruptible,
                    sample_rate=sample_rate,
                    encoding=encoding,
                )
        finally:
            prompt.end()
        return prompt

    def open_prompt(self) -> Prompt:
        """Begin to say something whose audio comes bit by bit: `Prompt.write`, `Prompt.end`.

        Until its end the agent keeps its turn, also while the audio is late.
        """
        prompt = Prompt(self, LineEncoder(self.line.format), self.line.format.sample_rate)
        with self._lock:
            if self._ended:
                prompt._settle("stopped")
                return prompt
            self._pacer.open()
            self._prompts.append(prompt)
        return prompt

    def stop(self) -> None:
        """Drop what the agent is saying, whatever the policy is."""
        with self._lock:
            after = self._stop("stopped by the program")
        self._after(after)

    def hang_up(self) -> None:
        """End the call; ``ended`` follows."""
        self.line.hang_up()

    def _append(self, prompt: Prompt, passage: Passage, text: str) -> None:
        with self._lock:
            if prompt.state == "stopped":  # meanwhile
                return
            self._pacer.add(passage)
            prompt._parts.append((passage, text))
            self._ticker.add(self)

    def _close_prompt(self, prompt: Prompt) -> None:
        with self._lock:
            if prompt.state in ("queued", "playing"):
                self._pacer.close()
                self._ticker.add(self)

    def _refresh(self, prompt: Prompt) -> None:
        with self._lock:
            prompt._update(self._pacer.heard(self._clock()))

    # --- the line ---------------------------------------------------------------------------

    def on_audio(self, audio: bytes) -> None:
        """Take the caller's audio; see `LineHandler`. Never blocks."""
        now = self._clock()
        with self._lock:
            if self._ended:
                return
            self._position += len(audio) // self.line.format.frame_width
            reference = self._pacer.reference(now)
            due = self._policy.next_deadline()
            after: list[Callable[[], None]] = []
            if due is not None and self._seconds >= due:
                after = self._do(self._policy.handle_deadline(now=self._seconds))
        self._after(after)
        if self._tap is not None:
            self._tap(audio, reference, now)
        fmt = self.line.format
        self._to_stream(
            reference
            and (
                lambda: self.stream.agent_audio(
                    reference, sample_rate=fmt.sample_rate, encoding=fmt.encoding
                )
            ),
            lambda: self.stream.push_frame(self._caller.push(audio, reference)),
        )

    def on_gap(self, seconds: float) -> None:
        """Take that audio was lost."""
        samples = round(seconds * self.line.format.sample_rate)
        if seconds <= _SILENCES:
            self.on_audio(_silence(self.line.format, samples))
            return
        with self._lock:
            self._position += samples
        self._caller.gap(seconds)
        self._to_stream(lambda: self.stream.push_gap(seconds))

    def on_mark(self, name: str, cleared: bool) -> None:
        """Take a mark that came back."""
        with self._lock:
            self._pacer.mark_returned(name, cleared, self._clock())

    def on_dtmf(self, digit: str) -> None:
        """Take a key."""
        self._emit("dtmf", digit=digit)

    def on_flow(self, writable: bool) -> None:
        """Take whether the peer takes audio."""
        with self._lock:
            self._pacer.flow(writable)

    def on_end(self, reason: EndReason) -> None:
        """Take that the line is gone: what is open is settled, then comes ``ended``."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            self._end_reason = reason
            after = self._stop(None)
        self._after(after)
        # The stream settles its overlap, and tells its ear when all is over.
        self._to_stream(self.stream.end_input)

    _end_reason: str = "closed"

    def _to_stream(self, *calls: Any) -> None:
        try:
            for call in calls:
                if call:
                    call()
        except StateError:  # it has failed or was closed; its ear was told
            logger.debug("%s: the stream takes no more", self.id)

    # --- time -------------------------------------------------------------------------------

    def tick(self, now: float | None = None) -> bool:
        """Hand over audio that is due; for the ticker. Return whether more is to be done."""
        now = self._clock() if now is None or self._clock is not time.monotonic else now
        with self._lock:
            self._carry(self._pacer.tick(now))
            after = self._watch_turn(now)
            again = self._speaking or self._pacer.active
        self._after(after)
        return again

    def _watch_turn(self, now: float) -> list[Callable[[], None]]:
        """Find out where the caller is in what the agent says; the lock is held."""
        pacer = self._pacer
        heard = pacer.heard(now)
        after: list[Callable[[], None]] = []
        if not self._speaking and pacer.clock.handed > self._turn_begin:
            after += self._agent_started()
        if self._speaking:
            passage = pacer.passage(now)
            if passage is not None and passage is not self._passage:
                after += self._enter(passage)
            after += self._settle_heard(heard)
            if pacer.finished(now):
                after += self._agent_ended()
        return after

    def _agent_started(self) -> list[Callable[[], None]]:
        self._speaking = True
        return [
            *self._tell(AgentStarted()),
            lambda: self._to_stream(self.stream.agent_speech_started),
            self._event("agent_started", prompt=self._prompts[0] if self._prompts else None),
        ]

    def _agent_ended(self) -> list[Callable[[], None]]:
        self._speaking = False
        self._turn_begin = self._pacer.clock.handed
        self._passage = None
        return [
            lambda: self._to_stream(self.stream.agent_speech_ended),
            *self._tell(AgentEnded()),
            self._event("agent_ended"),
        ]

    def _enter(self, passage: Passage) -> list[Callable[[], None]]:
        before = True if self._passage is None else self._passage.interruptible
        self._passage = passage
        if isinstance(passage.owner, Prompt) and passage.owner.state == "queued":
            passage.owner._state = "playing"
        if passage.interruptible is before:
            return []
        return self._tell(PassageStarted(passage.interruptible))

    def _settle_heard(self, heard: int) -> list[Callable[[], None]]:
        """Settle prompts that were heard to their ends."""
        after = []
        while self._prompts:
            prompt = self._prompts[0]
            prompt._update(heard)
            end = prompt._parts[-1][0].end if prompt._parts else 0
            if not prompt._ended or heard < end:
                break
            self._prompts.popleft()
            prompt._settle("heard")
            after.append(self._event("prompt_ended", prompt=prompt, heard_up_to=prompt.heard_up_to))
        return after

    # --- verdicts and the policy ------------------------------------------------------------

    @property
    def _seconds(self) -> float:
        return self._position / self.line.format.sample_rate

    def _tell(self, item: PolicyInput) -> list[Callable[[], None]]:
        """Tell the policy, and do what it wants; the lock is held."""
        return self._do(self._policy.handle(item, now=self._seconds))

    def _do(self, actions: list[PolicyAction]) -> list[Callable[[], None]]:
        now = self._clock()
        after: list[Callable[[], None]] = []
        for action in actions:
            if isinstance(action, Stop):
                after += self._stop(action.reason.value)
            elif isinstance(action, Duck):
                self._carry(self._pacer.duck(action.gain, now))
                after.append(self._event("ducked", **self._where(now)))
            elif isinstance(action, Pause):
                self._carry(self._pacer.pause(now))
                after.append(self._event("paused", **self._where(now)))
            elif isinstance(action, Resume):
                self._carry(self._pacer.resume(now))
                after.append(self._event("resumed", **self._where(now)))
        return after

    def _stop(self, reason: str | None) -> list[Callable[[], None]]:
        """Drop the programme; the lock is held. ``None``: because the call is over."""
        now = self._clock()
        where = self._where(now)["prompt"]
        self._carry(self._pacer.stop(now))
        # What can't be taken back is heard: it counts.
        position = self._pacer.clock.handed
        after: list[Callable[[], None]] = []
        for prompt in self._prompts:
            prompt._update(position)
            prompt._settle("stopped")
        if self._prompts and self._speaking and reason is not None:
            heard = where.heard_up_to if where is not None else 0
            after.append(self._event("stopped", prompt=where, heard_up_to=heard, reason=reason))
        for prompt in self._prompts:
            after.append(self._event("prompt_ended", prompt=prompt, heard_up_to=prompt.heard_up_to))
        self._prompts.clear()
        self._ticker.add(self)  # it notices when the rest was heard
        return after

    def _where(self, now: float) -> dict[str, Any]:
        """Return which prompt the caller hears, and how much of it was heard."""
        passage = self._pacer.passage(now)
        prompt = passage.owner if passage is not None else None
        if not isinstance(prompt, Prompt):
            return {"prompt": None, "heard_up_to": None}
        if not prompt._done.is_set():
            prompt._update(self._pacer.heard(now))
        return {"prompt": prompt, "heard_up_to": prompt._heard * 1000 // prompt._rate}

    def _carry(self, actions: list[PacerAction]) -> None:
        """Do what the pacer wants. The lock is held, for order matters; a line never blocks."""
        if self._ended:
            return
        for action in actions:
            if isinstance(action, Write):
                self.line.write(action.audio)
            elif isinstance(action, Mark):
                self.line.mark(action.name)
            elif isinstance(action, Clear):
                self.line.clear()

    # --- what the stream tells, on its thread -----------------------------------------------

    def _heard_of_overlap(self, item: OverlapSpeechStarted | OverlapSpeechEnded) -> None:
        with self._lock:
            if isinstance(item, OverlapSpeechStarted):
                after = [self._event("overlap_started")]
                after += self._tell(CallerStarted(item.speech_duration))
            elif item.agent_ended:
                after = [self._event("overlap_ended", reason="agent_ended")]
            else:
                after = [self._event("overlap_ended", reason="caller_stopped")]
                after += self._tell(CallerStopped())
        self._after(after)

    def _heard_verdict(self, event: OverlappingSpeechEvent) -> None:
        with self._lock:
            after = [self._event("verdict", verdict=event), *self._tell(VerdictGiven(event))]
        self._after(after)

    def _heard_error(self, error: InterruptionDetectionError) -> None:
        with self._lock:
            after = [self._event("error", error=error.error)]
            if self._judge_can_be_lost:
                after += self._tell(JudgeLost())
        self._after(after)

    def _stream_ended(self, error: BaseException | None) -> None:
        with self._lock:
            over = self._ended
            if error is not None and not over:  # the call goes on by its VAD alone: there is none
                after = [self._event("error", error=_as_exception(error))]
            else:
                after = []
        self._after(after)
        if over:
            self._emit("ended", reason=self._end_reason)
            self._events.end()

    # --- events -----------------------------------------------------------------------------

    def on(self, kind: CallEventKind, listener: Callable[[CallEvent], object] | None = None) -> Any:
        """Call ``listener`` with each event of a kind; without one, return a decorator."""

        def add(function: Callable[[CallEvent], object]) -> Callable[[CallEvent], object]:
            self._listeners.add(kind, function)
            return function

        return add if listener is None else add(listener)

    def recv(self, timeout: float | None = None) -> CallEvent:
        """Return the next event, waiting at most ``timeout`` seconds (``None``: for ever).

        Raises ``TimeoutError``, and :class:`~bargein.errors.StreamEnded` after ``ended``.
        """
        return self._events.get(timeout)

    def __iter__(self) -> Iterator[CallEvent]:
        from bargein.errors import StreamEnded

        while True:
            try:
                yield self.recv()
            except StreamEnded:
                return

    def _event(self, kind: CallEventKind, **fields: Any) -> Callable[[], None]:
        """Make an event now; what is returned gives it out, when the lock is free."""
        event = CallEvent(
            kind=kind, call_id=self.id, at=self._seconds, time=self._clock(), **fields
        )

        def give() -> None:
            self._events.put(event, delivered=self._listeners.put(event))

        return give

    def _emit(self, kind: CallEventKind, **fields: Any) -> None:
        self._event(kind, **fields)()

    def _after(self, after: list[Callable[[], None]]) -> None:
        for do in after:
            do()

    # --- the end ----------------------------------------------------------------------------

    def close(self, timeout: float = 2.0) -> None:
        """Hang up and let everything go, waiting at most ``timeout`` seconds; idempotent."""
        self.line.hang_up()
        self.on_end("closed")
        self.stream.close(timeout)

    def __enter__(self) -> Call:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Ear(Tap):
    """Hears what the call's stream finds. It is its own watcher."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def begin(self, stream_id: str, setup: Any, about: Mapping[str, Any]) -> Tap:
        return self

    def close(self, timeout: float) -> None:
        """There is nothing to finish."""

    def machine_input(self, item: Any, now: float) -> None:
        if isinstance(item, (OverlapSpeechStarted, OverlapSpeechEnded)):
            self._safely(self._call._heard_of_overlap, item)

    def event(self, event: OverlappingSpeechEvent, offset: float) -> None:
        self._safely(self._call._heard_verdict, event)

    def error(self, error: InterruptionDetectionError) -> None:
        self._safely(self._call._heard_error, error)

    def end(self, error: BaseException | None) -> None:
        self._safely(self._call._stream_ended, error)

    def _safely(self, tell: Callable[[Any], None], what: Any) -> None:
        try:
            tell(what)
        except Exception:  # a tap that raises would end the stream
            logger.exception("%s: a call couldn't take what its stream found", self._call.id)


class _CallListeners:
    """Functions that are given a call's events, in order, on a thread that lives while it must."""

    def __init__(self, call_id: str) -> None:
        self._id = call_id
        self._changed = threading.Condition()
        self._listeners: list[tuple[str, Callable[[CallEvent], object]]] = []
        self._waiting: deque[CallEvent] = deque()
        self._running = False

    def add(self, kind: str, listener: Callable[[CallEvent], object]) -> None:
        if kind not in CallEventKind.__args__:  # type: ignore[attr-defined]
            raise OptionError(
                f"there is no event {kind!r}; expected one of {', '.join(CallEventKind.__args__)}"  # type: ignore[attr-defined]
            )
        with self._changed:
            self._listeners.append((kind, listener))

    def put(self, event: CallEvent) -> bool:
        """Have the listeners of an event called; return whether there are any."""
        with self._changed:
            if all(kind != event.kind for kind, _ in self._listeners):
                return False
            self._waiting.append(event)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name=f"call-{self._id}", daemon=True).start()
            return True

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._running = False
                    return
                event = self._waiting.popleft()
                listeners = [each for kind, each in self._listeners if kind == event.kind]
            for listener in listeners:
                try:
                    listener(event)
                except BaseException:  # SystemExit too: the thread isn't the listener's to end
                    logger.exception("%s: a listener for %r raised", self._id, event.kind)


def _silence(fmt: AudioFormat, samples: int) -> bytes:
    value = {"mulaw": b"\xff", "alaw": b"\xd5", "u8": b"\x80"}.get(fmt.encoding, b"\0\0")
    return value * samples


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(str(error))
