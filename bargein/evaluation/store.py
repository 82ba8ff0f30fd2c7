"""What was computed isn't computed again: passes over calls, kept by content.

A pass is found by a hash of all that shapes it: the audio files' bytes, channels, the options that
matter, the backend's identity with its weights, and this library's own code. So nothing in the
store is ever out of date; it may be deleted at any time, and shared by machines.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import io
import json
import os
import tempfile
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from bargein.analysis import AnalysisOptions
from bargein.backends.learned import LearnedBackend
from bargein.backends.local import LocalBackend
from bargein.backends.protocol import Backend, FunctionBackend

from .dataset import LabelledCall
from .hearing import Fell, Hearing, Judged

__all__ = ["Store", "default_folder", "hash_file", "identity", "key_of"]

FORMAT = 1
"""Of the stored files; another one is another key."""

_SHAPING = (
    *("max_audio_duration", "audio_prefix_duration", "detection_interval"),
    *("eager_first_window", "reset_window_per_overlap", "prefix_before_agent"),
)
"""Options that shape windows. The others decide verdicts, from the same notes."""

_CODE = ("audio", "vad", "core", "backends", "analysis")
"""Parts of the package whose code shapes a pass, beside :mod:`~bargein.evaluation.hearing`."""

_BLOCK = 1 << 20


def default_folder() -> Path:
    """Where passes are kept unless told otherwise: the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "bargein" / "evaluate"


def hash_file(path: str) -> str:
    """Return a file's SHA-256, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@functools.cache
def _code() -> str:
    """Return a hash of the library's code and of the VAD's weights."""
    digest = hashlib.sha256()
    root = files("bargein")
    for part in _CODE:
        entries = sorted((root / part).iterdir(), key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.endswith(".py"):
                digest.update(entry.name.encode() + b"\0" + entry.read_bytes())
    digest.update((root / "evaluation" / "hearing.py").read_bytes())
    weights = root / "vad" / "weights" / "silero_v6_16k.npz"
    digest.update(weights.read_bytes())
    return digest.hexdigest()


def identity(backend: Backend) -> str | None:
    """Say which backend this is, weights and all; ``None``: that can't be told.

    A backend may say so itself, by an attribute ``cache_key`` (a text). Else the local ones are
    known by their weights, and others by the source of the module that they come from: where such
    a one has weights in a file, or leans on other modules, it should have a ``cache_key``.
    """
    key = getattr(backend, "cache_key", None)
    if key is not None:
        return f"{backend.provider}/{backend.model}/{key}"
    if isinstance(backend, LearnedBackend):
        return f"bargein/learned/{backend.network.digest}"
    if isinstance(backend, LocalBackend):
        return "bargein/sustained"
    source = backend._function if isinstance(backend, FunctionBackend) else type(backend)
    module = inspect.getmodule(source)
    name = getattr(source, "__qualname__", "")
    if module is None or not name or "<" in name:  # a lambda, a closure, an object's method
        return None
    try:
        text = inspect.getsource(module)
    except (OSError, TypeError):
        return None
    return f"{module.__name__}:{name}/{hashlib.sha256(text.encode()).hexdigest()}"


def key_of(call: LabelledCall, options: AnalysisOptions, backend: str) -> str:
    """Return the key of a pass; reads the audio files."""
    detection = attrs.asdict(options.detection)
    tracks = (call.caller, call.agent)
    shape = {
        "format": FORMAT,
        "code": _code(),
        "backend": backend,
        "audio": [track and [hash_file(track.path), track.channel] for track in tracks],
        "agent_start": call.agent_start,
        "detection": {name: detection[name] for name in _SHAPING},
        "tracker": attrs.asdict(options.tracker),
        "echo_gate": options.echo_gate and attrs.asdict(options.echo_gate),
        "playout": attrs.asdict(options.playout),
    }
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()


class Store:
    """A folder of passes. Any number of processes and machines may share it.

    A file appears under its name when it is whole, so a process that is killed leaves nothing
    half-written behind; one that is damaged all the same counts as not being there.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npz"

    def get(self, key: str) -> Hearing | None:
        """Return what is kept under a key."""
        try:
            with self._path(key).open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return _unpack(archive)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
            return None  # damaged: it is computed again, and written over

    def put(self, key: str, hearing: Hearing) -> None:
        """Keep a pass. Raises ``OSError`` where that can't be done."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        data = io.BytesIO()
        np.savez_compressed(data, **_pack(hearing))
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data.getbuffer())
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise


def _pack(hearing: Hearing) -> dict[str, Any]:
    windows = hearing.windows
    about = {
        "sample_rate": hearing.sample_rate,
        "frames": hearing.frames,
        "error": hearing.error,
        "fell": [attrs.astuple(entry) for entry in hearing.fell],
    }
    parts = [window.probabilities for window in windows] or [np.zeros(0, np.float32)]
    return {
        "about": np.array(json.dumps(about)),
        "windows": np.array(
            [(w.overlap, w.end, w.decision, len(w.probabilities)) for w in windows], np.int64
        ).reshape(-1, 4),
        "probabilities": np.concatenate(parts),
    }


def _unpack(archive: Any) -> Hearing:
    about = json.loads(str(archive["about"]))
    rows, probabilities = archive["windows"], archive["probabilities"]
    ends = np.cumsum(rows[:, 3])
    if len(rows) and ends[-1] != len(probabilities):
        raise ValueError("probabilities are missing")
    probabilities.setflags(write=False)
    return Hearing(
        sample_rate=about["sample_rate"],
        frames=about["frames"],
        error=about["error"],
        fell=tuple(Fell(*entry) for entry in about["fell"]),
        windows=tuple(
            Judged(int(overlap), int(end), probabilities[last - count : last], int(decision))
            for (overlap, end, decision, count), last in zip(rows, ends, strict=True)
        ),
    )
