"""The pacing thread: it lives while there is something to pace, and one call's bug is its own."""

from __future__ import annotations

import threading

import pytest

from bargein.telephony.ticker import Ticker, shared_ticker


class Counted:
    """Wants so many ticks."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.times: list[float] = []
        self.done = threading.Event()

    def tick(self, now: float) -> bool:
        self.times.append(now)
        if len(self.times) < self.wanted:
            return True
        self.done.set()
        return False


class Broken:
    def tick(self, now: float) -> bool:
        raise RuntimeError("a bug")


def test_each_is_ticked_until_it_has_enough(caplog: pytest.LogCaptureFixture) -> None:
    ticker = Ticker("test-pacing")
    some = [Counted(1), Counted(3)]
    ticker.add(Broken())
    for each in some:
        ticker.add(each)
        ticker.add(each)

    assert all(each.done.wait(10) for each in some)
    assert [len(each.times) for each in some] == [1, 3]
    assert some[1].times == sorted(some[1].times)
    assert "a bug" in caplog.text


def test_it_starts_again() -> None:
    ticker = Ticker("test-pacing")
    for _ in range(2):
        once = Counted(1)
        ticker.add(once)
        assert once.done.wait(10)
        thread = ticker._thread
        if thread is not None:
            thread.join(10)
            assert not thread.is_alive()


def test_what_is_added_while_it_is_ticked_for_the_last_time_is_ticked_again() -> None:
    ticker = Ticker("test-pacing")

    class Late(Counted):
        """Has something to say just as it says that it has nothing."""

        def tick(self, now: float) -> bool:
            if not self.times:
                adding = threading.Thread(target=ticker.add, args=(self,))
                adding.start()
                adding.join(10)
            super().tick(now)
            return False

    late = Late(2)
    ticker.add(late)
    assert late.done.wait(10)


def test_without_a_thread_it_says_so_and_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    ticker, once = Ticker("test-pacing"), Counted(1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_more)
        with pytest.raises(RuntimeError, match="thread"):
            ticker.add(once)
    ticker.add(Counted(1))
    assert once.done.wait(10)


def test_the_process_has_one() -> None:
    assert shared_ticker() is shared_ticker()
