"""What the parts of one call cost, without a network: ``python -m benchmarks.core [--short]``.

CPU times, each beside a floor that was measured in the same rounds (see ``benchmarks.timing``);
memory by tracemalloc and by what the system says of the process; the local backend and ``analyze``
against the audio's own time. Each figure that has a target says whether it is met.
"""

from __future__ import annotations

import argparse
import array
import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from bargein.audio import AudioFormat
from bargein.audio.g711 import encode_mulaw
from bargein.backends.local import LocalBackend
from bargein.core import (
    AgentSpeechStarted,
    InterruptionMachine,
    JudgeSettings,
    OverlapSpeechStarted,
    Reply,
    SendWindow,
    Window,
    WindowSent,
)
from bargein.core.buffer import CallerBuffer
from bargein.core.inbox import Inbox
from bargein.core.inputs import Audio
from bargein.core.options import InterruptionOptions
from bargein.core.pipeline import Pipeline
from bargein.core.playout import Playout
from bargein.core.tracker import OverlapTracker
from bargein.core.window import Prediction
from bargein.vad.track import SpeechTrack
from benchmarks import imports
from benchmarks.load import resident
from benchmarks.timing import measure, table

EXAMPLE = Path(__file__).parents[1] / "examples" / "call"
HOLD = 0.9
"""Seconds that a window is held by default: the timeout and the grace."""

FORMATS = {
    "8 kHz u-law": AudioFormat(8_000, 1, "mulaw"),
    "16 kHz": AudioFormat(16_000),
    "48 kHz stereo": AudioFormat(48_000, 2),
}


def noise(fmt: AudioFormat, seconds: float) -> bytes:
    """Return seconds of noise in a format."""
    count = round(fmt.sample_rate * seconds) * fmt.num_channels
    samples = np.random.default_rng(7).normal(0, 3_000, count).astype("<i2")
    return encode_mulaw(samples) if fmt.encoding == "mulaw" else samples.tobytes()


def verdict(met: bool) -> str:
    """Say whether a target is met."""
    return "met" if met else "NOT MET"


# --- time ---------------------------------------------------------------------------------------


def push_cost(rounds: int) -> None:
    """A push into the inbox, the frame being what a callback holds; emptied once a second."""
    wide = noise(FORMATS["16 kHz"], 0.02)
    stereo = noise(FORMATS["48 kHz stereo"], 0.02)
    rtc = SimpleNamespace(
        data=memoryview(array.array("h", wide)),
        sample_rate=16_000,
        num_channels=1,
        samples_per_channel=320,
    )
    frames: dict[str, tuple[Any, AudioFormat]] = {
        "16 kHz, bytes": (wide, FORMATS["16 kHz"]),
        "16 kHz, bytearray": (bytearray(wide), FORMATS["16 kHz"]),
        "16 kHz, int16 array": (np.frombuffer(wide, np.int16), FORMATS["16 kHz"]),
        "16 kHz, LiveKit's frame": (rtc, FORMATS["16 kHz"]),
        "8 kHz u-law, bytes": (noise(FORMATS["8 kHz u-law"], 0.02), FORMATS["8 kHz u-law"]),
        "48 kHz stereo, bytes": (stereo, FORMATS["48 kHz stereo"]),
    }
    figures = measure(
        ("a copy of 640 bytes", lambda: bytearray(wide)),
        {name: pusher(frame, fmt) for name, (frame, fmt) in frames.items()},
        rounds=rounds,
    )
    print(table(figures, title="A push of 20 ms"))
    worst = max(figure.seconds for figure in figures[1:])
    print(f"under 3 us each: {worst * 1e6:.2f} us, {verdict(worst < 3e-6)}\n")


def pusher(frame: Any, fmt: AudioFormat) -> Callable[[], object]:
    """Return a push that empties the inbox at each fiftieth."""
    inbox, count = Inbox(fmt), 0

    def push() -> None:
        nonlocal count
        inbox.push(frame, 1.0)
        count += 1
        if count == 50:
            inbox.take()
            count = 0

    return push


def window_cost(rounds: int) -> None:
    """Take the 100 ms since the last cut in, converted; cut and read a window of 3 s."""
    window = np.zeros(48_000, np.int16)
    subjects: dict[str, Callable[[], object]] = {}
    for name, fmt in FORMATS.items():
        subjects[name] = cutter(fmt)
    figures = measure(("a copy of 96 kB", window.copy), subjects, rounds=rounds)
    print(table(figures, title="A window of 3 s: 100 ms taken in, cut, read"))
    narrow, wide = figures[1].seconds, figures[2]
    print(f"8 kHz u-law under 150 us: {narrow * 1e6:.0f} us, {verdict(narrow < 150e-6)}")
    print(f"16 kHz at most 2 copies: {copies_per_window()}; {wide.ratio:.2f} times one\n")


