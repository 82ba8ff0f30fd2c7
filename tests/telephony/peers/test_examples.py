"""The examples that need a real peer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import bargein

from .softphone import Softphone
from .sounds import silence

EXAMPLES = Path(__file__).parents[3] / "examples" / "telephony"


@pytest.mark.peer("pjsua2")
def test_the_pjsua2_bot(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = (
        f"import sys; sys.path.insert(0, {str(EXAMPLES)!r}); import pjsua2_bot; "
        f"pjsua2_bot.main({port})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(bargein.__file__).parents[1])},
    )
    assert process.stdout is not None
    try:
        assert any(line.startswith("listening on") for line in process.stdout)
        phones = [Softphone(tmp_path, port, silence(2.5), name=f"caller{n}") for n in range(2)]
        for phone in phones:
            phone.finish()
            _, heard = phone.tracks()
            assert abs(heard.astype(int)).max() > 2000
        over = (line for line in process.stdout if "over" in line)
        assert [next(over), next(over)]
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
