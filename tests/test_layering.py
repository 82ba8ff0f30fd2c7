"""The layers of docs/design.md: who may import whom, and what ``import bargein`` costs."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import bargein
import bargein.errors
from tests.fresh import run_fresh

PACKAGE = Path(bargein.__file__).parent

# From the bottom up. A module imports from rows below its own, or from its own unit (the package
# or module named here); two units of one row don't know each other. An import for type checkers
# only (under TYPE_CHECKING) counts as well: what a signature names, the module depends on.
LAYERS = (
    ("_version", "errors"),
    ("audio", "files", "vad"),
    ("core",),
    ("wire",),
    ("runtime",),
    ("backends",),
    ("drivers",),
    ("face", "analysis"),
    ("recording",),
    ("evaluation", "server", "telephony", "testing"),
    ("cli",),
    ("__main__",),
)
# The public face is one unit of several modules: a stream needs its detector, and it its streams.
FACE = {
    *("check", "detector", "leftovers", "outbox", "remote", "shadow", "stream", "streams"),
    *("telemetry", "worker"),
}
ROW = {unit: row for row, units in enumerate(LAYERS) for unit in units}

# In these every decision is made, or every message formed: no clock, no thread, no I/O, no dice.
PURE = ("core", "wire")
IMPURE = {
    *("asyncio", "concurrent", "multiprocessing", "queue", "sched", "select", "selectors"),
    *("signal", "socket", "ssl", "subprocess", "threading", "_thread", "time"),
    *("http", "urllib.request", "urllib3", "requests", "websocket"),
    *("logging", "random", "secrets"),
}

# Loaded when first used, never by ``import bargein`` alone.
FIRST_USE = {"numpy", "requests", "urllib3", "websocket", "jwt", "soxr"}
# Never loaded by resolving a public name either: they belong to extras and to commands.
HEAVY = {
    *("dask", "joblib", "sklearn", "tqdm"),
    *("matplotlib", "soundfile", "opentelemetry", "onnxruntime", "scipy", "torch", "livekit"),
    *("flask", "aiohttp", "fastapi", "starlette", "uvicorn", "tornado", "django"),
}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(package: str, source: str) -> Iterator[tuple[int, str]]:
    """Give the line and the full name of each thing imported, wherever in the file.

    ``package`` is what relative imports are relative to.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            home = [node.module] if node.module else []
            if node.level:
                parts = package.split(".")
                home = parts[: len(parts) - node.level + 1] + home
            for alias in node.names:
                yield node.lineno, ".".join([*home, alias.name])


def unit_of(name: str) -> str | None:
    """Give the part of the package that ``name`` belongs to; None if it isn't ours."""
    parts = name.split(".")
    if parts[0] != "bargein":
        return None
    if len(parts) == 1:
        return ""
    home = bargein._HOMES.get(parts[1], name)
    unit = home.split(".")[1]
    return "face" if unit in FACE else unit


def violations(module: str, source: str, package: str | None = None) -> list[str]:
    """Say which imports of a module break the rules, one line each."""
    package = package or module.rpartition(".")[0]
    unit = unit_of(module)
    assert unit, f"{module} has no unit"
    if unit not in ROW:
        return [f"{module}: {unit!r} has no place in LAYERS; give it one"]
    found = []
    for line, name in imported(package, source):
        target = unit_of(name)
        if target is None:
            if unit in PURE and any(name == bad or name.startswith(f"{bad}.") for bad in IMPURE):
                found.append(f"{module}:{line} imports {name}, but {unit}/ does no I/O")
        elif target == "":
            found.append(f"{module}:{line} imports bargein itself; name the module instead")
        elif target not in ROW:
            found.append(f"{module}:{line} imports {name}, which has no place in LAYERS")
        elif target != unit and ROW[target] >= ROW[unit]:
            found.append(f"{module}:{line} imports {name}, which isn't below it")
    return found


