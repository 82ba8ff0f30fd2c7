"""The judge behind the server: few threads, many sessions, never a queue of old windows.

Each session has one place. A window that comes while an older one of its session still waits takes
its place; the older one is dropped and counted. So what waits is never more than one window a
session, and what is judged is the newest.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from bargein.backends import Backend, BatchBackend, Session
from bargein.core import Prediction, Window

__all__ = ["Engine", "Place"]

logger = logging.getLogger("bargein.server")

MAX_ALONE = 8
"""Windows of a batch that don't say where they lie, as those that come over HTTP. Each takes as
long as twenty that go on from another, which would have to wait for them."""

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


class Engine:
    """Runs a backend on threads for an event loop. All methods: the loop's thread."""

    def __init__(self, backend: Backend, threads: int, max_batch: int = 32) -> None:
        self.backend = backend
        self._most = max_batch if isinstance(backend, BatchBackend) else 1
        self.dropped = 0
        """Windows superseded before they were judged."""
        self.waiting = 0
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="bargein-server-judge")
        self._free = threads
        self._ready: deque[Place] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def open_place(self, stream_id: str) -> Place:
        """Open a session."""
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
            place.session.close()

    def _start(self) -> None:
        while self._free and self._ready:
            batch = self._take()
            if not batch:
                return
            self._free -= 1
            task = asyncio.get_running_loop().create_task(self._judge(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _take(self) -> list[tuple[Place, Window, Answer]]:
        batch: list[tuple[Place, Window, Answer]] = []
        later: list[Place] = []
        alone = 0
        while self._ready and len(batch) < self._most:
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
            batch.append((place, window, answer))
        self._ready.extendleft(reversed(later))
        return batch

    async def _judge(self, batch: list[tuple[Place, Window, Answer]]) -> None:
        jobs = [(place.session, window) for place, window, _ in batch]
        answers = await asyncio.get_running_loop().run_in_executor(
            self._executor, _predict, self.backend, jobs
        )
        self._free += 1
        for (place, _, answer), result in zip(batch, answers, strict=True):
            place.busy = False
            if place.closed:
                place.session.close()
                continue
            if place.waiting is not None:
                self._ready.append(place)
            try:
                answer(result)
            except Exception:  # the batch's other windows belong to others
                logger.exception("an answer couldn't be given")
        self._start()

    async def close(self) -> None:
        """Let what is being judged finish, and end the threads."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._executor.shutdown()


def _predict(
    backend: Backend, jobs: Sequence[tuple[Session, Window]]
) -> Sequence[Prediction | Exception]:
    """Judge a batch on a thread; what one window breaks doesn't break the others'."""
    if len(jobs) > 1 and isinstance(backend, BatchBackend):
        try:
            answers = backend.predict_many(jobs)
            if len(answers) == len(jobs):
                return answers
            logger.error("a batch of %d got %d answers", len(jobs), len(answers))
        except Exception:
            logger.exception("a batch of %d failed; its windows are judged one by one", len(jobs))
    return [_predict_one(session, window) for session, window in jobs]


def _predict_one(session: Session, window: Window) -> Prediction | Exception:
    try:
        return session.predict(window)
    except Exception as error:
        logger.exception("a window failed")
        return error
