"""Writes calls to disk while they run: one thread for all, nothing that a call waits for.

A call's folder holds ``call.jsonl`` (see :mod:`bargein.recording.entries`) and the audio of both
sides in segments: the newest as raw samples (``caller-0001-8000.pcm``), because a FLAC file that
wasn't closed can't be read, and each that is full as ``.flac``. So what was written before the
process was killed is there.
"""

from __future__ import annotations

import datetime
import errno
import logging
import os
import queue
import re
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein._version import __version__
from bargein.audio import AudioFormat, decode
from bargein.core import (
    Action,
    Audio,
    InterruptionDetectionError,
    OverlappingSpeechEvent,
    SendWindow,
    SetFormat,
)
from bargein.core.inputs import AgentAudio
from bargein.core.setup import CallSetup
from bargein.core.taps import Tap
from bargein.errors import MissingExtraError, RecordingError

from .entries import dump_action, dump_input, dump_setup, to_line
from .events import dump_event

__all__ = ["FORMAT", "VERSION", "Recorder"]

logger = logging.getLogger("bargein")

FORMAT = "bargein recording"
VERSION = 1
"""Of the format. A reader refuses what is newer, and reads all that is older."""

SEGMENT = 30
"""Seconds of audio in a file: what has to be encoded at once, 40 ms of work."""

MAX_WAITING = 16 << 20
"""Bytes that may wait for the disk, of all calls: half a minute of a hundred calls. Beyond it the
call that wants to add more has its recording ended; the call itself goes on."""

_NEVER_SAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Recorder:
    """Records calls, each into a folder of its own under ``folder``. Thread-safe.

    ``broken_off`` counts the recordings that ended before their calls: the disk was full, or slow.

    Give it to any number of streams: ``detector.stream(recorder=Recorder("calls"))``. Closing it
    waits for the disk; without that, what is left is written when the interpreter exits.

    Raises :class:`~bargein.errors.MissingExtraError` without soundfile (the extra ``files``), and
    :class:`~bargein.errors.RecordingError` if the folder can't be made.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            import_module("soundfile")
        except ImportError:
            raise MissingExtraError("recording a call", "files") from None
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordingError(
                f"{self.folder}: no folder for recordings: {error.strerror}"
            ) from error
        self._reset()

    def begin(self, stream_id: str, setup: CallSetup, about: Mapping[str, Any]) -> Tap:
        """Begin a call's recording. ``about`` says who judges; JSON types, no secrets.

        Raises :class:`~bargein.errors.RecordingError` if its folder can't be made.
        """
        began = datetime.datetime.now(datetime.timezone.utc)
        name = f"{began:%Y%m%dT%H%M%S.%f}-{_NEVER_SAFE.sub('_', stream_id)[:80]}"
        folder = _Folder(self.folder / name)
        header = {
            "format": FORMAT,
            "version": VERSION,
            "bargein": __version__,
            "numpy": np.__version__,
            "stream_id": stream_id,
            "began": began.isoformat(),
            **about,
            "setup": dump_setup(setup),
        }
        tape = _Tape(self, folder, setup.format)
        if self._process != os.getpid():
            self._reset()  # after a fork: the thread, and what waited for it, are the parent's
        with self._lock:
            self._open += 1
        self.put(folder, header, 0)
        return tape

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[_Folder, Any, int]] = queue.SimpleQueue()
        self._waiting = 0
        self._open = 0
        self.broken_off = 0
        self._thread: threading.Thread | None = None

    def put(self, folder: _Folder, entry: Any, size: int) -> bool:
        """Have an entry written; False, and nothing is, if too much waits. Never blocks."""
        with self._lock:
            if self._waiting + size > MAX_WAITING:
                self.broken_off += 1
                return False
            self._waiting += size
            self._queue.put((folder, entry, size))
            if self._thread is None:
                self._start_thread()
        return True

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._write_all, name="bargein-recorder", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has none left: perhaps at the next entry
            logger.error("%s: no thread could be started to record: %s", self.folder, error)
        else:
            self._thread = thread

    def close(self, timeout: float = 10.0) -> None:
        """Wait until all calls that ended are on the disk, at most ``timeout`` seconds.

        Calls that still run stay recorded, and keep the thread; close their streams first.
        """
        thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_all(self) -> None:
        """Write until no call is recorded any more. On the recorder's thread."""
        while True:
            folder, entry, size = self._queue.get()
            wrote = folder.write(entry)
            with self._lock:
                self._waiting -= size
                self.broken_off += not wrote
                if entry is _END:
                    self._open -= 1
                if self._open == 0 and self._queue.empty():
                    self._thread = None
                    return


_END: dict[str, Any] = {"end": None}
"""The entry that closes a folder; compared by identity."""


