"""A recording's lines: what went into a call's machine and what came out, as JSON and back.

One line is one JSON object. ``t`` is the machine's clock, in seconds; what else it holds depends on
its kind (docs/recordings.md has the table). Floats are written with as many digits as give the same
float again, so nothing is lost. The audio itself lies beside the lines; they count its samples.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.audio import AudioFormat
from bargein.core import (
    Action,
    AgentSpeechEnded,
    AgentSpeechStarted,
    Audio,
    CancelWindow,
    Close,
    EmitVerdict,
    EndOfInput,
    Flush,
    Gap,
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
    WindowFailed,
    WindowSent,
)
from bargein.core.echo import EchoGateOptions
from bargein.core.inputs import AgentAudio, VoiceActivity
from bargein.core.playout import PlayoutOptions
from bargein.core.setup import CallSetup
from bargein.core.tracker import TrackerOptions
from bargein.errors import RecordingError

__all__ = ["dump_action", "dump_input", "dump_setup", "load_input", "load_setup", "to_line"]

_Json = dict[str, Any]


def to_line(entry: Mapping[str, Any]) -> bytes:
    """Return an entry as a line of a recording."""
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


# --- settings -----------------------------------------------------------------------------------

_PARTS: dict[str, type] = {
    "options": InterruptionOptions,
    "format": AudioFormat,
    "primary": JudgeSettings,
    "tracker": TrackerOptions,
    "gate": EchoGateOptions,
    "playout": PlayoutOptions,
}


def dump_setup(setup: CallSetup) -> _Json:
    """Return a call's settings as JSON types. The samples are mono s16le from here on."""
    plain: _Json = {
        name: None if (part := getattr(setup, name)) is None else attrs.asdict(part)
        for name in _PARTS
    }
    plain["format"] = setup.format.sample_rate
    fallback = setup.fallback
    if isinstance(fallback, Reason):
        plain["fallback"] = fallback.value
    else:
        plain["fallback"] = None if fallback is None else attrs.asdict(fallback)
    for name in ("ready", "vad", "activations"):
        plain[name] = getattr(setup, name)
    return plain


def load_setup(plain: _Json) -> CallSetup:
    """Return the settings that :func:`dump_setup` wrote."""
    read: _Json = {name: plain[name] for name in ("ready", "vad", "activations")}
    for name, kind in _PARTS.items():
        part = plain[name]
        if name == "format":
            read[name] = AudioFormat(part)
        else:
            read[name] = None if part is None else kind(**part)
    fallback = plain["fallback"]
    if isinstance(fallback, str):
        read["fallback"] = Reason(fallback)
    else:
        read["fallback"] = None if fallback is None else JudgeSettings(**fallback)
    return CallSetup(**read)


# --- inputs -------------------------------------------------------------------------------------


def _plain(*names: str) -> Callable[[Any], _Json]:
    return lambda item: {name: getattr(item, name) for name in names}


def _duration(item: Gap) -> _Json:
    # A fraction of a sample can't be told by a float: 1/3 stays 1/3.
    value = item.duration
    return {"duration": str(value) if isinstance(value, Fraction) else value}


def _reply(item: Reply) -> _Json:
    found = item.prediction
    return {
        "window": item.window_id,
        # As short as gives the same float32 again.
        "probabilities": [float(str(value)) for value in found.probabilities],
        "is_interruption": found.is_interruption,
        "duration": found.duration,
    }


def _failed(item: WindowFailed) -> _Json:
    return {"window": item.window_id, "reason": item.reason.value, "judge": item.judge.value}


_DUMPS: dict[type, Callable[[Any], _Json]] = {
    Skip: _plain("samples"),
    Gap: _duration,
    SetFormat: lambda item: {"rate": item.format.sample_rate},
    VoiceActivity: _plain("probability"),
    AgentSpeechStarted: _plain(),
    AgentSpeechEnded: _plain(),
    OverlapSpeechStarted: _plain("speech_duration", "started_at", "age"),
    OverlapSpeechEnded: _plain("ended_at", "agent_ended", "age"),
    Flush: _plain(),
    EndOfInput: _plain(),
    Close: _plain(),
    Settings: _plain("threshold", "min_frames"),
    WindowSent: lambda item: {"window": item.window_id},
    Reply: _reply,
    WindowFailed: _failed,
    JudgeReady: _plain(),
    JudgeUnready: _plain("lost"),
}


