"""Is the agent audible? Read off its own audio."""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bargein.core.inputs import AgentSpeechEnded, AgentSpeechStarted
from bargein.core.playout import Playout, PlayoutOptions
from bargein.core.tracker import Fallen
from bargein.errors import OptionError


def sound(milliseconds: int, level: float = -20.0) -> npt.NDArray[np.int16]:
    value = round(32_768 * 10 ** (level / 20))
    return np.where(np.arange(16 * milliseconds) % 2, value, -value).astype(np.int16)


def silence(milliseconds: int) -> npt.NDArray[np.int16]:
    return np.zeros(16 * milliseconds, np.int16)


def transcript(*parts: npt.NDArray[np.int16]) -> list[str]:
    playout, position, fallen = Playout(), 0, []
    for part in parts:
        fallen += playout.push(part, position)
        position += len(part)
    return lines(fallen)


def lines(fallen: list[Fallen]) -> list[str]:
    names = {AgentSpeechStarted(): "started", AgentSpeechEnded(): "ended"}
    return [f"{each.position / 16:.0f} {names[each.sentinel]}" for each in fallen]  # type: ignore[index]


def test_a_prompt_with_a_pause_is_one_turn() -> None:
    assert transcript(
        silence(100), sound(800), silence(490), sound(800), silence(1_000), sound(500)
    ) == ["130 started", "2690 ended", "3220 started"]


def test_a_click_is_no_speech() -> None:
    assert transcript(silence(100), sound(20), silence(100), sound(20), silence(100)) == []


def test_what_starts_loud_may_go_on_soft() -> None:
    soft = sound(1_000, -48)
    assert transcript(soft) == []
    assert transcript(sound(100), soft, soft, sound(600, -52)) == ["30 started", "2600 ended"]


def test_audio_that_stops_coming_is_silence() -> None:
    playout = Playout()
    assert lines(playout.push(sound(200), 16_000)) == ["1030 started"]
    assert playout.advance(16_000) == []  # known already
    assert playout.advance(16 * 1_690) == []
    assert playout.speaking
    assert lines(playout.advance(16 * 9_000)) == ["1700 ended"]
    assert (playout.speaking, playout.position) == (False, 16 * 9_000)
    assert lines(playout.push(sound(200), 16 * 20_000)) == ["20030 started"]


def test_before_the_first_audio_nothing_is_known() -> None:
    playout = Playout()
    assert playout.position is None
    assert playout.advance(1_600) == []
    assert playout.position == 1_600


def test_what_came_already_is_passed_over() -> None:
    playout = Playout()
    playout.push(silence(100), 0)
    assert playout.push(sound(100), 0) == []
    assert lines(playout.push(sound(130), 0)) == ["130 started"]


def test_a_long_push_is_read_in_pieces() -> None:
    assert transcript(np.concatenate([sound(10_000), silence(600)])) == [
        "30 started",
        "10500 ended",
    ]


QUICK = PlayoutOptions(min_silence=0.1)

PARTS = st.lists(
    st.tuples(st.integers(1, 4_000), st.sampled_from([-90, -47, -20])), min_size=1, max_size=8
)


@given(PARTS, st.integers(20, 5_000), st.integers(0, 500))
def test_framing_changes_nothing(parts: list[tuple[int, int]], frame: int, begin: int) -> None:
    audio = np.concatenate([sound(length // 16 + 1, level) for length, level in parts])
    whole, framed = Playout(QUICK), Playout(QUICK)
    fallen: list[Fallen] = []
    for at in range(0, len(audio), frame):
        fallen += framed.push(audio[at : at + frame], begin + at)
    assert fallen == whole.push(audio, begin)
    assert whole.speaking is framed.speaking
    assert [type(each.sentinel) for each in fallen] == [
        [AgentSpeechStarted, AgentSpeechEnded][i % 2] for i in range(len(fallen))
    ]


@given(st.integers(1, 5_000), st.integers(20, 3_000))
def test_a_hole_is_silence_of_its_length(hole: int, step: int) -> None:
    told, heard, stepped = Playout(QUICK), Playout(QUICK), Playout(QUICK)
    speech = sound(100)
    fallen: list[list[Fallen]] = [each.push(speech, 7) for each in (told, heard, stepped)]
    end = 7 + len(speech)
    fallen[1] += heard.push(np.zeros(hole, np.int16), end)
    for at in range(end, end + hole, step):
        fallen[2] += stepped.advance(at)
    for each, so_far in zip((told, heard, stepped), fallen, strict=True):
        so_far += each.push(speech, end + hole)
    assert fallen[0] == fallen[1] == fallen[2]


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(PlayoutOptions)])
@pytest.mark.parametrize("value", [1000.0, float("nan"), "1", True, None])
def test_an_option_out_of_range_is_refused(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"{name} came as {value!r}; expected"):
        PlayoutOptions(**{name: value})  # type: ignore[arg-type]


def test_levels_may_not_be_swapped() -> None:
    with pytest.raises(OptionError, match=r"stop_level came as -40; expected at most start_level"):
        PlayoutOptions(stop_level=-40)
