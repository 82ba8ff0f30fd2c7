"""Listeners: who is called, what they may do, and what they can't."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from bargein.errors import OptionError
from bargein.runtime import listeners as module
from bargein.runtime.listeners import EventEmitter, Listeners
from bargein.testing.sockets import BOUND

KIND = "overlapping_speech"


def test_they_are_called_in_order_with_the_event() -> None:
    listeners, heard = Listeners(), []  # type: ignore[var-annotated]
    listeners.on(KIND, lambda event: heard.append(("first", event)))
    listeners.on(KIND, lambda event: heard.append(("second", event)))
    listeners.on("error", lambda event: heard.append(("error", event)))
    assert listeners.emit(KIND, 1, "call") is True
    assert heard == [("first", 1), ("second", 1)]
    assert listeners.emit("metrics_collected", 2, "call") is False


def test_once_is_once() -> None:
    listeners, heard = Listeners(), []  # type: ignore[var-annotated]
    listeners.on(KIND, heard.append, once=True)
    assert [listeners.emit(KIND, n, "call") for n in range(2)] == [True, False]
    assert heard == [0]


def test_once_is_once_where_two_threads_emit() -> None:
    listeners, heard = Listeners(), []  # type: ignore[var-annotated]
    listeners.on(KIND, lambda event: listeners.emit(KIND, "again", "call"))
    listeners.on(KIND, heard.append, once=True)
    depth = []

    def bounded(event: Any) -> None:
        depth.append(event)
        if len(depth) < 3:
            listeners.emit(KIND, "again", "call")

    listeners._listeners[KIND] = (
        (bounded, False),
        *(entry for entry in listeners._listeners[KIND] if entry[1]),
    )
    listeners.emit(KIND, "first", "call")
    assert heard == ["again"]


def test_off_removes_and_minds_nothing() -> None:
    listeners, heard = Listeners(), []  # type: ignore[var-annotated]
    listeners.on(KIND, heard.append)
    listeners.off(KIND, print)
    listeners.off(KIND, heard.append)
    assert listeners.emit(KIND, 1, "call") is False
    assert not heard


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_one_that_raises_is_logged_and_harms_nobody(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    listeners, heard = Listeners(), []  # type: ignore[var-annotated]

    def broken(event: Any) -> None:
        raise error("oh")

    listeners.on(KIND, broken)
    listeners.on(KIND, heard.append)
    assert listeners.emit(KIND, 1, "call-7") is True
    assert heard == [1]
    assert "call-7" in caplog.text
    assert error.__name__ in caplog.text


def test_one_that_is_slow_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def takes(seconds: float) -> Any:
        def listener(event: Any) -> None:
            now[0] += seconds

        return listener

    listeners = Listeners()
    listeners.on(KIND, takes(0.05))
    listeners.emit(KIND, 1, "call-7")
    assert not caplog.records
    listeners.on(KIND, takes(0.25))
    listeners.emit(KIND, 1, "call-7")
    assert [record.getMessage() for record in caplog.records] == [
        "call-7: a listener for 'overlapping_speech' took 250 ms"
    ]


def test_other_kinds_and_as_slow_as_they_like(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    listeners = Listeners(("rang",), slow=None)
    listeners.on("rang", lambda event: now.append(now.pop() + 60.0))
    assert listeners.emit("rang", 1, "call-7")
    assert now == [60.0]
    assert not caplog.records
    with pytest.raises(OptionError, match=f"no event '{KIND}'; expected one of rang"):
        listeners.on(KIND, print)


def test_they_may_change_the_listeners_and_so_may_others_meanwhile() -> None:
    listeners = Listeners()
    done = []

    def meddle(event: Any) -> None:
        listeners.off(KIND, meddle)
        other = threading.Thread(target=listeners.on, args=(KIND, print), daemon=True)
        other.start()
        other.join(BOUND)
        done.append(not other.is_alive())

    listeners.on(KIND, meddle)
    listeners.emit(KIND, 1, "call")
    assert done == [True]


def test_what_cant_be_listened_for() -> None:
    listeners = Listeners()
    with pytest.raises(OptionError, match="metrics_collected"):
        listeners.on("speech", print)
    with pytest.raises(OptionError, match="metrics_collected"):
        listeners.off("speech", print)
    with pytest.raises(OptionError, match="function"):
        listeners.on(KIND, None)  # type: ignore[arg-type]


class Emitter(EventEmitter):
    def __init__(self) -> None:
        self._listeners = Listeners()


def test_as_functions_and_as_decorators() -> None:
    emitter, heard = Emitter(), []  # type: ignore[var-annotated]

    @emitter.on(KIND)
    def each(event: Any) -> None:
        heard.append("each")

    @emitter.once(KIND)
    def first(event: Any) -> None:
        heard.append("first")

    assert emitter.on(KIND, each) is each
    assert emitter.once("error", each) is each
    for _ in range(2):
        emitter._listeners.emit(KIND, object(), "call")
    assert heard == ["each", "first", "each", "each", "each"]
    emitter.off(KIND, each)
    assert emitter._listeners.emit(KIND, object(), "call") is False


def test_many_threads_may_listen_and_leave() -> None:
    listeners = Listeners()

    def come_and_go() -> None:
        for _ in range(200):

            def mine(event: Any) -> None: ...

            listeners.on(KIND, mine)
            listeners.emit(KIND, 1, "call")
            listeners.off(KIND, mine)

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert listeners.emit(KIND, 1, "call") is False
