"""Who judges while the server can't: from the first window on, and not a moment later."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest

from bargein.core import OverlappingSpeechEvent
from bargein.drivers.tls import TlsOptions
from bargein.testing.sockets import BOUND, Peer
from tests.streams.service import Answer, Caller, Service, answers

Window = Any


def yes(window: Window) -> list[float]:
    return [0.9] * 12


def no(window: Window) -> list[float]:
    return [0.1] * 12


@pytest.fixture(params=["ws", "wss"])
def secure(request: pytest.FixtureRequest) -> str:
    """A WebSocket, plain and over TLS."""
    return str(request.param)


@pytest.mark.parametrize(("judge", "outcome"), [(yes, "interruption"), (no, "backchannel")])
def test_a_function_judges_from_the_first_window_that_the_remote_cant(
    transport: str, judge: Any, outcome: str
) -> None:
    judged: queue.Queue[int] = queue.Queue()

    def fallback(window: Window) -> list[float]:
        judged.put(window.id)
        return list(judge(window))

    with (
        Service(transport, listening=False) as service,
        service.detector(fallback=fallback, threshold=0.99) as detector,
        Caller(detector) as caller,
    ):
        if transport == "ws":
            caller.error()  # it isn't connected
        caller.interrupt()
        if transport == "http":
            caller.error()
            caller.speak_until(judged)
        else:
            assert judged.get(timeout=BOUND) == 1
        caller.stop()
        assert caller.outcome() == (outcome, None)  # by its own threshold, 0.5
        assert caller.metrics.get(timeout=BOUND).num_fallback >= 1
        assert caller.errors.empty()


def test_fail_open_is_an_interruption_after_half_a_second(transport: str) -> None:
    with (
        Service(transport, listening=False) as service,
        service.detector(fallback="fail_open") as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt(speech_duration=0.2)
        caller.error()
        caller.speak_until(caller.events)
        caller.stop()
        caller.begin(0.0)
        caller.stop()
        assert caller.outcome()[0] in ("inconclusive", "interruption")


def test_fail_open_says_that_it_was_the_policy(transport: str) -> None:
    with (
        Service(transport, listening=False) as service,
        service.detector(fallback="fail_open") as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt(speech_duration=1.0)
        caller.error()
        event: OverlappingSpeechEvent = caller.speak_until(caller.events)
        assert event.is_interruption
        assert event.reason is not None
        assert event.reason.value == "fail_open"
        assert event.probability == 0.0


def test_fail_closed_never_interrupts(transport: str) -> None:
    with (
        Service(transport, listening=False) as service,
        service.detector(fallback="fail_closed") as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt(speech_duration=3.0)
        caller.error()
        caller.speak(10)
        caller.stop()
        assert caller.outcome() == ("backchannel", "fail_closed")


@pytest.mark.parametrize("hangs", [answers.silence, answers.stall_inside])
def test_a_hanging_remote_doesnt_keep_the_fallback_waiting(transport: str, hangs: Answer) -> None:
    with (
        Service(transport, hangs) as service,
        service.detector(inference_timeout=0.1, fallback=yes) as detector,
    ):
        callers = [Caller(detector) for _ in range(4)]
        for caller in callers:
            caller.interrupt()
        for caller in callers:
            event: OverlappingSpeechEvent = caller.speak_until(caller.events)
            assert event.is_interruption


def test_a_server_that_reads_no_more_doesnt_keep_the_fallback_waiting(secure: str) -> None:
    """Nothing comes back, not even a pong; each overlap is judged all the same."""

    def deaf(peer: Peer) -> None:
        peer.accept_websocket()
        peer.stopping.wait(BOUND)

    with (
        Service(secure, greetings=[deaf] * 9) as service,
        service.detector(
            tls=TlsOptions(verify=False),
            inference_timeout=0.1,
            max_in_flight=1,
            fallback=yes,
        ) as detector,
        Caller(detector) as caller,
    ):
        for _ in range(6):
            caller.stream.agent_speech_started()
            caller.speak(20)
            caller.begin(speech_duration=2.0)
            event: OverlappingSpeechEvent = caller.speak_until(caller.events)
            assert event.is_interruption
            caller.stream.agent_speech_ended()


def test_the_first_positive_of_either_wins() -> None:
    go = threading.Event()

    def slow(window: Window) -> list[float]:
        assert go.wait(BOUND)
        return [0.9] * 12

    with (
        Service("ws", answers.silence) as service,
        service.detector(inference_timeout=0.1, fallback=slow) as detector,
        Caller(detector) as caller,
    ):
        service.sessions.get(timeout=BOUND)  # it is ready
        caller.interrupt()
        late = service.next()
        caller.error()  # the first window is given up: the fallback has the rest
        caller.speak()
        late.reply(True)  # too late to count
        go.set()
        event: OverlappingSpeechEvent = caller.speak_until(caller.events)
        assert event.is_interruption
        assert caller.metrics.get(timeout=BOUND).num_late == 1


def test_the_remote_gets_windows_again_from_the_next_overlap_on() -> None:
    with (
        Service("ws", answers.drop, answers.yes) as service,
        service.detector(fallback=no) as detector,
        Caller(detector) as caller,
    ):
        service.sessions.get(timeout=BOUND)
        caller.interrupt()
        caller.error()
        caller.stop()
        assert caller.outcome()[0] in ("backchannel", "inconclusive")
        service.sessions.get(timeout=BOUND)  # it is back
        caller.begin()
        caller.speak_until(caller.events)
        caller.stop()
        service.next()
        assert service.next().connection == 2


def test_a_fallback_that_raises_is_one_error_and_no_verdict() -> None:
    def broken(window: Window) -> list[float]:
        raise RuntimeError("no model")

    with (
        Service("ws", listening=False) as service,
        service.detector(fallback=broken) as detector,
        Caller(detector) as caller,
    ):
        caller.error()
        caller.interrupt()
        problem = caller.error()
        assert "no model" in str(problem.error)
        caller.speak(3)
        caller.stop()
        assert caller.outcome() == ("inconclusive", "error")
        assert caller.errors.empty()


OUTAGE = 5  # streams; benchmarks/outage.py has fifty


@pytest.mark.parametrize("fallback", [yes, None], ids=["fallback", "none"])
def test_an_outage_in_the_middle_of_calls(fallback: Any) -> None:
    """The server vanishes and comes back: nobody goes unheard, and every stream lives on."""
    with Service("ws", answers.yes) as service, service.detector(fallback=fallback) as detector:
        callers = [Caller(detector) for _ in range(OUTAGE)]
        for caller in callers:
            caller.interrupt()
            assert caller.outcome() == ("interruption", None)
            caller.stop()
        service.vanish()
        for caller in callers:
            caller.error()
            caller.begin()
            if fallback is None:
                caller.stop()
                assert caller.outcome() == ("inconclusive", "connection")
            else:
                assert caller.outcome() == ("interruption", None)
                caller.stop()
        service.come_back()
        for caller in callers:
            caller.begin()
            event: OverlappingSpeechEvent = caller.speak_until(caller.events)
            assert event.is_interruption
            assert caller.stream.is_open
            assert caller.errors.empty()
        detector.close()
