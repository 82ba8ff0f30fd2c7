"""A user's mistakes: a type checker complains about the lines that are marked, and no other."""

from __future__ import annotations

import bargein
from bargein import (
    AdaptiveInterruptionDetector,
    APIConnectOptions,
    InterruptionMetrics,
    OverlappingSpeechEvent,
    Window,
)

bargein.bargin()  # wrong
AdaptiveInterruptionDetector(base_url=7)  # wrong
AdaptiveInterruptionDetector(treshold=0.5)  # wrong
AdaptiveInterruptionDetector(threshold="high")  # wrong
AdaptiveInterruptionDetector(max_in_flight=0.5)  # wrong
AdaptiveInterruptionDetector(transport="udp")  # wrong
AdaptiveInterruptionDetector("local")  # wrong
APIConnectOptions(max_retry="3")  # wrong

detector = AdaptiveInterruptionDetector(backend="local")
stream = detector.stream(id="call")

detector.stream(vad="webrtc")  # wrong
stream.update_options(min_interruption_duration=None)  # wrong
stream.agent_speech_started(1.0)  # wrong
stream.recv("soon")  # wrong


def verdict(event: OverlappingSpeechEvent) -> None:
    print(event.is_interuption)  # wrong
    event.is_interruption = True  # wrong


def figures(metrics: InterruptionMetrics) -> None:
    print(metrics.num_interruptions)


stream.on("overlapping_speech", verdict)
stream.on("overlapping_speech", figures)  # wrong
stream.on("overlapping", verdict)  # wrong
detector.once("metrics_collected", verdict)  # wrong
stream.once("error", lambda error: error.is_interruption)  # wrong

for event in stream:
    print(event.stream_id.upper())  # wrong
for event in detector.events():
    print(event + 1)  # wrong
print(detector.check().okay)  # wrong


def judge(window: Window) -> list[float]:
    return window.sample  # wrong
