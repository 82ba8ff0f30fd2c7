"""Folders: recordings with label files beside them, and two-channel conversations (TurnBench's).

Which of the two a folder holds is seen by its first files.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from .collect import Collector, Row
from .dataset import IGNORED, Problem
from .formats import PARSERS, RawLabel, parse_srt, parse_textgrid

__all__ = ["AUDIO_ENDINGS", "CONVERSATION_LABELS", "read_conversations", "read_folder"]

AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus")

_BESIDE = (".txt", ".rttm", ".textgrid")

CONVERSATION_LABELS = {
    "floor-taking competitive interruption": "interruption",
    "floor-taking cooperative interruption": "interruption",
    "acknowledgement backchannel": "backchannel",
    "continuer backchannel": "backchannel",
    "reaction backchannel": "backchannel",
    "non-speech noise": "noise",
    "channel bleed": "noise",
    "laughter": IGNORED,
    "speech, non-linguistic": IGNORED,
    "non-floor taking competitive interruption": IGNORED,
    "non-floor taking cooperative interruption": IGNORED,
    "normal turn": IGNORED,
    "strong floor hold": IGNORED,
    "bounded response": IGNORED,
    "overlap": IGNORED,
}
"""TurnBench's labels in ours. What takes the floor interrupts; backchannels and what isn't speech
don't; an attempt that doesn't take the floor is neither, as there."""

_ANNOTATORS = ("a", "b", "c")
_TOLERANCE = 0.2
"""Seconds that two annotators may lie apart at either end and mean the same, as in TurnBench."""


def read_folder(folder: Path, into: Collector, *, tier: str | None = None) -> None:
    """Read every recording of a folder (and of those below it) that has labels beside it.

    A label file has the recording's name and another ending; an RTTM file that has not may speak
    of several recordings by name.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    recordings: dict[Path, Path] = {}
    for path in filter(_is_audio, files):
        first = recordings.setdefault(path.with_suffix(""), path)
        if first != path:
            what = f"isn't read: {first.name} beside it has the same name"
            into.problems.append(Problem(str(path), None, what))
    spoken_of = set()
    for path in files:
        if path.suffix.lower() in _BESIDE:
            spoken_of |= _read_labels(path, recordings, into, tier)
    for recording in recordings.values():
        if recording not in spoken_of:
            into.problems.append(Problem(str(recording), None, "has no labels beside it"))


def _read_labels(
    path: Path, recordings: dict[Path, Path], into: Collector, tier: str | None
) -> set[Path]:
    """Read a label file; return the recordings that it speaks of, however badly."""
    recording = recordings.get(path.with_suffix(""))
    labels, problems = _parse(path, tier)
    if recording is None and path.suffix.lower() != ".rttm":
        if problems and path.suffix.lower() == ".txt":
            return set()  # some other text, such as a readme
        if labels or problems:
            what = "there is no recording of this name beside it"
            into.problems.append(Problem(str(path), None, what))
        return set()
    into.problems += problems
    spoken_of = set() if recording is None else {recording}
    for label in labels:
        own = recording or recordings.get(path.parent / label.recording)
        if own is None:
            what = f"names the recording {label.recording!r}, which isn't beside it"
            into.problems.append(Problem(str(path), label.line, what))
            continue
        spoken_of.add(own)
        into.take(_row(label, own, path))
    if not labels and not problems:
        into.problems.append(Problem(str(path), None, "has no labels"))
    return spoken_of


def _is_audio(path: Path) -> bool:
    return path.suffix.lower() in AUDIO_ENDINGS


def _parse(path: Path, tier: str | None) -> tuple[list[RawLabel], list[Problem]]:
    try:
        if path.suffix.lower() == ".textgrid":
            return parse_textgrid(path, tier)
        return PARSERS[path.suffix.lower()](path)
    except (OSError, UnicodeError) as error:
        return [], [Problem(str(path), None, f"can't be read: {error}")]


