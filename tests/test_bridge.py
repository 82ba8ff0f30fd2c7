"""The README's bridge, run as it stands there, with a call that is played from a recording."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bargein.audio.files import open_recording
from bargein.audio.g711 import encode_mulaw
from bargein.runtime.pool import connect_pool, http_pool, inference_pool
from bargein.testing.sockets import BOUND
from tests.streams.service import Service, answers

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "examples" / "call"
FRAME = 160  # samples: 20 ms at 8 kHz


def example() -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## In ten lines")[2].partition("\n## ")[0]
    (code,) = re.findall(r"^```python\n(.*?)^```$", section, re.M | re.S)
    return str(code)


class Call:
    """A user's call: it has callbacks, and a prompt that can be stopped."""

    id = "call 17"
    on_audio: Callable[[bytes], None]
    on_prompt_started: Callable[[], None]
    on_prompt_ended: Callable[[], None]
    on_vad: Callable[[float], None]
    on_hangup: Callable[[], None]

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def stop_prompt(self) -> None:
        self.stopped.set()


@pytest.fixture(scope="module")
def caller() -> np.ndarray[Any, np.dtype[np.int16]]:
    """The caller's channel of the example call: 8 kHz."""
    with open_recording(FOLDER / "call.flac") as recording:
        assert recording.sample_rate == 8000
        return np.concatenate([block[:, 0] for block in recording.blocks()])


@pytest.fixture
def bridge() -> Iterator[tuple[Call, dict[str, Any]]]:
    call = Call()
    namespace: dict[str, Any] = {"call": call}
    exec(compile(example(), "README.md", "exec"), namespace)
    yield call, namespace
    namespace["detector"].close()


def play(call: Call, samples: np.ndarray[Any, np.dtype[np.int16]], speech: range) -> None:
    """Play frames, with what a VAD would say; ``speech`` in samples."""
    for at in range(0, len(samples) - FRAME, FRAME):
        call.on_audio(encode_mulaw(samples[at : at + FRAME]))
        call.on_vad(0.95 if at in speech or at + FRAME in speech else 0.05)


def event(label: str) -> dict[str, Any]:
    table = json.loads((FOLDER / "contents.json").read_text(encoding="utf-8"))
    return next(e for e in table["caller"] if e["label"] == label and e["over_agent"])


def excerpt(
    caller: np.ndarray[Any, np.dtype[np.int16]], found: dict[str, Any]
) -> tuple[np.ndarray[Any, np.dtype[np.int16]], range]:
    """The second before a sound up to half a second past it, and where it is in there."""
    first, last = round(found["onset"] * 8000), round(found["end"] * 8000)
    return caller[first - 8000 : last + 4000], range(8000, 8000 + last - first)


def test_a_caller_who_interrupts_stops_the_prompt(
    bridge: tuple[Call, dict[str, Any]], caller: np.ndarray[Any, np.dtype[np.int16]]
) -> None:
    call, names = bridge
    samples, speech = excerpt(caller, event("interruption"))

    call.on_prompt_started()
    play(call, samples[: speech.stop], speech)  # the caller is still talking

    assert call.stopped.wait(BOUND)
    verdict = names["stream"].recv(timeout=BOUND)
    assert (verdict.outcome.value, verdict.stream_id) == ("interruption", "call 17")
    call.on_hangup()


def test_a_backchannel_does_not(
    bridge: tuple[Call, dict[str, Any]], caller: np.ndarray[Any, np.dtype[np.int16]]
) -> None:
    call, names = bridge
    samples, speech = excerpt(caller, event("backchannel"))

    call.on_prompt_started()
    play(call, samples, speech)

    verdict = names["stream"].recv(timeout=BOUND)
    assert not verdict.is_interruption
    assert not call.stopped.is_set()
    call.on_prompt_ended()
    call.on_hangup()


def test_the_example_is_about_ten_lines() -> None:
    lines = [line for line in example().splitlines() if line.strip()]

    assert len(lines) <= 13


# ---- two lines changed: a server judges


@pytest.mark.parametrize("transport", ["ws", "http"])
def test_with_two_lines_changed_a_server_judges(
    transport: str, caller: np.ndarray[Any, np.dtype[np.int16]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in os.environ:
        if name.startswith("LIVEKIT_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    call = Call()
    names: dict[str, Any] = {"call": call}
    with Service(transport, answers.yes) as service:
        address = f'base_url="{service.server.url(transport)}",\n    fallback="local",\n'
        changed = example().replace('backend="local"', address)
        assert changed.count(address) == 1
        exec(compile(changed, "README.md", "exec"), names)
        if transport == "ws":
            service.sessions.get(timeout=BOUND)  # until then the fallback would judge
        samples, speech = excerpt(caller, event("interruption"))

        call.on_prompt_started()
        play(call, samples[: speech.stop], speech)

        assert call.stopped.wait(BOUND)
        assert service.next().samples.size > 0  # the server was asked
        call.on_hangup()
        names["detector"].close()
    for pool in (connect_pool, http_pool, inference_pool):
        pool.stop(BOUND)
