"""The examples that need a real peer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bargein

from .softphone import Phone, Softphone
from .sounds import silence

EXAMPLES = Path(__file__).parents[3] / "examples" / "telephony"
PORT = 5162


@pytest.mark.peer("pjsua2")
def test_the_pjsua2_bot() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(EXAMPLES)!r}); import pjsua2_bot; "
        f"pjsua2_bot.main({PORT})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(bargein.__file__).parents[1])},
    )
    assert process.stdout is not None
    softphone = Softphone()
    try:
        for line in process.stdout:
            if line.startswith("listening on"):
                break
        phone = Phone(silence(3.0))
        softphone.call(PORT, phone, lambda call, phone: time.sleep(3.0))
        _, heard = phone.tracks()
        assert abs(heard.astype(int)).max() > 2000
        assert any("over" in line for line in process.stdout)
    finally:
        softphone.close()
        process.kill()
        process.wait(10)
        process.stdout.close()
