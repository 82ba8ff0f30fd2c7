"""What one core of ``bargein serve`` can do: ``python -m benchmarks.serving [--short]``.

Sessions in overlap send a window of 3 s ten times a second, from the example call's caller, each
from another place. ``steady`` is one overlap that never ends; in ``calls`` an overlap lasts 2 s and
the next begins at once, elsewhere: its first window holds 1.4 s and is judged from its start.
How many sessions are held is found by bisection: 99 of 100 windows must be answered within
100 ms, and one that is superseded counts as unanswered. ``--sessions 100`` tells of so many alone,
``--costs`` of CPU alone, ``--batches`` what windows cost the judge that come together.

The server has a core of its own where the system lets it be given one; this process, whose frames
are made ready beforehand, has the others. Windows are sent as a client sends them, but masked with
zeros, which costs this side nothing and the server the same.

``--labelled SET`` (a folder of ``training.labelled_set``) judges the half to report on as well:
in process, and served over WebSocket and HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).parents[1]
CALL = ROOT / "examples" / "call" / "call.flac"
RATE = 16_000
INTERVAL = 0.1
BOUND = 0.1
"""Seconds within which 99 of 100 windows must be answered."""

SHARE = 0.99
FIRST, LONGEST = round(1.4 * RATE), 3 * RATE
"""Samples: an overlap's first window (1 s of prefix, 0.3 s until it was noticed, and the first
interval), and the longest."""

BUSY = 100
"""Sessions while CPU is measured: 1,000 windows a second, so a millisecond each fills a core."""

CALL_WINDOWS = 20
WARM_UP = 2.5
"""Seconds that aren't counted: overlaps come to be of different ages, and the first windows, which
all come at once, are over."""


@attrs.frozen
class Load:
    """How the sessions speak."""

    name: str
    steady: bool


LOADS = (Load("steady", True), Load("calls", False))


# --- audio --------------------------------------------------------------------------------------


def caller() -> npt.NDArray[np.int16]:
    """Return the example call's caller at 16 kHz, twice in a row: any 3 s of it is a slice."""
    from bargein.audio.files import open_recording
    from bargein.audio.resample import Converter

    with open_recording(CALL) as recording:
        converter = Converter(recording.sample_rate)
        pieces = [converter.push(block[:, 0].copy()) for block in recording.blocks()]
    once = np.concatenate(pieces)
    return np.concatenate((once, once))


def cuts(audio: npt.NDArray[np.int16], place: int, load: Load) -> Iterator[memoryview]:
    """Give a session's windows, as bytes, for ever."""
    data = memoryview(audio.astype("<i2").tobytes())
    half = len(audio) // 2
    dice = np.random.default_rng(place)
    start, end = int(dice.integers(half)), 0
    number = 0
    while True:
        if number == 0 or (not load.steady and number % CALL_WINDOWS == 0):
            start = int(dice.integers(half - LONGEST))
            end = start + (LONGEST if load.steady else FIRST)
        yield data[2 * max(start, end - LONGEST) : 2 * end]
        number += 1
        end += round(INTERVAL * RATE)
        if end > len(audio):
            start, end = 0, end - half


# --- WebSocket ----------------------------------------------------------------------------------


