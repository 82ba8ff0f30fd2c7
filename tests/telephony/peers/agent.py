"""The agent that the peers call: it plays a prompt by `Call`, and everything is written down."""

from __future__ import annotations

import threading
import time
from typing import Any

from bargein import AdaptiveInterruptionDetector
from bargein.telephony import Line
from bargein.telephony.call import Call, CallEvent
from bargein.telephony.policy import BargeInPolicy

from .sounds import RATE, prompt

WAIT = 60.0


class Visit:
    """One call, with its events and its caller's audio."""

    def __init__(self, line: Line, agent: Agent) -> None:
        self.line = line
        self.audio = bytearray()
        self.gaps: list[float] = []
        self.events: list[CallEvent] = []
        self.over = threading.Event()
        self.call = Call(line, agent.detector, policy=agent.policy, tap=self._hear)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        self.call.play(prompt(), sample_rate=RATE)

    def _hear(self, caller: bytes, agent: bytes, now: float) -> None:
        self.audio += caller

    def _read(self) -> None:
        for event in self.call:
            self.events.append(event)
        self.over.set()

    def wait(self) -> Visit:
        assert self.over.wait(WAIT), [e.kind for e in self.events]
        self._thread.join()
        return self

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def first(self, kind: str) -> CallEvent | None:
        return next((event for event in self.events if event.kind == kind), None)

    def verdicts(self) -> list[str]:
        return [
            e.verdict.outcome for e in self.events if e.verdict is not None and e.kind == "verdict"
        ]

    def complete(self) -> bool:
        """Whether each overlap has its verdict and the call its end, which is last."""
        kinds = self.kinds()
        return (
            kinds.count("overlap_started") == kinds.count("verdict")
            and kinds.count("ended") == 1
            and kinds[-1] == "ended"
        )


class Agent:
    """An ``on_call`` that makes a `Visit` of each call."""

    def __init__(self, policy: BargeInPolicy | None = None, backend: Any = "local") -> None:
        self.policy = policy
        self.detector = AdaptiveInterruptionDetector(backend=backend)
        # Loaded now: a first call shouldn't wait for weights.
        with self.detector.stream(sample_rate=RATE, encoding="mulaw", vad="silero") as stream:
            stream.agent_speech_started()
            stream.push_frame(bytes([255]) * 800)
        self.visits: list[Visit] = []
        self._came = threading.Condition()

    def __call__(self, line: Line) -> Call:
        visit = Visit(line, self)
        with self._came:
            self.visits.append(visit)
            self._came.notify_all()
        return visit.call

    def wait(self, number: int) -> list[Visit]:
        """Return so many calls, once they are over."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.visits) >= number, WAIT)
        return [visit.wait() for visit in self.visits]

    def close(self) -> None:
        for visit in self.visits:
            visit.call.close()
            visit.wait()
        self.detector.close()

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def cpu() -> float:
    """Seconds of CPU that this process has used."""
    return time.process_time()
