"""The overlap tracker: transcripts of what goes in and what falls, then properties."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.core.inputs import (
    AgentSpeechEnded,
    AgentSpeechStarted,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
)
from bargein.core.tracker import (
    MAX_HOP,
    Crossing,
    Fallen,
    OverlapTracker,
    TrackerOptions,
)
from bargein.errors import OptionError

HOP = 160
"""Samples: 10 ms, so that transcripts read in round numbers."""

SPEECH, UNSURE, SILENCE = 0.9, 0.4, 0.1


class Call:
    """Feeds a tracker as a call would, and writes down what falls, in ms of audio."""

    def __init__(self, options: TrackerOptions | None = None, hop: int = HOP) -> None:
        self.tracker = OverlapTracker(options)
        self.position = 0
        self.hop = hop
        self.lines: list[str] = []

    def audio(self, milliseconds: int, probability: float) -> Call:
        end = self.position + 16 * milliseconds
        while self.position < end:
            begin, self.position = self.position, min(end, self.position + self.hop)
            self._note(self.tracker.voice_activity(probability, self.position, begin))
        return self

    def speech(self, milliseconds: int) -> Call:
        return self.audio(milliseconds, SPEECH)

    def silence(self, milliseconds: int) -> Call:
        return self.audio(milliseconds, SILENCE)

    def unsure(self, milliseconds: int) -> Call:
        return self.audio(milliseconds, UNSURE)

    def hole(self, milliseconds: int) -> Call:
        """Audio of which no probability speaks."""
        self.position += 16 * milliseconds
        return self

    def agent_on(self) -> Call:
        self._note(self.tracker.agent_started(self.position))
        return self

    def agent_off(self) -> Call:
        self._note(self.tracker.agent_ended(self.position))
        return self

    def _note(self, fallen: list[Fallen]) -> None:
        for each in fallen:
            self.lines.append(f"{each.position / 16:.0f} {_name(each)}")


def _name(fallen: Fallen) -> str:
    sentinel = fallen.sentinel
    if isinstance(sentinel, AgentSpeechStarted):
        return "agent started"
    if isinstance(sentinel, AgentSpeechEnded):
        return "agent ended"
    if isinstance(sentinel, OverlapSpeechStarted):
        assert sentinel.age == sentinel.speech_duration
        assert sentinel.started_at is None
        return f"overlap started after {1000 * sentinel.speech_duration:.0f} ms of speech"
    assert sentinel.age is not None
    assert sentinel.ended_at is None
    by = "with the agent" if sentinel.agent_ended else f"{1000 * sentinel.age:.0f} ms ago"
    return f"overlap ended {by}"


def on() -> Call:
    """A call in which the agent speaks since 1 s."""
    call = Call().silence(1000).agent_on()
    call.lines.clear()
    return call


# --- transcripts ----------------------------------------------------------------------------

TRANSCRIPTS: dict[str, tuple[Callable[[], Call], list[str]]] = {
    "an overlap reaches back to its onset, and ends where speech ceased": (
        lambda: on().silence(500).speech(700).silence(400),
        [
            "1590 overlap started after 90 ms of speech",
            "2500 overlap ended 300 ms ago",
        ],
    ),
    "a click is no speech": (lambda: on().speech(80).silence(500), []),
    "nor are knocks, a tenth of a second apart": (
        lambda: on().speech(60).silence(100).speech(60).silence(100).speech(60).silence(400),
        [],
    ),
    "a dip in its first moments is bridged, and counts for the onset": (
        lambda: on().speech(50).silence(80).speech(200),
        ["1170 overlap started after 170 ms of speech"],
    ),
    "the sag of a word is speech, but speech doesn't begin with it": (
        lambda: on().unsure(500).speech(100).unsure(500).silence(300),
        [
            "1590 overlap started after 90 ms of speech",
            "2400 overlap ended 300 ms ago",
        ],
    ),
    "after a pause it takes the higher threshold to go on": (
        lambda: on().speech(200).silence(100).unsure(200).speech(100),
        [
            "1090 overlap started after 90 ms of speech",
            "1500 overlap ended 300 ms ago",
            "1590 overlap started after 90 ms of speech",
        ],
    ),
    "pauses below 0.3 s don't end it": (
        lambda: on().speech(200).silence(290).speech(50).silence(290).speech(50).silence(290),
        ["1090 overlap started after 90 ms of speech"],
    ),
    "who goes on talks in one overlap": (
        lambda: on().speech(5000),
        ["1090 overlap started after 90 ms of speech"],
    ),
    "the agent's end comes with the overlap's, and the caller's own end is no event": (
        lambda: on().speech(500).agent_off().speech(300).silence(500),
        [
            "1090 overlap started after 90 ms of speech",
            "1500 overlap ended with the agent",
            "1500 agent ended",
        ],
    ),
    "so it is where the caller has just fallen silent": (
        lambda: on().speech(500).silence(200).agent_off().silence(500),
        [
            "1090 overlap started after 90 ms of speech",
            "1700 overlap ended with the agent",
            "1700 agent ended",
        ],
    ),
    "the agent's end with no overlap is alone": (
        lambda: on().speech(50).agent_off().speech(500),
        ["1050 agent ended"],
    ),
    "whoever talks when the agent starts talks over its start, once": (
        lambda: Call().speech(1000).agent_on().speech(1000).silence(300),
        [
            "1000 agent started",
            "1000 overlap started after 0 ms of speech",
            "2300 overlap ended 300 ms ago",
        ],
    ),
    "likewise when it resumes": (
        lambda: on().speech(500).agent_off().speech(200).agent_on().speech(200).agent_off(),
        [
            "1090 overlap started after 90 ms of speech",
            "1500 overlap ended with the agent",
            "1500 agent ended",
            "1700 agent started",
            "1700 overlap started after 0 ms of speech",
            "1900 overlap ended with the agent",
            "1900 agent ended",
        ],
    ),
    "an onset just before the agent's start counts from the agent on": (
        lambda: Call().silence(950).speech(50).agent_on().speech(500),
        [
            "1000 agent started",
            "1040 overlap started after 40 ms of speech",
        ],
    ),
    "who has just handed over the turn doesn't talk over the agent": (
        lambda: Call().speech(1000).silence(200).agent_on().silence(1000),
        ["1200 agent started"],
    ),
    "but does if they go on": (
        lambda: Call().speech(1000).silence(100).agent_on().silence(50).speech(300),
        [
            "1100 agent started",
            "1240 overlap started after 90 ms of speech",
        ],
    ),
    "a caller who talks to nobody opens nothing": (
        lambda: Call().speech(1000).silence(1000).speech(1000),
        [],
    ),
    "the agent starts and ends once": (
        lambda: Call().agent_off().agent_on().speech(500).agent_on().agent_off().agent_off(),
        [
            "0 agent started",
            "90 overlap started after 90 ms of speech",
            "500 overlap ended with the agent",
            "500 agent ended",
        ],
    ),
    "two overlaps in one turn": (
        lambda: on().speech(300).silence(300).speech(300).silence(300),
        [
            "1090 overlap started after 90 ms of speech",
            "1600 overlap ended 300 ms ago",
            "1690 overlap started after 90 ms of speech",
            "2200 overlap ended 300 ms ago",
        ],
    ),
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    play, expected = TRANSCRIPTS[name]
    assert play().lines == expected


def test_positions_of_a_vad_of_32_ms() -> None:
    call = Call(hop=512)
    call.agent_on().silence(320).speech(960).silence(640)
    assert call.lines == [
        "0 agent started",
        "416 overlap started after 96 ms of speech",
        "1600 overlap ended 320 ms ago",
    ]


# --- what a probability speaks for ----------------------------------------------------------


def test_a_probability_speaks_for_at_most_200_ms() -> None:
    tracker = OverlapTracker(TrackerOptions(min_speech=0.3))
    tracker.agent_started(0)
    assert tracker.voice_activity(SPEECH, 16_000) == []  # a second, of which 0.2 s count
    assert tracker.next_position == 16_000 + 1_600
    assert tracker.voice_activity(SPEECH, 17_600) == [
        Fallen(17_600, OverlapSpeechStarted(speech_duration=0.3, age=0.3))
    ]


def test_a_start_narrows_what_a_probability_speaks_for() -> None:
    tracker = OverlapTracker()
    tracker.agent_started(0)
    (fallen,) = tracker.voice_activity(SPEECH, 3_000, start=1_000)
    assert fallen.sentinel == OverlapSpeechStarted(speech_duration=0.125, age=0.125)


def test_nothing_advances_without_audio() -> None:
    call = on().speech(500).silence(290)
    before = list(call.lines)
    for _ in range(1_000):
        assert call.tracker.voice_activity(SILENCE, call.position) == []
        assert call.tracker.voice_activity(SPEECH, call.position - 1) == []
    assert call.tracker.active
    assert call.silence(10).lines == [*before, "1800 overlap ended 300 ms ago"]


def test_a_hole_is_neither_speech_nor_silence_to_an_open_overlap() -> None:
    call = on().speech(500).silence(200).hole(5_000).silence(90)
    assert call.lines == ["1090 overlap started after 90 ms of speech"]
    # It ended where speech ceased, which is before the hole.
    assert call.silence(10).lines[1:] == ["6800 overlap ended 5300 ms ago"]


def test_a_hole_before_an_overlap_forgets_what_was_heard() -> None:
    assert on().speech(80).hole(500).speech(80).lines == []
    assert Call().speech(800).hole(500).agent_on().speech(80).lines == ["1300 agent started"]


def test_positions_never_fall_back() -> None:
    tracker = OverlapTracker()
    tracker.voice_activity(SPEECH, 1_600)
    assert tracker.agent_started(1_000) == [
        Fallen(1_600, AgentSpeechStarted()),
        Fallen(1_600, OverlapSpeechStarted(speech_duration=0.0, age=0.0)),
    ]
    assert tracker.agent_ended(500) == [
        Fallen(1_600, OverlapSpeechEnded(agent_ended=True, age=0.0)),
        Fallen(1_600, AgentSpeechEnded()),
    ]
    assert tracker.position == 1_600


def test_a_probability_may_come_after_a_later_sentinel() -> None:
    """A chunk's probability is known when its last sample is: the agent may have started since."""
    tracker = OverlapTracker()
    tracker.agent_started(2_000)
    (fallen,) = tracker.voice_activity(SPEECH, 1_800)
    # All of the speech lies before the agent, so none of it is over the agent.
    assert fallen == Fallen(2_000, OverlapSpeechStarted(speech_duration=0.0, age=0.0))


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan"), float("inf")])
def test_an_impossible_probability_is_refused(probability: float) -> None:
    tracker = OverlapTracker()
    with pytest.raises(OptionError, match=f"came as {probability!r}; expected a probability"):
        tracker.voice_activity(probability, 160)
    assert tracker.position == 0


