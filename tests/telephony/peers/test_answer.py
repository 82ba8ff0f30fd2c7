"""sipp calls ``bargein answer sip``: what a user runs, from the shell to the recording."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from . import sipp
from .sounds import pieces, timeline

pytestmark = pytest.mark.peer("sipp")

WAIT = 90.0


def test_the_demonstration_agent(tmp_path: Path) -> None:
    said = timeline(7.5, (1.5, pieces("backchannel")[0]), (4.0, pieces("interruption")[0]))
    command = [sys.executable, "-u", "-m", "bargein", "answer", "sip", "--port", "0"]
    command += ["--calls", "1", "--record", str(tmp_path / "calls")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as agent:
        assert agent.stdout is not None
        shown = ""
        port = 0
        for line in agent.stdout:
            shown += line
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            if found:
                port = int(found[1])
                break
        assert port, shown
        sipp.finish(sipp.call(tmp_path, port, said))
        shown += agent.communicate(timeout=WAIT)[0]
    assert agent.returncode == 0, shown
    assert len(re.findall("interruption", shown)) >= 1, shown
    assert "stop" in shown, shown

    (recording,) = (tmp_path / "calls").glob("*.wav")
    analyze = [sys.executable, "-m", "bargein", "analyze", str(recording)]
    done = subprocess.run(analyze, capture_output=True, text=True, timeout=WAIT)
    assert done.returncode == 0, done.stderr
    assert "interruption" in done.stdout
