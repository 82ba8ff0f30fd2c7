"""A phone call, recorded: one argument, and the same verdicts again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from bargein.audio import encode_mulaw
from bargein.recording import Recorder, replay
from bargein.telephony import Call
from bargein.testing import StillCall, load_recording
from tests.telephony.fakes import FakeLine, FakeTicker

from .conftest import only_call

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/call/call.flac"


def test_a_phone_call_replays_to_the_same_verdicts(recorder: Recorder) -> None:
    samples, rate = soundfile.read(EXAMPLE, dtype="int16", always_2d=True)
    piece = samples[round(38.5 * rate) : round(42.5 * rate)]  # "I'm the marketing …"
    caller, agent = (encode_mulaw(np.ascontiguousarray(piece[:, side])) for side in (0, 1))
    still = StillCall(transport="call", backend=lambda window: np.full(40, 0.9))
    call = Call(
        FakeLine(),
        still.detector,  # type: ignore[arg-type]
        recorder=recorder,
        ticker=FakeTicker(),  # type: ignore[arg-type]
        clock=still.clock,
    )
    call.play(agent)
    for at in range(0, len(caller), 160):
        call.tick()
        still.clock.advance(0.02)
        call.on_audio(caller[at : at + 160])
    still.clock.advance(2.0)
    call.hang_up()
    call.stream.close()
    recording = only_call(recorder)
    again = replay(recording)

    assert again.identical
    assert [event["outcome"] for event in again.events] == ["interruption"]
    load_recording(recording.path).run()
