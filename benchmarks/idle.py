"""Many calls that do nothing, and the callback's own cost: ``python -m benchmarks.idle``.

First: 500 streams whose agent is silent, each fed a 20 ms u-law frame in real time by one thread
that paces all, beside the same loop with a push that does nothing. Then: how long ``push_frame``
takes with 100 streams in an overlap over a WebSocket, beside how late a thread wakes up that only
sleeps. The local server (``benchmarks.server``) answers.
"""

from __future__ import annotations

import argparse
import logging
import threading
import time
from collections.abc import Callable, Sequence

from bargein import AdaptiveInterruptionDetector
from bargein.stream import InterruptionStreamBase
from benchmarks.compare import percentile, server
from benchmarks.load import FRAME, Watch, descriptors, pace, resident

ULAW = bytes([0xFF]) * 160
"""20 ms of silence at 8 kHz."""

WAKE_UP = 0.001
"""Seconds that the thread sleeps whose lateness is compared."""


def open_streams(
    port: str, count: int
) -> tuple[AdaptiveInterruptionDetector, list[InterruptionStreamBase]]:
    """Open calls at 8 kHz u-law over a WebSocket."""
    detector = AdaptiveInterruptionDetector(
        base_url=f"http://127.0.0.1:{port}", transport="websocket"
    )
    streams = [detector.stream(sample_rate=8_000, encoding="mulaw") for _ in range(count)]
    return detector, streams


def feed(pushes: Sequence[Callable[[bytes], object]], seconds: float) -> float:
    """Push a frame to each every 20 ms; return cores used."""

    def tick(_: int) -> None:
        for push in pushes:
            push(ULAW)

    begin, cpu = time.monotonic(), Watch.spent()
    pace(tick, seconds)
    return (Watch.spent() - cpu) / (time.monotonic() - begin)


def idle(port: str, count: int, seconds: float) -> None:
    """Feed silent calls, and nothing, in turn."""
    memory, fds = resident(), descriptors()
    detector, streams = open_streams(port, count)
    time.sleep(1.0)  # connected
    empty = [lambda _: None] * count
    ours, floors = [], []
    for _ in range(3):
        floors.append(feed(empty, seconds / 3))
        ours.append(feed([stream.push_frame for stream in streams], seconds / 3))
    ours.sort(), floors.sort()
    print(f"{count} idle streams: {ours[1]:.3f} cores; an empty push: {floors[1]:.3f} cores")
    print(f"  under a quarter of a core: {'met' if ours[1] < 0.25 else 'NOT MET'}")
    grown = (resident() - memory) / count / 1000
    print(f"  {grown:.0f} kB and {(descriptors() - fds) / count:.2f} descriptors each")
    detector.close()


def pushing(port: str, count: int, seconds: float) -> None:
    """Time each push while all streams are judged, and a thread's wake-ups beside it."""
    detector, streams = open_streams(port, count)
    for stream in streams:
        stream.agent_speech_started()
        stream.push_frame(ULAW * 150)
        stream.overlap_speech_started(speech_duration=2.0)
    times: list[float] = []
    late: list[float] = []
    stop = threading.Event()

    def sleep() -> None:
        while not stop.is_set():
            begin = time.perf_counter()
            time.sleep(WAKE_UP)
            late.append(time.perf_counter() - begin - WAKE_UP)

    def tick(number: int) -> None:
        # A gateway's packets don't come all at once: a fifth of the calls every 4 ms.
        for at in range(5):
            for stream in streams[at::5]:
                begin = time.perf_counter()
                stream.push_frame(ULAW)
                times.append(time.perf_counter() - begin)
            time.sleep(FRAME / 10)

    pace(tick, 1.0)
    times.clear()
    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    pace(tick, seconds)
    stop.set()
    sleeper.join()
    print(f"{count} streams in overlap, {len(times)} pushes; a sleeping thread beside them:")
    for name, values in (("push_frame", times), ("wake-up, late by", late)):
        cells = ", ".join(
            f"{label} {percentile(values, share) * 1e6:.1f}"
            for label, share in (("median", 0.5), ("p99", 0.99), ("p99.9", 0.999))
        )
        print(f"  {name}: {cells} us")
    median, tail = percentile(times, 0.5), percentile(times, 0.999)
    print(f"  median under 3 us: {'met' if median < 3e-6 else 'NOT MET'}; ", end="")
    print(
        f"p99.9 no worse than a wake-up: {'met' if tail <= percentile(late, 0.999) else 'NOT MET'}"
    )
    detector.close()


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="small numbers, few seconds")
    short = parser.parse_args().short
    logging.getLogger("bargein").setLevel(logging.CRITICAL)
    with server("--delay", "0.02", "--every", "20") as port:
        idle(port, 50 if short else 500, 1.5 if short else 15.0)
        pushing(port, 5 if short else 100, 1.0 if short else 10.0)


if __name__ == "__main__":
    main()
