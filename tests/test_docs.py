"""The documents run: every example of README.md, docs/ and the docstrings is executed.

In a page, each block that opens with three backticks and ``python`` runs, in the page's order and
in one namespace, in an empty folder that has ``examples/`` in it. A block with ``>>>`` in it is a
doctest. A ``console`` block that shows what its command prints runs, too, and prints that but for
the figures (``scripts/update_example.py`` brings those up to date); the command line must at least
take all other commands. ``<!-- not run: WHY -->`` on the line before a block leaves it out.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import json
import pkgutil
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

import bargein
import bargein.errors
from bargein.cli.main import _parser, main
from bargein.core import InterruptionOptions
from bargein.evaluation import read_dataset

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts),
]
MODULES = [
    "bargein",
    *(
        found.name
        for found in pkgutil.walk_packages(bargein.__path__, "bargein.")
        if not found.name.endswith("__main__")
    ),
]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

BLOCK = re.compile(
    r"^(?P<left_out>[ \t]*<!-- not run: .+ -->\n)?"
    r"(?P<indent>[ \t]*)```(?P<kind>python|console)\n(?P<code>.*?)^(?P=indent)```[ \t]*$",
    re.DOTALL | re.MULTILINE,
)


COMMAND = re.compile(r"^[ \t]*\$ bargein (.+)$", re.MULTILINE)
COMMANDS = [
    pytest.param(line, id=f"{page.stem}: {line}")
    for page in PAGES
    for line in COMMAND.findall(page.read_text(encoding="utf-8"))
]


def blocks(text: str) -> Iterator[tuple[int, str, str]]:
    """Give the line number, the kind and the code of each block that is to be run."""
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        if not match["left_out"]:
            yield line, match["kind"], textwrap.dedent(match["code"])


def run_page(name: str, text: str) -> int:
    """Run a page's blocks in one namespace; return how many there were."""
    namespace: dict[str, object] = {"__name__": "__page__"}
    count = 0
    for line, kind, code in blocks(text):
        if kind == "console":
            count += run_console(code, f"{name}:{line}")
            continue
        count += 1
        if ">>>" in code:
            example = doctest.DocTestParser().get_doctest(code, namespace, name, name, line - 1)
            doctest.DebugRunner(optionflags=FLAGS).run(example, clear_globs=False)
            namespace.update(example.globs)
        else:
            # The empty lines in front make a traceback name the page's own line.
            exec(compile("\n" * (line - 1) + code, name, "exec"), namespace)
    return count


def run_console(code: str, where: str) -> bool:
    """Run a block's command if what it prints is shown; return whether it is."""
    command, _, shown = code.partition("\n")
    if not command.startswith("$ bargein ") or not shown or shown.startswith("$"):
        return False
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        ended = main(shlex.split(command)[2:])
    assert ended == 0, where
    assert but_for_figures(printed.getvalue()) == but_for_figures(shown), where
    return True


def but_for_figures(text: str) -> list[str]:
    """Return the lines without what another judge, or another library's dice, have otherwise."""
    lines = (re.sub(r"[\d.,%-]+|\bs\b", " ", line) for line in text.splitlines())
    return [words for line in lines if (words := " ".join(line.split()))]


@pytest.fixture
def a_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.usefixtures("a_users_folder", "_fonts")
def test_page(page: Path) -> None:
    run_page(str(page), page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_taken(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "options.json").write_text("{}", encoding="utf-8")
    words = shlex.split(line.partition(" > ")[0], comments=True)

    parsed = _parser(words[0])[0].parse_args(words)

    assert parsed.command == words[0]


def test_the_examples_labels_are_those_of_its_contents() -> None:
    folder = ROOT / "examples" / "call"
    contents = json.loads((folder / "contents.json").read_text(encoding="utf-8"))
    last_turn = contents["agent"][2]["start"]  # it begins while the caller speaks already
    wanted = [
        (max(entry["onset"], last_turn) if entry["onset"] > 39 else entry["onset"], entry["end"])
        for entry in contents["caller"]
        if entry["over_agent"] and entry["label"] != "echo"
    ]
    dataset = read_dataset(folder / "labels.csv", strict=True)

    assert [(o.start, o.end) for call in dataset.calls for o in call.overlaps] == wanted


@pytest.mark.parametrize("module", MODULES)
def test_docstrings(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module), optionflags=FLAGS)

    assert result.failed == 0


def test_the_table_of_options_is_true() -> None:
    text = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    section = text.partition("## Detection")[2].partition("\n## ")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE))
    shown = {"True": "on", "False": "off"}
    true = {
        field.name: shown.get(str(field.default), str(field.default))
        for field in attrs.fields(InterruptionOptions)
    }

    # None is explained in words: whose default it is then.
    assert (true.pop("threshold"), true.pop("max_in_flight")) == ("None", "None")
    assert told.pop("threshold") == "the backend's own"
    assert told.pop("max_in_flight") == "WebSocket 8, HTTP and local 2"
    assert told == true


def test_every_public_name_is_in_the_reference() -> None:
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("api*.md")]
    text = "\n".join(pages)
    told = set(
        re.findall(r"^\.\. auto(?:class|function|data):: [\w.]*\.(\w+)$", text, re.MULTILINE)
    )
    for members in re.findall(r":members: (.+)$", text, re.MULTILINE):
        told.update(members.split(", "))
    for package in re.findall(r"^\.\. public-names:: (\S+)$", text, re.MULTILINE):
        told.update(importlib.import_module(package).__all__)

    assert set(bargein.__all__) - told - set(bargein.errors.__all__) == {"__version__"}


PAGE = """
Some text.

```python
a = 1
```

- in a list

  ```python
  b = a + 1
  ```

<!-- not run: needs a server -->
```python
raise RuntimeError
```

```console
$ not python
```

```console
$ bargein replay calls
$ bargein replay others
```

```python
>>> a + b
3
>>> c = 7
```

```python
assert c == 7
```
"""


def test_blocks_of_a_page_share_a_namespace_and_those_marked_are_left_out() -> None:
    assert [line for line, kind, _ in blocks(PAGE) if kind == "python"] == [5, 11, 29, 35]
    assert run_page("page", PAGE) == 4


def test_a_wrong_result_fails() -> None:
    with pytest.raises(doctest.DocTestFailure):
        run_page("page", PAGE.replace("\n3\n", "\n4\n"))


@pytest.mark.usefixtures("a_users_folder")
def test_an_output_that_is_another_fails() -> None:
    command = "$ bargein evaluate examples/call/labels.csv --backend local-sustained\n"
    with pytest.raises(AssertionError):
        run_console(command + "examples/call/labels.csv: 7 overlaps of 1 call\n", "page:1")


def test_an_exception_names_the_pages_line() -> None:
    with pytest.raises(AssertionError) as caught:
        run_page("page", PAGE.replace("c == 7", "c == 8"))

    assert caught.traceback[-1].lineno + 1 == 35
