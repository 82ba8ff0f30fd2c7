"""Picks the subcommand, runs it, and turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import attrs

from bargein._version import __version__

from .output import escape_what_cannot_be_printed

__all__ = ["COMMANDS", "Command", "main"]


@attrs.frozen
class Command:
    """A subcommand. Its module is imported only when it runs.

    The module has ``add_arguments(parser)`` and ``run(arguments) -> int``, which returns an exit
    code; whatever of this library's errors it raises becomes one line.
    """

    name: str
    help: str
    module: str


COMMANDS = (
    Command("analyze", "find and judge every overlap of a recorded call", "bargein.cli.analyze"),
    Command("answer", "an agent to call: hear it stop for interruptions", "bargein.cli.answer"),
    Command("check", "try a server or the local judge out, in words", "bargein.cli.check"),
    Command("evaluate", "tell how good a judge is on labelled calls", "bargein.cli.evaluate"),
    Command("replay", "play a recorded call again, as it was or otherwise", "bargein.cli.replay"),
    Command("serve", "judge the overlaps of many bridges over the network", "bargein.cli.serve"),
    Command("tune", "recommend a threshold and a minimum duration", "bargein.cli.tune"),
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, where argparse has two dozen of usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"bargein: {message} ({self.prog} --help says what there is)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (:class:`~bargein.cli.exits.ExitCode`)."""
    if argv is None:  # a program of its own, whose output is ours
        escape_what_cannot_be_printed()
    arguments = sys.argv[1:] if argv is None else list(argv)
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    parser, modules = _parser(wanted)
    try:
        chosen = parser.parse_args(arguments)
    except SystemExit as exc:  # argparse has said why
        return int(exc.code or 0)
    if chosen.command is None:
        parser.print_help()
        return 2
    return _run(chosen, modules[chosen.command])


def _parser(wanted: str | None) -> tuple[argparse.ArgumentParser, dict[str, str]]:
    parser = _Parser(
        prog="bargein",
        description="Tells a caller's interruption from a backchannel while a voice agent speaks.",
        epilog="Each command has its own --help.",
    )
    parser.add_argument("--version", action="version", version=f"bargein {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in COMMANDS:
        own = commands.add_parser(
            command.name,
            help=command.help,
            description=command.help[0].upper() + command.help[1:] + ".",
        )
        if command.name == wanted:  # the others' options aren't needed, nor what they import
            import_module(command.module).add_arguments(own)
    return parser, {command.name: command.module for command in COMMANDS}


def _run(arguments: argparse.Namespace, module: str) -> int:
    from bargein.cli.exits import ExitCode, exit_code
    from bargein.errors import BargeinError

    try:
        code: int = import_module(module).run(arguments)
        if sys.stdout is not None:  # as it is where the shell closed it
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        # What is still buffered goes nowhere, or the interpreter would complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.PIPE_CLOSED
    except KeyboardInterrupt:
        print("bargein: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BargeinError as exc:
        print(f"bargein: {exc}", file=sys.stderr)
        return exit_code(exc)
    except OSError as exc:
        where = f"{exc.filename}: " if exc.filename else ""
        print(f"bargein: {where}{exc.strerror or exc}", file=sys.stderr)
        return ExitCode.FAILED
