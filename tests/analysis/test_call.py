"""Which channel is who, and both sides in step."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest

from bargein.analysis import open_call
from bargein.errors import AudioFileError, OptionError

from .calls import Samples, write


def ramp(frames: int, channels: int = 2) -> Samples:
    """Sample n of channel c is 10 n + c."""
    return (10 * np.arange(frames)[:, None] + np.arange(channels)).astype(np.int16)


def read(path: Path, agent: Path | None = None, **channels: int) -> tuple[Samples, Samples]:
    with open_call(path, agent, **channels) as call:
        steps = list(call.read(count(700, 700)))
    caller, agents = zip(*steps, strict=True)
    return np.concatenate(caller), np.concatenate(agents)


@pytest.fixture
def stereo(tmp_path: Path) -> Path:
    return write(tmp_path / "stereo.wav", ramp(1000))


def test_the_caller_is_left_unless_told_otherwise(stereo: Path) -> None:
    caller, agent = read(stereo)
    assert caller.tolist() == ramp(1000)[:, 0].tolist()
    assert agent.tolist() == ramp(1000)[:, 1].tolist()

    for channels in ({"caller_channel": 1}, {"agent_channel": 0}):
        caller, agent = read(stereo, **channels)
        assert caller[0] == 1
        assert agent[0] == 0


def test_two_of_many_channels(tmp_path: Path) -> None:
    path = write(tmp_path / "four.wav", ramp(100, 4))

    caller, agent = read(path, caller_channel=3, agent_channel=2)
    assert (caller[0], agent[0]) == (3, 2)

    with pytest.raises(AudioFileError, match="has 4 channels, expected two: choose"):
        open_call(path, caller_channel=3)


def test_two_files_of_different_lengths_and_rates(tmp_path: Path) -> None:
    caller = write(tmp_path / "caller.wav", np.ones(8000, np.int16))
    agent = write(tmp_path / "agent.wav", np.full(48_000, 2, np.int16), 16_000)

    with open_call(caller, agent) as call:
        assert (call.duration, call.frames, call.sample_rate) == (3.0, 24_000, 8000)
    heard, said = read(caller, agent)
    assert heard.tolist() == [1] * 8000 + [0] * 16_000
    assert said.tolist() == [2] * 48_000

    # And the other way round: the agent's side ends in silence.
    heard, said = read(agent, caller)
    assert heard.tolist() == [2] * 48_000
    assert said.tolist() == [1] * 8000 + [0] * 16_000


def test_steps_end_where_they_were_asked_to(tmp_path: Path, stereo: Path) -> None:
    with open_call(stereo) as call:
        assert [len(caller) for caller, _ in call.read(iter([1, 8, 999, 5000]))] == [1, 7, 991, 1]


def test_a_side_of_a_stereo_file_beside_another_file(tmp_path: Path, stereo: Path) -> None:
    mono = write(tmp_path / "mono.wav", np.zeros(1000, np.int16))

    with pytest.raises(AudioFileError, match="has 2 channels, expected one: choose the caller's"):
        open_call(stereo, mono)
    caller, agent = read(stereo, mono, caller_channel=1)
    assert caller[0] == 1
    assert not agent.any()


def test_one_channel_says_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path / "mono.wav", np.zeros(100, np.int16))

    with pytest.raises(AudioFileError, match=r"has one channel, .*give the agent's recording as a"):
        open_call(path)


@pytest.mark.parametrize(
    ("channels", "complaint"),
    [
        ({"caller_channel": 2, "agent_channel": 0}, "caller's channel came as 3; .* has 2"),
        ({"caller_channel": 2}, "caller's channel came as 3; .* has 2"),
        ({"agent_channel": -1, "caller_channel": 0}, "agent's channel came as 0; .* has 2"),
        ({"agent_channel": 1, "caller_channel": 1}, "came as the same channel, 2; expected two"),
    ],
)
def test_channels_that_are_not_there(
    stereo: Path, channels: dict[str, int], complaint: str
) -> None:
    with pytest.raises(OptionError, match=complaint):
        open_call(stereo, **channels)
