"""A call, with the clock in the test's hands: 8 kHz u-law, 160 bytes are 20 ms."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bargein import AdaptiveInterruptionDetector, APIConnectOptions
from bargein.audio import AudioFormat, decode, encode_mulaw, open_recording
from bargein.core import InterruptionDetectionError
from bargein.core.verdicts import Outcome, Reason
from bargein.errors import FrameError, OptionError, StateError, StreamEnded
from bargein.telephony.call import Call, CallEvent
from bargein.telephony.policy import BargeInPolicy
from bargein.telephony.prompt import LineEncoder, Part, Prompt
from tests.telephony.fakes import ULAW, Clock, FakeDetector, FakeLine, FakeStream, FakeTicker

SILENCE = b"\xff" * 160
EXAMPLE = Path(__file__).parents[2] / "examples" / "call" / "call.flac"


def tone(seconds: float, rate: int = 8000) -> bytes:
    n = np.arange(round(seconds * rate))
    return encode_mulaw((8000 * np.sin(n * n / 9000.0)).astype(np.int16))


class Rig:
    """A call and all that it touches, moved on by 20 ms at a time."""

    def __init__(self, *, peer: bool = False, line: FakeLine | None = None, **options: Any) -> None:
        self.clock = Clock()
        self.line = line or FakeLine(peer=peer)
        self.detector = FakeDetector()
        self.ticker = FakeTicker()
        self.call = Call(
            self.line,
            self.detector,  # type: ignore[arg-type]
            ticker=self.ticker,  # type: ignore[arg-type]
            clock=self.clock,
            **options,
        )
        assert self.detector.opened is not None
        self.stream: FakeStream = self.detector.opened

    def run(self, seconds: float, audio: bytes | None = SILENCE) -> None:
        """Let time pass, with audio of the caller's or (``None``) in a hold."""
        for _ in range(round(seconds / 0.02)):
            self.call.tick()
            if audio is not None:
                self.call.on_audio(audio)
            self.clock.now += 0.02
        self.call.tick()

    def events(self) -> list[CallEvent]:
        found = []
        while True:
            try:
                found.append(self.call.recv(0))
            except (TimeoutError, StreamEnded):
                return found

    def kinds(self) -> str:
        return " ".join(event.kind for event in self.events())


def test_a_prompt_is_heard_to_its_end() -> None:
    rig, sound = Rig(), tone(1.0)
    prompt = rig.call.play(sound, text="Good morning")
    assert prompt.state == "queued"
    rig.run(0.5)
    assert prompt.state == "playing"
    assert prompt.heard_up_to == 500
    assert rig.stream.log == ["agent started"]
    assert rig.call.tick()

    rig.run(0.5)
    assert prompt.state == "heard"
    assert prompt.wait(0)
    assert (prompt.heard_up_to, prompt.duration, prompt.heard_text) == (1000, 1000, "Good morning")
    assert rig.line.audio == sound
    assert rig.stream.log == ["agent started", "agent ended"]
    assert rig.kinds() == "agent_started prompt_ended agent_ended"
    assert not rig.call.tick()


def test_the_agent_ends_when_the_caller_has_heard_it_not_when_it_was_written() -> None:
    rig = Rig(peer=True)
    rig.call.play(tone(0.5))
    rig.run(0.4)
    assert len(rig.line.audio) == 4000
    assert rig.stream.log == ["agent started"]
    rig.run(0.3)
    assert rig.stream.log == ["agent started"]  # its last mark isn't back

    for entry in rig.line.log:
        rig.call.on_mark(entry.removeprefix("mark "), False)
    rig.run(0.02)
    assert rig.stream.log == ["agent started", "agent ended"]


def test_an_interruption_stops_the_prompt_and_tells_how_much_was_heard() -> None:
    rig = Rig()
    prompt = rig.call.play(Part(tone(0.5), "One moment,"), Part(tone(3.0), "please hold the line."))
    later = rig.call.play(tone(1.0))
    rig.run(0.7)
    rig.stream.overlap()
    rig.run(0.3)
    rig.stream.verdict(Outcome.INTERRUPTION)

    assert (prompt.state, later.state) == ("stopped", "stopped")
    assert prompt.heard_up_to == 1000 + 60  # what was written can't be taken back
    assert prompt.heard_text == "One moment,"
    assert later.heard_up_to == 0
    written = len(rig.line.audio)
    rig.run(0.2)
    assert len(rig.line.audio) == written
    events = rig.events()
    assert " ".join(event.kind for event in events) == (
        "agent_started overlap_started verdict stopped prompt_ended prompt_ended agent_ended"
    )
    stopped = next(event for event in events if event.kind == "stopped")
    assert (stopped.prompt, stopped.heard_up_to, stopped.reason) == (prompt, 1060, "interruption")
    assert stopped.at == pytest.approx(1.0)
    assert rig.stream.log == ["agent started", "agent ended"]


