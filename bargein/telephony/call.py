"""A phone call as one object: the caller's audio in, the agent's out, and what came of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bargein.audio.formats import silence
from bargein.core import (
    InterruptionDetectionError,
    OverlappingSpeechEvent,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
)
from bargein.errors import OptionError, StateError

from .agent import Agent
from .agent_turns import TurnBegan, TurnEnded
from .call_events import CallEvent, CallEventKind, CallEvents
from .caller import CallerAudio
from .ear import Ear
from .echo import EchoOptions
from .line import EndReason, Line
from .pacer import Passage
from .policy import (
    AgentEnded,
    BargeInPolicy,
    CallerStarted,
    CallerStopped,
    JudgeLost,
    VerdictGiven,
)
from .prompt import LineEncoder, Part, Prompt
from .ticker import Ticker, shared_ticker
from .unjudged import unjudged

if TYPE_CHECKING:
    from bargein.detector import AdaptiveInterruptionDetector
    from bargein.stream import InterruptionStreamBase, Watcher

__all__ = ["Call", "CallEvent", "CallEventKind"]

logger = logging.getLogger("bargein")

_SILENCES = 0.2
"""Seconds: a shorter gap is heard as silence, as everywhere in the library."""


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
        self._agent = Agent(line, policy, latency=latency, clock=clock, emit=self._emit)
        self._end_reason: EndReason | None = None
        self._stream_over = False
        self._judge_can_be_lost = not detector.has_fallback
        self._unjudged = False
        """Whether the judge is gone for good."""
        self._failed: InterruptionStreamBase | None = None
        self._told_of: Exception | None = None
        """The newest error that was given out."""
        self._events = CallEvents(line.id)
        self._tap = tap
        self._caller = CallerAudio(line.format, echo)
        self.stream = self._open_stream(detector, recorder)
        """The call's stream of the detector; after it has failed, one that has no judge."""

    def _open_stream(
        self, detector: AdaptiveInterruptionDetector, recorder: Watcher | None = None
    ) -> InterruptionStreamBase:
        fmt = self._caller.format
        return detector.stream(
            id=self.id,
            sample_rate=fmt.sample_rate,
            encoding=fmt.encoding,
            vad="silero",
            recorder=recorder,
            shadow=Ear(self),
        )

    # --- the agent --------------------------------------------------------------------------

    @property
    def policy(self) -> BargeInPolicy:
        """What is done with a verdict; may be set at any time."""
        return self._agent.policy.policy

    @policy.setter
    def policy(self, policy: BargeInPolicy) -> None:
        with self._lock:
            self._agent.policy.policy = policy

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
            if self._end_reason is not None:
                prompt._settle("stopped")
                return prompt
            self._agent.open(prompt)
        return prompt

    def stop(self) -> None:
        """Drop what the agent is saying, whatever the policy is."""
        with self._lock:
            # The turn is over for the policy, too; what it would undo is undone.
            self._agent.policy.handle(AgentEnded(), now=self._agent.seconds)
            self._agent.stop("stopped by the program")

    def hang_up(self) -> None:
        """End the call; ``ended`` follows."""
        self.line.hang_up()

    def _append(self, prompt: Prompt, passage: Passage, text: str) -> None:
        with self._lock:
            self._agent.append(prompt, passage, text)
            self._ticker.add(self)

    def _close_prompt(self, prompt: Prompt) -> None:
        with self._lock:
            self._agent.close(prompt)
            self._ticker.add(self)

    def _refresh(self, prompt: Prompt) -> None:
        with self._lock:
            self._agent.refresh(prompt)

    # --- the line ---------------------------------------------------------------------------

    def on_audio(self, audio: bytes) -> None:
        """Take the caller's audio; see `LineHandler`. Never blocks."""
        now = self._clock()
        with self._lock:
            if self._end_reason is not None:
                return
            self._agent.elapse(len(audio) // self.line.format.frame_width)
            reference = self._agent.reference(now)
            self._agent.do_what_is_due()
        if self._tap is not None:
            self._tap(audio, reference, now)
        if reference:
            fmt = self.line.format
            rate, encoding = fmt.sample_rate, fmt.encoding
            self._to_stream(self.stream.agent_audio, reference, sample_rate=rate, encoding=encoding)
        self._to_stream(self.stream.push_frame, self._caller.push(audio, reference))

    def on_gap(self, seconds: float) -> None:
        """Take that audio was lost."""
        samples = round(seconds * self.line.format.sample_rate)
        if seconds <= _SILENCES:
            self.on_audio(silence(self.line.format, samples))
            return
        with self._lock:
            self._agent.elapse(samples)
        self._caller.gap(seconds)
        self._to_stream(self.stream.push_gap, seconds)

    def on_mark(self, name: str, cleared: bool) -> None:
        """Take a mark that came back."""
        with self._lock:
            self._agent.mark_returned(name, cleared)

    def on_dtmf(self, digit: str) -> None:
        """Take a key."""
        with self._lock:
            self._emit("dtmf", digit=digit)

    def on_flow(self, writable: bool) -> None:
        """Take whether the peer takes audio."""
        with self._lock:
            self._agent.flow(writable)

    def on_end(self, reason: EndReason) -> None:
        """Take that the line is gone: what is open is settled, then comes ``ended``."""
        with self._lock:
            if self._end_reason is not None:
                return
            self._end_reason = reason
            self._agent.end()
        # That the agent's turn is over isn't told: the stream's overlap ends as its input does.
        # The stream settles its overlap, and tells its ear when all is over.
        self._to_stream(self.stream.end_input)
        self._end_if_over()

    def _to_stream(self, call: Callable[..., object], *given: Any, **format: Any) -> None:
        try:
            call(*given, **format)
        except StateError:  # it has failed or was closed; its ear was told
            logger.debug("%s: the stream takes no more", self.id)

    # --- time -------------------------------------------------------------------------------

    def tick(self, now: float | None = None) -> bool:
        """Hand over audio that is due; for the ticker. Return whether more is to be done."""
        now = self._clock() if now is None or self._clock is not time.monotonic else now
        with self._lock:
            if self._end_reason is not None:
                return False
            happened = self._agent.tick(now)
            again = self._agent.active
        for item in happened:  # without the lock; see there
            if isinstance(item, TurnBegan):
                self._to_stream(self.stream.agent_speech_started)
            elif isinstance(item, TurnEnded):
                self._to_stream(self.stream.agent_speech_ended)
        return again

    # --- what the stream tells, on its thread -----------------------------------------------

    def _heard_of_overlap(self, item: OverlapSpeechStarted | OverlapSpeechEnded) -> None:
        with self._lock:
            if isinstance(item, OverlapSpeechStarted):
                self._emit("overlap_started")
                self._agent.take(CallerStarted(item.speech_duration))
            elif item.agent_ended:
                self._emit("overlap_ended", reason="agent_ended")
            else:
                self._emit("overlap_ended", reason="caller_stopped")
                self._agent.take(CallerStopped())

    def _heard_verdict(self, event: OverlappingSpeechEvent) -> None:
        with self._lock:
            self._emit("verdict", verdict=event)
            self._agent.take(VerdictGiven(event))

    def _heard_error(self, error: InterruptionDetectionError) -> None:
        with self._lock:
            self._tell_of(error.error)
            if self._judge_can_be_lost:
                self._agent.take(JudgeLost())

    def _stream_ended(self, error: BaseException | None) -> None:
        with self._lock:
            failed = error is not None and self._end_reason is None and not self._unjudged
            if failed:
                self._tell_of(_as_exception(error))
                self._unjudged = True
                self._agent.take(JudgeLost())
        if failed:
            self._go_on_unjudged()
            return
        with self._lock:
            self._stream_over = True
        self._end_if_over()

    def _go_on_unjudged(self) -> None:
        """Go on with a stream that finds who speaks, for the policy to decide by that."""
        stream = self._open_stream(unjudged())
        with self._lock:
            # The old one is kept: it is on its way out, and would pass for a forgotten one.
            self._failed, self.stream = self.stream, stream
            if self._agent.speaking:
                stream.agent_speech_started()
            over = self._end_reason is not None
        if over:
            stream.end_input()

    def _tell_of(self, error: Exception) -> None:
        """Give an error out; once, for a stream tells of the one that ends it before it does."""
        if error is not self._told_of and not self._unjudged:
            self._emit("error", error=error)
        self._told_of = error

    def _end_if_over(self) -> None:
        """Give out ``ended`` once the line and the stream are gone, whichever went first."""
        with self._lock:
            if self._stream_over and self._end_reason is not None:
                self._emit("ended", reason=self._end_reason)
                self._events.end()

    # --- events -----------------------------------------------------------------------------

    def on(self, kind: CallEventKind, listener: Callable[[CallEvent], object] | None = None) -> Any:
        """Call ``listener`` with each event of a kind; without one, return a decorator."""

        def add(function: Callable[[CallEvent], object]) -> Callable[[CallEvent], object]:
            self._events.add_listener(kind, function)
            return function

        return add if listener is None else add(listener)

    def recv(self, timeout: float | None = None) -> CallEvent:
        """Return the next event, waiting at most ``timeout`` seconds (``None``: for ever).

        Raises ``TimeoutError``, and :class:`~bargein.errors.StreamEnded` after ``ended``.
        """
        return self._events.recv(timeout)

    def __iter__(self) -> Iterator[CallEvent]:
        return iter(self._events)

    def _emit(self, kind: CallEventKind, **fields: Any) -> None:
        """Give an event out; under the lock, so that events are in the order of what happened."""
        at, now = self._agent.seconds, self._clock()
        self._events.put(CallEvent(kind=kind, call_id=self.id, at=at, time=now, **fields))

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


def _as_exception(error: BaseException | None) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(str(error))
