"""Ends: from anywhere, in time, and with nothing left behind (``tests/conftest.py`` looks)."""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bargein.core.taps import Tap
from bargein.detector import AdaptiveInterruptionDetector
from bargein.errors import StateError, StreamEnded
from bargein.leftovers import close_all
from bargein.stream import InterruptionStreamBase
from bargein.testing.sockets import BOUND, Peer
from tests.fresh import run_fresh
from tests.streams.service import Answer, Caller, Service, answers

WAITS = [answers.silence, answers.stall_inside, answers.drip]


def is_over(stream: InterruptionStreamBase) -> bool:
    return not stream._worker.alive


@pytest.mark.parametrize("waits", WAITS)
def test_close_while_a_reply_is_waited_for_or_read(
    any_transport: str, waits: Answer, tmp_path: Path
) -> None:
    with Service(any_transport, waits) as service, service.detector(folder=tmp_path) as detector:
        caller = Caller(detector)
        caller.interrupt()
        service.next()
        caller.stream.close(BOUND)
        assert is_over(caller.stream)
        assert caller.outcome() == ("inconclusive", "closed")
        caller.stream.close(BOUND)  # and again
        assert caller.events.empty()


def test_close_while_connecting(any_transport: str, tmp_path: Path) -> None:
    """To a server that accepts and says nothing."""
    connected: queue.Queue[None] = queue.Queue()

    def stall(peer: Peer) -> None:
        connected.put(None)
        peer.hold()

    with (
        Service(any_transport, greetings=[stall] * 2) as service,
        service.detector(folder=tmp_path) as detector,
    ):
        caller = Caller(detector)
        caller.interrupt()
        connected.get(timeout=BOUND)
        closer = threading.Thread(target=caller.stream.close, args=(BOUND,))
        closer.start()
        closer.join()
        assert is_over(caller.stream)
        with pytest.raises(StreamEnded):
            [caller.stream.recv(BOUND) for _ in range(2)]


