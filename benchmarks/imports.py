"""What ``import bargein`` costs a fresh process: ``python -m benchmarks.imports``.

The floor is an interpreter that imports nothing; NumPy stands beside it, because whoever resolves
a name that handles audio pays for it too.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

SUBJECTS = {
    "nothing": "pass",
    "import bargein": "import bargein",
    "import numpy": "import numpy",
    "every public name": "import bargein; [getattr(bargein, name) for name in bargein.__all__]",
}

# Runs in the new process: the statement's own time (wall, s), and the peak RSS at its end (kB).
# Not ru_maxrss, which begins with what the process that started this one had.
PROBE = """
import json, sys, time
begin = time.perf_counter()
exec(sys.argv[1])
spent = time.perf_counter() - begin
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(json.dumps([spent, peak]))
"""


def probe(statement: str) -> tuple[float, float]:
    """Return seconds and peak resident MB of a new process that runs ``statement``."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, statement], capture_output=True, text=True, check=True
    )
    seconds, kilobytes = json.loads(done.stdout)
    return seconds, kilobytes / 1000


def main(rounds: int = 7) -> None:
    """Take the subjects in turn and print medians."""
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in SUBJECTS}
    for _ in range(rounds):
        for name, statement in SUBJECTS.items():
            seen[name].append(probe(statement))
    floor = statistics.median(megabytes for _, megabytes in seen["nothing"])
    print(f"{'':20}{'ms':>8}{'MB':>8}{'MB over the floor':>20}")
    for name, figures in seen.items():
        spent = statistics.median(seconds for seconds, _ in figures) * 1000
        resident = statistics.median(megabytes for _, megabytes in figures)
        print(f"{name:20}{spent:8.1f}{resident:8.1f}{resident - floor:20.1f}")


if __name__ == "__main__":
    main()
