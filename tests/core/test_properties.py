"""Properties: whatever comes in whatever order, one event for each overlap, and nothing leaks."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bargein.audio import AudioFormat
from bargein.core import (
    TABLE,
    AgentSpeechEnded,
    AgentSpeechStarted,
    CancelWindow,
    Close,
    EmitVerdict,
    EndOfInput,
    Finish,
    Flush,
    Gap,
    InterruptionMachine,
    InterruptionOptions,
    Judge,
    JudgeReady,
    JudgeSettings,
    JudgeUnready,
    Outcome,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    Prediction,
    Reason,
    Reply,
    SendWindow,
    SetFormat,
    Settings,
    State,
    Verdict,
    Window,
    WindowFailed,
    WindowSent,
)
from bargein.testing.sound import noise

LIMITS = {Judge.PRIMARY: 3, Judge.FALLBACK: 1}
DEADLINE = "deadline"
LOCAL = JudgeSettings(max_in_flight=LIMITS[Judge.FALLBACK], default_threshold=0.5)

seconds = st.sampled_from([0.0, 0.01, 0.1, 0.25, 0.7, 4.0])
ages = st.none() | st.floats(0.0, 100.0)
# Of the windows sent so far, one by its place from the newest; or an id that never was.
newest = st.integers(0, 6)
predictions = st.sampled_from([True, False, False, None])

happenings = st.one_of(
    st.tuples(st.just("audio"), seconds),
    st.tuples(st.just("audio"), seconds),
    st.tuples(st.just("sent"), newest),
    st.tuples(st.just("sent"), newest),
    st.tuples(st.just("reply"), newest, predictions),
    st.tuples(st.just("failed"), newest, st.sampled_from(["connection", "timeout", "error"])),
    st.just((DEADLINE,)),
    st.builds(
        lambda d, a: (OverlapSpeechStarted(speech_duration=d, age=a),), st.floats(0.0, 2.0), ages
    ),
    st.builds(lambda e, a: (OverlapSpeechEnded(agent_ended=e, age=a),), st.booleans(), ages),
    st.sampled_from(
        [
            (AgentSpeechStarted(),),
            (AgentSpeechStarted(),),
            (AgentSpeechEnded(),),
            (OverlapSpeechStarted(speech_duration=0.3),),
            (OverlapSpeechStarted(speech_duration=0.3),),
            (OverlapSpeechEnded(),),
            (Gap(0.1),),
            (Gap(3.0),),
            (Flush(),),
            (SetFormat(AudioFormat(8_000)),),
            (SetFormat(AudioFormat(44_100)),),
            (JudgeReady(),),
            (JudgeUnready(lost=True),),
            (JudgeUnready(lost=False),),
            (WindowFailed(None),),
            (WindowFailed(None, Reason.CONNECTION, Judge.FALLBACK),),
            (Settings(0.9, 4),),
        ]
    ),
)
steps = st.sampled_from([0.0, 0.0, 0.05, 0.2, 0.7, -0.3])
ENDINGS: list[list[Any]] = [[Close()], [EndOfInput(), Close()], [EndOfInput()]]


class Driven:
    """A machine, and all that can be seen of it from outside, checked at every step."""

    def __init__(
        self, machine: InterruptionMachine, max_in_flight: int = LIMITS[Judge.PRIMARY]
    ) -> None:
        self.machine = machine
        self.limits = LIMITS | {Judge.PRIMARY: max_in_flight}
        self.now = 100.0
        self.started: list[float] = []
        self.windows: dict[int, Window] = {}
        self.held: dict[int, Judge] = {}
        self.handed: dict[int, int] = {}
        self.verdicts: list[Verdict] = []
        self.finished = False

    def do(self, *happening: Any) -> None:
        if happening[0] == DEADLINE:
            self.deadline(self.machine.next_deadline())
            return
        item = self._input(*happening)
        machine = self.machine
        cell = TABLE[machine.state].get(type(item))
        if cell is not None and cell.effect == "open_overlap":
            age = item.speech_duration if item.age is None else item.age
            self.started.append(self.now - age)
        handed = isinstance(item, (WindowSent, Reply)) and item.window_id in self.held
        unsettled = len(self.started) - len(self.verdicts)
        if handed and unsettled and machine.state is not State.ENDED:
            overlap = self.windows[item.window_id].overlap
            if overlap == len(self.started):
                self.handed.setdefault(item.window_id, overlap)
        if isinstance(item, Reply) and machine.state is not State.ENDED:
            self.held.pop(item.window_id, None)
        self.see(machine.handle(item, now=self.now))

    def deadline(self, due: float | None) -> None:
        if due is not None:
            self.now = max(self.now, due)
        self.see(self.machine.handle_deadline(now=self.now))
        after = self.machine.next_deadline()
        assert after is None or due is None or after > due

    def _input(self, what: Any, *more: Any) -> Any:
        if what == "audio":
            samples = round(more[0] * self.machine.format.sample_rate)
            return noise(self.machine.position, samples).tobytes()
        if not isinstance(what, str):
            return what
        ids = sorted(self.windows, reverse=True)
        window_id = ids[more[0]] if more[0] < len(ids) else 10_000 + more[0]
        if what == "sent":
            return WindowSent(window_id)
        if what == "failed":
            return WindowFailed(window_id, Reason(more[1]))
        return Reply(window_id, Prediction([0.4, 0.4], more[1]))

    def see(self, actions: list[Any]) -> None:
        for action in actions:
            assert not self.finished
            if isinstance(action, SendWindow):
                window = action.window
                assert window.id > max(self.windows, default=0)
                assert window.overlap == len(self.started)
                self.windows[window.id] = window
                self.held[window.id] = action.judge
            elif isinstance(action, CancelWindow):
                assert self.held.pop(action.window_id) is action.judge
            elif isinstance(action, EmitVerdict):
                self._see_verdict(action.verdict)
            else:
                assert isinstance(action, Finish)
                self.finished = True
        self._look()

    def _see_verdict(self, verdict: Verdict) -> None:
        self.verdicts.append(verdict)
        assert verdict.overlap == len(self.verdicts)  # in order of start, none twice
        assert verdict.onset == self.started[verdict.overlap - 1]
        assert verdict.detection_delay >= 0.0
        assert verdict.total_duration >= 0.0
        handed = [w for w, overlap in self.handed.items() if overlap == verdict.overlap]
        assert verdict.num_requests == len(handed)
        if verdict.window_id is None:
            assert verdict.speech_input is None
            assert verdict.probabilities is None
        else:
            window = self.windows[verdict.window_id]
            assert window.overlap == verdict.overlap
            assert verdict.speech_input is not None
            np.testing.assert_array_equal(verdict.speech_input, window.samples)
            assert not verdict.speech_input.flags.writeable
        if verdict.outcome is Outcome.INCONCLUSIVE:
            assert verdict.reason not in (None, Reason.FAIL_OPEN, Reason.FAIL_CLOSED)
        else:
            assert verdict.reason in (None, Reason.FAIL_OPEN, Reason.FAIL_CLOSED)
            assert (verdict.reason is None) == (verdict.window_id is not None)

    def _look(self) -> None:
        machine = self.machine
        for judge, limit in self.limits.items():
            held = sum(holder is judge for holder in self.held.values())
            assert machine.in_flight(judge) == held <= limit
        open_overlaps = len(self.started) - len(self.verdicts)
        unsettled = machine.state in (State.OPEN, State.GRACE, State.DRAINING)
        assert open_overlaps == int(unsettled)
        assert (machine.state is State.ENDED) == self.finished
        live = machine._cutter._buffer.live
        waiting = machine._dispatch._waiting is not None
        mine = sum(self.windows[w].overlap == len(self.started) for w in self.held)
        overlap = machine._overlap
        answer = None if overlap is None else overlap.answer
        kept = answer is not None and answer.window is not None
        assert live == (mine + waiting + kept if unsettled else 0)


machines = st.builds(
    lambda fallback, ready, **options: InterruptionMachine(
        InterruptionOptions(max_in_flight=LIMITS[Judge.PRIMARY], **options),
        primary=JudgeSettings(default_threshold=0.4),
        fallback=fallback,
        ready=ready,
    ),
    fallback=st.sampled_from([None, LOCAL, Reason.FAIL_OPEN, Reason.FAIL_CLOSED]),
    ready=st.booleans(),
    threshold=st.sampled_from([None, 0.5]),
    verdict_grace=st.sampled_from([0.2, 0.0, 1.5]),
    eager_first_window=st.booleans(),
    prefix_before_agent=st.booleans(),
    max_audio_duration=st.sampled_from([3.0, 0.4]),
    audio_prefix_duration=st.just(0.3),
    inference_timeout=st.sampled_from([0.7, 0.001, 1e6]),
)


@given(
    machine=machines,
    happened=st.lists(st.tuples(steps, happenings), max_size=40),
    ending=st.sampled_from(ENDINGS),
)
def test_one_event_for_each_overlap_whatever_happens(
    machine: InterruptionMachine, happened: list[Any], ending: list[Any]
) -> None:
    driven = Driven(machine)
    driven.do(AgentSpeechStarted())
    for step, happening in happened:
        driven.now += step
        driven.do(*happening)
    for item in ending:
        driven.do(item)
    for _ in range(10):  # time alone brings it to its end: at most one deadline for each window
        if machine.next_deadline() is not None:
            driven.deadline(machine.next_deadline())
    assert machine.state is State.ENDED
    assert machine.next_deadline() is None
    assert len(driven.verdicts) == len(driven.started)
    assert machine.in_flight() == machine.in_flight(Judge.FALLBACK) == 0


@given(
    happened=st.lists(st.tuples(steps, happenings), max_size=25),
    late=st.sampled_from([0.0, 0.3, 5.0]),
)
def test_a_deadline_that_was_due_always_moves(happened: list[Any], late: float) -> None:
    driven = Driven(InterruptionMachine(InterruptionOptions(max_in_flight=3)))
    driven.do(AgentSpeechStarted())
    for step, happening in happened:
        driven.now += step
        driven.do(*happening)
        due = driven.machine.next_deadline()
        if due is not None and due <= driven.now + late:
            driven.now += late
            driven.deadline(due)
            after = driven.machine.next_deadline()
            assert after is None or after > driven.now


@given(
    answers=st.permutations([0, 1, 2, 3]),
    positive=st.sets(st.integers(0, 3), max_size=1),
    flood=st.integers(0, 6),
)
def test_what_decided_is_told_exactly_after_floods_of_audio(
    answers: list[int], positive: set[int], flood: int
) -> None:
    options = InterruptionOptions(max_in_flight=4, inference_timeout=0.05, max_audio_duration=1.0)
    driven = Driven(InterruptionMachine(options), max_in_flight=4)
    driven.do(AgentSpeechStarted())
    driven.do("audio", 1.3)
    driven.do(OverlapSpeechStarted())
    driven.do("audio", 0.4)
    for window in sorted(driven.windows):
        driven.do(WindowSent(window))
    driven.do("audio", 0.09)
    for _ in range(flood):
        driven.do("audio", 4.0)
    windows = sorted(driven.held)
    for place in answers:
        driven.do(Reply(windows[place], Prediction([], place in positive)))
    driven.do(OverlapSpeechEnded())
    [verdict] = driven.verdicts
    if positive:
        assert verdict.window_id == windows[next(iter(positive))]
    else:
        assert verdict.window_id == windows[3]
