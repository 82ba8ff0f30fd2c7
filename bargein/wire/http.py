"""One window over HTTP: where it is posted, and what the answer means (spec section 6)."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np
import numpy.typing as npt

from bargein.core.window import Checked
from bargein.errors import ProtocolError
from bargein.wire.fields import read_seconds, read_window_id, shown
from bargein.wire.probabilities import as_checked, read_probabilities, read_reply
from bargein.wire.status import retry_after_seconds, status_error

__all__ = ["CONTENT_TYPE", "InterruptionResponse", "decode_reply", "encode_reply", "request_target"]

CONTENT_TYPE = "application/octet-stream"
"""The ``Content-Type`` of a posted window: its samples, s16le, and nothing else."""


@attrs.frozen(kw_only=True)
class InterruptionResponse:
    """A judged window. Upstream's name and fields.

    ``created_at`` is the window's id; ``is_bargein`` the server's decision, ``None`` where it
    leaves that to the probabilities; ``prediction_duration`` seconds; ``probabilities`` float32
    ``(n,)``, one per 25 ms frame, read-only.
    """

    created_at: int
    is_bargein: bool | None
    prediction_duration: float
    checked: Checked = attrs.field(
        alias="probabilities",
        converter=as_checked,
        hash=False,
        repr=False,
    )
    """The probabilities as they came; made into an array when somebody wants it."""

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """See the class."""
        return self.checked.array


def request_target(base_url: str, threshold: float | None, min_frames: int, window_id: int) -> str:
    """The URL that a window is posted to; ``threshold`` is left out where it is ``None``."""
    chosen = "" if threshold is None else f"threshold={float(threshold)!r}&"
    return f"{base_url}/bargein?{chosen}min_frames={min_frames}&created_at={window_id}"


def decode_reply(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    window_id: int,
    round_trip: float,
    now: float,
) -> InterruptionResponse:
    """What the server said about ``window_id``.

    ``round_trip`` (seconds) stands in for a missing ``prediction_duration``; ``now`` (epoch
    seconds) turns a ``Retry-After`` date into seconds. Raises ``APIStatusError`` for a status
    other than 2xx, ``ProtocolError`` for a reply that can't be read; both fail this window.
    """
    if not 200 <= status < 300:
        asked = next((v for name, v in headers.items() if name.lower() == "retry-after"), None)
        raise status_error(status, body, retry_after_seconds(asked, now=now))
    fields = read_reply(body)
    decision = fields.get("is_bargein")
    if decision is not None and not isinstance(decision, bool):
        raise ProtocolError(f"is_bargein is {shown(decision)}; expected true or false")
    checked, invalid = read_probabilities(fields.get("probabilities"))
    if invalid is not None:
        raise ProtocolError(invalid)
    if decision is None and fields.get("probabilities") is None:
        raise ProtocolError(
            "the reply holds neither is_bargein nor probabilities; is base_url an inference server?"
        )
    created_at = fields.get("created_at")
    duration = fields.get("prediction_duration")
    return InterruptionResponse(
        # The request says which window this is; the echo is kept for who wants to look at it.
        created_at=window_id if created_at is None else read_window_id(created_at),
        is_bargein=decision,
        prediction_duration=round_trip if duration is None else read_seconds(duration),
        probabilities=checked,
    )


def encode_reply(response: InterruptionResponse) -> dict[str, object]:
    """The JSON object of a reply (for servers); ``is_bargein`` is left out where it is ``None``."""
    fields: dict[str, object] = {"created_at": response.created_at}
    if response.is_bargein is not None:
        fields["is_bargein"] = response.is_bargein
    fields["prediction_duration"] = response.prediction_duration
    fields["probabilities"] = response.probabilities.tolist()
    return fields