def test_where_the_peer_buffers_it_is_cleared() -> None:
    rig = Rig(peer=True)
    prompt = rig.call.play(tone(5.0))
    rig.run(0.2)
    rig.call.on_mark("bargein-1", False)
    rig.run(0.1)
    rig.stream.overlap()
    rig.stream.verdict(Outcome.INTERRUPTION)

    assert rig.line.log[-1] == "clear"
    assert prompt.heard_up_to == pytest.approx(300, abs=20)
    rig.call.on_mark("bargein-2", True)
    rig.run(1.0)
    assert prompt.heard_up_to == pytest.approx(300, abs=20)


def test_a_backchannel_stops_nothing() -> None:
    rig, sound = Rig(), tone(1.0)
    rig.call.play(sound)
    rig.run(0.5)
    rig.stream.overlap()
    rig.stream.overlap_ended()
    rig.stream.verdict(Outcome.BACKCHANNEL)
    rig.run(0.6)

    assert rig.line.audio == sound
    assert rig.kinds() == (
        "agent_started overlap_started overlap_ended verdict prompt_ended agent_ended"
    )


def test_a_text_may_be_written_when_the_prompt_was_stopped_meanwhile() -> None:
    rig = Rig()
    prompt = rig.call.open_prompt()
    rig.call.stop()
    prompt.write(tone(0.1))
    prompt.end()
    rig.run(0.1)
    assert (prompt.state, rig.line.audio) == ("stopped", b"")


def test_pause_and_resume() -> None:
    rig, sound = Rig(policy=BargeInPolicy(on_speech="pause")), tone(1.0)
    prompt = rig.call.play(sound)
    rig.run(0.5)
    rig.stream.overlap()
    rig.run(2.0)
    assert len(rig.line.audio) == 4000 + 480
    assert prompt.state == "playing"
    rig.stream.verdict(Outcome.BACKCHANNEL)
    rig.run(0.6)

    assert rig.line.audio == sound
    assert prompt.state == "heard"
    kinds = rig.kinds()
    assert "paused" in kinds
    assert "resumed" in kinds
    assert rig.stream.log == ["agent started", "agent ended"]  # a pause isn't the turn's end


def test_duck_and_stop() -> None:
    rig = Rig(policy=BargeInPolicy(on_speech="duck"))
    rig.call.play(tone(2.0))
    rig.run(0.5)
    loud = decode(rig.line.audio, ULAW).std()
    before = len(rig.line.audio)
    rig.stream.overlap()
    rig.run(0.4)
    assert decode(rig.line.audio[before:], ULAW).std() < loud / 3
    rig.stream.verdict(Outcome.INTERRUPTION)
    assert "ducked" in rig.kinds()


def test_the_policy_may_be_changed() -> None:
    rig = Rig()
    rig.call.policy = BargeInPolicy(on_speech="stop")
    assert rig.call.policy.on_speech == "stop"
    prompt = rig.call.play(tone(2.0))
    rig.run(0.5)
    rig.stream.overlap()

    assert prompt.state == "stopped"
    (stopped,) = [event for event in rig.events() if event.kind == "stopped"]
    assert stopped.reason == "speech"


def test_what_the_policy_waits_for_counts_the_callers_audio() -> None:
    rig = Rig(policy=BargeInPolicy(on_speech="stop", min_speech=0.3))
    prompt = rig.call.play(tone(20.0))
    rig.run(0.5)
    rig.stream.overlap(0.1)
    rig.run(5.0, audio=None)  # a hold: nobody speaks
    assert prompt.state == "playing"
    rig.run(0.22)
    assert prompt.state == "stopped"


