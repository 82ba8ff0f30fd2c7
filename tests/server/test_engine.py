"""Who is judged when: the newest of each session, together where the judge can."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import attrs
import numpy as np
import pytest

from bargein.backends import as_backend
from bargein.core import Prediction, Window
from bargein.server.align import Aligner
from bargein.server.engine import Engine, _Judge
from bargein.testing.sockets import BOUND
from tests.server.running import judge


def window(number: int) -> Window:
    return Window(id=number, overlap=1, samples=np.zeros(800, np.int16), min_frames=2)


class Gate:
    """A judge that waits to be let on, and notes what it judged."""

    def __init__(self) -> None:
        self.begun, self.go, self.judged = threading.Event(), threading.Event(), []

    def __call__(self, window: Window) -> Prediction:
        self.begun.set()
        assert self.go.wait(BOUND)
        self.judged.append(window.id)
        return judge(window)


class Batch:
    """A judge of batches."""

    model = provider = "test"
    default_threshold = 0.5

    def __init__(self, answer: Any) -> None:
        self.answer, self.sizes, self.closed = answer, [], 0
        self.gate = Gate()

    def open_session(self, stream_id: str | None) -> Batch:
        return self

    def predict(self, window: Window) -> Prediction:
        return self.gate(window)

    def predict_many(self, batch: Any) -> list[Prediction]:
        self.sizes.append(len(batch))
        return self.answer(batch)

    def close(self) -> None:
        self.closed += 1


async def _until(event: threading.Event) -> None:
    assert await asyncio.get_running_loop().run_in_executor(None, event.wait, BOUND)


def test_the_newest_wins_and_the_others_are_counted() -> None:
    async def main() -> None:
        gate = Gate()
        engine = Engine(as_backend(gate), 1)
        place, answers = engine.open_place("call"), []
        assert not engine.submit(place, window(1), answers.append)
        await _until(gate.begun)
        taken = [engine.submit(place, window(number), answers.append) for number in (2, 3, 4)]
        assert taken == [False, True, True]
        assert (engine.waiting, engine.dropped, place.idle) == (1, 2, False)
        gate.go.set()
        await engine.close()
        assert gate.judged == [1, 4]
        assert (len(answers), engine.waiting, place.idle) == (2, 0, True)
        engine.close_place(place)

    asyncio.run(main())


def test_a_closed_place_is_forgotten() -> None:
    async def main() -> None:
        backend = Batch(lambda batch: [judge(window) for _, window in batch])
        engine = Engine(backend, 1)
        first, second, third = (engine.open_place(name) for name in "abc")
        answers: list[Any] = []
        engine.submit(first, window(1), answers.append)
        await _until(backend.gate.begun)
        engine.submit(second, window(2), answers.append)
        engine.submit(third, window(3), answers.append)
        engine.close_place(first)  # while it is judged
        engine.close_place(second)  # while it waits
        engine.close_place(third)
        assert (backend.closed, engine.waiting) == (2, 0)
        backend.gate.go.set()
        await engine.close()
        assert (answers, backend.closed) == ([], 3)

    asyncio.run(main())


def _judged_together(answer: Any) -> tuple[Batch, list[Any]]:
    backend, answers = Batch(answer), []

    async def main() -> None:
        engine, done = Engine(backend, 1), asyncio.Event()

        def note(result: Any) -> None:
            answers.append(result)
            if len(answers) == 4:
                done.set()
            if len(answers) == 2:
                raise RuntimeError("a client that is gone")

        for number in range(1, 5):
            engine.submit(engine.open_place(str(number)), window(number), note)
        await _until(backend.gate.begun)
        backend.gate.go.set()
        await asyncio.wait_for(done.wait(), BOUND)
        await engine.close()

    asyncio.run(main())
    return backend, answers


def test_a_batch() -> None:
    backend, answers = _judged_together(lambda batch: [judge(window) for _, window in batch])
    assert backend.sizes == [3]
    assert all(isinstance(answer, Prediction) for answer in answers)


def test_windows_that_are_judged_alone_do_not_fill_a_batch() -> None:
    backend = Batch(lambda batch: [judge(window) for _, window in batch])
    batches: list[list[int]] = []

    async def main() -> None:
        engine, done = Engine(backend, 1), asyncio.Event()
        given: list[int] = []
        predict = backend.predict_many

        def note(batch: Any) -> list[Prediction]:
            batches.append([window.id for _, window in batch])
            return predict(batch)

        backend.predict_many = note  # type: ignore[method-assign]

        def count(result: Any) -> None:
            given.append(1)
            if len(given) == 21:
                done.set()

        def submit(number: int, start: int | None) -> None:
            place = engine.open_place(str(number))
            engine.submit(place, attrs.evolve(window(number), start=start), count)

        submit(1, 0)
        await _until(backend.gate.begun)
        for number in range(2, 12):
            submit(number, None)
            submit(number + 100, 0)
        backend.gate.go.set()
        await asyncio.wait_for(done.wait(), BOUND)
        await engine.close()

    asyncio.run(main())
    # All that go on from another are in the first; of the others, in the order they came, eight.
    assert [number for number in batches[0] if number > 100] == list(range(102, 112))
    assert [number for number in batches[0] if number < 100] == list(range(2, 10))
    assert batches[1] == [10, 11]


def _fail(batch: Any) -> list[Prediction]:
    raise ValueError("no")


def test_a_batch_that_fails_is_judged_one_by_one() -> None:
    for answer in (_fail, lambda batch: []):
        backend, answers = _judged_together(answer)
        assert backend.gate.judged == [1, 2, 3, 4]
        assert all(isinstance(answer, Prediction) for answer in answers)


class Broken:
    """A judge that does what it mustn't."""

    model = provider = "test"
    default_threshold = 0.5

    def __init__(self, does: Any) -> None:
        self.predict = does

    def open_session(self, stream_id: str | None) -> Broken:
        return self

    def close(self) -> None:
        raise RuntimeError("it can't be closed")


