"""``bargein tune``: recommend a threshold and a minimum duration, and write them down."""

from __future__ import annotations

import argparse

from bargein.analysis.options_file import write_options
from bargein.analysis.words import counted
from bargein.errors import OptionError
from bargein.evaluation.figures import Point
from bargein.evaluation.tuning import Costs, CostsFound, Finding, Goal, Tuning, tune
from bargein.files import check_folder

from .evaluate import (
    add_data_arguments,
    add_judge_arguments,
    add_work_arguments,
    candidate_of,
    dataset_of,
    progress_bar,
    resampling_of,
    store_of,
    tell_failure,
)
from .evaluation_table import percent, render_problems
from .output import print_json
from .settings import add_options_file, add_settings
from .table import aligned

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add_data_arguments(parser)
    goal = parser.add_argument_group("what is wanted: a limit, or costs")
    goal.add_argument(
        "--max-false-positive-rate",
        type=float,
        metavar="R",
        help="of backchannels and of noise, each at most this share may stop the agent",
    )
    goal.add_argument("--cost-missed", type=float, metavar="C", help="of a missed interruption")
    goal.add_argument("--cost-false", type=float, metavar="C", help="of stopping for nothing")
    goal.add_argument(
        "--cost-second", type=float, metavar="C", help="of each second until it is noticed"
    )
    goal.add_argument(
        "--held-out",
        type=float,
        default=0.33,
        metavar="SHARE",
        help="of the calls, to confirm the choice on: a half, a third, … (default: 0.33)",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--output", metavar="FILE", help="write the options there (JSON)")
    output.add_argument("--json", action="store_true", help="print one JSON document, no table")
    add_judge_arguments(parser)
    add_work_arguments(parser)
    add_options_file(parser)
    add_settings(parser)


def run(arguments: argparse.Namespace) -> int:
    """Tune, print, write; return the exit code."""
    goal = _goal(arguments)
    if arguments.output is not None:
        check_folder("--output", arguments.output)
    how = resampling_of(arguments)
    candidate = candidate_of(arguments)
    dataset = dataset_of(arguments)
    with progress_bar("calls") as progress:
        tuning = tune(
            dataset,
            goal,
            candidate,
            held_out=arguments.held_out,
            resampling=how,
            store=store_of(arguments),
            jobs=arguments.jobs,
            cluster=arguments.cluster,
            progress=progress,
        )
    if arguments.output is not None:
        write_options(arguments.output, tuning.options())
    if arguments.json:
        print_json(tuning.to_dict())
    else:
        print("\n".join([*_lines(tuning), *render_problems(tuning.problems)]))
        if arguments.output is not None:
            print(f"written to {arguments.output}: use it with --options {arguments.output}")
    return tell_failure(tuning.results)


def _goal(arguments: argparse.Namespace) -> Goal:
    given = {
        name: value
        for name in ("missed", "false", "second")
        if (value := getattr(arguments, f"cost_{name}")) is not None
    }
    if (arguments.max_false_positive_rate is None) != bool(given):
        raise OptionError(
            "expected a limit or costs, one of the two: --max-false-positive-rate, or any of "
            "--cost-missed, --cost-false and --cost-second"
        )
    return Goal(
        max_false_positive_rate=arguments.max_false_positive_rate,
        costs=Costs(**given) if given else None,
    )


def _lines(tuning: Tuning) -> list[str]:
    detection = tuning.candidate.options.detection
    searched, kept = tuning.calls
    rows = [
        ("", "searched", "held out", "so far, held out"),
        *(
            (words, *(percent(getattr(point, name)) for point in _points(tuning)))
            for words, name in (
                ("interruptions let in", "recall"),
                ("false on backchannels", "false_backchannel"),
                ("false on noise", "false_noise"),
            )
        ),
        ("median delay", *(_delay(point) for point in _points(tuning))),
    ]
    return [
        f"recommended for {tuning.candidate.backend}: threshold {detection.threshold:g}, minimum "
        f"duration {detection.min_interruption_duration:g} s",
        f"found on {counted(searched, 'call')}, tried on {counted(kept, 'other')}:",
        "",
        *aligned(rows, left=""),
        "",
        _verdict(tuning),
    ]


def _points(tuning: Tuning) -> tuple[Point, Point, Point]:
    return tuning.tuned, tuning.held_out, tuning.before


def _delay(point: Point) -> str:
    value = point.delays[0].value
    return "-" if value is None else f"{value:.2f} s"


def _costs_verdict(costs: CostsFound, finding: Finding) -> str:
    found = (
        f"for 100 overlaps, the held-out calls cost {costs.recommended:.1f}; "
        f"by the settings so far {costs.before:.1f}"
    )
    if costs.low is None or costs.high is None:
        return f"{found}. They differ in too few calls to be sure: label more"
    words = {
        "confirmed": "the held-out calls confirm that it costs less",
        "open": "the held-out calls leave it open which costs less: label more",
        "refuted": "on the held-out calls it costs more: keep what you have",
    }
    return f"{found} (difference {costs.low:+.1f} to {costs.high:+.1f}): {words[finding]}"


def _verdict(tuning: Tuning) -> str:
    if tuning.costs is not None:
        return _costs_verdict(tuning.costs, tuning.finding)
    limit = f"{100 * (tuning.goal.max_false_positive_rate or 0):g} %"
    ranges = " and ".join(
        f"{100 * rate.low:.1f} to {100 * rate.high:.1f} %"
        for rate in (tuning.held_out.false_backchannel, tuning.held_out.false_noise)
        if rate.low is not None and rate.high is not None
    )
    words = {
        "confirmed": f"the held-out calls confirm it: {ranges}, all under {limit}",
        "open": f"the held-out calls leave it open whether {limit} is kept ({ranges}): label more",
        "refuted": f"the held-out calls don't keep {limit} ({ranges}): aim lower, or label more",
    }
    return words[tuning.finding]
