"""Calls over real sockets: from a caller's onset to the prompt's end at the caller; CPU a call.

``python -m benchmarks.telephony`` runs an AudioSocket server with a `Call` on each connection, and
callers who dial in, in this process, at the pace of a telephone: one frame every 20 ms. Each says
a phrase of the example call at a time of its own, over a prompt that is a hum, so that each 20 ms
tell whether it plays, and how loud. ``--calls`` go on at once, ``--rounds`` times; ``--short``
only shows that it runs.

Printed for each policy and judge: how long the prompt went on (p50, p95) and its parts; how often
mm-hmm, coughs and knocks stopped it; then the CPU that one call costs, callers not counted.
"""

from __future__ import annotations

import argparse
import json
import queue
import socket
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein import AdaptiveInterruptionDetector
from bargein.audio.files import open_recording
from bargein.telephony import AudioSocketServer, Line
from bargein.telephony.call import Call, CallEvent
from bargein.telephony.codecs import audiosocket
from bargein.telephony.codecs.events import Audio
from bargein.telephony.policy import BargeInPolicy

Samples = npt.NDArray[np.int16]

RATE = 8_000
FRAME = RATE // 50
EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "call"
HUM = 4_000
"""Amplitude of the prompt."""
STAY = 3.5
"""Seconds that a caller stays from the phrase's onset on."""


@attrs.define
class Caller:
    """One call's other end: what it said and heard, frame by frame, on one clock."""

    said: Samples
    onset: float
    heard: Samples
    connection: socket.socket
    events: list[CallEvent]
    done: threading.Event

    def first(self, kind: str) -> CallEvent | None:
        return next((event for event in self.events if event.kind == kind), None)


def pieces(label: str) -> list[Samples]:
    """Return what the example's caller says under a label."""
    with open_recording(EXAMPLE / "call.flac") as recording:
        caller = np.concatenate([block[:, 0] for block in recording.blocks()])
    found = json.loads((EXAMPLE / "contents.json").read_text(encoding="utf-8"))["caller"]
    return [
        caller[int(e["onset"] * RATE) : int(e["end"] * RATE)] for e in found if e["label"] == label
    ]


def hum(seconds: float) -> Samples:
    at = np.arange(int(seconds * RATE)) / RATE
    return (HUM * np.sin(2 * np.pi * 180 * at)).astype(np.int16)


class Bench:
    """The server, and callers who come at once."""

    def __init__(self, policy: BargeInPolicy, judge: dict[str, Any]) -> None:
        self.detector = AdaptiveInterruptionDetector(**judge)
        self._policy = policy
        self._waiting: dict[str, Caller] = {}
        self._prompt = hum(30)
        self._readers: list[threading.Thread] = []
        self.server = AudioSocketServer(self._answer, port=0).start()

    def _answer(self, line: Line) -> Call:
        caller = self._waiting.pop(line.id)
        call = Call(line, self.detector, policy=self._policy)
        reader = threading.Thread(target=self._read, args=(call, caller))
        reader.start()
        self._readers.append(reader)
        call.play(self._prompt, sample_rate=RATE)
        return call

    @staticmethod
    def _read(call: Call, caller: Caller) -> None:
        caller.events.extend(call)
        caller.done.set()

    def dial(self, phrase: Samples, onset: float) -> Caller:
        said = np.zeros(int((onset + STAY) * RATE), np.int16)
        begin = int(onset * RATE)
        said[begin : begin + phrase.size] = phrase[: said.size - begin]
        sock = socket.create_connection(self.server.address)
        sock.setblocking(False)
        call = uuid.uuid4()
        caller = Caller(said, onset, np.zeros(0, np.int16), sock, [], threading.Event())
        self._waiting[str(call)] = caller
        sock.send(audiosocket.hello(call))
        return caller

    def close(self) -> None:
        self.server.close()
        for reader in self._readers:
            reader.join()
        self.detector.close()


