"""``bargein serve`` as a process: exposure, drain, workers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import websocket

from bargein.cli.main import main
from bargein.core import Prediction, Window
from bargein.testing.sockets import BOUND
from tests.server.running import close_code, create_session, judge, receive, send_window

ROOT = Path(__file__).parents[2]


def gated(window: Window) -> Prediction:
    """A judge that says when it begins with loud audio, and waits until it may go on."""
    if window.samples.any():
        for name in ("begun", "go"):
            _meet(Path(os.environ["GATES"], name), "w")
    return judge(window)


def _meet(gate: Path, mode: str) -> None:
    """Open a FIFO: this blocks until the other side does, too."""
    gate.open(mode).close()


@pytest.fixture
def gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the judge of a process and its test meet."""
    for name in ("begun", "go"):
        os.mkfifo(tmp_path / name)
    monkeypatch.setenv("GATES", str(tmp_path))
    return tmp_path


@contextlib.contextmanager
def serve(
    *arguments: str, judge: str = "tests.server.running:judge"
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "bargein", "serve", "--port", "0", *arguments]
    search = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)]))
    with subprocess.Popen(
        [*command, "--backend", judge],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": search},
    ) as process:
        try:
            line = process.stdout.readline()
            yield process, int(line.rsplit(":", 1)[1]) if line else 0
        finally:
            process.kill()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_open_overlap_gets_its_verdict_and_new_ones_are_refused(
    workers: str, gates: Path
) -> None:
    with serve("--workers", workers, judge=f"{__name__}:gated") as (process, port):
        address = f"ws://127.0.0.1:{port}/bargein"
        client = websocket.create_connection(address, timeout=BOUND)
        create_session(client)
        assert receive(client)["type"] == "session.created"
        send_window(client, 1, bytes(9600))
        assert receive(client)["type"] == "inference_done"
        send_window(client, 2)
        _meet(gates / "begun", "r")
        process.send_signal(signal.SIGTERM)
        if workers == "1":
            assert _refusal(address) == 503
        send_window(client, 3, bytes(9600))
        _meet(gates / "go", "r")
        assert [receive(client)["created_at"] for _ in range(2)] == [2, 3]
        assert close_code(client) == 1001
        client.shutdown()
        _, errors = process.communicate(timeout=BOUND)
        assert process.returncode == 0, errors
        assert '"why":"the server is stopping"' in errors


def _refusal(address: str) -> int:
    """Connect until that is refused, as a signal takes a moment; return the status."""
    while True:
        try:
            websocket.create_connection(address, timeout=BOUND).shutdown()
        except websocket.WebSocketBadStatusException as refused:
            return refused.status_code


def _worker(port: int) -> int:
    """Return which process serves a new session: its sessions' names begin with it."""
    client = websocket.create_connection(f"ws://127.0.0.1:{port}/bargein", timeout=BOUND)
    try:
        client.send("nonsense")
        return int(receive(client)["session_id"].partition("-")[0])
    finally:
        client.shutdown()


def test_a_worker_that_is_killed_is_replaced_and_nobody_is_turned_away() -> None:
    with serve("--workers", "2") as (process, port):
        # One after the other, until both have been met: which is whose is the system's choice.
        workers: set[int] = set()
        while len(workers) < 2:
            workers.add(_worker(port))
        killed = min(workers)
        os.kill(killed, signal.SIGKILL)
        met: set[int] = set()
        while len(met) < 2:
            met.add(_worker(port))
            met.discard(killed)
        assert len(met - workers) == 1
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=BOUND)
        assert process.returncode == 0, errors
        assert f"worker {killed} ended" in errors


def _figures(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=BOUND) as answer:
        lines = answer.read().decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def test_figures_are_those_of_all_workers() -> None:
    with serve("--workers", "2") as (process, port):
        sessions, workers = [], set()
        while len(workers) < 2:
            client = websocket.create_connection(f"ws://127.0.0.1:{port}/bargein", timeout=BOUND)
            create_session(client)
            receive(client)
            send_window(client, 1)
            assert receive(client)["created_at"] == 1
            sessions.append(client)
            workers.add(_worker(port))
        for _ in range(4):  # whichever is asked
            figures = _figures(port)
            assert figures['bargein_windows_total{outcome="interruption"}'] == len(sessions)
            assert figures["bargein_sessions"] >= len(sessions)
        for client in sessions:
            client.shutdown()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=BOUND)
        assert process.returncode == 0


def test_workers_do_not_outlive_who_started_them() -> None:
    with serve("--workers", "2") as (process, port):
        _worker(port)
        process.kill()
        # They hold its ends of the pipes: these are closed when the last of them is gone.
        _, errors = process.communicate(timeout=BOUND)
        assert "the process that started this worker is gone" in errors


def test_a_judge_that_hangs_does_not_keep_the_server_from_its_end(gates: Path) -> None:
    with serve("--drain-timeout", "0.1", judge=f"{__name__}:gated") as (process, port):
        client = websocket.create_connection(f"ws://127.0.0.1:{port}/bargein", timeout=BOUND)
        create_session(client)
        assert receive(client)["type"] == "session.created"
        send_window(client, 1)
        _meet(gates / "begun", "r")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=BOUND)
        client.shutdown()
        assert process.returncode == 0, errors
        assert "the judge hangs" in errors


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "--insecure"),
        (["--host", "example.org"], "--insecure"),
        (["--certificate", "x"], "go together"),
        (["--certificate", "no.pem", "--key", "no.key"], "two PEM files"),
        (["--workers", "0"], "--workers"),
        (["--host", "203.0.113.9", "--insecure"], "can't listen"),
        (["--idle-timeout", "-1"], "idle_timeout"),
        (["--port", "99999"], "--port"),
        (["--backend", "tests.server.running:nobody"], "can't be imported"),
        pytest.param(
            ["--workers", "2", "--backend", "nobody"],
            "there is no backend 'nobody'",
            marks=pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
        ),
        (["--host", "[2001:db8::1]"], "--host 2001:db8::1 can be reached"),
    ],
)
def test_what_is_refused(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.delenv("BARGEIN_API_KEY", raising=False)
    command = ["serve", "--port", "0", "--backend", "tests.server.running:judge", *arguments]
    assert main(command) != 0
    said = capsys.readouterr()
    assert (said.out, says in said.err) == ("", True)


def test_a_short_secret_is_warned_of(monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("BARGEIN_API_KEY", "bridge")
    monkeypatch.setenv("BARGEIN_API_SECRET", "password")
    assert main(["serve", "--backend", "tests.server.running:nobody"]) != 0
    assert "'bridge' is short" in caplog.text
    assert "password" not in caplog.text
