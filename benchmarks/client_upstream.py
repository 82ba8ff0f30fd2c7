"""The client that runs livekit-agents: started by ``benchmarks.compare`` in that one's venv.

1.5.6 speaks HTTP to an address that isn't the gateway's; 1.8.x a WebSocket to any. Audio at 8 kHz
is given to it decoded, for it reads no u-law.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import Any

import aiohttp
from livekit import rtc
from livekit.agents import inference
from livekit.agents.inference import interruption

from benchmarks.load import (
    BACKLOG,
    SPEECH,
    STAGGER,
    WARM_UP,
    Watch,
    arguments,
    pace_async,
    stamped,
)


def tone(rate: int) -> Any:
    """Return 20 ms of audio."""
    import numpy as np

    samples = np.round(8_000 * np.sin(2 * math.pi * 200 * np.arange(rate // 50) / rate))
    return rtc.AudioFrame(samples.astype("<i2").tobytes(), rate, 1, rate // 50)


def overlap() -> Any:
    """Return the sentinel that begins an overlap."""
    return interruption._OverlapSpeechStartedSentinel(SPEECH, time.time())


async def main() -> None:
    """Feed the streams, measure, print."""
    logging.disable(logging.WARNING)
    given = arguments()
    frame = tone(given.rate)
    watch = Watch(given.port)
    # As many connections as it likes: aiohttp's default of 100 would hold 200 streams up.
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        detector = inference.AdaptiveInterruptionDetector(
            base_url=f"http://127.0.0.1:{given.port}",
            api_key="key",
            api_secret="a secret of thirty-two characters",
            http_session=session,
        )

        def heard(event: Any) -> None:
            if event.is_interruption:
                watch.note(watch.heard, stamped(event.probabilities))

        async def read(stream: Any) -> None:
            async for event in stream:
                if event.is_interruption:
                    watch.note(watch.read, stamped(event.probabilities))
                    stream.push_frame(overlap())

        first = detector.stream()
        first.push_frame(interruption._AgentSpeechStartedSentinel())
        await asyncio.sleep(0.2)
        await first.aclose()
        watch.opened()
        streams = [detector.stream() for _ in range(given.streams)]
        detector.on("overlapping_speech", heard)
        readers = [asyncio.create_task(read(stream)) for stream in streams]
        await asyncio.sleep(0.5)  # connected: upstream processes nothing before
        for stream in streams:
            stream.push_frame(interruption._AgentSpeechStartedSentinel())
            for _ in range(BACKLOG):
                stream.push_frame(frame)
            await asyncio.sleep(0)
        live = list(streams)

        def start(number: int) -> None:
            for stream in streams[number % STAGGER :: STAGGER] if number < STAGGER else ():
                stream.push_frame(overlap())
            tick(number)

        def tick(number: int) -> None:
            for stream in list(live):
                try:
                    stream.push_frame(frame)
                except RuntimeError:  # its stream ended by an error
                    live.remove(stream)

        await pace_async(start, WARM_UP)
        watch.begin()
        late = await pace_async(tick, given.seconds)
        watch.end(streams=given.streams, late=late, dead=given.streams - len(live))
        for stream in streams:
            await stream.aclose()
        await asyncio.gather(*readers, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
