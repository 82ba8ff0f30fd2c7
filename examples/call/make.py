"""Makes ``call.flac`` and ``contents.json``, the example call, from packages.

From the root of the repository::

    python -m training.fetch FOLDER --with-example
    python -m examples.call.make FOLDER

Everything is placed by the tables below; the same packages give the same bytes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import soundfile as sf

from training import noises
from training.sound import (
    RATE,
    Audio,
    add_at,
    echo_of,
    fade,
    peak_limit,
    pink_noise,
    read_audio,
    set_level,
    sounding_span,
    to_rate,
    trim,
    white_noise,
)

LENGTH = 48.0
"""Seconds of call."""

TELEPHONE_RATE = 8_000
"""Hz, what a telephone line carries."""

AGENT_LEVEL = -20.0
"""dBFS RMS of the agent's speech."""

ECHO_LEVEL = -25.0
"""dB of the agent's leak in the caller's channel, against the agent's own channel."""

ECHO_DELAY = 0.08
"""Seconds from the agent's channel to its leak: a short line and a handset."""

LINE_NOISE = -64.0
"""dBFS RMS, in the caller's channel."""

SEED = 8


@attrs.frozen
class AgentTurn:
    """One prompt, read from second ``first`` of its file, audible from ``start`` to ``end``."""

    start: float
    end: float
    prompt: str
    first: float
    cut_off: bool
    text: str


@attrs.frozen
class CallerSound:
    """One sound of the caller: a span of a recording, or a computed noise where ``file`` is None.

    ``stretch`` plays it that much slower (and lower).
    """

    onset: float
    label: str
    text: str
    level: float
    file: str | None
    first: float = 0.0
    last: float = 0.0
    stretch: float = 1.0
    noise: str = ""
    seed: int = 0
    over_agent: bool = True


AGENT = (
    AgentTurn(
        1.2,
        20.3,
        "basic-pbx-ivr-main",
        0.0,
        True,
        "Thank you for calling Super Awesome Company, Waldo's premier provider of perfect "
        "products … (a menu, cut off by the caller)",
    ),
    AgentTurn(
        22.9,
        36.0,
        "demo-echotest",
        0.27,
        False,
        "You are about to enter an echo test. In this mode everything you say will be repeated "
        "back to you just as soon as it is received. …",
    ),
    AgentTurn(
        39.6,
        40.9,
        "tt-allbusy",
        0.18,
        True,
        "All representatives … (begun while the caller spoke, and given up)",
    ),
    AgentTurn(42.0, 46.9, "demo-thanks", 0.27, False, "Goodbye. Thank you for trying out …"),
)

CALLER = (
    CallerSound(7.15, "backchannel", "mm-hmm", -27.0, "dev01", 29.12, 29.5),
    CallerSound(10.4, "noise", "(a cough)", -24.0, None, noise="cough", seed=0),
    CallerSound(15.8, "backchannel", "mm-hmm", -28.0, "dev01", 29.12, 29.5, stretch=1.06),
    CallerSound(19.6, "interruption", "just put it on the desktop …", -22.0, "dev01", 4.33, 6.72),
    CallerSound(23.3, "backchannel", "mm-hmm", -27.0, "dev01", 29.12, 29.5, stretch=0.96),
    CallerSound(30.0, "noise", "(knocks on a desk)", -24.0, None, noise="knock", seed=1),
    CallerSound(
        36.9, "turn", "that was the username …", -23.0, "dev01", 22.6, 23.92, over_agent=False
    ),
    CallerSound(39.1, "interruption", "I'm the marketing …", -22.0, "dev00", 26.31, 28.15),
)


def span(samples: Audio, first: float, last: float) -> Audio:
    """Seconds ``first`` to ``last``."""
    return samples[round(first * RATE) : round(last * RATE)]


