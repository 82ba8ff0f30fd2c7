"""A user's program as it should be: no type checker has anything to say about it. Never run."""

from __future__ import annotations

from collections.abc import Iterator
from types import EllipsisType
from typing import TYPE_CHECKING

import numpy as np

import bargein
from bargein import (
    NOT_GIVEN,
    AdaptiveInterruptionDetector,
    APIConnectOptions,
    CheckReport,
    InterruptionDetectionError,
    InterruptionHttpStream,
    InterruptionMetrics,
    InterruptionResponse,
    InterruptionStreamBase,
    Outcome,
    OverlappingSpeechEvent,
    Prediction,
    Reason,
    StreamEnded,
    StreamStats,
    TlsOptions,
    TrackerOptions,
    Window,
)

if TYPE_CHECKING:
    from typing_extensions import assert_type


def judge(window: Window) -> list[float]:
    assert_type(window.duration, float)
    return [0.0] * 40


class Model:
    model = "mine"
    provider = "me"
    default_threshold: float | None = 0.5

    def open_session(self, stream_id: str | None) -> ModelSession:
        return ModelSession()


class ModelSession:
    def predict(self, window: Window) -> Prediction:
        return Prediction(np.zeros(len(window.samples) // 400, np.float32))

    def close(self) -> None:
        pass


detector = AdaptiveInterruptionDetector(
    base_url="https://judge.example/v1",
    api_key="key",
    api_secret="secret",
    transport="http",
    tls=TlsOptions(ca_file="roots.pem"),
    conn_options=APIConnectOptions(max_retry=None),
    fallback="local",
    threshold=None,
    min_interruption_duration=0.05,
    max_audio_duration=3,
    audio_prefix_duration=1.0,
    detection_interval=0.1,
    inference_timeout=0.7,
    verdict_grace=0.2,
    max_in_flight=4,
    eager_first_window=True,
    reset_window_per_overlap=False,
    prefix_before_agent=True,
)
AdaptiveInterruptionDetector(backend="local", threshold=NOT_GIVEN)
AdaptiveInterruptionDetector(backend=judge)
AdaptiveInterruptionDetector(backend=Model(), fallback=judge)

stream = detector.stream(id="call", sample_rate=8000, encoding="mulaw", tracker=TrackerOptions())
assert_type(stream, InterruptionStreamBase)


@stream.on("overlapping_speech")
def verdict(event: OverlappingSpeechEvent) -> None:
    assert_type(event.is_interruption, bool)
    assert_type(event.outcome, Outcome)
    assert_type(event.reason, Reason | None)
    assert_type(event.stream_id, str | None)


@detector.on("error")
def fault(error: InterruptionDetectionError) -> bool:
    assert_type(error.recoverable, bool)
    return error.recoverable


@detector.once("metrics_collected")
def figures(metrics: InterruptionMetrics) -> None:
    assert_type(metrics.num_late, int)
    assert_type(metrics.metadata.model_name, str)


# Decorated, they are what they were.
assert_type(verdict(stream.recv()), None)
assert_type(
    fault(
        InterruptionDetectionError(timestamp=0.0, label="", error=ValueError(), recoverable=True)
    ),
    bool,
)

stream.on("overlapping_speech", verdict)
stream.once("overlapping_speech", lambda event: print(event.probability, event.num_requests))
stream.off("overlapping_speech", verdict)
detector.once("error", fault)

for event in stream:
    assert_type(event, OverlappingSpeechEvent)
for event in detector.events():
    assert_type(event, OverlappingSpeechEvent)
assert_type(detector.events(), Iterator[OverlappingSpeechEvent])
assert_type(stream.recv(timeout=1.0), OverlappingSpeechEvent)
assert_type(detector.recv(0.5), OverlappingSpeechEvent)
assert_type(stream.stats(), StreamStats)
assert_type(stream.stats().in_flight, int)
assert_type(detector.check(timeout=3.0), CheckReport)
assert_type(detector.check().ok, bool)
assert_type(detector.options.min_frames, int)
assert_type(bargein.InterruptionOptions().sample_rate, int)

stream.push_frame(b"\x00\x00")
stream.push_frame(np.zeros(160, np.int16))
stream.voice_activity(0.7)
stream.overlap_speech_started(speech_duration=0.2, started_at=None)
stream.update_options(threshold=None)
stream.update_options(threshold=NOT_GIVEN, min_interruption_duration=0.1)
given: float | EllipsisType = NOT_GIVEN
detector.update_options(min_interruption_duration=given)

with detector, detector.stream() as one:
    assert_type(one, InterruptionStreamBase)
    if isinstance(one, InterruptionHttpStream):
        assert_type(one.predict(np.zeros(16_000, np.int16)), InterruptionResponse)

try:
    stream.recv()
except StreamEnded:
    stream.close(timeout=1.0)