class _Tape(Tap):
    """One call's way to the recorder. Its methods are the call's owner's."""

    wants_all_audio = True

    def __init__(self, recorder: Recorder, folder: _Folder, fmt: AudioFormat) -> None:
        self._recorder = recorder
        self._folder = folder
        self._format = fmt
        self._running = True

    def input(self, item: Any, now: float, *, direct: bool) -> None:
        if isinstance(item, SetFormat):
            self._format = item.format
        if isinstance(item, (Audio, AgentAudio)):
            fmt = item.format if isinstance(item, AgentAudio) else self._format
            self._put(_Heard(item, fmt, now), len(item.data))
        else:
            self._put(_Input(item, now, direct))

    def deadline(self, now: float) -> None:
        self._put({"t": now, "deadline": True})

    def actions(self, actions: Sequence[Action]) -> None:
        for action in actions:
            # Not the action itself: it holds three seconds of samples.
            self._put(dump_action(action) if isinstance(action, SendWindow) else action)

    def event(self, event: OverlappingSpeechEvent, offset: float) -> None:
        self._put(_Emitted(event, offset), 100_000)

    def error(self, error: InterruptionDetectionError) -> None:
        self._put({"error": error.to_dict()})

    def end(self, error: BaseException | None) -> None:
        if self._running:
            self._put({"ended": None if error is None else f"{type(error).__name__}: {error}"})
        self._stop()

    def _put(self, entry: Any, size: int = 200) -> None:
        if not self._running:
            return
        if not self._recorder.put(self._folder, entry, size):
            self._recorder.put(self._folder, {"lost": "the disk was too slow"}, 0)
            self._stop()

    def _stop(self) -> None:
        if self._running:
            self._running = False
            self._recorder.put(self._folder, _END, 0)


@attrs.frozen
class _Heard:
    item: Audio | AgentAudio
    format: AudioFormat
    now: float


@attrs.frozen
class _Input:
    item: Any
    now: float
    direct: bool


@attrs.frozen
class _Emitted:
    event: OverlappingSpeechEvent
    offset: float


class _Folder:
    """A call's folder. Made by whoever begins the call, written by the recorder's thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir()
            self._lines = (path / "call.jsonl").open("wb", buffering=0)
        except OSError as error:
            raise RecordingError(f"{path}: can't be written: {error.strerror}") from error
        self._tracks = {"caller": _Track(path, "caller"), "agent": _Track(path, "agent")}
        self._failed = False

    def write(self, entry: Any) -> bool:
        """Write one entry; what can't be written ends the recording, nothing else.

        Returns whether the recording goes on, or has been at its end before.
        """
        if entry is _END:
            self._close()
        elif not self._failed:
            try:
                self._write(entry)
            except Exception as error:  # a full disk, as the system or soundfile puts it
                self._failed = True
                logger.error("%s: the recording ends here: %s", self.path, error)
                return False
        return True

    def _write(self, entry: Any) -> None:
        if isinstance(entry, _Heard):
            self._hear(entry)
        elif isinstance(entry, _Input):
            if isinstance(entry.item, SetFormat):
                self._tracks["caller"].rotate()
            self._line(dump_input(entry.item, entry.now, direct=entry.direct))
        elif isinstance(entry, _Emitted):
            self._line(dump_event(entry.event, entry.offset))
        elif isinstance(entry, dict):
            self._line(entry)
        else:
            self._line(dump_action(entry))

    def _hear(self, heard: _Heard) -> None:
        """Write audio: the samples first, so that a line never tells of what isn't there."""
        samples = decode(heard.item.data, heard.format)
        agent = isinstance(heard.item, AgentAudio)
        rate = heard.format.sample_rate
        self._tracks["agent" if agent else "caller"].write(samples, rate)
        line = {"t": heard.now, "in": type(heard.item).__name__, "n": len(samples)}
        self._line(line | {"rate": rate} if agent else line)

    def _line(self, entry: Mapping[str, Any]) -> None:
        _write_whole(self._lines, to_line(entry))

    def _close(self) -> None:
        for close in (*(track.rotate for track in self._tracks.values()), self._lines.close):
            try:
                close()
            except Exception as error:  # the samples are there all the same
                logger.error("%s: not closed well: %s", self.path, error)


def _write_whole(file: Any, data: bytes) -> None:
    """Write to an unbuffered file, which takes what still has room and says nothing of the rest."""
    if file.write(data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _Track:
    """One side's audio, in segments."""

    def __init__(self, folder: Path, who: str) -> None:
        self._folder = folder
        self._who = who
        self._count = 0
        self._rate = 0
        self._written = 0
        self._file: Any = None

    def write(self, samples: npt.NDArray[np.int16], rate: int) -> None:
        """Add samples: int16 (n,), mono."""
        if self._file is not None and (rate != self._rate or self._written >= SEGMENT * self._rate):
            self.rotate()
        if self._file is None:
            self._count += 1
            self._rate, self._written = rate, 0
            name = f"{self._who}-{self._count:04}-{rate}.pcm"
            self._file = (self._folder / name).open("wb", buffering=0)
        _write_whole(self._file, samples.astype("<i2", copy=False).tobytes())
        self._written += len(samples)

    def rotate(self) -> None:
        """Close the segment, if there is one, and encode it."""
        if self._file is None:
            return
        path = Path(self._file.name)
        self._file.close()
        self._file = None
        samples = np.fromfile(path, "<i2")
        flac = path.with_suffix(".flac")
        partial = flac.with_suffix(".tmp")
        try:
            import_module("soundfile").write(
                partial, samples, self._rate, format="FLAC", subtype="PCM_16"
            )
        except Exception:
            partial.unlink(missing_ok=True)  # the raw samples stay, and are read instead
            raise
        partial.rename(flac)  # whole or not at all
        path.unlink()