def _raise(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    ("does", "kind"),
    [
        (lambda window: 1 / 0, ZeroDivisionError),
        (lambda window: _raise(SystemExit(3)), RuntimeError),
        (lambda window: _raise(KeyboardInterrupt()), RuntimeError),
        (lambda window: None, TypeError),
        (lambda window: "0.9", TypeError),
    ],
)
def test_a_judge_that_is_broken_fails_its_windows_and_says_so_once(
    does: Any, kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        engine, answers = Engine(Broken(does), 1), []
        for number in range(1, 4):
            place = engine.open_place("call")
            engine.submit(place, window(number), answers.append)
        await engine.close()
        assert [type(answer) for answer in answers] == [kind] * 3
        engine.close_place(place)

    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == [
        "a window failed",
        "a session of the judge's couldn't be closed",
    ]


def test_what_was_not_said_is_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([100.0, 101.0, 102.0, 111.0])
    monkeypatch.setattr("bargein.server.engine.time.monotonic", lambda: next(now))
    judge = _Judge(as_backend(lambda window: None))
    session = as_backend(lambda window: None).open_session(None)
    for number in range(4):
        judge.predict([(session, window(number))])
    assert [record.getMessage() for record in caplog.records] == [
        "a window failed",
        "a window failed (so did 2 more before)",
    ]


def test_a_judge_that_hangs_does_not_keep_the_server_from_its_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bargein.server.engine.CLOSE_SECONDS", 0.05)
    gate, answers = Gate(), []

    async def main() -> threading.Thread:
        engine = Engine(as_backend(gate), 1)
        assert engine.busy_for() == 0.0
        engine.submit(engine.open_place("call"), window(1), answers.append)
        await _until(gate.begun)
        assert engine.busy_for() > 0.0
        (thread,) = engine._threads
        await engine.close()
        assert thread.is_alive()
        return thread

    thread = asyncio.run(main())
    gate.go.set()  # it comes back when there is nobody to tell
    thread.join(BOUND)
    assert not thread.is_alive()
    assert answers == []
    assert [record.getMessage() for record in caplog.records] == [
        "the judge hangs; the server ends without it"
    ]


# --- Aligner ---

NOISE = np.random.default_rng(5).integers(-9000, 9000, 80_000).astype(np.int16)


def test_windows_that_share_audio_keep_their_places() -> None:
    aligner = Aligner()
    cuts = [(100, 20_000), (100, 21_600), (1_700, 23_200), (1_700, 24_800)]
    assert [aligner.place(NOISE[start:end]) for start, end in cuts] == [0, 0, 1_600, 1_600]
    assert aligner.overlap == 1
    assert aligner.place(NOISE[40_000:50_000]) == 1_600 + 23_100
    assert aligner.overlap == 2


def test_windows_after_a_pause_are_of_another_overlap() -> None:
    aligner = Aligner()
    assert aligner.place(NOISE[:16_000]) == 0
    assert aligner.place(NOISE[1_000:24_000]) == 1_000
    assert aligner.overlap == 1
    assert aligner.place(NOISE[10_000:32_001]) == 10_000
    assert aligner.overlap == 2


def test_another_provisional_end_is_still_the_same_audio() -> None:
    aligner = Aligner()
    first = NOISE[:16_000].copy()
    first[-32:] = 0
    aligner.place(first)
    assert aligner.place(NOISE[800:17_600]) == 800
    assert aligner.overlap == 1


def test_what_can_not_be_told_is_judged_anew() -> None:
    for first, second in [
        (NOISE[:300], NOISE[:300]),  # too short
        (NOISE[:16_000], NOISE[800:8_000]),  # ends before the last one did
        (np.zeros(16_000, np.int16), np.concatenate([np.zeros(999, np.int16), NOISE[:9_000]])),
    ]:
        aligner = Aligner()
        aligner.place(first)
        assert aligner.place(second) == len(first)
        assert aligner.overlap == 2
