"""What a program sees beside the verdicts: spans, log lines, the sizes of pools."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bargein import (
    AdaptiveInterruptionDetector,
    InterruptionOptions,
    InterruptionStreamBase,
    OptionError,
    OverlappingSpeechEvent,
    Prediction,
    Window,
    configure_pools,
)
from bargein.core.connect_options import APIConnectOptions
from bargein.runtime import pool
from bargein.testing import answers
from bargein.testing.caller import Caller
from bargein.testing.server import ScriptedServer, Transport, refuse
from bargein.testing.sockets import BOUND
from tests.fresh import run_fresh


def yes(window: Window) -> Prediction:
    return Prediction(np.full(40, 0.9, np.float32), True, 0.01)


def no(window: Window) -> Prediction:
    return Prediction(np.full(40, 0.1, np.float32), False, 0.01)


def overlap(
    stream: InterruptionStreamBase, *, audio: float = 0.1, span: Any = None
) -> OverlappingSpeechEvent:
    """Have one overlap; without audio for a window it ends with the input."""
    stream.agent_speech_started()
    stream.overlap_speech_started(span=span)
    stream.push_frame(np.zeros(round(audio * 16_000), np.int16))
    if audio < 0.1:
        stream.end_input()
    return stream.recv(BOUND)


@pytest.fixture
def exporter() -> Iterator[tuple[Any, InMemorySpanExporter]]:
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    yield provider.get_tracer("tests"), memory
    provider.shutdown()


def test_a_verdict_is_written_on_the_span(exporter: tuple[Any, InMemorySpanExporter]) -> None:
    tracer, memory = exporter
    with (
        AdaptiveInterruptionDetector(backend=yes) as detector,
        detector.stream() as stream,
        tracer.start_as_current_span("user_speaking") as span,
    ):
        event = overlap(stream, span=span)

    (finished,) = memory.get_finished_spans()
    assert dict(finished.attributes or {}) == {
        "lk.is_interruption": "true",
        "lk.interruption.probability": event.probability,
        "lk.interruption.total_duration": event.total_duration,
        "lk.interruption.prediction_duration": event.prediction_duration,
        "lk.interruption.detection_delay": event.detection_delay,
        "bargein.outcome": "interruption",
    }


def test_what_nobody_could_tell_is_neither_true_nor_false_on_a_span(
    exporter: tuple[Any, InMemorySpanExporter],
) -> None:
    tracer, memory = exporter
    with (
        AdaptiveInterruptionDetector(backend=no) as detector,
        detector.stream() as stream,
        tracer.start_as_current_span("user_speaking") as span,
    ):
        overlap(stream, audio=0.01, span=span)

    (finished,) = memory.get_finished_spans()
    assert finished.attributes is not None
    assert "lk.is_interruption" not in finished.attributes
    assert finished.attributes["bargein.outcome"] == "inconclusive"


def test_a_span_that_takes_nothing_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def set_attribute(self, *_: object) -> None:
            raise RuntimeError("no")

    with AdaptiveInterruptionDetector(backend=yes) as detector, detector.stream(id="c7") as stream:
        assert overlap(stream, span=Broken()).is_interruption

    assert "c7: the span took no attributes" in caplog.text


def test_each_line_says_which_call_and_none_is_written_per_frame(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="bargein")
    with AdaptiveInterruptionDetector(backend=yes) as detector, detector.stream(id="c7") as stream:
        for _ in range(500):
            stream.push_frame(bytes(640))
        overlap(stream)

    mine = [record.getMessage() for record in caplog.records if record.name == "bargein"]
    assert any(line.startswith("c7: overlap 1: interruption, probability 0.90") for line in mine)
    assert any(line == "c7: ended" for line in mine)
    assert len(mine) < 10


@pytest.mark.parametrize("transport", ["websocket", "http"])
def test_an_outage_is_one_warning_and_its_end_one_line(
    transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="bargein")
    with (
        ScriptedServer(answers.yes, greetings=[refuse("503 Busy")] * 3) as server,
        server.detector(
            transport,
            inference_timeout=BOUND,
            conn_options=APIConnectOptions(max_retry=None, retry_interval=0.0),
        ) as detector,
        Caller(detector, id="c7") as caller,
    ):
        caller.interrupt()
        caller.speak_until(server.heard)
        assert caller.event().is_interruption

    mine = [each for each in caplog.records if each.getMessage().startswith("c7: ")]
    assert [each.levelname for each in mine] == ["INFO", "WARNING", "INFO", "INFO", "INFO"]
    lines = [each.getMessage() for each in mine]
    assert lines[0] == "c7: opened, judged by adaptive interruption (custom)"
    assert "503" in lines[1]
    assert lines[2] == "c7: the server is well again"


def test_each_change_of_state_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="bargein")
    with AdaptiveInterruptionDetector(backend=yes) as detector, detector.stream(id="c7") as stream:
        overlap(stream)

    lines = [each.getMessage() for each in caplog.records]
    states = [line.removeprefix("c7: the call: ") for line in lines if ": the call: " in line]
    assert states == ["speaking", "open", "speaking", "ended"]


def test_without_a_handler_nothing_is_printed() -> None:
    done = run_fresh(
        "-c",
        "import bargein, logging\n"
        "with bargein.AdaptiveInterruptionDetector(backend=lambda window: [0.0]):\n"
        "    logging.getLogger('bargein').error('to nobody')",
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_pools_take_other_sizes() -> None:
    pools = (pool.connect_pool, pool.http_pool, pool.inference_pool, pool.listener_pool)
    names = ("max_connects", "max_connections", "max_inferences", "max_listeners")
    sizes = [each.size for each in pools]
    try:
        configure_pools(max_connections=200)
        assert (pool.connect_pool.size, pool.http_pool.size) == (sizes[0], 200)
        configure_pools(max_connects=3, max_inferences=2, max_listeners=5)
        assert [each.size for each in pools] == [3, 200, 2, 5]
    finally:
        configure_pools(**dict(zip(names, sizes, strict=True)))


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "many"])
def test_a_pool_of_no_size_changes_none(size: Any) -> None:
    before = pool.http_pool.size

    with pytest.raises(OptionError, match="max_inferences came as"):
        configure_pools(max_connections=7, max_inferences=size)

    assert pool.http_pool.size == before


def test_the_detectors_parameters_are_the_options_with_their_defaults() -> None:
    import inspect

    import attrs

    parameters = inspect.signature(AdaptiveInterruptionDetector).parameters
    fields = attrs.fields(InterruptionOptions)

    assert [name for name in parameters if name in {f.name for f in fields}] == [
        field.name for field in fields
    ]
    assert {f.name: f.default for f in fields} == {
        f.name: parameters[f.name].default for f in fields
    }
    other = {f.name: f.default * 1.01 for f in fields if isinstance(f.default, float)}
    other["max_audio_duration"] = 2.5
    flags = {f.name: True for f in fields if f.default is False}
    given = {"threshold": 0.25, "max_in_flight": 5, **other, **flags}
    with AdaptiveInterruptionDetector(backend=no, **given) as detector:
        assert detector.options == InterruptionOptions(**given)
