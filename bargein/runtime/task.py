"""What a reactor runs, and what that may ask of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Protocol

from .poller import Pollable

if TYPE_CHECKING:
    from .reactor import Reactor

__all__ = ["Handle", "Task"]


class Task(Protocol):
    """What a reactor runs. All of it is called on the reactor's thread, and must not block."""

    name: str
    """Of it, in log lines."""

    handle: Handle | None
    """Its place, set before its first step."""

    again: bool
    """Whether to call :meth:`step` again, after the other tasks' turn."""

    over: bool
    """Whether it has ended."""

    due: float | None
    """When to call :meth:`step` at the latest (monotonic seconds); read after each step."""

    def step(self, ready: Collection[Pollable] | None = None) -> None:
        """Do all that can be done now; ``ready`` are those of the watched things that are.

        ``None``: nobody knows, so all may be.
        """

    def fail_by(self, error: BaseException) -> None:
        """End because of an error of its own, which is logged already."""

    def leave(self) -> None:
        """Leave nothing open; the last call."""


class Handle:
    """A task's place in its reactor."""

    __slots__ = ("_reactor", "called", "due", "gone", "ready", "task", "watched")

    def __init__(self, reactor: Reactor, task: Task) -> None:
        self._reactor = reactor
        self.task = task
        self.called = False
        """Whether its turn comes without anybody calling once more."""
        self.due: float | None = None
        """When it is called at the latest. The task may have put it off meanwhile: it is asked
        then, for timers are mostly put off, and moving each time costs more than a call in vain."""
        self.gone = False
        self.ready: list[Pollable] = []
        """What was found ready since its last turn."""
        self.watched: dict[Pollable, int] = {}
        """What is polled for it, and with which descriptor it was registered."""

    def wake(self) -> None:
        """Have the task's step called soon. Any thread; never waits.

        What the step is to find must be there before this.
        """
        if not self.called:
            try:
                self.called = True
                self._reactor.call(self)
            except BaseException:  # a signal's: what is called and isn't would never be again
                self.called = False
                raise

    def watch(self, thing: Pollable, mask: int) -> None:
        """Poll a thing for ``mask`` (``select.poll``'s) from here on. The reactor's thread only.

        It is told to the task's step until :meth:`forget`.
        """
        self._reactor.watch(self, thing, mask)

    def forget(self, thing: Pollable) -> None:
        """Poll a thing no more, which is about to be closed. The reactor's thread only.

        After a fork the child has its copy, and epoll would go on telling of what is closed here.
        """
        self._reactor.forget(self, thing)

    def later(self, call: Callable[[], None]) -> None:
        """Have a call made when all for whom something came had a turn. The reactor's thread only.

        It is for what others wait for: waking them any sooner would only keep the rest waiting.
        """
        self._reactor.later(self, call)

    @property
    def is_current(self) -> bool:
        """Whether the calling thread is the one that runs the task."""
        return self._reactor.thread is threading.current_thread()
