"""What the Dockerfile and docs/deploying.md say of the project is so."""

from __future__ import annotations

import argparse
import configparser
import json
import re
import shlex
from pathlib import Path

import pytest

from bargein.cli import serve
from bargein.server import ServerConfig, create_app
from tests.server.running import judge

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")


def _instructions(name: str) -> list[str]:
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.split(None, 1)[1] for line in joined.splitlines() if line.startswith(name + " ")]


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    serve.add_arguments(parser)
    return parser.parse_args(arguments)


def _routes() -> set[str]:
    return {route.path for route in create_app(judge).routes}  # type: ignore[attr-defined]


def test_the_image_copies_what_is_there_and_ignores_the_rest() -> None:
    kept = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = [
        source
        for line in _instructions("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    ]
    assert sorted(copied) == sorted(kept)
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_installs_an_extra_and_a_python_that_exist() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    for extras in re.findall(r"'(?:\.|bargein)\[([\w,]+)\]'", DOCKERFILE):
        assert set(extras.split(",")) <= set(config["options.extras_require"])
    pythons = set(re.findall(r"^FROM python:([\d.]+)-slim", DOCKERFILE, re.MULTILINE))
    assert len(pythons) == 1
    assert f"Python :: {pythons.pop()}" in config["metadata"]["classifiers"]


def test_the_images_command_is_understood() -> None:
    (entry,), (rest,) = _instructions("ENTRYPOINT"), _instructions("CMD")
    words = json.loads(entry) + json.loads(rest)
    assert words[:2] == ["bargein", "serve"]
    given = _parsed(words[2:])
    assert given.port == int(_instructions("EXPOSE")[0])
    # In public, and so not without keys.
    with pytest.raises(ValueError, match="BARGEIN_API_KEY"):
        serve._check_exposure(given.host, False, given.insecure)


def test_the_image_runs_without_rights_and_looks_at_its_health() -> None:
    assert _instructions("USER") == ["10001"]
    check = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", _instructions("HEALTHCHECK")[0])
    assert check
    assert int(check[1]) == _parsed([]).port
    assert check[2] in _routes()
    command = json.loads(_instructions("HEALTHCHECK")[0].partition("CMD ")[2])
    compile(command[2], "HEALTHCHECK", "exec")


def test_docker_run_is_understood() -> None:
    line = re.search(r"^docker run .* bargein (.*)$", PAGE, re.MULTILINE)
    assert line
    assert _parsed(shlex.split(line[1])).workers == 2


def test_the_deployments_numbers_fit() -> None:
    found = re.search(r"args: (\[.*\])", PAGE)
    assert found
    given = _parsed(["--host", "0.0.0.0", *json.loads(found[1])])
    assert given.drain_timeout == ServerConfig().drain_timeout
    grace = re.search(r"terminationGracePeriodSeconds: (\d+)", PAGE)
    sleep = re.search(r'preStop: .*"sleep", "(\d+)"', PAGE)
    assert grace
    assert sleep
    # uvicorn takes up to 2 s more to close what is left.
    assert int(grace[1]) >= int(sleep[1]) + given.drain_timeout + 2
    for path, port in re.findall(r"httpGet: \{path: (\S+), port: (\d+)\}", PAGE):
        assert path in _routes()
        assert int(port) == given.port
