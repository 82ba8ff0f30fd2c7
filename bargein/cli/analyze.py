"""``bargein analyze``: a recorded call's overlaps as a table, as JSON, as a picture."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from bargein.analysis import Analysis, AnalysisOptions, Call, analyze, open_call
from bargein.core import InterruptionOptions
from bargein.core.echo import EchoGateOptions
from bargein.core.playout import PlayoutOptions
from bargein.core.tracker import TrackerOptions
from bargein.errors import OptionError
from bargein.files import check_folder

from .exits import ExitCode
from .judge import backend_of
from .output import print_json
from .progress import Progress
from .settings import add_options_file, add_settings, read_backend, read_settings
from .table import render

__all__ = ["add_arguments", "run"]

_SIDES = {"left": 0, "right": 1}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("call", metavar="CALL", help="recording: WAV, FLAC or Ogg, any rate")
    parser.add_argument(
        "agent",
        metavar="AGENT",
        nargs="?",
        help="the agent's own recording, where CALL is the caller's alone",
    )
    channels = parser.add_argument_group("channels (default: caller left, agent right)")
    channels.add_argument(
        "--caller-channel", type=_channel, metavar="N", help="left, right, or a number from 1"
    )
    channels.add_argument("--agent-channel", type=_channel, metavar="N", help="likewise")
    channels.add_argument("--swap", action="store_true", help="caller right, agent left")
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print one JSON document, no table")
    output.add_argument("--plot", metavar="FILE", help="draw the timeline: .png or .svg")
    output.add_argument("--timings", action="store_true", help="say what the computing cost")
    judge = parser.add_argument_group("the judge")
    judge.add_argument(
        "--backend",
        metavar="NAME",
        help="local (the default), local-sustained, or module:attribute: a backend, a class of "
        "backends, or a function of a window",
    )
    judge.add_argument(
        "--latency",
        type=float,
        default=0.0,
        metavar="S",
        help="seconds of the recording that an answer takes (default: 0)",
    )
    add_options_file(parser)
    add_settings(parser)
    parser.add_argument(
        "--no-echo-gate",
        action="store_true",
        help="take what sounds in the caller's channel for the caller, however faint",
    )


def run(arguments: argparse.Namespace) -> int:
    """Analyse, print, draw; return the exit code."""
    options = _options(arguments)
    plot = _plotter(arguments.plot)
    with _open(arguments) as call:
        analysis = _analyze(call, arguments, options)
    if plot is not None:
        plot(analysis, arguments.plot)
    if arguments.json:
        print_json(analysis.to_dict())
    else:
        print(render(analysis), end="")
    return ExitCode.OK if analysis.error is None else _tell_failure(analysis, analysis.error)


def _tell_failure(analysis: Analysis, error: Exception) -> ExitCode:
    """The judge failed on windows: what was printed is true, and not the whole truth."""
    failed, sent = analysis.windows["failed"], analysis.windows["sent"]
    print(
        f"bargein: the backend failed on {failed} of {sent} windows; the first time with "
        f"{type(error).__name__}: {error}",
        file=sys.stderr,
    )
    return ExitCode.FAILED


def _analyze(call: Call, arguments: argparse.Namespace, options: AnalysisOptions) -> Analysis:
    with Progress(call.duration, sys.stderr) as progress:
        return analyze(
            call,
            options=options,
            backend=backend_of(read_backend(arguments, "local")),
            waveforms=arguments.plot is not None,
            progress=progress,
            clock=time.perf_counter if arguments.timings else None,
        )


def _options(arguments: argparse.Namespace) -> AnalysisOptions:
    gate = read_settings(arguments, EchoGateOptions)
    return AnalysisOptions(
        detection=read_settings(arguments, InterruptionOptions),
        tracker=read_settings(arguments, TrackerOptions),
        echo_gate=None if arguments.no_echo_gate else gate,
        playout=read_settings(arguments, PlayoutOptions),
        latency=arguments.latency,
    )


def _channel(text: str) -> int:
    """Read a channel; counted from 0 inside."""
    number = _SIDES.get(text.lower())
    if number is None:
        number = int(text) - 1 if text.isdecimal() else -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected left, right, or a number from 1")
    return number


def _open(arguments: argparse.Namespace) -> Call:
    caller, agent = arguments.caller_channel, arguments.agent_channel
    if arguments.swap:
        if (caller, agent) != (None, None) or arguments.agent is not None:
            raise OptionError(
                "--swap came with a choice of channels or a second file; expected it alone: "
                "either it says where the sides are or they do"
            )
        caller, agent = 1, 0
    return open_call(arguments.call, arguments.agent, caller_channel=caller, agent_channel=agent)


def _plotter(path: str | None) -> Any:
    """Find out whether a picture can be drawn there before the work begins."""
    if path is None:
        return None
    check_folder("--plot", path)
    from bargein.analysis.plot import check_plot, save_plot

    check_plot(path)
    return save_plot
