"""Writes the model card from the figures and the licences.

python -m training.card figures.json SOURCES --into docs/model-card.md
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.train_lexicon import MORE_INTERRUPTIONS, TAUGHT_BACKCHANNELS

_TARGETS = (
    ("recall on interruptions, balanced", "interruption", "≥ .95"),
    ("false on backchannels", "backchannel", "≤ .10"),
    ("false on noise, TV, music, echo", "noise", "≤ .05"),
    ("real speech alone: recall", "interruption, real", "≥ .93"),
    ("real speech alone: false on backchannels", "backchannel, real", "≤ .15"),
    ("u-law and echo at -20 dB: recall", "interruption, u-law and echo at -20 dB", "≥ .93"),
    ("u-law and echo at -20 dB: false", "backchannel, u-law and echo at -20 dB", "≤ .15"),
)


def table(head: Sequence[str], body: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in body]
    return "\n".join(lines)


def number(value: float) -> str:
    """``.953``, as tables show shares."""
    return f"{value:.3f}".replace("0.", ".", 1) if value < 1 else f"{value:.3f}"


def share(row: Mapping[str, Any]) -> str:
    """``.953 (.930 to .970)``."""
    low, high = row["interval"]
    return f"{number(row['share'])} ({number(low)} to {number(high)})"


def milliseconds(seconds: float) -> str:
    """Whole milliseconds."""
    return f"{1000 * seconds:.0f}"


def targets(found: Mapping[str, Any]) -> str:
    """What was aimed at, and what came."""
    balanced, old = found["points"]["balanced"], found["sustained"]
    before = found["before"]
    body = [
        (
            name,
            target,
            share(balanced["rows"][row]),
            balanced["rows"][row]["n"],
            number(before["rows"][row]["share"]),
            number(old["rows"][row]["share"]),
        )
        for name, row, target in _TARGETS
    ]
    delay, was = balanced["delay"]["median"], old["delay"]["median"]
    count = balanced["rows"]["interruption"]["n"]
    earlier = before["delay"]["median"]
    body.append(
        (
            *("median delay from onset, ms", "≤ 400", milliseconds(delay), count),
            *(milliseconds(earlier), milliseconds(was)),
        )
    )
    head = (
        *("figure", "aimed at", "learned, balanced (95 %)", "n", "the weights before"),
        "sustained speech",
    )
    return table(head, body)


def delays(found: Mapping[str, Any]) -> str:
    """Where the time goes between the onset and the verdict."""
    body = [
        (step["step"], *(milliseconds(step[q]) for q in ("tenth", "median", "ninety")))
        for step in found["delays"]["steps"]
    ]
    return table(("ms from the acoustic onset until", "a tenth below", "median", "above"), body)


def bare(found: Mapping[str, Any]) -> str:
    """Windows that don't say where they lie, row by row."""
    rows, known = found["without positions"]["rows"], found["points"]["balanced"]["rows"]
    body = [
        (name, rows[name]["n"], share(rows[name]), number(known[name]["share"]))
        for name in rows
        if ":" not in name
    ]
    head = ("taken for an interruption", "n", "without positions", "with (all clips)")
    return table(head, body)


def validation(found: Mapping[str, Any]) -> str:
    """What each threshold gave on validation, where it was chosen."""
    body = [
        (
            threshold,
            *(number(point[name]) for name in ("recall", "backchannels", "noise")),
            milliseconds(point["median delay"] * 0.032),
        )
        for threshold, point in found["about"]["validation"].items()
    ]
    head = (
        *("threshold", "recall", "false on backchannels", "false on noise"),
        "median, ms from the VAD's notice",
    )
    return table(head, body)


def points(found: Mapping[str, Any]) -> str:
    """The operating points beside sustained speech."""
    judges = dict(found["points"])
    judges |= {"balanced, windows without positions": found["without positions"]}
    judges |= {"sustained speech": found["sustained"]}
    body = [
        (
            name,
            point["threshold"],
            *(share(point["rows"][label]) for label in ("interruption", "backchannel", "noise")),
            *(milliseconds(point["delay"][q]) for q in ("tenth", "median", "ninety")),
        )
        for name, point in judges.items()
    ]
    head = (
        *("judge", "threshold", "recall", "false on backchannels", "false on noise"),
        *("delay, ms: a tenth below", "median", "a tenth above"),
    )
    return table(head, body)


def all_rows(found: Mapping[str, Any]) -> str:
    """Every row that there are clips for."""
    balanced, old = found["points"]["balanced"]["rows"], found["sustained"]["rows"]
    body = [
        (name, row["n"], share(row), number(old[name]["share"])) for name, row in balanced.items()
    ]
    return table(("taken for an interruption", "n", "learned, balanced", "sustained"), body)


