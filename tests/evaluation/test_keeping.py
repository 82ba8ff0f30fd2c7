"""What was computed is found again, and only that; a process that dies leaves nothing half-done."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from bargein.analysis import AnalysisOptions
from bargein.backends.local import LocalBackend
from bargein.backends.named import named_backend
from bargein.backends.protocol import as_backend
from bargein.core import InterruptionOptions
from bargein.core.tracker import TrackerOptions
from bargein.evaluation.dataset import LabelledCall, Track
from bargein.evaluation.store import Store, default_folder, identity, key_of
from tests.evaluation import judges
from tests.evaluation.material import hearing


def same(one: Any, other: Any) -> bool:
    arrays = [[w.probabilities.tolist() for w in each.windows] for each in (one, other)]
    rest = [
        ([(w.overlap, w.end, w.decision) for w in each.windows], each.fell, each.frames, each.error)
        for each in (one, other)
    ]
    return arrays[0] == arrays[1] and rest[0] == rest[1]


def test_a_pass_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "store")
    noted = attrs.evolve(hearing((1.0, 2.0, [0.25, 0.5]), (3.0, 3.5, [1.0])), error="E: x")

    assert store.get("ab12") is None
    store.put("ab12", noted)
    store.put("cd34", hearing())

    found, empty = store.get("ab12"), store.get("cd34")
    assert found is not None
    assert same(found, noted)
    assert empty is not None
    assert same(empty, hearing())


@pytest.mark.parametrize("damage", ["cut", "emptied", "scribbled", "others"])
def test_a_damaged_file_is_not_there(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    store.put("ab12", hearing((1.0, 2.0, [0.25])))
    (path,) = tmp_path.rglob("*.npz")
    data = path.read_bytes()
    if damage == "others":
        np.savez(path, about=np.array("{}"))
    else:
        half = len(data) // 2
        scribbled = data[:half] + bytes(40) + data[half + 40 :]
        path.write_bytes({"cut": data[:half], "emptied": b"", "scribbled": scribbled}[damage])

    assert store.get("ab12") is None
    store.put("ab12", hearing())
    assert store.get("ab12") is not None


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*names: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="no space"):
        Store(tmp_path).put("ab12", hearing())

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_process_that_is_killed_in_mid_write_leaves_no_half_file(tmp_path: Path) -> None:
    """kill -9 between writing and naming: the next process finds nothing, and computes."""
    script = textwrap.dedent(
        """
        import os, signal, sys
        os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
        from bargein.evaluation.store import Store
        from bargein.evaluation.hearing import Hearing
        Store(sys.argv[1]).put("ab12", Hearing(sample_rate=8000, frames=8, fell=(), windows=()))
        """
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)

    assert done.returncode == -9
    assert Store(tmp_path).get("ab12") is None
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".part"]


def test_the_key_is_of_all_that_shapes_a_pass_and_nothing_else(tmp_path: Path) -> None:
    for name, data in (("a.wav", b"one"), ("copy.wav", b"one"), ("b.wav", b"two")):
        (tmp_path / name).write_bytes(data)
    path = str(tmp_path / "a.wav")
    call = LabelledCall(id="x", caller=Track(path, 0), agent=Track(path, 1))
    plain = AnalysisOptions()

    def key(
        changed: LabelledCall = call, options: AnalysisOptions = plain, backend: str = "b"
    ) -> str:
        return key_of(changed, options, backend)

    def detecting(**changes: Any) -> AnalysisOptions:
        return AnalysisOptions(detection=InterruptionOptions(**changes))

    copy, other = (str(tmp_path / name) for name in ("copy.wav", "b.wav"))
    assert key() == key(attrs.evolve(call, caller=Track(copy, 0), id="y"))
    assert key() == key(options=detecting(threshold=0.9, min_interruption_duration=0.2))
    assert key() == key(options=AnalysisOptions(latency=0.5))
    different = [
        key(attrs.evolve(call, caller=Track(other, 0))),
        key(attrs.evolve(call, caller=Track(path, 1))),
        key(attrs.evolve(call, agent=None)),
        key(attrs.evolve(call, agent_start=1.0)),
        key(options=detecting(detection_interval=0.2)),
        key(options=detecting(eager_first_window=True)),
        key(options=AnalysisOptions(tracker=TrackerOptions(activation=0.6))),
        key(options=AnalysisOptions(echo_gate=None)),
        key(backend="c"),
    ]
    assert len({key(), *different}) == len(different) + 1


def test_backends_are_known_by_their_weights_their_word_or_their_source() -> None:
    class Own(LocalBackend):
        cache_key = "weights-7"

    assert str(identity(named_backend("local"))).startswith("bargein/learned/")
    assert identity(named_backend("local-sustained")) == "bargein/sustained"
    assert identity(Own()) == "bargein/silero-v6-sustained/weights-7"
    patient, broken = (identity(as_backend(f)) for f in (judges.patient, judges.broken))
    assert patient is not None
    assert patient.startswith("tests.evaluation.judges:patient/")
    assert patient != broken
    assert identity(as_backend(lambda window: [0.0])) is None


def test_the_store_lies_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/bargein/evaluate")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert default_folder() == Path.home() / ".cache" / "bargein" / "evaluate"
