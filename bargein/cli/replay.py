"""``bargein replay``: a recorded call played again, as it was or with other settings."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from bargein.analysis.words import counted
from bargein.core import InterruptionOptions
from bargein.errors import RecordingError
from bargein.recording import (
    CallRecording,
    Replayed,
    WhatIf,
    find_recordings,
    load_recording,
    replay,
    what_if,
)

from .exits import ExitCode
from .judge import backend_of
from .output import print_json
from .settings import add_options_file, add_settings, given_settings, read_backend
from .table import aligned

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "recordings",
        metavar="REC",
        nargs="+",
        help="a call's folder, or a folder of such folders",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document for each call")
    parser.add_argument(
        "--strict", action="store_true", help="stop at the first recording that can't be read whole"
    )
    other = parser.add_argument_group("what if (without these: the very same again, compared)")
    other.add_argument(
        "--backend",
        metavar="NAME",
        help="another judge: local, local-sustained, …, or module:attribute; it judges by its own "
        "threshold, unless --threshold is given",
    )
    other.add_argument(
        "--latency",
        type=float,
        metavar="S",
        help="seconds that an answer takes (default: the recording's median)",
    )
    add_options_file(parser)
    add_settings(parser, InterruptionOptions, default="as in the recording")


def run(arguments: argparse.Namespace) -> int:
    """Play each recording, print what came out; return the exit code."""
    changes = arguments.options.get("detection", {}) | given_settings(
        arguments, InterruptionOptions
    )
    name = read_backend(arguments, None)
    backend = None if name is None else backend_of(name)
    differs = False
    left_out: list[RecordingError] = []
    paths = [path for place in arguments.recordings for path in find_recordings(place)]
    for path in paths:
        try:
            recording = load_recording(path)
        except RecordingError as error:
            if arguments.strict or len(paths) == 1:
                raise
            left_out.append(error)
            continue
        if changes or backend is not None or arguments.latency is not None:
            found = what_if(recording, backend=backend, latency=arguments.latency, **changes)
            _print(arguments.json, _what_if_json(recording, found), _what_if_text, found)
        else:
            again = replay(recording)
            differs |= not again.identical
            _print(arguments.json, _replay_json(recording, again), _replay_text, again)
        _tell_if_broken_off(recording, arguments.strict)
    if left_out:
        print(f"bargein: left out {len(left_out)} of {len(paths)} recordings:", file=sys.stderr)
        for why in left_out:
            print(f"  {why}", file=sys.stderr)
    if differs:
        return ExitCode.FAILED
    return ExitCode.UNREADABLE if left_out else ExitCode.OK


def _tell_if_broken_off(recording: CallRecording, strict: bool) -> None:
    if recording.complete:
        return
    what = "it has no end: its process was killed, its disk was full, or the call goes on"
    said = f"{recording.path}: {what}" if recording.cut is None else recording.cut
    if strict:
        raise RecordingError(said)
    print(f"bargein: read up to here: {said}", file=sys.stderr)


def _print(as_json: bool, plain: dict[str, Any], text: Any, found: Any) -> None:
    if as_json:
        print_json(plain, indent=None)
    else:
        print(f"{plain['recording']} ({plain['stream_id']}, judged by {plain['model']})")
        print(text(found), end="\n\n")


def _about(recording: CallRecording) -> dict[str, Any]:
    return {
        "recording": str(recording.path),
        "stream_id": recording.stream_id,
        "model": recording.model,
        "complete": recording.complete,
    }


# --- the same again -----------------------------------------------------------------------------


def _replay_json(recording: CallRecording, found: Replayed) -> dict[str, Any]:
    return _about(recording) | {
        "identical": found.identical,
        "difference": None if found.difference is None else str(found.difference),
        "windows": found.windows,
        "events": found.events,
    }


def _replay_text(found: Replayed) -> str:
    rows: list[tuple[str, ...]] = [("overlap", "outcome", "probability", "decided after")]
    rows += [(str(number), *_told(event)) for number, event in enumerate(found.events, 1)]
    lines = aligned(rows, left="outcome") if found.events else []
    if found.difference is None:
        events, windows = counted(len(found.events), "event"), counted(found.windows, "window")
        lines.append(f"identical: {events}, {windows}")
    else:
        lines.append(f"NOT the same: {found.difference}")
    return "\n".join(lines)


# --- what if ------------------------------------------------------------------------------------


def _what_if_json(recording: CallRecording, found: list[WhatIf]) -> dict[str, Any]:
    return _about(recording) | {
        "overlaps": [
            {
                "overlap": one.overlap,
                "recorded": one.recorded,
                "replayed": None if one.replayed is None else one.replayed.to_dict(),
                "unknown": one.unknown,
                "changed": one.changed,
            }
            for one in found
        ]
    }


def _what_if_text(found: list[WhatIf]) -> str:
    figures = ("probability", "decided after")
    rows: list[tuple[str, ...]] = [
        ("", "overlap", "outcome then", *figures, "outcome now", *figures)
    ]
    for one in found:
        then = ("none", "", "") if one.recorded is None else _told(one.recorded)
        now = ("none", "", "") if one.replayed is None else _told(one.replayed.to_dict())
        if one.unknown:
            now = ("unknown: not judged", "", "")
        rows.append(
            ("*" if one.changed else "?" if one.unknown else "", str(one.overlap), *then, *now)
        )
    changed = sum(one.changed for one in found)
    lines = aligned(rows, left="outcome") if found else []
    lines.append(f"{changed} of {len(found)} overlaps would have been another")
    if unknown := sum(one.unknown for one in found):
        lines.append(
            f"{unknown} unknown: windows would be needed that nobody judged; give a --backend"
        )
    return "\n".join(lines)


def _told(event: dict[str, Any]) -> tuple[str, str, str]:
    outcome = event["outcome"]
    if event["reason"] is not None:
        outcome += f" ({event['reason'].replace('_', ' ')})"
    return (outcome, f"{event['probability']:.2f}", f"{event['detection_delay']:.2f} s")
