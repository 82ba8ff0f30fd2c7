"""The messages of the WebSocket that are JSON text (spec section 6).

The classes carry upstream's names (``livekit.agents.inference.interruption``) and its field names.
All are frozen and may be shared between threads.

What is wrong with a message costs as little as it can:

* A reply that names its window fails that window alone: it comes out with ``invalid`` set to the
  reason and without probabilities. So do probabilities that are NaN, infinite or outside 0..1.
* Anything else that can't be understood raises :class:`~bargein.errors.ProtocolError`.
* An unknown type comes out as :class:`UnknownMessage`; fields that the format doesn't know are
  named in ``extra`` (at most 16 names), so that whoever reads them can log each once.
* ``prediction_duration`` is a report and not a verdict: missing, null, negative, NaN or infinite
  it is 0.0, and the verdict stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from typing import Any, ClassVar, TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

from bargein.core.window import Checked
from bargein.errors import ProtocolError
from bargein.wire.fields import (
    extra_names,
    first_names,
    read_count,
    read_object,
    read_seconds,
    read_text,
    read_unit,
    read_window_id,
    shown,
)
from bargein.wire.probabilities import (
    NO_PROBABILITIES,
    as_checked,
    read_probabilities,
    read_reply,
)

__all__ = [
    "DEFAULT_ERROR_CODE",
    "ClientMessage",
    "InterruptionWSDetectedMessage",
    "InterruptionWSErrorMessage",
    "InterruptionWSInferenceDoneMessage",
    "InterruptionWSMessageType",
    "InterruptionWSSessionCloseMessage",
    "InterruptionWSSessionClosedMessage",
    "InterruptionWSSessionCreateMessage",
    "InterruptionWSSessionCreateSettings",
    "InterruptionWSSessionCreatedMessage",
    "ServerMessage",
    "UnknownMessage",
    "decode_client",
    "decode_server",
    "encode",
]

DEFAULT_ERROR_CODE = 500
"""The code of an ``error`` message that has none: the server's fault, so trying again may help."""


class InterruptionWSMessageType(str, Enum):
    """The ``type`` of each message."""

    SESSION_CREATE = "session.create"
    SESSION_CLOSE = "session.close"
    SESSION_CREATED = "session.created"
    SESSION_CLOSED = "session.closed"
    INTERRUPTION_DETECTED = "bargein_detected"
    INFERENCE_DONE = "inference_done"
    ERROR = "error"


@attrs.frozen(kw_only=True)
class InterruptionWSSessionCreateSettings:
    """What a session is opened with. ``threshold`` ``None``: the server's own default."""

    sample_rate: int = 16_000
    num_channels: int = 1
    threshold: float | None = None
    min_frames: int
    encoding: str = "s16le"


@attrs.frozen(kw_only=True)
class InterruptionWSSessionCreateMessage:
    """Client: open a session. Windows may follow at once."""

    type: ClassVar = InterruptionWSMessageType.SESSION_CREATE
    settings: InterruptionWSSessionCreateSettings
    extra: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class InterruptionWSSessionCreatedMessage:
    """Server: the session is open. ``default_threshold`` is 0..1, ``None`` where it isn't told."""

    type: ClassVar = InterruptionWSMessageType.SESSION_CREATED
    default_threshold: float | None = None
    extra: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class InterruptionWSSessionCloseMessage:
    """Client: no more windows will come."""

    type: ClassVar = InterruptionWSMessageType.SESSION_CLOSE
    extra: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class InterruptionWSSessionClosedMessage:
    """Server: the session is closed."""

    type: ClassVar = InterruptionWSMessageType.SESSION_CLOSED
    extra: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class _Reply:
    created_at: int
    prediction_duration: float = 0.0
    checked: Checked = attrs.field(
        default=NO_PROBABILITIES,
        alias="probabilities",
        hash=False,
        repr=False,
        converter=as_checked,
    )
    """The probabilities as they came, not made into an array before somebody wants it."""
    invalid: str | None = None
    extra: tuple[str, ...] = ()

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """See the messages."""
        return self.checked.array


