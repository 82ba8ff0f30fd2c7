"""``bargein evaluate``: how good a judge is on labelled calls, as a table, JSON, a report."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from bargein.analysis import AnalysisOptions
from bargein.core import InterruptionOptions
from bargein.core.echo import EchoGateOptions
from bargein.core.playout import PlayoutOptions
from bargein.core.tracker import TrackerOptions
from bargein.errors import MissingExtraError, OptionError
from bargein.evaluation import (
    Candidate,
    Dataset,
    Resampling,
    default_folder,
    evaluate,
    read_dataset,
)
from bargein.evaluation.evaluator import SWEEP, Progress
from bargein.evaluation.results import Results
from bargein.files import check_folder

from .evaluation_table import render
from .exits import ExitCode
from .output import print_json
from .settings import add_options_file, add_settings, read_backend, read_settings

__all__ = [
    "add_arguments",
    "add_data_arguments",
    "add_judge_arguments",
    "add_work_arguments",
    "candidate_of",
    "dataset_of",
    "progress_bar",
    "resampling_of",
    "run",
    "store_of",
    "tell_failure",
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add_data_arguments(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print one JSON document, no table")
    output.add_argument("--report", metavar="FILE", help="write a report for the browser: .html")
    output.add_argument(
        "--mistakes",
        type=int,
        default=8,
        metavar="N",
        help="of each kind, how many the report shows and plays (default: 8)",
    )
    output.add_argument(
        "--export",
        metavar="FOLDER",
        help="write TurnBench's traces and predictions of each conversation there",
    )
    judge = add_judge_arguments(parser)
    judge.add_argument(
        "--against",
        metavar="NAME=VALUE,…",
        help="compare with the same judge but for these: backend, latency, or an option by name",
    )
    judge.add_argument(
        "--thresholds", metavar="T,…", help="the curve's (default: 0.01 to 0.99 in 23 steps)"
    )
    add_work_arguments(parser)
    add_options_file(parser)
    add_settings(parser)


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which labels are meant."""
    parser.add_argument(
        "dataset",
        metavar="DATASET",
        help="a manifest (.csv, .jsonl), or a folder of recordings with labels beside them",
    )
    data = parser.add_argument_group("labels")
    data.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="NAME=LABEL",
        help="what a label of yours is: interruption, backchannel, noise or ignore; repeatable",
    )
    data.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="only the manifest's rows with this value; repeatable",
    )
    data.add_argument("--group-by", metavar="COLUMN", help="what tells calls apart (default: call)")
    data.add_argument("--tier", metavar="NAME", help="the TextGrids' tier (default: overlaps)")
    data.add_argument(
        "--strict", action="store_true", help="stop at the first label that can't be evaluated"
    )