def _row(label: RawLabel, recording: Path, file: Path) -> Row:
    return Row(
        audio=str(recording),
        caller_channel=label.channel,
        start=label.start,
        end=label.end,
        text=label.text,
        file=str(file),
        line=label.line,
        tags={"label": label.text},
    )


# --- conversations --------------------------------------------------------------------------


def is_conversation(folder: Path) -> bool:
    """Tell whether a folder holds one conversation: a recording for each of two speakers."""
    return all(_speaker_audio(folder, speaker) is not None for speaker in (1, 2))


def _speaker_audio(folder: Path, speaker: int) -> Path | None:
    names = (folder / f"speaker_{speaker}_audio{ending}" for ending in AUDIO_ENDINGS)
    return next((path for path in names if path.is_file()), None)


def read_conversations(folders: Sequence[Path], into: Collector) -> None:
    """Read conversations of two speakers, each in turn as the caller whom the other talks to.

    A folder is a conversation, and its name the call: ``speaker_1_audio.wav`` and ``speaker_2_…``,
    and for each speaker the labels of up to three people in ``speaker_1_annotation_a.srt``, ``_b``
    and ``_c``. A label counts where most of them agree on it, within 0.2 s at both ends; one on
    which they don't is ignored, and counted.
    """
    for folder in folders:
        for speaker in (1, 2):
            _read_speaker(folder, speaker, into)


def _read_speaker(folder: Path, speaker: int, into: Collector) -> None:
    audio, other = _speaker_audio(folder, speaker), _speaker_audio(folder, 3 - speaker)
    assert audio is not None  # is_conversation() has looked
    assert other is not None
    tracks = []
    for annotator in _ANNOTATORS:
        path = folder / f"speaker_{speaker}_annotation_{annotator}.srt"
        if path.is_file():
            labels, problems = _parse_track(path)
            into.problems += problems
            tracks.append((path, [_known(label) for label in labels]))
    if not tracks:
        what = f"has no speaker_{speaker}_annotation_a.srt (nor _b, nor _c)"
        into.problems.append(Problem(str(folder), None, what))
    for path, label in _agreed(tracks):
        row = _row(label, audio, path)
        call = folder.name
        into.take(attrs.evolve(row, agent_audio=str(other), call=call, tags={"call": call}))


def _parse_track(path: Path) -> tuple[list[RawLabel], list[Problem]]:
    try:
        return parse_srt(path)
    except (OSError, UnicodeError) as error:
        return [], [Problem(str(path), None, f"can't be read: {error}")]


def _known(label: RawLabel) -> RawLabel:
    """Put a label into our words; what nobody knows stays as it is."""
    word = CONVERSATION_LABELS.get(label.text.lower(), label.text)
    return attrs.evolve(label, text=word)


def _agreed(tracks: list[tuple[Path, list[RawLabel]]]) -> Iterator[tuple[Path, RawLabel]]:
    """Give the labels that most annotators agree on, at the median of their times; what they
    don't agree on is to be ignored."""
    needed = len(tracks) // 2 + 1
    taken: Counter[int] = Counter()
    for at, (path, labels) in enumerate(tracks):
        for label in labels:
            if taken[id(label)]:
                continue
            same = [label]
            for _, others in tracks[at + 1 :]:
                same += [o for o in others if not taken[id(o)] and _agree(label, o)][:1]
            if len(same) < needed:
                yield path, attrs.evolve(label, text=IGNORED)
                continue
            taken.update(id(each) for each in same)
            start = statistics.median(each.start for each in same)
            end = statistics.median(each.end for each in same)
            yield path, attrs.evolve(label, start=start, end=end)


def _agree(one: RawLabel, other: RawLabel) -> bool:
    return (
        one.text.lower() == other.text.lower()
        and abs(one.start - other.start) <= _TOLERANCE
        and abs(one.end - other.end) <= _TOLERANCE
    )
