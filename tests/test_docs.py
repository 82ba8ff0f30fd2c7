"""The documents run: every example of README.md, docs/ and the docstrings is executed.

In a page, each block that opens with three backticks and ``python`` runs, in the page's order and
in one namespace, in an empty folder that has ``examples/`` in it. A block with ``>>>`` in it is a
doctest. ``<!-- not run: WHY -->`` on the line before a block leaves it out.
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

import bargein
import bargein.errors
from bargein.core import InterruptionOptions

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
    r"(?P<indent>[ \t]*)```python\n(?P<code>.*?)^(?P=indent)```[ \t]*$",
    re.DOTALL | re.MULTILINE,
)


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """Give the line number and the code of each block that is to be run."""
    for match in BLOCK.finditer(text):
        if not match["left_out"]:
            line = text.count("\n", 0, match.start("code")) + 1
            yield line, textwrap.dedent(match["code"])


def run_page(name: str, text: str) -> int:
    """Run a page's blocks in one namespace; return how many there were."""
    namespace: dict[str, object] = {"__name__": "__page__"}
    count = 0
    for line, code in blocks(text):
        count += 1
        if ">>>" in code:
            example = doctest.DocTestParser().get_doctest(code, namespace, name, name, line - 1)
            doctest.DebugRunner(optionflags=FLAGS).run(example, clear_globs=False)
            namespace.update(example.globs)
        else:
            # The empty lines in front make a traceback name the page's own line.
            exec(compile("\n" * (line - 1) + code, name, "exec"), namespace)
    return count


@pytest.fixture
def a_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.usefixtures("a_users_folder")
def test_page(page: Path) -> None:
    run_page(str(page), page.read_text(encoding="utf-8"))


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
    assert [line for line, _ in blocks(PAGE)] == [5, 11, 24, 30]
    assert run_page("page", PAGE) == 4


def test_a_wrong_result_fails() -> None:
    with pytest.raises(doctest.DocTestFailure):
        run_page("page", PAGE.replace("\n3\n", "\n4\n"))


def test_an_exception_names_the_pages_line() -> None:
    with pytest.raises(AssertionError) as caught:
        run_page("page", PAGE.replace("c == 7", "c == 8"))

    assert caught.traceback[-1].lineno + 1 == 30
