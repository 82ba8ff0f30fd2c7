"""Make ``data/silero_reference.npz``: real speech, and what ONNX Runtime says of it.

Needs onnxruntime, scipy, soundfile, the ONNX file (see ``scripts/convert_silero.py``) and Debian's
package ``asterisk-core-sounds-en-wav`` 1.6.1-1 (``dpkg -x``)::

    python tests/vad/make_reference.py silero_vad.onnx .../sounds/en_US_f_Allison/demo-thanks.wav
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile
from scipy.signal import resample_poly

# Every so many chunks the LSTM's output is kept too, not the probability alone.
STRIDE = 8


def judge(
    session: onnxruntime.InferenceSession, samples: np.ndarray, rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """The probability and the LSTM's output of each whole chunk, state carried."""
    chunk = rate * 32 // 1000
    context = np.zeros((1, chunk // 8), np.float32)
    state = np.zeros((2, 1, 128), np.float32)
    probabilities, outputs = [], []
    for start in range(0, len(samples) - chunk + 1, chunk):
        new = samples[None, start : start + chunk].astype(np.float32) / 32_768
        audio = np.concatenate([context, new], axis=1)
        context = audio[:, -(chunk // 8) :]
        inputs = {"input": audio, "state": state, "sr": np.array(rate)}
        probability, state = session.run(None, inputs)
        probabilities.append(probability[0, 0])
        outputs.append(state[0, 0])
    return np.array(probabilities, np.float32), np.array(outputs, np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the VAD tests' reference.")
    parser.add_argument("onnx", type=Path)
    parser.add_argument("wav", type=Path)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "data" / "silero_reference.npz"
    )
    options = parser.parse_args()

    speech, rate = soundfile.read(options.wav, dtype="int16")
    assert rate == 8_000, rate
    noise = np.random.default_rng(0).normal(0, 300, 8_000)  # 1 s at -41 dBFS
    narrow = np.concatenate([speech.astype(np.float64), noise])
    wide = resample_poly(narrow, 2, 1)
    session = onnxruntime.InferenceSession(str(options.onnx))
    arrays = {}
    for name, signal, rate in (("8k", narrow, 8_000), ("16k", wide, 16_000)):
        samples = np.clip(np.round(signal), -32_768, 32_767).astype(np.int16)
        probabilities, outputs = judge(session, samples, rate)
        arrays |= {
            f"samples_{name}": samples,
            f"probabilities_{name}": probabilities,
            f"outputs_{name}": outputs[::STRIDE],
        }
        print(f"{name}: {len(samples) / rate:.2f} s, speech in {(probabilities > 0.5).mean():.0%}")
    np.savez_compressed(options.out, **arrays)
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
