"""The client that runs bargein: started by ``benchmarks.compare``."""

from __future__ import annotations

import contextlib
import logging
import math
import threading

from bargein import AdaptiveInterruptionDetector, OverlappingSpeechEvent
from bargein.errors import StateError, StreamEnded
from bargein.stream import InterruptionStreamBase
from benchmarks.load import (
    BACKLOG,
    SPEECH,
    STAGGER,
    WARM_UP,
    Watch,
    arguments,
    pace,
    stamped,
)


def tone(rate: int) -> bytes:
    """Return 20 ms of audio: u-law at 8 kHz, int16 at 16 kHz."""
    import numpy as np

    from bargein.audio.g711 import encode_mulaw

    times = np.arange(rate // 50) / rate
    samples = np.round(8_000 * np.sin(2 * math.pi * 200 * times)).astype("<i2")
    return encode_mulaw(samples) if rate == 8_000 else samples.tobytes()


def main() -> None:
    """Feed the streams, measure, print."""
    logging.getLogger("bargein").setLevel(logging.CRITICAL)
    given = arguments()
    frame = tone(given.rate)
    encoding = "mulaw" if given.rate == 8_000 else "s16le"
    watch = Watch(given.port)
    detector = AdaptiveInterruptionDetector(
        base_url=f"http://127.0.0.1:{given.port}", transport=given.transport
    )

    def open_stream(number: int) -> InterruptionStreamBase:
        return detector.stream(id=str(number), sample_rate=given.rate, encoding=encoding)

    def read() -> None:
        for event in detector.events():
            if event.is_interruption:
                note(watch.read, event)
                stream = streams[int(event.stream_id or 0)]
                with contextlib.suppress(StateError):  # closed, at the end of the run
                    stream.overlap_speech_started(speech_duration=SPEECH)
                # A stream's own queue keeps the newest four windows, 384 kB, for who reads there:
                # upstream's streams have been read when this is measured, so these are too.
                with contextlib.suppress(TimeoutError, StreamEnded):
                    while True:
                        stream.recv(0)

    def heard(event: OverlappingSpeechEvent) -> None:
        if event.is_interruption:
            note(watch.heard, event)

    def note(into: list[float], event: OverlappingSpeechEvent) -> None:
        assert event.probabilities is not None
        watch.note(into, stamped(event.probabilities.tolist()))

    with open_stream(-1) as first:
        first.agent_speech_started()
    watch.opened()
    streams = [open_stream(number) for number in range(given.streams)]
    detector.on("overlapping_speech", heard)
    reader = threading.Thread(target=read)
    reader.start()
    pushes = [stream.push_frame for stream in streams]
    for stream in streams:
        stream.agent_speech_started()
        for _ in range(BACKLOG):
            stream.push_frame(frame)

    def start(number: int) -> None:
        for stream in streams[number % STAGGER :: STAGGER] if number < STAGGER else ():
            stream.overlap_speech_started(speech_duration=SPEECH)
        tick(number)

    def tick(number: int) -> None:
        for push in pushes:
            push(frame)

    pace(start, WARM_UP)
    watch.begin()
    late = pace(tick, given.seconds)
    dead = sum(not stream.is_open for stream in streams)
    watch.end(streams=given.streams, late=late, dead=dead)
    detector.close()
    reader.join()


if __name__ == "__main__":
    main()