# --- what a live stream looks out for -------------------------------------------------------


def test_state_is_told() -> None:
    call = Call()
    tracker = call.tracker
    told = [(tracker.agent_speaking, tracker.caller_talking, tracker.active)]
    for step in (call.agent_on, lambda: call.speech(90), call.agent_off, lambda: call.silence(300)):
        step()
        told.append((tracker.agent_speaking, tracker.caller_talking, tracker.active))
    assert told == [
        (False, False, False),
        (True, False, False),
        (True, True, True),
        (False, True, False),
        (False, False, False),
    ]


def test_next_crossing_and_position() -> None:
    call = on()
    tracker = call.tracker
    rising, falling = Crossing(0.5, rising=True), Crossing(0.35, rising=False)
    assert (tracker.next_crossing, tracker.next_position) == (rising, None)
    call.speech(40)
    assert (tracker.next_crossing, tracker.next_position) == (falling, 16 * 1_090)
    call.silence(20)
    assert (tracker.next_crossing, tracker.next_position) == (rising, None)
    call.speech(300)
    assert (tracker.next_crossing, tracker.next_position) == (falling, None)
    call.silence(100)
    assert (tracker.next_crossing, tracker.next_position) == (rising, 16 * 1_660)


@pytest.mark.parametrize(
    ("probability", "rising", "falling"),
    [(0.5, True, False), (0.499, False, True), (0.0, False, True), (1.0, True, False)],
)
def test_crossed_by(probability: float, rising: bool, falling: bool) -> None:
    assert Crossing(0.5, rising=True).crossed_by(probability) is rising
    assert Crossing(0.5, rising=False).crossed_by(probability) is falling


