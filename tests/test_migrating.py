"""docs/migrating.md: each of upstream's names has a line, and each line is true of the code."""

from __future__ import annotations

import enum
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import bargein
from bargein import InterruptionOptions, InterruptionWSMessageType

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
NAMES = (ROOT / "tests" / "upstream" / "interruption.txt").read_text(encoding="utf-8")

ROW = re.compile(r"^\| `([^`]+)` \| (both|1\.5\.6|1\.8\.9) \| (?:`([^`]+)`|(–)) \|(.*)\|$", re.M)
ROWS = [match.groups() for match in ROW.finditer(PAGE)]
NOTHING = "–"

# Upstream's defaults, as its module has them: here they must be the same.
VALUES = {
    "SAMPLE_RATE": 16_000,
    "MIN_INTERRUPTION_DURATION": 0.05,
    "MAX_AUDIO_DURATION": 3,
    "DETECTION_INTERVAL": 0.1,
    "AUDIO_PREFIX_DURATION": 1.0,
    "REMOTE_INFERENCE_TIMEOUT": 0.7,
}


def resolve(text: str) -> object:
    """Give what a name of the page's right side stands for; raises where it stands for nothing."""
    if match := re.fullmatch(r"InterruptionOptions\(\)\.(\w+)", text):
        return getattr(InterruptionOptions(), match[1])
    if match := re.fullmatch(r"([\w.]+)\((\w+)\)", text):
        return inspect.signature(resolve(match[1])).parameters[match[2]]  # type: ignore[arg-type]
    if text.startswith("bargein."):
        module, _, name = text.rpartition(".")
        return getattr(import_module(module), name)
    value: object = bargein
    for part in text.split("."):
        value = getattr(value, part)
    return value


def upstream() -> dict[str, str]:
    lines = [line.split() for line in NAMES.splitlines() if not line.startswith("#")]
    return {line[0]: line[1] for line in lines}


def test_every_row_of_the_tables_is_read() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]

    assert len(rows) == len(ROWS) > 150


def test_each_of_upstreams_names_has_one_line_with_its_releases() -> None:
    of_the_module = [(name, versions) for name, versions, *_ in ROWS if "livekit." not in name]

    assert len(of_the_module) == len(set(of_the_module))
    assert dict(of_the_module) == upstream()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_is_on_the_right_is_there(row: tuple[str, str, str | None, str | None, str]) -> None:
    name, _, here, nothing, note = row

    if nothing:
        assert note.strip(), f"{name} is nothing here, and the page doesn't say why"
        return
    assert here is not None
    value = resolve(here)
    if name in VALUES:
        assert value == VALUES[name]


def test_most_names_are_the_same() -> None:
    """What can be kept is kept: a name changes only with a word of explanation."""
    for name, _, here, _, note in ROWS:
        renamed = here is not None and here.split("(")[0] != name.split("(")[0]
        inherited = here == "InterruptionStreamBase.update_options"
        if renamed and not inherited and "livekit." not in name and name not in VALUES:
            assert note.strip(), f"{name} -> {here} without a word"


def test_the_message_types_are_upstreams() -> None:
    assert issubclass(InterruptionWSMessageType, enum.Enum)
    assert [kind.value for kind in InterruptionWSMessageType] == [
        "session.create",
        "session.close",
        "session.created",
        "session.closed",
        "bargein_detected",
        "inference_done",
        "error",
    ]


@pytest.mark.parametrize(
    "text",
    ["Nothing", "InterruptionOptions.treshold", "AdaptiveInterruptionDetector(session)",
     "bargein.wire.messages.parse", "InterruptionOptions().sample_rates"],
)  # fmt: skip
def test_a_name_that_is_not_there_is_noticed(text: str) -> None:
    with pytest.raises((AttributeError, KeyError)):
        resolve(text)
