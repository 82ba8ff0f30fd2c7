"""The weights of the network in :mod:`bargein.vad.silero`: read, checked, laid out for computing.

The files are made by ``scripts/convert_silero.py`` from the package ``silero-vad``, in its own
layout. What the products want is another one, so that the file stays comparable with its origin.
"""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from bargein.errors import ModelError

__all__ = ["BLOCKS", "HIDDEN", "Floats", "Weights", "read_weights"]

Floats = npt.NDArray[np.float32]

HIDDEN = 128
"""Units in the LSTM cell, and in the last convolution that feeds it."""

BLOCKS = 8
"""The LSTM's matrices are kept as 8 blocks of (128, 64): one product with the whole (128, 512)
is large enough for OpenBLAS to start its threads (above 9,216 elements), which costs double."""


@attrs.frozen(eq=False, kw_only=True)
class Weights:
    """The network's arrays, laid out for computing. Read-only, shared by all threads."""

    window: Floats  # (width,) periodic Hann
    conv1: Floats  # (3 * bins, 128): taps above each other, so that columns @ conv1 convolves
    conv1_bias: Floats
    conv2: Floats  # (384, 64)
    conv2_bias: Floats
    conv3: Floats  # (128, 64): its first tap only ever meets the padding
    conv3_bias: Floats
    conv4: Floats  # (64, 128): its outer taps only ever meet the padding
    conv4_bias: Floats
    lstm_input: Floats  # (8, 128, 64); gates in the order i f o g, i f o halved: see its step
    lstm_hidden: Floats  # (8, 128, 64)
    lstm_bias: Floats  # (512,)
    out: Floats  # (128,)
    out_bias: float


def read_weights(sample_rate: int) -> Weights:
    """Return the weights for a rate of 16000 or 8000 Hz.

    Raises :class:`~bargein.errors.ModelError` where the file is missing, damaged, or another one.
    """
    from importlib.resources import files  # 10 ms that an import of this module needn't pay

    name = f"silero_v6_{sample_rate // 1000}k.npz"
    path = files("bargein.vad") / "weights" / name
    advice = "reinstall bargein (pip install --force-reinstall --no-deps bargein)"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files if key != "about"}
    except FileNotFoundError as error:
        raise ModelError(f"the VAD's weights aren't there: no file {path}; {advice}") from error
    except Exception as error:  # zipfile, zlib and NumPy have a dozen names for a damaged file
        raise ModelError(f"the VAD's weights can't be read: {path}: {error}; {advice}") from error

    for key, shape in _shapes(sample_rate // 125 + 1).items():
        got = arrays.get(key)
        if got is None or got.shape != shape or got.dtype != np.float32:
            what = "nothing" if got is None else f"{got.dtype} {got.shape}"
            raise ModelError(
                f"the VAD's weights aren't the expected ones: {path}: {key} is {what}, not "
                f"float32 {shape}; {advice}"
            )
    return _lay_out(arrays)


def _shapes(bins: int) -> dict[str, tuple[int, ...]]:
    """What the file of weights must hold."""
    return {
        "conv1_weight": (128, bins, 3),
        "conv1_bias": (128,),
        "conv2_weight": (64, 128, 3),
        "conv2_bias": (64,),
        "conv3_weight": (64, 64, 3),
        "conv3_bias": (64,),
        "conv4_weight": (128, 64, 3),
        "conv4_bias": (128,),
        "lstm_weight_ih": (4 * HIDDEN, HIDDEN),
        "lstm_weight_hh": (4 * HIDDEN, HIDDEN),
        "lstm_bias_ih": (4 * HIDDEN,),
        "lstm_bias_hh": (4 * HIDDEN,),
        "out_weight": (1, HIDDEN, 1),
        "out_bias": (1,),
    }


def _lay_out(arrays: dict[str, npt.NDArray[np.float32]]) -> Weights:
    """The file's arrays, turned into what the products above want."""

    def fixed(array: npt.NDArray[np.floating]) -> Floats:
        made = np.array(array, np.float32, order="C")
        made.setflags(write=False)
        return made

    def taps(name: str, first: int = 0, last: int = 3) -> Floats:
        kernel = arrays[f"{name}_weight"][:, :, first:last]  # (out, in, taps)
        return fixed(kernel.transpose(2, 1, 0).reshape(-1, len(kernel)))

    def gates(array: Floats) -> Floats:
        i, f, g, o = array.reshape(4, HIDDEN, -1)
        return np.concatenate([i * 0.5, f * 0.5, o * 0.5, g])

    def blocks(name: str) -> Floats:
        matrix = gates(arrays[name]).reshape(BLOCKS, -1, HIDDEN)
        return fixed(matrix.transpose(0, 2, 1))

    width = 2 * (arrays["conv1_weight"].shape[1] - 1)
    bias = arrays["lstm_bias_ih"] + arrays["lstm_bias_hh"]
    return Weights(
        window=fixed(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)),
        conv1=taps("conv1"),
        conv1_bias=fixed(arrays["conv1_bias"]),
        conv2=taps("conv2"),
        conv2_bias=fixed(arrays["conv2_bias"]),
        conv3=taps("conv3", 1, 3),
        conv3_bias=fixed(arrays["conv3_bias"]),
        conv4=taps("conv4", 1, 2),
        conv4_bias=fixed(arrays["conv4_bias"]),
        lstm_input=blocks("lstm_weight_ih"),
        lstm_hidden=blocks("lstm_weight_hh"),
        lstm_bias=fixed(gates(bias).reshape(-1)),
        out=fixed(arrays["out_weight"].reshape(HIDDEN)),
        out_bias=float(arrays["out_bias"][0]),
    )