def curve(points_of: Sequence[Mapping[str, float]]) -> str:
    """Threshold by threshold."""
    body = [
        (
            point["threshold"],
            *(number(point[label]) for label in ("interruption", "backchannel", "noise")),
            milliseconds(point["median delay"]),
        )
        for point in points_of
    ]
    head = ("threshold", "recall", "false on backchannels", "false on noise", "median delay, ms")
    return table(head, body)


def moments(found: Mapping[str, Any]) -> str:
    """One decision so long after the onset."""
    body = []
    earlier, sustained = found["before"]["moments"], found["sustained moments"]
    for ours, old, theirs in zip(found["moments"], earlier, sustained, strict=True):
        body.append(
            (
                milliseconds(ours["seconds"]),
                *(
                    number(ours[k])
                    for k in ("auc", "precision at recall 0.95", "precision at recall 1")
                ),
                number(old["auc"]),
                *(number(theirs[k]) for k in ("auc", "precision at recall 0.95")),
            )
        )
    head = (
        *("ms after the onset", "area under the curve", "precision at recall .95", "at 1.0"),
        *("the weights before: area", "sustained: area", "sustained: precision at .95"),
    )
    return table(head, body)


def equal(found: Mapping[str, Any]) -> str:
    """False positives of both judges at the same recall."""
    before = found["before"]["at equal recall"]
    body = [
        (
            number(row["recall"]),
            *(
                number(row[f"{who} {what}"])
                for what in ("backchannel", "noise")
                for who in ("learned", "sustained")
            ),
            number(old["learned backchannel"]),
        )
        for row, old in zip(found["at equal recall"], before, strict=True)
    ]
    head = (
        *("recall", "backchannels: learned", "sustained", "noise: learned", "sustained"),
        "backchannels: the weights before",
    )
    return table(head, body)


def reliability(found: Mapping[str, Any]) -> str:
    """Estimates against what came true."""
    body = [
        (
            f"{row['from']:.1f} to {row['from'] + 0.1:.1f}",
            row["n"],
            number(row["estimate"]),
            number(row["interruptions"]),
        )
        for row in found["reliability"]
    ]
    return table(("highest estimate", "overlaps", "mean", "interruptions among them"), body)


def mistakes(found: Mapping[str, Any]) -> str:
    """The surest mistakes."""
    body = [
        (
            row["label"],
            row["kind"],
            row["origin"],
            row["language"] or "–",
            row["condition"],
            number(row["estimate"]),
            f"`{row['clip']}`",
        )
        for row in found["mistakes"]
    ]
    return table(("truly", "kind", "origin", "language", "line", "estimate", "clip"), body)


def licences(sources: Path) -> str:
    """What came from whom."""
    records = json.loads((sources / "licences.json").read_text("utf-8"))
    body = [
        (f"`{r['name']}` {r['version']}", r["licence"], r["credit"], r["purpose"]) for r in records
    ]
    return table(("package", "licence", "made by", "used as"), body)


def _languages() -> str:
    spoken = {phrase.language for phrase in (*TAUGHT_BACKCHANNELS, *MORE_INTERRUPTIONS)}
    return "languages: " + ", ".join(sorted(spoken))


def card(found: Mapping[str, Any], sources: Path) -> str:
    """The whole page."""
    text = (Path(__file__).parent / "card.md").read_text("utf-8")
    parts = {
        "weights": found["weights"],
        "clips": str(found["clips"]),
        "languages": _languages(),
        "targets": targets(found),
        "points": points(found),
        "rows": all_rows(found),
        "curve": curve(found["curve"]),
        "sustained_curve": curve(found["sustained curve"]),
        "equal": equal(found),
        "moments": moments(found),
        "reliability": reliability(found),
        "mistakes": mistakes(found),
        "bare": bare(found),
        "delays": delays(found),
        "before": found["before"]["weights"][:12],
        "validation": validation(found),
        "width": str(found["about"]["width"]),
        "networks": str(found["about"]["networks"]),
        "voices": str(found["points"]["balanced"]["rows"]["interruption"]["voices"]),
        "licences": licences(sources),
        "strays": str(found["points"]["balanced"]["strays"]),
        "sustained_strays": str(found["sustained"]["strays"]),
    }
    for name, part in parts.items():
        text = text.replace("{{" + name + "}}", part)
    return text


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures", type=Path)
    parser.add_argument("sources", type=Path, help="the folder that training.fetch filled")
    parser.add_argument("--into", type=Path, required=True)
    arguments = parser.parse_args()
    found = json.loads(arguments.figures.read_text("utf-8"))
    arguments.into.write_text(card(found, arguments.sources), encoding="utf-8")


if __name__ == "__main__":
    main()