class Session(asyncio.Protocol):
    """One session: a bare client that costs as little as can be."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.sent: dict[int, float] = {}
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self._buffer = bytearray()
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        nonce = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            "GET /bargein HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}"
            "\r\n\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        """Tell who still waits."""
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Read replies; note how long they took."""
        self._buffer += data
        if not self._open:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._buffer, self._open = rest, True
            settings = {"sample_rate": RATE, "num_channels": 1, "min_frames": 2}
            created = {"type": "session.create", "settings": settings | {"encoding": "s16le"}}
            text = json.dumps(created).encode()
            self.transport.write(b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text)
        while (frame := self._frame()) is not None:
            self._take(*frame)

    def _frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        size, begin = buffer[1], 2
        if size == 126:
            size, begin = int.from_bytes(buffer[2:4], "big"), 4
        if len(buffer) < begin + size:
            return None
        frame = buffer[0] & 15, bytes(buffer[begin : begin + size])
        del buffer[: begin + size]
        return frame

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == 9:
            self.transport.write(bytes((0x8A, 0x80 | len(payload))) + bytes(4) + payload)
        if opcode != 1:
            return
        message = json.loads(payload)
        if message["type"] == "session.created":
            self.ready.set_result(None)
        elif "created_at" in message:
            sent = self.sent.pop(message["created_at"], None)
            if sent is not None:
                self.delays.append(time.perf_counter() - sent)

    def send(self, number: int, samples: memoryview, *, noted: bool) -> None:
        """Send a window."""
        head = b"\x82\xff" + (len(samples) + 8).to_bytes(8, "big") + bytes(4)
        if noted:
            self.sent[number] = time.perf_counter()
        self.transport.writelines([head + number.to_bytes(8, "little"), samples])


async def crowd(
    port: int, count: int, load: Load, seconds: float, audio: npt.NDArray[np.int16]
) -> list[float]:
    """Run so many sessions; return the delays of all windows but the first second's, sorted.

    A window that isn't answered counts as infinite.
    """
    loop = asyncio.get_running_loop()
    sessions: list[Session] = []
    for _ in range(count):
        _, session = await loop.create_connection(Session, "127.0.0.1", port)
        sessions.append(session)
    await asyncio.gather(*(session.ready for session in sessions))

    async def speak(place: int, session: Session) -> None:
        windows = cuts(audio, place, load)
        begin = loop.time() + INTERVAL * (place + 1) / count
        if not load.steady:
            begin += (place * 7 % CALL_WINDOWS) * INTERVAL
        for number in range(round((WARM_UP + seconds) / INTERVAL)):
            due = begin + number * INTERVAL
            await asyncio.sleep(max(0.0, due - loop.time()))
            session.send(number + 1, next(windows), noted=number >= WARM_UP / INTERVAL)

    await asyncio.gather(*(speak(*pair) for pair in enumerate(sessions)))
    await asyncio.sleep(0.5)
    delays = [delay for session in sessions for delay in session.delays]
    delays += [float("inf") for session in sessions for _ in session.sent]
    for session in sessions:
        session.transport.abort()
    await asyncio.sleep(0.1)  # the server's goodbyes
    return sorted(delays)