def test_a_passage_that_cannot_be_interrupted() -> None:
    rig = Rig(policy=BargeInPolicy(on_speech="stop"))
    prompt = rig.call.play(Part(tone(1.0), interruptible=False), tone(1.0))
    rig.run(0.5)
    rig.stream.overlap()
    rig.stream.overlap_ended()
    rig.stream.verdict(Outcome.BACKCHANNEL)
    rig.run(0.3)
    assert prompt.state == "playing"
    rig.run(0.3)
    rig.stream.overlap()
    assert prompt.state == "stopped"


def test_a_prompt_that_comes_bit_by_bit() -> None:
    rig, sound = Rig(), tone(0.6)
    prompt = rig.call.open_prompt()
    prompt.write(sound[:2400], text="Good")
    rig.run(0.5)
    assert rig.stream.log == ["agent started"]  # late, but not over
    assert prompt.state == "playing"
    prompt.write(sound[2400:], text="bye")
    prompt.end()
    prompt.end()
    rig.run(0.5)

    assert rig.line.audio == sound
    assert (prompt.state, prompt.heard_text) == ("heard", "Good bye")
    with pytest.raises(StateError, match="open another prompt"):
        prompt.write(sound)


def test_nothing_is_said_after_a_stop() -> None:
    rig = Rig()
    prompt = rig.call.open_prompt()
    prompt.write(tone(1.0))
    rig.run(0.3)
    rig.call.stop()
    rig.call.stop()
    prompt.write(tone(1.0))
    rig.run(1.0)

    assert len(rig.line.audio) == 2400 + 480
    assert prompt.heard_up_to == 360
    reasons = [event.reason for event in rig.events() if event.kind == "stopped"]
    assert reasons == ["stopped by the program"]


def test_what_is_said_right_after_a_stop_is_a_turn_of_its_own() -> None:
    rig = Rig()
    rig.call.play(tone(3.0))
    rig.run(0.5)
    rig.stream.overlap()
    rig.stream.verdict(Outcome.INTERRUPTION)
    sorry = rig.call.play(tone(3.0))  # the caller hears the rest of the first one yet
    assert rig.stream.log == ["agent started"]
    rig.run(0.5)
    assert rig.stream.log == ["agent started", "agent ended", "agent started"]
    assert (sorry.state, sorry.heard_up_to) == ("playing", 440)

    rig.stream.overlap()
    rig.stream.verdict(Outcome.INTERRUPTION)
    assert sorry.state == "stopped"
    stops = [event.prompt for event in rig.events() if event.kind == "stopped"]
    assert stops[1:] == [sorry]


def test_what_is_said_right_after_a_clear_is_a_turn_of_its_own() -> None:
    rig = Rig(peer=True)
    rig.call.play(tone(3.0))
    rig.run(0.1)
    rig.call.stop()
    sorry = rig.call.play(tone(3.0))
    rig.run(0.1)
    assert rig.stream.log == ["agent started", "agent ended", "agent started"]
    assert (sorry.state, sorry.heard_up_to) == ("playing", 100)


def test_a_stop_by_the_program_undoes_what_the_policy_did() -> None:
    rig = Rig(policy=BargeInPolicy(on_speech="duck"))
    rig.call.play(tone(3.0))
    rig.run(0.5)
    rig.stream.overlap()
    rig.call.stop()
    rig.run(0.5)
    assert rig.kinds() == ("agent_started overlap_started ducked stopped prompt_ended agent_ended")


def test_an_empty_prompt_alone_is_heard_at_once() -> None:
    rig = Rig()
    prompt = rig.call.play(b"")
    assert rig.call in rig.ticker.calls
    rig.call.tick()
    assert prompt.wait(0)
    assert prompt.state == "heard"


def test_an_empty_prompt_is_heard_at_once() -> None:
    rig = Rig()
    empty = rig.call.play(b"")
    full = rig.call.play(tone(0.1))
    rig.run(0.2)

    assert (empty.state, full.state) == ("heard", "heard")


def test_audio_in_other_formats() -> None:
    rig = Rig()
    samples = np.round(8000 * np.sin(np.arange(24_000) * 0.1)).astype(np.int16)  # 382 Hz at 24 kHz
    rig.call.play(samples.tobytes(), sample_rate=24_000)
    rig.run(1.1)

    sent = decode(rig.line.audio, ULAW).astype(float)
    assert len(sent) == pytest.approx(8000, abs=40)
    spectrum = np.abs(np.fft.rfft(sent[1000:5000] * np.hanning(4000)))
    assert int(spectrum.argmax()) * 2 == pytest.approx(382, abs=3)
    with pytest.raises(FrameError):
        rig.call.play(np.zeros(10, np.float32))


