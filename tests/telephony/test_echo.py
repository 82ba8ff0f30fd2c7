"""The echo canceller and the caller's audio behind it, on noise that speaks in bursts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bargein.audio import AudioFormat, encode_mulaw
from bargein.errors import OptionError
from bargein.telephony.caller import CallerAudio
from bargein.telephony.echo import EchoCanceller, EchoOptions

Int16 = npt.NDArray[np.int16]


def bursts(seed: int, seconds: float, rate: int = 8000, level: float = 2000.0) -> Int16:
    """Noise with the rhythm of syllables, coloured like speech."""
    rng = np.random.default_rng(seed)
    count = round(seconds * rate)
    noise = np.convolve(rng.standard_normal(count), np.exp(-np.arange(8) / 2.0), "same")
    rhythm = np.repeat(rng.uniform(0, 1, count // 800 + 1) > 0.3, 800)[:count]
    return np.asarray(np.clip(noise * rhythm * level, -32_768, 32_767), np.int16)


def echo_of(agent: Int16, delay: int, gain: float) -> Int16:
    late = np.concatenate((np.zeros(delay, np.int16), agent[: len(agent) - delay]))
    return np.asarray(np.rint(late * gain), np.int16)


def level(samples: Int16) -> float:
    return float(10 * np.log10(np.mean(np.square(samples / 32_768)) + 1e-12))


def cancelled(caller: Int16, agent: Int16, frame: int = 160, **options: float) -> Int16:
    echo = EchoCanceller(8000, EchoOptions(**options))
    return np.concatenate(
        [
            echo.process(caller[at : at + frame], agent[at : at + frame])
            for at in range(0, len(caller), frame)
        ]
    )


@pytest.mark.parametrize("delay", [160, 800, 1600])
@pytest.mark.parametrize("gain", [0.1, 1.0])
def test_an_echo_is_gone(delay: int, gain: float) -> None:
    agent = bursts(1, 3.0)
    back = echo_of(agent, delay, gain)

    left = cancelled(back, agent)
    assert level(left) < level(back) - 18
    unmuted = cancelled(back, agent, mute=0.0)
    assert level(unmuted[16_000:]) < level(back[16_000:]) - 20


def test_the_first_words_of_a_late_echo_are_kept_out() -> None:
    # 0.33 s: the line is quiet for so long that no echo seems to be on it.
    delay = 2600
    agent = np.concatenate((np.zeros(8000, np.int16), bursts(1, 3.0)))
    back = echo_of(agent, delay, 0.5)

    left = cancelled(back, agent, reach=0.55)
    first = slice(8000 + delay, 8000 + delay + 4000)
    assert level(left[first]) < level(back[first]) - 20


@pytest.mark.parametrize("step", [-160, 160])
def test_an_echo_whose_delay_jumps_stays_out(step: int) -> None:
    agent = bursts(1, 8.0)
    back = np.concatenate(
        (echo_of(agent, 800, 0.5)[:32_000], echo_of(agent, 800 + step, 0.5)[32_000:])
    )
    left = cancelled(back, agent)
    after = slice(32_000, 36_000)
    assert level(left[after]) < level(back[after]) - 9


def test_a_line_that_is_silent_to_the_bit_is_no_fault() -> None:
    agent = bursts(1, 8.0)
    assert not cancelled(np.zeros_like(agent), agent).any()


def test_a_caller_over_the_echo_is_left() -> None:
    agent, caller = bursts(1, 4.0), bursts(2, 4.0)
    caller[:24_000] = 0
    mixed = caller + echo_of(agent, 400, 0.3)

    left = cancelled(mixed, agent)
    said = slice(24_000, len(left) - 400)
    assert level(left[said]) == pytest.approx(level(caller[said]), abs=3)
    match = np.corrcoef(left[said], caller[said])[0, 1]
    assert match > 0.9


def test_without_the_agent_nothing_changes() -> None:
    caller = bursts(3, 1.0)
    left = cancelled(caller, np.zeros_like(caller))

    assert len(left) >= len(caller) - 256
    assert np.abs(left - caller[: len(left)].astype(int)).max() <= 1


def test_after_the_agent_nothing_changes_either() -> None:
    caller, agent = bursts(3, 3.0), bursts(4, 3.0)
    agent[2000:] = 0
    left = cancelled(caller, agent)

    rest = slice(12_000, len(left))
    assert np.abs(left[rest] - caller[rest].astype(int)).max() <= 1


def test_the_framing_changes_nothing() -> None:
    agent = bursts(1, 0.7)
    mixed = echo_of(agent, 300, 0.5) + bursts(2, 0.7) // 2

    whole = cancelled(mixed, agent, frame=len(mixed))
    assert np.array_equal(whole, cancelled(mixed, agent, frame=160))
    assert np.array_equal(whole, cancelled(mixed, agent, frame=37))


def test_it_works_at_16_khz() -> None:
    agent = bursts(1, 2.0, rate=16_000)
    back = echo_of(agent, 1600, 0.5)
    echo = EchoCanceller(16_000)
    left = echo.process(back, agent)

    assert echo.block == 256
    assert level(left) < level(back) - 30
    with pytest.raises(OptionError, match="8000 and 16000"):
        EchoCanceller(11_025)


def test_a_path_that_changed_is_followed() -> None:
    agent = bursts(1, 8.0)
    back = np.concatenate(
        (echo_of(agent, 200, 1.0)[:32_000], -echo_of(agent, 900, 1.0)[32_000:])
    ).astype(np.int16)
    echo = EchoCanceller(8000)
    echo.process(back[:32_000], agent[:32_000])
    left = echo.process(back[32_000:], agent[32_000:])

    assert level(left[8000:]) < level(back[40_000:]) - 25


def test_an_agent_that_begins_anew_is_doubted() -> None:
    agent = bursts(1, 6.0)
    echo = EchoCanceller(8000)
    echo.process(echo_of(agent, 400, 0.5)[:24_000], agent[:24_000])
    sure = echo._path._doubt.copy()
    echo.moved()
    assert (echo._path._doubt >= sure).all()
    assert echo._path._doubt.sum() > sure.sum()

    left = echo.process(echo_of(agent, 480, 0.5)[24_000:], agent[24_000:])
    assert level(left) < level(agent[24_000:]) - 30


@pytest.mark.parametrize("name", ["reach", "prior", "suppression", "mute", "hold"])
def test_options_that_cannot_be(name: str) -> None:
    with pytest.raises(OptionError, match=name):
        EchoOptions(**{name: -99.0})


# --- the caller's audio -------------------------------------------------------------------------


def test_without_a_canceller_audio_passes_as_it_is() -> None:
    caller = CallerAudio(AudioFormat(8000, 1, "mulaw"), None)
    caller.gap(1.0)

    assert caller.format.encoding == "mulaw"
    assert caller.push(b"abc", b"xyz") == b"abc"


def test_the_agents_audio_is_taken_in_step() -> None:
    agent = bursts(1, 3.0)
    back = echo_of(agent, 600, 0.5)
    caller = CallerAudio(AudioFormat(8000, 1, "mulaw"), EchoOptions())
    out = b""
    for at in range(0, len(back), 160):  # 60 ms of the agent's come first, then frame by frame
        ahead = agent[at + 320 : at + 480] if at else agent[:480]
        out += caller.push(encode_mulaw(back[at : at + 160]), encode_mulaw(ahead))

    left = np.frombuffer(out, "<i2")
    assert level(left) < level(back) - 30


def test_a_line_of_48_khz_is_heard_at_16() -> None:
    caller = CallerAudio(AudioFormat(48_000), EchoOptions())
    sound = bursts(1, 0.5, rate=48_000).tobytes()

    assert caller.format == AudioFormat(16_000)
    assert len(caller.push(sound, b"")) / 2 == pytest.approx(8000, abs=600)


def test_after_a_hold_both_sides_are_in_step_again() -> None:
    caller = CallerAudio(AudioFormat(8000), EchoOptions())
    agent = bursts(1, 6.0)
    for at in range(0, 8000, 160):
        caller.push(agent[at : at + 160].tobytes(), agent[at : at + 160].tobytes())
    # For two seconds nothing came of the caller's, while the agent spoke on.
    caller.push(agent[24_000:24_160].tobytes(), agent[8000:24_640].tobytes())
    assert len(caller._agent) == 480

    caller.gap(0.02)
    assert len(caller._agent) == 320
