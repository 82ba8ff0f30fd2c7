"""The network in NumPy against ONNX Runtime's answers, and against itself."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bargein.vad
from bargein.errors import FrameError, ModelError, OptionError
from bargein.vad import silero
from bargein.vad.silero import ACTIVATIONS, HIDDEN, SAMPLE_RATES, SileroVad, VadState

DATA = Path(__file__).parent / "data"
WEIGHTS = Path(bargein.vad.__file__).parent / "weights"


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    """Real speech at both rates with ONNX Runtime's answers: see data/README.md."""
    with np.load(DATA / "silero_reference.npz") as archive:
        return {key: archive[key] for key in archive.files}


def chunks_of(reference: dict[str, np.ndarray], rate: int) -> np.ndarray:
    samples, size = reference[f"samples_{rate // 1000}k"], SileroVad.load(rate).chunk
    return samples[: len(samples) // size * size].reshape(-1, size)


@pytest.mark.parametrize("rate", SAMPLE_RATES)
def test_agrees_with_onnx_runtime_on_speech(reference: dict[str, np.ndarray], rate: int) -> None:
    vad, name = SileroVad.load(rate), f"{rate // 1000}k"
    state = vad.new_state()
    probabilities, activations = vad.run(chunks_of(reference, rate), state)
    expected = reference[f"probabilities_{name}"]
    assert probabilities.dtype == activations.dtype == np.float32
    assert activations.shape == (len(expected), ACTIVATIONS)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-4)
    outputs = activations[::8, HIDDEN:]
    np.testing.assert_allclose(outputs, reference[f"outputs_{name}"], rtol=0, atol=1e-4)
    np.testing.assert_array_equal(state.h[0], activations[-1, HIDDEN:])


@pytest.mark.parametrize("rate", SAMPLE_RATES)
def test_speech_is_high_silence_and_noise_are_low(
    reference: dict[str, np.ndarray], rate: int
) -> None:
    vad = SileroVad.load(rate)
    noise = np.random.default_rng(1).normal(0, 1000, (60, vad.chunk)).astype(np.int16)
    speech = chunks_of(reference, rate)[10:30]
    assert vad.run(np.zeros((60, vad.chunk), np.int16), vad.new_state())[0].max() < 0.1
    assert np.median(vad.run(noise, vad.new_state())[0]) < 0.2
    assert np.median(vad.run(speech, vad.new_state())[0]) > 0.9


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(0, 45), max_size=12), rate=st.sampled_from(SAMPLE_RATES))
def test_no_grouping_of_chunks_changes_a_bit(
    reference: dict[str, np.ndarray], sizes: list[int], rate: int
) -> None:
    vad, chunks = SileroVad.load(rate), chunks_of(reference, rate)[:100]
    state, whole_state = vad.new_state(), vad.new_state()
    whole = vad.run(chunks, whole_state)
    edges = [*np.minimum(np.cumsum([0, *sizes]), len(chunks)).tolist(), len(chunks)]
    parts = [vad.run(chunks[a:b], state) for a, b in itertools.pairwise(edges)]
    for got, expected in zip(zip(*parts, strict=True), whole, strict=True):
        np.testing.assert_array_equal(np.concatenate(got), expected)
    for key in ("h", "c", "context"):
        np.testing.assert_array_equal(getattr(state, key), getattr(whole_state, key))


@pytest.mark.parametrize("rate", SAMPLE_RATES)
def test_a_batch_of_streams_equals_single_streams(
    reference: dict[str, np.ndarray], rate: int
) -> None:
    vad, chunks = SileroVad.load(rate), chunks_of(reference, rate)
    streams = 37  # more than one piece of the batch
    starts = np.arange(streams) * 4
    state = vad.new_state(streams)
    assert len(state) == streams
    got = [vad.step(chunks[starts + t], state) for t in range(12)]
    for i, start in enumerate(starts):
        probabilities, activations = vad.run(chunks[start : start + 12], vad.new_state())
        np.testing.assert_array_equal([p[i] for p, _ in got], probabilities)
        np.testing.assert_array_equal([a[i] for _, a in got], activations)


def test_one_stream_step_by_step_equals_its_run(reference: dict[str, np.ndarray]) -> None:
    vad, chunks = SileroVad.load(), chunks_of(reference, 16_000)[:20]
    state = vad.new_state()
    stepped = [vad(chunk[None], state)[0][0] for chunk in chunks]
    np.testing.assert_array_equal(stepped, vad.run(chunks, vad.new_state())[0])


def test_float_samples_are_int16_over_full_scale(reference: dict[str, np.ndarray]) -> None:
    vad, chunks = SileroVad.load(), chunks_of(reference, 16_000)[:20]
    floats = chunks.astype(np.float32) / 32_768
    np.testing.assert_array_equal(
        vad.run(floats, vad.new_state())[0], vad.run(chunks, vad.new_state())[0]
    )


def test_many_threads_get_the_same_answers(reference: dict[str, np.ndarray]) -> None:
    vad, chunks = SileroVad.load(), chunks_of(reference, 16_000)
    expected = vad.run(chunks, vad.new_state())[0]

    def judge(_: int) -> np.ndarray:
        state = vad.new_state()
        parts = [vad.run(chunks[i : i + 5], state)[0] for i in range(0, len(chunks), 5)]
        return np.concatenate(parts)

    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(judge, range(16)):
            np.testing.assert_array_equal(got, expected)


