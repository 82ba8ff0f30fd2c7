"""Asterisk, in the chroot that ``.ci/peers/telephony.sh`` made, with callers that it plays itself.

A caller is a Local channel whose one half plays a file; the other half runs the dialplan and has
the call. ``MixMonitor`` writes what the caller said and what the caller heard to two files, sample
for sample side by side.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bargein.audio.g711 import encode_mulaw

from .sounds import Samples, read_wav

WAIT = 20.0
"""Seconds until a wait is given up."""

MODULES = (
    *("app_audiosocket", "app_dial", "app_mixmonitor", "app_playback", "app_verbose"),
    *("bridge_simple", "chan_audiosocket", "chan_rtp", "chan_websocket", "codec_alaw"),
    *("codec_resample", "codec_ulaw", "format_pcm", "format_wav", "func_callerid", "func_uuid"),
    *("pbx_config", "pbx_spool", "res_audiosocket", "res_crypto", "res_http_websocket"),
    *("res_pjproject", "res_rtp_asterisk", "res_rtp_multicast", "res_sorcery_config"),
    *("res_timing_timerfd", "res_websocket_client"),
)

# Both halves are recorded: r is what the caller said, t what the caller heard.
WAYS = {
    "audiosocket": "AudioSocket(${{ID}},127.0.0.1:{audiosocket})",
    "audiosocket16": "Dial(AudioSocket/127.0.0.1:{audiosocket}/${{ID}}/c(slin16))",
    "websocket-json": "Dial(WebSocket/bot/c(ulaw)f(json))",
    "websocket-plain-text": "Dial(WebSocket/bot/c(ulaw)f(plain-text))",
    "rtp": "Dial(UnicastRTP/127.0.0.1:{rtp}/c(ulaw))",
}


def dialplan(work: Path, **ports: int) -> str:
    files = f"{work}/${{RECORD}}"
    lines = ["[general]", "[demo]"]
    for name, way in WAYS.items():
        lines += [
            f"exten => {name},1,Answer()",
            f" same => n,MixMonitor({files}-mix.wav,r({files}-said.wav)t({files}-heard.wav))",
            f" same => n,{way.format(**ports)}",
            " same => n,Hangup()",
        ]
    return "\n".join(lines) + "\n"


class Asterisk:
    """A running Asterisk. Paths are as it sees them, below its root."""

    def __init__(self, root: Path, *, audiosocket: int, websocket: int, rtp: int) -> None:
        self._root = root
        self._work = Path("/var/spool/asterisk/bargein") / uuid.uuid4().hex[:8]
        (self._here / "outgoing").mkdir(parents=True)
        files = {
            "asterisk.conf": (
                f"[directories]\nastetcdir => {self._work}\nastrundir => {self._work}\n"
                f"astlogdir => {self._work}\nastspooldir => {self._work}\n"
            ),
            "modules.conf": "[modules]\nautoload=no\n"
            + "".join(f"load={name}.so\n" for name in MODULES),
            "logger.conf": "[general]\n[logfiles]\nmessages => notice,warning,error\n",
            "extensions.conf": dialplan(self._work, audiosocket=audiosocket, rtp=rtp),
            "websocket_client.conf": (
                f"[bot]\ntype=websocket_client\nuri=ws://127.0.0.1:{websocket}/media\n"
                f"protocols=media\nconnection_type=per_call_config\n"
            ),
            "rtp.conf": "[general]\nrtpstart=21000\nrtpend=21998\n",
        }
        for name, text in files.items():
            (self._here / name).write_text(text)
        self._process = subprocess.Popen(
            [*self._command, "-f", "-n", "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        self._wait_until_booted()

    @property
    def _here(self) -> Path:
        return self._root / self._work.relative_to("/")

    @property
    def _command(self) -> list[str]:
        return ["chroot", str(self._root), "asterisk", "-C", f"{self._work}/asterisk.conf"]

    def _wait_until_booted(self) -> None:
        end = time.monotonic() + WAIT
        while "fully booted" not in self.run("core waitfullybooted").lower():
            assert time.monotonic() < end, self.log()
            assert self._process.poll() is None, self.log()
            time.sleep(0.1)

    def run(self, command: str) -> str:
        """Run a console command and return what it says."""
        done = subprocess.run(
            [*self._command, "-rx", command], capture_output=True, text=True, timeout=WAIT
        )
        return done.stdout + done.stderr

    def log(self) -> str:
        path = self._here / "messages"
        return path.read_text(errors="replace") if path.exists() else ""

    def call(self, extension: str, said: Samples, *, record: str = "") -> str:
        """Have a caller say something to an extension; return the recording's name."""
        record = record or uuid.uuid4().hex[:8]
        (self._here / f"{record}.ulaw").write_bytes(encode_mulaw(said))
        # A call file: unlike `channel originate` it can set variables.
        text = (
            f"Channel: Local/{extension}@demo/n\nApplication: Playback\n"
            f"Data: {self._work}/{record}\nSetvar: __RECORD={record}\n"
            f"Setvar: __ID={uuid.uuid4()}\n"
        )
        new = self._here / f"{record}.call"
        new.write_text(text)
        # Moved there whole, or Asterisk would read half of it.
        new.rename(self._here / "outgoing" / new.name)
        return record

    def recording(self, record: str) -> tuple[Samples, Samples]:
        """Return what the caller said and heard, once the call is over."""
        end = time.monotonic() + WAIT
        while "0 active calls" not in self.run("core show channels"):
            assert time.monotonic() < end
            time.sleep(0.1)
        said, heard = (read_wav(self._here / f"{record}-{w}.wav") for w in ("said", "heard"))
        length = max(said.size, heard.size)
        return np.pad(said, (0, length - said.size)), np.pad(heard, (0, length - heard.size))

    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.run("core stop now")
        try:
            self._process.wait(WAIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._here, ignore_errors=True)


@contextmanager
def running(root: Path, **ports: int) -> Iterator[Asterisk]:
    asterisk = Asterisk(root, **ports)
    try:
        yield asterisk
    finally:
        asterisk.close()
