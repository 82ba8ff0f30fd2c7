"""The server goes away in the middle of calls, and comes back: ``python -m benchmarks.outage``.

Fifty calls in real time, each with a caller who interrupts again and again in recorded speech
(``examples/call``), and a judge on loopback that is killed in mid-overlap and started again on the
same port ten seconds later; with ``--freeze`` it is stopped instead, and says nothing more on
connections that stay open. Over WebSocket and over HTTP, with the local judge as the fallback and
with none, ``max_retry=None``. The guarantees, or the exit code is 1:

- each overlap has exactly one event, in every case;
- with the fallback each caller who speaks during the outage is heard;
- without, each overlap that lies within the outage is inconclusive;
- each stream lives on, is told of the outage once at most, and has verdicts again.

Delays are from the onset of the caller's speech to the listener's call. The judge on loopback says
yes to any window with 0.5 s of the overlap in it, after 20 ms: it stands for a network, not for a
model. ``--short`` runs all four cases at once, with a few calls, in seconds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
import numpy.typing as npt

from bargein import (
    AdaptiveInterruptionDetector,
    InterruptionDetectionError,
    OverlappingSpeechEvent,
)
from bargein.audio.files import open_recording
from bargein.audio.g711 import encode_mulaw
from bargein.core.connect_options import APIConnectOptions
from bargein.stream import InterruptionStreamBase
from benchmarks.load import FRAME
from benchmarks.server import Connection, Server

CALL = Path(__file__).resolve().parents[1] / "examples" / "call"
RATE = 8_000
SAMPLES = round(FRAME * RATE)

QUIET = 1.2
"""Seconds that the agent speaks before its caller does: longer than a window's prefix."""
TOLD = 0.2
"""Seconds of speech after which the caller's VAD fires."""
HANG_OVER = 0.3
"""Seconds of silence after which it says that the caller stopped."""
PAUSE = 0.6
"""Seconds from there to the end of the agent's turn: more than the grace."""
BETWEEN = 0.3
"""Seconds between the agent's turns."""

DELAY = 0.02
"""Seconds in which the judge on loopback answers."""
ENOUGH = 2 * 16_000 * (1.0 + 0.5)
"""Bytes of a window that it takes for an interruption: the prefix, and 0.5 s of the overlap."""

MIDDLE = 0.15
"""Seconds from the VAD's word: the first window is out, and can't have decided."""

IN_VAIN = 5.0
"""Seconds in which an overlap must be found for the outage to begin in."""

SETTLE = 15.0
"""Seconds in which all must have come to rest at the end."""

Phase = Literal["before", "as it begins", "during", "as it ends", "after"]
PHASES: tuple[Phase, ...] = ("before", "as it begins", "during", "as it ends", "after")


# --- the server ---------------------------------------------------------------------------------


class Judge:
    """Says yes to a window that holds enough of an overlap."""

    def connected(self, connection: Connection) -> bool:
        """Take everybody."""
        return True

    def window(self, connection: Connection, window_id: int) -> None:
        """Answer a little later."""
        positive = connection.size >= ENOUGH
        connection.later(DELAY, lambda: connection.reply(window_id, positive))


def run_server(pipe: Any) -> None:
    """Serve for ever in a process of its own, once the pipe says on which port; tell the port."""
    server = Server(Judge(), pipe.recv())
    pipe.send(server.port)
    while True:
        server.step(1.0)


