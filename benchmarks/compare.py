"""bargein beside livekit-agents, in turn, in one run: ``python -m benchmarks.compare``.

Makes a virtual environment for each (``--cache``: where they are kept), starts the local server
(``benchmarks.server``) and one client after the other. All open N streams, have 3 s of audio and an
overlap in each, and are fed 20 ms frames in real time by the same pacing loop; each overlap is
decided after ``--every`` windows and a new one begins at once, so there are ten windows a second.
``--short`` takes small numbers and few seconds, to see that all works.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).parents[1]
SOURCES = ("bargein", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")

REQUIREMENTS = {
    "bargein": (),
    "livekit-agents": ("livekit-agents",),
    # 1.5.6 is the newest that speaks HTTP.
    "livekit-agents 1.5.6": ("livekit-agents==1.5.6", "httpx"),
}
FLOOR = "a bare socket"
"""No library at all: what the kernel and a mask cost, in bargein's environment."""

IMPORTS = {
    # What a name needs is loaded when it is first used: the second row is what a user pays.
    "bargein": ("import bargein", "import bargein; bargein.AdaptiveInterruptionDetector"),
    "livekit-agents": ("import livekit.agents",) * 2,
    "livekit-agents 1.5.6": ("import livekit.agents",) * 2,
}


@attrs.frozen
class Runtime:
    """A library in its environment."""

    name: str
    python: Path
    clients: Path
    """Where a copy of ``benchmarks`` stands alone: the library is the one that is installed."""

    @property
    def client(self) -> str:
        """The module that runs it."""
        return {"bargein": "client_bargein", FLOOR: "client_floor"}.get(
            self.name, "client_upstream"
        )


@attrs.frozen
class Case:
    """What is run once with each runtime that can."""

    transport: str
    streams: int
    rate: int

    @property
    def rivals(self) -> tuple[str, str]:
        """Who speaks this transport; upstream first."""
        http = self.transport == "http"
        return ("livekit-agents 1.5.6" if http else "livekit-agents"), "bargein"


# --- environments -------------------------------------------------------------------------------


def set_up(cache: Path) -> dict[str, Runtime]:
    """Make the environments that aren't there; bargein is installed anew each time."""
    cache = cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, requirements in REQUIREMENTS.items():
        home = cache / name.replace(" ", "-")
        python = home / "bin" / "python"
        if not (home / "complete").exists():
            venv.create(home, with_pip=True, clear=True)
            try:
                if requirements:
                    pip(python, "install", "--upgrade", *requirements)
            except subprocess.CalledProcessError:
                print(f"skipped: {name} (its install failed)")
                continue
            (home / "complete").touch()
        if name == "bargein":
            install_bargein(python, cache / "source")
        found[name] = Runtime(name, python, cache / "clients")
    shutil.rmtree(cache / "clients", ignore_errors=True)
    shutil.copytree(ROOT / "benchmarks", cache / "clients" / "benchmarks")
    return found


def install_bargein(python: Path, source: Path) -> None:
    """Install from a copy, so that the build leaves nothing in the tree."""
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir()
    for name in SOURCES:
        path = ROOT / name
        copy = shutil.copytree if path.is_dir() else shutil.copy2
        copy(path, source / name)
    pip(python, "install", str(source))
    pip(python, "install", "--force-reinstall", "--no-deps", str(source))