def test_the_callers_audio_reaches_the_stream() -> None:
    rig = Rig(echo=None)
    rig.run(0.1)
    rig.call.on_gap(0.04)
    rig.call.on_gap(1.5)

    assert rig.stream.options["sample_rate"] == 8000
    assert rig.stream.options["encoding"] == "mulaw"
    assert rig.stream.caller == SILENCE * 7
    assert rig.stream.log == ["gap 1.5"]


def test_with_an_echo_canceller_it_comes_decoded() -> None:
    rig = Rig()
    rig.call.on_gap(1.0)
    rig.run(0.2)

    assert rig.stream.options["encoding"] == "s16le"
    assert 0.2 - 0.032 <= len(rig.stream.caller) / 16_000 <= 0.2


@pytest.mark.parametrize("encoding", ["alaw", "u8", "s16le"])
def test_a_short_gap_is_silence(encoding: str) -> None:
    line = FakeLine(format=AudioFormat(8000, 1, encoding))
    rig = Rig(line=line, echo=None)
    rig.call.on_gap(0.1)

    assert abs(decode(rig.stream.caller, line.format)).max() <= 8
    assert len(rig.stream.caller) == 800 * line.format.frame_width


def test_what_is_played_is_the_reference() -> None:
    heard: list[tuple[bytes, bytes]] = []
    rig, sound = Rig(tap=lambda caller, agent, now: heard.append((caller, agent))), tone(0.5)
    rig.call.play(sound)
    rig.run(0.6)

    assert rig.stream.agent == sound
    assert b"".join(agent for _, agent in heard) == sound
    assert b"".join(caller for caller, _ in heard) == SILENCE * 30


def test_keys() -> None:
    rig = Rig()
    rig.call.on_dtmf("5")

    (event,) = rig.events()
    assert (event.kind, event.digit, event.call_id) == ("dtmf", "5", "call-1")


def test_a_line_of_16_khz_and_one_that_takes_its_own_rate_alone() -> None:
    wide = Rig(line=FakeLine(format=AudioFormat(16_000)))
    samples = np.round(8000 * np.sin(np.arange(8000) * 0.1)).astype(np.int16)
    wide.call.play(samples.tobytes(), sample_rate=8000)
    wide.run(1.1)
    assert len(wide.line.audio) / 2 == pytest.approx(16_000, abs=100)

    odd = Rig(line=FakeLine(format=AudioFormat(11_025)), echo=None)
    with pytest.raises(OptionError, match="8000 and 16000"):
        odd.call.play(samples.tobytes(), sample_rate=8000)


def test_chunks_of_any_length_have_no_seams() -> None:
    rig = Rig()
    samples = np.round(8000 * np.sin(np.arange(16_000) * 0.05)).astype(np.int16)
    whole = LineEncoder(ULAW).encode(samples, AudioFormat(16_000))
    encoder = LineEncoder(ULAW)
    pieces = b"".join(
        encoder.encode(samples[at : at + 7], AudioFormat(16_000)) for at in range(0, 16_000, 7)
    )
    assert pieces == whole[: len(pieces)]
    assert len(whole) == pytest.approx(8000, abs=40)
    assert rig.line.audio == b""


def test_a_peer_that_takes_no_more() -> None:
    rig = Rig()
    rig.call.play(tone(1.0))
    rig.call.on_flow(False)
    rig.run(0.3)
    assert rig.line.audio == b""
    rig.call.on_flow(True)
    rig.run(0.02)
    assert rig.line.audio != b""


def test_the_judge_goes() -> None:
    rig = Rig()
    prompt = rig.call.play(tone(5.0))
    rig.run(0.5)
    rig.stream.overlap(0.0)
    rig.stream.fault()
    rig.run(0.7)
    assert prompt.state == "playing"
    rig.run(0.14)

    assert prompt.state == "stopped"
    assert "error" in rig.kinds()


def test_with_a_fallback_the_judge_never_goes() -> None:
    rig = Rig()
    rig.call._judge_can_be_lost = False
    prompt = rig.call.play(tone(5.0))
    rig.run(0.5)
    rig.stream.overlap()
    rig.stream.fault()
    rig.run(1.5)

    assert prompt.state == "playing"


