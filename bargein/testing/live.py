"""A script on a live stream: real drivers, threads and sockets, in real or scaled time."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from bargein.core import (
    InterruptionDetectionError,
    InterruptionOptions,
    OverlappingSpeechEvent,
    OverlapSpeechStarted,
    State,
    Window,
)
from bargein.core.connect_options import APIConnectOptions
from bargein.detector import AdaptiveInterruptionDetector
from bargein.errors import OptionError, StateError

from .answers import Answer
from .backend import ScriptedBackend
from .check import Run, check
from .clock import FakeClock
from .heard import Heard
from .judge import ScriptJudge, fingerprint, known_windows
from .script import CallScript
from .server import ScriptedServer
from .sockets import BOUND
from .still import Choose, StillDetector, Transport
from .timeline import give, length_of, timeline
from .transcript import Transcript, verdict_words

__all__ = ["run_live"]

CONNECTED = 2.0
"""Seconds that a live run waits at most for its first session before the call begins."""

PATIENCE = 1.0
"""Seconds for which the script's time stands still at most, for a window to reach its judge."""

_SETTLED = ("silent", "speaking", "ended")
"""States of a stream in which no overlap waits for its verdict."""


def run_live(
    script: CallScript,
    transport: Transport,
    *,
    server: ScriptedServer | None,
    speed: float,
    delays: bool,
) -> Run:
    """Run a script on a live stream; see :meth:`CallScript.run_live`."""
    __tracebackhide__ = True
    if not speed > 0:
        raise OptionError(f"speed came as {speed!r}; expected more than 0, 1 being the call's own")
    judge = ScriptJudge(script)
    pace = Pace(_handed_over(script, transport), lambda *place: judge.answer(*place), speed)
    with contextlib.ExitStack() as stack:
        if transport == "call":
            backend = ScriptedBackend()
            backend.answer_by(lambda window: pace.answer(judge.place(window)))
            stack.callback(backend.release)
            detector = AdaptiveInterruptionDetector(backend=backend, **_options(script, speed))
        else:
            if server is None:
                server = stack.enter_context(ScriptedServer())
            _follow(server, script, pace)
            detector = server.detector(transport, **_options(script, speed))
        stack.enter_context(detector)
        run = _play(script, detector, pace, server if transport == "websocket" else None)
    return check(run, delays=delays)


def _follow(server: ScriptedServer, script: CallScript, pace: Pace) -> None:
    """Have a server answer as the script says: it knows each window by its bytes."""
    names = attrs.fields_dict(InterruptionOptions)
    options = {name: value for name, value in script.options.items() if name in names}
    every = {**options, "max_in_flight": _ALL}
    known = known_windows(script, lambda look: _run_still(script, look, "websocket", every))

    def choose(heard: Heard) -> Answer:
        place = known.get(fingerprint(heard.samples))
        return script.answers[-1] if place is None else pace.answer(place)

    server.answer_by(choose)


def _handed_over(script: CallScript, transport: Transport) -> list[tuple[float, tuple[int, int]]]:
    """Return which windows the core hands over, and when: what a live run is to keep up with."""
    judge = ScriptJudge(script)
    clock = FakeClock()
    sent: list[tuple[float, tuple[int, int]]] = []

    def note(window: Window) -> Answer:
        place = judge.place(window)
        sent.append((clock(), place))
        return judge.answer(*place)

    _run_still(script, note, transport, script.options, clock)
    return sent


def _run_still(
    script: CallScript,
    choose: Choose,
    transport: Transport,
    options: Mapping[str, Any],
    clock: FakeClock | None = None,
) -> None:
    """Play a script to a stream that stands still."""
    detector = StillDetector(choose, clock=clock, transport=transport, **options)
    stream = _open(script, detector)
    for given in timeline(script):
        detector.clock.advance_to(given.at)
        if not stream.is_open:
            break
        give(stream, given.item)
    detector.clock.advance_to(length_of(script))


