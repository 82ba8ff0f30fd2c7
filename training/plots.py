"""Draws the model card's pictures from the figures.

python -m training.plots training/figures.json docs/images
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

LEARNED, SUSTAINED = "#1f6fb2", "#c2562d"
_SIZE = (7.2, 3.4)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _both(found: Mapping[str, Any]) -> list[tuple[str, str, Sequence[Mapping[str, float]]]]:
    return [
        ("learned", LEARNED, found["fine curve"]),
        ("sustained speech", SUSTAINED, found["fine sustained curve"]),
    ]


def trade_off(found: Mapping[str, Any], path: Path) -> None:
    """Recall and delay against false alarms on backchannels, with the named points."""
    figure, (left, right) = plt.subplots(1, 2, figsize=_SIZE)
    for name, colour, points in _both(found):
        false = [100 * point["backchannel"] for point in points]
        left.plot(false, [100 * point["interruption"] for point in points], color=colour)
        right.plot(false, [1000 * p["median delay"] for p in points], color=colour, label=name)
    for name, point in found["points"].items():
        rows = point["rows"]
        at = 100 * rows["backchannel"]["share"]
        for axis, value in (
            (left, 100 * rows["interruption"]["share"]),
            (right, 1000 * point["delay"]["median"]),
        ):
            axis.plot([at], [value], "o", color=LEARNED)
            axis.annotate(name, (at, value), xytext=(5, -10), textcoords="offset points", size=8)
    left.set(xlim=(0, 60), ylim=(70, 101), ylabel="recall, %")
    right.set(xlim=(0, 60), ylim=(0, 1400), ylabel="median delay, ms")
    right.legend(frameon=False, fontsize=8)
    for axis in (left, right):
        axis.set_xlabel("false alarms on backchannels, %")
        axis.grid(alpha=0.3)
    _save(figure, path)


def reliability(found: Mapping[str, Any], path: Path) -> None:
    """How often an estimate came true."""
    figure, axis = plt.subplots(figsize=(3.8, 3.6))
    points = found["reliability"]
    axis.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    axis.plot(
        [p["estimate"] for p in points], [p["interruptions"] for p in points], "o-", color=LEARNED
    )
    for point in points:
        axis.annotate(
            str(point["n"]),
            (point["estimate"], point["interruptions"]),
            xytext=(5, -9),
            textcoords="offset points",
            size=7,
        )
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="highest estimate of an overlap")
    axis.set_ylabel("interruptions among them")
    axis.grid(alpha=0.3)
    _save(figure, path)


def moments(found: Mapping[str, Any], path: Path) -> None:
    """One decision so long after the onset."""
    figure, axis = plt.subplots(figsize=_SIZE)
    for name, colour, key in (
        ("learned", LEARNED, "moments"),
        ("sustained speech", SUSTAINED, "sustained moments"),
    ):
        points = found[key]
        at = [1000 * point["seconds"] for point in points]
        axis.plot(at, [p["auc"] for p in points], "o-", color=colour, label=f"{name}: area")
        axis.plot(
            at,
            [p["precision at recall 0.95"] for p in points],
            "s--",
            color=colour,
            label=f"{name}: precision at recall .95",
        )
    axis.set(xlabel="one decision, ms after the acoustic onset", ylim=(0.25, 1.01))
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=8)
    _save(figure, path)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures", type=Path)
    parser.add_argument("into", type=Path)
    arguments = parser.parse_args()
    found = json.loads(arguments.figures.read_text("utf-8"))
    trade_off(found, arguments.into / "judge-trade-off.png")
    reliability(found, arguments.into / "judge-reliability.png")
    moments(found, arguments.into / "judge-moments.png")


if __name__ == "__main__":
    main()
