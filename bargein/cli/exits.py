"""Exit codes, and the one line on stderr that goes with each. All subcommands share them."""

from __future__ import annotations

from enum import IntEnum

from bargein.errors import (
    APIError,
    AudioFileError,
    BargeinError,
    DatasetError,
    MissingExtraError,
    OptionError,
    RecordingError,
)

__all__ = ["ExitCode", "exit_code"]


class ExitCode(IntEnum):
    """What the process ends with."""

    OK = 0
    FAILED = 1
    """Something that none of the others says: weights are damaged, a result can't be written."""
    USAGE = 2
    """A bad option or argument; argparse's own code."""
    UNREADABLE = 3
    """A recording isn't there, isn't audio, is truncated, or has the wrong channels; labelled
    calls hold nothing that can be evaluated."""
    MISSING_EXTRA = 4
    """An optional dependency isn't installed; the message says what to install."""
    REMOTE = 5
    """A server or the way to it failed."""
    INTERRUPTED = 130
    """Ctrl-C: 128 and the signal's number, as shells have it."""
    PIPE_CLOSED = 141
    """Whoever read the output went away (``bargein … | head``)."""


_CODES: tuple[tuple[type[BargeinError], ExitCode], ...] = (
    (AudioFileError, ExitCode.UNREADABLE),
    (DatasetError, ExitCode.UNREADABLE),
    (MissingExtraError, ExitCode.MISSING_EXTRA),
    (RecordingError, ExitCode.UNREADABLE),
    (OptionError, ExitCode.USAGE),
    (APIError, ExitCode.REMOTE),
)


def exit_code(error: BaseException) -> ExitCode:
    """Return the code that an error ends the process with."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return ExitCode.FAILED