def test_close_while_a_name_is_looked_up(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ends a lookup from outside; the thread that hangs in it holds nothing of ours."""
    asked, go = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> Any:
        asked.set()
        go.wait(BOUND)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with AdaptiveInterruptionDetector(base_url=f"{transport}://judge.example") as detector:
        caller = Caller(detector)
        caller.interrupt()
        assert asked.wait(BOUND)
        caller.stream.close(BOUND)
        assert is_over(caller.stream)
        assert caller.outcome() == ("inconclusive", "closed")
        go.set()


def test_close_before_anything_was_pushed(any_transport: str, tmp_path: Path) -> None:
    with Service(any_transport) as service, service.detector(folder=tmp_path) as detector:
        stream = detector.stream()
        stream.close(BOUND)
        assert is_over(stream)
        assert list(stream) == []


def test_close_from_a_listener(transport: str) -> None:
    with Service(transport, answers.yes) as service, service.detector() as detector:
        caller = Caller(detector)
        caller.stream.on("overlapping_speech", lambda event: caller.stream.close())
        caller.interrupt()
        assert caller.outcome() == ("interruption", None)
        assert len(list(caller.stream)) == 1


def test_close_of_the_detector_from_a_listener(transport: str) -> None:
    with Service(transport, answers.yes) as service, service.detector() as detector:
        callers = [Caller(detector) for _ in range(3)]
        callers[0].stream.on("overlapping_speech", lambda event: detector.close(BOUND))
        callers[0].interrupt()
        for caller in callers:
            assert len(list(caller.stream)) <= 1
        with pytest.raises(StateError):
            detector.stream()


def test_close_from_many_threads_at_once(transport: str) -> None:
    with Service(transport) as service, service.detector() as detector:
        caller = Caller(detector)
        caller.interrupt()
        service.next()
        threads = [threading.Thread(target=caller.stream.close, args=(BOUND,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert is_over(caller.stream)
        assert caller.outcome() == ("inconclusive", "closed")


def test_close_waits_no_longer_than_it_is_told_for_a_listener_that_hangs() -> None:
    go, reached = threading.Event(), threading.Event()

    def hang(event: Any) -> None:
        reached.set()
        go.wait(BOUND)

    with AdaptiveInterruptionDetector(backend=lambda window: [0.9] * 12) as detector:
        caller = Caller(detector)
        caller.stream.on("overlapping_speech", hang)
        caller.interrupt()
        assert reached.wait(BOUND)
        assert caller.stream._worker.close(0.01) is False
        assert caller.stream._worker.join(BOUND)  # a listener keeps nothing open
        go.set()
        assert caller.stream._worker.close(BOUND) is True


def test_close_while_a_backend_hangs() -> None:
    go, reached = threading.Event(), threading.Event()

    def hang(window: Any) -> list[float]:
        reached.set()
        go.wait(BOUND)
        return [0.9] * 12

    with AdaptiveInterruptionDetector(backend=hang, inference_timeout=BOUND) as detector:
        caller = Caller(detector)
        caller.interrupt()
        assert reached.wait(BOUND)
        caller.stream.close(BOUND)
        assert is_over(caller.stream)
        assert caller.outcome() == ("inconclusive", "closed")
        go.set()


def test_a_session_is_closed_once_after_its_last_prediction() -> None:
    log: queue.Queue[str] = queue.Queue()

    class Session:
        def predict(self, window: Any) -> Any:
            log.put("predict")
            raise ValueError("not today")

        def close(self) -> None:
            log.put("close")
            raise RuntimeError("and not at the end")

    class Judge:
        model, provider, default_threshold = "moody", "us", 0.5

        def open_session(self, stream_id: str | None) -> Session:
            log.put(f"open {stream_id}")
            return Session()

    with AdaptiveInterruptionDetector(backend=Judge()) as detector:
        caller = Caller(detector, id="a")
        caller.interrupt()
        assert "not today" in str(caller.error().error)
        caller.stream.close(BOUND)
        assert [log.get(timeout=BOUND) for _ in range(3)] == ["open a", "predict", "close"]
    assert log.empty()


def test_a_server_that_ignores_the_goodbye_keeps_nobody_waiting() -> None:
    with Service("ws", says_goodbye=False) as service, service.detector() as detector:
        caller = Caller(detector)
        service.sessions.get(timeout=BOUND)
        caller.stream.close(BOUND)
        assert is_over(caller.stream)
        assert service.goodbyes.get(timeout=BOUND) == 1


def test_a_server_that_ignores_our_close_after_the_end_of_input() -> None:
    with Service("ws", answers.no, says_goodbye=False) as service, service.detector() as detector:
        caller = Caller(detector)
        caller.interrupt()
        service.next()
        caller.stream.end_input()
        assert len(caller.read_all()) == 1  # the end is told at once
        service.goodbyes.get(timeout=BOUND)
        caller.stream.close(BOUND)
        assert is_over(caller.stream)


def test_the_detector_closes_all_its_streams(transport: str) -> None:
    with Service(transport) as service:
        detector = service.detector()
        events = detector.events()
        callers = [Caller(detector) for _ in range(20)]
        for caller in callers:
            caller.interrupt()
        detector.close(BOUND)
        assert all(is_over(caller.stream) for caller in callers)
        assert len(list(events)) == 20
        detector.close()
        with pytest.raises(StateError, match="closed"):
            detector.stream()


def test_a_forgotten_stream_is_closed_and_told_of(transport: str) -> None:
    with Service(transport) as service, service.detector() as detector:
        stream = detector.stream(id="lost")
        worker = stream._worker
        with pytest.warns(ResourceWarning, match="the stream lost was never closed"):  # noqa: PT031
            del stream
            gc.collect()
        worker.join(BOUND)
        assert not worker.alive


def test_a_forgotten_stream_is_closed_where_warnings_are_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What a finalizer raises has nobody to be raised to.
    raised: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)
    detector = AdaptiveInterruptionDetector(backend=lambda window: [0.0])
    stream = detector.stream()
    worker = stream._worker
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del stream
        gc.collect()
    worker.join(BOUND)
    assert not worker.alive
    assert [one.exc_type for one in raised] == [ResourceWarning]
    detector.close()


def test_a_stream_may_be_forgotten_while_its_worker_is_locked() -> None:
    """The garbage collector runs wherever it likes, with the worker's lock held or not."""
    detector = AdaptiveInterruptionDetector(backend=lambda window: [0.0])
    stream = detector.stream()
    worker, forget = stream._worker, stream._finalizer
    with worker.lock, pytest.warns(ResourceWarning):
        forget()
    worker.join(BOUND)
    assert not worker.alive
    detector.close()


def test_a_signals_handler_may_close_wherever_it_comes(transport: str) -> None:
    """Its thread may hold any of the locks that closing takes."""
    with Service(transport) as service, service.detector() as detector:
        caller = Caller(detector)
        worker, remote = caller.stream._worker, detector.remote
        client = [remote.client._lock] if transport == "http" else []
        with contextlib.ExitStack() as held:
            for lock in (detector._lock, detector._hub._lock, worker._left._lock, *client):
                held.enter_context(lock)
            detector.close(BOUND)
        assert is_over(caller.stream)


def test_a_stream_that_ended_may_be_forgotten() -> None:
    detector = AdaptiveInterruptionDetector(backend=lambda window: [0.0])
    stream = detector.stream()
    stream.end_input()
    assert list(stream) == []
    stream._worker.join(BOUND)
    del stream
    gc.collect()
    detector.close()


EXIT = """
import threading, {imports}
from tests.streams.service import Caller, Service, answers

service = Service("{transport}", answers.stall_inside)
service.server._acceptor.daemon = True
threading.Thread.daemon = property(lambda self: True, lambda self, value: None)
service.__enter__()
detector = service.detector()
caller = Caller(detector)
caller.interrupt()
service.next()
print("left open")
"""


def test_an_exit_with_streams_open_is_quick_and_quiet(transport: str) -> None:
    here = str(Path(__file__).parents[2])
    code = f"import sys; sys.path.append({here!r})" + EXIT.format(
        transport=transport, imports="sys"
    )
    done = run_fresh("-W", "ignore::ResourceWarning", "-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "left open\n", "")


def test_the_exit_ends_what_is_left_open(transport: str) -> None:
    """What the interpreter calls at its exit, while it can be watched."""
    with Service(transport) as service, service.detector() as detector:
        callers = [Caller(detector) for _ in range(3)]
        for caller in callers:
            caller.interrupt()
        close_all()
        for caller in callers:
            assert caller.outcome() == ("inconclusive", "closed")
            assert not caller.stream.is_open


FORK = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: a fork with threads
from bargein.detector import AdaptiveInterruptionDetector
from bargein.errors import StateError

detector = AdaptiveInterruptionDetector(backend=lambda window: [0.9] * 12)
stream = detector.stream(sample_rate=16000)
stream.agent_speech_started()
other = detector.stream()
child = os.fork()
if not child:
    calls = {
        "push": lambda: stream.push_frame(bytes(320)),
        "put": lambda: stream.agent_speech_ended(),
        "voice": lambda: stream.voice_activity(0.5),
        "agent": lambda: stream.agent_audio(bytes(320)),
        "recv": lambda: stream.recv(0.1),
        "next": lambda: next(stream),
        "update": lambda: stream.update_options(threshold=0.1),
    }
    for name, call in calls.items():
        try:
            call()
        except StateError as error:
            assert "fork" in str(error), error
        else:
            os._exit(3)
    assert not stream.is_open
    stream.stats()
    stream.close()
    del other  # its being collected is no mistake of the child's
    with detector.stream() as own:  # the detector itself may be used
        own.agent_speech_started()
        own.overlap_speech_started()
        own.push_frame(bytes(3200))
        if not own.recv(10).is_interruption:
            os._exit(4)
    detector.close()
    sys.exit(0)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
stream.overlap_speech_started()
stream.push_frame(bytes(3200))
print(stream.recv(10).is_interruption)
detector.close()
"""


def test_after_a_fork_the_childs_stream_says_that_it_is_dead_and_the_parents_goes_on() -> None:
    done = run_fresh("-c", FORK)
    assert (done.stderr, done.stdout) == ("", "0\nTrue\n")


def test_after_a_fork_no_connection_is_shared() -> None:
    from bargein.drivers import http_client

    client = http_client.HttpClient("http://127.0.0.1:9", timeout=1.0, tls=None)
    kept = client._take_adapter()
    client._give_back(kept)
    client._process -= 1  # as a child finds it
    assert client._take_adapter() is not kept
    client.close()


def test_a_stream_that_can_have_no_thread_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = AdaptiveInterruptionDetector(backend=lambda window: [0.0])

    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError):
            detector.stream()
    detector.close()


def test_a_bug_of_ours_ends_the_stream_and_loses_no_reader(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from bargein.core.pipeline import Pipeline
    from bargein.errors import BargeinError

    with AdaptiveInterruptionDetector(backend=lambda window: [0.0]) as detector:
        caller = Caller(detector)
        caller.stream.agent_speech_started()
        caller.stream.overlap_speech_started()
        caller.wait_until_heard()
        handle: Callable[..., Any] = Pipeline.handle

        def broken(self: Pipeline, item: Any, *, now: float) -> Any:
            if type(item).__name__ == "Flush":
                raise ZeroDivisionError("oh")
            return handle(self, item, now=now)

        monkeypatch.setattr(Pipeline, "handle", broken)
        caller.stream.flush()
        assert caller.outcome() == ("inconclusive", "closed")
        with pytest.raises(BargeinError, match="ZeroDivisionError"):
            caller.read_all()
        caller.stream.push_frame(bytes(320))
        assert not caller.stream.is_open
    assert "the worker failed" in caplog.text


def test_a_stream_that_can_have_no_thread_ends_its_watchers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A recording that nobody ends would keep its file, and the recorder's close() waiting."""
    from bargein.recording import Recorder, load_recording

    def no_more(group: Any, task: Any) -> None:
        raise RuntimeError("can't start new thread")

    with (
        Recorder(tmp_path) as recorder,
        AdaptiveInterruptionDetector(backend=lambda window: [0.0]) as detector,
    ):
        monkeypatch.setattr("bargein.runtime.reactors.Reactors.add", no_more)
        with pytest.raises(RuntimeError):
            detector.stream(recorder=recorder)
    (folder,) = tmp_path.iterdir()
    assert [entry.kind for entry in load_recording(folder).entries()] == ["ended"]


class Late:
    """A watcher during whose beginning something else happens to the detector."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self.happens = happens

    def begin(self, *_: object) -> Tap:
        thread = threading.Thread(target=self.happens)
        thread.start()
        thread.join(BOUND)
        assert not thread.is_alive()  # it had no lock to wait for
        return Tap()

    def close(self, timeout: float) -> None: ...


def test_a_detector_may_be_closed_while_a_stream_opens() -> None:
    detector = AdaptiveInterruptionDetector(backend=lambda window: [0.0])
    with pytest.raises(StateError, match="closed"):
        detector.stream(recorder=Late(detector.close))
    detector.close()


def test_options_may_change_while_a_stream_opens() -> None:
    with AdaptiveInterruptionDetector(backend=lambda window: [0.0]) as detector:
        late = Late(lambda: detector.update_options(threshold=0.875))
        with detector.stream(recorder=late) as stream:
            assert stream._options.threshold == 0.875


def test_a_lost_connection_is_polled_no_more_before_it_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where a child has a copy of it, epoll would tell of it for ever."""
    from bargein.runtime.poller import Poller
    from bargein.testing.answers import drop
    from bargein.testing.server import ScriptedServer

    closed: list[int] = []
    unregister = Poller.unregister

    def tell(self: Any, fd: int) -> None:
        try:
            os.fstat(fd)
        except OSError:
            closed.append(fd)
        unregister(self, fd)

    monkeypatch.setattr(Poller, "unregister", tell)
    with ScriptedServer(drop) as server, server.detector() as detector, Caller(detector) as caller:
        caller.interrupt()
        server.lost.get(timeout=BOUND)
        server.sessions.get(timeout=BOUND)
        server.sessions.get(timeout=BOUND)  # by the next connection
    assert closed == []
