"""What all runtimes are fed by and measured with. The standard library alone: it runs in any venv.

A client is a process of its own. It opens streams, warms them up, and is then watched for some
seconds: CPU time of the whole process (user and system), resident memory, descriptors, how many
windows reached the server, and how long an event took from the server's hands to the consumer's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import socket
import time
from collections.abc import Callable, Sequence

__all__ = ["FRAME", "STAGGER", "WARM_UP", "Watch", "arguments", "pace", "pace_async", "stamped"]

FRAME = 0.02
"""Seconds of audio in a frame, and between two pushes to one stream."""

BACKLOG = 160
"""Frames pushed at once before the overlap, so that its first window has 3 s already."""

SPEECH = 2.0
"""Seconds of speech heard when the overlap begins: with the prefix of 1 s that makes 3 s."""

STAGGER = 5
"""Streams begin their overlaps in turn over as many frames: calls don't cut all at once."""

WARM_UP = 2.0
"""Seconds from the overlaps' start to the first reading."""


def arguments() -> argparse.Namespace:
    """Return what a client is told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--transport", choices=("websocket", "http"), required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--rate", type=int, choices=(8_000, 16_000), required=True)
    parser.add_argument("--seconds", type=float, required=True)
    return parser.parse_args()


def stamped(probabilities: Sequence[float]) -> int:
    """Read when the server sent a positive reply (see ``server.stamp``): nanoseconds."""
    value = 0
    for word in probabilities[-4:]:
        value = value << 16 | round(float(word) * 65536)
    return value


def pace(tick: Callable[[int], None], seconds: float) -> float:
    """Call ``tick`` every 20 ms in real time; return by how much it was late at worst (s)."""
    late = 0.0
    begin = time.monotonic()
    for number in range(round(seconds / FRAME)):
        due = begin + number * FRAME
        rest = due - time.monotonic()
        if rest > 0:
            time.sleep(rest)
        late = max(late, time.monotonic() - due)
        tick(number)
    return late


async def pace_async(tick: Callable[[int], None], seconds: float) -> float:
    """The same in an event loop."""
    late = 0.0
    begin = time.monotonic()
    for number in range(round(seconds / FRAME)):
        due = begin + number * FRAME
        rest = due - time.monotonic()
        await asyncio.sleep(max(rest, 0))
        late = max(late, time.monotonic() - due)
        tick(number)
    return late


def resident() -> int:
    """Return the bytes of memory that are this process's alone."""
    with open("/proc/self/smaps_rollup") as rollup:
        fields = dict(line.split(":") for line in rollup if ":" in line and "-" not in line)
    private = ("Private_Clean", "Private_Dirty")
    return sum(int(fields[name].split()[0]) * 1024 for name in private)


def descriptors() -> int:
    """Return how many file descriptors are open."""
    return len(os.listdir("/proc/self/fd")) - 1  # the listing's own


class Watch:
    """Readings before and after. ``print`` gives the runner its JSON line."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.heard: list[float] = []
        """Seconds from the server's hands to a listener's."""
        self.read: list[float] = []
        """Seconds from the server's hands to whoever iterates over events."""
        self._measuring = False

    def opened(self) -> None:
        """One stream was opened and closed: what there is once a process is there."""
        self._memory, self._descriptors = resident(), descriptors()

    def begin(self) -> None:
        """The streams are warm."""
        self._measuring = True
        self._windows = self._count()
        self._wall, self._cpu = time.monotonic(), self.spent()

    def note(self, into: list[float], sent: int) -> None:
        """An event reached its consumer; ``sent``: nanoseconds."""
        if self._measuring:
            into.append((time.monotonic_ns() - sent) / 1e9)

    def end(self, *, streams: int, late: float, dead: int) -> None:
        """Read again and print."""
        cpu, wall = self.spent() - self._cpu, time.monotonic() - self._wall
        self._measuring = False
        print(
            json.dumps(
                {
                    "cpu": cpu / wall / streams,
                    "windows": (self._count() - self._windows) / wall / streams,
                    "memory": (resident() - self._memory) / streams,
                    "descriptors": (descriptors() - self._descriptors) / streams,
                    "heard": self.heard,
                    "read": self.read,
                    "late": late,
                    "dead": dead,
                }
            ),
            flush=True,
        )

    @staticmethod
    def spent() -> float:
        """Return the CPU seconds of this process, user and system."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    def _count(self) -> int:
        with socket.create_connection(("127.0.0.1", self._port)) as sock:
            sock.sendall(b"GET /windows HTTP/1.1\r\nHost: localhost\r\n\r\n")
            reply = b""
            while part := sock.recv(4096):
                reply += part
        return int(reply.rpartition(b"\n")[2])
