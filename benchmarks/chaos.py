"""Everything goes wrong at once: ``python -m benchmarks.chaos [--seed N] [--short]``.

Streams over both transports, each with a caller who keeps interrupting, against two servers that
stall, drip, drop, close, talk nonsense, refuse and answer late, by chance from a seed. Every
overlap must end in one event, and nothing may be left behind; else the exit code is 1. Intervals
are a fifth of the defaults, so that thousands of overlaps take a minute or two.

The chances are drawn from the seed; which window meets which is up to the machine's timing.
"""

from __future__ import annotations

import argparse
import collections
import gc
import logging
import multiprocessing
import random
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from typing import Any

import attrs

from bargein import AdaptiveInterruptionDetector, OverlappingSpeechEvent
from bargein.core.connect_options import APIConnectOptions
from bargein.runtime.pool import connect_pool, http_pool, inference_pool
from bargein.stream import InterruptionStreamBase
from benchmarks.load import FRAME, descriptors
from benchmarks.server import Connection, Server, frame, response

TIMEOUT = 0.14
"""Seconds that a window may take: a fifth of the default, as the other intervals."""

OPTIONS: dict[str, Any] = {
    "detection_interval": 0.02,
    "inference_timeout": TIMEOUT,
    "verdict_grace": 0.04,
}
CONNECT = APIConnectOptions(max_retry=None, retry_interval=0.4, timeout=1.0)

SETTLE = 15.0
"""Seconds at the end in which events, threads and descriptors must come to rest."""

WORST_PUSH = 5e-3
"""Seconds that no push may take unless a thread that only sleeps is as late as that."""


# --- the servers --------------------------------------------------------------------------------


class Chaos:
    """Answers most windows, and does to the rest what networks do. One for each transport."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self.done: collections.Counter[str] = collections.Counter()
        faults: list[tuple[float, Callable[[Connection, int], None]]] = [
            (70, self._answer),
            (6, self._late),
            (5, self._stall),
            (3, self._drip),
            (2, self._drop),
            (1, self._cut),
            (2, self._complain),
            (2, self._babble),
            (1, self._close),
            (1, self._fragment),
        ]
        self._weights = [weight for weight, _ in faults]
        self._faults = [fault for _, fault in faults]

    # Plan

    def connected(self, connection: Connection) -> bool:
        """Refuse a few: a status, silence, a lost connection."""
        if connection.windows:
            return True
        luck = self._dice.random()
        if luck < 0.03:
            self.done["refused"] += 1
            connection.send(response(503, "busy"))
            connection.quit()
        elif luck < 0.04:
            self.done["throttled"] += 1
            connection.send(response(429, "slowly", "Retry-After: 1"))
            connection.quit()
        elif luck < 0.05:
            self.done["ignored"] += 1
        elif luck < 0.07:
            self.done["hung up"] += 1
            connection.close(reset=luck < 0.06)
        else:
            return True
        return False

    def window(self, connection: Connection, window_id: int) -> None:
        """Draw what happens to a window."""
        fault = self._dice.choices(self._faults, self._weights)[0]
        self.done[fault.__name__.strip("_")] += 1
        fault(connection, window_id)

    # what happens to a window

    def _answer(self, connection: Connection, window_id: int) -> None:
        positive = self._dice.random() < 0.04
        delay = self._dice.uniform(0.001, 0.06)
        connection.later(delay, lambda: connection.reply(window_id, positive))

    def _late(self, connection: Connection, window_id: int) -> None:
        delay = self._dice.uniform(1, 3) * TIMEOUT
        connection.later(delay, lambda: connection.reply(window_id, True))

    def _stall(self, connection: Connection, window_id: int) -> None:
        """Say nothing, ever."""

    def _drip(self, connection: Connection, window_id: int) -> None:
        answer = connection.reply_bytes(window_id, False)
        pieces = [answer[at : at + 100] for at in range(0, len(answer), 100)]

        def go_on() -> None:
            connection.send(pieces.pop(0))
            if pieces:
                connection.later(0.02, go_on)

        go_on()

    def _drop(self, connection: Connection, window_id: int) -> None:
        connection.close(reset=True)

    def _cut(self, connection: Connection, window_id: int) -> None:
        connection.send(connection.reply_bytes(window_id, True)[:200])
        connection.quit()

    def _complain(self, connection: Connection, window_id: int) -> None:
        code = self._dice.choice((408, 429, 499, 500, 503))
        if connection.websocket:
            connection.send_text(f'{{"type":"error","message":"no","code":{code}}}')
        else:
            retry = ("Retry-After: 1",) if code == 429 else ()
            connection.send(response(code, "no", *retry))

    def _babble(self, connection: Connection, window_id: int) -> None:
        noise = self._dice.randbytes(self._dice.randrange(1, 2000))
        if not connection.websocket:
            connection.send(response(200, noise.hex()))
        elif self._dice.random() < 0.5:
            connection.send_frame(0x1, noise)
        else:
            connection.send(noise)

    def _close(self, connection: Connection, window_id: int) -> None:
        if connection.websocket:
            code = self._dice.choice((1000, 1001, 1011, 1012))
            connection.send_frame(0x8, code.to_bytes(2, "big"))
        connection.quit()

    def _fragment(self, connection: Connection, window_id: int) -> None:
        if not connection.websocket:
            self._answer(connection, window_id)
            return
        text = f'{{"type":"inference_done","created_at":{window_id},"probabilities":[0.1]}}'
        parts = [text[at : at + 10].encode() for at in range(0, len(text), 10)]
        for number, part in enumerate(parts):
            whole = bytearray(frame(0x1 if number == 0 else 0x0, part))
            if number < len(parts) - 1:
                whole[0] &= 0x7F
            connection.send(bytes(whole))
            connection.send_frame(0x9, b"ping")


def run_server(seed: int, pipe: Pipe) -> None:
    """Serve in a process of its own until the pipe says so; tell what was done."""
    plan = Chaos(seed)
    server = Server(plan)
    pipe.send(server.port)
    while not pipe.poll():
        server.step(0.05)
    pipe.send(dict(plan.done))


# --- the callers --------------------------------------------------------------------------------


class Ledger:
    """What began and what came of it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.begun: collections.Counter[str] = collections.Counter()
        self.ended: collections.Counter[str] = collections.Counter()
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.errors = 0

    def hear(self, event: OverlappingSpeechEvent) -> None:
        """Take an event."""
        with self._lock:
            self.ended[event.stream_id or ""] += 1
            reason = f" ({event.reason.value})" if event.reason is not None else ""
            self.outcomes[event.outcome.value + reason] += 1

    def hear_error(self, _: object) -> None:
        """Take an error event."""
        with self._lock:
            self.errors += 1