def cutter(fmt: AudioFormat) -> Callable[[], object]:
    """Return what a window costs, between its frames and its samples."""
    buffer = CallerBuffer(InterruptionOptions(), fmt, HOLD)
    buffer.open()
    buffer.push(noise(fmt, 3.2))
    more = noise(fmt, 0.1)

    def cut() -> None:
        buffer.push(more)
        made = buffer.cut()
        buffer.read(made)
        buffer.release(made)

    return cut


def copies_per_window() -> str:
    """Count the bytes that a 16 kHz window's making allocates, against the window's own."""
    machine = speaking(FORMATS["16 kHz"])
    more = Audio(noise(FORMATS["16 kHz"], 0.1))
    machine.handle(more, now=5.0)
    tracemalloc.start()
    actions = machine.handle(more, now=5.1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    sent = next(action for action in actions if isinstance(action, SendWindow))
    copies = peak / sent.window.samples.nbytes
    return f"{copies:.2f} windows' bytes allocated, {verdict(copies <= 2)}"


def speaking(fmt: AudioFormat, in_flight: int = 8) -> InterruptionMachine:
    """Return a machine in an overlap with a window's worth of audio."""
    machine = InterruptionMachine(format=fmt, primary=JudgeSettings(max_in_flight=in_flight))
    machine.handle(AgentSpeechStarted(), now=0.0)
    machine.handle(Audio(noise(fmt, 4.0)), now=4.0)
    machine.handle(OverlapSpeechStarted(speech_duration=2.0), now=4.0)
    return machine


def overlap_cost(rounds: int) -> None:
    """A second of an overlap in the core: frames in, ten windows out, ten replies back."""
    figures = measure(
        ("a copy of the ten windows", lambda: bytes(960_000)),
        {name: overlapping(fmt) for name, fmt in FORMATS.items()},
        rounds=rounds,
    )
    print(table(figures, title="A second of an overlap: inbox, pipeline, machine, replies"))
    print()


def overlapping(fmt: AudioFormat) -> Callable[[], object]:
    """Return a second's work."""
    machine = speaking(fmt)
    pipeline = Pipeline(machine, tracker=OverlapTracker(), playout=Playout())
    frame = noise(fmt, 0.02)
    answer = Prediction(np.zeros(120, np.float32), False)
    inbox, now = Inbox(fmt), 4.0

    def second() -> None:
        nonlocal now
        for number in range(50):
            now += 0.02
            inbox.push(frame, now)
            if number % 5 == 4:
                for stamped in inbox.take():
                    for action in pipeline.handle(stamped.item, now=stamped.now):
                        if isinstance(action, SendWindow):
                            pipeline.handle(WindowSent(action.window.id), now=now)
                            pipeline.handle(Reply(action.window.id, answer), now=now)
                inbox.attention = pipeline.attention()

    return second


# --- memory -------------------------------------------------------------------------------------


def memory_cost(count: int) -> None:
    """What a stream's core holds: before its first agent turn, and in an overlap."""
    print(f"Memory of one of {count} machines, kB: allocated (tracemalloc), resident")
    for name, fmt in FORMATS.items():
        idle = held(lambda fmt=fmt: idle_machine(fmt), count)  # type: ignore[misc]
        busy = held(lambda fmt=fmt: busy_machine(fmt), count)  # type: ignore[misc]
        print(f"  {name:16} idle {idle[0]:7.1f} {idle[1]:7.1f}", end="")
        print(f"   overlap {busy[0]:7.1f} {busy[1]:7.1f}", end="")
        print("" if fmt.num_channels > 1 else f"   {verdict(idle[0] < 60 and busy[0] < 250)}")
    print("under 60 idle and 250 in an overlap, at 8 kHz u-law and 16 kHz\n")


def idle_machine(fmt: AudioFormat) -> object:
    """Return what there is before the agent's first turn."""
    machine = InterruptionMachine(format=fmt)
    pipeline = Pipeline(machine, tracker=OverlapTracker(), playout=Playout())
    inbox = Inbox(fmt)
    inbox.attention = pipeline.attention()
    for _ in range(100):
        inbox.push(bytes(noise_frame(fmt)), 0.0)
    return pipeline, inbox


def noise_frame(fmt: AudioFormat) -> bytearray:
    """Return 20 ms, a new object each time, as a callback brings them."""
    return bytearray(fmt.sample_rate // 50 * fmt.frame_width)


def busy_machine(fmt: AudioFormat) -> object:
    """Return a machine in an overlap, with windows under way and one answered."""
    machine = speaking(fmt)
    more = Audio(noise(fmt, 0.1))
    for number in range(5):
        for action in machine.handle(more, now=4.1 + number / 10):
            if isinstance(action, SendWindow):
                machine.handle(WindowSent(action.window.id), now=4.1 + number / 10)
                if number < 3:
                    prediction = Prediction(np.zeros(120, np.float32), False)
                    machine.handle(Reply(action.window.id, prediction), now=4.1 + number / 10)
    return machine


def held(make: Callable[[], object], count: int) -> tuple[float, float]:
    """Return kB a piece: by tracemalloc over a few, and resident over many."""
    make()
    gc.collect()
    tracemalloc.start()
    kept = [make() for _ in range(10)]
    gc.collect()
    allocated = tracemalloc.get_traced_memory()[0] / len(kept)
    tracemalloc.stop()
    del kept
    gc.collect()
    before = resident()
    kept = [make() for _ in range(count)]
    gc.collect()
    grown = resident() - before
    return allocated / 1000, grown / len(kept) / 1000


# --- the local backend, analyze, import ---------------------------------------------------------


def speech_like(seconds: float) -> npt.NDArray[np.int16]:
    """Return noise in syllables: the VAD costs the same whatever it hears."""
    times = np.arange(round(16_000 * seconds)) / 16_000
    rng = np.random.default_rng(7)
    swell = np.clip(np.sin(2 * np.pi * 3 * times), 0, 1)
    return np.asarray(rng.normal(0, 4_000, len(times)) * swell).astype(np.int16)


def local_cost(seconds: float) -> None:
    """A call of which the agent speaks all, a third of it in overlaps: tracker and judge."""
    calls = {"windows with their speech (stream's VAD)": True, "windows alone": False}
    for name, shared in calls.items():
        spent = local_call(seconds, shared)
        ms = spent / seconds * 1e3
        print(f"local backend, {name}: {ms:.2f} ms of CPU per s of a call, {verdict(ms <= 5)}")
    print()


def local_call(seconds: float, shared: bool) -> float:
    """Return the CPU time of a call in which every third second overlaps."""
    samples = speech_like(seconds)
    backend = LocalBackend()
    session = backend.open_session(None)
    track = SpeechTrack(activations=False)
    begin = time.process_time()
    overlap = 0
    step = 1_600
    for end in range(step, len(samples) + 1, step):
        if shared:
            track.feed(end - step, samples[end - step : end])
        if end // 16_000 % 3 or end < 48_000:
            overlap += end % 16_000 == 0
            continue
        start = max(0, end - 48_000)
        session.predict(
            Window(
                id=end,
                overlap=overlap,
                samples=samples[start:end],
                start=start,
                speech_start=end // 16_000 * 16_000 - start,
                agent_start=-start,
                speech=track.read(start, end) if shared else None,
            )
        )
    spent = time.process_time() - begin
    session.close()
    return spent


def analyze_speed() -> None:
    """The example call, as the command analyses it, on one core."""
    from bargein.analysis import analyze
    from bargein.analysis.call import open_call

    for path in example_calls():
        with open_call(path) as call:
            begin = time.process_time()
            analyze(call)
            spent = time.process_time() - begin
            length = call.duration
        speed = length / spent
        print(f"analyze {path.name}: {length:.0f} s in {spent:.2f} s of CPU, ", end="")
        print(f"{speed:.0f} times real time, over 50: {verdict(speed > 50)}")
    print()


def example_calls() -> Iterator[Path]:
    """Find the example call."""
    for path in sorted(EXAMPLE.iterdir()):
        if path.suffix in (".flac", ".wav"):
            yield path


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few seconds in all")
    short = parser.parse_args().short
    rounds = 5 if short else 25
    push_cost(rounds)
    window_cost(rounds)
    overlap_cost(rounds)
    memory_cost(20 if short else 200)
    local_cost(9 if short else 60)
    analyze_speed()
    imports.main(1 if short else 7)
    print("import bargein under 250 ms and 50 MB")


if __name__ == "__main__":
    main()