@attrs.frozen(kw_only=True)
class InterruptionWSDetectedMessage(_Reply):
    """Server: the window ``created_at`` holds an interruption.

    ``prediction_duration`` is in seconds; ``probabilities`` is float32 ``(n,)``, one per 25 ms
    frame, read-only. ``invalid`` says why the window fails, ``None`` where it doesn't.
    """

    type: ClassVar = InterruptionWSMessageType.INTERRUPTION_DETECTED


@attrs.frozen(kw_only=True)
class InterruptionWSInferenceDoneMessage(_Reply):
    """Server: the window ``created_at`` was judged, and is no interruption. Fields as above."""

    type: ClassVar = InterruptionWSMessageType.INFERENCE_DONE


@attrs.frozen(kw_only=True)
class InterruptionWSErrorMessage:
    """Server: something failed. ``code`` is an HTTP status."""

    type: ClassVar = InterruptionWSMessageType.ERROR
    message: str = ""
    code: int = DEFAULT_ERROR_CODE
    session_id: str = ""
    extra: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class UnknownMessage:
    """A message whose type this library doesn't know; ``fields`` are the names that it holds."""

    type: str
    fields: tuple[str, ...] = ()


ServerMessage: TypeAlias = (
    InterruptionWSSessionCreatedMessage
    | InterruptionWSSessionClosedMessage
    | InterruptionWSDetectedMessage
    | InterruptionWSInferenceDoneMessage
    | InterruptionWSErrorMessage
    | UnknownMessage
)
ClientMessage: TypeAlias = (
    InterruptionWSSessionCreateMessage | InterruptionWSSessionCloseMessage | UnknownMessage
)


# ---- encoding


def encode(message: ServerMessage | ClientMessage) -> str:
    """The JSON text of a message, without spaces. ``extra`` and ``invalid`` aren't sent.

    Raises ``ValueError`` for a NaN or infinite number, which JSON doesn't have.
    """
    fields: dict[str, Any] = {"type": str(getattr(message.type, "value", message.type))}
    if isinstance(message, InterruptionWSSessionCreateMessage):
        settings = attrs.asdict(message.settings)
        if settings["threshold"] is None:
            del settings["threshold"]
        order = ("sample_rate", "num_channels", "threshold", "min_frames", "encoding")
        fields["settings"] = {name: settings[name] for name in order if name in settings}
    elif isinstance(message, InterruptionWSSessionCreatedMessage):
        if message.default_threshold is not None:
            fields["default_threshold"] = message.default_threshold
    elif isinstance(message, _Reply):
        fields["created_at"] = message.created_at
        fields["prediction_duration"] = message.prediction_duration
        fields["probabilities"] = message.probabilities.tolist()
    elif isinstance(message, InterruptionWSErrorMessage):
        fields["message"] = message.message
        fields["code"] = message.code
        fields["session_id"] = message.session_id
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)


# ---- decoding


_CREATED_FIELDS = frozenset({"type", "default_threshold"})
_REPLY_FIELDS = frozenset({"type", "created_at", "prediction_duration", "probabilities"})
_ERROR_FIELDS = frozenset({"type", "message", "code", "session_id"})
_CREATE_FIELDS = frozenset({"type", "settings"})
_SETTINGS_FIELDS = frozenset({"sample_rate", "num_channels", "threshold", "min_frames", "encoding"})
_BARE_FIELDS = frozenset({"type"})


def _read_created(fields: Mapping[str, Any]) -> InterruptionWSSessionCreatedMessage:
    return InterruptionWSSessionCreatedMessage(
        default_threshold=read_unit(fields.get("default_threshold"), "default_threshold"),
        extra=extra_names(fields, _CREATED_FIELDS),
    )


