"""The agent that the peers call: it plays a prompt by `Call`, and everything is written down."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from bargein import AdaptiveInterruptionDetector
from bargein.audio import decode
from bargein.telephony import Line
from bargein.telephony.call import Call, CallEvent
from bargein.telephony.policy import BargeInPolicy

from .sounds import RATE, Samples, first_audible, prompt

WAIT = 60.0

STALL = 0.1
"""Seconds between two frames of a side's that say that the machine had something better to do."""


class Visit:
    """One call, with its events and its caller's audio."""

    def __init__(self, line: Line, agent: Agent) -> None:
        self.line = line
        self.audio = bytearray()
        self.events: list[CallEvent] = []
        self.smooth = True
        """Whether both sides' audio came at a telephone's pace. Where it didn't, an echo's delay
        has jumped, and words have holes: what is heard then is no proof of anything."""
        self._newest: dict[str, float] = {}
        self._stays = agent.stays
        self._leave_at: float | None = None
        self._changed = threading.Condition()
        self.call = Call(line, agent.detector, policy=agent.policy, tap=self._hear)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        self.call.play(prompt(), sample_rate=RATE)

    def _hear(self, caller: bytes, agent: bytes, now: float) -> None:
        self.audio += caller
        for side, audio in (("caller", caller), ("agent", agent)):
            if audio:
                self.smooth &= now - self._newest.get(side, now) < STALL
                self._newest[side] = now
        if self._leave_at is not None and len(self.audio) >= self._leave_at:
            self.call.hang_up()

    def _read(self) -> None:
        for event in self.call:
            with self._changed:
                self.events.append(event)
                self._changed.notify_all()
            if event.kind == "agent_ended" and self._stays is not None:
                fmt = self.line.format
                self._leave_at = len(self.audio) + self._stays * fmt.sample_rate * fmt.frame_width

    def wait_for(self, kind: str) -> CallEvent:
        """Return the first event of a kind, once it has happened."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.first(kind), WAIT), self.kinds()
        return self.first(kind)  # type: ignore[return-value]

    def wait(self) -> Visit:
        self.wait_for("ended")
        self._thread.join()
        return self

    @property
    def caller(self) -> str:
        """Whom the network says that it is."""
        return self.line.details.get("caller", "")

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def first(self, kind: str) -> CallEvent | None:
        return next((event for event in self.events if event.kind == kind), None)

    def verdicts(self) -> list[str]:
        return [
            e.verdict.outcome for e in self.events if e.verdict is not None and e.kind == "verdict"
        ]

    @property
    def wrongly_stopped(self) -> bool:
        """Whether the agent stopped for a caller who didn't want it to, on a fit machine."""
        return self.smooth and self.first("stopped") is not None

    @property
    def interrupted(self) -> bool:
        """Whether the judge found an interruption, and the agent stopped for it."""
        stopped = self.first("stopped")
        return stopped is not None and stopped.reason == "interruption"

    def complete(self) -> bool:
        """Whether each overlap has its verdict and the call its end, which is last."""
        kinds = self.kinds()
        return (
            kinds.count("overlap_started") == kinds.count("verdict")
            and kinds.count("ended") == 1
            and kinds[-1] == "ended"
        )

    def heard(self) -> Samples:
        """Return what came of the caller, at 8 kHz."""
        samples = decode(bytes(self.audio), self.line.format)
        return np.asarray(samples[:: self.line.format.sample_rate // RATE], np.int16)


class Agent:
    """An ``on_call`` that makes a `Visit` of each call.

    With ``stays`` it hangs up so many seconds (of the caller's audio) after it fell silent.
    """

    def __init__(
        self,
        policy: BargeInPolicy | None = None,
        backend: Any = "local",
        stays: float | None = None,
    ) -> None:
        self.policy = policy
        self.stays = stays
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

    def came(self, number: int) -> list[Visit]:
        """Return so many calls, once they have come in."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.visits) >= number, WAIT)
            return list(self.visits)

    def wait(self, number: int) -> list[Visit]:
        """Return so many calls, once they are over."""
        return [visit.wait() for visit in self.came(number)]

    def close(self) -> None:
        for visit in self.visits:
            visit.call.close()
            visit.wait()
        self.detector.close()

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def in_order_of_onset(visits: list[Visit]) -> list[Visit]:
    """Return calls by when their callers began to speak: where nothing else tells them apart."""
    return sorted(visits, key=lambda visit: first_audible(visit.heard()))


def cpu() -> float:
    """Seconds of CPU that this process has used."""
    return time.process_time()
