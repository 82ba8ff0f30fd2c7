"""Reactors: a few threads that run all streams' work, each waiting in one poll for all of its own.

A thread of its own for each stream wakes up twice a window, each time with cold caches, and takes
the interpreter's lock from the others. A reactor wakes up once for all that is ready and does it
in one go. What it runs are *tasks*: their steps never block.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from .poller import Pollable, Poller
from .task import Handle
from .waker import Waker

if TYPE_CHECKING:
    from .reactors import Reactors

__all__ = ["Reactor", "lend"]

logger = logging.getLogger("bargein")

LOOK = 0.00025
"""Seconds of turns after which a reactor looks for what has come meanwhile: a look costs 3 us. When
forty calls' audio falls due at once their turns take 10 ms; a reply needn't wait for them."""

GATHER = 0.0005
"""Seconds for which a result waits for those of others for whom something has come as well. To hand
each over by itself costs another thread's wake-up each time, and the last would come far later."""

HELP = 0.002
"""Seconds after which a call that was lent and isn't begun with is made by another thread: the one
before it takes long. Most listeners take microseconds, and all are called by one thread then."""


class Reactor:
    """What one thread does, from the first of its tasks to the last.

    Not always the same thread: where a task wants something called that may take long (a user's
    listener), the thread calls it, at once, after another one has become the reactor. To hand
    over the call instead costs as much, but the call then waits for the interpreter's lock, which
    a busy reactor lets go of for moments only.
    """

    def __init__(self, group: Reactors, name: str, *, use_epoll: bool) -> None:
        self.tasks: set[Handle] = set()
        """Those too whose first turn is still to come. The group's lock guards it."""
        self._group = group
        self._waker = Waker()
        # Reentrant: the garbage collector, or a signal's handler, may close a stream from here.
        self._rousing = threading.RLock()
        self._poller = Poller(use_epoll)
        self._poller.register(self._waker.fileno(), select.POLLIN)
        self._watched: dict[int, tuple[Handle, Pollable]] = {}
        """Who is interested in a descriptor, and as what."""
        self._ready: deque[Handle] = deque()
        self._first: set[Handle] = set()
        """Who had a turn before the others': once until all had theirs, or a flooding peer would
        have all."""
        self._dues: list[tuple[float, int, Handle]] = []
        """A heap. An entry counts if it is its handle's ``due``; others are left until they come
        to the front: taking them out would cost more."""
        self._numbers = itertools.count()
        self._asleep = False
        self._looked = 0.0
        """When it was last seen what has come, monotonic seconds."""
        self._lent: deque[Callable[[], None]] = deque()
        """What its thread is to call when it isn't the reactor any more; any thread takes some."""
        self._lends = False
        """Whether something was lent in this round."""
        self._moved = 0.0
        """When the last of them was lent, or begun with; monotonic seconds."""
        self._later: list[tuple[Handle, Callable[[], None]]] = []
        self._gathering = 0.0
        """Since when the first of those waits, monotonic seconds."""
        self.name = name
        self.thread: threading.Thread | None = None
        """The one that is the reactor now; ``None`` while that changes."""
        self._is_borrowed = False
        """Whether it is one of the pool's."""

    # --- any thread -------------------------------------------------------------------------

    def call(self, handle: Handle) -> None:
        """Give a task its turn."""
        self._ready.append(handle)
        # Either this sees that the thread sleeps, or the thread sees what was appended: it looks
        # after it has said that it goes to sleep.
        if self._asleep:
            with self._rousing:
                self._waker.wake()

    def start(self) -> None:
        """Start its first thread. Raises ``RuntimeError`` where the system has none to give."""
        threading.Thread(target=self._run, name=self.name, daemon=True).start()

    def close(self) -> None:
        """Give the descriptors back."""
        with self._rousing:
            self._waker.close()
        self._poller.close()
        if self._is_borrowed:
            self._group.others.give_back()

    # --- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        """Be the reactor until nobody needs one, or until another thread is it."""
        self.thread = threading.current_thread()
        _here.reactor = self
        try:
            while self.tasks or not self._group.retire(self):
                self._lends = False
                self._serve(self._wait())
                self._give_turns()
                if self._must_call() and self._step_down():
                    break
            else:
                self.close()
        except BaseException as error:  # waiting itself failed: nobody may wait for that for ever
            logger.exception("%s failed; its streams end", self.name)
            for handle in self._group.give_up(self):
                self._guard(handle.task.fail_by, error)
                self._leave(handle)
            self.close()
        _here.reactor = None
        self._make_calls()

    def lend(self, call: Callable[[], None]) -> None:
        """See :func:`lend`."""
        self._lent.append(call)
        self._lends, self._moved = True, time.monotonic()

    def _must_call(self) -> bool:
        """Whether calls were lent for which nobody is there, or not soon enough."""
        return self._lends or (bool(self._lent) and time.monotonic() - self._moved > HELP)

    def _step_down(self) -> bool:
        """Let another thread be the reactor; then nothing here but the calls is this thread's.

        Where every thread is held up by a listener it stays the reactor, and who listens waits.
        """
        others = self._group.others
        mine, (self.thread, self._is_borrowed) = (self.thread, self._is_borrowed), (None, True)
        if others.borrow(self._run):
            if mine[1]:
                others.give_back()
            return True
        self.thread, self._is_borrowed = mine
        while self._lent:
            others.call(self._lent.popleft())
        return False

    def _make_calls(self) -> None:
        """Make the calls that are left, one by one.

        Where one takes long, the thread that is the reactor now finds the rest and does the same.
        """
        while True:
            try:
                call = self._lent.popleft()
            except IndexError:
                return
            self._moved = time.monotonic()
            self._guard(call)

    def _wait(self) -> list[tuple[int, int]]:
        """Sleep until a task is called, a descriptor is ready, or something is due.

        Returns which descriptors are; tasks for whom something is due are called.
        """
        self._asleep = True
        events = self._poller.poll(0.0 if self._ready else self._time_left())
        self._asleep = False
        self._looked = now = time.monotonic()
        while self._dues and self._dues[0][0] <= now:
            due, _, handle = heapq.heappop(self._dues)
            if handle.due == due:
                handle.due = None
                handle.wake()
        return events

    def _time_left(self) -> float | None:
        """Return the seconds until something is due; ``None``: nothing is."""
        dues = self._dues
        while dues and dues[0][2].due != dues[0][0]:
            heapq.heappop(dues)
        now = time.monotonic()
        left = max(0.0, dues[0][0] - now) if dues else None
        if not self._lent:
            return left
        stuck = max(0.0, self._moved + HELP - now)
        return stuck if left is None else min(left, stuck)

    def _serve(self, events: Collection[tuple[int, int]]) -> None:
        """Give those a turn now for whom something has come, whoever else waits for one."""
        found: dict[Handle, None] = {}
        for fd, _ in events:
            watched = self._watched.get(fd)
            if watched is None:
                self._waker.drain()
            elif watched[0] not in self._first:
                handle, thing = watched
                found[handle] = None
                if thing not in handle.ready:  # it may be known to be since before
                    handle.ready.append(thing)
        for handle in found:
            self._first.add(handle)
            self._step(handle)
            if self._later and time.monotonic() - self._gathering > GATHER:
                self._hand_out()
                if self._lends:
                    return  # who listens waits; poll tells of the rest once more
        self._hand_out()

    def _give_turns(self) -> None:
        """Let each task that is called have one turn; who wants another waits for the others."""
        ready = self._ready
        for _ in range(len(ready)):
            if len(ready) > 1 and time.monotonic() - self._looked > LOOK:
                self._looked = time.monotonic()
                self._serve(self._poller.poll(0.0))
            if self._lends:
                return  # who listens waits; the rest is for the thread that takes over
            handle = ready.popleft()
            if handle.called and not handle.gone:  # it may have had its turn before the others'
                self._step(handle)
                self._hand_out()
        self._first.clear()

    def _step(self, handle: Handle) -> None:
        task = handle.task
        handle.called = False  # before the step: a call in the middle of it counts
        ready, handle.ready = handle.ready, []
        try:
            task.step(ready)
            if not task.over:
                self._look_after(handle)
                return
        except BaseException as error:
            self._fail(handle, error)
        self._leave(handle)

    def _fail(self, handle: Handle, error: BaseException) -> None:
        """End a task by its own error: the last resort, so that no other suffers from it."""
        logger.error("%s: the worker failed; its stream ends", handle.task.name, exc_info=error)
        self._guard(handle.task.fail_by, error)

    def later(self, handle: Handle, call: Callable[[], None]) -> None:
        """See :meth:`Handle.later`."""
        if not self._later:
            self._gathering = time.monotonic()
        self._later.append((handle, call))

    def _hand_out(self) -> None:
        """Make the calls that were put off."""
        if not self._later:
            return
        calls, self._later = self._later, []
        for handle, call in calls:
            try:
                call()
                over = handle.task.over
            except BaseException as error:
                self._fail(handle, error)
                over = True
            if over and not handle.gone:
                self._leave(handle)

    def _look_after(self, handle: Handle) -> None:
        """Call it again when it wants to be."""
        task = handle.task
        due = task.due
        if due is not None and (handle.due is None or due < handle.due):
            handle.due = due
            heapq.heappush(self._dues, (due, next(self._numbers), handle))
        if task.again:
            handle.wake()

    def watch(self, handle: Handle, thing: Pollable, mask: int) -> None:
        """See :meth:`Handle.watch`."""
        fd = handle.watched.get(thing)
        if fd is None:
            fd = thing.fileno()
            self._poller.register(fd, mask)
            handle.watched[thing], self._watched[fd] = fd, (handle, thing)
        else:
            self._poller.modify(fd, mask)

    def forget(self, handle: Handle, thing: Pollable) -> None:
        """See :meth:`Handle.forget`."""
        fd = handle.watched.pop(thing, None)
        if fd is not None:
            self._poller.unregister(fd)
            del self._watched[fd]

    def _leave(self, handle: Handle) -> None:
        handle.gone, handle.due = True, None
        for thing in tuple(handle.watched):
            self._guard(self.forget, handle, thing)
        self._guard(handle.task.leave)
        self._group.leave(self, handle)

    @staticmethod
    def _guard(call: Any, *arguments: object) -> None:
        try:
            call(*arguments)
        except BaseException:
            logger.exception("what a reactor called failed")


_here = threading.local()
"""``reactor``: which one the thread is."""


def lend(call: Callable[[], None]) -> bool:
    """Have this thread make a call that may take long, soon, if it is a reactor's.

    Another thread is the reactor by then, so that the call holds up nobody. Returns whether it is
    a reactor's.
    """
    reactor: Reactor | None = getattr(_here, "reactor", None)
    if reactor is None:
        return False
    reactor.lend(call)
    return True
