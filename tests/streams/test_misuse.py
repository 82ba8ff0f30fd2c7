"""What can't be is refused in the caller's thread, in words, and leaves the stream as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bargein.core.connect_options import APIConnectOptions
from bargein.detector import AdaptiveInterruptionDetector
from bargein.drivers.tls import TlsOptions
from bargein.errors import BargeinError, FrameError, OptionError, StateError
from bargein.stream import InterruptionStreamBase
from bargein.streams import InterruptionHttpStream
from tests.streams.service import Caller, Service, answers

Call = Callable[[InterruptionStreamBase], object]


class Frame:
    def __init__(self, **fields: Any) -> None:
        self.data = fields.pop("data", bytes(320))
        self.sample_rate = fields.pop("sample_rate", 16_000)
        self.num_channels = fields.pop("num_channels", 1)
        self.samples_per_channel = fields.pop("samples_per_channel", 160)


WRONG_FRAMES: dict[str, Any] = {
    "odd": b"abc",
    "text": "abc",
    "none": None,
    "floats": np.zeros(160, np.float32),
    "matrix": np.zeros((2, 3, 4), np.int16),
    "a rate of 0": Frame(sample_rate=0),
    "another rate": Frame(sample_rate=8000),
    "other channels": Frame(num_channels=2, samples_per_channel=80),
    "a wrong count": Frame(samples_per_channel=161),
}

WRONG_CALLS: dict[str, tuple[Call, type[BargeinError]]] = {
    "voice 2": (lambda s: s.voice_activity(2.0), OptionError),
    "voice nan": (lambda s: s.voice_activity(float("nan")), OptionError),
    "voice text": (lambda s: s.voice_activity("loud"), OptionError),  # type: ignore[arg-type]
    "gap -1": (lambda s: s.push_gap(-1.0), OptionError),
    "speech -1": (lambda s: s.overlap_speech_started(speech_duration=-1.0), OptionError),
    "speech nan": (lambda s: s.overlap_speech_started(speech_duration=float("nan")), OptionError),
    "started text": (lambda s: s.overlap_speech_started(started_at="now"), OptionError),  # type: ignore[arg-type]
    "ended inf": (lambda s: s.overlap_speech_ended(ended_at=float("inf")), OptionError),
    "rate 7000": (lambda s: s.set_format(sample_rate=7000), OptionError),
    "mp3": (lambda s: s.set_format(encoding="mp3"), OptionError),
    "threshold 2": (lambda s: s.update_options(threshold=2.0), OptionError),
    "duration 0": (lambda s: s.update_options(min_interruption_duration=0.0), OptionError),
    "agent frame": (lambda s: s.agent_audio(b"abc"), FrameError),
}


def works(caller: Caller) -> None:
    caller.interrupt()
    assert caller.outcome() == ("interruption", None)


@pytest.mark.parametrize("what", WRONG_FRAMES)
def test_a_wrong_frame_is_refused_and_the_stream_goes_on(what: str) -> None:
    with (
        AdaptiveInterruptionDetector(backend=lambda window: [0.9] * 12) as detector,
        Caller(detector, sample_rate=16_000) as caller,
    ):
        caller.stream.agent_speech_started()
        with pytest.raises(FrameError) as caught:
            caller.stream.push_frame(WRONG_FRAMES[what])
        assert isinstance(caught.value, ValueError)
        assert len(str(caught.value)) > 30
        works(caller)
        assert caller.stream.stats().lost_frames == 0


@pytest.mark.parametrize("what", WRONG_CALLS)
def test_a_wrong_call_is_refused_and_the_stream_goes_on(what: str) -> None:
    call, kind = WRONG_CALLS[what]
    with (
        AdaptiveInterruptionDetector(backend=lambda window: [0.9] * 12) as detector,
        Caller(detector, sample_rate=16_000) as caller,
    ):
        options = caller.stream._options
        with pytest.raises(kind) as caught:
            call(caller.stream)
        assert isinstance(caught.value, ValueError)
        assert len(str(caught.value)) > 20
        assert caller.stream._options == options
        works(caller)


AFTER_THE_END: dict[str, Call] = {
    "push": lambda s: s.push_frame(bytes(320)),
    "gap": lambda s: s.push_gap(0.1),
    "flush": lambda s: s.flush(),
    "agent": lambda s: s.agent_speech_started(),
    "agent ended": lambda s: s.agent_speech_ended(),
    "overlap": lambda s: s.overlap_speech_started(),
    "overlap ended": lambda s: s.overlap_speech_ended(),
    "format": lambda s: s.set_format(sample_rate=8000),
    "voice": lambda s: s.voice_activity(0.5),
    "agent audio": lambda s: s.agent_audio(bytes(320)),
    "options": lambda s: s.update_options(threshold=0.1),
    "end": lambda s: s.end_input(),
}


@pytest.mark.parametrize("end", ["end_input", "close"])
def test_after_the_end_nothing_is_taken(end: str) -> None:
    with (
        AdaptiveInterruptionDetector(backend=lambda window: [0.9] * 12) as detector,
        Caller(detector) as caller,
    ):
        getattr(caller.stream, end)()
        for name, call in AFTER_THE_END.items():
            with pytest.raises(StateError) as caught:
                call(caller.stream)
            assert isinstance(caught.value, RuntimeError), name
        assert caller.stream._options.threshold is None
        detector.update_options(threshold=0.2)  # which no ended stream minds
        assert not caller.stream.is_open


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 1.5},
        {"inference_timeout": 0},
        {"max_in_flight": 0},
        {"max_audio_duration": 4},
        {"base_url": "ftp://host"},
        {"base_url": "http://u:p@host"},
        {"base_url": "http://host", "transport": "pigeon"},
        {"base_url": "http://host", "api_key": "k"},
        {"base_url": "http://host", "backend": "local"},
        {"backend": "cloud"},
        {"backend": 3},
        {"fallback": "fail_sideways", "base_url": "http://host"},
        {"base_url": None},
        {"base_url": "http://host", "conn_options": {"max_retry": 1}},
        {"base_url": "https://host", "tls": "ca.pem"},
        {"backend": "local", "tls": TlsOptions()},
    ],
)
def test_a_detector_that_cant_be(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError) as caught:
        AdaptiveInterruptionDetector(**options)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"sample_rate": 0},
        {"encoding": "mp3"},
        {"num_channels": 0},
        {"vad": "webrtc"},
        {"tracker": 0.5},
        {"conn_options": {"timeout": 1}},
        {"recorder": "calls"},
        {"shadow": "local"},
    ],
)
def test_a_stream_that_cant_be(options: dict[str, Any]) -> None:
    with AdaptiveInterruptionDetector(backend=lambda window: [0.9] * 12) as detector:
        with pytest.raises(OptionError, match=next(iter(options))):
            detector.stream(**options)
        with Caller(detector) as caller:
            works(caller)


@pytest.mark.parametrize("name", ["max_retry", "retry_interval", "timeout"])
def test_connect_options_that_cant_be(name: str) -> None:
    with pytest.raises(OptionError, match=name):
        APIConnectOptions(**{name: -1})


def test_a_judge_in_this_process_has_no_server() -> None:
    with AdaptiveInterruptionDetector(backend=lambda window: [0.9] * 12) as detector:
        assert detector.base_url is None
        with pytest.raises(StateError, match="no server"):
            detector.remote  # noqa: B018


@pytest.mark.parametrize(
    "waveform", [np.zeros(160, np.float32), np.zeros((2, 80), np.int16), b"ab", None]
)
def test_predict_takes_int16_alone(waveform: Any) -> None:
    with Service("http", answers.yes) as service, service.detector() as detector:
        stream = detector.stream()
        assert isinstance(stream, InterruptionHttpStream)
        with pytest.raises(FrameError, match=r"int16 array of shape \(n,\)"):
            stream.predict(waveform)
        assert stream.predict(np.zeros(1600, np.int16)).is_bargein is True