def talk(callers: Sequence[Caller]) -> float:
    """Let callers speak and listen, a frame every 20 ms, until all have said all.

    Returns the CPU (s) that this, the callers' side, has used.
    """
    begin, used = time.monotonic(), time.thread_time()
    waiting: list[queue.SimpleQueue[Samples]] = [queue.SimpleQueue() for _ in callers]
    readers = [_Reader() for _ in callers]
    heard: list[list[Samples]] = [[] for _ in callers]
    for number in range(max(c.said.size for c in callers) // FRAME):
        time.sleep(max(0.0, begin + number * 0.02 - time.monotonic()))
        for caller, reader, ear, kept in zip(callers, readers, waiting, heard, strict=True):
            frame = caller.said[number * FRAME : (number + 1) * FRAME]
            if frame.size < FRAME:
                continue
            caller.connection.send(audiosocket.audio(frame.tobytes()))
            for samples in reader.read(caller.connection):
                ear.put(samples)
            # What Asterisk does: a frame each 20 ms from what came, silence where nothing did.
            kept.append(ear.get() if not ear.empty() else np.zeros(FRAME, np.int16))
    for caller, kept in zip(callers, heard, strict=True):
        caller.heard = np.concatenate(kept)
        caller.connection.close()
    return time.thread_time() - used


class _Reader:
    """Reads a bridge's frames; the codec's reader wants the UUID that only Asterisk sends."""

    def __init__(self) -> None:
        self._codec = audiosocket.AudioSocketReader()
        self._codec.feed(audiosocket.hello(uuid.uuid4()))

    def read(self, sock: socket.socket) -> list[Samples]:
        try:
            data = sock.recv(65_536)
        except BlockingIOError:
            return []
        found = [e.data for e in self._codec.feed(data) if isinstance(e, Audio)]
        samples = np.frombuffer(b"".join(found), np.int16)
        return [samples[at : at + FRAME] for at in range(0, samples.size, FRAME)]


@attrs.frozen
class Found:
    """Milliseconds from the onset."""

    total: float
    vad: float
    judge: float
    playout: float


def reaction(caller: Caller, level: float, *, at_once: bool) -> Found | None:
    """Measure until the prompt was last louder than `level`; None: it wasn't stopped.

    With `at_once` the policy doesn't wait for the judge, so that has no part in it.
    """
    started, verdict = caller.first("overlap_started"), caller.first("verdict")
    frames = np.abs(caller.heard.reshape(-1, FRAME).astype(np.int32)).max(axis=1)
    loud = np.flatnonzero(frames > level)
    # One that never stopped is loud to the end.
    if started is None or verdict is None or not loud.size > 0 or loud[-1] > frames.size - 10:
        return None
    total = (loud[-1] + 1) * 0.02 - caller.onset
    vad = started.at - caller.onset
    judge = 0.0 if at_once else max(0.0, verdict.time - started.time)
    return Found(*(1000 * value for value in (total, vad, judge, total - vad - judge)))


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[round(share * (len(ordered) - 1))]


def measure(name: str, policy: BargeInPolicy, arguments: argparse.Namespace, **judge: Any) -> None:
    bench = Bench(policy, judge)
    level = 0.5 * HUM if policy.on_speech == "duck" else 100
    phrases = pieces("interruption") + pieces("turn")
    small = pieces("backchannel") + pieces("noise")
    found: list[Found] = []
    calls = wrong = others = 0
    cpu = seconds = 0.0
    try:
        for number in range(arguments.rounds):
            group = [
                bench.dial(phrases[n % len(phrases)], 1.5 + 0.11 * n + 0.07 * number)
                for n in range(arguments.calls)
            ]
            begin, used = time.monotonic(), time.process_time()
            callers_share = talk(group)
            lasted = time.monotonic() - begin
            cpu += time.process_time() - used - callers_share
            seconds += lasted * len(group)
            for caller in group:
                caller.done.wait(10)
                calls += 1
                got = reaction(caller, level, at_once=policy.on_speech == "duck")
                if got is not None:
                    found.append(got)
            group = [bench.dial(piece, 1.5 + 0.13 * n) for n, piece in enumerate(small)]
            talk(group)
            for caller in group:
                caller.done.wait(10)
                others += 1
                wrong += caller.first("stopped") is not None
    finally:
        bench.close()
    print(f"{name}: {len(found)} of {calls} interruptions heeded")
    for label, share in (("p50", 0.5), ("p95", 0.95)):
        if not found:
            break
        total = percentile([f.total for f in found], share)
        near = min(found, key=lambda f: abs(f.total - total))
        print(
            f"  {label} {total:.0f} ms: VAD {near.vad:.0f}, cadence and judge {near.judge:.0f}, "
            f"playout and network {near.playout:.0f}"
        )
    print(f"  stopped by mm-hmm, coughs, knocks: {wrong} of {others}")
    share = cpu / seconds
    print(f"  CPU {100 * share:.2f} % of a core a call: {1 / share:.0f} calls a core", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=10, help="calls at once")
    parser.add_argument("--rounds", type=int, default=3, help="times that they call")
    parser.add_argument("--short", action="store_true", help="only show that it runs")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.calls, arguments.rounds = 2, 1
        measure("go on until the verdict", BargeInPolicy(), arguments, backend="local")
        return
    go_on, duck = BargeInPolicy(), BargeInPolicy(on_speech="duck")
    measure("go on until the verdict", go_on, arguments, backend="local")
    finer = {"backend": "local", "detection_interval": 0.05}
    measure("the same, a window each 0.05 s", go_on, arguments, **finer)
    eager = {"backend": "local-eager", "detection_interval": 0.05}
    measure("the same, of the eager judge", go_on, arguments, **eager)
    measure("the same, threshold 0.2", go_on, arguments, backend="local", threshold=0.2)
    measure("the same, sustained speech", go_on, arguments, backend="local-sustained")
    measure("duck at once", duck, arguments, backend="local")


if __name__ == "__main__":
    main()
