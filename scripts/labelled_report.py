"""From a fresh clone to a report in the browser: build the labelled set, evaluate, compare, open.

    python scripts/labelled_report.py [FOLDER]

Needs the library with ``bargein[evaluate]``, and what ``training/README.md`` says the set needs.
What is there already isn't made again, so it may be stopped and started anew. What is evaluated is
the half of the set that figures are published on; the shipped judge is set against judging by
length of speech.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import webbrowser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: object) -> None:
    """Run a Python module in the checkout; end if it fails."""
    command = [sys.executable, "-m", *map(str, arguments)]
    print("$ python -m", *map(str, arguments), flush=True)
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def main() -> None:
    """The command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "build" / "labelled")
    parser.add_argument("--set", type=Path, help="a labelled set that is there already")
    parser.add_argument("--against", default="backend=local-sustained")
    parser.add_argument("--no-browser", action="store_true", help="don't open the report")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    labelled = folder / "set" if arguments.set is None else arguments.set.resolve()
    if not (labelled / "manifest.csv").is_file():
        run("pip", "install", "-q", "-r", "training/requirements.txt")
        run("training.fetch", folder / "sources")
        run("training.labelled_set", folder / "sources", labelled)
    report = folder / "report.html"
    common = ("--where", "split=report", "--against", arguments.against, "--report", report)
    run("bargein", "evaluate", labelled, *common)
    print(report)
    if not arguments.no_browser:
        webbrowser.open(report.as_uri())


if __name__ == "__main__":
    main()
