"""``detector.check()``: try the judge out, and say in words what is right and wrong.

It goes the way that a call's windows go, through the same driver: the driver's host is a probe
here, in the place of a stream's worker. So what is found to work works in a call.
"""

from __future__ import annotations

import math
import select
import threading
import time
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np

from bargein.core import Input, JudgeReady, Prediction, Reply, State, Window
from bargein.core import WindowSent as Sent
from bargein.core.connect_options import APIConnectOptions
from bargein.core.verdicts import is_positive
from bargein.core.window import WINDOW_RATE
from bargein.drivers.protocol import Driver, Host
from bargein.errors import APIError, APIStatusError, APITimeoutError, OptionError
from bargein.runtime.poller import Pollable
from bargein.runtime.waker import Waker
from bargein.streams import (
    CALL_IN_FLIGHT,
    WEBSOCKET_IN_FLIGHT,
    backend_driver,
    http_driver,
    in_flight,
    websocket_driver,
)

if TYPE_CHECKING:
    from bargein.detector import AdaptiveInterruptionDetector

__all__ = ["CheckReport", "Finding", "run_check"]

TRIES = 2
"""Windows. The first pays for what is made once (an HTTP connection, a model's first use); the
second costs what each window of a call will."""

GOODBYE = 0.2
"""Seconds that a server has to answer our goodbye: somebody waits for the report."""

_WRONG_PLACE = (404, 405, 410, 426)
"""Statuses of a server that is there and knows no ``/bargein``, or not by this transport."""

Subject = Literal["address", "credentials", "judgement", "latency"]
Level = Literal["ok", "warning", "problem"]


@attrs.frozen
class Finding:
    """One sentence of a report: what it is about, how bad it is, the words."""

    subject: Subject
    level: Level
    text: str


