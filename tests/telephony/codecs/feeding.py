"""Feeding a codec: whole, byte by byte, and what is left of events when framing is no matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from bargein.errors import ProtocolError
from bargein.telephony.codecs.events import Audio, Event


def joined(events: Iterable[Event]) -> list[Event]:
    """Return the events with neighbouring audio as one."""
    result: list[Event] = []
    for event in events:
        if isinstance(event, Audio) and result and isinstance(result[-1], Audio):
            result[-1] = Audio(result[-1].data + event.data)
        else:
            result.append(event)
    return result


def complaint(call: Callable[[], object]) -> str:
    """Return what a call that must be refused complains of."""
    with pytest.raises(ProtocolError) as caught:
        call()
    assert not caught.value.retryable
    return caught.value.message