def add_judge_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add what says who judges."""
    judge = parser.add_argument_group("the judge")
    judge.add_argument(
        "--backend", metavar="NAME", help="local (the default), …, or module:attribute"
    )
    judge.add_argument(
        "--latency",
        type=float,
        default=0.0,
        metavar="S",
        help="seconds of the recording that an answer takes (default: 0)",
    )
    judge.add_argument(
        "--no-echo-gate",
        action="store_true",
        help="take what sounds in the caller's channel for the caller, however faint",
    )
    return judge


def add_work_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says who does the work."""
    work = parser.add_argument_group("the work")
    work.add_argument("--jobs", type=int, metavar="N", help="processes (default: one a core)")
    work.add_argument(
        "--cluster", metavar="ENGINE", help="dask, dask:ADDRESS, ray or ray:ADDRESS, instead"
    )
    work.add_argument(
        "--store",
        metavar="FOLDER",
        help=f"where passes over the audio are kept (default: {default_folder()})",
    )
    work.add_argument("--no-store", action="store_true", help="keep nothing, and use nothing kept")
    work.add_argument(
        "--draws", type=int, default=2000, metavar="N", help="of the bootstrap (default: 2000)"
    )
    work.add_argument(
        "--seed", type=int, default=2025, metavar="N", help="of the bootstrap (default: 2025)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print, write; return the exit code."""
    _check_report(arguments.report)
    if arguments.mistakes < 0:
        raise OptionError(f"--mistakes came as {arguments.mistakes}; expected 0 or more")
    if arguments.export is not None:
        Path(arguments.export).mkdir(parents=True, exist_ok=True)
    candidate = candidate_of(arguments)
    against = None
    if arguments.against is not None:
        against = candidate.changed(_pairs([arguments.against], "--against", ","))
    thresholds = _thresholds(arguments.thresholds)
    how = resampling_of(arguments)
    dataset = dataset_of(arguments)
    with progress_bar("calls") as progress:
        evaluation = evaluate(
            dataset,
            candidate,
            against=against,
            thresholds=thresholds,
            resampling=how,
            store=store_of(arguments),
            jobs=arguments.jobs,
            cluster=arguments.cluster,
            progress=progress,
        )
    if arguments.report is not None:
        from bargein.evaluation.html import write_report

        write_report(evaluation, arguments.report, mistakes=arguments.mistakes)
    if arguments.export is not None:
        _export(dataset, candidate, arguments)
    if arguments.json:
        print_json(evaluation.to_dict())
    else:
        print(render(evaluation), end="")
    return tell_failure(evaluation.results)


def _export(dataset: Dataset, candidate: Candidate, arguments: argparse.Namespace) -> None:
    from bargein.evaluation.turnbench import export

    written = export(dataset, candidate, arguments.export, store=store_of(arguments))
    print(f"bargein: wrote {written} conversations to {arguments.export}", file=sys.stderr)


def tell_failure(results: Results) -> ExitCode:
    """Say on how many windows the backend failed; return the exit code."""
    if results.error is None:
        return ExitCode.OK
    print(
        f"bargein: the backend failed on {results.failed} of {results.windows} windows; the first "
        f"time with {results.error}",
        file=sys.stderr,
    )
    return ExitCode.FAILED


# --- what the arguments mean ----------------------------------------------------------------


def dataset_of(arguments: argparse.Namespace) -> Dataset:
    """Read the labels."""
    return read_dataset(
        arguments.dataset,
        names=_pairs(arguments.map, "--map"),
        where=_pairs(arguments.where, "--where"),
        group_by=arguments.group_by,
        tier=arguments.tier,
        strict=arguments.strict,
    )


def candidate_of(arguments: argparse.Namespace) -> Candidate:
    """Put the judge and its settings together."""
    gate = read_settings(arguments, EchoGateOptions)
    return Candidate(
        backend=read_backend(arguments, "local"),
        options=AnalysisOptions(
            detection=read_settings(arguments, InterruptionOptions),
            tracker=read_settings(arguments, TrackerOptions),
            echo_gate=None if arguments.no_echo_gate else gate,
            playout=read_settings(arguments, PlayoutOptions),
            latency=arguments.latency,
        ),
    )


def store_of(arguments: argparse.Namespace) -> str | None:
    """Return the folder in which passes are kept."""
    if arguments.no_store:
        return None
    return arguments.store or str(default_folder())


def resampling_of(arguments: argparse.Namespace) -> Resampling:
    """Return how the bootstrap draws."""
    if arguments.draws < 1:
        raise OptionError(f"--draws came as {arguments.draws}; expected 1 or more")
    return Resampling(arguments.draws, arguments.seed)


def _pairs(texts: list[str], flag: str, between: str | None = None) -> dict[str, str]:
    """Read NAME=VALUE, once or several times."""
    found = {}
    for text in texts:
        for pair in text.split(between) if between else [text]:
            name, equals, value = pair.partition("=")
            if not equals or not name.strip():
                raise OptionError(f"{flag} came as {text!r}; expected NAME=VALUE")
            found[name.strip()] = value.strip()
    return found


def _thresholds(text: str | None) -> tuple[float, ...]:
    if text is None:
        return SWEEP
    try:
        found = tuple(float(each) for each in text.split(","))
    except ValueError:
        found = (-1.0,)
    if not all(0 <= each <= 1 for each in found):
        raise OptionError(
            f"--thresholds came as {text!r}; expected numbers from 0 to 1, with commas"
        )
    return found


def _check_report(path: str | None) -> None:
    """Find out whether the report can be written before the work begins."""
    if path is None:
        return
    check_folder("--report", path)
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"--report came as {path!r}; expected a file that ends in .html")


@contextlib.contextmanager
def progress_bar(unit: str) -> Iterator[Progress]:
    """Show a bar on a terminal; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise MissingExtraError("evaluating", "evaluate") from error
    tqdm.monitor_interval = 0  # no thread that looks after a bar which moves by itself
    with tqdm(unit=f" {unit}", leave=False) as bar:

        def tell(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield tell