@attrs.define(eq=False)
class Caller:
    """A line: call after call, overlap after overlap, by the dice. The pacing thread's alone."""

    detector: AdaptiveInterruptionDetector
    name: str
    dice: random.Random
    ledger: Ledger
    calls: int = 0
    stream: InterruptionStreamBase | None = None
    overlap: bool = False
    until: int = 0
    """The tick at which something changes."""
    left: int = 0
    """Overlaps until the call is over."""
    frame: bytes = bytes(320)

    def tick(self, number: int, stopping: bool) -> float:
        """Do what 20 ms bring; return how long the push took, seconds."""
        if number >= self.until:
            self._change(number, stopping)
        if self.stream is None:
            return 0.0
        begin = time.perf_counter()
        self.stream.push_frame(self.frame)
        return time.perf_counter() - begin

    def _change(self, number: int, stopping: bool) -> None:
        dice = self.dice
        self.until = number + dice.randrange(3, 25)
        if self.stream is None:
            if not stopping:
                self._call()
        elif self.left <= 0 or stopping:
            self._hang_up()
        elif not self.overlap:
            self.stream.overlap_speech_started(speech_duration=dice.choice((0.0, 0.2, 2.0)))
            self.ledger.begun[self.stream.id] += 1
            self.overlap = True
        else:
            self._end_overlap(self.stream)
            self.until = number + dice.randrange(1, 15)
        if self.stream is not None and dice.random() < 0.02:
            self.stream.update_options(threshold=dice.choice((None, 0.4, 0.6)))

    def _end_overlap(self, stream: InterruptionStreamBase) -> None:
        self.overlap = False
        self.left -= 1
        luck = self.dice.random()
        if luck < 0.8:
            stream.overlap_speech_ended()
        elif luck < 0.9:  # the agent stops, and starts anew
            stream.overlap_speech_ended(agent_ended=True)
            stream.agent_speech_ended()
            stream.agent_speech_started()
        else:  # nobody tells of the end: the agent's end must
            stream.agent_speech_ended()
            stream.agent_speech_started()

    def _call(self) -> None:
        self.calls += 1
        self.left = self.dice.randrange(2, 40)
        self.overlap = False
        self.stream = stream = self.detector.stream(
            id=f"{self.name}.{self.calls}", sample_rate=8_000, encoding="mulaw"
        )
        self.frame = bytes([0xFF]) * 160
        stream.agent_speech_started()

    def _hang_up(self) -> None:
        """End a call in one of the ways there are, in the middle of an overlap too."""
        assert self.stream is not None
        if self.dice.random() < 0.5:
            self.stream.end_input()  # it ends by itself, once all is answered
        else:
            self.stream.close(0.0)
        self.stream = None


def watch_sleep(stop: threading.Event, late: list[float]) -> None:
    """Note how late a thread is that only sleeps: the scheduler's doing, and the interpreter's."""
    while not stop.is_set():
        begin = time.perf_counter()
        time.sleep(FRAME / 4)
        late.append(time.perf_counter() - begin - FRAME / 4)


# --- the run ------------------------------------------------------------------------------------


@attrs.frozen
class Report:
    """What came of a run."""

    ledger: Ledger
    pushes: list[float]
    late: list[float]
    seconds: float
    calls: int


