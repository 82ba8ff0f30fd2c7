"""The judge behind the server: few threads, many sessions, never a queue of old windows.

Each session has one place. A window that comes while an older one of its session still waits takes
its place; the older one is dropped and counted. So what waits is never more than one window a
session, and what is judged is the newest.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import attrs

from bargein.backends import Backend, BatchBackend, Session
from bargein.core import Prediction, Window

__all__ = ["Engine", "Place"]

logger = logging.getLogger("bargein.server")

MAX_ALONE = 8
"""Windows of a batch that don't say where they lie, as those that come over HTTP. Each takes as
long as twenty that go on from another, which would have to wait for them."""

CLOSE_SECONDS = 2.0
"""That a batch may still take when the server ends. A judge that hangs would hold it for ever."""

LOG_EVERY = 10.0
"""Seconds between two tracebacks of the judge's: a broken one fails a thousand times a second."""

Answer = Callable[["Prediction | Exception"], None]


class Place:
    """A session's one place in the engine. For the event loop's thread."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.waiting: tuple[Window, Answer] | None = None
        self.busy = False
        self.closed = False

    @property
    def idle(self) -> bool:
        """Whether nothing is waiting or being judged."""
        return self.waiting is None and not self.busy


@attrs.frozen(eq=False)
class _Batch:
    """What one thread judges at once, and since when (monotonic seconds)."""

    jobs: list[tuple[Place, Window, Answer]]
    loop: asyncio.AbstractEventLoop
    began: float


class Engine:
    """Runs a backend on threads for an event loop. All methods: the loop's thread."""

    def __init__(self, backend: Backend, threads: int, max_batch: int = 32) -> None:
        self.backend = backend
        self._judge = _Judge(backend)
        self._most = max_batch if isinstance(backend, BatchBackend) else 1
        self.dropped = 0
        """Windows superseded before they were judged."""
        self.waiting = 0
        self._free = threads
        self._threads: list[threading.Thread] = []
        self._size = threads
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._ready: deque[Place] = deque()
        self._running: set[_Batch] = set()
        self._quiet = asyncio.Event()
        """Set when nothing is being judged."""
        self._quiet.set()

    def open_place(self, stream_id: str) -> Place:
        """Open a session. Raises what the backend raises."""
        return Place(self.backend.open_session(stream_id))

    def submit(self, place: Place, window: Window, answer: Answer) -> bool:
        """Have a window judged; return whether it took the place of an older one."""
        superseded = place.waiting is not None
        place.waiting = (window, answer)
        if superseded:
            self.dropped += 1
        else:
            self.waiting += 1
            if not place.busy:
                self._ready.append(place)
            self._start()
        return superseded

    def close_place(self, place: Place) -> None:
        """Close a session; what it still has waiting isn't judged."""
        place.closed = True
        if place.waiting is not None:
            place.waiting = None
            self.waiting -= 1
        if not place.busy:
            _close(place)

    def busy_for(self) -> float:
        """Return the seconds for which the oldest batch has been judged by now; 0.0 if none is."""
        began = min((batch.began for batch in self._running), default=None)
        return 0.0 if began is None else time.monotonic() - began

    def _start(self) -> None:
        while self._free and self._ready:
            jobs = self._take()
            if not jobs:
                return
            self._start_threads()
            batch = _Batch(jobs, asyncio.get_running_loop(), time.monotonic())
            self._free -= 1
            self._running.add(batch)
            self._quiet.clear()
            self._batches.put(batch)

    def _start_threads(self) -> None:
        # Daemons: a judge that hangs mustn't keep the process from its end.
        while len(self._threads) < self._size:
            name = f"bargein-server-judge-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _take(self) -> list[tuple[Place, Window, Answer]]:
        jobs: list[tuple[Place, Window, Answer]] = []
        later: list[Place] = []
        alone = 0
        while self._ready and len(jobs) < self._most:
            place = self._ready.popleft()
            if place.waiting is None:
                continue  # closed meanwhile
            window, answer = place.waiting
            if window.start is None:
                alone += 1
                if alone > MAX_ALONE:
                    later.append(place)
                    continue
            place.waiting, place.busy = None, True
            self.waiting -= 1
            jobs.append((place, window, answer))
        self._ready.extendleft(reversed(later))
        return jobs

    def _work(self) -> None:
        """Judge what comes; each of the judge's threads does."""
        while (batch := self._batches.get()) is not None:
            answers = self._judge.predict([(place.session, w) for place, w, _ in batch.jobs])
            try:
                batch.loop.call_soon_threadsafe(self._deliver, batch, answers)
            except RuntimeError:
                return  # the loop is closed: it waited no longer
            del batch, answers  # a thread that waits keeps no audio

    def _deliver(self, batch: _Batch, answers: Sequence[Prediction | Exception]) -> None:
        self._free += 1
        self._running.discard(batch)
        for (place, _, answer), result in zip(batch.jobs, answers, strict=True):
            place.busy = False
            if place.closed:
                _close(place)
                continue
            if place.waiting is not None:
                self._ready.append(place)
            try:
                answer(result)
            except Exception:  # the batch's other windows belong to others
                logger.exception("an answer couldn't be given")
        self._start()
        if not self._running:
            self._quiet.set()

    async def close(self) -> None:
        """Let what is being judged finish, for 2 s at most, and end the threads."""
        try:
            await asyncio.wait_for(self._quiet.wait(), CLOSE_SECONDS)
        except asyncio.TimeoutError:
            logger.error("the judge hangs; the server ends without it")
        for _ in self._threads:
            self._batches.put(None)
        if not self._running:
            for thread in self._threads:
                thread.join(CLOSE_SECONDS)
        self._threads.clear()


def _close(place: Place) -> None:
    try:
        place.session.close()
    except Exception:  # it is over for this session alone
        logger.exception("a session of the judge's couldn't be closed")


class _Judge:
    """The backend, asked on the judge's threads: whatever it does, each window has an answer."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._logged = -LOG_EVERY
        self._unsaid = 0

    def predict(self, jobs: Sequence[tuple[Session, Window]]) -> Sequence[Prediction | Exception]:
        """Judge a batch; what one window breaks doesn't break the others'."""
        if len(jobs) > 1 and isinstance(self._backend, BatchBackend):
            try:
                answers = self._backend.predict_many(jobs)
                if len(answers) == len(jobs):
                    return [_checked(answer) for answer in answers]
                raise ValueError(f"{len(jobs)} windows got {len(answers)} answers")
            except BaseException:  # SystemExit too: the server isn't the judge's to end
                self._log("a batch failed; its windows are judged one by one")
        return [self._predict_one(session, window) for session, window in jobs]

    def _predict_one(self, session: Session, window: Window) -> Prediction | Exception:
        try:
            return _checked(session.predict(window))
        except BaseException as error:
            self._log("a window failed")
            return error if isinstance(error, Exception) else RuntimeError(repr(error))

    def _log(self, what: str) -> None:
        now = time.monotonic()
        if now - self._logged < LOG_EVERY:
            self._unsaid += 1
            return
        more, self._unsaid, self._logged = self._unsaid, 0, now
        logger.exception("%s%s", what, f" (so did {more} more before)" if more else "")


def _checked(answer: object) -> Prediction:
    if isinstance(answer, Prediction):
        return answer
    raise TypeError(f"the judge answered {answer!r}; expected a Prediction")
