"""The leak check itself: it must see what is left, or the whole suite's promise is empty."""

from __future__ import annotations

import gc
import socket
import sys
import threading
import weakref

import pytest

from tests.leaks import POOL_PREFIX, leaks, snapshot

needs_proc = pytest.mark.skipif(
    sys.platform != "linux", reason="descriptors are compared on Linux alone"
)


def _waiting_thread(name: str) -> tuple[threading.Thread, threading.Event]:
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name=name, daemon=True)
    thread.start()
    return thread, release


def test_nothing_left_is_no_leak() -> None:
    before = snapshot()

    assert leaks(before) == []


def test_a_thread_that_ends_in_time_is_no_leak() -> None:
    before = snapshot()
    _, release = _waiting_thread("short")
    release.set()

    assert leaks(before) == []


def test_a_thread_that_goes_on_is_named() -> None:
    before = snapshot()
    thread, release = _waiting_thread("forgotten")
    try:
        assert leaks(before, patience=0.0) == ["thread 'forgotten' (Thread) still runs"]
    finally:
        release.set()
        thread.join()


def test_a_pool_thread_may_stay() -> None:
    before = snapshot()
    thread, release = _waiting_thread(f"{POOL_PREFIX}-http-0")
    try:
        assert leaks(before, patience=0.0) == []
    finally:
        release.set()
        thread.join()


@needs_proc
def test_an_open_socket_is_named() -> None:
    before = snapshot()
    with socket.socket() as left:
        found = leaks(before, patience=0.0)

        assert len(found) == 1
        assert found[0].startswith(f"descriptor {left.fileno()} (socket:[")
    assert leaks(before) == []


@needs_proc
def test_a_socket_in_a_reference_cycle_is_not_held_by_anyone() -> None:
    class Holder:
        def __init__(self) -> None:
            self.me = self
            self.pair = socket.socketpair()

    before = snapshot()
    holder = Holder()
    gone = weakref.ref(holder)
    gc.disable()
    try:
        del holder
        with pytest.warns(ResourceWarning, match="unclosed"):
            found = leaks(before)
    finally:
        gc.enable()

    assert gone() is None
    assert found == []


@needs_proc
def test_a_descriptor_that_a_pool_thread_is_about_to_close_is_no_leak() -> None:
    before = snapshot()
    left = socket.socket()
    looks = iter([False, True])

    def close_at_the_second_look(seconds: float) -> None:
        if next(looks):
            left.close()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("time.sleep", close_at_the_second_look)
        assert leaks(before) == []