def run(ports: dict[str, int], seed: int, streams: int, overlaps: int, limit: float) -> Report:
    """Keep the lines busy until so many overlaps began, or so many seconds are over."""
    ledger = Ledger()
    detectors = [
        AdaptiveInterruptionDetector(
            base_url=f"http://127.0.0.1:{port}",
            transport=transport,  # type: ignore[arg-type]
            conn_options=CONNECT,
            fallback=fallback,
            **OPTIONS,
        )
        for transport, port in ports.items()
        for fallback in (None, "fail_open", "fail_closed", hunch)
    ]
    for detector in detectors:
        detector.on("overlapping_speech", ledger.hear)
        detector.on("error", ledger.hear_error)
    dice = random.Random(seed)
    callers = [
        Caller(detectors[n % len(detectors)], str(n), random.Random(dice.random()), ledger)
        for n in range(streams)
    ]
    stop, late, pushes = threading.Event(), [0.0], [0.0]
    sleeper = threading.Thread(target=watch_sleep, args=(stop, late))
    sleeper.start()
    begin = time.monotonic()
    number = 0
    stopping = False
    while not stopping or any(caller.stream is not None for caller in callers):
        stopping = ledger.begun.total() >= overlaps or time.monotonic() > begin + limit
        time.sleep(max(0.0, begin + number * FRAME - time.monotonic()))
        for caller in callers:
            pushes.append(caller.tick(number, stopping))
        number += 1
    stop.set()
    sleeper.join()
    wait_for(lambda: ledger.begun == ledger.ended)
    seconds = time.monotonic() - begin
    for detector in detectors:
        detector.close()
    return Report(ledger, pushes, late, seconds, sum(caller.calls for caller in callers))


def hunch(window: Any) -> list[float]:
    """Judge as a fallback of the user's own: never an interruption, and sometimes broken."""
    if window.id % 17 == 0:
        raise RuntimeError("the user's own judge is broken")
    return [0.1] * (-(-len(window.samples) // 400))


def wait_for(condition: Callable[[], bool]) -> bool:
    """Wait until a condition holds, as long as things may take to settle."""
    until = time.monotonic() + SETTLE
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return condition()


def tell(report: Report) -> bool:
    """Print what came of it; return whether each overlap had its event."""
    ledger = report.ledger
    begun, ended = ledger.begun.total(), ledger.ended.total()
    print(f"{begun} overlaps began in {report.calls} calls, in {report.seconds:.0f} s; ", end="")
    print(f"{ended} ended, {ledger.errors} error events")
    for outcome, count in sorted(ledger.outcomes.items()):
        print(f"  {outcome:28}{count:7}")
    odd = {
        name: (ledger.begun[name], ledger.ended[name])
        for name in ledger.begun | ledger.ended
        if ledger.begun[name] != ledger.ended[name]
    }
    if odd:
        print(f"  streams whose counts differ, begun and ended: {odd}")
    pushes, late = sorted(report.pushes), sorted(report.late)
    for name, times in (("push_frame", pushes), ("a sleeping thread, late by", late)):
        slow = sum(each > WORST_PUSH for each in times) / len(times)
        print(f"{name}: median {times[len(times) // 2] * 1e6:.1f} us, ", end="")
        print(f"worst {times[-1] * 1e3:.2f} ms, over 5 ms {slow:.3%}")
    # Two maxima of the same scheduler differ; a push that waits for I/O would be far beyond.
    print("explained" if pushes[-1] <= max(WORST_PUSH, 2 * late[-1]) else "NOT EXPLAINED")
    return not odd


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--streams", type=int, default=24)
    parser.add_argument("--overlaps", type=int, help="that shall begin; 2,400")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds at most")
    parser.add_argument("--short", action="store_true", help="a few seconds")
    options = parser.parse_args()
    overlaps = options.overlaps or (120 if options.short else 2_400)
    logging.getLogger("bargein").setLevel(logging.CRITICAL + 1)
    context = multiprocessing.get_context("spawn")
    servers = {}
    for number, transport in enumerate(("websocket", "http")):
        ours, theirs = context.Pipe()
        process = context.Process(target=run_server, args=(options.seed + number, theirs))
        process.start()
        theirs.close()
        servers[transport] = (process, ours)
    ports = {transport: pipe.recv() for transport, (_, pipe) in servers.items()}
    threads, fds = threading.active_count(), descriptors()
    report = run(ports, options.seed, options.streams, overlaps, options.limit)
    even = tell(report)
    gc.collect()
    if options.short:  # else wait for them: a pool's thread stays for ten seconds without work
        for pool in (connect_pool, http_pool, inference_pool):
            pool.stop()
    rested = wait_for(lambda: threading.active_count() <= threads and descriptors() <= fds)
    print(f"threads: {threads} before, {threading.active_count()} after; ", end="")
    print(f"descriptors: {fds} before, {descriptors()} after")
    if not rested:
        print("  left:", [thread.name for thread in threading.enumerate()])
    for transport, (process, pipe) in servers.items():
        pipe.send(None)
        done = pipe.recv()
        process.join()
        print(f"{transport}:", ", ".join(f"{what} {count}" for what, count in sorted(done.items())))
    print(f"seed {options.seed}:", "all is well" if even and rested else "FAILED")
    return 0 if even and rested else 1


if __name__ == "__main__":
    sys.exit(main())