@pytest.mark.parametrize("module", [name for name in MODULES if name != "bargein"])
def test_imports_point_down(module: str) -> None:
    path = MODULES[module]
    package = module if path.name == "__init__.py" else None

    assert violations(module, path.read_text(encoding="utf-8"), package) == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("bargein.core.machine", "import time", "does no I/O"),
        ("bargein.core.machine", "from time import monotonic", "does no I/O"),
        ("bargein.wire.token", "def f():\n    import logging", "does no I/O"),
        ("bargein.core.machine", "from bargein.wire import messages", "isn't below it"),
        ("bargein.core.machine", "import bargein.backends.local", "isn't below it"),
        ("bargein.core.machine", "from ..wire.messages import parse", "isn't below it"),
        ("bargein.core.machine", "from .. import stream", "isn't below it"),
        ("bargein.audio.g711", "from bargein.vad import silero", "isn't below it"),
        ("bargein.vad.track", "import bargein", "name the module"),
        ("bargein.stream", "from bargein import novelty", "no place in LAYERS"),
        ("bargein.novelty", "import time", "give it one"),
    ],
)
def test_a_breach_is_seen(module: str, source: str, complaint: str) -> None:
    found = violations(module, source)

    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("bargein.core.machine", "import attrs\nfrom bargein.core import window"),
        ("bargein.core.machine", "from .window import Window\nfrom . import states"),
        ("bargein.core.machine", "from ..errors import OptionError"),
        ("bargein.core.machine", "from bargein import OptionError"),
        ("bargein.core.machine", "from urllib.parse import quote"),
        ("bargein.stream", "import time\nfrom bargein.core.machine import Machine"),
        ("bargein.cli.analyze", "from bargein.audio.files import blocks"),
    ],
)
def test_what_is_allowed_passes(module: str, source: str) -> None:
    assert violations(module, source) == []


LIST_LOADED = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def loaded_by(statement: str) -> set[str]:
    done = run_fresh("-c", f"{statement}; {LIST_LOADED}")
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout)
    return set(names)


def test_import_loads_nothing_of_weight() -> None:
    loaded = loaded_by("import bargein")

    assert "bargein" in loaded
    assert loaded & (HEAVY | FIRST_USE) == set()
    assert {name for name in loaded if name.startswith("bargein.")} == {"bargein._version"}


def test_public_names_resolve_without_extras() -> None:
    loaded = loaded_by("import bargein; [getattr(bargein, name) for name in bargein.__all__]")

    assert "bargein.errors" in loaded
    assert loaded & HEAVY == set()


def test_weights_are_not_loaded_by_name_lookups() -> None:
    done = run_fresh(
        "-c",
        "import builtins, io\n"
        "opened = []\n"
        "import bargein, sys\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0]))\n"
        "                 if event == 'open' else None)\n"
        "for name in bargein.__all__: getattr(bargein, name)\n"
        "print([path for path in opened if '.npz' in path])",
    )

    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_the_three_lists_of_public_names_agree() -> None:
    tree = ast.parse(MODULES["bargein"].read_text(encoding="utf-8"))
    guarded = next(
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    for_checkers = {
        alias.asname or alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert for_checkers == bargein._HOMES
    assert set(bargein.__all__) == {*bargein._HOMES, "__version__"}
    assert len(bargein.__all__) == len(set(bargein.__all__))


@pytest.mark.parametrize("name", sorted(bargein._HOMES))
def test_each_public_name_resolves_to_the_object_of_its_home(name: str) -> None:
    value = getattr(bargein, name)

    assert getattr(value, "__module__", bargein._HOMES[name]).startswith("bargein.")
    assert getattr(bargein, name) is value


def test_every_error_is_public() -> None:
    assert set(bargein.errors.__all__) <= set(bargein.__all__)


def test_dir_lists_public_names_before_they_are_used() -> None:
    done = run_fresh("-c", "import bargein; print(*dir(bargein))")

    assert set(bargein.__all__) <= set(done.stdout.split())
    assert dir(bargein) == sorted(set(dir(bargein)) | set(bargein.__all__))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'bargein' has no attribute 'bargin'"):
        _ = bargein.bargin  # type: ignore[attr-defined]