def test_the_end_settles_all_and_comes_last() -> None:
    rig = Rig()
    prompt = rig.call.play(tone(5.0))
    rig.run(0.5)
    rig.stream.overlap()
    rig.call.on_end("hangup")
    rig.call.on_end("closed")
    rig.call.on_audio(SILENCE)
    assert prompt.state == "stopped"
    assert rig.stream.log == ["agent started", "end of input"]

    rig.stream.overlap_ended(agent_ended=True)
    rig.stream.verdict(Outcome.INCONCLUSIVE, Reason.INPUT_ENDED)
    rig.stream.end()
    events = list(rig.call)
    assert [event.kind for event in events][-4:] == [
        "agent_ended",
        "overlap_ended",
        "verdict",
        "ended",
    ]
    assert events[-3].reason == "agent_ended"
    assert events[-1].reason == "hangup"
    late = rig.call.play(tone(1.0))
    assert late.state == "stopped"
    rig.call.tick()
    assert len(rig.line.audio) == 4000 + 480


def test_closing() -> None:
    rig = Rig()
    with rig.call:
        pass
    assert rig.line.hung_up
    assert rig.stream.log == ["end of input", "close"]
    rig.call.hang_up()


@pytest.fixture
def without_judge(monkeypatch: pytest.MonkeyPatch) -> FakeDetector:
    """What a call goes on with whose judge is gone for good."""
    detector = FakeDetector()
    monkeypatch.setattr("bargein.telephony.call.unjudged", lambda: detector)
    return detector


def test_with_its_judge_gone_for_good_a_call_goes_on_by_voice_alone(
    without_judge: FakeDetector,
) -> None:
    rig = Rig()
    prompt = rig.call.play(tone(5.0))
    rig.run(0.5)
    error = ConnectionError("the judge's key is wrong")
    rig.stream.tap.error(
        InterruptionDetectionError(timestamp=0.0, label="x", error=error, recoverable=False)
    )
    rig.stream.end(error)
    assert [event.error for event in rig.events() if event.error] == [error]

    rest = without_judge.opened
    assert rest is not None
    assert rig.call.stream is rest  # type: ignore[comparison-overlap]
    assert rest.log == ["agent started"]  # as it does, at this time
    assert rest.options["id"] == "call-1"
    rest.overlap(0.0)
    rest.fault()  # nobody judges, which is no news
    rig.run(0.9)
    assert prompt.state == "stopped"
    assert rest.caller
    assert rig.kinds() == "overlap_started stopped prompt_ended agent_ended"

    rig.call.on_end("hangup")
    assert rest.log == ["agent started", "agent ended", "end of input"]
    rest.end()
    assert [event.kind for event in rig.call] == ["ended"]


def test_a_judge_that_goes_while_the_agent_is_silent_or_the_call_ends(
    without_judge: FakeDetector,
) -> None:
    rig = Rig()
    opening = without_judge.stream

    def slowly(**options: Any) -> FakeStream:
        stream = opening(**options)
        rig.call.on_end("hangup")
        return stream

    without_judge.stream = slowly  # type: ignore[method-assign]
    rig.stream.end(KeyboardInterrupt())
    assert without_judge.opened is not None
    assert without_judge.opened.log == ["end of input"]
    without_judge.opened.end(ValueError("and the rest, too"))
    assert [event.reason or repr(event.error) for event in rig.call] == [
        "RuntimeError('')",
        "hangup",
    ]


def test_a_server_that_is_away_leaves_callers_a_way_to_interrupt() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and doesn't listen
        address = f"ws://127.0.0.1:{nobody.getsockname()[1]}"
        options = APIConnectOptions(max_retry=0)
        with AdaptiveInterruptionDetector(base_url=address, conn_options=options) as detector:
            call = Call(FakeLine(), detector)
            call.play(tone(60.0))
            while call.recv(10).kind != "error":
                pass
            with open_recording(EXAMPLE) as recording:
                caller = np.concatenate([block[:, 0] for block in recording.blocks()])
            speech = encode_mulaw(caller[round(19.6 * 8000) : round(21.9 * 8000)])
            stopped = None
            for at in range(0, len(speech), 160):
                call.on_audio(speech[at : at + 160])
                with suppress(TimeoutError):
                    while stopped is None:  # no faster than the stream's thread
                        event = call.recv(0.02)
                        stopped = event if event.kind == "stopped" else None
            call.close()
            assert stopped is not None
            assert stopped.reason == "fallback"
            assert list(call)[-1].kind == "ended"


