"""A script on a live stream: real drivers, threads and sockets, in real or scaled time."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import attrs

from bargein.core import (
    InterruptionDetectionError,
    InterruptionOptions,
    OverlappingSpeechEvent,
    OverlapSpeechStarted,
    State,
)
from bargein.core.connect_options import APIConnectOptions
from bargein.detector import AdaptiveInterruptionDetector
from bargein.errors import OptionError, StateError

from .answers import Answer
from .backend import ScriptedBackend
from .check import Run, check
from .heard import Heard
from .judge import ScriptJudge, fingerprint, known_windows
from .script import CallScript
from .server import ScriptedServer
from .sockets import BOUND
from .still import Choose, StillStream, Transport
from .timeline import give, length_of, timeline
from .transcript import Transcript, verdict_words

__all__ = ["run_live"]

CONNECTED = 2.0
"""Seconds that a live run waits at most for its first session before the call begins."""

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
    with contextlib.ExitStack() as stack:
        if transport == "call":
            backend = ScriptedBackend()
            judge = ScriptJudge(script)
            backend.answer_by(lambda window: _scaled(judge(window), speed))
            stack.callback(backend.release)
            detector = AdaptiveInterruptionDetector(backend=backend, **_options(script, speed))
        else:
            if server is None:
                server = stack.enter_context(ScriptedServer())
            _follow(server, script, speed)
            detector = server.detector(transport, **_options(script, speed))
        stack.enter_context(detector)
        run = _play(script, detector, speed, server if transport == "websocket" else None)
    return check(run, delays=delays)


def _follow(server: ScriptedServer, script: CallScript, speed: float) -> None:
    """Have a server answer as the script says: it knows each window by its bytes."""
    judge = ScriptJudge(script)
    known = known_windows(script, lambda look: _cut_all(script, look))

    def choose(heard: Heard) -> Answer:
        place = known.get(fingerprint(heard.samples))
        answer = judge.answer(*place) if place is not None else script.answers[-1]
        return _scaled(answer, speed)

    server.answer_by(choose)


def _cut_all(script: CallScript, look: Choose) -> None:
    """Play the script to a judge that sees every window that can be cut."""
    from .call import StillCall

    names = attrs.fields_dict(InterruptionOptions)
    options = {name: value for name, value in script.options.items() if name in names}
    call = StillCall(**{**options, "max_in_flight": _ALL})
    call.judge_by(look)
    stream = _open(script, call.detector)
    assert isinstance(stream, StillStream)
    for given in timeline(script):
        call.clock.advance_to(given.at)
        if not stream.is_open:
            break
        give(stream, given.item)


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


def _scaled(answer: Answer, speed: float) -> Answer:
    return attrs.evolve(answer, after=answer.after / speed, lasts=answer.lasts / speed)


def _play(
    script: CallScript,
    detector: AdaptiveInterruptionDetector,
    speed: float,
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
        began, epoch = time.monotonic(), time.time()
        for given in timeline(script):
            left = began + given.at / speed - time.monotonic()
            if left > 0:
                pause.wait(left)
            if not stream.is_open:
                break
            transcript.note_input(given.item, given.at, State.SPEAKING)
            give(stream, _aged(given.item, speed))
        with contextlib.suppress(StateError):  # it ended
            stream.flush()  # whatever waits unheard is heard with it
        for _ in _until(began + length_of(script) / speed + BOUND):
            settled = stream.stats().state in _SETTLED and not stream.stats().waiting_audio
            if settled or not stream.is_open:
                break
            pause.wait(0.005)
    told = [_restored(event, epoch, speed) for event in events]
    for event in told:
        transcript.note(event.created_at, verdict_words(event), onset=event.overlap_started_at)
    transcript.lines.sort(key=lambda line: line.at)
    faults = [attrs.evolve(e, timestamp=(e.timestamp - epoch) * speed) for e in errors]
    return Run(script, tuple(told), tuple(faults), transcript)


def _until(end: float) -> Iterator[None]:
    while time.monotonic() < end:
        yield


def _aged(item: Any, speed: float) -> Any:
    """Scale what a sentinel says of the past."""
    if isinstance(item, OverlapSpeechStarted) and item.started_at is None:
        return attrs.evolve(item, age=item.speech_duration / speed)
    return item


def _restored(event: OverlappingSpeechEvent, epoch: float, speed: float) -> OverlappingSpeechEvent:
    """Return an event in the script's own time."""

    def at(moment: float) -> float:
        return round((moment - epoch) * speed, 6)

    onset = event.overlap_started_at
    return attrs.evolve(
        event,
        overlap_started_at=None if onset is None else at(onset),
        detected_at=at(event.detected_at),
        created_at=at(event.created_at),
        detection_delay=event.detection_delay * speed,
        total_duration=event.total_duration * speed,
    )
