"""A second judge that sees the same windows and decides nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bargein import (
    AdaptiveInterruptionDetector,
    Outcome,
    OverlappingSpeechEvent,
    Shadow,
    ShadowCounts,
    Window,
)
from bargein.errors import OptionError
from bargein.testing.caller import Caller
from bargein.testing.sockets import BOUND

PATIENT: dict[str, Any] = {"threshold": 0.5, "inference_timeout": BOUND, "verdict_grace": BOUND}


def judge(*answers: float, seen: list[Window] | None = None) -> Callable[[Window], Any]:
    left = iter(answers)

    def predict(window: Window) -> Any:
        if seen is not None:
            seen.append(window)
        return np.full(200, next(left))

    return predict


def asked(predict: Any, told: threading.Semaphore) -> Callable[[Window], Any]:
    """Tell of each window that is handed over: an overlap's end takes back those that aren't."""

    def tell(window: Window) -> Any:
        told.release()
        return predict(window)

    return tell


class Shadowed:
    """A call with a shadow, until both have judged."""

    def __init__(self, first: Any, second: Any, **options: Any) -> None:
        self.first, self.shadowing = threading.Semaphore(0), threading.Semaphore(0)
        self.detector = AdaptiveInterruptionDetector(backend=asked(first, self.first), **PATIENT)
        self.second = AdaptiveInterruptionDetector(backend=asked(second, self.shadowing), **PATIENT)
        self.heard = self.second.events()
        self.shadow = Shadow(self.second, **options)
        self.caller = Caller(self.detector, id="call 17", shadow=self.shadow)

    def __enter__(self) -> Shadowed:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self.caller.stream.close()
        self.detector.close()
        self.second.close()
        self.shadow.close(BOUND)

    def overlap(self) -> None:
        self.caller.begin()
        assert all(asked.acquire(timeout=BOUND) for asked in (self.first, self.shadowing))
        self.caller.stop()
        self.caller.event()
        next(self.heard)


def test_both_see_the_same_windows() -> None:
    ours: list[Window] = []
    theirs: list[Window] = []
    first, second = judge(*[0.25] * 9, seen=ours), judge(*[0.25] * 9, seen=theirs)
    with Shadowed(first, second) as both:
        both.caller.stream.set_format(sample_rate=8000, encoding="mulaw")
        both.caller.stream.push_frame(np.random.default_rng(1).bytes(800))
        both.caller.stream.agent_speech_started()
        both.caller.stream.push_gap(0.05)
        both.overlap()

    # Which of the later ones are handed over before the overlap's end is up to either's thread.
    assert ours
    assert theirs
    for our, their in zip(ours, theirs, strict=False):
        assert (our.start, our.samples.tolist()) == (their.start, their.samples.tolist())


def test_agreement_and_disagreement_are_counted_and_listed(tmp_path: Path) -> None:
    log = tmp_path / "disagreements.jsonl"
    with Shadowed(judge(0.75, 0.25, 0.25), judge(0.75, 0.75, 0.25), log=log) as both:
        both.caller.stream.agent_speech_started()
        for _ in range(3):
            both.overlap()
    counts, (found,) = both.shadow.counts, both.shadow.disagreements

    assert counts == ShadowCounts(agreed=2, disagreed=1)
    assert found.stream_id == "call 17"
    assert (found.decided.outcome, found.shadow.outcome) == (
        Outcome.BACKCHANNEL,
        Outcome.INTERRUPTION,
    )
    assert found.decided.speech_input is None
    assert [json.loads(line) for line in log.read_text().splitlines()] == [found.to_dict()]


def test_a_shadow_that_fails_harms_nobody() -> None:
    def fail(window: Window) -> Any:
        raise RuntimeError("no model")

    with Shadowed(judge(0.75), fail) as both:
        both.caller.stream.agent_speech_started()
        both.overlap()

    assert both.shadow.counts == ShadowCounts(undecided=1)


def test_a_shadow_that_is_gone_harms_nobody() -> None:
    with Shadowed(judge(0.75, 0.75), judge(0.75)) as both:
        both.caller.stream.agent_speech_started()
        both.overlap()
        both.second.close()
        both.caller.begin()

        assert both.caller.event().is_interruption
    assert both.shadow.counts == ShadowCounts(agreed=1)


def test_an_overlap_that_only_one_sees_is_counted_apart() -> None:
    with Shadowed(judge(0.75, 0.75, 0.75), judge(0.25, 0.25, 0.25, 0.25)) as both:
        stream = both.caller.stream
        stream.agent_speech_started()
        stream.overlap_speech_started(started_at=time.time() - 5)
        both.caller.speak()
        assert both.caller.event().is_interruption
        assert both.shadowing.acquire(timeout=BOUND)  # an end takes back what isn't handed over
        # Without an end in between: decided for the one, still open for the other.
        stream.overlap_speech_started()
        both.caller.speak()
        assert both.caller.event().is_interruption
        assert both.shadowing.acquire(timeout=BOUND)
        both.caller.stop()
        next(both.heard)
        stream.agent_speech_ended()
        stream.agent_speech_started()
        stream.overlap_speech_started(started_at=time.time() + 5)
        both.caller.speak()
        assert both.caller.event().is_interruption
        assert both.shadowing.acquire(timeout=BOUND)
        both.caller.stop()
        next(both.heard)

    assert both.shadow.counts == ShadowCounts(disagreed=2, unmatched=1)


def test_what_can_be_no_shadow_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="detector came as 'local'; expected an Adaptive"):
        Shadow("local")  # type: ignore[arg-type]
    with (
        AdaptiveInterruptionDetector(backend=judge(0.5)) as detector,
        pytest.raises(OptionError, match=r"log came as .* expected a folder that exists"),
    ):
        Shadow(detector, log=tmp_path / "nowhere" / "log.jsonl")


def test_a_log_that_cant_be_written_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Shadowed(judge(0.25), judge(0.75), log=tmp_path) as both:
        both.caller.stream.agent_speech_started()
        both.overlap()

    assert both.shadow.counts.disagreed == 1
    assert "can't be written" in caplog.text


def test_a_shadow_of_itself_opens() -> None:
    with AdaptiveInterruptionDetector(backend=lambda window: [0.0]) as detector:
        detector.stream(shadow=Shadow(detector)).close()


def test_what_waits_for_a_judge_that_is_gone_is_bounded() -> None:
    from bargein.shadow import MOST_ALONE, _Follower

    event = OverlappingSpeechEvent(speech_input=np.zeros(400, np.int16))
    with AdaptiveInterruptionDetector(backend=lambda window: [0.0]) as detector:
        shadow = Shadow(detector)
        with detector.stream() as stream:
            follower = _Follower(shadow, stream)
            for _ in range(MOST_ALONE + 3):
                follower.event(event, 0.0)
            follower.wait(BOUND)
    assert shadow.counts.unmatched == 3
    assert all(event.speech_input is None for event in follower._decided)
