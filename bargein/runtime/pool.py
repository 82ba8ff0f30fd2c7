"""Bounded pools of threads for calls that block: connects, HTTP requests, inference, listeners.

Work comes in lanes. A lane runs at most so many jobs at a time (one, for a session that isn't
thread-safe), and lanes take turns, so that a busy stream can't starve the others. A job that no
thread has taken can be withdrawn: windows are superseded, not queued.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections import deque
from collections.abc import Callable

from bargein.errors import OptionError

__all__ = [
    "Job",
    "Lane",
    "Pool",
    "configure_pools",
    "connect_pool",
    "http_pool",
    "inference_pool",
    "listener_pool",
]

logger = logging.getLogger("bargein")

CONNECT_THREADS = 8
"""A handshake or name lookup that hangs costs one; eight keep a reconnecting fleet moving."""

HTTP_THREADS = 64
"""Requests at a time: 40 overlaps at once, 10 windows a second each, answered in 0.16 s."""

MAX_INFERENCE_THREADS = 4
"""Threads. NumPy holds the interpreter's lock for much of a small model's work: more don't help."""

LISTENER_THREADS = 64
"""Streams whose listeners are called at a time. One is enough while they are quick."""

IDLE_SECONDS = 10.0
"""Seconds that a thread without work stays: longer than a pause in a call."""


class Job:
    """A call to make, on a pool's thread. What it raises is logged: nobody waits for it."""

    __slots__ = ("_call", "_lane", "taken")

    def __init__(self, lane: Lane, call: Callable[[], None]) -> None:
        self._lane = lane
        self._call = call
        self.taken = False

    def withdraw(self) -> bool:
        """Take the job back; return whether that was in time (no thread had taken it)."""
        return self._lane.withdraw(self)

    def run(self) -> None:
        """Make the call."""
        self._call()


class Lane:
    """A stream's jobs at one pool, at most ``width`` of them running at a time."""

    def __init__(self, pool: Pool, width: int = 1) -> None:
        self._pool = pool
        self.width = width
        self.running = 0
        self.jobs: deque[Job] = deque()
        self.queued = 0

    def submit(self, call: Callable[[], None]) -> Job:
        """Have a thread of the pool make a call; never blocks. Thread-safe."""
        job = Job(self, call)
        self._pool.submit(self, job)
        return job

    def withdraw(self, job: Job) -> bool:
        """See :meth:`Job.withdraw`."""
        return self._pool.withdraw(self, job)


