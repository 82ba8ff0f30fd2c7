"""The interruption machine: frames, sentinels and news in, actions out.

It holds no socket, thread, lock, clock or logger. Inputs come with the time of their stamp; what
to do comes back as a list; the next moment at which time alone changes something can be asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

from bargein.audio import AudioFormat, read_frame
from bargein.errors import StateError

from .actions import Action, EmitVerdict, Finish, Verdict
from .buffer import MAX_SILENCE, CallerBuffer
from .cadence import Cadence
from .dispatch import Dispatcher, JudgeSettings, check_fallback
from .inputs import (
    AgentSpeechEnded,
    AgentSpeechStarted,
    Audio,
    Close,
    EndOfInput,
    Gap,
    Input,
    Judge,
    JudgeReady,
    JudgeUnready,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    Reply,
    SetFormat,
    Settings,
    Skip,
    WindowFailed,
    WindowSent,
)
from .options import InterruptionOptions, round_half_up
from .overlap import Answer, Overlap
from .slots import PendingWindow
from .states import TABLE, State
from .verdicts import Reason, is_positive
from .window import WINDOW_RATE, Window

if TYPE_CHECKING:
    from bargein.vad.track import Speech

__all__ = ["FAIL_OPEN_SPEECH", "InterruptionMachine", "SpeechSource"]

FAIL_OPEN_SPEECH = 0.5
"""Seconds of overlap from the onset that the policy ``fail_open`` takes for an interruption:
about where sustained speech alone is more often one than not."""


class SpeechSource(Protocol):
    """Whoever knows where in the caller's audio speech was found."""

    def read(self, start: int, end: int) -> Speech:
        """Return what is known of the stretch ``[start, end)`` of the 16 kHz grid."""


