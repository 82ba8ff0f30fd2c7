"""Results for public boards: TurnBench's traces of interruption scores, and its list of events.

TurnBench (Sesame's benchmark of turn-taking) wants of each conversation, for each of its two
speakers, when that one interrupts the other. Two forms are written, both from its public pages:

* ``predictions.json``: what its board takes (``schema_version`` 1): the times at which the system
  commits to an event, in seconds. A verdict's time is one: it depends on no later audio.
* ``traces/ID.npz`` and ``manifest.json`` (``schema_version`` "1.0"): a score for each frame, four
  float32 arrays of equal length, which its scorer swept in an earlier form.

Ends of turns are another task, of which this library says nothing: no events, scores of 0.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein._version import __version__
from bargein.audio.files import open_recording
from bargein.errors import DatasetError, OptionError
from bargein.files import write_file

from .dataset import Dataset, LabelledCall, Track
from .evaluator import Candidate
from .hearing import Hearing
from .run import Plan, hear_call, load_backend
from .settle import Settings, estimates, settle

__all__ = ["FRAME_RATE", "Conversation", "conversations", "export", "trace"]

FRAME_RATE = 40.0
"""Hz: a frame each 25 ms, which is what one probability of a backend speaks for."""


@attrs.frozen
class Conversation:
    """Two speakers, each of whom may interrupt the other."""

    id: str
    speakers: tuple[Track, Track]


def conversations(dataset: Dataset) -> list[Conversation]:
    """Return a data set's two-channel conversations, in its order.

    A call's first two channels, or its caller's and agent's files by name, are the speakers. Raises
    :class:`~bargein.errors.DatasetError` where there is none, or two would have one name.
    """
    found: dict[tuple[Track, Track], Conversation] = {}
    for call in dataset.calls:
        if call.agent is None:
            continue
        first, second = sorted((call.caller, call.agent), key=lambda track: attrs.astuple(track))
        # One call's recordings have its name; of several calls in one file each has the file's.
        name = call.id if call.id != call.caller.path else Path(call.caller.path).stem
        found.setdefault((first, second), Conversation(_plain(name), (first, second)))
    names = [conversation.id for conversation in found.values()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DatasetError(f"two conversations are called {twice!r}; give each call a name")
    if not found:
        raise DatasetError(f"{dataset.name}: no recording has an agent's channel to be interrupted")
    return list(found.values())


def _plain(name: str) -> str:
    """A name that a file can have."""
    return "".join(char if char.isalnum() or char in "-_." else "_" for char in name)


def export(
    dataset: Dataset,
    candidate: Candidate,
    folder: str | os.PathLike[str],
    *,
    store: str | None = None,
    frame_rate: float = FRAME_RATE,
    split: str = "dev",
) -> int:
    """Judge each conversation both ways and write traces, manifest and predictions.

    Returns how many conversations there are. Raises ``OSError`` where they can't be written, and
    :class:`~bargein.errors.OptionError` for a frame rate that can't be.
    """
    if not 0 < frame_rate <= 1000:
        raise OptionError(f"frame_rate came as {frame_rate!r}; expected Hz above 0, at most 1000")
    backend = load_backend(candidate.backend)
    detection, latency = candidate.options.detection, candidate.options.latency
    threshold = detection.threshold
    settings = Settings(
        threshold=backend.default_threshold if threshold is None else threshold,
        detection=detection,
        latency=latency,
    )
    into = Path(folder)
    (into / "traces").mkdir(parents=True, exist_ok=True)
    plan = Plan(backend=candidate.backend, options=candidate.options, store=store)
    found = conversations(dataset)
    predictions = []
    for conversation in found:
        arrays, events = _judge(conversation, plan, settings, frame_rate)
        np.savez_compressed(into / "traces" / f"{conversation.id}.npz", **arrays)  # type: ignore[arg-type]
        predictions.append({"conversation_id": conversation.id, **events})
    _write(into / "predictions.json", {"schema_version": 1, "predictions": predictions})
    manifest = {
        "schema_version": "1.0",
        "run_name": into.name,
        "baseline": "bargein",
        "checkpoint": f"{backend.provider}/{backend.model}",
        "frame_rate_hz": frame_rate,
        "lookahead_ms": 0.0,
        "split": split,
        "task_ids": [conversation.id for conversation in found],
        "extra": {
            "version": __version__,
            "threshold": settings.threshold,
            "min_interruption_duration": detection.min_interruption_duration,
            "latency_s": latency,
            "eot": "not predicted",
        },
    }
    _write(into / "manifest.json", manifest)
    return len(found)


def _write(path: Path, document: dict[str, Any]) -> None:
    write_file(path, (json.dumps(document, indent=2) + "\n").encode())


def _judge(
    conversation: Conversation, plan: Plan, settings: Settings, frame_rate: float
) -> tuple[dict[str, npt.NDArray[np.float32]], dict[str, Any]]:
    """Take each speaker in turn for the caller, and the other for the agent."""
    durations = []
    for track in conversation.speakers:
        with open_recording(track.path) as recording:
            durations.append(recording.duration)
    frames = int(max(durations) * frame_rate)
    arrays, events = {}, {}
    for number in (1, 2):
        caller, agent = conversation.speakers[:: 1 if number == 1 else -1]
        call = LabelledCall(id=conversation.id, caller=caller, agent=agent)
        hearing = hear_call(call, plan)
        name = f"speaker_{number}"
        arrays[f"eot_score_{name}"] = np.zeros(frames, np.float32)
        arrays[f"interruption_score_{name}"] = trace(
            hearing, settings, frames=frames, frame_rate=frame_rate
        )
        times = [v.detected for v in settle(hearing, settings) if v.is_interruption]
        events[name] = {"eot": [], "interruption": _increasing(times, max(durations))}
    return arrays, events


def _increasing(times: Sequence[float], duration: float) -> list[float]:
    """Whole milliseconds, each later than the one before and inside the audio."""
    found: list[float] = []
    for time in times:
        if time <= duration and (not found or round(time, 3) > found[-1]):
            found.append(round(time, 3))
    return found


def trace(
    hearing: Hearing, settings: Settings, *, frames: int, frame_rate: float
) -> npt.NDArray[np.float32]:
    """Return a score for each frame: float32 (frames,). Frame i is at i / frame_rate seconds.

    It is the estimate of the newest window that has been answered by then, from 0 to 1, while its
    overlap lasts; elsewhere 0. So no frame depends on audio after it.
    """
    scores = np.zeros(frames, np.float32)
    ends = hearing.ends
    values = estimates(hearing.windows, settings.detection.min_frames)
    for window, value in zip(hearing.windows, values, strict=True):
        first = int(np.ceil((window.cut + settings.latency) * frame_rate - 1e-6))
        last = int(np.ceil((ends[window.overlap] + settings.latency) * frame_rate - 1e-6))
        # A newer window's answer writes over what an older one's had filled up to the end.
        scores[first:last] = value
    return scores
