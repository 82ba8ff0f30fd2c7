"""Turn Silero VAD's ONNX file into the ``.npz`` files that ``bargein.vad.silero_weights`` reads.

Needs ``onnx`` (and only this script does)::

    pip download --no-deps silero-vad==6.2.3
    unzip silero_vad-6.2.3-py3-none-any.whl 'silero_vad/data/silero_vad.onnx' '*LICENSE' -d wheel
    python scripts/convert_silero.py wheel/silero_vad/data/silero_vad.onnx \\
        --license wheel/silero_vad-6.2.3.dist-info/licenses/LICENSE

The ONNX file holds both sampling rates, in the two branches of one ``If``. Each becomes a file of
its own, so that a process that hears 16 kHz never reads the weights for 8 kHz. The arrays keep
the shapes they have in the file; how they are best laid out for computing is the reader's affair.
The DFT's basis is compared with the computed one and then left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

VERSION = "6.2.3"
LICENCE_NAME = "LICENSE.silero-vad"
WEIGHTS = Path(__file__).resolve().parent.parent / "bargein" / "vad" / "weights"

# Branch of the If on "sampling rate == 16000" -> the rate it holds.
BRANCHES = {"then_branch": 16_000, "else_branch": 8_000}

# Where a constant's name ends -> what it is called in the .npz.
NAMES = {
    "encoder.0.reparam_conv.weight": "conv1_weight",
    "encoder.0.reparam_conv.bias": "conv1_bias",
    "encoder.1.reparam_conv.weight": "conv2_weight",
    "encoder.1.reparam_conv.bias": "conv2_bias",
    "encoder.2.reparam_conv.weight": "conv3_weight",
    "encoder.2.reparam_conv.bias": "conv3_bias",
    "encoder.3.reparam_conv.weight": "conv4_weight",
    "encoder.3.reparam_conv.bias": "conv4_bias",
    "decoder.rnn.weight_ih": "lstm_weight_ih",
    "decoder.rnn.weight_hh": "lstm_weight_hh",
    "decoder.rnn.bias_ih": "lstm_bias_ih",
    "decoder.rnn.bias_hh": "lstm_bias_hh",
    "decoder.decoder.2.weight": "out_weight",
    "decoder.decoder.2.bias": "out_bias",
}
BASIS = "stft.forward_basis_buffer"


def find_branches(model: Any) -> dict[int, Any]:
    """The graph for each rate, from the model's one ``If``."""
    for node in model.graph.node:
        if node.op_type == "If":
            return {BRANCHES[a.name]: a.g for a in node.attribute}
    raise SystemExit("no If node in the model: not the ONNX file this script knows")


def read_constants(graph: Any) -> dict[str, np.ndarray]:
    """The named tensors of one branch, as float32."""
    found: dict[str, np.ndarray] = {}
    for node in graph.node:
        if node.op_type != "Constant":
            continue
        for ending in (*NAMES, BASIS):
            if node.output[0].endswith(ending):
                array = numpy_helper.to_array(node.attribute[0].t)
                found[ending] = np.ascontiguousarray(array, dtype=np.float32)
    missing = {*NAMES, BASIS} - found.keys()
    if missing:
        raise SystemExit(f"not in the model: {', '.join(sorted(missing))}")
    return found


def check_basis(basis: np.ndarray) -> None:
    """Stop unless the file's STFT is a DFT under a periodic Hann window, as ours is."""
    bins, width = basis.shape[0] // 2, basis.shape[2]
    n = np.arange(width)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / width)
    angle = 2 * np.pi * np.outer(np.arange(bins), n) / width
    expected = np.concatenate([np.cos(angle), -np.sin(angle)]) * window
    worst = float(np.abs(basis[:, 0, :] - expected).max())
    if worst > 1e-6:
        raise SystemExit(f"the model's STFT isn't the expected one: off by {worst:.2g}")
    print(f"  STFT {width} wide, {bins} bins: as computed, to {worst:.1g}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Convert Silero VAD's weights.")
    parser.add_argument("onnx", type=Path, help="silero_vad/data/silero_vad.onnx of the wheel")
    parser.add_argument("--license", type=Path, required=True, help="the wheel's licence text")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()

    digest = hashlib.sha256(options.onnx.read_bytes()).hexdigest()
    options.out.mkdir(parents=True, exist_ok=True)
    for rate, graph in find_branches(onnx.load(options.onnx)).items():
        constants = read_constants(graph)
        check_basis(constants.pop(BASIS))
        about = {
            "model": "Silero VAD v6",
            "origin": f"silero-vad {VERSION} (Python wheel), silero_vad/data/silero_vad.onnx",
            "origin_sha256": digest,
            "homepage": "https://github.com/snakers4/silero-vad",
            "license": f"MIT, Copyright (c) 2020-present Silero Team ({LICENCE_NAME})",
            "sample_rate": rate,
            "converted_by": "scripts/convert_silero.py",
        }
        path = options.out / f"silero_v6_{rate // 1000}k.npz"
        arrays = {NAMES[name]: array for name, array in sorted(constants.items())}
        np.savez_compressed(path, about=np.array(json.dumps(about)), **arrays)
        count = sum(array.size for array in arrays.values())
        print(f"{path.name}: {count:,} parameters, {path.stat().st_size:,} bytes")
    shutil.copyfile(options.license, options.out / LICENCE_NAME)


if __name__ == "__main__":
    main()