class Pool:
    """At most ``size`` daemon threads, started when needed, gone after a while without work.

    All methods are thread-safe. ``name`` begins the threads' names.
    """

    def __init__(self, name: str, size: int, *, idle: float = IDLE_SECONDS) -> None:
        self.name = name
        self.size = size
        self._idle = idle
        self._numbers = itertools.count(1)
        self.reset()

    def reset(self) -> None:
        """Forget all threads and jobs: what a child must do after a fork."""
        self._lock = threading.RLock()  # held by itself: see Latch
        self._work = threading.Condition(self._lock)
        self._ready: deque[Lane] = deque()
        self._threads: set[threading.Thread] = set()
        self._waiting = 0
        self._running = 0
        self._places = 0
        """Of the jobs that may run, those that are done elsewhere: see :meth:`take_place`."""
        self._borrowed = 0
        self._short = False
        """Whether the system gave no thread when one was wanted last."""
        self._stopped = False

    @property
    def has_threads(self) -> bool:
        """Whether anybody is there to take a job."""
        return len(self._threads) > self._borrowed

    def resize(self, size: int) -> None:
        """Allow another number of threads from here on."""
        with self._lock:
            self.size = size

    def submit(self, lane: Lane, job: Job) -> None:
        """Queue a job on its lane."""
        with self._lock:
            self._stopped = False
            lane.jobs.append(job)
            short = self._short
            self._offer(lane)
            if short and len(self._ready) > self._waiting and not self._is_full:
                self._start_thread()  # a lane that is in line isn't offered a second time

    def borrow(self, call: Callable[[], None]) -> bool:
        """Make a call on a thread that has nothing to do, or on a new one; False: there is none.

        Until :meth:`give_back` the thread counts as none of the pool's.
        """
        with self._lock:
            if self._waiting <= len(self._ready) and self._is_full:
                return False
            lane = Lane(self)
            lane.jobs.append(Job(lane, call))
            self._offer(lane)
            if self._waiting < len(self._ready) and self._short:
                lane.jobs.clear()
                return False
            self._borrowed += 1
            return True

    def give_back(self) -> None:
        """A thread that was borrowed works for the pool again, or is about to."""
        with self._lock:
            self._borrowed -= 1

    def take_place(self) -> bool:
        """Count something that needs no thread as one of the pool's jobs; False: too many run.

        Until :meth:`free_place`.
        """
        with self._lock:
            if self._is_busy:
                return False
            self._places += 1
            return True

    def free_place(self) -> None:
        """What was counted is done."""
        with self._lock:
            self._places -= 1
            if self._ready:
                self._find_thread()

    @property
    def _is_busy(self) -> bool:
        """Whether as many jobs run as may; the lock is held."""
        return self._running - self._borrowed + self._places >= self.size

    @property
    def _is_full(self) -> bool:
        """Whether no thread may be added; the lock is held."""
        return len(self._threads) - self._borrowed >= self.size

    def call(self, call: Callable[[], None]) -> None:
        """Make a call on a thread of the pool, as soon as one is free.

        It is made on this one where no thread can be had at all: the interpreter is at its end.
        Late is better than never, and there are no calls left to be held up.
        """
        job = Lane(self).submit(call)
        if not self.has_threads and job.withdraw():
            call()

    def withdraw(self, lane: Lane, job: Job) -> bool:
        """Take a job back if no thread has it."""
        with self._lock:
            if job.taken:
                return False
            try:
                lane.jobs.remove(job)
            except ValueError:
                return False  # withdrawn before
            return True

    def stop(self, timeout: float = 1.0) -> None:
        """Let the threads end once they are idle, and wait for them, at most ``timeout`` s each."""
        with self._lock:
            self._stopped = True
            threads = list(self._threads)
            self._work.notify_all()
        for thread in threads:
            thread.join(timeout)

    def _offer(self, lane: Lane) -> None:
        """Put a lane in line for each job that could run now; the lock is held."""
        while lane.running + lane.queued < lane.width and lane.queued < len(lane.jobs):
            lane.queued += 1
            self._ready.append(lane)
            self._find_thread()

    def _find_thread(self) -> None:
        """Wake a thread for a lane in line, or start one; the lock is held."""
        if self._waiting >= len(self._ready):  # one for each, though some haven't woken yet
            self._work.notify()
        elif not self._is_full and not self._short:
            self._start_thread()

    def _start_thread(self) -> None:
        name = f"{self.name}-{next(self._numbers)}"
        thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            # The system has none left, or the interpreter is at its end. The job waits for a
            # thread that is there, or for the next job, with which another is tried for; a window
            # that waits in vain is given up by its deadline.
            self._short = True
            logger.error("%s: no thread could be started: %s", self.name, error)
        else:
            self._short = False
            self._threads.add(thread)

    def _run(self) -> None:
        me = threading.current_thread()
        while True:
            with self._lock:
                taken = self._take()
                if taken is None:
                    self._threads.discard(me)
                    return
            lane, job = taken
            try:
                job.run()
            except BaseException:  # SystemExit too: the thread isn't the job's to end
                logger.exception("%s: a job failed", self.name)
            del job, taken  # a waiting thread must keep no window alive
            with self._lock:
                lane.running -= 1
                self._running -= 1
                self._offer(lane)
            del lane

    def _take(self) -> tuple[Lane, Job] | None:
        """Wait for a job; None when this thread is to end. The lock is held."""
        while True:
            while self._ready and not self._is_busy:
                lane = self._ready.popleft()
                lane.queued -= 1
                if lane.jobs:
                    job = lane.jobs.popleft()
                    job.taken = True
                    lane.running += 1
                    self._running += 1
                    return lane, job
            if self._stopped or len(self._threads) - self._borrowed > self.size:
                return None
            self._waiting += 1
            notified = self._work.wait(self._idle)
            self._waiting -= 1
            if not notified and not self._ready:
                return None


connect_pool = Pool("bargein-pool-connect", CONNECT_THREADS)
http_pool = Pool("bargein-pool-http", HTTP_THREADS)
inference_pool = Pool("bargein-pool-inference", min(os.cpu_count() or 1, MAX_INFERENCE_THREADS))
listener_pool = Pool("bargein-pool-listener", LISTENER_THREADS)
_POOLS = (connect_pool, http_pool, inference_pool, listener_pool)


def configure_pools(
    *,
    max_connects: int | None = None,
    max_connections: int | None = None,
    max_inferences: int | None = None,
    max_listeners: int | None = None,
) -> None:
    """Allow the process's pools other numbers of threads, from here on; left out is unchanged.

    ``max_connects`` (8): connections being made at a time. ``max_connections`` (64): HTTP requests
    at a time, and kept-alive connections. ``max_inferences`` (the cores, 4 at most): windows that
    local backends judge at a time. ``max_listeners`` (64): streams whose listeners are called at a
    time. Any thread. Raises :class:`~bargein.errors.OptionError` for anything but a whole number of
    1 or more.
    """
    wanted = (
        ("max_connects", connect_pool, max_connects),
        ("max_connections", http_pool, max_connections),
        ("max_inferences", inference_pool, max_inferences),
        ("max_listeners", listener_pool, max_listeners),
    )
    for name, _, size in wanted:
        if size is not None and (type(size) is not int or size < 1):
            raise OptionError(f"{name} came as {size!r}; expected a whole number >= 1")
    for _, pool, size in wanted:
        if size is not None:
            pool.resize(size)


def _after_fork() -> None:
    for pool in _POOLS:
        pool.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