def _read_reply(
    kind: type[InterruptionWSDetectedMessage] | type[InterruptionWSInferenceDoneMessage],
    fields: Mapping[str, Any],
) -> InterruptionWSDetectedMessage | InterruptionWSInferenceDoneMessage:
    window_id = read_window_id(fields.get("created_at"))
    checked, invalid = read_probabilities(fields.get("probabilities"))
    duration = 0.0
    try:
        duration = read_seconds(fields.get("prediction_duration"))
    except ProtocolError as error:
        checked, invalid = NO_PROBABILITIES, invalid or error.message
    return kind(
        created_at=window_id,
        prediction_duration=duration,
        probabilities=checked,
        invalid=invalid,
        extra=extra_names(fields, _REPLY_FIELDS),
    )


def _read_error(fields: Mapping[str, Any]) -> InterruptionWSErrorMessage:
    return InterruptionWSErrorMessage(
        message=read_text(fields, "message"),
        code=read_count(fields, "code", DEFAULT_ERROR_CODE),
        session_id=read_text(fields, "session_id"),
        extra=extra_names(fields, _ERROR_FIELDS),
    )


def _read_create(fields: Mapping[str, Any]) -> InterruptionWSSessionCreateMessage:
    settings = fields.get("settings")
    if not isinstance(settings, dict):
        raise ProtocolError(f"settings is {shown(settings)}; expected an object")
    return InterruptionWSSessionCreateMessage(
        settings=InterruptionWSSessionCreateSettings(
            sample_rate=read_count(settings, "sample_rate", None),
            num_channels=read_count(settings, "num_channels", None),
            threshold=read_unit(settings.get("threshold"), "threshold"),
            min_frames=read_count(settings, "min_frames", None),
            encoding=read_text(settings, "encoding"),
        ),
        extra=extra_names(fields, _CREATE_FIELDS)
        + tuple("settings." + name for name in extra_names(settings, _SETTINGS_FIELDS)),
    )


_Type = InterruptionWSMessageType
_SERVER: dict[str, Callable[[Mapping[str, Any]], ServerMessage]] = {
    _Type.SESSION_CREATED.value: _read_created,
    _Type.SESSION_CLOSED.value: lambda fields: InterruptionWSSessionClosedMessage(
        extra=extra_names(fields, _BARE_FIELDS)
    ),
    _Type.INTERRUPTION_DETECTED.value: partial(_read_reply, InterruptionWSDetectedMessage),
    _Type.INFERENCE_DONE.value: partial(_read_reply, InterruptionWSInferenceDoneMessage),
    _Type.ERROR.value: _read_error,
}
_CLIENT: dict[str, Callable[[Mapping[str, Any]], ClientMessage]] = {
    _Type.SESSION_CREATE.value: _read_create,
    _Type.SESSION_CLOSE.value: lambda fields: InterruptionWSSessionCloseMessage(
        extra=extra_names(fields, _BARE_FIELDS)
    ),
}


def _kind(fields: Mapping[str, Any]) -> str:
    kind = fields.get("type")
    if not isinstance(kind, str):
        raise ProtocolError(f"a message's type is {shown(kind)}; expected a string")
    return kind


def _unknown(kind: str, fields: Mapping[str, Any]) -> UnknownMessage:
    return UnknownMessage(
        type=first_names([kind])[0], fields=first_names(n for n in fields if n != "type")
    )


def decode_server(text: str | bytes) -> ServerMessage:
    """What a server said; raises :class:`~bargein.errors.ProtocolError` and nothing else."""
    fields = read_reply(text)
    kind = _kind(fields)
    read = _SERVER.get(kind)
    return read(fields) if read is not None else _unknown(kind, fields)


def decode_client(text: str | bytes) -> ClientMessage:
    """What a client said (for servers); raises ``ProtocolError`` and nothing else."""
    fields = read_object(text)
    kind = _kind(fields)
    read = _CLIENT.get(kind)
    return read(fields) if read is not None else _unknown(kind, fields)
