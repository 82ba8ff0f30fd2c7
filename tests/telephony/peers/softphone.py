"""A softphone with a jitter buffer: pjsua2, each call in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from .sounds import RATE, Samples

WAIT = 60.0
PROGRAM = Path(__file__).with_name("softphone_program.py")


class Softphone:
    """One call: it says all of `said`, and hangs up. With `echo_db` it echoes what it hears."""

    def __init__(
        self, work: Path, port: int, said: Samples, *, name: str, echo_db: float | None = None
    ) -> None:
        self.name = name
        self._tracks = work / f"{name}.npz"
        np.save(work / f"{name}.npy", said)
        command = [sys.executable, str(PROGRAM), str(port)]
        command += [str(work / f"{name}.npy"), str(self._tracks), "--name", name]
        if echo_db is not None:
            command += ["--echo-db", str(echo_db)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def finish(self) -> None:
        """Wait for the call's end; fail if it wasn't one."""
        said, _ = self._process.communicate(timeout=WAIT)
        assert self._process.returncode == 0, said[-2_000:]

    def tracks(self) -> tuple[Samples, Samples]:
        """Return what was said and heard, on one clock, from the first frame said."""
        with np.load(self._tracks) as kept:
            said, all_heard, times = kept["said"], kept["heard"], kept["times"]
            frames = np.split(all_heard, np.cumsum(kept["lengths"]))[:-1]
        heard = np.zeros(said.size + RATE, np.int16)
        for at, frame in zip(times, frames, strict=True):
            begin = int(at * RATE)
            if 0 <= begin <= heard.size - frame.size:
                heard[begin : begin + frame.size] = frame
        return said, heard