class Pace:
    """The time of a live run: the script's, but it stands still while the machine is behind.

    A thread that a busy machine starts late would otherwise find half the call gone, and the
    verdict would tell of the machine. ``sent``: the windows that the core hands over and when.
    """

    def __init__(
        self,
        sent: Sequence[tuple[float, tuple[int, int]]],
        choose: Callable[[int, int], Answer],
        speed: float,
    ) -> None:
        self.speed = speed
        self._choose = choose
        self._due = deque(sent)
        self._heard: set[tuple[int, int]] = set()
        self.heard: list[tuple[float, str]] = []
        """What came to the judge: when (epoch), and what became of it."""
        self._lost: set[int] = set()
        """Words of which a window didn't come: the others aren't waited for."""
        self._changed = threading.Condition()
        self._began = self._epoch = 0.0
        self._shifts: list[tuple[float, float]] = []
        """From when on (epoch) the script is behind by how many seconds."""

    def begin(self) -> None:
        """The call begins."""
        self._began, self._epoch = time.monotonic(), time.time()
        self._shifts = [(0.0, 0.0)]

    def answer(self, place: tuple[int, int]) -> Answer:
        """A window came to the judge: say what becomes of it, in scaled time."""
        with self._changed:
            self._heard.add(place)
            self._changed.notify_all()
        answer = self._choose(*place)
        words, number = place
        self.heard.append((time.time(), f"window {number} over words {words}: {answer}"))
        return attrs.evolve(
            answer, after=answer.after / self.speed, lasts=answer.lasts / self.speed
        )

    def wait_until(self, at: float) -> None:
        """Wait until a time of the script has come."""
        with self._changed:
            left = self._left(at)
            if left > 0:
                self._changed.wait_for(lambda: self._left(at) <= 0, left)

    def catch_up(self, at: float) -> None:
        """Wait until the judge got what it was to get by a time; the script's time stands still."""
        while self._due and self._due[0][0] <= at:
            _, place = self._due.popleft()
            with self._changed:
                if place[0] not in self._lost and not self._changed.wait_for(
                    lambda: place in self._heard,  # noqa: B023 - called before it changes
                    PATIENCE,
                ):
                    self._lost.add(place[0])
        late = -self._left(at)
        if late > 0:
            self._shifts.append((time.time(), self._shifts[-1][1] + late))

    def _left(self, at: float) -> float:
        return self._began + self._shifts[-1][1] + at / self.speed - time.monotonic()

    def time_of(self, epoch: float) -> float:
        """Return the script's time at a moment in epoch seconds."""
        behind = next(shift for since, shift in reversed(self._shifts) if since <= epoch)
        return round((epoch - self._epoch - behind) * self.speed, 6)


def _open(script: CallScript, detector: AdaptiveInterruptionDetector) -> Any:
    fmt = script.format
    return detector.stream(
        sample_rate=fmt.sample_rate, num_channels=fmt.num_channels, encoding=fmt.encoding
    )


def _options(script: CallScript, speed: float) -> dict[str, Any]:
    """Return the detector's options in scaled time; the cadence is counted in audio."""
    known = {n: v for n, v in script.options.items() if n in _TIMES}
    times = InterruptionOptions(**known)
    options = {**script.options}
    for name in _TIMES:
        options[name] = getattr(times, name) / speed
    connect = options.get("conn_options") or APIConnectOptions()
    options["conn_options"] = attrs.evolve(connect, retry_interval=connect.retry_interval / speed)
    return options


_ALL = 64
"""Windows in flight at a time: more than any script cuts before its judge answers at once."""

_TIMES = ("inference_timeout", "verdict_grace")


def _play(
    script: CallScript,
    detector: AdaptiveInterruptionDetector,
    pace: Pace,
    server: ScriptedServer | None,
) -> Run:
    events: list[OverlappingSpeechEvent] = []
    errors: list[InterruptionDetectionError] = []
    detector.on("overlapping_speech", events.append)
    detector.on("error", errors.append)
    transcript = Transcript()
    pause = threading.Event()
    sessions = 0 if server is None else len(server.recorder.sessions)
    with _open(script, detector) as stream:
        if server is not None:
            # in a script connecting takes no time; a server that refuses isn't waited for long
            for _ in _until(time.monotonic() + CONNECTED):
                if len(server.recorder.sessions) > sessions:
                    break
                pause.wait(0.002)
        pace.begin()
        for given in timeline(script):
            pace.wait_until(given.at)
            if not stream.is_open:
                break
            transcript.note_input(given.item, given.at, State.SPEAKING)
            give(stream, _aged(given.item, pace.speed))
            pace.catch_up(given.at)
        with contextlib.suppress(StateError):  # it ended
            stream.flush()  # whatever waits unheard is heard with it
        for _ in _until(time.monotonic() + length_of(script) + BOUND):
            settled = stream.stats().state in _SETTLED and not stream.stats().waiting_audio
            if settled or not stream.is_open:
                break
            pause.wait(0.005)
    told = [_restored(event, pace) for event in events]
    for event in told:
        transcript.note(event.created_at, verdict_words(event), onset=event.overlap_started_at)
    for moment, words in pace.heard:
        transcript.note(pace.time_of(moment), words)
    transcript.lines.sort(key=lambda line: line.at)
    faults = [attrs.evolve(e, timestamp=pace.time_of(e.timestamp)) for e in errors]
    return Run(script, tuple(told), tuple(faults), transcript)


def _until(end: float) -> Iterator[None]:
    while time.monotonic() < end:
        yield


def _aged(item: Any, speed: float) -> Any:
    """Scale what a sentinel says of the past."""
    if isinstance(item, OverlapSpeechStarted) and item.started_at is None:
        return attrs.evolve(item, age=item.speech_duration / speed)
    return item


def _restored(event: OverlappingSpeechEvent, pace: Pace) -> OverlappingSpeechEvent:
    """Return an event in the script's own time."""
    onset = event.overlap_started_at
    return attrs.evolve(
        event,
        overlap_started_at=None if onset is None else pace.time_of(onset),
        detected_at=pace.time_of(event.detected_at),
        created_at=pace.time_of(event.created_at),
        detection_delay=event.detection_delay * pace.speed,
        total_duration=event.total_duration * pace.speed,
    )
