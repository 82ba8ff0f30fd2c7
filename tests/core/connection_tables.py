"""The connection's tables as the documentation shows them.

``python -m tests.core.connection_tables`` writes them into docs/connection.md; a test compares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from bargein.core.connection_states import (
    CONNECTION_EFFECTS,
    HTTP_TABLE,
    TIMERS,
    UPDATE_EFFECTS,
    UPDATE_TABLE,
    WEBSOCKET_TABLE,
    Step,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "connection.md"


def table(rows: Mapping[Enum, Mapping[type, Step]], effects: Mapping[str, str]) -> str:
    """Render a table; what changes nothing in a state is left out."""
    lines = ["| state | input | what happens | then |", "| --- | --- | --- | --- |"]
    for state, row in rows.items():
        shown = str(state.value)
        for kind, step in row.items():
            if step.effect == "nothing":
                continue
            then = ", ".join(str(to.value) for to in step.leads_to)
            lines.append(f"| {shown} | `{kind.__name__}` | {effects[step.effect]} | {then} |")
            shown = ""
    return "\n".join(lines)


def timers() -> str:
    """Render the timers."""
    lines = ["| timer | what it measures: what happens |", "| --- | --- |"]
    lines += [f"| {timer.value} | {text} |" for timer, text in TIMERS.items()]
    return "\n".join(lines)


TABLES = {
    "websocket": table(WEBSOCKET_TABLE, CONNECTION_EFFECTS),
    "http": table(HTTP_TABLE, CONNECTION_EFFECTS),
    "update": table(UPDATE_TABLE, UPDATE_EFFECTS),
    "timers": timers(),
}


def fill(text: str) -> str:
    """Put the tables between their marks."""
    for name, rendered in TABLES.items():
        mark = f"<!-- table: {name} -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{mark[0]}.*?{mark[1]}", re.DOTALL)
        text, times = pattern.subn(lambda _, m=mark, r=rendered: f"{m[0]}\n{r}\n{m[1]}", text)
        assert times == 1, f"{name} should stand in the page once, and does {times} times"
    return text


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