@attrs.frozen(kw_only=True)
class CheckReport:
    """What a check found; ``str()`` of it is what a person reads. Immutable. Holds no secret.

    Durations are in seconds, ``None`` where it didn't come to that.
    """

    model: str
    provider: str
    transport: Literal["websocket", "http", "in-process"]
    address: str | None
    """The server's address; ``None`` where the judge is in this process."""
    findings: tuple[Finding, ...]
    connect_time: float | None = None
    """WebSocket: until windows could be sent, name lookup, TLS and handshake in it."""
    first_round_trip: float | None = None
    """Of the first window; over HTTP the connecting is in it."""
    round_trip: float | None = None
    """Of the second window: what each of a call will take."""
    prediction_duration: float | None = None
    """Of that, what the judge says that it computed."""
    error: APIError | None = None
    """What went wrong, as a stream would have raised it; ``None`` if nothing did."""

    @property
    def ok(self) -> bool:
        """Whether nothing is a problem; warnings are none."""
        return all(finding.level != "problem" for finding in self.findings)

    def __str__(self) -> str:
        head = f"{self.model} ({self.provider}), {self.transport}"
        lines = [head if self.address is None else f"{head}: {self.address}"]
        lines += [f"  {each.level:8}{each.subject}: {each.text}" for each in self.findings]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; the error becomes its class name and message."""
        plain = attrs.asdict(self)
        plain["findings"] = list(plain["findings"])
        plain["error"] = None if self.error is None else _told(self.error)
        return {"ok": self.ok, **plain}


def _told(error: APIError) -> str:
    return f"{type(error).__name__}: {error}"


# --- the probe ------------------------------------------------------------------------------------


class _Probe(Host):
    """Runs a driver on the calling thread, with windows of silence for a call."""

    def __init__(self) -> None:
        self.name = "check"
        self.ready_at: float | None = None
        self.sent_at: float | None = None
        self.round_trips: list[float] = []
        self.prediction: Prediction | None = None
        self.error: APIError | None = None
        self._waiting = False
        self._lock = threading.Lock()
        self._waker = Waker()
        self._poller = select.poll()
        self._poller.register(self._waker.fileno(), select.POLLIN)
        self._watched: dict[Pollable, int] = {}
        self._again = False

    # what a driver asks for

    def tell(self, item: Input, now: float) -> None:
        if isinstance(item, JudgeReady):
            self.ready_at = self.ready_at or now
        elif isinstance(item, Sent):
            self.sent_at = now
        elif isinstance(item, Reply):
            self._waiting = False
            self.prediction = item.prediction
            self.round_trips.append(now - (now if self.sent_at is None else self.sent_at))

    def announce(self, error: APIError, *, recoverable: bool, failures: int, now: float) -> None:
        self.error = self.error or error

    def fail(self, error: APIError) -> None:
        self.error = self.error or error

    def watch(self, thing: Pollable, mask: int) -> None:
        if thing not in self._watched:
            self._watched[thing] = thing.fileno()
        self._poller.register(self._watched[thing], mask)

    def forget(self, thing: Pollable) -> None:
        fd = self._watched.pop(thing, None)
        if fd is not None:
            self._poller.unregister(fd)

    def wake(self) -> None:
        with self._lock:
            self._waker.wake()

    # what the check asks for

    def run(self, driver: Driver, windows: list[Window], deadline: float) -> None:
        """Have the windows judged one after the other; returns by ``deadline`` (monotonic)."""
        now = time.monotonic()
        driver.start(now)
        driver.call_changed(State.OPEN, now)  # in a call, whatever the server does now matters
        while len(self.round_trips) < TRIES and self.error is None and now < deadline:
            if self.ready_at is not None and not self._waiting:
                self._waiting = True
                driver.send(windows[len(self.round_trips)], now)
            now = self._step(driver, deadline)

    def leave(self, driver: Driver) -> None:
        """Say goodbye and leave nothing open."""
        try:
            now = time.monotonic()
            deadline = now + GOODBYE
            driver.finish(now, GOODBYE)
            while not driver.done and now < deadline:
                now = self._step(driver, deadline)
        finally:
            driver.close()
            with self._lock:
                self._waker.close()

    def _step(self, driver: Driver, deadline: float) -> float:
        """Do what can be done, wait for more, and return the time."""
        now = time.monotonic()
        driver.flush(now)
        due = min(deadline, driver.deadline() or math.inf)
        self._poller.poll(0 if self._again else max(0, math.ceil((due - now) * 1e3)))
        self._waker.drain()
        now = time.monotonic()
        self._again = driver.step(None, now)
        due = driver.deadline() or math.inf
        if due <= now:
            driver.handle_deadline(now)
        return now


def run_check(detector: AdaptiveInterruptionDetector, timeout: float) -> CheckReport:
    """See :meth:`AdaptiveInterruptionDetector.check`."""
    if not (isinstance(timeout, (int, float)) and math.isfinite(timeout) and timeout > 0):
        raise OptionError(f"timeout came as {timeout!r}; expected seconds > 0")
    begun = time.monotonic()
    probe = _Probe()
    driver = _driver(detector, probe, timeout)
    try:
        probe.run(driver, [_silence(detector, number) for number in (1, 2)], begun + timeout)
    finally:
        probe.leave(driver)
    return _report(detector, probe, begun, timeout)


def _driver(detector: AdaptiveInterruptionDetector, probe: _Probe, timeout: float) -> Driver:
    transport = _transport(detector)
    if transport == "in-process":
        return backend_driver(detector, probe, stream_id="check")
    # No retry: the first fault is what is to be told.
    limit = min(timeout, detector.conn_options.timeout)
    connect = APIConnectOptions(max_retry=0, retry_interval=0.0, timeout=limit)
    options = detector.options
    if transport == "http":
        return http_driver(detector, probe, options=options, connect=connect, has_fallback=False)
    return websocket_driver(detector, probe, options=options, connect=connect, has_fallback=False)


def _transport(
    detector: AdaptiveInterruptionDetector,
) -> Literal["websocket", "http", "in-process"]:
    return "in-process" if detector.base_url is None else detector.remote.endpoint.transport


def _silence(detector: AdaptiveInterruptionDetector, number: int) -> Window:
    """A second of silence, each in an overlap of its own, so that all of it is judged."""
    return Window(
        id=detector._next_alone(),
        overlap=number,
        samples=np.zeros(WINDOW_RATE, np.int16),
        start=0,
        speech_start=0,
        agent_start=0,
        threshold=detector.options.threshold,
        min_frames=detector.options.min_frames,
    )


# --- the words ------------------------------------------------------------------------------------


def _report(
    detector: AdaptiveInterruptionDetector, probe: _Probe, begun: float, timeout: float
) -> CheckReport:
    error = probe.error
    if error is None and len(probe.round_trips) < TRIES:
        error = _nothing_came(probe, timeout)
    transport = _transport(detector)
    findings = [
        *_on_address(detector, probe, error),
        *_on_credentials(detector, probe, error),
        *_on_judgement(detector, probe, error),
        *_on_latency(detector, probe),
    ]
    connected = transport == "websocket" and probe.ready_at is not None
    return CheckReport(
        model=detector.model,
        provider=detector.provider,
        transport=transport,
        address=detector.base_url,
        findings=tuple(findings),
        connect_time=probe.ready_at - begun if connected and probe.ready_at else None,
        first_round_trip=probe.round_trips[0] if probe.round_trips else None,
        round_trip=probe.round_trips[-1] if len(probe.round_trips) == TRIES else None,
        prediction_duration=None if probe.prediction is None else probe.prediction.duration,
        error=error,
    )


def _nothing_came(probe: _Probe, timeout: float) -> APIError:
    if probe.ready_at is None:
        return APITimeoutError(f"no connection was made within {timeout:g} s")
    if probe.sent_at is None:
        return APITimeoutError(f"the window couldn't be handed over within {timeout:g} s")
    return APITimeoutError(f"the window was sent, and no answer came within {timeout:g} s")


def _subject(probe: _Probe, error: APIError) -> Subject:
    """What an error says something about."""
    if isinstance(error, APIStatusError):
        if error.status_code in (401, 403):
            return "credentials"
        wrong_place = error.status_code in _WRONG_PLACE or error.status_code < 400
        return "address" if wrong_place else "judgement"
    if probe.round_trips or (isinstance(error, APITimeoutError) and probe.ready_at is not None):
        return "judgement"
    return "judgement" if type(error) is APIError else "address"


def _on_address(
    detector: AdaptiveInterruptionDetector, probe: _Probe, error: APIError | None
) -> list[Finding]:
    if detector.base_url is None:
        return [Finding("address", "ok", "the judge is in this process; nothing leaves it")]
    if error is not None and _subject(probe, error) == "address":
        return [Finding("address", "problem", str(error))]
    if isinstance(error, APITimeoutError) and _transport(detector) == "http":
        return [Finding("address", "warning", "whether anybody is there can't be told")]
    return [Finding("address", "ok", "a server is there")]


def _on_credentials(
    detector: AdaptiveInterruptionDetector, probe: _Probe, error: APIError | None
) -> list[Finding]:
    if detector.base_url is None:
        return [Finding("credentials", "ok", "none are needed")]
    endpoint = detector.remote.endpoint
    found = [Finding("credentials", "warning", text) for text in endpoint.warnings]
    if error is not None and _subject(probe, error) == "credentials":
        return [Finding("credentials", "problem", _refused(detector, error)), *found]
    if endpoint.credentials is None:
        return [Finding("credentials", "ok", "none are sent, as none were given"), *found]
    if error is None:
        return [Finding("credentials", "ok", "the server took the token"), *found]
    return [Finding("credentials", "warning", "whether they are right can't be told"), *found]


def _refused(detector: AdaptiveInterruptionDetector, error: APIError) -> str:
    if detector.remote.endpoint.credentials is not None:
        return str(error)
    return f"{error}; none were given: api_key and api_secret must be arguments for this address"


def _on_judgement(
    detector: AdaptiveInterruptionDetector, probe: _Probe, error: APIError | None
) -> list[Finding]:
    if error is not None:
        if _subject(probe, error) == "judgement":
            return [Finding("judgement", "problem", str(error))]
        return []
    assert probe.prediction is not None
    options, backend = detector.options, detector._backend
    positive = is_positive(
        probe.prediction,
        threshold=options.threshold,
        default=None if backend is None else backend.default_threshold,
        min_frames=options.min_frames,
    )
    if positive is None:
        text = "it answers with probabilities alone, and no threshold is known: give threshold="
        return [Finding("judgement", "problem", text)]
    if positive:
        text = "a second of silence was judged an interruption: is it the right model, threshold?"
        return [Finding("judgement", "warning", text)]
    return [Finding("judgement", "ok", "a second of silence was judged no interruption")]


def _on_latency(detector: AdaptiveInterruptionDetector, probe: _Probe) -> list[Finding]:
    if len(probe.round_trips) < TRIES or probe.prediction is None:
        return []
    options, taken = detector.options, probe.round_trips[-1]
    default = WEBSOCKET_IN_FLIGHT if _transport(detector) == "websocket" else CALL_IN_FLIGHT
    cadence = options.detection_interval * in_flight(options, default)
    text = f"an answer takes {_ms(taken)}, {_ms(probe.prediction.duration)} of it the judge's own"
    if taken > options.inference_timeout:
        text += (
            f"; that is over inference_timeout ({_ms(options.inference_timeout)}), after which a "
            "window is given up: every overlap would be inconclusive"
        )
        return [Finding("latency", "problem", text)]
    if taken > cadence:
        text += (
            f"; with {in_flight(options, default)} windows in flight that is too slow for one each "
            f"{_ms(options.detection_interval)}: there will be fewer"
        )
        return [Finding("latency", "warning", text)]
    return [Finding("latency", "ok", text)]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms"
