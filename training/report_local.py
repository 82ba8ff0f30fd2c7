"""Prints how well the local backend judges the labelled set.

    python -m training.report_local SET --split report

SET is the folder that ``training.labelled_set`` filled. Every clip is played to the machine at the
library's defaults (``replay.py``), once with the windows as a stream cuts them and once with
windows that don't say where they lie, as a server gets them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from bargein.backends.local import LocalBackend
from training.replay import Heard, LabelledClip, read_manifest, replay
from training.voices import SPLITS

TARGETS = {
    "interruption": "at least .88",
    "backchannel": "at most .70",
    "backchannel, 0.3 s": "at most .10",
    "noise": "at most .25",
}
"""What the project promises of the half to report on."""

Group = tuple[str, Callable[[LabelledClip], bool]]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path, help="the folder that training.labelled_set filled")
    parser.add_argument("--split", choices=SPLITS, default="report")
    parser.add_argument("--mistakes", action="store_true", help="list the clips judged wrongly")
    arguments = parser.parse_args()
    clips = read_manifest(arguments.set, arguments.split)
    known, bare = play(clips), play(clips, bare=True)
    print(f"{len(clips)} clips, half: {arguments.split}\n")
    print(table(known, bare, groups(clips)))
    print(f"\n{delays(known)}\n{delays(bare)} (without positions)")
    print(f"before the sound (echo, an earlier sound): {strays(known)}; {strays(bare)}")
    if arguments.mistakes:
        for heard in known:
            if (heard.decided is not None) != (heard.clip.label == "interruption"):
                print(heard.clip.path.name, heard.clip.condition, *sorted(heard.clip.tags))


def play(clips: Iterable[LabelledClip], *, bare: bool = False) -> list[Heard]:
    """Judge every clip by a session of its own."""
    backend = LocalBackend()
    threshold = backend.default_threshold
    return [
        replay(clip, backend.open_session(None), default_threshold=threshold, bare=bare)
        for clip in clips
    ]


def groups(clips: Sequence[LabelledClip]) -> list[Group]:
    """The rows: what is promised, then every origin, tag, condition and kind that there is."""
    rows: list[Group] = []
    labels = ("interruption", "backchannel", "noise")
    for label in labels:
        rows.append((label, lambda c, label=label: c.label == label))  # type: ignore[misc]
        if label == "backchannel":
            rows.append(("backchannel, 0.3 s", lambda c: "brief" in c.tags))
    for label in labels:
        own = [clip for clip in clips if clip.label == label]
        for field in ("origin", "condition", "language", "kind"):
            for value in sorted({getattr(clip, field) for clip in own}):
                rows.append((f"{label}: {field} {value or 'none'}", _same(label, field, value)))
        for tag in sorted({tag for clip in own for tag in clip.tags} - {"brief"}):
            rows.append((f"{label}: {tag}", _tagged(label, tag)))
    return rows


def _same(label: str, field: str, value: str) -> Callable[[LabelledClip], bool]:
    return lambda clip: clip.label == label and getattr(clip, field) == value


def _tagged(label: str, tag: str) -> Callable[[LabelledClip], bool]:
    return lambda clip: clip.label == label and tag in clip.tags


def table(known: list[Heard], bare: list[Heard], rows: list[Group]) -> str:
    """Share of each group taken for an interruption, as Markdown."""
    lines = [
        "| taken for an interruption | clips | with positions | without | promised |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, belongs in rows:
        some = [heard.decided is not None for heard in known if belongs(heard.clip)]
        others = [heard.decided is not None for heard in bare if belongs(heard.clip)]
        if some:
            share, other = f"{np.mean(some):.3f}", f"{np.mean(others):.3f}"
            promised = TARGETS.get(name, "")
            lines.append(f"| {name} | {len(some)} | {share} | {other} | {promised} |")
    return "\n".join(lines)


def delays(every: list[Heard]) -> str:
    """How long after the acoustic onset interruptions were decided."""
    seconds = [
        heard.decided - heard.clip.onset
        for heard in every
        if heard.decided is not None and heard.clip.label == "interruption"
    ]
    ten, half, ninety = (1000 * np.quantile(seconds, q) for q in (0.1, 0.5, 0.9))
    return (
        f"delay from the onset: median {half:.0f} ms, a tenth below {ten:.0f}, above {ninety:.0f}"
    )


def strays(every: list[Heard]) -> int:
    """Clips in which something before the sound was taken for an interruption."""
    return sum(heard.stray for heard in every)


if __name__ == "__main__":
    main()
