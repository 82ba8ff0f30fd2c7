"""Every error that this library raises, in one tree.

* :class:`UsageError`: the caller's mistake, raised in the caller's thread. Each is also a
  ``ValueError`` or a ``RuntimeError``, so code that knows nothing of this library can catch it.
* :class:`APIError`: the other side's fault (a server, a network, a backend). These never come
  out of a push; whoever reads the stream gets them. The names are upstream's.

Messages say what came, what was expected, and what to do. No message holds a secret.
"""

from __future__ import annotations

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIStatusError",
    "APITimeoutError",
    "AudioFileError",
    "BargeinError",
    "DatasetError",
    "FrameError",
    "MissingExtraError",
    "ModelError",
    "OptionError",
    "ProtocolError",
    "RecordingError",
    "StateError",
    "StreamEnded",
    "UsageError",
]


class BargeinError(Exception):
    """The root of the tree: ``except BargeinError`` catches all that this library raises."""


class UsageError(BargeinError):
    """The library was called in a way that it can't serve; the stream is as it was."""


class OptionError(UsageError, ValueError):
    """An option has a value outside its range, or options contradict each other."""


class FrameError(UsageError, ValueError):
    """An audio frame has the wrong type, shape or format; it was not taken."""


class StateError(UsageError, RuntimeError):
    """A call came at a time when it has no meaning (after the end, from the wrong place)."""


class AudioFileError(UsageError, ValueError):
    """A recording can't be read: not there, not audio, truncated, or of the wrong shape."""


class DatasetError(UsageError, ValueError):
    """Labelled calls can't be read, or hold nothing that can be evaluated."""


class RecordingError(UsageError, ValueError):
    """A call's recording can't be read: not there, damaged, or of a newer version."""


class MissingExtraError(UsageError, ImportError):
    """A feature needs an optional dependency that isn't installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an extra: pip install 'bargein[{extra}]'")
        self.extra = extra


class ModelError(BargeinError, RuntimeError):
    """A model's weights, which come with the package, are missing, damaged or of another shape."""


class StreamEnded(BargeinError):
    """A stream has given all its events and will give no more."""


class APIError(BargeinError):
    """A backend or the way to it failed.

    ``retryable`` tells whether trying again can help. ``body`` is what the server said, at most
    its first 500 characters, or ``None``.
    """

    def __init__(self, message: str, *, body: str | None = None, retryable: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.body = body
        self.retryable = retryable


class APIConnectionError(APIError):
    """No connection could be made, or the one that was there is gone."""


class APITimeoutError(APIConnectionError):
    """The other side was too slow: a connect, a reply, or a pong took longer than allowed."""


class APIStatusError(APIError):
    """The server answered with an error status (HTTP, the handshake, or an ``error`` message).

    ``retry_after`` is how long the server asked to be left alone, in seconds (0 to 60), or
    ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        body: str | None = None,
        retryable: bool = True,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, body=body, retryable=retryable)
        self.status_code = status_code
        self.retry_after = retry_after


class ProtocolError(APIError):
    """The server sent something that isn't in the protocol, so its meaning is unknown."""
