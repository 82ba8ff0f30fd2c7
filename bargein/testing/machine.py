"""Transcripts of the bare interruption machine: what goes in and what comes out, line by line.

For whoever drives :class:`~bargein.core.InterruptionMachine` on their own; for tests of call logic
take :class:`~bargein.testing.CallScript`.

A transcript is text. Each line has a time, an input, and after an arrow the actions that follow::

    0.0  agent started
    1.0  audio 1.0
    1.0  caller started 0.2
    1.1  audio 0.1           -> send 1 (1.1 s)
    1.1  sent 1
    1.2  reply 1 yes         -> interruption of 1 by 1

``MachineCall.play`` runs the inputs, writes the transcript anew with what truly came out, and
compares the two: a failure is a diff of two transcripts.

Inputs
    ``agent started``, ``agent ended``, ``caller ended``, ``flush``, ``end of input``, ``close``
    ``caller started [speech_duration] [at=EPOCH] [age=SECONDS]``
    ``caller ended [with agent] [at=EPOCH] [age=SECONDS]``
    ``audio SECONDS``, ``gap SECONDS``, ``skip SECONDS``, ``format RATE``
    ``sent ID``, ``reply ID yes|no|PROBABILITY|nothing``, ``failed ID|all REASON [at fallback]``
    ``ready``, ``unready``, ``lost``, ``settings THRESHOLD MIN_FRAMES``
    ``deadline`` (the clock alone), ``look`` (what the machine says of itself)

A ``yes`` or ``no`` is the judge's own decision; a number is the probability of every frame.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

import numpy as np

from bargein.audio import AudioFormat
from bargein.core import (
    Action,
    AgentSpeechEnded,
    AgentSpeechStarted,
    CancelWindow,
    Close,
    EmitVerdict,
    EndOfInput,
    Flush,
    Gap,
    InterruptionMachine,
    InterruptionOptions,
    Judge,
    JudgeReady,
    JudgeSettings,
    JudgeUnready,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    Prediction,
    Reason,
    Reply,
    SendWindow,
    SetFormat,
    Settings,
    Skip,
    Verdict,
    Window,
    WindowFailed,
    WindowSent,
)
from bargein.errors import BargeinError

from .sound import noise

__all__ = ["MachineCall"]

_OPTIONS = set(InterruptionOptions.__annotations__)


class MachineCall:
    """A machine, what was said to it and what it said."""

    def __init__(self, *, sample_rate: int = 16_000, **settings: Any) -> None:
        options = {name: settings.pop(name) for name in list(settings) if name in _OPTIONS}
        settings.setdefault("primary", JudgeSettings(default_threshold=0.5))
        self.machine = InterruptionMachine(
            InterruptionOptions(**options), format=AudioFormat(sample_rate), **settings
        )
        self.verdicts: list[Verdict] = []
        self.windows: dict[int, Window] = {}

    @property
    def verdict(self) -> Verdict:
        """The newest verdict."""
        return self.verdicts[-1]

    def play(self, transcript: str) -> MachineCall:
        """Run a transcript's inputs; fail with a diff where other actions come out."""
        __tracebackhide__ = True
        expected = [line.strip() for line in transcript.strip().splitlines() if line.strip()]
        expected = [re.sub(r"\s+", " ", line) for line in expected]
        actual = []
        for line in expected:
            said = line.partition("->")[0].strip()
            time, _, what = said.partition(" ")
            actions = self.say(what, float(time))
            actual.append(f"{said} -> {'; '.join(actions)}" if actions else said)
        if actual != expected:
            diff = difflib.ndiff(expected, actual)
            raise AssertionError("another transcript (- expected, + came):\n" + "\n".join(diff))
        return self

    def say(self, what: str, now: float) -> list[str]:
        """Do one line; return its actions in words."""
        if what == "look":
            return [self._look()]
        try:
            if what == "deadline":
                actions = self.machine.handle_deadline(now=now)
            else:
                actions = self.machine.handle(self._input(what), now=now)
        except BargeinError as exc:
            return [f"raises {type(exc).__name__}"]
        return [self._words(action) for action in actions]

    def _input(self, what: str) -> Any:
        words = what.split()
        named = {k: float(v) for k, v in (w.split("=") for w in words if "=" in w)}
        if "at" in named:
            named["started_at" if "started" in words else "ended_at"] = named.pop("at")
        words = [word for word in words if "=" not in word]
        match words:
            case ["agent", "started"]:
                return AgentSpeechStarted()
            case ["agent", "ended"]:
                return AgentSpeechEnded()
            case ["caller", "started", *speech]:
                return OverlapSpeechStarted(speech_duration=float((speech or ["0"])[0]), **named)
            case ["caller", "ended", *how]:
                return OverlapSpeechEnded(agent_ended=how == ["with", "agent"], **named)
            case ["audio", seconds]:
                rate = self.machine.format.sample_rate
                return noise(self.machine.position, round(float(seconds) * rate)).tobytes()
            case ["gap", seconds]:
                return Gap(float(seconds))
            case ["skip", seconds]:
                return Skip(round(float(seconds) * self.machine.format.sample_rate))
            case ["format", rate]:
                return SetFormat(AudioFormat(int(rate)))
            case ["sent", window]:
                return WindowSent(int(window))
            case ["reply", window, answer]:
                return Reply(int(window), self._prediction(int(window), answer))
            case ["failed", window, reason, *where]:
                judge = Judge.FALLBACK if where else Judge.PRIMARY
                return WindowFailed(None if window == "all" else int(window), Reason(reason), judge)
            case ["settings", threshold, frames]:
                return Settings(None if threshold == "none" else float(threshold), int(frames))
        simple = {
            "flush": Flush(),
            "end of input": EndOfInput(),
            "close": Close(),
            "ready": JudgeReady(),
            "unready": JudgeUnready(),
            "lost": JudgeUnready(lost=True),
        }
        return simple[what]

    def _prediction(self, window: int, answer: str) -> Prediction:
        if answer in ("yes", "no"):
            return Prediction(is_interruption=answer == "yes")
        samples = len(self.windows[window].samples) if window in self.windows else 0
        if answer == "nothing":
            return Prediction()
        return Prediction(np.full(-(-samples // 400), float(answer), np.float32))

    def _look(self) -> str:
        machine = self.machine
        due, flights = machine.next_deadline(), [machine.in_flight(judge) for judge in Judge]
        words = [machine.state.value, f"{flights[0]} in flight"]
        if flights[1]:
            words.append(f"{flights[1]} at fallback")
        if due is not None:
            words.append(f"due {round(due, 6):g}")
        return ", ".join(words)

    def _words(self, action: Action) -> str:
        if isinstance(action, SendWindow):
            window = action.window
            self.windows[window.id] = window
            return f"send {window.id}{_judge(action.judge)} ({round(window.duration, 4):g} s)"
        if isinstance(action, CancelWindow):
            reason = f": {action.reason.value}" if action.reason else ""
            return f"cancel {action.window_id}{_judge(action.judge)}{reason}"
        if isinstance(action, EmitVerdict):
            verdict = action.verdict
            self.verdicts.append(verdict)
            words = f"{verdict.outcome.value} of {verdict.overlap}"
            if verdict.window_id is not None:
                words += f" by {verdict.window_id}"
            return words + (f": {verdict.reason.value}" if verdict.reason else "")
        return "finish"


def _judge(judge: Judge) -> str:
    return " at fallback" if judge is Judge.FALLBACK else ""