def test_a_state_can_be_viewed_copied_and_reset(reference: dict[str, np.ndarray]) -> None:
    vad, chunks = SileroVad.load(), chunks_of(reference, 16_000)[:20]
    bank = vad.new_state(3)
    vad.run(chunks, bank.row(-1))
    untouched = bank.row(0).copy()
    assert bank.h[2].any()
    assert not bank.h[:2].any()
    kept = bank.copy()
    vad.run(chunks, bank.row(0))
    np.testing.assert_array_equal(bank.h[0], bank.h[2])
    assert not untouched.h.any()
    bank.reset()
    assert not (bank.h.any())
    assert not (bank.c.any())
    assert not bank.context.any()
    assert kept.h[2].any()


def test_what_does_not_fit_is_refused_by_name() -> None:
    vad = SileroVad.load()
    chunks = np.zeros((2, 512), np.int16)
    with pytest.raises(FrameError, match="float64"):
        vad.step(chunks.astype(np.float64), vad.new_state(2))  # type: ignore[arg-type]
    with pytest.raises(FrameError, match=r"\(n, 512\)"):
        vad.step(chunks[:, :256], vad.new_state(2))
    with pytest.raises(FrameError, match=r"shape \(512,\)"):
        vad.step(chunks[0], vad.new_state(512))
    with pytest.raises(FrameError, match="expected 2"):
        vad.step(chunks, vad.new_state(3))
    with pytest.raises(FrameError, match="expected 1"):
        vad.run(chunks, vad.new_state(2))
    with pytest.raises(FrameError, match="new_state"):
        vad.run(chunks, SileroVad.load(8_000).new_state())
    with pytest.raises(OptionError, match="48000"):
        SileroVad.load(48_000)


def test_nothing_to_judge_gives_nothing() -> None:
    vad = SileroVad.load()
    none = np.empty((0, 512), np.int16)
    for judged in (vad.run(none, vad.new_state()), vad.step(none, vad.new_state(0))):
        assert judged[0].shape == (0,)
        assert judged[1].shape == (0, ACTIVATIONS)


def test_weights_are_read_once_and_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    read = silero.read_weights

    def counting(rate: int) -> Any:
        reads.append(rate)
        return read(rate)

    monkeypatch.setattr(silero, "read_weights", counting)
    monkeypatch.setattr(SileroVad, "_cache", {})
    gate = threading.Barrier(8)

    def load(_: int) -> SileroVad:
        gate.wait(10)
        return SileroVad.load()

    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(load, range(8)))
    assert reads == [16_000]
    assert all(vad is loaded[0] for vad in loaded)
    with pytest.raises(ValueError, match="read-only"):
        loaded[0]._w.conv1[0, 0] = 1


def damaged(kind: str, path: Path) -> None:
    """Write a file of weights to which ``kind`` has happened."""
    good = (WEIGHTS / "silero_v6_16k.npz").read_bytes()
    if kind == "truncated":
        path.write_bytes(good[: len(good) // 2])
    elif kind == "flipped":
        middle = len(good) // 2
        path.write_bytes(good[:middle] + bytes([good[middle] ^ 0xFF]) + good[middle + 1 :])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    elif kind in ("lacking", "wrong shape"):
        with np.load(WEIGHTS / "silero_v6_16k.npz") as archive:
            arrays = {key: archive[key] for key in archive.files}
        if kind == "lacking":
            del arrays["out_bias"]
        else:
            arrays["conv1_weight"] = arrays["conv1_weight"][:, :65]
        np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", r"no file .*silero_v6_16k\.npz.*reinstall"),
        ("truncated", "can't be read.*reinstall"),
        ("flipped", "can't be read.*reinstall"),
        ("empty", "can't be read.*reinstall"),
        ("text", "can't be read.*reinstall"),
        ("lacking", "out_bias is nothing"),
        ("wrong shape", r"conv1_weight is float32 \(128, 65, 3\), not float32 \(128, 129, 3\)"),
    ],
)
def test_weights_that_are_missing_or_damaged_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, message: str
) -> None:
    (tmp_path / "weights").mkdir()
    damaged(kind, tmp_path / "weights" / "silero_v6_16k.npz")
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    monkeypatch.setattr(SileroVad, "_cache", {})
    with pytest.raises(ModelError, match=message):
        SileroVad.load()
    monkeypatch.undo()
    assert SileroVad.load() is SileroVad.load()  # a failure isn't kept


@pytest.mark.parametrize("rate", SAMPLE_RATES)
def test_the_weights_say_whence_they_come(rate: int) -> None:
    with np.load(WEIGHTS / f"silero_v6_{rate // 1000}k.npz", allow_pickle=False) as archive:
        about = json.loads(str(archive["about"]))
    assert about["sample_rate"] == rate
    assert "silero-vad 6.2.3" in about["origin"]
    assert about["license"].startswith("MIT")
    assert "Silero Team" in (WEIGHTS / "LICENSE.silero-vad").read_text()


def test_importing_reads_no_weights() -> None:
    code = (
        "import sys, bargein.vad.track, bargein.vad.silero as s;"
        "assert not s.SileroVad._cache;"
        "print(sorted({m.partition('.')[0] for m in sys.modules} "
        "& {'scipy', 'onnxruntime', 'torch', 'requests'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_state_is_what_its_arrays_say() -> None:
    state = SileroVad.load(8_000).new_state(2)
    assert isinstance(state, VadState)
    assert [a.shape for a in (state.h, state.c, state.context)] == [(2, 128), (2, 128), (2, 32)]
