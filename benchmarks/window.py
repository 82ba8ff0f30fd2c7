"""Where a window's time goes, over a WebSocket: ``python -m benchmarks.window [--short]``.

Forty streams in an overlap are worked by hand on one thread: five frames pushed, the window cut,
masked and sent to ``benchmarks.server``, its answer read and judged. Each part's CPU time is the
thread's own, once in a row and once after other memory was used (in a real process other programs
run meanwhile, and each part finds the caches cold); beside it how many Python functions are called.
The floor is a NumPy mask and a send of as many bytes on a bare socket.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import select
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any
from unittest import mock

import numpy as np

from bargein import AdaptiveInterruptionDetector
from bargein.audio import AudioFormat
from bargein.core import AgentSpeechStarted, JudgeSettings, OverlapSpeechStarted
from bargein.core.buffer import CallerBuffer
from bargein.core.connect_options import APIConnectOptions
from bargein.core.inbox import Inbox
from bargein.core.setup import CallSetup
from bargein.drivers import websocket, websocket_connection
from bargein.drivers.websocket import WebSocketDriver
from bargein.drivers.websocket_connection import WebSocketConnection
from bargein.runtime.reactors import Reactors
from bargein.streams import websocket_driver
from bargein.worker import Outlet, Worker
from benchmarks.client_floor import Bare
from benchmarks.compare import server
from benchmarks.core import noise

STREAMS = 40

AT_ONCE = 8
"""Streams whose windows fall due in one instant, of forty that began within 100 ms."""

ELSEWHERE = np.ones(1 << 20, np.int64)
"""8 MB of other memory: more than a core's own caches hold."""


class ByHand(Reactors):
    """Runs nothing: whoever has the worker calls its steps, and polls what it wants polled."""

    is_current = True

    def __init__(self) -> None:
        super().__init__("by-hand", 0)
        self.things: list[Any] = []

    def add(self, task: Any) -> None:
        """Be the worker's place as well."""
        task.handle = self

    def wake(self) -> None:
        """Its steps are called anyway."""

    def later(self, call: Callable[[], None]) -> None:
        """Make the call at once."""
        call()

    def watch(self, thing: Any, mask: int) -> None:
        """Note what to poll."""
        if thing not in self.things:
            self.things.append(thing)

    def forget(self, thing: Any) -> None:
        """Poll it no more."""
        self.things.remove(thing)


class Stream:
    """A stream's worker, in an overlap and with 3 s of audio."""

    def __init__(self, detector: AdaptiveInterruptionDetector, fmt: AudioFormat) -> None:
        self.place = ByHand()
        self.frame = noise(fmt, 0.02)
        self.worker = Worker(
            name="by-hand",
            pipeline=CallSetup(format=fmt, primary=JudgeSettings(max_in_flight=8)).build(),
            inbox=Inbox(fmt),
            outlet=Outlet(),
            drivers=lambda worker: [
                websocket_driver(
                    detector,
                    worker,
                    options=detector.options,
                    connect=APIConnectOptions(),
                    has_fallback=False,
                )
            ],
            reactors=self.place,
        )
        self.worker.start()
        while not self.place.things:
            self.worker.step()
            time.sleep(0.001)
        self.worker.put(AgentSpeechStarted())
        self.worker.push(noise(fmt, 3.2))
        self.worker.put(OverlapSpeechStarted(speech_duration=2.0))
        self.worker.step()

    def push(self) -> None:
        """Take 100 ms."""
        for _ in range(5):
            self.worker.push(self.frame)

    def send(self) -> None:
        """Do what these lead to."""
        self.worker.step(())

    def read(self) -> None:
        """Take the answer."""
        self.worker.step(self.place.things)

    def wait(self) -> None:
        """Let the answer come."""
        select.select([thing.fileno() for thing in self.place.things], [], [], 5.0)


PARTS: dict[str, Callable[[Stream], None]] = {
    "five pushes": Stream.push,
    "cut, mask and send": Stream.send,
    "read the answer and judge": Stream.read,
}


def measure(streams: Sequence[Stream], rounds: int, *, cold: bool) -> dict[str, list[float]]:
    """Return each part's thread time per window, in us, of each round."""
    found: dict[str, list[float]] = {name: [] for name in PARTS}
    for _ in range(rounds):
        spent = dict.fromkeys(PARTS, 0)
        for at in range(0, len(streams), AT_ONCE):
            some = streams[at : at + AT_ONCE]
            for name, part in PARTS.items():
                if part is Stream.read:
                    for stream in some:
                        stream.wait()
                if cold:
                    ELSEWHERE.__iadd__(1)
                begin = time.thread_time_ns()
                for stream in some:
                    part(stream)
                spent[name] += time.thread_time_ns() - begin
        for name, nanoseconds in spent.items():
            found[name].append(nanoseconds / len(streams) / 1e3)
    return found


