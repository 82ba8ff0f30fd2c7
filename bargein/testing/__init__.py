"""The testing kit: call scripts, answers and faults, a scripted backend and a scripted server.

For tests of call logic that depends on verdicts: without a network, without threads and in no
time (:class:`CallScript`, :class:`StillCall`), or against a real server that misbehaves on
command (:class:`ScriptedServer`). With pytest installed, its fixtures are there by themselves
(:mod:`bargein.testing.plugin`). Names resolve on first use; ``import bargein`` loads nothing of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bargein.testing import answers
    from bargein.testing.answers import Answer
    from bargein.testing.backend import ScriptedBackend
    from bargein.testing.call import StillCall
    from bargein.testing.caller import Caller
    from bargein.testing.check import Run, ScriptFailure
    from bargein.testing.clock import FakeClock
    from bargein.testing.heard import Heard
    from bargein.testing.recorded import load_recording
    from bargein.testing.recorder import Recorder
    from bargein.testing.script import CallScript, Expectation, Given, Turn, Utterance
    from bargein.testing.server import ScriptedServer, refuse
    from bargein.testing.still import StillDetector, StillStream

__all__ = [
    "Answer",
    "CallScript",
    "Caller",
    "Expectation",
    "FakeClock",
    "Given",
    "Heard",
    "Recorder",
    "Run",
    "ScriptFailure",
    "ScriptedBackend",
    "ScriptedServer",
    "StillCall",
    "StillDetector",
    "StillStream",
    "Turn",
    "Utterance",
    "answers",
    "load_recording",
    "refuse",
]

_HOMES = {
    "Answer": "answers",
    "CallScript": "script",
    "Caller": "caller",
    "Expectation": "script",
    "FakeClock": "clock",
    "Given": "script",
    "Heard": "heard",
    "Recorder": "recorder",
    "Run": "check",
    "ScriptFailure": "check",
    "ScriptedBackend": "backend",
    "ScriptedServer": "server",
    "StillCall": "call",
    "StillDetector": "still",
    "StillStream": "still",
    "Turn": "script",
    "Utterance": "script",
    "load_recording": "recorded",
    "refuse": "server",
}

# Hidden from type checkers: a module with a __getattr__ would have every name.
if not TYPE_CHECKING:  # pragma: no branch

    def __getattr__(name: str) -> object:
        """Import the module that defines ``name`` (PEP 562)."""
        from importlib import import_module

        if name == "answers":
            return import_module("bargein.testing.answers")
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'bargein.testing' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"bargein.testing.{home}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
