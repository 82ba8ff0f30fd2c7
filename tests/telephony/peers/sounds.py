"""What callers say and agents play, cut from the example call; and reading what was recorded.

The voices and their licences: ``examples/call/README.md``.
"""

from __future__ import annotations

import json
import wave
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

RATE = 8_000
EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "call"

HUM = 400
"""Amplitude of the hum under the agent's prompt: whether it is still playing can then be heard in
each 20 ms, also where the speaker takes a breath."""

AUDIBLE = 150
"""Amplitude above which the prompt plays; the lines here add no noise of their own."""


@cache
def _channels() -> tuple[Samples, Samples]:
    import soundfile

    samples, rate = soundfile.read(EXAMPLE / "call.flac", dtype="int16")
    assert rate == RATE
    return samples[:, 0].copy(), samples[:, 1].copy()


@cache
def pieces(label: str) -> tuple[Samples, ...]:
    """Return what the example's caller says under a label, from the acoustic onset on."""
    caller, _ = _channels()
    found = json.loads((EXAMPLE / "contents.json").read_text(encoding="utf-8"))["caller"]
    return tuple(
        caller[int(e["onset"] * RATE) : int(e["end"] * RATE)] for e in found if e["label"] == label
    )


@cache
def prompt() -> Samples:
    """Return 32 s of an agent's speech, with a faint hum under it."""
    _, agent = _channels()
    speech = np.concatenate(
        [agent[int(1.2 * RATE) : int(20.3 * RATE)], agent[int(22.9 * RATE) : int(36.0 * RATE)]]
    ).astype(np.int32)
    hum = HUM * np.sin(2 * np.pi * 120 * np.arange(speech.size) / RATE)
    return np.clip(speech + hum.astype(np.int32), -32_768, 32_767).astype(np.int16)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.int16)


def timeline(seconds: float, *parts: tuple[float, Samples]) -> Samples:
    """Return a caller who says each part at its time (s), and nothing else."""
    said = silence(seconds).astype(np.int32)
    for at, part in parts:
        begin = round(at * RATE)
        said[begin : begin + part.size] += part[: max(0, said.size - begin)]
    return np.clip(said, -32_768, 32_767).astype(np.int16)


def last_audible(heard: Samples) -> float:
    """Return when (s) the prompt was last heard; 0.0 if never."""
    loud = np.flatnonzero(np.abs(heard.astype(np.int32)) > AUDIBLE)
    return float(loud[-1] + 1) / RATE if loud.size else 0.0


def first_audible(heard: Samples) -> float:
    """Return when (s) something was first heard."""
    loud = np.flatnonzero(np.abs(heard.astype(np.int32)) > AUDIBLE)
    return float(loud[0]) / RATE if loud.size else 0.0


def find(said: Samples, pattern: Samples) -> float:
    """Return where (s) a pattern begins in what was recorded of the caller: best correlation."""
    size = 1 << (said.size + pattern.size).bit_length()
    spectrum = np.fft.rfft(said.astype(float), size) * np.conj(
        np.fft.rfft(pattern.astype(float), size)
    )
    lag = int(np.argmax(np.fft.irfft(spectrum, size)[: said.size]))
    return lag / RATE


def write_wav(path: Path, samples: Samples) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())


def read_wav(path: Path) -> Samples:
    """Read a WAV of one channel at 8 kHz, also one that was never closed."""
    data = path.read_bytes()
    at = data.find(b"data")
    assert data[:4] == b"RIFF"
    assert at > 0
    assert int.from_bytes(data[24:28], "little") == RATE
    body = data[at + 8 :]
    return np.frombuffer(body[: len(body) // 2 * 2], "<i2").astype(np.int16)
