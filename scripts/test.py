"""Pass the tests as CI does: against the built wheel, in a virtual environment of its own.

``python3 scripts/test.py`` needs Python 3.10 or newer and nothing else. It makes ``.venv-test``,
builds the source archive and from that the wheel, installs the wheel with what the tests need,
runs the suite, and checks the branch coverage. Arguments go to pytest (then the coverage isn't
checked): ``python3 scripts/test.py tests/core -k cadence``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".venv-test"
BIN = HOME / ("Scripts" if os.name == "nt" else "bin")
DIST = HOME / "dist"

# Where decisions are made and samples are counted every branch is tried; elsewhere 95 % is asked.
EXACT = "*/bargein/core/*,*/bargein/wire/*,*/bargein/audio/*"
GATES = (("--include", EXACT, 100), ("--omit", EXACT, 95))

# A process for each core; more than eight win nothing here, for each loads the library anew.
PARALLEL = ("-n", "auto", "--maxprocesses=8")


def run(*command: str | Path, **environment: str) -> None:
    """Run a command in the checkout; end with its exit code if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
    )
    if done.returncode:
        sys.exit(done.returncode)


def pip_install(*arguments: str | Path) -> None:
    """Install by pip; once more where that fails, as a download may break off."""
    command = (BIN / "python", "-m", "pip", "install", "-qq", *arguments)
    if subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode:
        run(*command)


def make_environment() -> None:
    if not (BIN / "pip").exists() and not (BIN / "pip.exe").exists():
        try:
            venv.create(HOME, with_pip=True, clear=True)
        except subprocess.CalledProcessError:
            sys.exit(
                "this Python can't make a virtual environment; on Debian and Ubuntu:\n"
                "    apt-get install python3-venv"
            )
    pip_install("build")


def install_wheel() -> None:
    """Build from the source archive, so that what is missing there is missed here."""
    shutil.rmtree(DIST, ignore_errors=True)
    log = HOME / "build.log"
    with log.open("w", encoding="utf-8") as output:
        built = subprocess.run(
            [str(BIN / "python"), "-m", "build", "--outdir", str(DIST), str(ROOT)],
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if built.returncode:
        print(log.read_text(encoding="utf-8"), file=sys.stderr)
        sys.exit(built.returncode)
    (wheel,) = DIST.glob("*.whl")
    pip_install(f"{wheel}[test]")
    # The version stays while the code changes, so pip has to be told.
    pip_install("--force-reinstall", "--no-deps", wheel)


def main(arguments: list[str]) -> None:
    if sys.version_info < (3, 10):  # noqa: UP036  (run by whatever python3 is)
        sys.exit(f"bargein needs Python 3.10 or newer; this is {sys.version.split()[0]}")
    make_environment()
    install_wheel()
    # The script `pytest`, not `python -m pytest`: the latter puts the checkout first.
    pytest = BIN / "pytest"
    if arguments:
        run(pytest, *arguments, BARGEIN_INSTALLED="1")
        return
    run(pytest, "-q", *PARALLEL, "--cov", "--cov-report=", BARGEIN_INSTALLED="1")
    for choice, paths, percent in GATES:
        run(BIN / "coverage", "report", choice, paths, f"--fail-under={percent}")


if __name__ == "__main__":
    main(sys.argv[1:])
