"""baresip: a softphone without a sound card, told what to do over a local TCP port."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .sounds import Samples, write_wav

MODULES = Path("/usr/lib/baresip/modules")
WAIT = 10.0

CONFIG = """
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
sip_listen 127.0.0.1:0
net_interface 127.0.0.1
audio_source aufile,{audio}
audio_player aubridge,bargein
audio_alert aubridge,alert
audio_txmode thread
rtp_ports 22000-22998
call_local_timeout 30
"""


class Baresip:
    """A running softphone whose microphone is a file; it plays again and again."""

    def __init__(self, work: Path, said: Samples, name: str = "ann") -> None:
        work.mkdir(parents=True, exist_ok=True)
        write_wav(work / "said.wav", said)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = CONFIG.format(modules=MODULES, control=port, audio=work / "said.wav")
        (work / "config").write_text(config)
        (work / "accounts").write_text(
            f"<sip:{name}@127.0.0.1>;regint=0;audio_codecs=PCMU/8000/1;dtmfmode=rtpevent\n"
        )
        (work / "contacts").write_text("")
        self._log = (work / "log").open("wb")
        self._process = subprocess.Popen(
            ["baresip", "-f", str(work)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._control = self._connect(port, work)
        self._rest = b""

    def _connect(self, port: int, work: Path) -> socket.socket:
        end = time.monotonic() + WAIT
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=WAIT)
            except OSError:
                assert time.monotonic() < end, (work / "log").read_text(errors="replace")
                time.sleep(0.05)

    def tell(self, command: str, params: str = "") -> dict[str, Any]:
        """Run a command and return its response."""
        body = json.dumps({"command": command, "params": params, "token": command}).encode()
        self._control.sendall(b"%d:%s," % (len(body), body))
        return self.wait(lambda m: m.get("response") is not None and m.get("token") == command)

    def wait(self, holds: Any) -> dict[str, Any]:
        """Return the next message of which something holds."""
        end = time.monotonic() + WAIT
        while True:
            head, colon, rest = self._rest.partition(b":")
            if colon and len(rest) > int(head):
                message = json.loads(rest[: int(head)])
                self._rest = rest[int(head) + 1 :]
                if holds(message):
                    return message  # type: ignore[no-any-return]
                continue
            assert time.monotonic() < end
            self._rest += self._control.recv(65_536)

    def dial(self, port: int) -> None:
        """Call the bot and wait until the call stands."""
        assert self.tell("dial", f"sip:bot@127.0.0.1:{port}")["ok"]
        self.wait(lambda m: m.get("type") == "CALL_ESTABLISHED")

    def kill(self) -> None:
        """Go away without a word."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(WAIT)
            except subprocess.TimeoutExpired:
                self.kill()
        self._control.close()
        self._log.close()


@contextmanager
def running(work: Path, said: Samples, name: str = "ann") -> Iterator[Baresip]:
    phone = Baresip(work, said, name)
    try:
        yield phone
    finally:
        phone.close()