class Service:
    """The server, to be taken away and brought back: by a second process, or the same one."""

    def __init__(self, *, freezes: bool) -> None:
        self._freezes = freezes
        context = multiprocessing.get_context("spawn")
        self._servers: list[tuple[Any, Any]] = []
        for _ in range(2):  # a process takes seconds to start: it is there when it is needed
            ours, theirs = context.Pipe()
            process = context.Process(target=run_server, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._servers.append((process, ours))
        self.port = self._begin(0, 0)

    def _begin(self, number: int, port: int) -> int:
        pipe = self._servers[number][1]
        pipe.send(port)
        listening: int = pipe.recv()
        return listening

    def take_away(self) -> None:
        """Be gone."""
        process = self._servers[0][0]
        if self._freezes:
            os.kill(process.pid, signal.SIGSTOP)
        else:
            process.kill()
            process.join()

    def bring_back(self) -> None:
        """Be there again, on the same port."""
        if self._freezes:
            os.kill(self._servers[0][0].pid, signal.SIGCONT)
        else:
            self._begin(1, self.port)

    def stop(self) -> None:
        """End the processes."""
        for process, pipe in self._servers:
            process.kill()
            process.join()
            pipe.close()


# --- what the callers say -----------------------------------------------------------------------


@attrs.frozen(eq=False)
class Speech:
    """An agent's turn in which the caller interrupts, in frames of 20 ms of u-law."""

    name: str
    frames: Sequence[bytes]
    onset: float
    """Seconds into it at which the caller begins to speak."""
    told: int
    """The frame before which the caller's VAD fires."""
    ended: int
    """The frame before which it says that the caller stopped."""


def speeches() -> list[Speech]:
    """Return the example call's interruptions, each behind the line's own background."""
    contents = json.loads((CALL / "contents.json").read_text(encoding="utf-8"))
    with open_recording(CALL / "call.flac") as recording:
        assert recording.sample_rate == RATE
        line = np.concatenate([block[:, 0] for block in recording.blocks()])
    found = [each for each in contents["caller"] if each["label"] in ("interruption", "turn")]
    return [_speech(line, each) for each in found]


def _speech(line: npt.NDArray[np.int16], found: dict[str, Any]) -> Speech:
    onset, end = round(found["onset"] * RATE), round(found["end"] * RATE)
    background = line[onset - round(0.6 * RATE) : onset]
    quiet = np.resize(background, round(QUIET * RATE))
    tail = np.resize(background, round((HANG_OVER + PAUSE) * RATE))
    samples = np.concatenate((quiet, line[onset:end], tail))
    samples = samples[: len(samples) // SAMPLES * SAMPLES]
    heard = (end - onset) / RATE
    return Speech(
        name=found["text"],
        frames=[encode_mulaw(each) for each in samples.reshape(-1, SAMPLES)],
        onset=QUIET,
        told=round((QUIET + TOLD) / FRAME),
        ended=round((QUIET + heard + HANG_OVER) / FRAME),
    )


def rehearse(says: Sequence[Speech]) -> list[float | None]:
    """Return how soon the local judge hears each where nothing is wrong; ``None``: never."""
    with AdaptiveInterruptionDetector(backend="local") as detector:
        lines = [
            Line(detector.stream(id=speech.name, sample_rate=RATE, encoding="mulaw"), [speech])
            for speech in says
        ]
        begin = time.monotonic()
        for number in range(max(len(speech.frames) for speech in says)):
            time.sleep(max(0.0, begin + number * FRAME - time.monotonic()))
            for line in lines:
                line.tick(time.monotonic(), stopping=number > 0)
        overlaps = [line.overlaps[0] for line in lines]
        return [each.delay if each.outcome == "interruption" else None for each in overlaps]


# --- a call -------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Overlap:
    """One overlap of a call, and what came of it. Times are monotonic seconds."""

    told: float
    onset: float
    key: float
    """What its event echoes."""
    ended: float = 0.0
    events: list[tuple[float, OverlappingSpeechEvent]] = attrs.field(factory=list)

    @property
    def outcome(self) -> str:
        """Its first event's outcome, and the reason if there is one."""
        if not self.events:
            return "NO EVENT"
        event = self.events[0][1]
        return event.outcome.value + (f" ({event.reason.value})" if event.reason else "")

    @property
    def delay(self) -> float:
        """Seconds from the onset to the listener's call."""
        return self.events[0][0] - self.onset


@attrs.define(eq=False)
class Line:
    """A call: the agent's turns one after the other, and the caller who interrupts each.

    The pacing thread's alone, but for the listeners.
    """

    stream: InterruptionStreamBase
    says: Sequence[Speech]
    wait: int = 0
    """Frames until it begins: calls don't interrupt in step."""
    overlaps: list[Overlap] = attrs.field(factory=list)
    errors: list[tuple[float, InterruptionDetectionError]] = attrs.field(factory=list)
    _turn: Iterator[Speech] = attrs.field(init=False)
    _speech: Speech | None = None
    _at: int = 0

    def __attrs_post_init__(self) -> None:
        self._turn = itertools.cycle(self.says)
        self.stream.on("overlapping_speech", self._hear)
        self.stream.on("error", lambda error: self.errors.append((time.monotonic(), error)))

    def _hear(self, event: OverlappingSpeechEvent) -> None:
        now = time.monotonic()
        (overlap,) = (each for each in self.overlaps if each.key == event.overlap_started_at)
        overlap.events.append((now, event))

    @property
    def silent(self) -> bool:
        """Whether no turn is going on."""
        return self._speech is None

    def tick(self, now: float, *, stopping: bool) -> None:
        """Push 20 ms."""
        if self._speech is None:
            self.wait -= 1
            if self.wait > 0 or stopping:
                return
            self._speech, self._at = next(self._turn), 0
            self.stream.agent_speech_started()
        speech, at = self._speech, self._at
        if at == speech.told:
            onset = now - (at * FRAME - speech.onset)
            key = time.time() - (now - onset)
            self.overlaps.append(Overlap(told=now, onset=onset, key=key))
            self.stream.overlap_speech_started(speech_duration=TOLD, started_at=key)
        elif at == speech.ended:
            self.overlaps[-1].ended = now
            self.stream.overlap_speech_ended()
        self.stream.push_frame(speech.frames[at])
        self._at += 1
        if self._at == len(speech.frames):
            self.stream.agent_speech_ended()
            self._speech, self.wait = None, round(BETWEEN / FRAME)


# --- a run --------------------------------------------------------------------------------------


@attrs.frozen
class Plan:
    """How long a run's parts take, seconds, and how many calls a case has."""

    calls: int
    before: float
    away: float
    after: float


@attrs.define(eq=False)
class Case:
    """A transport with a fallback, or with none, and its calls."""

    transport: Literal["websocket", "http"]
    fallback: Literal["local"] | None
    lines: list[Line] = attrs.field(factory=list)
    detector: AdaptiveInterruptionDetector | None = None
    alive: int = 0
    """Streams that lived at the end."""

    def open(self, port: int, plan: Plan, says: Sequence[Speech]) -> None:
        """Open the calls; they begin spread over a turn."""
        self.detector = detector = AdaptiveInterruptionDetector(
            base_url=f"http://127.0.0.1:{port}",
            transport=self.transport,
            fallback=self.fallback,
            conn_options=APIConnectOptions(max_retry=None),
        )
        turn = max(len(speech.frames) for speech in says)
        for number in range(plan.calls):
            name = f"{self.transport}-{self.fallback}-{number}"
            stream = detector.stream(id=name, sample_rate=RATE, encoding="mulaw")
            order = [*says[number % len(says) :], *says[: number % len(says)]]
            self.lines.append(Line(stream, order, wait=number * turn // plan.calls))

    def busy(self, now: float) -> bool:
        """Return whether a caller speaks, windows are on their way, and nothing is decided."""
        newest = [line.overlaps[-1] for line in self.lines if line.overlaps]
        return any(not each.events and now >= each.told + MIDDLE for each in newest)

    def settled(self) -> bool:
        """Return whether each overlap has had its event."""
        return all(overlap.events for line in self.lines for overlap in line.overlaps)

    def close(self) -> None:
        """End the calls."""
        self.alive = sum(line.stream.is_open for line in self.lines)
        assert self.detector is not None
        self.detector.close()


@attrs.frozen
class Outage:
    """When the server was gone: monotonic seconds."""

    begin: float
    end: float

    def phase(self, overlap: Overlap) -> Phase:
        """Return where an overlap lies: from the VAD's word to the caller's end or the event."""
        decided = overlap.events[0][0] if overlap.events else overlap.ended
        over = min(decided, overlap.ended)
        if over <= self.begin:
            return "before"
        if overlap.told < self.begin:
            return "as it begins"
        if over <= self.end:
            return "during"
        return "as it ends" if overlap.told < self.end else "after"


def run(cases: Sequence[Case], plan: Plan, says: Sequence[Speech], *, freezes: bool) -> Outage:
    """Play all calls of some cases in real time, and take the server away meanwhile."""
    service = Service(freezes=freezes)
    for case in cases:
        case.open(service.port, plan, says)
    lines = [line for case in cases for line in case.lines]
    begin = time.monotonic()
    gone = back = 0.0
    number = 0
    while True:
        rest = begin + number * FRAME - time.monotonic()
        if rest > 0:
            time.sleep(rest)
        now = time.monotonic()
        late = now >= begin + plan.before + IN_VAIN
        if not gone and (late or (now >= begin + plan.before and all(c.busy(now) for c in cases))):
            service.take_away()
            gone = time.monotonic()
        elif gone and not back and now >= gone + plan.away:
            service.bring_back()
            back = time.monotonic()
        stopping = bool(back) and now >= back + plan.after
        for line in lines:
            line.tick(now, stopping=stopping)
        if stopping and all(line.silent for line in lines):
            break
        number += 1
    until = time.monotonic() + SETTLE
    while not all(case.settled() for case in cases) and time.monotonic() < until:
        time.sleep(0.02)
    for case in cases:
        case.close()
    service.stop()
    return Outage(gone, back)


# --- what came of it ----------------------------------------------------------------------------


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that this share doesn't exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def tell(case: Case, outage: Outage) -> list[str]:
    """Print a case's table; return which guarantees were broken."""
    print(
        f"\n{case.transport}, fallback {case.fallback or 'none'}: {len(case.lines)} calls, "
        f"away for {outage.end - outage.begin:.1f} s"
    )
    print(f"  {'overlaps':14}{'heard':>12}{'p50':>8}{'p90':>8}{'max':>8}   s to the verdict")
    overlaps = [overlap for line in case.lines for overlap in line.overlaps]
    for phase in PHASES:
        mine = [overlap for overlap in overlaps if outage.phase(overlap) == phase]
        heard = [each.delay for each in mine if each.outcome == "interruption"]
        row = f"  {phase:14}{f'{len(heard)} of {len(mine)}':>12}"
        if heard:
            row += "".join(f"{quantile(heard, share):8.2f}" for share in (0.5, 0.9, 1.0))
        others = sorted({each.outcome for each in mine} - {"interruption"})
        counts = [f"{name}: {sum(each.outcome == name for each in mine)}" for name in others]
        print(row + (" " * (3 if heard else 27) + ", ".join(counts) if counts else ""))
    errors = [len(line.errors) for line in case.lines]
    print(
        f"  streams alive {case.alive} of {len(case.lines)}; error events a stream "
        f"{min(errors)} to {max(errors)}"
    )
    return list(broken(case, outage))


def broken(case: Case, outage: Outage) -> Iterator[str]:
    """Yield each guarantee that was broken."""
    who = f"{case.transport}, fallback {case.fallback or 'none'}"
    for line in case.lines:
        phases = [outage.phase(overlap) for overlap in line.overlaps]
        for overlap, phase in zip(line.overlaps, phases, strict=True):
            if len(overlap.events) != 1:
                yield f"{who}, {line.stream.id}: an overlap had {len(overlap.events)} events"
            if phase == "during":
                if case.fallback and overlap.outcome != "interruption":
                    yield f"{who}, {line.stream.id}: a caller wasn't heard: {overlap.outcome}"
                if not case.fallback and not overlap.outcome.startswith("inconclusive"):
                    yield f"{who}, {line.stream.id}: who can have judged that? {overlap.outcome}"
        if "during" not in phases:
            yield f"{who}, {line.stream.id}: no overlap in the outage: nothing was shown"
        last = line.overlaps[-1]
        if outage.phase(last) != "after" or last.outcome != "interruption":
            yield f"{who}, {line.stream.id}: no verdict after the outage: {last.outcome}"
        if any(not error.recoverable for _, error in line.errors):
            yield f"{who}, {line.stream.id}: an unrecoverable error: {line.errors}"
        told = sum(outage.begin <= at <= outage.end for at, _ in line.errors)
        if told > 1:
            yield f"{who}, {line.stream.id}: told of one outage {told} times"
        if not line.errors:
            yield f"{who}, {line.stream.id}: never told of the outage"
    if case.alive != len(case.lines):
        yield f"{who}: {len(case.lines) - case.alive} streams ended"


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, help="of each case; 50")
    parser.add_argument("--away", type=float, help="seconds of outage; 10")
    parser.add_argument("--freeze", action="store_true", help="let it hang instead of die")
    parser.add_argument("--short", action="store_true", help="a few calls, all cases at once")
    options = parser.parse_args()
    logging.getLogger("bargein").setLevel(logging.CRITICAL + 1)
    plan = Plan(options.calls or 50, 6.0, options.away or 10.0, 10.0)
    if options.short:
        plan = Plan(options.calls or 4, 3.0, options.away or 7.5, 7.0)
    all_say = speeches()
    delays = dict(zip(all_say, rehearse(all_say), strict=True))
    says = [speech for speech, delay in delays.items() if delay is not None]
    print("without a server the local judge hears:")
    for speech, delay in delays.items():
        print(f"  {f'“{speech.name}”':36}", "never" if delay is None else f"after {delay:.2f} s")
    cases = [
        Case(transport, fallback)
        for transport in ("websocket", "http")
        for fallback in ("local", None)
    ]
    wrong: list[str] = [] if says else ["the local judge hears none of the example's callers"]
    for group in [cases] if options.short else [[case] for case in cases]:
        if says:
            outage = run(group, plan, says, freezes=options.freeze)
            for case in group:
                wrong += tell(case, outage)
    print()
    for each in wrong[:20]:
        print("BROKEN:", each)
    print("all is well" if not wrong else f"FAILED: {len(wrong)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
