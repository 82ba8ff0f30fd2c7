"""Changes of settings on live streams, and a window judged by itself."""

from __future__ import annotations

import queue
import threading
from typing import Any

import numpy as np
import pytest

from bargein.core import session_update
from bargein.detector import AdaptiveInterruptionDetector
from bargein.errors import APIError, APIStatusError, APITimeoutError
from bargein.streams import InterruptionHttpStream
from bargein.testing.sockets import BOUND
from tests.streams.service import Caller, Service, answers, refuse


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_update, "UPDATE_SPREAD", 0.0)


def test_http_windows_carry_new_settings_from_the_next_request_on() -> None:
    with (
        Service("http", answers.no) as service,
        service.detector(threshold=0.5) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        assert "threshold=0.5&min_frames=2" in service.requests.get(timeout=BOUND).target
        detector.update_options(threshold=0.25)
        caller.wait_until_heard()
        caller.speak()
        assert "threshold=0.25&min_frames=2" in service.requests.get(timeout=BOUND).target
        caller.stream.update_options(threshold=None, min_interruption_duration=0.1)
        caller.speak()
        target = service.requests.get(timeout=BOUND).target
        assert "threshold" not in target
        assert "min_frames=4" in target
        assert detector.options.threshold == 0.25


def test_a_websocket_session_serves_until_the_new_one_is_created() -> None:
    with (
        Service("ws") as service,
        service.detector(threshold=0.5) as detector,
        Caller(detector) as caller,
    ):
        caller.interrupt()
        old = service.next()
        assert service.sessions.get(timeout=BOUND)["threshold"] == 0.5
        detector.update_options(threshold=None)
        assert "threshold" not in service.sessions.get(timeout=BOUND)
        while (new := caller.speak_until(service.heard)).connection == 1:
            new.reply(False)
        assert service.goodbyes.empty()  # a window is unanswered there
        old.reply(False)
        assert service.goodbyes.get(timeout=BOUND) == 1
        assert service.lost.get(timeout=BOUND) == 1
        new.reply(True)
        assert caller.outcome() == ("interruption", None)
        assert caller.errors.empty()
        assert caller.stream.stats().faults == 0


def test_a_refused_update_leaves_the_old_session_running() -> None:
    with (
        Service("ws", answers.yes) as service,
        service.detector(conn={"max_retry": 0}) as detector,
        Caller(detector) as caller,
    ):
        service.sessions.get(timeout=BOUND)
        service.greet_next(refuse("400 Bad Request", "no such threshold"))
        caller.stream.update_options(threshold=0.1)
        problem = caller.error()
        assert problem.recoverable
        assert isinstance(problem.error, APIStatusError)
        caller.interrupt()
        assert caller.outcome() == ("interruption", None)
        assert service.next().connection == 1


def test_an_update_back_to_the_present_settings_opens_nothing() -> None:
    with (
        Service("ws", answers.yes) as service,
        service.detector(threshold=0.5) as detector,
        Caller(detector) as caller,
    ):
        service.sessions.get(timeout=BOUND)
        caller.stream.update_options(threshold=0.5)
        caller.interrupt()
        caller.event()
        assert service.connections == 1


def test_an_update_before_the_connection_is_made_is_what_it_is_made_with() -> None:
    with (
        Service("ws", listening=False) as service,
        service.detector(threshold=0.5) as detector,
        Caller(detector) as caller,
    ):
        caller.error()
        detector.update_options(threshold=0.75)
        service.server.listen()
        assert service.sessions.get(timeout=BOUND)["threshold"] == 0.75


def test_a_local_judge_takes_new_settings_at_once() -> None:
    from bargein.detector import AdaptiveInterruptionDetector

    seen: queue.Queue[Any] = queue.Queue()

    def judge(window: Any) -> list[float]:
        seen.put((window.threshold, window.min_frames))
        return [0.0] * 12

    with AdaptiveInterruptionDetector(backend=judge) as detector, Caller(detector) as caller:
        detector.update_options(threshold=0.3, min_interruption_duration=0.075)
        caller.interrupt()
        assert seen.get(timeout=BOUND) == (0.3, 3)


# ---- predict


def open_http(service: Service, detector: Any) -> InterruptionHttpStream:
    stream = detector.stream()
    assert isinstance(stream, InterruptionHttpStream)
    return stream


def test_predict_judges_a_waveform_by_itself() -> None:
    with Service("http", answers.yes) as service, service.detector(threshold=0.5) as detector:
        stream = open_http(service, detector)
        response = stream.predict(np.arange(1600, dtype=np.int16))
        assert response.is_bargein is True
        assert len(response.probabilities) == 4
        np.testing.assert_array_equal(service.next().samples, np.arange(1600))
        assert "threshold=0.5&min_frames=2" in service.requests.get(timeout=BOUND).target


@pytest.mark.parametrize("stalls", [answers.silence, answers.stall_inside, answers.drip])
def test_predict_gives_up_in_time(stalls: Any) -> None:
    with Service("http", stalls) as service, service.detector() as detector:
        stream = open_http(service, detector)
        with pytest.raises(APITimeoutError):
            stream.predict(np.zeros(1600, np.int16), timeout=0.05)
        assert service.lost.get(timeout=BOUND) == 1  # the request was aborted


def test_predict_raises_what_the_server_says() -> None:
    with (
        Service("http", answers.status("404 Not Found")) as service,
        service.detector() as detector,
    ):
        stream = open_http(service, detector)
        with pytest.raises(APIStatusError, match="404"):
            stream.predict(np.zeros(1600, np.int16))
        detector.close()
        with pytest.raises(APIError, match="closed"):
            stream.predict(np.zeros(1600, np.int16))


def test_two_threads_wishes_reach_all_streams_in_one_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or the last wish would be the detector's, and another one a stream's."""
    with AdaptiveInterruptionDetector(backend=lambda window: [0.0]) as detector:
        first, second = detector.stream(), detector.stream()
        update, others = first.update_options, []

        def meanwhile(**options: Any) -> None:
            if not others:
                others.append(
                    threading.Thread(target=detector.update_options, kwargs={"threshold": 0.75})
                )
                others[0].start()
                others[0].join(0.1)  # it waits for this one's end, or has its own already
            update(**options)

        monkeypatch.setattr(first, "update_options", meanwhile)
        detector.update_options(threshold=0.25)
        others[0].join(BOUND)
        assert [stream._options.threshold for stream in (first, second)] == [0.75, 0.75]
        assert detector.options.threshold == 0.75
