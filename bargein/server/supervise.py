"""Several worker processes for one port: started, started again, and stopped together."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Collection
from types import FrameType
from typing import NoReturn

from bargein.errors import BargeinError

__all__ = ["Supervisor", "attempt"]

logger = logging.getLogger("bargein.server")

STEADY = 5.0
"""Seconds after which a worker counts as having started: it has loaded its judge, and served."""

PAUSES = (0.0, 0.1, 0.5, 2.0, 5.0)
"""Seconds before a worker is started again, by how many in a row came to nothing; after as many
as there are here the server gives up, for whoever runs it to see."""

MOST_SAID = 4096
"""Bytes of what went wrong in an attempt: what any pipe takes without a reader."""

_STOPS = (signal.SIGTERM, signal.SIGINT)


class Supervisor:
    """Keeps worker processes running. For the main thread, which :meth:`run` takes.

    ``work`` is what the worker in a place (0 to ``workers`` - 1) does; it returns the exit code.
    ``stopped`` is called here once the workers were told to stop, ``ended`` with each process that
    is no more. ``clock``: monotonic seconds.
    """

    def __init__(
        self,
        workers: int,
        work: Callable[[int], int],
        *,
        stopped: Callable[[], None] = lambda: None,
        ended: Callable[[int], None] = lambda child: None,
        fork: Callable[[], int] = os.fork,
        wait: Callable[[], tuple[int, int]] = os.wait,
        kill: Callable[[int, int], None] = os.kill,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers, self._work = workers, work
        self._stopped, self._ended = stopped, ended
        self._fork, self._wait, self._kill, self._clock = fork, wait, kill, clock
        self._started: dict[int, tuple[int, float]] = {}
        """Process -> its place, and when it began to work: after its pause."""
        self._failures = 0
        self.stopping = False

    def run(self) -> int:
        """Run until told to stop by SIGTERM or SIGINT; return an exit code."""
        for number in _STOPS:
            signal.signal(number, self.stop)
        code = 0
        for place in range(self._workers):
            if not self.stopping:
                self._start(place, 0.0)
        while self._started:
            child, status = self._wait()
            if child not in self._started:
                continue  # not a worker: inherited from what this process was before an exec
            place, began = self._started.pop(child)
            self._ended(child)
            if self.stopping:
                continue
            self._failures = 0 if self._clock() - began >= STEADY else self._failures + 1
            if self._failures >= len(PAUSES):
                logger.error("%d workers in a row ended at once; the server ends", self._failures)
                code = 1
                self.stop()
            else:
                ended = os.waitstatus_to_exitcode(status)
                how = f"code {ended}" if ended >= 0 else f"signal {-ended}"
                logger.error("worker %d ended (%s); another is started", child, how)
                self._start(place, PAUSES[self._failures])
        return code

    def stop(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Pass the stop on to all workers."""
        self.stopping = True
        for child in self._started:
            self._kill(child, signal.SIGTERM)
        self._stopped()

    def _start(self, place: int, pause: float) -> None:
        # Blocked, so that a stop can't reach the child while it still has this one's handler.
        old = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        try:
            child = self._fork()
            if not child:
                self._be_a_worker(place, pause, old)
            self._started[child] = place, self._clock() + pause
            # A stop between the fork and this note has missed it: libraries have threads of their
            # own, for which nothing is blocked, so that the handler may have run meanwhile.
            if self.stopping:
                self._kill(child, signal.SIGTERM)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)

    def _be_a_worker(self, place: int, pause: float, mask: Collection[int]) -> NoReturn:
        """Work, and end the process here: what the parent has to clean up isn't the child's."""
        code = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            # A terminal sends it to all processes; the parent decides.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            time.sleep(pause)  # here, where a stop ends it at once
            code = self._work(place)
        except BargeinError as error:
            logger.error("a worker can't go on: %s", error)
        except BaseException:
            logger.exception("a worker can't go on")
        finally:
            logging.shutdown()
            os._exit(code)


def attempt(work: Callable[[], object]) -> str | None:
    """Do ``work`` in a process of its own; return what went wrong in a line, or ``None``.

    Nothing that it loads or starts (threads, a GPU's context) is in this process afterwards.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        _say_and_end(work, theirs)
    os.close(theirs)
    try:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        # Not to the pipe's end, which a process that the work started may hold open.
        os.set_blocking(ours, False)
        try:
            said = os.read(ours, MOST_SAID).decode(errors="replace")
        except BlockingIOError:
            said = ""
    finally:
        os.close(ours)
    return said or (f"its process ended with code {code}" if code else None)


def _say_and_end(work: Callable[[], object], where: int) -> NoReturn:
    try:
        work()
    except BargeinError as error:
        os.write(where, str(error).encode()[:MOST_SAID])
    except BaseException as error:
        os.write(where, f"{type(error).__name__}: {error}".encode()[:MOST_SAID])
    finally:
        os._exit(0)
