"""What the echo gate keeps out, and what it costs: ``python -m benchmarks.echo_gate [SOUNDS]``.

Calls are mixed from real speech: Asterisk's prompts, one voice as the agent and three others, in
other languages, as callers. SOUNDS is the folder that holds the voices' folders; on Debian
``apt-get install asterisk-core-sounds-{en,fr,es,it}-wav`` fills the default. The agent's voice
leaks into the caller's channel, the VAD hears that channel, and the tracker says what overlaps it
would have opened. Everything is drawn from a fixed seed.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.audio import Converter, open_recording
from bargein.audio.g711 import decode_mulaw, encode_mulaw
from bargein.core.echo import EchoGate, EchoGateOptions
from bargein.core.inputs import AgentSpeechEnded, OverlapSpeechStarted
from bargein.core.playout import Playout, PlayoutOptions
from bargein.core.tracker import OverlapTracker, TrackerOptions
from bargein.vad.silero import SileroVad
from bargein.vad.track import CHUNK

Samples = npt.NDArray[np.float64]
RATE = 16_000
AGENT, CALLERS = "en_US_f_Allison", ("fr_CA_f_June", "it_IT_m_Carlo", "es_MX_f_Allison")
AGENT_LEVELS, CALLER_LEVELS = (-26.0, -18.0), (-32.0, -18.0)  # dBFS, RMS while speaking
DELAYS = (0.02, 0.05, 0.1, 0.15, 0.2)  # s
PAUSES = (0.1, 0.5)  # s
SECONDS = 10


@attrs.frozen(eq=False)
class Line:
    """One way in which the agent comes back. Levels in dB and dBFS."""

    name: str
    echo: float | None = -20.0
    noise: float = -65.0
    room: bool = False
    telephone: bool = False


@attrs.frozen(eq=False)
class Material:
    """What calls are made of."""

    agents: list[Samples]
    callers: list[Samples]
    gate: EchoGateOptions


@attrs.frozen(eq=False)
class Call:
    """What is left of a mixed call: a value per chunk of 32 ms."""

    heard: npt.NDArray[np.float32]
    """The VAD's probabilities."""
    open: npt.NDArray[np.bool_]
    """Whether the gate is."""
    speech: slice
    """Where the caller speaks, and some 0.2 s after."""
    level: float

    def probabilities(self, gated: bool) -> list[float]:
        heard: list[float] = (self.heard * self.open if gated else self.heard).tolist()
        return heard


def read_voice(folder: Path, shortest: float, longest: float, most: int) -> list[Samples]:
    """Return utterances of one voice, silence at both ends cut off."""
    found: list[Samples] = []
    for path in sorted(folder.rglob("*.wav"), key=lambda path: (path.stem[::-1], path)):
        with open_recording(path) as recording:
            converter = Converter(recording.sample_rate)
            parts = [converter.push(block[:, 0]) for block in recording.blocks()]
        samples = np.concatenate([*parts, converter.tail()]) / 32_768
        loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
        samples = samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:0]
        if shortest <= len(samples) / RATE <= longest and len(found) < most:
            found.append(samples)
    if not found:
        raise SystemExit(f"no speech of {shortest} to {longest} s in {folder}")
    return found


