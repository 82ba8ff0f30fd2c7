"""Sphinx directives that render the interruption machine's table from the code itself.

``state-table`` is what each input does in each state, ``state-effects`` what the effects are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.parsers.rst import Directive

from bargein.core.states import EFFECTS, TABLE, Cell, State

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def inputs() -> list[type]:
    """Return all inputs, in the order in which a row of the table names them."""
    return list(TABLE[State.SILENT])


def describe(state: State, cell: Cell) -> str:
    """Return a cell in words: its effect, and where it leads if that is elsewhere.

    >>> describe(State.OPEN, Cell("cut", (State.OPEN, State.SPEAKING)))
    'cut → open, speaking'
    >>> describe(State.OPEN, Cell("nothing", (State.OPEN,)))
    'nothing'
    """
    if cell.leads_to == (state,):
        return cell.effect
    return f"{cell.effect} → {', '.join(to.value for to in cell.leads_to)}"


def _row(texts: list[str]) -> nodes.row:
    row = nodes.row()
    for text in texts:
        row += nodes.entry("", nodes.paragraph(text=text))
    return row


class StateTable(Directive):
    """``{state-table}``: one row for each input, one column for each state."""

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        columns = ["input", *(state.value for state in State)]
        group = nodes.tgroup(cols=len(columns))
        group += [nodes.colspec(colwidth=1) for _ in columns]
        group += nodes.thead("", _row(columns))
        body = nodes.tbody()
        for kind in inputs():
            cells = [describe(state, TABLE[state][kind]) for state in State]
            body += _row([kind.__name__, *cells])
        group += body
        return [nodes.table("", group)]


class StateEffects(Directive):
    """``{state-effects}``: what each effect does."""

    def run(self) -> list[nodes.Node]:
        """Build the list."""
        items = nodes.definition_list()
        for name, words in EFFECTS.items():
            items += nodes.definition_list_item(
                "",
                nodes.term("", "", nodes.literal(text=name)),
                nodes.definition("", nodes.paragraph(text=words)),
            )
        return [items]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("state-table", StateTable)
    app.add_directive("state-effects", StateEffects)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
