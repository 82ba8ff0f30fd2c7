"""A recorded call: which channel of which file is the caller and which the agent, read in steps."""

from __future__ import annotations

import os
import types
from collections.abc import Iterator

import attrs
import numpy as np
import numpy.typing as npt

from bargein.audio.files import Recording, open_recording
from bargein.errors import AudioFileError, OptionError

__all__ = ["Call", "Side", "open_call"]

_Path = str | os.PathLike[str]
_Int16 = npt.NDArray[np.int16]

_BLOCK = 1.0
"""Seconds read from a file at a time: large enough for the decoder, small in memory."""


@attrs.frozen
class Side:
    """One side of a call: a channel of a recording."""

    recording: Recording
    channel: int
    """Counted from 0, as arrays are."""

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.recording.sample_rate

    def to_dict(self) -> dict[str, object]:
        """Return plain JSON types; the channel is counted from 1 there."""
        return {
            "file": self.recording.path,
            "channel": self.channel + 1,
            "sample_rate": self.sample_rate,
            "duration": self.recording.duration,
        }


@attrs.frozen
class Call:
    """Both sides of a call; a context manager that closes the files. Not thread-safe."""

    caller: Side
    agent: Side

    @property
    def sample_rate(self) -> int:
        """Hz, the caller's: positions in the call are counted in it."""
        return self.caller.sample_rate

    @property
    def frames(self) -> int:
        """Samples of the caller's rate in the call; the shorter side ends in silence."""
        agent = self.agent.recording
        return max(
            self.caller.recording.frames, -(-agent.frames * self.sample_rate // agent.sample_rate)
        )

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frames / self.sample_rate

    def read(self, ends: Iterator[int]) -> Iterator[tuple[_Int16, _Int16]]:
        """Yield what both sides say up to each of ``ends``, in order, until the call ends.

        ``ends`` are positions at the caller's rate, increasing; the last that matters is cut to
        the call's end. Each pair is int16 (n,), mono, the caller at the caller's rate, the agent
        at the agent's. Memory is bounded by the longest step and two seconds.

        Raises :class:`~bargein.errors.AudioFileError` where a file turns out to be damaged.
        """
        readers = {
            id(side.recording): _Reader(side.recording) for side in (self.caller, self.agent)
        }
        if len(readers) == 1:
            (both,) = readers.values()
            for start, end in self._steps(ends):
                block = both.take(end - start)
                yield block[:, self.caller.channel], block[:, self.agent.channel]
            return
        caller, agent = readers.values()
        rates = self.agent.sample_rate, self.sample_rate
        for start, end in self._steps(ends):
            heard = end * rates[0] // rates[1] - start * rates[0] // rates[1]
            yield (
                caller.take(end - start)[:, self.caller.channel],
                agent.take(heard)[:, self.agent.channel],
            )

    def _steps(self, ends: Iterator[int]) -> Iterator[tuple[int, int]]:
        start, frames = 0, self.frames
        while start < frames:
            end = min(next(ends), frames)
            yield start, end
            start = end

    def close(self) -> None:
        """Close the files; more than once does no harm."""
        self.caller.recording.close()
        self.agent.recording.close()

    def __enter__(self) -> Call:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.close()


def open_call(
    path: _Path,
    agent_path: _Path | None = None,
    *,
    caller_channel: int | None = None,
    agent_channel: int | None = None,
) -> Call:
    """Open a call's recording: one file with both sides, or one file for each.

    Channels are counted from 0. In one file the caller is the first channel and the agent the
    second, unless told otherwise; if only one is told, the other side is the other of the two.

    Raises:
        AudioFileError: a file can't be read, or has too few or too many channels.
        OptionError: there is no such channel, or both sides are the same one.
        MissingExtraError: soundfile isn't installed.
    """
    caller = open_recording(path)
    if agent_path is None:
        return _one_file(caller, caller_channel, agent_channel)
    agent = open_recording(agent_path)
    return Call(
        _only(caller, caller_channel, "caller"),
        _only(agent, agent_channel, "agent"),
    )


def _one_file(recording: Recording, caller: int | None, agent: int | None) -> Call:
    path, count = recording.path, recording.num_channels
    if count == 1:
        raise AudioFileError(
            f"{path}: has one channel, expected two (the caller left, the agent right): give the "
            "agent's recording as a second file"
        )
    if count > 2 and (caller is None or agent is None):
        raise AudioFileError(
            f"{path}: has {count} channels, expected two: choose the caller's and the agent's"
        )
    if caller is None:
        caller = 0 if agent is None else 1 - agent
    if agent is None:
        agent = 1 - caller
    sides = _side(recording, caller, "caller"), _side(recording, agent, "agent")
    if caller == agent:
        raise OptionError(
            f"the caller and the agent came as the same channel, {caller + 1}; expected two"
        )
    return Call(*sides)


def _only(recording: Recording, channel: int | None, who: str) -> Side:
    if channel is None and recording.num_channels > 1:
        raise AudioFileError(
            f"{recording.path}: has {recording.num_channels} channels, expected one: "
            f"choose the {who}'s"
        )
    return _side(recording, channel or 0, who)


def _side(recording: Recording, channel: int, who: str) -> Side:
    if not 0 <= channel < recording.num_channels:
        raise OptionError(
            f"the {who}'s channel came as {channel + 1}; {recording.path} has "
            f"{recording.num_channels}, counted from 1"
        )
    return Side(recording, channel)


class _Reader:
    """Cuts a recording's blocks into pieces of any length, with silence after the end."""

    def __init__(self, recording: Recording) -> None:
        self._blocks = recording.blocks(_BLOCK)
        self._rest = np.zeros((0, recording.num_channels), np.int16)

    def take(self, count: int) -> _Int16:
        """Return the next ``count`` samples: (count, channels)."""
        pieces = [self._rest[:count]]
        self._rest = self._rest[count:]
        missing = count - len(pieces[0])
        while missing > 0:
            block = next(self._blocks, None)
            if block is None:
                block = np.zeros((missing, self._rest.shape[1]), np.int16)
            pieces.append(block[:missing])
            self._rest = block[missing:]
            missing -= len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
