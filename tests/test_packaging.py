"""What is installed is what was built, and the house's own promises about it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import bargein
from tests.fresh import run_fresh

ROOT = Path(__file__).resolve().parents[1]
# Set by scripts/test.py. A run on the source tree has no metadata to look at.
INSTALLED = "BARGEIN_INSTALLED" in os.environ
installed_only = pytest.mark.skipif(not INSTALLED, reason="runs on the source tree")


def test_the_tests_see_the_installed_package() -> None:
    home = Path(bargein.__file__).parent

    assert (home == ROOT / "bargein") is not INSTALLED
    done = run_fresh("-c", "import bargein; print(bargein.__file__)")
    assert Path(done.stdout.strip()).parent == home


def test_type_hints_ship() -> None:
    assert (Path(bargein.__file__).parent / "py.typed").is_file()


def test_the_version_has_one_home() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", bargein.__version__)


@installed_only
def test_metadata_agrees_with_the_package() -> None:
    told = metadata.metadata("bargein")

    assert told["Version"] == bargein.__version__
    assert told["License"] == "MIT"
    assert told["Requires-Python"] == ">=3.10"
    assert {"files", "plot", "otel", "analyze"} <= set(told.get_all("Provides-Extra"))


@installed_only
def test_the_core_install_is_five_packages() -> None:
    requirements = metadata.requires("bargein") or []
    core = {re.split(r"[^\w-]", line)[0].lower() for line in requirements if "extra ==" not in line}

    assert core == {"attrs", "numpy", "pyjwt", "requests", "websocket-client"}


@installed_only
def test_only_the_package_is_installed() -> None:
    files = metadata.files("bargein") or []
    tops = {path.parts[0] for path in files}

    # ".." is the `bargein` command in the environment's bin folder.
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bargein", ".."}
    assert any(path.name == "LICENSE" for path in files)


@installed_only
def test_every_module_of_the_checkout_is_in_the_wheel() -> None:
    home = Path(bargein.__file__).parent
    here = {
        str(path.relative_to(ROOT / "bargein"))
        for path in (ROOT / "bargein").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    there = {str(p.relative_to(home)) for p in home.rglob("*") if "__pycache__" not in p.parts}

    assert here - there == set()


def test_the_oldest_versions_are_the_lower_bounds() -> None:
    declared = dict(re.findall(r"^    ([\w-]+) >= ([\d.]+)$", _section("setup.cfg"), re.M))
    pinned = dict(re.findall(r"^([\w-]+)==([\d.]+)", (ROOT / ".ci/oldest.txt").read_text(), re.M))

    assert pinned
    assert {name: declared.get(name) for name in pinned} == pinned
    assert {"attrs", "numpy", "PyJWT", "requests", "websocket-client"} <= set(pinned)


def _section(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["test", "analyze"])
def test_ci_finds_the_readme_commands(name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "readme_command.py"), name],
        capture_output=True,
        text=True,
        check=True,
    )

    assert len(done.stdout.strip().splitlines()) == 1
    assert f"\n{done.stdout.strip()}\n" in (ROOT / "README.md").read_text(encoding="utf-8")
