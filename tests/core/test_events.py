"""Events, errors and metrics: their fields, their JSON, what a verdict becomes."""

from __future__ import annotations

import json

import attrs
import numpy as np
import pytest

from bargein.core import (
    Counts,
    InterruptionCacheEntry,
    InterruptionDetectionError,
    InterruptionMetrics,
    Metadata,
    Outcome,
    OverlappingSpeechEvent,
    Reason,
    Verdict,
)
from bargein.errors import APITimeoutError

VERDICT = Verdict(
    overlap=1,
    outcome=Outcome.INTERRUPTION,
    onset=10.0,
    detected=10.5,
    emitted=10.5,
    detection_delay=0.5,
    total_duration=0.2,
    prediction_duration=0.1,
    speech_input=np.array([1, -2], np.int16),
    probabilities=np.array([0.25, 0.75], np.float32),
    probability=0.75,
    num_requests=3,
    window_id=7,
    counts=Counts(answered=2, late=1, superseded=4, timed_out=5, fallback=6),
)
PLAIN = {
    "type": "overlapping_speech",
    "is_interruption": True,
    "outcome": "interruption",
    "reason": None,
    "agent_ended": False,
    "overlap_started_at": 1010.0,
    "detected_at": 1010.5,
    "created_at": 1010.5,
    "detection_delay": 0.5,
    "total_duration": 0.2,
    "prediction_duration": 0.1,
    "speech_input": None,
    "probabilities": None,
    "probability": 0.75,
    "num_requests": 3,
    "stream_id": "call-1",
}


def test_an_event_is_its_verdict_on_the_users_clock() -> None:
    event = OverlappingSpeechEvent.from_verdict(VERDICT, offset=1000.0, stream_id="call-1")
    assert event.to_dict() == PLAIN
    assert json.loads(json.dumps(event.to_dict())) == PLAIN
    with_arrays = event.to_dict(arrays=True)
    assert with_arrays == PLAIN | {"speech_input": [1, -2], "probabilities": [0.25, 0.75]}
    json.dumps(with_arrays)
    assert event.speech_input is VERDICT.speech_input


def test_what_the_user_gave_is_echoed() -> None:
    verdict = attrs.evolve(
        VERDICT,
        outcome=Outcome.INCONCLUSIVE,
        reason=Reason.AGENT_ENDED,
        agent_ended=True,
        started_at=5.5,
        ended_at=6.5,
    )
    event = OverlappingSpeechEvent.from_verdict(verdict, offset=1000.0)
    assert (event.overlap_started_at, event.detected_at, event.created_at) == (5.5, 6.5, 1010.5)
    assert not event.is_interruption
    plain = event.to_dict()
    assert (plain["outcome"], plain["reason"]) == ("inconclusive", "agent_ended")
    assert type(plain["reason"]) is str


def test_an_event_can_do_without_its_arrays() -> None:
    event = OverlappingSpeechEvent.from_verdict(VERDICT)
    bare = event.without_arrays()
    assert bare.speech_input is bare.probabilities is None
    assert bare.to_dict() == event.to_dict() == bare.to_dict(arrays=True)
    assert bare != event
    assert event == OverlappingSpeechEvent.from_verdict(VERDICT)
    assert len({event, bare}) == 2
    assert hash(VERDICT) == hash(attrs.evolve(VERDICT))
    assert "speech_input" not in repr(event)


# --- events by hand --------------------------------------------------------------------------


def test_a_cache_entry_gives_defaults_for_what_it_doesnt_know() -> None:
    entry = InterruptionCacheEntry()
    assert entry.get_total_duration(1.0) == 1.0
    assert entry.get_prediction_duration(2.0) == 2.0
    assert entry.get_detection_delay(3.0) == 3.0
    assert entry.get_probability(4.0) == 4.0
    known = InterruptionCacheEntry(
        total_duration=0.0,
        prediction_duration=0.1,
        detection_delay=0.2,
        probabilities=np.array([0.9, 0.5, 0.5], np.float32),
    )
    assert known.get_total_duration(1.0) == 0.0
    assert known.get_prediction_duration(1.0) == 0.1
    assert known.get_detection_delay(1.0) == 0.2
    assert known.get_probability(1.0) == 0.5


