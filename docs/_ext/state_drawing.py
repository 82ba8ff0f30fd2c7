"""A Sphinx directive that draws the interruption machine's states from the code itself.

``state-drawing`` is a picture (inline SVG) of the states and of the inputs that lead from one to
another. Where things stand in it is decided here; what leads where is read from the table, and the
build fails when an arrow of the one has no place in the other.
"""

from __future__ import annotations

from collections import defaultdict
from html import escape
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.parsers.rst import Directive

from bargein.core.states import TABLE, State

if TYPE_CHECKING:
    from sphinx.application import Sphinx

WIDTH, HEIGHT = 960, 560  # units of the drawing
BOX = (104, 44)  # a state's box
LINE = 15  # between two lines of a label

CENTRES = {
    State.SILENT: (70, 270),
    State.SPEAKING: (350, 270),
    State.OPEN: (650, 130),
    State.GRACE: (650, 410),
    State.DRAINING: (890, 270),
    State.ENDED: (890, 520),
}

# For each arrow: the path, and where its label is centred.
ARROWS: dict[tuple[State, State], tuple[str, tuple[int, int]]] = {
    (State.SILENT, State.SPEAKING): ("M122,258 H298", (210, 250)),
    (State.SPEAKING, State.SILENT): ("M298,284 H122", (210, 300)),
    (State.SPEAKING, State.OPEN): ("M380,248 Q430,150 598,120", (440, 140)),
    (State.OPEN, State.SPEAKING): ("M610,152 Q520,240 402,262", (505, 206)),
    (State.OPEN, State.SILENT): ("M625,108 C500,10 150,20 75,248", (270, 62)),
    (State.OPEN, State.GRACE): ("M640,152 V388", (592, 345)),
    (State.OPEN, State.DRAINING): ("M702,130 Q850,140 885,248", (826, 158)),
    (State.GRACE, State.OPEN): ("M668,388 V152", (740, 265)),
    (State.GRACE, State.SPEAKING): ("M598,405 Q450,380 370,292", (470, 372)),
    (State.GRACE, State.SILENT): ("M598,424 C450,480 130,440 70,292", (250, 440)),
    (State.GRACE, State.DRAINING): ("M702,410 Q850,400 885,292", (838, 400)),
    (State.DRAINING, State.ENDED): ("M905,292 V498", (905, 424)),
}
"""Arrows into ``ended`` from elsewhere are told in words: they would cross everything."""


def transitions() -> dict[tuple[State, State], list[str]]:
    """Return the inputs that lead from one state to another, as the table has them."""
    found: dict[tuple[State, State], list[str]] = defaultdict(list)
    for state, row in TABLE.items():
        for kind, cell in row.items():
            for to in cell.leads_to:
                if to is not state:
                    found[state, to].append(kind.__name__)
    return dict(found)


def draw() -> str:
    """Return the picture, as SVG that takes the page's colours."""
    found = transitions()
    told = {pair for pair in found if pair[1] is State.ENDED and pair not in ARROWS}
    if set(ARROWS) != set(found) - told:
        raise ValueError(f"arrows {set(ARROWS) ^ (set(found) - told)} differ from the table's")
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="The machine\'s states" '
        'style="width:100%;max-width:60rem;color:var(--color-foreground-primary)" '
        'font-family="sans-serif" font-size="12" text-anchor="middle">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="currentColor"/>'
        "</marker></defs>",
    ]
    for pair, (path, (x, y)) in ARROWS.items():
        parts.append(f'<path d="{path}" fill="none" stroke="currentColor" marker-end="url(#tip)"/>')
        parts += [
            f'<text x="{x}" y="{y + LINE * i}" fill="currentColor" '
            'stroke="var(--color-background-primary)" '
            f'stroke-width="5" paint-order="stroke">{escape(name)}</text>'
            for i, name in enumerate(found[pair])
        ]
    for state, (x, y) in CENTRES.items():
        parts.append(
            f'<rect x="{x - BOX[0] // 2}" y="{y - BOX[1] // 2}" width="{BOX[0]}" height="{BOX[1]}" '
            'rx="8" fill="var(--color-background-secondary)" stroke="currentColor"/>'
            f'<text x="{x}" y="{y + 5}" font-size="15" font-weight="bold" '
            f'fill="currentColor">{state.value}</text>'
        )
    by_input: dict[str, list[str]] = defaultdict(list)
    for pair in sorted(told, key=lambda pair: list(State).index(pair[0])):
        for name in found[pair]:
            by_input[name].append(pair[0].value)
    for i, (name, states) in enumerate(by_input.items()):
        parts.append(
            f'<text x="{CENTRES[State.ENDED][0] - BOX[0] // 2 - 10}" y="{510 + LINE * i}" '
            f'text-anchor="end" fill="currentColor">{escape(name)} in {", ".join(states)} →</text>'
        )
    return "".join([*parts, "</svg>"])


class StateDrawing(Directive):
    """``{state-drawing}``: the states and what leads from one to another."""

    def run(self) -> list[nodes.Node]:
        """Build the picture."""
        return [nodes.raw("", draw(), format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("state-drawing", StateDrawing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