def dump_input(item: Any, now: float, *, direct: bool) -> _Json:
    """Return an input as an entry. Of audio it has the number of samples alone."""
    entry: _Json = {"t": now, "in": type(item).__name__}
    if direct:
        entry["direct"] = True
    return entry | _DUMPS[type(item)](item)


def _gap(plain: _Json) -> Gap:
    value = plain["duration"]
    return Gap(Fraction(value) if isinstance(value, str) else value)


def _prediction(plain: _Json) -> Prediction:
    return Prediction(
        np.array(plain["probabilities"], np.float32), plain["is_interruption"], plain["duration"]
    )


_LOADS: dict[str, Callable[[_Json], Any]] = {
    "Skip": lambda p: Skip(p["samples"]),
    "Gap": _gap,
    "SetFormat": lambda p: SetFormat(AudioFormat(p["rate"])),
    "VoiceActivity": lambda p: VoiceActivity(p["probability"]),
    "AgentSpeechStarted": lambda p: AgentSpeechStarted(),
    "AgentSpeechEnded": lambda p: AgentSpeechEnded(),
    "OverlapSpeechStarted": lambda p: OverlapSpeechStarted(
        speech_duration=p["speech_duration"], started_at=p["started_at"], age=p["age"]
    ),
    "OverlapSpeechEnded": lambda p: OverlapSpeechEnded(
        ended_at=p["ended_at"], agent_ended=p["agent_ended"], age=p["age"]
    ),
    "Flush": lambda p: Flush(),
    "EndOfInput": lambda p: EndOfInput(),
    "Close": lambda p: Close(),
    "Settings": lambda p: Settings(p["threshold"], p["min_frames"]),
    "WindowSent": lambda p: WindowSent(p["window"]),
    "Reply": lambda p: Reply(p["window"], _prediction(p)),
    "WindowFailed": lambda p: WindowFailed(p["window"], Reason(p["reason"]), Judge(p["judge"])),
    "JudgeReady": lambda p: JudgeReady(),
    "JudgeUnready": lambda p: JudgeUnready(p["lost"]),
}


def load_input(plain: _Json, take: Callable[[str, int], npt.NDArray[np.int16]]) -> Any:
    """Return the input that an entry tells of; ``take(who, n)`` gives the audio's samples.

    Raises :class:`~bargein.errors.RecordingError` for a kind that isn't known.
    """
    kind = plain["in"]
    if kind == "Audio":
        return Audio(take("caller", plain["n"]).astype("<i2", copy=False).tobytes())
    if kind == "AgentAudio":
        data = take("agent", plain["n"]).astype("<i2", copy=False).tobytes()
        return AgentAudio(data, AudioFormat(plain["rate"]))
    if kind not in _LOADS:
        raise RecordingError(f"an input of kind {kind!r} isn't known")
    return _LOADS[kind](plain)


# --- actions ------------------------------------------------------------------------------------


def dump_action(action: Action) -> _Json:
    """Return an action as an entry. A verdict's event has an entry of its own."""
    entry: _Json = {"out": type(action).__name__}
    if isinstance(action, SendWindow):
        window = action.window
        entry |= {
            "judge": action.judge.value,
            "window": window.id,
            "overlap": window.overlap,
            "start": window.start,
            "samples": len(window.samples),
        }
    elif isinstance(action, CancelWindow):
        reason = None if action.reason is None else action.reason.value
        entry |= {"judge": action.judge.value, "window": action.window_id, "reason": reason}
    elif isinstance(action, EmitVerdict):
        entry |= {"overlap": action.verdict.overlap}
    return entry
