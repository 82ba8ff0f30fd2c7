"""The pytest plugin: fixtures that are there by themselves where bargein is installed.

Importing this imports nothing else of bargein; a project that uses no fixture of it pays nothing.

``bargein_call``
    A :class:`~bargein.testing.StillCall`: a detector for the bot under test, a clock, and
    ``play(script)``, in no time and without a thread.
``bargein_clock``
    The :class:`~bargein.testing.FakeClock` of that call.
``bargein_backend``
    A :class:`~bargein.testing.ScriptedBackend`, for a real detector's ``backend=``.
``bargein_server``, ``bargein_tls_server``
    A :class:`~bargein.testing.ScriptedServer` on a port of loopback, HTTP and WebSocket; what came
    is in its ``recorder``.

A test says what it wants of these by a mark: ``@pytest.mark.bargein(transport="http",
threshold=0.7)`` for the call's :class:`~bargein.testing.StillCall`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bargein.testing import FakeClock, ScriptedBackend, ScriptedServer, StillCall

__all__ = [
    "bargein_backend",
    "bargein_call",
    "bargein_clock",
    "bargein_server",
    "bargein_tls_server",
    "pytest_configure",
]


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers", "bargein(**options): options of the bargein_call fixture's StillCall"
    )


@pytest.fixture
def bargein_call(request: pytest.FixtureRequest) -> Iterator[StillCall]:
    """A call without threads, network and time: give ``bargein_call.detector`` to your bot."""
    from bargein.testing import StillCall

    mark = request.node.get_closest_marker("bargein")
    call = StillCall(**({} if mark is None else mark.kwargs))
    yield call
    call.detector.close()


@pytest.fixture
def bargein_clock(bargein_call: StillCall) -> FakeClock:
    """The clock of ``bargein_call``: ``advance(seconds)``, ``call_later(delay, function)``."""
    return bargein_call.clock


@pytest.fixture
def bargein_backend() -> Iterator[ScriptedBackend]:
    """A judge for a real detector: ``bargein_backend.answer(answers.yes)``."""
    from bargein.testing import ScriptedBackend

    backend = ScriptedBackend()
    yield backend
    backend.release()


@pytest.fixture
def bargein_server() -> Iterator[ScriptedServer]:
    """A server on a port of loopback: ``bargein_server.url()``, ``.answer(…)``, ``.recorder``."""
    from bargein.testing import ScriptedServer

    with ScriptedServer() as server:
        yield server


@pytest.fixture
def bargein_tls_server() -> Iterator[ScriptedServer]:
    """The same over TLS: ``bargein_tls_server.ca_file`` is its root (extra ``testing``)."""
    from bargein.testing import ScriptedServer

    with ScriptedServer(tls=True) as server:
        yield server
