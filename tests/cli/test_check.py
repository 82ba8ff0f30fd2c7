"""``bargein check``: exit codes, words, JSON, and no secret anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bargein.cli import main
from bargein.testing.certificates import server_context, write_authority
from bargein.testing.sockets import Server, raw_listener
from tests.fresh import run_fresh
from tests.test_check import SECRET, answer, judge_over_http, judge_over_websocket


@pytest.fixture(autouse=True)
def _no_livekit(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "API_SECRET", "INFERENCE_API_KEY", "INFERENCE_API_SECRET"):
        monkeypatch.delenv(f"LIVEKIT_{name}", raising=False)
    for name in ("LIVEKIT_REMOTE_EOT_URL", "LIVEKIT_INFERENCE_URL", "LIVEKIT_URL"):
        monkeypatch.delenv(name, raising=False)


def test_the_local_judge_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--backend", "local"]) == 0

    out = capsys.readouterr().out
    assert "in-process" in out
    assert "problem" not in out


@pytest.mark.parametrize(
    ("scheme", "script"), [("http", judge_over_http), ("ws", judge_over_websocket)]
)
def test_a_server_is_well(scheme: str, script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with Server(script) as server:
        assert main(["check", "--base-url", server.url(scheme), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    assert told["transport"] == ("http" if scheme == "http" else "websocket")


def test_tls_with_a_root_of_the_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(write_authority(tmp_path))
    with Server(judge_over_http, tls=server_context()) as server:
        assert main(["check", "--base-url", server.url("https"), "--ca-file", root]) == 0
        assert main(["check", "--base-url", server.url("https")]) == 5
    assert "certificate" in capsys.readouterr().out


def test_nobody_listens_there(capsys: pytest.CaptureFixture[str]) -> None:
    with raw_listener(listening=False) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert main(["check", "--base-url", address]) == 5
    assert "problem address" in capsys.readouterr().out


def test_a_secret_comes_from_the_variable_that_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_SECRET", SECRET)
    arguments = ["--api-key", "key", "--api-secret-env", "MY_SECRET"]
    with Server(answer("401 Unauthorized")) as server:
        assert main(["check", "--base-url", server.url("http"), *arguments]) == 5

    told = capsys.readouterr()
    assert "problem credentials" in told.out
    assert SECRET not in told.out + told.err


def test_a_variable_that_is_not_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MY_SECRET", raising=False)

    assert main(["check", "--base-url", "http://h", "--api-secret-env", "MY_SECRET"]) == 2
    assert "MY_SECRET" in capsys.readouterr().err


def test_without_an_address_it_says_what_a_gateway_needs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check"]) == 2
    assert "LIVEKIT_API_SECRET" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--backend", "local", "--base-url", "http://h"],
        ["--backend", "other"],
        ["--timeout", "soon"],
        ["--backend", "local", "--timeout", "0"],
        ["--backend", "local", "--transport", "http"],
    ],
)
def test_bad_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *arguments]) == 2
    assert capsys.readouterr().err


def test_a_local_judge_that_fails_is_no_remote(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("no")

    monkeypatch.setattr("bargein.backends.learned.LearnedSession.predict", broken)

    assert main(["check", "--backend", "local"]) == 1


def test_as_a_command_it_leaves_in_good_order() -> None:
    done = run_fresh("-m", "bargein", "check", "--backend", "local")

    assert (done.returncode, done.stderr) == (0, "")
