"""Options of the command line that stand for a settings class: one flag per field."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, TypeVar

import attrs

from bargein.analysis.options_file import GROUPS as FILE_GROUPS
from bargein.analysis.options_file import read_options
from bargein.core import InterruptionOptions
from bargein.core.echo import EchoGateOptions
from bargein.core.playout import PlayoutOptions
from bargein.core.tracker import TrackerOptions
from bargein.errors import OptionError

__all__ = [
    "GROUPS",
    "Group",
    "add_options_file",
    "add_settings",
    "given_settings",
    "read_backend",
    "read_settings",
]

_T = TypeVar("_T")
_D = TypeVar("_D", str, None)


@attrs.frozen
class Group:
    """A settings class as a group of flags: ``--PREFIX-FIELD``; ``fields`` has a help for each."""

    settings: type
    title: str
    prefix: str
    fields: Mapping[str, str]


GROUPS = (
    Group(
        InterruptionOptions,
        "windows and verdicts",
        "",
        {
            "threshold": "probability from which on a window is positive ",
            "min_interruption_duration": "seconds that the probability must stay up",
            "max_audio_duration": "seconds of the longest window",
            "audio_prefix_duration": "seconds kept from before a turn's first onset",
            "detection_interval": "seconds between two windows",
            "inference_timeout": "seconds after which an unanswered window is given up",
            "verdict_grace": "seconds past an overlap's end for windows that are under way",
            "max_in_flight": "unanswered windows at a time",
            "eager_first_window": "cut a window at an overlap's start too",
            "reset_window_per_overlap": "trim the window at each overlap, not a turn's first alone",
            "prefix_before_agent": "keep the prefix from before the agent's start too",
        },
    ),
    Group(
        TrackerOptions,
        "when the caller talks",
        "",
        {
            "activation": "voice-activity probability at which speech begins",
            "deactivation": "and below which it ceases",
            "min_speech": "seconds of speech before an overlap begins",
            "max_dip": "seconds of silence bridged before that",
            "min_silence": "seconds of silence that end an overlap",
        },
    ),
    Group(
        EchoGateOptions,
        "the agent's echo in the caller's channel",
        "echo-",
        {
            "return_loss": "dB under the agent's loudest from which on it may be echo",
            "reach": "seconds that the agent's audio counts for: the longest delay",
            "decay": "dB per second by which it is forgotten after that",
            "hold": "seconds that the gate stays open after something loud enough",
            "noise_margin": "dB above the line's noise that is loud enough",
            "floor": "dBFS under which nothing counts",
        },
    ),
    Group(
        PlayoutOptions,
        "when the agent speaks",
        "agent-",
        {
            "start_level": "dBFS at which the agent starts",
            "stop_level": "dBFS under which it is silent",
            "min_sound": "seconds of sound before it has started",
            "min_silence": "seconds of silence before it has ended",
        },
    ),
)


_IN_FILE = {settings: name for name, settings in FILE_GROUPS.items()}


_DEFAULTS = {"threshold": "the backend's", "max_in_flight": "2"}
"""Of fields whose own default is ``None``."""


def add_settings(parser: argparse.ArgumentParser, *only: type, default: str | None = None) -> None:
    """Add the flags of every group, or of ``only`` some settings classes.

    What isn't given stays out of the namespace. ``default`` is said of each group, where it isn't
    the settings' own defaults that hold then.
    """
    for group in GROUPS:
        if only and group.settings not in only:
            continue
        title = group.title if default is None else f"{group.title} (default: {default})"
        flags = parser.add_argument_group(title)
        for field in attrs.fields(group.settings):
            text = group.fields[field.name]
            flag = "--" + (group.prefix + field.name).replace("_", "-")
            common: dict[str, Any] = {
                "dest": _name(group, field.name),
                "default": argparse.SUPPRESS,
            }
            if field.default is False:
                flags.add_argument(flag, action="store_true", help=text, **common)
                continue
            if default is None:
                usual = _DEFAULTS.get(field.name) or f"{field.default:g}"
                text += f" (default: {usual})"
            kind = int if field.name == "max_in_flight" else float
            flags.add_argument(flag, type=kind, metavar="N", help=text, **common)


def read_settings(arguments: argparse.Namespace, settings: type[_T]) -> _T:
    """Build a group's settings from the flags given, else from the file of ``--options``.

    Raises :class:`~bargein.errors.OptionError` for a value outside its range.
    """
    from_file = arguments.options.get(_IN_FILE[settings], {})
    return settings(**from_file | given_settings(arguments, settings))


def add_options_file(parser: argparse.ArgumentParser) -> None:
    """Add ``--options``, for the commands that use :func:`read_settings`."""
    parser.add_argument(
        "--options",
        metavar="FILE",
        type=_options_file,
        default={},
        help="options that bargein tune wrote; flags win over them",
    )


def read_backend(arguments: argparse.Namespace, default: _D) -> str | _D:
    """Return the backend's name: the flag's, else that of the file of ``--options``."""
    given: str | None = arguments.backend
    return arguments.options.get("backend", default) if given is None else given


def _options_file(path: str) -> dict[str, Any]:
    """Read a file of options; what is wrong with it is a usage error."""
    try:
        return read_options(path)
    except OptionError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def given_settings(arguments: argparse.Namespace, settings: type) -> dict[str, Any]:
    """Return the fields of a settings class for which a flag was given."""
    (group,) = (group for group in GROUPS if group.settings is settings)
    given = vars(arguments)
    return {
        field: given[_name(group, field)] for field in group.fields if _name(group, field) in given
    }


def _name(group: Group, field: str) -> str:
    return f"{group.settings.__name__}.{field}"
