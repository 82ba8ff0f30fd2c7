"""The interruption machine: frames, sentinels and news in, actions out.

It holds no socket, thread, lock, clock or logger. Inputs come with the time of their stamp; what
to do comes back as a list; the next moment at which time alone changes something can be asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bargein.audio import AudioFormat, read_frame
from bargein.errors import StateError

from .actions import Action
from .cutter import NO_ROOM, NO_WINDOWS, Cutter, CutWindows, SpeechSource
from .dispatch import Dispatcher, JudgeSettings, policy_of
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
from .options import InterruptionOptions
from .overlap import Overlap
from .settling import Settler
from .states import EFFECTS, TABLE, State
from .verdicts import Reason

__all__ = ["InterruptionMachine"]


class InterruptionMachine(Settler):
    """Turns a call's audio and sentinels into windows to send and one verdict for each overlap.

    ``options``
        Defaults to :class:`~bargein.core.InterruptionOptions`'s defaults.
    ``format``
        How bare bytes are read; ``None``: as the first frame says, 16 kHz mono s16le if that is
        bare too.
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
        fallback: JudgeSettings | Reason | str | None = None,
        ready: bool = True,
        speech: SpeechSource | None = None,
    ) -> None:
        policy = policy_of(fallback)
        self.options = options = options or InterruptionOptions()
        self.ignored = 0
        """Overlaps that started while another was open, or while the agent was silent."""
        judges = {Judge.PRIMARY: primary or JudgeSettings()}
        if options.max_in_flight is not None:
            judges[Judge.PRIMARY] = judges[Judge.PRIMARY].limited(options.max_in_flight)
        if isinstance(fallback, JudgeSettings):
            judges[Judge.FALLBACK] = fallback
        out: list[Action] = []
        cutter = Cutter(
            options,
            format or AudioFormat(),
            hold=max(
                options.inference_timeout + options.verdict_grace,
                judges[Judge.PRIMARY].max_in_flight * options.detection_interval,
            ),
            speech=speech,
        )
        dispatch = Dispatcher(
            cutter=cutter,
            judges=judges,
            policy=policy,
            ready=ready,
            settings=Settings(options.threshold, options.min_frames),
            out=out,
        )
        super().__init__(cutter, dispatch, out)
        self._format_is_open = format is None
        self._overlaps = 0
        self._turn_overlaps = 0

    # --- the outside ------------------------------------------------------------------------

    @property
    def format(self) -> AudioFormat:
        """The format in which bare bytes are read."""
        return self._cutter.format

    @property
    def position(self) -> int:
        """Input samples since the last change of format."""
        return self._cutter.position

    def samples_to_cut(self) -> int | None:
        """Return how many input samples are missing to the next cut; ``None``: none is due."""
        return self._cutter.samples_to_cut()

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
            return self._handle_frame(item, now)
        if cell.effect == "refuse":
            raise StateError(
                f"{type(item).__name__} came after the end of input; open a new stream for it"
            )
        self._now, self._clock = now, max(self._clock, now)
        _HANDLERS[cell.effect](self, item)
        return self._take_actions() if self._out else []

    def _handle_frame(self, frame: object, now: float) -> list[Action]:
        data, own = read_frame(frame, None if self._format_is_open else self.format)
        if own != self.format:
            self.handle(SetFormat(own), now=now)
        return self.handle(Audio(data), now=now)

    def next_deadline(self) -> float | None:
        """Return when :meth:`handle_deadline` is due (monotonic seconds), or ``None``."""
        wire = self._dispatch.deadline()
        if self._overlap is None:
            return wire
        # In the grace nothing is unsent, so that one of the two is None.
        own = self._overlap.grace_until
        if own is None and self._overlap.unsent_since is not None:
            own = self._hand_over_deadline(self._overlap.unsent_since)
        if wire is None or own is None:
            return own if wire is None else wire
        return min(wire, own)

    def _hand_over_deadline(self, since: float) -> float:
        """Return when a judge has had its time to take a window; then somebody else judges.

        A peer that reads no more takes nothing, so that no window's own deadline ever starts.
        """
        return since + self.options.inference_timeout

    def handle_deadline(self, *, now: float) -> list[Action]:
        """Give up what has waited too long; always moves or clears a deadline that was due.

        What fell due is taken in its own order, however late this call comes.
        """
        self._now, self._clock = now, max(self._clock, now)
        while (due := self.next_deadline()) is not None and due <= self._clock:
            window = self._dispatch.overdue(due)
            if window is not None:
                self._give_up(window, Reason.TIMEOUT)
            elif (overlap := self._unsettled()).grace_until is None:
                self._pass_on(overlap)
            else:
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
        self._cutter.push(self._samples(item), room=NO_ROOM)

    def _do_cut(self, item: Audio) -> None:
        overlap = self._overlap
        assert overlap is not None
        cut = self._cutter.push(self._samples(item), room=lambda: self._dispatch.room(overlap))
        if cut is not NO_WINDOWS:
            self._route(cut, overlap)

    def _samples(self, item: Audio) -> bytes:
        data, fmt = item.data, self._cutter.format
        if type(data) is not bytes or len(data) % fmt.frame_width:
            data, _ = read_frame(data, fmt)  # copies it, or says what is wrong
        self._format_is_open = False
        return data

    def _do_gap(self, item: Gap) -> None:
        self._cutter.gap(item.duration, room=NO_ROOM)

    def _do_cut_gap(self, item: Gap) -> None:
        overlap = self._unsettled()
        cut = self._cutter.gap(item.duration, room=lambda: self._dispatch.room(overlap))
        self._route(cut, overlap)

    def _do_skip(self, item: Skip) -> None:
        self._cutter.skip(item.samples)

    def _do_set_format(self, item: SetFormat) -> None:
        self._cutter.set_format(item.format)
        self._format_is_open = False

    # --- effects: sentinels -----------------------------------------------------------------

    def _do_begin_turn(self, item: AgentSpeechStarted) -> None:
        self._turn_overlaps = 0
        self._cutter.begin_turn()
        self.state = State.SPEAKING

    def _do_end_turn(self, item: AgentSpeechEnded) -> None:
        overlap = self._overlap
        if overlap is not None:
            if self.state is State.OPEN:
                overlap.end(self._now, cause=Reason.AGENT_ENDED)
            self._settle(overlap)
        self._cutter.end_turn()
        self.state = State.SILENT

    def _do_open_overlap(self, item: OverlapSpeechStarted) -> None:
        if self._overlap is not None:
            self._settle(self._overlap)
        self._overlaps += 1
        self._turn_overlaps += 1
        self._overlap = overlap = Overlap(
            id=self._overlaps,
            onset=self._now - (item.speech_duration if item.age is None else item.age),
            started_at=item.started_at,
            span=item.span,
        )
        self.state = State.OPEN
        self._cutter.begin_overlap(
            overlap.id,
            item.speech_duration,
            trim=self._turn_overlaps == 1 or self.options.reset_window_per_overlap,
        )
        if self.options.eager_first_window and self._cutter.has_audio:
            self._route(CutWindows((self._cutter.cut(),)), overlap)

    def _do_end_overlap(self, item: OverlapSpeechEnded) -> None:
        overlap = self._unsettled()
        overlap.unsent_since = None
        overlap.end(
            self._now - (item.age or 0.0),
            ended_at=item.ended_at,
            cause=Reason.AGENT_ENDED if item.agent_ended else None,
        )
        self._stop_cutting()
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
            overlap.unsent_since = None
            overlap.end(self._now, cause=Reason.INPUT_ENDED)
            self._stop_cutting()
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
        if window is not None and (overlap := self._overlap_of(window)) is not None:
            overlap.handed_over(window)
            self._mind_hand_over(overlap)

    def _do_answer(self, item: Reply) -> None:
        window = self._dispatch.take(item.window_id)
        if window is None:
            self._dispatch.count("late")
            return
        self._dispatch.count("answered")
        if window.judge is Judge.FALLBACK:
            self._dispatch.count("fallback")
        overlap = self._overlap_of(window)
        judged = overlap is None or self._judge(overlap, window, item)
        if judged and window.judge is Judge.PRIMARY:
            self._welcome_back()
        if overlap is None or overlap.answer is None or overlap.answer.window is not window:
            self._cutter.release(window)
        self._after_freed()

    def _do_fail(self, item: WindowFailed) -> None:
        for window in self._dispatch.windows():
            if window.id == item.window_id or (
                item.window_id is None and window.judge is item.judge and window.sent is not None
            ):
                self._give_up(window, item.reason)
        self._after_freed()

    def _do_ready(self, item: JudgeReady) -> None:
        self._dispatch.ready = True
        self._welcome_back()
        self._after_freed()

    def _do_unready(self, item: JudgeUnready) -> None:
        self._dispatch.ready = False
        self._dispatch.withdraw(Judge.PRIMARY)
        if item.lost:
            for window in self._dispatch.windows():
                if window.judge is Judge.PRIMARY:
                    self._give_up(window, Reason.CONNECTION)
        self._after_freed()

    def _pass_on(self, overlap: Overlap) -> None:
        """The primary judge takes nothing: who stands in for it gets the newest window."""
        overlap.on_fallback, overlap.unsent_since = True, None
        self._dispatch.withdraw(Judge.PRIMARY)

    def _do_settings(self, item: Settings) -> None:
        self._dispatch.settings = item


_HANDLERS: dict[str, Callable[[InterruptionMachine, Any], None]] = {
    effect: getattr(InterruptionMachine, f"_do_{effect}")
    for effect in EFFECTS
    if effect != "refuse"
}
"""What carries each effect out, looked up once."""