INSIDE: tuple[tuple[str, Any, str], ...] = (
    ("the machine cuts a window", Worker, "_take"),
    ("of that its samples copied out", CallerBuffer, "read"),
    ("frame and mask", websocket_connection, "build_window"),
    ("the socket takes it", WebSocketConnection, "flush"),
    ("the machines hear that it went", WebSocketDriver, "_note_sent"),
    ("the socket gives the answer, its frame read", WebSocketConnection, "read"),
    ("the answer's text", websocket, "decode_server"),
    ("the machines hear of it", WebSocketDriver, "_take_reply"),
)
"""What is done inside the parts, and by what."""


def look_inside(streams: Sequence[Stream], rounds: int) -> dict[str, float]:
    """Return what is spent on each thing inside the parts, us of thread time a window."""
    spent = dict.fromkeys((name for name, _, _ in INSIDE), 0)
    found: dict[str, list[float]] = {name: [] for name in spent}

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            begin = time.thread_time_ns()
            result = call(*arguments, **named)
            spent[name] += time.thread_time_ns() - begin
            return result

        return wrapper

    with contextlib.ExitStack() as patches:
        for name, owner, attribute in INSIDE:
            call = timed(name, getattr(owner, attribute))
            patches.enter_context(mock.patch.object(owner, attribute, call))
        for _ in range(rounds):
            spent.update(dict.fromkeys(spent, 0))
            measure(streams, 1, cold=False)
            for name, nanoseconds in spent.items():
                found[name].append(nanoseconds / len(streams) / 1e3)
    return {name: statistics.median(each) for name, each in found.items()}


def calls(stream: Stream) -> dict[str, int]:
    """Return how many Python functions each part calls."""
    found = dict.fromkeys(PARTS, 0)
    for name, part in PARTS.items():
        if part is Stream.read:
            stream.wait()

        def count(frame: FrameType, event: str, _: object, name: str = name) -> None:
            found[name] += event == "call" and frame.f_code.co_filename != __file__

        sys.setprofile(count)
        part(stream)
        sys.setprofile(None)
    return found


def floor(port: int, rounds: int, *, cold: bool) -> float:
    """Return what a mask and a send cost on a bare socket, us of thread time."""
    bare = Bare(port, "websocket")
    found = []
    for _ in range(rounds):
        if cold:
            ELSEWHERE.__iadd__(1)
        begin = time.thread_time_ns()
        bare.send()
        found.append((time.thread_time_ns() - begin) / 1e3)
        bare.sock.recv(1 << 16)
    bare.sock.close()
    return statistics.median(found)


def main() -> None:
    """Print a table for each format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few windows")
    short = parser.parse_args().short
    rounds, count = (2, AT_ONCE) if short else (30, STREAMS)
    logging.getLogger("bargein").setLevel(logging.CRITICAL)
    for title, fmt in (
        ("16 kHz", AudioFormat(16_000)),
        ("8 kHz u-law", AudioFormat(8_000, 1, "mulaw")),
    ):
        with (
            server("--delay", "0", "--every", "0") as port,
            AdaptiveInterruptionDetector(base_url=f"ws://127.0.0.1:{port}") as detector,
        ):
            streams = [Stream(detector, fmt) for _ in range(count)]
            hot, cold = (measure(streams, rounds, cold=each) for each in (False, True))
            inside = look_inside(streams, rounds)
            counted = calls(streams[0])
            floors = [floor(int(port), rounds * 8, cold=each) for each in (False, True)]
            for stream in streams:
                stream.worker.leave()
        print(f"| a window at {title}, us | in a row | caches cold | Python calls |")
        print("| --- | --- | --- | --- |")
        whole = [0.0, 0.0]
        for name in PARTS:
            both = [statistics.median(each[name]) for each in (hot, cold)]
            whole = [a + b for a, b in zip(whole, both, strict=True)]
            print(f"| {name} | {both[0]:.0f} | {both[1]:.0f} | {counted[name]} |")
        print(f"| all of it | {whole[0]:.0f} | {whole[1]:.0f} | {sum(counted.values())} |")
        print(f"| of it a bare mask and send | {floors[0]:.0f} | {floors[1]:.0f} | |\n")
        print("| inside, in a row | us |")
        print("| --- | --- |")
        for name, spent in inside.items():
            print(f"| {name} | {spent:.0f} |")
        print()


if __name__ == "__main__":
    main()
