"""The picture: the same each time, and readable for short calls and long ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from bargein.analysis import AnalysedOverlap, Analysis, AnalysisOptions, Answer, Turn
from bargein.analysis.plot import check_plot, draw, save_plot
from bargein.core import InterruptionOptions, Outcome, OverlappingSpeechEvent, Reason
from bargein.errors import OptionError, StateError


def overlap(
    start: float, outcome: Outcome, *, answers: int = 3, length: float = 0.8
) -> AnalysedOverlap:
    decided = start + 0.6
    return AnalysedOverlap(
        start=start,
        end=start + length,
        event=OverlappingSpeechEvent(
            outcome=outcome,
            reason=Reason.TIMEOUT if outcome is Outcome.INCONCLUSIVE else None,
            is_interruption=outcome is Outcome.INTERRUPTION,
            overlap_started_at=start,
            created_at=decided,
            probability=0.6,
        ),
        answers=tuple(Answer(start + at, start + at, at) for at in np.linspace(0.2, 0.6, answers)),
    )


def analysis(duration: float, *overlaps: AnalysedOverlap, **changes: Any) -> Analysis:
    columns = min(24_000, int(duration * 100))
    wave = (np.sin(np.arange(columns)) * 9000).astype(np.int16)
    side = {"file": "a/call.wav", "channel": 1, "sample_rate": 8000, "duration": duration}
    made = Analysis(
        recording={"duration": duration, "sample_rate": 8000, "caller": side, "agent": side},
        backend={"model": "judge", "provider": "custom", "default_threshold": 0.5},
        options=AnalysisOptions(),
        turns=(Turn(0.1, duration / 2), Turn(duration * 0.6, duration)),
        overlaps=overlaps,
        windows={"sent": 3},
        waveforms={"caller": (-abs(wave), abs(wave)), "agent": (-abs(wave), abs(wave))},
    )
    return attrs.evolve(made, **changes)


def texts(figure: Any) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


pytestmark = pytest.mark.usefixtures("_fonts")

ALL = tuple(overlap(at, outcome) for at, outcome in zip((5, 20, 40), Outcome, strict=True))


def test_three_lanes_name_each_overlap_and_its_delay() -> None:
    figure = draw(analysis(60.0, *ALL))

    assert len(figure.axes) == 3
    assert sorted(texts(figure)) == sorted(
        ["agent", "caller", "probability", *(o.value for o in Outcome), *["0.60 s"] * 3]
    )
    title, figures, legend = (text.get_text() for text in figure.texts)
    assert title == "call.wav"
    assert figures == "1:00 · 3 overlaps · judge, threshold 0.5"
    assert "the verdict" in legend
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries == ["interruption (1)", "backchannel (1)", "inconclusive (1)"]


def test_each_outcome_has_a_colour_and_a_mark_of_its_own() -> None:
    _, _, lane = draw(analysis(60.0, *ALL)).axes

    marked = [line for line in lane.lines if line.get_marker() not in ("None", "")]
    assert [line.get_xdata()[0] for line in marked] == [5.6, 20.6, 40.6]
    assert len({line.get_marker() for line in marked}) == 3
    assert len({line.get_color() for line in marked}) == 3


def test_texts_that_have_no_room_are_left_out() -> None:
    crowd = [overlap(at, Outcome.INTERRUPTION) for at in np.arange(0.0, 8.0, 0.9)]
    figure = draw(analysis(60.0, *crowd))

    names = [text for axes in figure.axes for text in axes.texts if "int" in text.get_text()]
    assert 2 <= len(names) < len(crowd)
    boxes = [text.get_window_extent() for text in names]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_text_at_the_end_stays_inside() -> None:
    figure = draw(analysis(60.0, overlap(59.2, Outcome.BACKCHANNEL)))

    (name,) = (text for text in figure.axes[1].texts if text.get_text() == "backchannel")
    assert name.get_window_extent().x1 <= figure.axes[1].bbox.x1 + 1


@pytest.mark.parametrize(
    ("seconds", "rows", "length"),
    [(89, 1, 89), (95, 2, 60), (600, 10, 60), (3600, 12, 300), (7200, 12, 600), (86_400, 12, 7200)],
)
def test_long_calls_take_several_rows(seconds: float, rows: int, length: float) -> None:
    figure = draw(analysis(seconds, *ALL, overlap(seconds - 1, Outcome.INTERRUPTION)))

    assert len(figure.axes) == 3 * rows
    for row in range(rows):
        for axes in figure.axes[3 * row : 3 * row + 3]:
            assert axes.get_xlim() == (row * length, (row + 1) * length)
    # An overlap of a second is still seen where the row is two hours long.
    widths = [
        patch.get_window_extent().width
        for patch in figure.axes[1].patches
        if patch.get_facecolor()[:3] != (238 / 255, 240 / 255, 243 / 255)
    ]
    assert len(widths) >= 1
    assert min(widths) * 1.5 > 2  # pixels of the PNG, which has 150 dots to an inch, not 100


def test_times_are_read_as_clocks() -> None:
    figure = draw(analysis(7200))
    figure.canvas.draw()

    labels = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert "1:55:00" in labels


def test_without_overlaps_threshold_or_answers() -> None:
    decides = {"model": "judge", "provider": "custom", "default_threshold": None}
    silent = overlap(1.0, Outcome.INCONCLUSIVE, answers=0)
    figure = draw(analysis(10.0, silent, backend=decides))

    assert "threshold" not in figure.texts[1].get_text()
    assert figure.texts[1].get_text() == "0:10 · 1 overlap · judge"
    assert len(draw(analysis(0.01)).axes) == 3


def test_an_option_moves_the_threshold() -> None:
    options = AnalysisOptions(detection=InterruptionOptions(threshold=0.8))
    lane = draw(analysis(10.0, options=options)).axes[2]

    assert list(lane.lines[0].get_ydata()) == [0.8, 0.8]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".PNG"])
def test_the_same_analysis_is_the_same_file(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        save_plot(analysis(60.0, *ALL), path)

    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert b"matplotlib" not in first.lower()[:300] or suffix == ".svg"  # no version, no date


@pytest.fixture
def leftovers() -> Iterator[dict[str, Any]]:
    import matplotlib

    before = dict(matplotlib.rcParams)
    yield before
    assert dict(matplotlib.rcParams) == before


@pytest.mark.usefixtures("leftovers")
def test_a_users_own_matplotlib_is_left_alone(tmp_path: Path) -> None:
    save_plot(analysis(10.0, *ALL), tmp_path / "call.svg")


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"'call.gif'; expected one that ends in .png or .svg"):
        check_plot("call.gif")
    with pytest.raises(StateError, match="without waveforms"):
        save_plot(analysis(10.0, waveforms={}), tmp_path / "call.png")