def percentile(ordered: list[float], share: float) -> float:
    """Return a percentile of sorted values."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def held(port: int, load: Load, seconds: float, audio: npt.NDArray[np.int16], most: int) -> int:
    """Return how many sessions are held: doubled until it fails, then bisected to 8 %."""

    def holds(count: int) -> bool:
        # Others share the machine: a failure counts when it happens twice.
        for _ in range(2):
            delays = asyncio.run(crowd(port, count, load, seconds, audio))
            p99 = percentile(delays, SHARE)
            print(f"  {load.name} {count}: p99 {p99 * 1e3:.0f} ms", file=sys.stderr, flush=True)
            if p99 < BOUND:
                return True
        return False

    good, bad = 0, most + 1
    count = min(24, most)
    while good < most and holds(count):
        good, count = count, min(2 * count, most)
    bad = count if good < most else most + 1
    while bad - good > max(1, bad // 12) and bad <= most:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good


def cost(
    running: Server,
    load: Load,
    seconds: float,
    audio: npt.NDArray[np.int16],
    options: dict[str, Any],
    most: int,
) -> float:
    """Return the CPU that a window takes, seconds, while so many sessions speak as a core should
    hold. Says more than a clock does on a machine that others use, too."""
    count = BUSY if options.get("align", True) else 10
    count = min(count, most)
    before = running.cpu()
    delays = asyncio.run(crowd(running.port, count, load, seconds, audio))
    # The warm-up's windows cost as much, and aren't in the list.
    return (running.cpu() - before) / (len(delays) * (WARM_UP + seconds) / seconds)


def tell(port: int, count: int, seconds: float, audio: npt.NDArray[np.int16]) -> None:
    """Print how long so many sessions wait for their answers."""
    print("| sessions | p50, ms | p99, ms | not answered |\n| --- | --- | --- | --- |")
    for load in LOADS:
        delays = asyncio.run(crowd(port, count, load, seconds, audio))
        half, most = (percentile(delays, share) * 1e3 for share in (0.5, SHARE))
        lost = sum(delay == float("inf") for delay in delays) / len(delays)
        print(f"| {count} {load.name} | {half:.0f} | {most:.0f} | {lost:.2%} |", flush=True)


# --- the judge alone ----------------------------------------------------------------------------


def batches(audio: npt.NDArray[np.int16]) -> None:
    """Print what a window that goes on from another costs the judge, by how many come at once."""
    from bargein.backends import BatchBackend, resolve_backend
    from bargein.core import Window

    judge = resolve_backend("local")
    assert isinstance(judge, BatchBackend)
    print("| windows at once | CPU a window, ms |\n| --- | --- |")
    for size in (1, 8, 32):
        best = float("inf")
        for _ in range(3):
            sessions = [judge.open_session(str(place)) for place in range(32)]
            streams = [cuts(audio, place, LOADS[0]) for place in range(32)]
            for number in range(10):
                windows = [
                    Window(
                        id=number + 1,
                        overlap=1,
                        samples=np.frombuffer(next(stream), "<i2").astype(np.int16, copy=False),
                        start=round(number * INTERVAL * RATE),
                        min_frames=2,
                    )
                    for stream in streams
                ]
                jobs = list(zip(sessions, windows, strict=True))
                if number == 1:  # each overlap's first is judged from its start
                    begin = time.thread_time()
                for at in range(0, len(jobs), size):
                    judge.predict_many(jobs[at : at + size])
            best = min(best, (time.thread_time() - begin) / (9 * len(sessions)))
        print(f"| {size} | {best * 1e3:.2f} |", flush=True)


# --- HTTP ---------------------------------------------------------------------------------------


async def requests(
    port: int, connections: int, seconds: float, audio: npt.NDArray[np.int16]
) -> list[float]:
    """Ask over so many connections as fast as answers come; return the delays, sorted."""
    delays: list[float] = []
    end = time.perf_counter() + seconds

    async def ask(place: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for samples in cuts(audio, place, LOADS[0]):
            begin = time.perf_counter()
            if begin > end:
                break
            writer.writelines(
                [
                    b"POST /bargein?min_frames=2&created_at=1 HTTP/1.1\r\nHost: localhost\r\n"
                    b"Content-Length: %d\r\n\r\n" % len(samples),
                    samples,
                ]
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            await reader.readexactly(length)
            delays.append(time.perf_counter() - begin)
        writer.close()

    await asyncio.gather(*(ask(place) for place in range(connections)))
    return sorted(delays)


# --- the server ---------------------------------------------------------------------------------


@attrs.frozen
class Server:
    """A server that runs."""

    port: int
    process: int

    def cpu(self) -> float:
        """Return the seconds of CPU that it and its workers have had; NaN where none can tell."""
        ticks = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # a process that ended
                fields = path.read_text().rpartition(")")[2].split()
                if self.process in (int(path.parent.name), int(fields[1])):
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK") if ticks else float("nan")


@contextlib.contextmanager
def server(**options: Any) -> Iterator[Server]:
    """Run a server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.serving", "--serve", json.dumps(options)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Server(int(process.stdout.readline()), process.pid)
        finally:
            process.kill() if options.get("workers", 1) == 1 else process.terminate()


def serve(options: dict[str, Any]) -> None:
    """Be the server."""
    from bargein.server.config import ServerConfig
    from bargein.server.run import serve

    cores = options.pop("cores")
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    workers = options.pop("workers", 1)
    config = ServerConfig(
        requests_per_second=1e6, drain_timeout=0.1, windows_per_second=1e6, **options
    )
    serve(
        lambda: "local",
        config,
        host="127.0.0.1",
        port=0,
        workers=workers,
        ready=lambda port: print(port, flush=True),
    )


# --- verdicts -----------------------------------------------------------------------------------


