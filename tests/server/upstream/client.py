"""livekit-agents, unmodified, against our server: run in that library's own environment.

Plays scenes of a recording in real time and prints, as JSON, each scene's verdict. ``run.py``
starts it and judges what it prints.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
from livekit import rtc
from livekit.agents import inference
from livekit.agents.inference import interruption

FRAME = 0.02
"""Seconds, as a telephone line brings them."""

LEAD = 2.5
"""Seconds of the agent's speech before the caller's: the room, and a prefix to trim."""

NOTICED = 0.25
"""Seconds after the onset at which a voice activity detector says so."""

HANGOVER = 0.4
"""Seconds after the end of speech at which it says that."""


async def play(detector: Any, samples: bytes, rate: int, scene: dict[str, Any]) -> dict[str, Any]:
    """Play one scene; return what was said about it."""
    events: list[Any] = []
    errors: list[str] = []
    detector.on("overlapping_speech", events.append)
    detector.on("error", lambda error: errors.append(repr(error.error)))
    stream = detector.stream()
    onset, end = float(scene["onset"]), float(scene["end"])
    # Connected first: it processes nothing before that, and then all in a burst.
    await asyncio.sleep(0.5)
    stream.push_frame(interruption._AgentSpeechStartedSentinel())
    size = round(FRAME * rate)
    first, last = round((onset - LEAD) / FRAME), round((end + HANGOVER) / FRAME)
    began = time.monotonic()
    for number in range(first, last):
        data = samples[2 * size * number : 2 * size * (number + 1)]
        stream.push_frame(rtc.AudioFrame(data, rate, 1, size))
        if number == round((onset + NOTICED) / FRAME):
            started = interruption._OverlapSpeechStartedSentinel(NOTICED, time.time() - NOTICED)
            stream.push_frame(started)
        due = began + (number + 1 - first) * FRAME
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    stream.push_frame(interruption._OverlapSpeechEndedSentinel(time.time()))
    stream.end_input()
    async for _ in stream:
        pass
    await stream.aclose()
    said = [
        {
            "is_interruption": event.is_interruption,
            "probability": event.probability,
            "frames": 0 if event.probabilities is None else len(event.probabilities),
            "delay": event.detection_delay,
        }
        for event in events
    ]
    return {"scene": scene, "events": said, "errors": errors}


async def main() -> None:
    """Play all scenes, each with a detector of its own, at the same time."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--as-gateway", action="store_true")
    parser.add_argument("--audio", type=Path, required=True, help="s16le, mono")
    parser.add_argument("--rate", type=int, required=True)
    parser.add_argument("--scenes", required=True, help="JSON")
    given = parser.parse_args()
    address = f"http://127.0.0.1:{given.port}"
    if given.as_gateway:
        # 1.5 speaks WebSocket to its gateway alone. All that changes is where the gateway is.
        interruption.DEFAULT_INFERENCE_URL = address
    samples = given.audio.read_bytes()
    async with aiohttp.ClientSession() as session:
        played = []
        for scene in json.loads(given.scenes):
            detector = inference.AdaptiveInterruptionDetector(
                base_url=address,
                api_key=given.key,
                api_secret=given.secret,
                http_session=session,
                # Its own 0.7 s ends a stream at one slow moment of a loaded machine.
                inference_timeout=5.0,
            )
            played.append(play(detector, samples, given.rate, scene))
        results = await asyncio.gather(*played)
    kind = type(detector.stream()).__name__
    print(json.dumps({"version": version("livekit-agents"), "stream": kind, "scenes": results}))


if __name__ == "__main__":
    asyncio.run(main())
