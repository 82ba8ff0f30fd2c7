"""An evaluation over a cluster is the serial one, though a worker is killed in mid-work.

``python run.py dask|ray FOLDER``, from the checkout; see ``.ci/peers/clusters.sh``.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import soundfile

from bargein.evaluation import Candidate, Dataset, Resampling, evaluate, read_dataset

EXAMPLE = Path("examples/call")
COPIES = 4


def build(folder: Path) -> Dataset:
    """The example's overlaps, each a call of its own, several times over."""
    folder.mkdir(parents=True, exist_ok=True)
    samples, rate = soundfile.read(EXAMPLE / "call.flac", dtype="int16", always_2d=True)
    labels = json.loads((EXAMPLE / "contents.json").read_text(encoding="utf-8"))["caller"]
    rows = []
    for copy in range(COPIES):
        for number, entry in enumerate(labels):
            if not entry["over_agent"] or entry["label"] == "echo":
                continue
            begin = max(0.0, entry["onset"] - 1.5)
            piece = samples[round(begin * rate) : round((entry["end"] + 1.3) * rate)].copy()
            piece[0, 0] += copy
            soundfile.write(folder / f"{copy}-{number}.wav", piece, rate)
            times = {"start": entry["onset"] - begin, "end": entry["end"] - begin}
            name = f"{copy}-{number}.wav"
            rows.append({"audio": name, "label": entry["label"], "agent_start": 0, **times})
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return read_dataset(folder / "manifest.csv")


def kill_one(client: object, store: Path) -> None:
    """Once some calls are done, kill a worker that has more to do."""
    deadline = time.monotonic() + 120
    while len(list(store.rglob("*.npz"))) < COPIES and time.monotonic() < deadline:
        time.sleep(0.05)
    pids = client.run(os.getpid)  # type: ignore[attr-defined]
    victim = next(iter(pids.values()))
    print(f"killing worker {victim} after {len(list(store.rglob('*.npz')))} calls", flush=True)
    os.kill(victim, signal.SIGKILL)


def main() -> None:
    """Compare."""
    engine, folder = sys.argv[1], Path(sys.argv[2])
    dataset = build(folder / "data")
    candidate = Candidate(backend="slow_judge:slow")
    how = Resampling(100)
    common = {"thresholds": (0.2, 0.5, 0.9), "resampling": how}
    serial = evaluate(dataset, candidate, jobs=1, **common)  # type: ignore[arg-type]
    store = folder / f"store-{engine}"
    os.environ["JUDGE_SECONDS"] = "0.05"
    cluster = engine
    if engine == "dask":
        from distributed import Client, LocalCluster

        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as workers:
            cluster = f"dask:{workers.scheduler_address}"
            with Client(workers) as client:
                killer = threading.Thread(target=kill_one, args=(client, store))
                killer.start()
                spread = evaluate(
                    dataset,
                    candidate,
                    store=str(store),
                    cluster=cluster,
                    **common,  # type: ignore[arg-type]
                )
                killer.join()
    else:
        spread = evaluate(
            dataset,
            candidate,
            store=str(store),
            cluster=cluster,
            **common,  # type: ignore[arg-type]
        )
    assert spread.to_dict() == serial.to_dict(), "the cluster's result differs"
    kept = len(list(store.rglob("*.npz")))
    assert kept == len(dataset.calls), f"{kept} of {len(dataset.calls)} calls were kept"
    print(f"{engine}: {kept} calls, the same as one process's")


if __name__ == "__main__":
    main()