def test_a_stream_that_takes_no_more_is_no_fault_of_the_calls() -> None:
    rig, sound = Rig(), tone(0.5)
    rig.stream.over = True
    rig.call.play(sound)
    rig.run(0.6)
    assert rig.line.audio == sound
    rig.stream.end()  # somebody closed it
    rig.call.on_end("hangup")
    assert [event.reason for event in rig.call if event.reason] == ["hangup"]


def test_windows_of_verdicts_that_nobody_reads_are_let_go() -> None:
    rig = Rig()
    window = np.zeros(48_000, np.int16)
    for _ in range(20):
        rig.stream.verdict(Outcome.BACKCHANNEL, window=window)
    kept = [event.verdict.speech_input is not None for event in rig.events() if event.verdict]
    assert kept == [False] * 16 + [True] * 4


def test_a_listener_that_hangs_holds_a_bounded_number_of_events(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()
    got: list[str | None] = []

    @rig.call.on("dtmf")
    def pressed(event: CallEvent) -> None:
        got.append(event.digit)
        begun.set()
        go_on.wait(10)
        if event.digit == "#":
            done.set()

    rig.call.on_dtmf("0")
    assert begun.wait(10)
    for _ in range(2000):
        rig.call.on_dtmf("1")
    rig.call.on_dtmf("#")
    go_on.set()
    assert done.wait(10)
    assert len(got) == 1 + 1024
    assert caplog.text.count("the oldest of 1024 events go unheard") == 1


def test_windows_of_verdicts_that_a_hanging_listener_holds_up_are_let_go() -> None:
    rig = Rig()
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()
    got: list[bool] = []

    @rig.call.on("verdict")
    def judged(event: CallEvent) -> None:
        begun.set()
        go_on.wait(10)
        assert event.verdict is not None
        got.append(event.verdict.speech_input is not None)
        if len(got) == 31:
            done.set()

    window = np.zeros(48_000, np.int16)
    rig.stream.verdict(Outcome.BACKCHANNEL, window=window)
    assert begun.wait(10)
    for _ in range(30):
        rig.stream.verdict(Outcome.BACKCHANNEL, window=window)
    go_on.set()
    assert done.wait(10)
    assert got == [True] + [False] * 14 + [True] * 16


def test_listeners_run_on_a_thread_of_the_call() -> None:
    rig = Rig()
    got: list[tuple[str, str]] = []
    done = threading.Event()

    @rig.call.on("dtmf")
    def pressed(event: CallEvent) -> None:
        got.append((str(event.digit), threading.current_thread().name))
        if event.digit == "2":
            done.set()
        raise RuntimeError("a listener's own")

    rig.call.on("dtmf", lambda event: None)
    rig.call.on_dtmf("1")
    rig.call.on_dtmf("2")
    assert done.wait(10)
    assert got == [("1", "call-call-1"), ("2", "call-call-1")]
    with pytest.raises(OptionError, match="no event 'tmf'"):
        rig.call.on("tmf", print)  # type: ignore[call-overload, arg-type]


def test_what_breaks_in_the_call_does_not_break_the_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()
    rig.call._agent = None  # type: ignore[assignment]
    rig.stream.overlap()

    assert "couldn't take what its stream found" in caplog.text


def test_lines_that_cannot_be() -> None:
    with pytest.raises(OptionError, match="2 channels"):
        Rig(line=FakeLine(format=AudioFormat(8000, 2)))


def test_what_the_network_told() -> None:
    assert Rig().call.details == {"from": "+15550100"}


def test_the_place_in_a_prompt_without_words() -> None:
    rig = Rig()
    prompt = rig.call.play(tone(0.2))
    rig.run(0.1)
    assert isinstance(prompt, Prompt)
    assert prompt.heard_text == ""


def test_who_calls_within_a_prompt_that_was_opened_and_never_filled() -> None:
    rig = Rig()
    prompt = rig.call.open_prompt()
    prompt.write(b"")
    rig.run(0.1)
    assert (prompt.state, prompt.duration) == ("queued", 0)
    prompt.end()
    after = rig.call.play(tone(0.1))
    rig.run(0.2)
    assert (prompt.state, after.state) == ("heard", "heard")
