"""The pipeline: sentinels fall where they fall, whatever the framing; and what a worker is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bargein.audio import AudioFormat
from bargein.core import (
    Action,
    AgentSpeechEnded,
    AgentSpeechStarted,
    Audio,
    EmitVerdict,
    EndOfInput,
    Gap,
    InterruptionMachine,
    InterruptionOptions,
    JudgeSettings,
    OverlapSpeechStarted,
    SendWindow,
    SetFormat,
    Skip,
    State,
    WindowSent,
)
from bargein.core.agent_voice import AgentVoice
from bargein.core.echo import EchoGate
from bargein.core.inputs import AgentAudio, VoiceActivity
from bargein.core.listener import Listener
from bargein.core.pipeline import Pipeline
from bargein.core.playout import Playout
from bargein.core.timeline import Timeline
from bargein.core.token_cache import TokenCache
from bargein.core.tracker import OverlapTracker
from bargein.errors import FrameError
from bargein.vad.track import CHUNK, Speech

RATE = 8000
FORMAT = AudioFormat(RATE)
LOUD = 8000


class Loudness:
    """A speech track whose chunks are speech where they are loud: no network, same grid."""

    def __init__(self) -> None:
        self._position: int | None = None
        self._tail = np.zeros(0, np.int16)
        self.jumps = 0

    def feed(self, position: int, samples: npt.NDArray[np.int16], gate: Any = None) -> Speech:
        if self._position != position:
            self.jumps += self._position is not None
            self._tail = np.zeros(position % CHUNK, np.int16)
        self._position = position + len(samples)
        joined = np.concatenate((self._tail, samples))
        whole = len(joined) // CHUNK * CHUNK
        self._tail = joined[whole:]
        first = (self._position - len(joined)) // CHUNK
        chunks = np.abs(joined[:whole].reshape(-1, CHUNK).astype(np.float64)).mean(axis=1)
        return Speech(first, (chunks > LOUD / 4).astype(np.float32))

    def read(self, start: int, end: int) -> Speech:
        return Speech(start // CHUNK, np.zeros(0, np.float32))


def build(vad: bool = True, **keywords: Any) -> tuple[Pipeline, Any]:
    track: Any = Loudness() if vad else None
    machine = InterruptionMachine(
        InterruptionOptions(threshold=0.5),
        format=FORMAT,
        primary=JudgeSettings(max_in_flight=1000),
        speech=track,
    )
    return Pipeline(machine, tracker=OverlapTracker(), speech=track, **keywords), track


def tone(seconds: float, level: int = LOUD) -> npt.NDArray[np.int16]:
    times = np.arange(round(seconds * RATE))
    return (level * np.sign(np.sin(times * 0.7))).astype(np.int16)


def silence(seconds: float) -> npt.NDArray[np.int16]:
    return np.zeros(round(seconds * RATE), np.int16)


def play(
    pipeline: Pipeline, samples: npt.NDArray[np.int16], sizes: list[int], at: float = 0.0
) -> list[Action]:
    actions: list[Action] = []
    begin, turn = 0, 0
    while begin < len(samples):
        piece = samples[begin : begin + sizes[turn % len(sizes)]]
        begin, turn = begin + len(piece), turn + 1
        now = at + begin / RATE
        for action in pipeline.handle(Audio(piece.tobytes()), now=now):
            actions.append(action)
            if isinstance(action, SendWindow):
                pipeline.machine.handle(WindowSent(action.window.id), now=now)
    return actions


def windows(actions: list[Action]) -> list[tuple[int | None, int | None, bytes]]:
    return [
        (a.window.start, a.window.speech_start, a.window.samples.tobytes())
        for a in actions
        if isinstance(a, SendWindow)
    ]


CALL = np.concatenate((silence(0.5), tone(0.8), silence(0.7), tone(0.5), silence(0.6)))


@settings(max_examples=25)
@given(st.lists(st.integers(60, 3000), min_size=1, max_size=6))
def test_framing_never_changes_what_is_cut(sizes: list[int]) -> None:
    results = []
    for framing in (sizes, [len(CALL)]):
        pipeline, _ = build()
        pipeline.handle(AgentSpeechStarted(), now=0.0)
        results.append(windows(play(pipeline, CALL, framing)))
    assert results[0] == results[1] != []


def test_the_vad_opens_and_ends_overlaps() -> None:
    pipeline, _ = build()
    pipeline.handle(AgentSpeechStarted(), now=0.0)
    actions = play(pipeline, CALL, [160])
    actions += pipeline.handle(AgentSpeechEnded(), now=5.0)
    verdicts = [a.verdict for a in actions if isinstance(a, EmitVerdict)]

    assert [round(v.onset, 1) for v in verdicts] == [0.5, 2.0]
    assert [round(v.detected, 1) for v in verdicts] == [1.3, 2.5]


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000])
def test_onset_and_end_are_the_chunks_whatever_the_rate(rate: int) -> None:
    """The converter looks ahead at other rates than 16 kHz: it is told later, of the same time."""
    chunk = CHUNK / 16_000
    track: Any = Loudness()
    machine = InterruptionMachine(
        InterruptionOptions(threshold=0.5),
        format=AudioFormat(rate),
        primary=JudgeSettings(max_in_flight=1000),
        speech=track,
    )
    pipeline = Pipeline(machine, tracker=OverlapTracker(), speech=track)
    pipeline.handle(AgentSpeechStarted(), now=0.0)
    level = [silence, tone, silence]
    actions: list[Action] = []
    now = 0.0
    for sound, chunks in zip(level, (10, 20, 20), strict=True):
        samples = np.resize(sound(1.0), round((now + chunks * chunk) * rate) - round(now * rate))
        now += chunks * chunk
        actions += pipeline.handle(Audio(samples.tobytes()), now=now)
    (verdict,) = [a.verdict for a in actions if isinstance(a, EmitVerdict)]

    assert verdict.onset == pytest.approx(10 * chunk, abs=1e-4)
    assert verdict.detected == pytest.approx(30 * chunk, abs=1e-4)


def test_what_a_gap_ends_it_ended_where_its_silence_began() -> None:
    pipeline, _ = build()
    pipeline.handle(AgentSpeechStarted(), now=0.0)
    actions = play(pipeline, np.concatenate((silence(0.32), tone(0.64))), [160])
    actions += pipeline.handle(Gap(0.2), now=1.16)
    actions += pipeline.handle(Gap(0.2), now=1.36)
    actions += pipeline.handle(AgentSpeechEnded(), now=1.4)
    (verdict,) = [a.verdict for a in actions if isinstance(a, EmitVerdict)]

    assert verdict.detected == pytest.approx(0.96, abs=1e-3)


def test_speech_from_before_the_agent_is_known_when_it_starts() -> None:
    pipeline, _ = build()
    play(pipeline, np.concatenate((silence(2.0), tone(0.5))), [160])
    pipeline.handle(AgentSpeechStarted(), now=2.5)

    assert pipeline.machine.state is State.OPEN


def test_an_agent_that_resumes_at_once_costs_the_vad_nothing() -> None:
    pipeline, track = build()
    pipeline.handle(AgentSpeechStarted(), now=0.0)
    play(pipeline, silence(1.0), [160])
    pipeline.handle(AgentSpeechEnded(), now=1.0)
    play(pipeline, silence(0.5), [160], at=1.0)
    pipeline.handle(AgentSpeechStarted(), now=1.5)
    assert track.jumps == 0

    pipeline.handle(AgentSpeechEnded(), now=1.5)
    play(pipeline, silence(3.0), [160], at=1.5)
    pipeline.handle(AgentSpeechStarted(), now=4.5)
    play(pipeline, silence(0.1), [160], at=4.5)
    assert track.jumps == 1


def test_the_users_voice_activity_opens_overlaps() -> None:
    pipeline, _ = build(vad=False)
    pipeline.handle(AgentSpeechStarted(), now=0.0)
    for i in range(10):
        play(pipeline, silence(0.03), [240], at=0.03 * i)
        pipeline.handle(VoiceActivity(0.9), now=0.03 * (i + 1))

    assert pipeline.machine.state is State.OPEN
    pipeline.handle(AgentSpeechEnded(), now=0.4)
    assert pipeline.machine.state is State.SILENT


def test_without_a_tracker_sentinels_go_straight_on() -> None:
    pipeline = Pipeline(InterruptionMachine(format=FORMAT))
    assert pipeline.handle(VoiceActivity(0.9), now=0.0) == []
    pipeline.handle(AgentSpeechStarted(), now=0.0)
    pipeline.handle(silence(0.1), now=0.1)
    pipeline.handle(OverlapSpeechStarted(), now=0.1)
    assert pipeline.machine.state is State.OPEN
    pipeline.handle(AgentSpeechEnded(), now=0.2)
    assert pipeline.machine.state is State.SILENT
    pipeline.handle(EndOfInput(), now=0.3)
    assert pipeline.machine.state is State.ENDED


def test_short_gaps_are_heard_as_silence_and_long_ones_lose_track() -> None:
    pipeline, track = build()
    pipeline.handle(AgentSpeechStarted(), now=0.0)
    play(pipeline, tone(0.5), [160])
    assert pipeline.machine.state is State.OPEN
    pipeline.handle(Gap(0.2), now=0.7)
    pipeline.handle(Gap(0.2), now=0.9)
    assert pipeline.machine.state is not State.OPEN
    assert track.jumps == 0
    pipeline.handle(Gap(0.5), now=1.4)
    play(pipeline, silence(0.2), [160], at=1.4)
    assert track.jumps == 1


def test_skips_and_formats_keep_positions() -> None:
    pipeline, _ = build()
    plain = Pipeline(InterruptionMachine(format=FORMAT))
    for each in (pipeline, plain):
        each.handle(Skip(800), now=0.1)
        assert each.machine.position == 800
        each.handle(SetFormat(AudioFormat(16_000)), now=0.1)
        each.handle(AgentSpeechStarted(), now=0.1)
        each.handle(np.zeros(1600, np.int16), now=0.2)
        assert each.machine.position == 1600


# --- the agent's own audio ------------------------------------------------------------------


def agent(samples: npt.NDArray[np.int16]) -> AgentAudio:
    return AgentAudio(samples.tobytes(), FORMAT)


def both(
    pipeline: Pipeline,
    caller: npt.NDArray[np.int16],
    voice: npt.NDArray[np.int16],
    at: float = 0.0,
    step: int = 160,
) -> list[State]:
    states = []
    for begin in range(0, len(caller), step):
        now = at + (begin + step) / RATE
        if begin < len(voice):
            pipeline.handle(agent(voice[begin : begin + step]), now=now)
        pipeline.handle(Audio(caller[begin : begin + step].tobytes()), now=now)
        states.append(pipeline.machine.state)
    return states


@pytest.mark.parametrize("step", [80, 160, 400])
def test_the_agents_audio_tells_when_it_speaks(step: int) -> None:
    pipeline, _ = build(playout=Playout(), gate=EchoGate())
    states = both(pipeline, silence(3.0), tone(1.0), step=step)

    spoken = [i * step / RATE for i, state in enumerate(states) if state is State.SPEAKING]
    assert spoken[0] < 0.2
    # It ended at 1.0 s: half a second of silence says so, and a fifth more that no audio came.
    assert spoken[-1] == pytest.approx(1.7, abs=0.15)


def test_the_agents_end_is_looked_for_while_it_speaks() -> None:
    pipeline, _ = build(vad=False, playout=Playout())
    both(pipeline, silence(0.5), tone(0.5))

    assert pipeline.machine.state is State.SPEAKING
    assert pipeline.attention().wake_after == RATE // 10
    assert pipeline.samples_to_sentinel() is None


def test_agent_audio_may_run_ahead() -> None:
    pipeline, _ = build(playout=Playout())
    voice = np.concatenate((silence(1.0), tone(1.0)))
    pipeline.handle(agent(voice), now=0.0)

    ahead = pipeline.samples_to_sentinel()
    assert ahead is not None
    assert ahead == pytest.approx(RATE * 1.03, abs=200)
    assert pipeline.attention().wake_after == RATE // 10
    play(pipeline, silence(1.5), [160])
    assert pipeline.machine.state is State.SPEAKING


def test_the_users_word_wins_over_the_agents_audio() -> None:
    pipeline, _ = build(playout=Playout())
    pipeline.handle(agent(tone(0.3)), now=0.0)
    pipeline.handle(AgentSpeechEnded(), now=0.0)
    play(pipeline, silence(0.5), [160])
    assert pipeline.machine.state is State.SILENT

    pipeline.handle(AgentSpeechStarted(), now=0.5)
    both(pipeline, silence(2.0), tone(0.1), at=0.5)
    assert pipeline.machine.state is State.SPEAKING


def test_the_agents_audio_begins_anew_after_a_pause_or_at_another_rate() -> None:
    heard: list[tuple[int, int]] = []
    voice = AgentVoice(None, lambda samples, position: heard.append((position, len(samples))))
    voice.hear(AgentAudio(bytes(640), AudioFormat(16_000)), 0)
    voice.hear(AgentAudio(bytes(640), AudioFormat(16_000)), 100)
    voice.hear(AgentAudio(bytes(640), AudioFormat(16_000)), 16_000)
    voice.hear(AgentAudio(bytes(1920), AudioFormat(48_000)), 16_100)

    assert [position for position, _ in heard] == [0, 320, 16_000, 16_100]
    assert AgentVoice(None, None).hear(agent(tone(0.1)), 0) == []


# --- what a worker is told ------------------------------------------------------------------


def test_attention_follows_the_call() -> None:
    pipeline, _ = build(vad=False)
    silent = pipeline.attention()
    assert (silent.wake_after, silent.keep, silent.crossing) == (None, RATE // 4, 0.5)
    assert silent.above is False

    pipeline.handle(AgentSpeechStarted(), now=0.0)
    speaking = pipeline.attention()
    assert (speaking.wake_after, speaking.keep) == (None, round(3.25 * RATE))

    play(pipeline, silence(0.03), [240])
    pipeline.handle(VoiceActivity(0.9), now=0.03)
    assert pipeline.attention().crossing is None  # it began, and is too short yet

    pipeline.handle(OverlapSpeechStarted(), now=0.03)
    overlap = pipeline.attention()
    assert (overlap.wake_after, overlap.keep) == (RATE // 10, None)


def test_attention_with_a_vad_of_our_own() -> None:
    pipeline, _ = build()
    assert pipeline.attention().keep == round(1.25 * RATE)
    pipeline.handle(AgentSpeechStarted(), now=0.0)
    assert pipeline.attention().wake_after == 3 * CHUNK // 2
    pipeline.handle(OverlapSpeechStarted(), now=0.0)
    assert pipeline.attention().wake_after == 3 * CHUNK // 2


@pytest.mark.parametrize(("heard", "missing"), [(1, 2), (2, 1)])
def test_a_worker_looks_again_as_soon_as_an_overlap_can_have_begun(
    heard: int, missing: int
) -> None:
    pipeline, _ = build()
    pipeline.handle(AgentSpeechStarted(), now=0.0)
    chunk, ahead = CHUNK // 2, RATE * 4 // 1000  # at 8 kHz; a chunk is judged 4 ms after its end
    play(pipeline, silence(0.064), [2 * chunk])
    play(pipeline, tone(1.0)[: heard * chunk + ahead], [heard * chunk + ahead])
    assert pipeline.attention().wake_after == missing * chunk
    play(pipeline, tone(1.0)[: missing * chunk], [missing * chunk])
    assert pipeline.machine.state is State.OPEN
    assert pipeline.attention().wake_after == 3 * chunk


def test_a_pipeline_without_a_tracker_has_no_crossing() -> None:
    assert Pipeline(InterruptionMachine(format=FORMAT)).attention().crossing is None


# --- small parts ----------------------------------------------------------------------------


@given(st.integers(8000, 192_000), st.integers(0, 10**7))
def test_a_timelines_grid_and_positions_agree(rate: int, index: int) -> None:
    timeline = Timeline(AudioFormat(44_100))
    timeline.position = 12_345
    timeline.set_format(AudioFormat(rate))
    index += timeline.base
    position = timeline.position_of(index)

    assert timeline.grid(position) >= index
    assert position == 0 or timeline.grid(position - 1) < index


def test_a_listener_that_listens_already_goes_on() -> None:
    listener = Listener(Loudness(), Timeline(AudioFormat(16_000)), None)  # type: ignore[arg-type]
    listener.start()
    assert len(listener.start()) == 0


def test_tokens_are_renewed_in_time_and_after_a_step_back() -> None:
    cache = TokenCache(lambda now: f"from {now:g}", lifetime=600)
    times = [1000.0, 1539.0, 1540.0, 1000.0]
    assert [cache.token(now=now) for now in times] == [
        "from 1000",
        "from 1000",
        "from 1540",
        "from 1000",
    ]


@pytest.mark.parametrize("vad", [True, False])
def test_audio_of_no_length_and_a_gap_without_anybody_who_listens(vad: bool) -> None:
    pipeline, _ = build(vad)
    pipeline.handle(AgentSpeechStarted(), now=0.0)
    assert pipeline.handle(Audio(b""), now=0.0) == []
    assert pipeline.handle(Gap(0.1), now=0.1) == []
    assert pipeline.machine.position == 800


def test_samples_that_are_no_bytes_are_copied_and_looked_at() -> None:
    machine = InterruptionMachine(format=FORMAT)
    machine.handle(Audio(bytearray(16)), now=0.0)  # type: ignore[arg-type]
    assert machine.position == 8
    with pytest.raises(FrameError):
        machine.handle(Audio(b"abc"), now=0.0)
    assert machine.position == 8
