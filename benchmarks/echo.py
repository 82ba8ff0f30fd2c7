"""What the echo canceller keeps out and costs: ``python -m benchmarks.echo LABELLED SOUNDS``.

LABELLED is what ``python -m training.labelled_set`` makes, SOUNDS the folder that holds the voices
of Asterisk's prompts (see ``benchmarks.echo_gate``). The agent comes back over rooms at random,
20 to 200 ms late, both ways through G.711 u-law at 8 kHz. Each call is new: nothing is known of its
echo when the agent begins. All goes through what a live call has: canceller, level gate, VAD,
tracker, machine, and the local judge.

``--paths`` has the echo alone, and nothing else, over lines that no filter likes: later than it
reaches, with a delay that jumps in the middle, with clocks that drift, through a loudspeaker at its
limit, with frames that were lost and made up.

``--guards`` may name ``webrtc`` (package livekit) and ``speex`` (package pyaec) where they are
installed: the cancellers that there are in packages.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.analysis import AnalysisOptions, analyze, open_call
from bargein.audio import AudioFormat, decode_mulaw, encode_mulaw, open_recording
from bargein.audio.files import write_wav
from bargein.core.echo import EchoGateOptions
from bargein.telephony.echo import EchoCanceller, EchoOptions
from bargein.telephony.prompt import LineEncoder
from benchmarks.echo_gate import AGENT, CALLERS, agent_side, read_voice

Samples = npt.NDArray[np.float64]
Int16 = npt.NDArray[np.int16]
Guard = Callable[[Int16, Int16], Int16]
Path_ = Callable[[Samples, float, np.random.Generator], Samples]
RATE = 8_000
LEVELS = (-20.0, -10.0, 0.0)
DELAYS = (0.02, 0.2)  # s
SECONDS = 10
_WIDE, _LINE = AudioFormat(2 * RATE), AudioFormat(RATE, 1, "mulaw")


def canceller(caller: Int16, agent: Int16, **options: float) -> Int16:
    echo, done = EchoCanceller(RATE, EchoOptions(**options)), []
    for at in range(0, len(caller), 160):
        done.append(echo.process(caller[at : at + 160], agent[at : at + 160]))
    return np.concatenate(done)


def webrtc(caller: Int16, agent: Int16) -> Int16:
    from livekit.rtc import AudioFrame
    from livekit.rtc.apm import AudioProcessingModule

    module, done = AudioProcessingModule(echo_cancellation=True), []
    for at in range(0, len(caller) // 80 * 80, 80):
        module.process_reverse_stream(AudioFrame(agent[at : at + 80].tobytes(), RATE, 1, 80))
        frame = AudioFrame(caller[at : at + 80].tobytes(), RATE, 1, 80)
        module.process_stream(frame)
        done.append(np.frombuffer(bytes(frame.data), np.int16))
    return np.concatenate(done)


def speex(caller: Int16, agent: Int16) -> Int16:
    from pyaec import Aec  # type: ignore[import-not-found, unused-ignore]

    module, done = Aec(160, 3072, RATE, True), []
    for at in range(0, len(caller) // 160 * 160, 160):
        done += module.cancel_echo(caller[at : at + 160], agent[at : at + 160])
    return np.array(done, np.int16)


GUARDS: dict[str, tuple[Guard | None, bool]] = {
    "none": (None, False),
    "gate": (None, True),
    "canceller": (canceller, True),
    "reach0.5": (lambda caller, agent: canceller(caller, agent, reach=0.5), True),
    "webrtc": (webrtc, True),
    "speex": (speex, True),
}
"""By name: the canceller, and whether the core's level gate comes after it."""