class InterruptionMachine:
    """Turns a call's audio and sentinels into windows to send and one verdict for each overlap.

    ``options``
        Defaults to :class:`~bargein.core.InterruptionOptions`'s defaults.
    ``format``
        How bare bytes are read; defaults to 16 kHz mono s16le.
    ``primary``, ``fallback``
        The judges. ``fallback`` may be a policy instead: ``Reason.FAIL_OPEN`` or
        ``Reason.FAIL_CLOSED``.
    ``ready``
        Whether the primary judge takes windows from the start.
    ``speech``
        Whoever knows the caller's speech; what is known travels with each window.

    Not safe from several threads at once, and it need not be: one owner feeds it. Actions are to
    be carried out in their order. Faults of judges never raise; misuse does.
    """

    def __init__(
        self,
        options: InterruptionOptions | None = None,
        *,
        format: AudioFormat | None = None,
        primary: JudgeSettings | None = None,
        fallback: JudgeSettings | Reason | None = None,
        ready: bool = True,
        speech: SpeechSource | None = None,
    ) -> None:
        check_fallback(fallback)
        self.options = options = options or InterruptionOptions()
        self.state = State.SILENT
        self.ignored = 0
        """Overlaps that started while another was open, or while the agent was silent."""
        judges = {Judge.PRIMARY: primary or JudgeSettings()}
        if options.max_in_flight is not None:
            judges[Judge.PRIMARY] = judges[Judge.PRIMARY].limited(options.max_in_flight)
        if isinstance(fallback, JudgeSettings):
            judges[Judge.FALLBACK] = fallback
        self._out: list[Action] = []
        self._buffer = CallerBuffer(
            options,
            format or AudioFormat(),
            hold=max(
                options.inference_timeout + options.verdict_grace,
                judges[Judge.PRIMARY].max_in_flight * options.detection_interval,
            ),
        )
        self._dispatch = Dispatcher(
            buffer=self._buffer,
            judges=judges,
            policy=fallback if isinstance(fallback, Reason) else None,
            ready=ready,
            settings=Settings(options.threshold, options.min_frames),
            build=self._window,
            out=self._out,
        )
        self._speech = speech
        self._overlap: Overlap | None = None
        self._overlaps = 0
        self._turn_overlaps = 0
        self._agent_start = 0
        self._last_id = 0
        self._now = 0.0
        self._clock = float("-inf")

    # --- the outside ------------------------------------------------------------------------

    @property
    def format(self) -> AudioFormat:
        """The format in which bare bytes are read."""
        return self._buffer.format

    @property
    def position(self) -> int:
        """Input samples since the last change of format."""
        return self._buffer.position

    def samples_to_cut(self) -> int | None:
        """Return how many input samples are missing to the next cut; ``None``: none is due."""
        if self._overlap is None or self.state is not State.OPEN:
            return None
        return self._overlap.cadence.after(self.position) - self.position

    def in_flight(self, judge: Judge = Judge.PRIMARY) -> int:
        """Return how many windows a judge holds."""
        return self._dispatch.in_flight(judge)

    def handle(self, item: Input | Any, *, now: float) -> list[Action]:
        """Take one input, stamped ``now`` (monotonic seconds), and return what to do.

        Anything that isn't one of the inputs of this package is read as a frame of audio. Raises
        :class:`~bargein.errors.FrameError` for a frame of the wrong shape and
        :class:`~bargein.errors.StateError` for an input after the end; the machine is then as it
        was.
        """
        cell = TABLE[self.state].get(type(item))
        if cell is None:
            return self.handle(Audio(read_frame(item, self.format)[0]), now=now)
        if cell.effect == "refuse":
            raise StateError(
                f"{type(item).__name__} came after the end of input; open a new stream for it"
            )
        self._now, self._clock = now, max(self._clock, now)
        effect: Callable[[Any], None] = getattr(self, f"_do_{cell.effect}")
        effect(item)
        return self._take_actions()

    def next_deadline(self) -> float | None:
        """Return when :meth:`handle_deadline` is due (monotonic seconds), or ``None``."""
        wire = self._dispatch.deadline()
        grace = None if self._overlap is None else self._overlap.grace_until
        return min((d for d in (wire, grace) if d is not None), default=None)

    def handle_deadline(self, *, now: float) -> list[Action]:
        """Give up what has waited too long; always moves or clears a deadline that was due."""
        self._now, self._clock = now, max(self._clock, now)
        for window in self._dispatch.windows():
            if window.deadline is not None and window.deadline <= self._clock:
                self._give_up(window, Reason.TIMEOUT)
        overlap = self._overlap
        if overlap and overlap.grace_until is not None and overlap.grace_until <= self._clock:
            self._settle(overlap)
        self._after_freed()
        return self._take_actions()

    def _take_actions(self) -> list[Action]:
        actions = self._out[:]
        self._out.clear()
        return actions

    # --- effects: audio ---------------------------------------------------------------------

    def _do_nothing(self, item: Input) -> None:
        pass

    def _do_ignore(self, item: OverlapSpeechStarted) -> None:
        self.ignored += 1

    def _do_buffer(self, item: Audio) -> None:
        self._buffer.push(item.data)

    def _do_cut(self, item: Audio) -> None:
        width = self.format.frame_width
        self._push_and_cut(
            len(item.data) // width,
            lambda start, end: self._buffer.push(item.data[start * width : end * width]),
        )

    def _do_gap(self, item: Gap) -> None:
        seconds = Fraction(str(item.duration))  # 0.2 as typed, not as binary has it
        samples = round_half_up(seconds * self.format.sample_rate)
        if seconds > MAX_SILENCE:
            self._buffer.skip(samples)
            self._restart_cadence()
        elif self.state is State.OPEN:
            self._push_and_cut(samples, lambda start, end: self._buffer.push_silence(end - start))
        else:
            self._buffer.push_silence(samples)

    def _do_skip(self, item: Skip) -> None:
        self._buffer.skip(item.samples)

    def _do_set_format(self, item: SetFormat) -> None:
        self._buffer.set_format(item.format)
        self._restart_cadence()

    def _restart_cadence(self) -> None:
        if self._overlap is not None:
            self._overlap.cadence = self._cadence()

    def _cadence(self) -> Cadence:
        return Cadence(self.position, self.options.interval * self.format.sample_rate)

    # --- effects: sentinels -----------------------------------------------------------------

    def _do_begin_turn(self, item: AgentSpeechStarted) -> None:
        self._turn_overlaps = 0
        self._agent_start = self._buffer.grid(self.position)
        self._buffer.open()
        self.state = State.SPEAKING

    def _do_end_turn(self, item: AgentSpeechEnded) -> None:
        overlap = self._overlap
        if overlap is not None:
            if self.state is State.OPEN:
                overlap.end(self._now, cause=Reason.AGENT_ENDED)
            self._settle(overlap)
        self._buffer.shut()
        self.state = State.SILENT

    def _do_open_overlap(self, item: OverlapSpeechStarted) -> None:
        if self._overlap is not None:
            self._settle(self._overlap)
        options, buffer = self.options, self._buffer
        self._overlaps += 1
        self._turn_overlaps += 1
        speech = buffer.samples(item.speech_duration)
        if self._turn_overlaps == 1 or options.reset_window_per_overlap:
            buffer.trim(buffer.samples(options.audio_prefix_duration) + speech)
        self._overlap = overlap = Overlap(
            id=self._overlaps,
            onset=self._now - (item.speech_duration if item.age is None else item.age),
            started_at=item.started_at,
            cadence=self._cadence(),
            speech_start=buffer.grid(self.position - speech),
            span=item.span,
        )
        self.state = State.OPEN
        if options.eager_first_window and buffer.length:
            self._route(self._cut(overlap), overlap)

    def _do_end_overlap(self, item: OverlapSpeechEnded) -> None:
        overlap = self._unsettled()
        overlap.end(
            self._now - (item.age or 0.0),
            ended_at=item.ended_at,
            cause=Reason.AGENT_ENDED if item.agent_ended else None,
        )
        self._dispatch.drop_unsent()
        grace = self.options.verdict_grace
        if item.agent_ended or not grace or not self._dispatch.on_wire(overlap):
            self._settle(overlap)
        else:
            overlap.grace_until = self._clock + grace
            self.state = State.GRACE

    def _do_end_input(self, item: EndOfInput) -> None:
        overlap = self._overlap
        if overlap is None:
            self._end()
            return
        if self.state is State.OPEN:
            overlap.end(self._now, cause=Reason.INPUT_ENDED)
            self._dispatch.drop_unsent()
        self.state = State.DRAINING
        self._after_freed()

    def _do_close(self, item: Close) -> None:
        overlap = self._overlap
        if overlap is not None:
            overlap.end(self._now, cause=Reason.CLOSED)
            self._settle(overlap)
        if self.state is not State.ENDED:
            self._end()

    # --- effects: news from the transport ---------------------------------------------------

    def _do_sent(self, item: WindowSent) -> None:
        deadline = self._clock + self.options.inference_timeout
        window = self._dispatch.sent(item.window_id, at=self._now, deadline=deadline)
        if window is not None and self._overlap and self._overlap.id == window.overlap:
            self._overlap.num_requests += 1

    def _do_answer(self, item: Reply) -> None:
        window = self._dispatch.take(item.window_id)
        if window is None:
            self._dispatch.count("late")
            return
        self._dispatch.count("answered")
        if window.judge is Judge.FALLBACK:
            self._dispatch.count("fallback")
        overlap = self._overlap
        if overlap is not None and overlap.id == window.overlap:
            self._judge(overlap, window, item)
        self._buffer.release(window.cut)
        self._after_freed()

    def _judge(self, overlap: Overlap, window: PendingWindow, item: Reply) -> None:
        overlap.num_requests += window.sent is None  # answered before its hand-over was told
        positive = is_positive(
            item.prediction,
            threshold=window.threshold,
            default=self._dispatch.default_threshold(window.judge),
            min_frames=window.min_frames,
        )
        if positive is None:
            overlap.give_up(window.id, Reason.ERROR)
        elif positive or overlap.newest_answer < window.id:
            samples = self._buffer.read(window.cut)
            answer = Answer.of(window, item.prediction, samples, self._now)
            if positive:
                self._conclude(overlap.decided(answer, self._now, self._dispatch.take_counts()))
            else:
                overlap.answer = answer

    def _do_fail(self, item: WindowFailed) -> None:
        for window in self._dispatch.windows():
            if window.id == item.window_id or (
                item.window_id is None and window.judge is item.judge and window.sent is not None
            ):
                self._give_up(window, item.reason)
        self._after_freed()

    def _do_ready(self, item: JudgeReady) -> None:
        self._dispatch.ready = True
        self._after_freed()

    def _do_unready(self, item: JudgeUnready) -> None:
        self._dispatch.ready = False
        self._dispatch.withdraw(Judge.PRIMARY)
        if item.lost:
            for window in self._dispatch.windows():
                if window.judge is Judge.PRIMARY:
                    self._give_up(window, Reason.CONNECTION)
        self._after_freed()

    def _do_settings(self, item: Settings) -> None:
        self._dispatch.settings = item

    # --- windows ----------------------------------------------------------------------------

    def _push_and_cut(self, samples: int, push: Callable[[int, int], None]) -> None:
        """Take ``samples``, cutting on the way; only the newest windows that find a place count."""
        overlap = self._unsettled()
        origin = self.position
        due = overlap.cadence.due(origin, origin + samples)
        kept = due[-self._dispatch.room(overlap) :]
        self._dispatch.count("superseded", len(due) - len(kept))
        windows = []
        taken = 0
        for at in kept:
            push(taken, at - origin)
            taken = at - origin
            windows.append(self._cut(overlap))
        push(taken, samples)
        for window in windows:
            self._route(window, overlap)

    def _cut(self, overlap: Overlap) -> PendingWindow:
        self._last_id += 1
        return PendingWindow(id=self._last_id, overlap=overlap.id, cut=self._buffer.cut())

    def _window(self, window: PendingWindow) -> Window:
        start, end = window.cut.start, window.cut.end
        return Window(
            id=window.id,
            overlap=window.overlap,
            samples=self._buffer.read(window.cut),
            start=start,
            speech_start=self._unsettled().speech_start - start,
            agent_start=self._agent_start - start,
            speech=None if self._speech is None else self._speech.read(start, end),
            threshold=window.threshold,
            min_frames=window.min_frames,
        )

    def _route(self, window: PendingWindow, overlap: Overlap) -> None:
        if overlap is not self._overlap:  # a policy decided it by an earlier window of this input
            self._buffer.release(window.cut)
            return
        policy = self._dispatch.route(window, overlap)
        if policy is not None:
            self._apply_policy(policy, window, overlap)

    def _apply_policy(self, policy: Reason, window: PendingWindow, overlap: Overlap) -> None:
        answer = Answer(arrived=self._now, window_id=window.id, judge=Judge.FALLBACK, policy=policy)
        heard = window.cut.end - overlap.speech_start
        if policy is Reason.FAIL_CLOSED:
            overlap.answer = answer
        elif heard >= FAIL_OPEN_SPEECH * WINDOW_RATE:
            self._conclude(overlap.decided(answer, self._now, self._dispatch.take_counts()))
        else:
            overlap.held_up = True

    def _give_up(self, window: PendingWindow, reason: Reason) -> None:
        self._dispatch.give_up(window, reason)
        if reason is Reason.TIMEOUT:
            self._dispatch.count("timed_out")
        overlap = self._overlap
        if overlap is not None and overlap.id == window.overlap:
            overlap.give_up(window.id, reason)
            overlap.prefer_fallback |= window.id == overlap.first_sent

    def _after_freed(self) -> None:
        """A place may be free, or nothing may be left to wait for."""
        overlap = self._overlap
        if overlap is None:
            return
        if self.state is State.OPEN:
            rest = self._dispatch.promote(overlap)
            if rest is not None:
                self._apply_policy(*rest, overlap)
        elif not self._dispatch.on_wire(overlap):
            self._settle(overlap)

    # --- verdicts ---------------------------------------------------------------------------

    def _unsettled(self) -> Overlap:
        assert self._overlap is not None
        return self._overlap

    def _settle(self, overlap: Overlap) -> None:
        self._conclude(overlap.settled(self._now, self._dispatch.take_counts()))

    def _conclude(self, verdict: Verdict) -> None:
        """The overlap's one event is out: forget it, and what was only for it."""
        self._dispatch.drop_unsent()
        self._out.append(EmitVerdict(verdict))
        self._overlap = None
        if self.state is State.DRAINING:
            self._end()
        else:
            self.state = State.SPEAKING

    def _end(self) -> None:
        self.state = State.ENDED
        self._out.append(Finish())
