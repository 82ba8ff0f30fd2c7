"""Two replicas on Ray Serve, calls over both, one replica killed in the middle of overlaps.

``python tests/server/rayserve/run.py``, where bargein (extras ``server`` and ``files``) and
``ray[serve]`` are installed. Every overlap must have its one event, whoever judged it.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import ray
from app import NOTES, app
from ray import serve

from bargein import AdaptiveInterruptionDetector, APIConnectOptions
from bargein.audio.files import open_recording
from bargein.core import Outcome

CALL = Path(__file__).parents[3] / "examples" / "call" / "call.flac"
CALLS = 8
FRAME = 0.02
OVERLAPS = 3
"""In each call: before, across and after the kill."""

TALK, REST = 3.0, 1.0
"""Seconds of an overlap, and between two."""

PATIENCE = 60.0


class Call(threading.Thread):
    """A call in real time: the agent speaks all along, the caller says the same thing thrice."""

    def __init__(self, detector: AdaptiveInterruptionDetector, number: int, audio: bytes) -> None:
        super().__init__(name=f"call {number}", daemon=True)
        self.stream = detector.stream(
            id=f"call {number}", sample_rate=8000, conn_options=APIConnectOptions(max_retry=None)
        )
        self.audio = audio
        self.events: list[Outcome] = []
        self.errors: list[str] = []
        self.stream.on("overlapping_speech", lambda event: self.events.append(event.outcome))
        self.stream.on("error", lambda error: self.errors.append(str(error.error)))

    def run(self) -> None:
        """Speak."""
        size = round(FRAME * 8000) * 2
        due = time.monotonic()

        def speak(seconds: float) -> None:
            nonlocal due
            for at in range(0, round(seconds / FRAME) * size, size):
                self.stream.push_frame(self.audio[at : at + size])
                due += FRAME
                time.sleep(max(0.0, due - time.monotonic()))

        self.stream.agent_speech_started()
        for _ in range(OVERLAPS):
            speak(REST)
            self.stream.overlap_speech_started(speech_duration=0.2)
            speak(TALK)
            self.stream.overlap_speech_ended()
        speak(REST)
        self.stream.end_input()


def main() -> int:
    """Serve, call, kill, count."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with open_recording(CALL) as recording:
        caller = b"".join(block[:, 0].tobytes() for block in recording.blocks())
    backchannel = caller[2 * int(14.6 * 8000) : 2 * int(19.0 * 8000)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ[NOTES] = folder
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=100 * 2**20,
            log_to_driver=False,
            runtime_env={"env_vars": {NOTES: folder}},
        )
        try:
            serve.start(http_options={"host": "127.0.0.1", "port": port})
            serve.run(app)
            return judge(f"ws://127.0.0.1:{port}", backchannel, Path(folder))
        finally:
            serve.shutdown()
            ray.shutdown()


def notes(folder: Path) -> dict[str, int]:
    """Return how many windows each replica judged."""
    return {path.name: path.stat().st_size for path in folder.iterdir()}


def judge(url: str, audio: bytes, folder: Path) -> int:
    """Run the calls; return 0 if all is as it must be."""
    # Patient, as Ray has much to do on two cores; a lost connection is noticed at once.
    with AdaptiveInterruptionDetector(
        base_url=url, inference_timeout=PATIENCE, verdict_grace=TALK
    ) as detector:
        calls = [Call(detector, number, audio) for number in range(CALLS)]
        for call in calls:
            call.start()
            time.sleep(0.1)  # so that Ray knows of one session when it places the next
        time.sleep(REST + TALK + REST + 1.0)  # in the middle of the second overlap
        before = notes(folder)
        replicas = [
            actor
            for actor in ray.util.list_named_actors(all_namespaces=True)
            if actor["name"].startswith("SERVE_REPLICA::")
        ]
        ray.kill(ray.get_actor(**replicas[0]), no_restart=True)
        for call in calls:
            call.join(PATIENCE)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and any(len(call.events) < OVERLAPS for call in calls):
            time.sleep(0.1)
        time.sleep(1.0)  # in which there mustn't be more
        reconnects = [call.stream.stats().reconnects for call in calls]
    after = notes(folder)
    outcomes = Counter(str(outcome.value) for call in calls for outcome in call.events)
    moved = sum(count > 0 for count in reconnects)
    print(f"{len(calls)} calls of {OVERLAPS} overlaps: {dict(outcomes)}")
    print(f"{moved} calls reconnected; windows by process {before}, at the end {after}")
    print("errors:", Counter(error for call in calls for error in call.errors))
    failures = []
    if len(replicas) != 2 or len([count for count in before.values() if count]) != 2:
        failures.append("the load wasn't over two replicas")
    if not moved:
        failures.append("no call reconnected")
    if any(len(call.events) != OVERLAPS for call in calls):
        failures.append(f"expected {OVERLAPS} events a call: {[c.events for c in calls]}")
    if any(
        call.events[i] is Outcome.INCONCLUSIVE for call in calls for i in (0, -1) if call.events
    ):
        failures.append("an overlap well before or after the kill wasn't judged")
    for failure in failures:
        print("FAILED", failure)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
