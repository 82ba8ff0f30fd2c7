"""The process's reactors: which one a task comes to, when they begin and end."""

from __future__ import annotations

import itertools
import os
import select
import threading

from .pool import Pool, listener_pool
from .reactor import Reactor
from .task import Handle, Task

__all__ = ["Reactors", "reactors"]

REACTORS = 1
"""Threads a process. Python's steps hold the interpreter's lock, so a second thread runs beside the
first for the kernel's part alone, and costs more in hand-overs of the lock than that brings."""


class Reactors:
    """At most ``size`` reactors, started with their first task, gone with their last. Thread-safe.

    ``name`` begins their first threads' names; the ``others`` take over when one is lent.
    """

    def __init__(
        self,
        name: str,
        size: int,
        *,
        others: Pool = listener_pool,
        use_epoll: bool = hasattr(select, "epoll"),
    ) -> None:
        self.name = name
        self.size = size
        self.others = others
        self._use_epoll = use_epoll
        self._numbers = itertools.count(1)
        self.reset()

    def reset(self) -> None:
        """Forget all: what a child must do after a fork."""
        self._lock = threading.Lock()
        self._reactors: list[Reactor] = []

    def add(self, task: Task) -> None:
        """Run a task until it is over. Raises ``RuntimeError`` if no thread can be started."""
        with self._lock:
            reactor = self._choose()
            task.handle = handle = Handle(reactor, task)
            reactor.tasks.add(handle)
        handle.wake()

    def _choose(self) -> Reactor:
        if self._reactors:
            least = min(self._reactors, key=lambda reactor: len(reactor.tasks))
            if len(self._reactors) >= self.size or not least.tasks:
                return least
        reactor = Reactor(self, f"{self.name}-{next(self._numbers)}", use_epoll=self._use_epoll)
        try:
            reactor.start()  # it can't retire before its first task: the lock is held
        except BaseException:
            reactor.close()
            raise
        self._reactors.append(reactor)
        return reactor

    def leave(self, reactor: Reactor, handle: Handle) -> None:
        """One of a reactor's tasks has ended."""
        with self._lock:
            reactor.tasks.discard(handle)

    def retire(self, reactor: Reactor) -> bool:
        """Take a reactor out of service if no task came meanwhile; return whether it is."""
        with self._lock:
            if reactor.tasks:
                return False
            self._remove(reactor)
            return True

    def give_up(self, reactor: Reactor) -> list[Handle]:
        """Take a reactor that can't go on out of service; return the tasks that it leaves."""
        with self._lock:
            self._remove(reactor)
            return list(reactor.tasks)

    def _remove(self, reactor: Reactor) -> None:
        if reactor in self._reactors:  # it isn't where Ctrl-C came while it was started
            self._reactors.remove(reactor)


reactors = Reactors("bargein-reactor", REACTORS)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reactors.reset)
