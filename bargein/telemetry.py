"""The verdict on the user's OpenTelemetry span, in upstream's attribute names."""

from __future__ import annotations

from typing import Any

from bargein.core import OverlappingSpeechEvent
from bargein.core.verdicts import Outcome

__all__ = ["write_verdict"]


def write_verdict(span: Any, event: OverlappingSpeechEvent) -> None:
    """Set the event's figures on a span (anything with ``set_attribute``).

    ``lk.is_interruption`` is the string "true" or "false", as upstream writes it, and left out
    where nobody could tell.
    """
    if event.outcome is not Outcome.INCONCLUSIVE:
        span.set_attribute("lk.is_interruption", str(event.is_interruption).lower())
    span.set_attribute("lk.interruption.probability", event.probability)
    span.set_attribute("lk.interruption.total_duration", event.total_duration)
    span.set_attribute("lk.interruption.prediction_duration", event.prediction_duration)
    span.set_attribute("lk.interruption.detection_delay", event.detection_delay)
    span.set_attribute("bargein.outcome", event.outcome.value)