def pip(python: Path, *arguments: str) -> None:
    """Run pip."""
    command = [str(python), "-m", "pip", "-q", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def installed_size(runtime: Runtime) -> float:
    """Return MB of packages, without pip and setuptools."""
    packages = next(runtime.python.parents[1].glob("lib/python*/site-packages"))
    skipped = ("pip", "setuptools", "_distutils_hack", "pkg_resources")
    files = (
        path
        for entry in packages.iterdir()
        if not entry.name.startswith(skipped)
        for path in (entry.rglob("*") if entry.is_dir() else [entry])
    )
    return sum(path.lstat().st_size for path in files if "__pycache__" not in path.parts) / 1e6


def version(runtime: Runtime) -> str:
    """Return the installed version."""
    name = runtime.name.split()[0]
    code = f"from importlib.metadata import version; print(version({name!r}))"
    return run_python(runtime, code)


def run_python(runtime: Runtime, code: str) -> str:
    """Run code in an environment and return what it prints."""
    command = [str(runtime.python), "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def import_time(runtime: Runtime, statement: str, rounds: int) -> float:
    """Return the median seconds that a statement takes a new process."""
    code = (
        f"import time; begin = time.perf_counter()\n{statement}\nprint(time.perf_counter() - begin)"
    )
    run_python(runtime, code)  # writes the byte code
    return statistics.median(float(run_python(runtime, code)) for _ in range(rounds))


# --- runs ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def server(*arguments: str) -> Iterator[str]:
    """Run the server; gives its port."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def run(runtime: Runtime, case: Case, port: str, seconds: float) -> dict[str, Any] | None:
    """Run a client; None if it failed."""
    command = [str(runtime.python), "-m", f"benchmarks.{runtime.client}", "--port", port]
    command += ["--transport", case.transport, "--streams", str(case.streams)]
    command += ["--rate", str(case.rate), "--seconds", str(seconds)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=runtime.clients,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds + 120,
    )
    if done.returncode or not done.stdout:
        print(f"{runtime.name} failed at {case}: {done.stderr[-500:]}")
        return None
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


COLUMNS = (
    ("CPU", "ms/s", lambda result: result["cpu"] * 1e3),
    ("memory", "kB", lambda result: result["memory"] / 1e3),
    ("listener p50", "ms", lambda result: percentile(result["heard"], 0.5) * 1e3),
    ("p99", "ms", lambda result: percentile(result["heard"], 0.99) * 1e3),
    ("reader p50", "ms", lambda result: percentile(result["read"], 0.5) * 1e3),
    ("p99", "ms", lambda result: percentile(result["read"], 0.99) * 1e3),
    ("windows", "/s", lambda result: result["windows"]),
    ("fds", "", lambda result: result["descriptors"]),
    ("lost", "", lambda result: result["dead"]),
)


def merge(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return medians over the rounds; delays of all rounds together."""
    merged: dict[str, Any] = {}
    for name, value in results[0].items():
        if isinstance(value, list):
            merged[name] = [each for result in results for each in result[name]]
        else:
            merged[name] = statistics.median(result[name] for result in results)
    return merged


FLOOR_SECONDS = 4.0
"""It has nothing that varies."""


def compare(runtimes: dict[str, Runtime], case: Case, options: argparse.Namespace) -> bool:
    """Run all that speak a transport in turn, ``rounds`` times, and print their rows.

    Returns whether every client came to its end.
    """
    results: dict[str, list[dict[str, Any]]] = {
        name: [] for name in case.rivals if name in runtimes
    }
    with server("--delay", str(options.delay), "--every", str(options.every)) as port:
        for turn in range(options.rounds):
            for name in list(results)[:: 1 if turn % 2 else -1]:
                result = run(runtimes[name], case, port, options.seconds)
                if result is not None:
                    results[name].append(result)
        ended = all(len(each) == options.rounds for each in results.values())
        bare = attrs.evolve(runtimes["bargein"], name=FLOOR)
        floor = run(bare, case, port, min(options.seconds, FLOOR_SECONDS))
        if floor is not None:
            results[FLOOR] = [floor]
    print_row(case, {name: merge(each) for name, each in results.items() if each})
    return ended


def print_row(case: Case, results: dict[str, dict[str, Any]]) -> None:
    """Print both runtimes' figures and their ratio."""
    title = f"{case.transport} N={case.streams} {case.rate // 1000} kHz"
    rows = {name: [figure(result) for *_, figure in COLUMNS] for name, result in results.items()}
    for name, values in rows.items():
        cells = " | ".join(f"{value:.2f}" for value in values)
        print(f"| {title} | {name} | {cells} |", flush=True)
    if rows.keys() >= set(case.rivals):
        upstream, ours = (rows[name] for name in case.rivals)
        shares = [b / a if a else float("nan") for a, b in zip(upstream, ours, strict=True)][:6]
        cells = " | ".join(f"{share:.2f}" for share in shares)
        print(f"| | ratio | {cells} | | | |", flush=True)


def cases(short: bool) -> list[Case]:
    """Return what is run."""
    if short:
        return [Case("websocket", 2, 8_000), Case("http", 2, 16_000)]
    found = [
        Case("websocket", streams, rate) for rate in (16_000, 8_000) for streams in (1, 10, 40, 200)
    ]
    # 1.5.6 waits for each answer before it asks again; beyond 40 the machine is what is measured.
    found += [Case("http", streams, 16_000) for streams in (1, 10, 20, 40)]
    return [*found, Case("http", 20, 8_000)]


def main() -> int:
    """Set up, run, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=ROOT / ".venv-compare")
    parser.add_argument("--prepare", action="store_true", help="make the environments, no more")
    parser.add_argument("--short", action="store_true", help="small numbers, few seconds")
    parser.add_argument("--seconds", type=float, help="for which each client is watched")
    parser.add_argument("--rounds", type=int, help="turns of each client; medians are printed")
    parser.add_argument("--delay", type=float, default=0.02, help="the server's, seconds")
    parser.add_argument("--every", type=int, default=20, help="windows to a verdict")
    parser.add_argument("--only", help="run the cases whose name has this, as 'websocket N=40'")
    options = parser.parse_args()
    options.seconds = options.seconds or (2.0 if options.short else 8.0)
    options.rounds = options.rounds or (1 if options.short else 3)
    runtimes = set_up(options.cache)
    if options.prepare:
        return 0
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| | version | import, ms | with the detector, ms | installed, MB |")
    print("| --- | --- | --- | --- | --- |")
    for runtime in runtimes.values():
        alone, whole = (
            import_time(runtime, statement, 1 if options.short else 5) * 1e3
            for statement in IMPORTS[runtime.name]
        )
        cells = f"{version(runtime)} | {alone:.0f} | {whole:.0f} | {installed_size(runtime):.0f}"
        print(f"| {runtime.name} | {cells} |", flush=True)
    print(
        "\n| case | | " + " | ".join(f"{name} {unit}".strip() for name, unit, _ in COLUMNS) + " |"
    )
    print("| --- " * (2 + len(COLUMNS)) + "|")
    chosen = [
        case
        for case in cases(options.short)
        if options.only is None or options.only in f"{case.transport} N={case.streams}"
    ]
    done = [compare(runtimes, case, options) for case in chosen]
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