@pytest.mark.parametrize(
    ("positive", "agent_ended", "probabilities", "outcome", "reason"),
    [
        (True, True, None, Outcome.INTERRUPTION, None),
        (False, True, [0.1], Outcome.INCONCLUSIVE, Reason.AGENT_ENDED),
        (False, False, None, Outcome.INCONCLUSIVE, Reason.NO_REQUEST),
        (False, False, [0.1, 0.1], Outcome.BACKCHANNEL, None),
    ],
)
def test_an_event_from_a_cache_entry(
    positive: bool,
    agent_ended: bool,
    probabilities: list[float] | None,
    outcome: Outcome,
    reason: Reason | None,
) -> None:
    array = None if probabilities is None else np.array(probabilities, np.float32)
    event = OverlappingSpeechEvent.from_cache_entry(
        entry=InterruptionCacheEntry(probabilities=array, total_duration=0.3),
        is_interruption=positive,
        started_at=1.0,
        agent_ended=agent_ended,
        created_at=9.0,
    )
    assert (event.outcome, event.reason, event.agent_ended) == (outcome, reason, agent_ended)
    assert event.is_interruption is positive
    assert (event.overlap_started_at, event.detected_at, event.total_duration) == (1.0, 9.0, 0.3)
    assert event.probabilities is array


def test_an_end_that_is_given_is_when_it_was_detected() -> None:
    event = OverlappingSpeechEvent.from_cache_entry(
        entry=InterruptionCacheEntry(), is_interruption=False, ended_at=3.0, created_at=9.0
    )
    assert (event.detected_at, event.created_at) == (3.0, 9.0)


# --- errors and metrics ----------------------------------------------------------------------


def test_an_error_as_json() -> None:
    error = InterruptionDetectionError(
        timestamp=1.5, label="bargein", error=APITimeoutError("too late"), recoverable=True
    )
    plain = json.loads(json.dumps(error.to_dict()))
    assert plain == {
        "type": "interruption_detection_error",
        "timestamp": 1.5,
        "label": "bargein",
        "error": "APITimeoutError: too late",
        "recoverable": True,
        "stream_id": None,
    }


@pytest.mark.parametrize(
    ("outcome", "interruptions", "backchannels"),
    [(Outcome.INTERRUPTION, 1, 0), (Outcome.BACKCHANNEL, 0, 1), (Outcome.INCONCLUSIVE, 0, 0)],
)
def test_metrics_count_an_event_and_the_windows_since_the_last(
    outcome: Outcome, interruptions: int, backchannels: int
) -> None:
    verdict = attrs.evolve(VERDICT, outcome=outcome)
    event = OverlappingSpeechEvent.from_verdict(verdict, stream_id="call-1")
    metrics = InterruptionMetrics.of(
        event, verdict, Metadata("silero", "bargein"), {"num_reconnects": 2, "dropped_audio": 0.5}
    )
    assert json.loads(json.dumps(metrics.to_dict())) == {
        "type": "interruption_metrics",
        "timestamp": 10.5,
        "total_duration": 0.2,
        "prediction_duration": 0.1,
        "detection_delay": 0.5,
        "num_interruptions": interruptions,
        "num_backchannels": backchannels,
        "num_requests": 3,
        "metadata": {"model_name": "silero", "model_provider": "bargein"},
        "num_answered": 2,
        "num_late": 1,
        "num_superseded": 4,
        "num_timed_out": 5,
        "num_fallback": 6,
        "num_reconnects": 2,
        "dropped_audio": 0.5,
        "stream_id": "call-1",
    }
    assert InterruptionMetrics.of(event, verdict, metrics.metadata).num_reconnects == 0
