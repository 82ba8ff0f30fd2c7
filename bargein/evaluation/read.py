"""Reads a dataset, whatever it is: a manifest, a label file, a folder."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from bargein.audio.files import Recording, open_recording
from bargein.errors import AudioFileError, DatasetError

from .collect import Collector
from .dataset import LABELS, Dataset, LabelledCall, LabelledOverlap, Problem
from .folders import is_conversation, read_conversations, read_folder
from .manifest import read_csv, read_json_lines

__all__ = ["check_dataset", "read_dataset"]

_JSON = (".jsonl", ".ndjson", ".json")

END_SLACK = 0.05
"""Seconds that a label may reach past its recording's end: tools round, and codecs cut."""


def read_dataset(
    path: str | os.PathLike[str],
    *,
    names: Mapping[str, str] | None = None,
    where: Mapping[str, str] | None = None,
    group_by: str | None = None,
    tier: str | None = None,
    strict: bool = False,
) -> Dataset:
    """Read labelled calls from ``path``, and check them against their audio.

    A ``.csv`` or ``.jsonl`` file is a manifest; a folder with a ``manifest.csv`` in it is that; of
    other folders every recording with an Audacity (``.txt``), RTTM or TextGrid file beside it is
    read, or every conversation (``speaker_1_audio.wav`` and ``speaker_2_audio.wav``).

    Args:
        names: the user's labels -> ``interruption``, ``backchannel``, ``noise`` or ``ignore``.
        where: only labels whose columns have these values.
        group_by: the column that tells calls apart, over which uncertainty is taken.
        tier: the TextGrids' tier.
        strict: raise at the first problem; :func:`evaluate` does so, too, at what is only found as
            the audio is heard.

    What can't be evaluated is left out, and told in :attr:`Dataset.problems`.

    Raises:
        DatasetError: there is nothing to read, or ``strict`` and a problem.
        OptionError: a name is mapped to what is no label, or no label has a column asked for.
        MissingExtraError: soundfile isn't installed.
    """
    into = Collector(names=names, where=where, group_by=group_by)
    source = Path(path)
    try:
        _read(source, into, tier)
    except OSError as error:
        raise DatasetError(f"{path}: can't be read: {error.strerror or error}") from error
    except UnicodeError as error:
        raise DatasetError(f"{path}: isn't text in UTF-8: {error}") from error
    return check_dataset(into.dataset(str(path)), strict=strict)


def _read(source: Path, into: Collector, tier: str | None) -> None:
    ending = source.suffix.lower()
    if source.is_dir():
        inner = source / "manifest.csv"
        folders = [source, *sorted(p for p in source.iterdir() if p.is_dir())]
        conversations = [folder for folder in folders if is_conversation(folder)]
        if inner.is_file():
            read_csv(inner, into)
        elif conversations:
            read_conversations(conversations, into)
        else:
            read_folder(source, into, tier=tier)
    elif ending == ".csv":
        read_csv(source, into)
    elif ending in _JSON:
        read_json_lines(source, into)
    elif not source.exists():
        raise DatasetError(f"{source}: no such file or folder")
    else:
        raise DatasetError(
            f"{source}: expected a manifest (.csv or .jsonl), or a folder of recordings with "
            "labels beside them"
        )


def check_dataset(dataset: Dataset, *, strict: bool = False) -> Dataset:
    """Leave out what doesn't fit the audio, and say what was left out.

    Opens each audio file's header. Raises :class:`~bargein.errors.DatasetError` if nothing is left,
    or for the first problem if ``strict``.
    """
    problems = list(dataset.problems)
    headers: dict[str, Recording | AudioFileError] = {}
    calls = []
    for call in dataset.calls:
        checked, found = _check_call(call, headers)
        problems += found
        if checked is not None:
            calls.append(checked)
    result = attrs.evolve(dataset, calls=tuple(calls), problems=tuple(problems))
    # As they stand in the files: some are found as a line is read, others beside the audio.
    problems.sort(key=lambda problem: (problem.file, problem.line or math.inf))
    for label in LABELS:
        if calls and not result.count(label):
            problems.append(Problem(dataset.name, None, f"has no {label}: nothing is said of it"))
    if problems and strict:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise DatasetError(f"{problems[0]}{more}")
    if not result.overlaps:
        why = "; ".join(str(problem) for problem in problems[:3]) or _no_label(result)
        raise DatasetError(f"{dataset.name}: nothing to evaluate: {why}")
    return attrs.evolve(result, problems=tuple(problems), strict=strict)


def _no_label(dataset: Dataset) -> str:
    """Say why nothing is left, though nothing is wrong."""
    if dataset.filtered or dataset.ignored:
        return f"{dataset.filtered} labels were filtered and {dataset.ignored} ignored"
    return "it has no label"


def _check_call(
    call: LabelledCall, headers: dict[str, Recording | AudioFileError]
) -> tuple[LabelledCall | None, list[Problem]]:
    """Check a recording's files and channels, then its labels."""
    durations = []
    for track in (call.caller, call.agent):
        if track is None:
            continue
        header = _header(track.path, headers)
        if isinstance(header, AudioFileError):
            return None, [overlap.problem(str(header)) for overlap in call.overlaps]
        if track is call.agent and call.agent_assumed and header.num_channels == 1:
            call = attrs.evolve(call, agent=None)
            continue
        if track.channel >= header.num_channels:
            who = "caller" if track is call.caller else "agent"
            what = (
                f"the {who}'s channel is {track.channel + 1}; {track.path} has "
                f"{header.num_channels}, counted from 1"
            )
            return None, [overlap.problem(what) for overlap in call.overlaps]
        durations.append(header.duration)
    if call.agent is not None and call.agent == call.caller:
        what = f"the caller and the agent are the same channel, {call.caller.channel + 1}"
        return None, [overlap.problem(what) for overlap in call.overlaps]
    overlaps, problems = _check_overlaps(call, durations[0])
    kept = attrs.evolve(call, overlaps=tuple(overlaps)) if overlaps else None
    return kept, problems


def _header(
    path: str, headers: dict[str, Recording | AudioFileError]
) -> Recording | AudioFileError:
    if path not in headers:
        try:
            with open_recording(path) as recording:
                headers[path] = recording
        except AudioFileError as error:
            headers[path] = error
    return headers[path]


def _check_overlaps(
    call: LabelledCall, duration: float
) -> tuple[list[LabelledOverlap], list[Problem]]:
    kept: list[LabelledOverlap] = []
    problems = []
    for overlap in call.overlaps:
        what = _misfit(overlap, call, duration)
        if what is None and kept and overlap.start < kept[-1].end:
            before = kept[-1]
            place = f"{before.file}:{before.line}"
            what = (
                f"begins at {overlap.start:g} s, before the {before.label} ends that lasts until "
                f"{before.end:g} s ({place})"
            )
        if what is None:
            kept.append(overlap)
        else:
            problems.append(overlap.problem(what))
    return kept, problems


def _misfit(overlap: LabelledOverlap, call: LabelledCall, duration: float) -> str | None:
    """Say why a label can't be of this recording."""
    if overlap.start < 0:
        return f"begins at {overlap.start:g} s, before the recording"
    if overlap.end <= overlap.start:
        return f"ends at {overlap.end:g} s, not after its start at {overlap.start:g} s"
    if overlap.end > duration + END_SLACK:
        return f"ends at {overlap.end:g} s; {call.caller.path} ends at {duration:.2f} s"
    if call.agent_start is not None and overlap.end <= call.agent_start:
        return f"ends at {overlap.end:g} s; the agent starts at {call.agent_start:g} s"
    return None