# --- options --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(TrackerOptions)])
@pytest.mark.parametrize("value", [-0.1, 100, float("nan"), "0.1", True])
def test_an_option_out_of_range_is_refused(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"{name} came as {value!r}; expected"):
        TrackerOptions(**{name: value})  # type: ignore[arg-type]


def test_thresholds_may_not_be_swapped() -> None:
    with pytest.raises(OptionError, match=r"deactivation came as 0\.6; expected at most activ"):
        TrackerOptions(deactivation=0.6)
    assert TrackerOptions(deactivation=0.5).activation == 0.5


# --- properties -----------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.integers(1, MAX_HOP), st.sampled_from([SPEECH, UNSURE, SILENCE])),
        st.sampled_from(["on", "off"]),
    ),
    max_size=60,
)
Steps = list[tuple[int, float] | str]


def run(steps: Steps, hop: int | None = None) -> list[Fallen]:
    tracker = OverlapTracker()
    fallen: list[Fallen] = []
    position = 0
    for step in steps:
        if isinstance(step, str):
            agent = tracker.agent_started if step == "on" else tracker.agent_ended
            fallen += agent(position)
            continue
        length, probability = step
        end = position + length
        while position < end:
            position = min(end, position + (hop or length))
            crossing, due, before = tracker.next_crossing, tracker.next_position, tracker.active
            found = tracker.voice_activity(probability, position)
            # What a live stream relies on to leave its worker asleep.
            if not crossing.crossed_by(probability) and (due is None or position < due):
                assert found == []
                assert tracker.active is before
            fallen += found
    return fallen