def at_level(samples: Samples, level: float) -> Samples:
    """Scale to an RMS level in dBFS, measured over what lies within 30 dB of the loudest chunk."""
    power = np.square(samples[: len(samples) // CHUNK * CHUNK]).reshape(-1, CHUNK).mean(axis=1)
    active = float(power[power > power.max() / 1000].mean())
    return samples * (10 ** (level / 20) / math.sqrt(active))


def agent_side(rng: np.random.Generator, voice: Sequence[Samples], length: int) -> Samples:
    """Return an agent that talks all the time, with short pauses between prompts."""
    level = rng.uniform(*AGENT_LEVELS)
    parts: list[Samples] = []
    while sum(map(len, parts)) < length:
        parts.append(at_level(voice[int(rng.integers(len(voice)))], level))
        parts.append(np.zeros(int(rng.uniform(*PAUSES) * RATE)))
    return np.concatenate(parts)[:length]


def echo_of(agent: Samples, line: Line, delay: float, rng: np.random.Generator) -> Samples:
    """Return the agent's voice as it comes back."""
    if line.echo is None:
        return np.zeros(len(agent))
    back = agent
    if line.room:  # 0.3 s of reverberation time, direct sound first, the same energy in all
        length = int(0.3 * RATE)
        tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
        tail[0] = 10.0
        size = 1 << (len(agent) + length).bit_length()
        spectrum = np.fft.rfft(agent, size) * np.fft.rfft(tail / np.linalg.norm(tail), size)
        back = np.fft.irfft(spectrum, size)[: len(agent)]
    shift = round(delay * RATE)
    return np.concatenate((np.zeros(shift), back[: len(back) - shift])) * 10 ** (line.echo / 20)


def through(line: Line, samples: Samples) -> npt.NDArray[np.int16]:
    """Return what arrives at 16 kHz."""
    whole = np.clip(np.rint(samples * 32_768), -32_768, 32_767).astype(np.int16)
    if not line.telephone:
        return whole
    down = whole.astype(np.int32)
    halved = ((down[0::2] + down[1::2]) // 2).astype(np.int16)
    converter = Converter(8_000)
    stable = converter.push(decode_mulaw(encode_mulaw(halved)))
    return np.concatenate((stable, converter.tail()))


def mix(
    rng: np.random.Generator,
    material: Material,
    line: Line,
    *,
    delay: float | None = None,
    caller: bool = False,
) -> Call:
    """Mix one call and let VAD and gate hear it."""
    length = SECONDS * RATE
    agent = agent_side(rng, material.agents, length)
    level = rng.uniform(*CALLER_LEVELS)
    utterance = material.callers[int(rng.integers(len(material.callers)))]
    utterance = at_level(utterance, level)
    begin = int(rng.uniform(3, 6) * RATE)
    drawn = rng.uniform(DELAYS[0], DELAYS[-1])
    samples = rng.standard_normal(length) * 10 ** (line.noise / 20)
    samples += echo_of(agent, line, drawn if delay is None else delay, rng)
    if caller:
        samples[begin : begin + len(utterance)] += utterance
    chunks = through(line, samples)[: length // CHUNK * CHUNK].reshape(-1, CHUNK)
    vad = SileroVad.load()
    heard, _ = vad.run(chunks, vad.new_state())
    gate = EchoGate(material.gate)
    gate.push(np.rint(agent * 32_768).astype(np.int16), 0)
    power = np.square(chunks / 32_768).mean(axis=1)
    levels = 10 * np.log10(np.maximum(power, 1e-30))
    is_open = np.array([gate(index, each) for index, each in enumerate(levels.tolist())])
    speech = slice(begin // CHUNK - 1, (begin + len(utterance)) // CHUNK + 6)
    return Call(heard, is_open, speech, level)


def opened(probabilities: Sequence[float], options: TrackerOptions | None = None) -> list[int]:
    """Return the positions (samples) at which the tracker opens overlaps over a talking agent."""
    tracker = OverlapTracker(options)
    fallen = tracker.agent_started(0)
    for index, probability in enumerate(probabilities, 1):
        fallen += tracker.voice_activity(probability, index * CHUNK)
    return [each.position for each in fallen if isinstance(each.sentinel, OverlapSpeechStarted)]


def unbroken(probabilities: Sequence[float], seconds: float) -> bool:
    """Whether the VAD reports so much speech with no chunk below 0.5 in it."""
    longest = run = 0
    for probability in probabilities:
        run = run + 1 if probability >= 0.5 else 0
        longest = max(longest, run)
    return longest * CHUNK >= round(seconds * RATE)


def bridged(probabilities: Sequence[float], seconds: float) -> bool:
    """Whether it reports so much by the tracker's rules: hysteresis, short dips let pass."""
    return bool(opened(probabilities, TrackerOptions(min_speech=seconds, max_dip=0.3)))


def many(count: int, material: Material, line: Line, **how: Any) -> Iterator[Call]:
    rng = np.random.default_rng(7)
    for _ in range(count):
        yield mix(rng, material, line, **how)


def echo_alone(count: int, material: Material) -> None:
    print(f"Overlaps opened by echo alone in {count} calls of {SECONDS} s, and in brackets calls")
    print("in which the VAD reports 500 ms of speech by the tracker's rules:")
    print(f"{'echo':32}{'delay, ms':>10}{'no gate':>14}{'gate':>12}")
    lines = [(Line("-20 dB"), delay) for delay in DELAYS]
    lines += [
        (Line("-20 dB, room of 0.3 s", room=True), 0.1),
        (Line("-20 dB, u-law, noise -50 dBFS", telephone=True, noise=-50), 0.1),
        (Line("-20 dB, noise -42 dBFS", noise=-42), 0.1),
        (Line("-18 dB", echo=-18), 0.1),
        (Line("-17 dB", echo=-17), 0.1),
        (Line("-16 dB", echo=-16), 0.1),
        (Line("-14 dB", echo=-14), 0.1),
    ]
    for line, delay in lines:
        calls = list(many(count, material, line, delay=delay))
        cells = []
        for gated in (False, True):
            heard = [call.probabilities(gated) for call in calls]
            overlaps = sum(len(opened(each)) for each in heard)
            long = sum(bridged(each, 0.5) for each in heard)
            cells.append(f"{overlaps} ({long})")
        print(f"{line.name:32}{delay * 1000:10.0f}{cells[0]:>14}{cells[1]:>12}", flush=True)


def recall(count: int, material: Material) -> None:
    print(f"\nRecall over a talking agent, {count} calls; callers at -32 to -18 dBFS:")
    print(f"{'echo':32}{'speech reported':>24}{'no gate':>10}{'gate':>8}{'points lost':>13}")
    lines = [
        Line("none", echo=None),
        Line("-30 dB", echo=-30),
        Line("-20 dB"),
        Line("-20 dB, u-law, noise -50 dBFS", telephone=True, noise=-50),
    ]
    tests: list[tuple[str, Callable[[Sequence[float], float], bool]]] = [
        ("unbroken", unbroken),
        ("bridged", bridged),
    ]
    for line in lines:
        calls = list(many(count, material, line, caller=True))
        for seconds in (0.2, 0.5):
            for name, test in tests:
                shares = recalled(calls, lambda p, t=test, s=seconds: t(p, s))  # type: ignore[misc]
                print(
                    f"{line.name:32}{f'{seconds * 1000:.0f} ms {name}':>24}{shares[0]:10.3f}"
                    f"{shares[1]:8.3f}{100 * (shares[0] - shares[1]):13.1f}",
                    flush=True,
                )
        if line.echo == -20 and not line.telephone:
            by_level(calls)


def recalled(calls: Sequence[Call], test: Callable[[Sequence[float]], bool]) -> tuple[float, float]:
    """Return in which shares of the calls the caller is found, without the gate and with it."""
    shares = [
        float(np.mean([test(call.probabilities(gated)[call.speech]) for call in calls]))
        for gated in (False, True)
    ]
    return shares[0], shares[1]


def by_level(calls: Sequence[Call]) -> None:
    print("  by the caller's level, 500 ms unbroken; when overlaps open, ms from the onset:")
    for low in (-32, -28, -24, -20):
        some = [call for call in calls if low <= call.level < low + 4]
        shares = recalled(some, lambda p: unbroken(p, 0.5))
        delays = []
        for call in some:
            onset = (call.speech.start + 1) * CHUNK
            found = [at - onset for at in opened(call.probabilities(True)) if at > onset]
            delays += [1000 * found[0] / RATE] if found else []
        print(
            f"  {low} to {min(low + 4, -18)} dBFS, {len(some)} calls: {shares[0]:.3f} -> "
            f"{shares[1]:.3f}; median {np.median(delays):.0f}, "
            f"nine of ten within {np.quantile(delays, 0.9):.0f}"
        )


def pauses(prompts: Sequence[Samples]) -> None:
    """Print how often an agent that reads out a prompt would be taken to have ended."""
    minutes = sum(map(len, prompts)) / RATE / 60
    print(
        f"\nFalse ends of the agent in prompts ({minutes:.0f} minutes), by Playout's min_silence:"
    )
    for seconds in (0.2, 0.3, 0.4, 0.5, 0.6):
        ended = 0
        for prompt in prompts:
            samples = np.rint(at_level(prompt, -22.0) * 32_768).astype(np.int16)
            fallen = Playout(PlayoutOptions(min_silence=seconds)).push(samples, 0)
            ended += sum(isinstance(each.sentinel, AgentSpeechEnded) for each in fallen)
        print(f"{seconds:5.1f} s: {ended / minutes:.2f} a minute")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("sounds", nargs="?", type=Path, default="/usr/share/asterisk/sounds")
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument(
        "--plain", action="store_true", help="a gate of one comparison: 17 dB, and nothing held"
    )
    arguments = parser.parse_args()
    root: Path = arguments.sounds
    plain = EchoGateOptions(return_loss=17, decay=1e6, hold=0, noise_margin=0)
    material = Material(
        agents=read_voice(root / AGENT, 3.0, 60.0, 60),
        callers=[each for name in CALLERS for each in read_voice(root / name, 0.8, 3.0, 100)],
        gate=plain if arguments.plain else EchoGateOptions(),
    )
    echo_alone(arguments.calls, material)
    recall(2 * arguments.calls, material)
    pauses([each for name in (AGENT, *CALLERS) for each in read_voice(root / name, 4, 60, 200)])


if __name__ == "__main__":
    main()