def narrow(samples: Samples) -> Samples:
    """16 kHz to 8 kHz through u-law, as a telephone carries it."""
    whole = np.clip(np.rint(samples * 32_768), -32_768, 32_767).astype(np.int16)
    encoder = LineEncoder(_LINE)
    coded = encoder.encode(np.concatenate((whole, np.zeros(64, np.int16))), _WIDE)
    return decode_mulaw(coded)[: len(samples) // 2] / 32_768


def through(samples: Samples) -> Samples:
    whole = np.clip(np.rint(samples * 32_768), -32_768, 32_767).astype(np.int16)
    return decode_mulaw(encode_mulaw(whole)) / 32_768


def room(rng: np.random.Generator) -> Samples:
    """Return an impulse response: direct sound, and 0 to 10 dB below it a tail of 0.1 to 0.4 s."""
    length = int(rng.uniform(0.1, 0.4) * RATE)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail *= 10 ** (-rng.uniform(0, 10) / 20) / np.linalg.norm(tail)
    tail[0] = 1.0
    return np.asarray(tail / np.linalg.norm(tail))


def active_power(samples: Samples) -> float:
    power = np.square(samples[: len(samples) // 256 * 256]).reshape(-1, 256).mean(axis=1)
    return float(power[power > power.max() / 300].mean())


def echo_of(agent: Samples, level: float, rng: np.random.Generator) -> Samples:
    back = reflected(agent, level, room(rng))
    return delayed(back, rng.uniform(*DELAYS))


def reflected(agent: Samples, level: float, response: Samples) -> Samples:
    size = 1 << (2 * len(agent)).bit_length()
    back = np.fft.irfft(np.fft.rfft(agent, size) * np.fft.rfft(response, size), size)
    back = back[: len(agent)]
    return np.asarray(
        back * math.sqrt(active_power(agent) / active_power(back)) * 10 ** (level / 20)
    )


def delayed(samples: Samples, seconds: float) -> Samples:
    shift = round(seconds * RATE)
    return np.concatenate((np.zeros(shift), samples[: len(samples) - shift]))


def late(agent: Samples, level: float, rng: np.random.Generator) -> Samples:
    return delayed(reflected(agent, level, room(rng)), rng.uniform(0.2, 0.3))


def jumping(step: float) -> Path_:
    """One jump of the delay, by ``step`` seconds, in the middle."""

    def path(agent: Samples, level: float, rng: np.random.Generator) -> Samples:
        back, delay = reflected(agent, level, room(rng)), rng.uniform(0.06, 0.14)
        half = len(agent) // 2
        return np.concatenate((delayed(back, delay)[:half], delayed(back, delay + step)[half:]))

    return path


def restless(agent: Samples, level: float, rng: np.random.Generator) -> Samples:
    """Every 1 to 3 s the delay is another, by up to 20 ms either way: a busy jitter buffer."""
    back, delay = reflected(agent, level, room(rng)), rng.uniform(0.06, 0.14)
    out, at = np.zeros(len(agent)), 0
    while at < len(agent):
        stop = at + int(rng.uniform(1, 3) * RATE)
        out[at:stop] = delayed(back, delay + 0.02 * rng.integers(-1, 2))[at:stop]
        at = stop
    return out


def drifting(ppm: float) -> Path_:
    def path(agent: Samples, level: float, rng: np.random.Generator) -> Samples:
        at = np.arange(len(agent))
        return np.asarray(np.interp(at * (1 + ppm * 1e-6), at, echo_of(agent, level, rng)))

    return path


def clipped(agent: Samples, level: float, rng: np.random.Generator) -> Samples:
    """A loudspeaker that is driven 9.5 dB over its limit."""
    limit = np.abs(agent).max() / 3
    loud = np.clip(agent, -limit, limit)
    loud *= math.sqrt(active_power(agent) / active_power(loud))
    return echo_of(loud, level, rng)


def concealed(agent: Samples, level: float, rng: np.random.Generator) -> Samples:
    """Every fiftieth frame was lost on the way, and is the one before it, softer."""
    back = echo_of(agent, level, rng)
    for at in range(160, len(back) - 160, 160):
        if rng.random() < 0.02:
            back[at : at + 160] = 0.7 * back[at - 160 : at]
    return back


PATHS: dict[str, Path_] = {
    "plain": echo_of,
    "late": late,
    "jump20": jumping(0.02),
    "jump-20": jumping(-0.02),
    "jump60": jumping(0.06),
    "restless": restless,
    "drift50": drifting(50),
    "drift100": drifting(100),
    "clipped": clipped,
    "concealed": concealed,
}
"""By name: the agent's audio, the echo's level and the dice to the echo."""


@attrs.frozen(eq=False)
class Mixed:
    """One call. ``onset`` and ``end`` of the caller's sound in seconds."""

    caller: Int16
    agent: Int16
    onset: float = 0.0
    end: float = 0.0


def to_int16(samples: Samples) -> Int16:
    return np.clip(np.rint(samples * 32_768), -32_768, 32_767).astype(np.int16)


def alone(
    number: int, level: float, voices: Sequence[list[Samples]], path: Path_ = echo_of
) -> Mixed:
    """A call in which the caller says nothing."""
    rng = np.random.default_rng((number, 1))
    speech = agent_side(rng, voices[number % len(voices)], 2 * SECONDS * RATE)
    agent = narrow(np.concatenate((np.zeros(6_400), speech)))
    noise = rng.standard_normal(len(agent)) * 10 ** (rng.uniform(-65, -50) / 20)
    caller = through(path(agent, level, rng) + noise)
    return Mixed(to_int16(caller), to_int16(agent))


def spoken(number: int, level: float, row: dict[str, str], folder: Path) -> Mixed:
    """A labelled clip, with an echo."""
    rng = np.random.default_rng((number, 2))
    with open_recording(folder / row["path"]) as recording:
        both = np.concatenate(list(recording.blocks())) / 32_768
        rate = recording.sample_rate
    assert rate == 2 * RATE, rate
    caller, agent = narrow(both[:, 0]), narrow(both[:, 1])
    caller = through(caller + echo_of(agent, level, rng))
    onset, end = float(row["onset"]), float(row["end"])
    return Mixed(to_int16(caller), to_int16(agent), onset, end)


def heard(call: Mixed, guard: Guard | None, gate: bool, folder: Path) -> tuple[Any, float]:
    """Return the call's analysis behind a guard, and the guard's seconds of processor time."""
    began = time.process_time()
    caller = call.caller if guard is None else guard(call.caller, call.agent)
    took = time.process_time() - began
    length = max(len(caller), len(call.agent))
    both = np.zeros((length, 2), np.int16)
    both[: len(caller), 0], both[: len(call.agent), 1] = caller, call.agent
    path = folder / "call.wav"
    write_wav(path, both, RATE)
    options = AnalysisOptions(echo_gate=EchoGateOptions() if gate else None)
    with open_call(path) as opened:
        return analyze(opened, options=options), took


def row_of(
    name: str, level: float, count: int, voices: Any, clips: dict[str, Any], labelled: Path
) -> str:
    guard, gate = GUARDS[name]
    seconds = took = 0.0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bad = overlaps = 0
        for number in range(count):
            call = alone(number, level, voices)
            found, cost = heard(call, guard, gate, folder)
            overlaps += len(found.overlaps)
            bad += bool(found.overlaps)
            seconds, took = seconds + len(call.caller) / RATE, took + cost
        shares = []
        for label in ("interruption", "backchannel", "noise"):
            open_, stopped = 0, 0
            rows = clips[label][:count]
            for number, row in enumerate(rows):
                call = spoken(number, level, row, labelled)
                found, _ = heard(call, guard, gate, folder)
                inside = [
                    each
                    for each in found.overlaps
                    if call.onset - 0.05 <= each.start <= call.end + 0.2
                ]
                open_ += bool(inside)
                wanted = inside if label == "interruption" else found.overlaps
                stopped += any(each.event.is_interruption for each in wanted)
            shares.append((open_ / len(rows), stopped / len(rows)))
    said, back, noise = shares
    return (
        f"{name:10}{level:6.0f}{bad:8}/{count}{overlaps:9}{said[0]:9.2f}{said[1]:9.2f}"
        f"{back[1]:13.2f}{noise[1]:8.2f}{1000 * took / max(seconds, 1e-9):11.1f}"
    )


def path_row(name: str, path: str, level: float, count: int, voices: Any) -> str:
    """Return how the echo alone fares over a path."""
    guard, gate = GUARDS[name]
    calls = overlaps = stops = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            found, _ = heard(alone(number, level, voices, PATHS[path]), guard, gate, Path(folder))
            calls += bool(found.overlaps)
            overlaps += len(found.overlaps)
            stops += sum(each.event.is_interruption for each in found.overlaps)
    return f"{name:10}{path:>10}{level:6.0f}{calls:8}/{count}{overlaps:9}{stops:9}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("labelled", type=Path)
    parser.add_argument("sounds", type=Path, nargs="+", help="folders with the voices' folders")
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--split", default="report")
    parser.add_argument("--guards", default="none,gate,canceller")
    parser.add_argument("--levels", default=",".join(str(level) for level in LEVELS))
    parser.add_argument("--paths", default="", help=f"of {','.join(PATHS)}: the echo alone")
    arguments = parser.parse_args()
    voices = []
    for name in (AGENT, *CALLERS):
        folder = next(each / name for each in arguments.sounds if (each / name).is_dir())
        voices.append(read_voice(folder, 3.0, 20.0, 40))
    levels = [float(level) for level in arguments.levels.split(",")]
    if arguments.paths:
        print(f"{'guard':10}{'path':>10}{'echo':>6}{'echo alone':>12}{'overlaps':>9}{'stopped':>9}")
        for path in arguments.paths.split(","):
            for name, level in itertools.product(arguments.guards.split(","), levels):
                print(path_row(name, path, level, arguments.calls, voices), flush=True)
        return
    with open(arguments.labelled / "manifest.csv", encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == arguments.split]
    rows = [r for r in rows if not r["echo_db"]]  # they bring an echo of their own
    clips = {
        label: [r for r in rows if r["label"] == label]
        for label in ("interruption", "backchannel", "noise")
    }
    print({label: len(some) for label, some in clips.items()}, "clips", flush=True)
    print(
        f"{'guard':10}{'echo':>6}{'echo alone':>12}{'overlaps':>9}{'found':>9}{'stopped':>9}"
        f"{'backchannel':>13}{'noise':>8}{'ms CPU/s':>11}"
    )
    for name in arguments.guards.split(","):
        for level in levels:
            line = row_of(name, level, arguments.calls, voices, clips, arguments.labelled)
            print(line, flush=True)


if __name__ == "__main__":
    main()