def verdicts(folder: Path) -> list[str]:
    """Judge the labelled set's half to report on, in process and served; return table rows."""
    from bargein.backends import Backend, resolve_backend
    from training.evaluate import judge
    from training.replay import read_manifest

    from .served import ServedBackend

    clips = [(clip, "labelled") for clip in read_manifest(folder, "report")]
    local = resolve_backend("local")
    threshold = local.default_threshold
    assert threshold is not None
    rows = []
    with server(cores=[]) as running:
        judges: dict[str, Backend] = {
            "in process": local,
            "WebSocket": ServedBackend(f"ws://127.0.0.1:{running.port}"),
            "HTTP": ServedBackend(f"http://127.0.0.1:{running.port}"),
        }
        for name, judged in judge(clips, judges).items():
            decided: dict[str, list[float | None]] = {
                label: [each.decided(threshold) for each in judged if each.clip.label == label]
                for label in ("interruption", "backchannel", "noise")
            }
            shares = [sum(at is not None for at in each) / len(each) for each in decided.values()]
            delays = [at for at in decided["interruption"] if at is not None]
            cells = " | ".join(f"{share:.3f}" for share in shares)
            rows.append(f"| {name} | {cells} | {np.median(delays) * 1e3:.0f} |")
    return rows


# --- the run ------------------------------------------------------------------------------------


def main() -> int:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="small numbers, to see that all works")
    parser.add_argument("--seconds", type=float, default=4.0, help="for which a crowd is watched")
    parser.add_argument("--costs", action="store_true", help="CPU alone, and no search")
    parser.add_argument("--sessions", type=int, help="how long so many wait, and no search")
    parser.add_argument("--batches", action="store_true", help="what batches save the judge")
    parser.add_argument("--only", help="the row of this name")
    parser.add_argument("--labelled", type=Path, help="a folder of training.labelled_set")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(json.loads(given.serve))
        return 0
    seconds, most = (0.5, 3) if given.short else (given.seconds, 1600)
    audio = caller()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    mine, its = (cores[1:], cores[:1]) if len(cores) > 1 else (cores, cores)
    if given.batches:
        batches(audio)
        return 0
    if given.sessions:
        if mine:
            os.sched_setaffinity(0, mine)
        with server(cores=its) as running:
            tell(running.port, given.sessions, seconds, audio)
        return 0
    cases: list[tuple[str, dict[str, Any]]] = [
        ("1 worker", {"cores": its}),
        ("1 worker, no batches", {"cores": its, "max_batch": 1}),
        ("1 worker, nothing aligned", {"cores": its, "align": False}),
        ("2 workers", {"cores": cores[:2], "workers": 2}),
    ]
    cases = [case for case in cases if given.only in (None, case[0])]
    if not given.labelled or given.only:
        print(
            "| server | steady overlaps held | calls held | CPU a window, ms: steady | calls "
            "| HTTP | HTTP windows/s | p50, ms |"
        )
        print("| --- " * 8 + "|")
    else:
        cases = []
    for name, options in cases:
        if mine:
            os.sched_setaffinity(0, cores if options.get("workers") else mine)
        with server(**options) as running:
            costs = [cost(running, load, seconds, audio, options, most) for load in LOADS]
            counts = (
                ["", ""]
                if given.costs
                else [held(running.port, load, seconds, audio, most) for load in LOADS]
            )
            before = running.cpu()
            delays = asyncio.run(requests(running.port, 2 if given.short else 8, seconds, audio))
            costs.append((running.cpu() - before) / len(delays))
        per_second = len(delays) / seconds
        cells = [*(str(count) for count in counts), *(f"{each * 1e3:.2f}" for each in costs)]
        cells += [f"{per_second:.0f}", f"{percentile(delays, 0.5) * 1e3:.0f}"]
        print(f"| {name} | " + " | ".join(cells) + " |")
        sys.stdout.flush()
    if given.labelled:
        print("\n| judged | interruptions found | backchannels | noise | median delay, ms |")
        print("| --- | --- | --- | --- | --- |")
        print(*verdicts(given.labelled), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
