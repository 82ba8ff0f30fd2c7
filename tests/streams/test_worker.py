"""The worker alone, with a driver that does what it is told and tells what it is to tell."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from bargein.audio import AudioFormat
from bargein.core import (
    AgentSpeechStarted,
    InterruptionMachine,
    InterruptionOptions,
    Judge,
    JudgeReady,
    JudgeSettings,
    JudgeUnready,
    OverlapSpeechStarted,
    Settings,
    WindowSent,
)
from bargein.core.inbox import Inbox
from bargein.core.pipeline import Pipeline
from bargein.errors import APIError
from bargein.testing.sockets import BOUND
from bargein.worker import Outlet, Worker


class Driver:
    """Logs what it is asked to do; ``on`` says what to do besides."""

    judge = Judge.PRIMARY
    reconnects = faults = 0

    def __init__(self, host: Worker, on: dict[str, Callable[[Worker, float], None]]) -> None:
        self.host = host
        self.on = on
        self.log: list[str] = []
        self.done = False
        self.due: float | None = None

    def note(self, what: str, now: float) -> None:
        self.log.append(what)
        self.on.get(what, lambda host, now: None)(self.host, now)

    def start(self, now: float) -> None:
        self.host.tell(JudgeReady(), now)

    def send(self, window: Any, now: float) -> None:
        self.note(f"send {window.id}", now)

    def cancel(self, window_id: int, reason: Any, now: float) -> None:
        self.note(f"cancel {window_id}", now)

    def call_changed(self, state: Any, now: float) -> None: ...

    def update(self, settings: Settings, now: float) -> None: ...

    def step(self, ready: Any, now: float) -> bool:
        return False

    def flush(self, now: float) -> None: ...

    def deadline(self) -> float | None:
        return self.due

    def handle_deadline(self, now: float) -> None: ...

    def finish(self, now: float, patience: float) -> None:
        self.done = True

    def close(self) -> None:
        self.log.append("closed")


class Results(Outlet):
    def __init__(self) -> None:
        self.log: list[str] = []
        self.ended = threading.Event()

    def verdict(self, verdict: Any) -> None:
        self.log.append(f"{verdict.outcome.value} {verdict.reason and verdict.reason.value}")

    def error(self, error: APIError, *, recoverable: bool, failures: int) -> None:
        self.log.append(f"error {error}")

    def end(self, error: BaseException | None) -> None:
        self.log.append(f"end {error}")
        self.ended.set()


def build(
    on: dict[str, Callable[[Worker, float], None]], **options: Any
) -> tuple[Worker, Driver, Results]:
    machine = InterruptionMachine(
        InterruptionOptions(**options),
        format=AudioFormat(),
        primary=JudgeSettings(max_in_flight=1),
        ready=False,
    )
    results, made = Results(), []

    def drivers(worker: Worker) -> list[Any]:
        made.append(Driver(worker, on))
        return made

    worker = Worker(
        name="bargein-test",
        pipeline=Pipeline(machine),
        inbox=Inbox(AudioFormat()),
        outlet=results,
        drivers=drivers,
    )
    return worker, made[0], results


def test_what_a_driver_tells_waits_until_all_actions_are_carried_out() -> None:
    """A window that is taken back must have been given before, or it would be sent for ever."""
    on = {
        "send 1": lambda host, now: host.tell(WindowSent(1), now),
        # The first is given up, and its place goes to the second; but it was the last straw.
        "cancel 1": lambda host, now: host.tell(JudgeUnready(), now),
    }
    worker, driver, _ = build(on, inference_timeout=0.05)
    worker.put(AgentSpeechStarted())
    worker.put(OverlapSpeechStarted())
    worker.push(bytes(3200))
    worker.step()
    assert driver.log == ["send 1"]
    worker.push(bytes(3200))
    worker.step()
    while len(driver.log) == 1:  # its deadline is 50 ms away
        worker.step()
    assert driver.log == ["send 1", "cancel 1", "send 2", "cancel 2"]
    worker.leave()


@pytest.mark.parametrize("grace", [0.0, BOUND])
def test_a_stream_that_fails_settles_what_is_open_first(grace: float) -> None:
    """By what became of its windows: that it was ended is no reason of its own."""

    def lose(host: Worker, now: float) -> None:
        host.tell(WindowSent(1), now)
        host.announce(APIError("gone"), recoverable=False, failures=1, now=now)
        host.tell(JudgeUnready(lost=True), now)
        host.fail(APIError("gone"))

    worker, driver, results = build({"send 1": lose}, verdict_grace=grace)
    worker.start()
    worker.put(AgentSpeechStarted())
    worker.put(OverlapSpeechStarted())
    worker.push(bytes(3200))
    assert results.ended.wait(BOUND)
    worker.join(BOUND)
    assert results.log == ["error gone", "inconclusive connection", "end gone"]
    assert driver.log[-1] == "closed"
    worker.push(bytes(3200))
    assert worker.lost == 1


def test_a_driver_that_fails_at_the_end_keeps_nothing_open(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, driver, results = build({})

    def broken() -> None:
        raise ValueError("stuck")

    monkeypatch.setattr(driver, "close", broken)
    worker.start()
    assert worker.close(BOUND)
    assert results.log == ["end None"]
    assert "stuck" in caplog.text


def test_close_before_the_start_waits_for_nothing() -> None:
    worker, _, _ = build({})
    assert worker.close(BOUND) is False
    worker.leave()


def test_a_failure_at_the_end_of_a_failure_loses_no_reader(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(host: Worker, now: float) -> None:
        host._machine.handle = None  # type: ignore[method-assign, assignment]
        raise ZeroDivisionError("oh")

    worker, _, results = build({"send 1": broken})
    worker.start()
    worker.put(AgentSpeechStarted())
    worker.put(OverlapSpeechStarted())
    worker.push(bytes(3200))
    assert results.ended.wait(BOUND)
    worker.join(BOUND)
    assert len(results.log) == 1
    assert "ZeroDivisionError" in results.log[0]
    assert "failed once more" in caplog.text