@given(STEPS)
def test_sentinels_alternate_and_never_go_back(steps: Steps) -> None:
    agent = overlap = False
    newest = ended = 0
    for fallen in run(steps):
        sentinel = fallen.sentinel
        assert fallen.position >= newest
        newest = fallen.position
        if isinstance(sentinel, AgentSpeechStarted):
            assert not agent
            agent = True
        elif isinstance(sentinel, AgentSpeechEnded):
            assert agent
            assert not overlap, "the overlap ends first"
            agent = False
        elif isinstance(sentinel, OverlapSpeechStarted):
            assert agent
            assert not overlap
            overlap = True
            onset = fallen.position - round(sentinel.speech_duration * 16_000)
            assert onset >= ended, "overlaps don't share speech"
        else:
            assert agent
            assert overlap
            overlap = False
            assert sentinel.age is not None
            ended = fallen.position - round(sentinel.age * 16_000)


@given(STEPS, st.integers(1, MAX_HOP))
def test_the_hop_changes_no_more_than_when_it_is_known(steps: Steps, hop: int) -> None:
    whole, split = run(steps), run(steps, hop)
    assert [_kind(each) for each in split] == [_kind(each) for each in whole]
    for early, late in zip(split, whole, strict=True):
        assert 0 <= late.position - early.position < MAX_HOP
        assert _truth(early) == pytest.approx(_truth(late), abs=1e-6)


def _kind(fallen: Fallen) -> tuple[type, bool]:
    sentinel = fallen.sentinel
    return type(sentinel), isinstance(sentinel, OverlapSpeechEnded) and sentinel.agent_ended


def _truth(fallen: Fallen) -> float:
    """Where in the audio what the sentinel tells of happened, in samples."""
    age = getattr(fallen.sentinel, "age", None) or 0.0
    return fallen.position - 16_000 * age