def agent_channel(prompts: Path) -> Audio:
    """All prompts of :data:`AGENT`, in their places."""
    channel = np.zeros(round(LENGTH * RATE), np.float32)
    for turn in AGENT:
        prompt = set_level(read_audio(prompts / f"{turn.prompt}.wav"), AGENT_LEVEL)
        heard = span(prompt, turn.first, turn.first + turn.end - turn.start)
        add_at(channel, fade(heard, 0.03), round(turn.start * RATE))
    return channel


def caller_sound(sound: CallerSound, meetings: Path) -> Audio:
    """One sound of the caller, at its level, beginning at its acoustic onset."""
    if sound.file is None:
        samples = noises.SYNTHETIC[sound.noise](np.random.default_rng(sound.seed))
        return set_level(trim(samples), sound.level)
    samples = span(read_audio(meetings / f"{sound.file}.wav"), sound.first, sound.last)
    if sound.stretch != 1.0:
        samples = to_rate(samples, 1_000, round(1_000 * sound.stretch))
    start, stop = sounding_span(samples, 35.0)
    return set_level(fade(samples[start:stop], 0.01), sound.level)


def caller_channel(agent: Audio, meetings: Path) -> tuple[Audio, list[dict[str, Any]]]:
    """The caller's channel, with echo and line noise, and what lies where in it."""
    rng = np.random.default_rng(SEED)
    channel = echo_of(agent, ECHO_LEVEL, ECHO_DELAY)
    channel += pink_noise(rng, len(channel), LINE_NOISE)
    channel += white_noise(rng, len(channel), LINE_NOISE - 10.0)
    events: list[dict[str, Any]] = []
    for sound in CALLER:
        samples = caller_sound(sound, meetings)
        add_at(channel, samples, round(sound.onset * RATE))
        events.append(
            {
                "onset": sound.onset,
                "end": round(sound.onset + len(samples) / RATE, 3),
                "label": sound.label,
                "text": sound.text,
                "over_agent": sound.over_agent,
                "synthetic": sound.file is None,
            }
        )
    for turn in AGENT:
        events.append(
            {
                "onset": round(turn.start + ECHO_DELAY, 3),
                "end": round(turn.end + ECHO_DELAY, 3),
                "label": "echo",
                "text": "(the agent's own voice)",
                "over_agent": True,
                "synthetic": False,
            }
        )
    return channel, sorted(events, key=lambda event: float(event["onset"]))


def write_call(folder: Path, caller: Audio, agent: Audio) -> int:
    """Both channels through u-law at 8 kHz, as FLAC; gives the number of samples written."""
    stereo = np.stack([peak_limit(caller), peak_limit(agent)], axis=1)
    narrow = to_rate(stereo, RATE, TELEPHONE_RATE)
    coded = folder / "coded.wav"
    sf.write(coded, narrow, TELEPHONE_RATE, subtype="ULAW")
    decoded, _ = sf.read(coded, dtype="int16")
    coded.unlink()
    sf.write(folder / "call.flac", decoded, TELEPHONE_RATE, subtype="PCM_16")
    return len(decoded)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", type=Path, help="the folder that training.fetch filled")
    parser.add_argument("--into", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    sounds = arguments.sources / "deb/asterisk-core-sounds-en-wav/usr/share/asterisk/sounds"
    meetings = next(arguments.sources.glob("sdist/pyannote*/tests/data"))
    agent = agent_channel(sounds / "en_US_f_Allison")
    caller, events = caller_channel(agent, meetings)
    count = write_call(arguments.into, caller, agent)
    contents = {
        "file": "call.flac",
        "sample_rate": TELEPHONE_RATE,
        "channels": {"caller": 0, "agent": 1},
        "duration": count / TELEPHONE_RATE,
        "echo": {"level_db": ECHO_LEVEL, "delay": ECHO_DELAY},
        "agent": [
            attrs.asdict(turn, filter=attrs.filters.exclude("first", "prompt"))
            | {"prompt": f"{turn.prompt}.wav"}
            for turn in AGENT
        ],
        "caller": events,
    }
    text = json.dumps(contents, indent=2, ensure_ascii=False) + "\n"
    (arguments.into / "contents.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
