"""Serve with ``bargein serve`` and let livekit-agents' own clients ask it about real audio.

``python tests/server/upstream/run.py NEW OLD``: the Pythons of environments with livekit-agents
1.8 or newer, and 1.5.6. This one has bargein installed, with the extras ``server`` and ``files``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bargein.audio.files import open_recording

ROOT = Path(__file__).parents[3]
CALL = ROOT / "examples" / "call"
KEY, SECRET = "bridge", "a secret of thirty-two characters"
PATIENCE = 120.0
"""Seconds for each client; a scene takes five."""


def scenes() -> list[dict[str, Any]]:
    """What the caller says over the agent while the agent speaks on, and for how long."""
    contents = json.loads((CALL / "contents.json").read_text())
    wanted = ("interruption", "backchannel")
    return [
        {key: said[key] for key in ("onset", "end", "label", "text")}
        for said in contents["caller"]
        if said["label"] in wanted
        # Where the agent begins over the caller there is no agent before the onset to play.
        and any(turn["start"] + 3 < said["onset"] < turn["end"] for turn in contents["agent"])
    ]


def main() -> int:
    """Serve, ask, compare with what is in the call."""
    new, old = sys.argv[1:3]
    runs = [(new, [], "WebSocket"), (old, [], "Http"), (old, ["--as-gateway"], "WebSocket")]
    with tempfile.TemporaryDirectory() as folder, open(f"{folder}/log", "w+b") as log:
        audio = Path(folder) / "caller.raw"
        rate = write_caller(audio)
        environment = os.environ | {"BARGEIN_API_KEY": KEY, "BARGEIN_API_SECRET": SECRET}
        command = [sys.executable, "-m", "bargein", "serve", "--port", "0"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        ) as server:
            failures = []
            try:
                assert server.stdout is not None
                port = server.stdout.readline().strip().rsplit(":", 1)[1]
                arguments = ["--port", port, "--key", KEY, "--secret", SECRET]
                arguments += ["--audio", str(audio), "--rate", str(rate)]
                arguments += ["--scenes", json.dumps(scenes())]
                script = str(Path(__file__).with_name("client.py"))
                failures = [
                    failure
                    for python, extra, kind in runs
                    for failure in ask([python, script, *arguments, *extra], kind)
                ]
            finally:
                server.terminate()
                if server.wait(PATIENCE):
                    failures = [*failures, f"the server ended with {server.returncode}"]
        log.seek(0)
        if failures:
            print(log.read().decode())
    print(*(f"FAILED {failure}" for failure in failures), sep="\n", end="\n" if failures else "")
    return bool(failures)


def write_caller(path: Path) -> int:
    """Write the caller's channel as s16le; return its rate."""
    with open_recording(CALL / "call.flac") as recording, path.open("wb") as file:
        for block in recording.blocks():
            file.write(block[:, 0].astype("<i2").tobytes())
        return recording.sample_rate


def ask(command: list[str], kind: str) -> Iterator[str]:
    """Run one client; give what is wrong with what it was told."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode:
        yield f"{command[0]}: {done.stderr[-2000:]}"
        return
    found = json.loads(done.stdout)
    name = f"livekit-agents {found['version']}, {found['stream']}"
    if kind not in found["stream"]:
        yield f"{name}: expected {kind}"
    for played in found["scenes"]:
        scene, events = played["scene"], played["events"]
        print(f"{name}: {scene['text']!r} at {scene['onset']} s: {events}", flush=True)
        wanted = scene["label"] == "interruption"
        if played["errors"]:
            yield f"{name}: {scene}: {played['errors']}"
        elif [event["is_interruption"] for event in events] != [wanted]:
            yield f"{name}: {scene}: expected one event, is_interruption {wanted}"
        elif not events[0]["frames"]:
            yield f"{name}: {scene}: no window was judged"


if __name__ == "__main__":
    sys.exit(main())
