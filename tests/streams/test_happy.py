"""A server that is well."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.streams.service import Caller, Service, answers


@pytest.mark.parametrize(
    ("answer", "outcome"), [(answers.yes, "interruption"), (answers.no, "backchannel")]
)
def test_a_verdict(any_transport: str, answer, outcome: str, tmp_path: Path) -> None:
    with (
        Service(any_transport, answer) as service,
        service.detector(folder=tmp_path) as detector,
        Caller(detector, id="call-1") as caller,
    ):
        caller.interrupt()
        heard = service.next()
        caller.stop()
        event = caller.event()
        assert (event.outcome.value, event.reason) == (outcome, None)
        assert event.stream_id == "call-1"
        assert len(heard.samples) == 4800
        assert event.num_requests == 1
