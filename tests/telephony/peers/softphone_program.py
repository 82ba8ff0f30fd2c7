"""One call of a pjsua2 softphone, in a process of its own: ``softphone_program.py ARGUMENTS``.

Microphone and speaker are a media port of our own. pjsua2's conference bridge asks it for a frame
and gives it one every 20 ms, on a thread that must not be blocked. What was said and heard is kept
frame by frame, so both are on one clock, and the jitter buffer's delay is in what was heard.

A process for each call, because pjsua2 2.15 frees a port's memory while its bridge may still use
it. This one ends without freeing anything.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from typing import Any

import numpy as np
import pjsua2 as pj

RATE = 8_000
FRAME = RATE // 50
WAIT = 20.0


class Port(pj.AudioMediaPort):  # type: ignore[misc, name-defined]
    """Says samples; may echo what it hears; keeps both."""

    def __init__(self, said: Any, echo_db: float | None, delay: float) -> None:
        super().__init__()
        self._script = said
        self._gain = None if echo_db is None else 10 ** (echo_db / 20)
        self._delay = round(delay * 50)
        self.said: list[Any] = []
        self.heard: list[Any] = []
        self.times: list[float] = []
        self.begun = 0.0
        self.all_said = threading.Event()
        fmt = pj.MediaFormatAudio()
        fmt.type = pj.PJMEDIA_TYPE_AUDIO
        fmt.clockRate, fmt.channelCount, fmt.bitsPerSample, fmt.frameTimeUsec = RATE, 1, 16, 20_000
        self.createPort("phone", fmt)

    def onFrameRequested(self, frame: Any) -> None:
        if not self.said:
            self.begun = time.monotonic()
        at = len(self.said) * FRAME
        samples = np.zeros(FRAME, np.int16)
        part = self._script[at : at + FRAME]
        samples[: part.size] = part
        if self._gain is not None and len(self.heard) > self._delay:
            echo = self.heard[-1 - self._delay][:FRAME] * self._gain
            samples[: echo.size] += echo.astype(np.int16)
        self.said.append(samples)
        data = samples.tobytes()
        frame.type, frame.buf, frame.size = pj.PJMEDIA_TYPE_AUDIO, pj.ByteVector(data), len(data)
        if at + FRAME >= self._script.size:
            self.all_said.set()

    def onFrameReceived(self, frame: Any) -> None:
        self.heard.append(np.frombuffer(bytes(frame.buf)[: frame.size], np.int16))
        self.times.append(time.monotonic() - self.begun if self.said else 0.0)

    def tracks(self) -> dict[str, Any]:
        """What was said; what was heard, with each frame's time (s) and length."""
        # Each of them is behind the other where the bridge's thread still is.
        heard = self.heard[: len(self.times)]
        return {
            "said": np.concatenate([*self.said, np.zeros(0, np.int16)]),
            "heard": np.concatenate([*heard, np.zeros(0, np.int16)]),
            "lengths": np.array([frame.size for frame in heard]),
            "times": np.array(self.times[: len(heard)]),
        }


class SipCall(pj.Call):  # type: ignore[misc, name-defined]
    def __init__(self, account: Any, port: Port) -> None:
        super().__init__(account)
        self._port = port
        self.over = threading.Event()

    def onCallState(self, prm: Any) -> None:
        if self.getInfo().state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.over.set()
            self._port.all_said.set()

    def onCallMediaState(self, prm: Any) -> None:
        audio = self.getAudioMedia(-1)
        audio.startTransmit(self._port)
        self._port.startTransmit(audio)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("said", help="a .npy file")
    parser.add_argument("tracks", help="the .npz file that is written")
    parser.add_argument("--name", default="ann")
    parser.add_argument("--echo-db", type=float)
    parser.add_argument("--delay", type=float, default=0.06)
    arguments = parser.parse_args()
    said = np.load(arguments.said)

    endpoint, config = pj.Endpoint(), pj.EpConfig()
    endpoint.libCreate()
    config.logConfig.level = config.logConfig.consoleLevel = 1
    config.medConfig.clockRate = config.medConfig.sndClockRate = RATE
    config.medConfig.ecTailLen = 0
    config.medConfig.noVad = True
    endpoint.libInit(config)
    endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, pj.TransportConfig())
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    for codec in endpoint.codecEnum2():
        endpoint.codecSetPriority(codec.codecId, 0)
    endpoint.codecSetPriority("PCMU/8000", 255)
    settings = pj.AccountConfig()
    settings.idUri = f"sip:{arguments.name}@127.0.0.1"
    settings.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
    account = pj.Account()
    account.create(settings)

    port = Port(said, arguments.echo_db, arguments.delay)
    call, params = SipCall(account, port), pj.CallOpParam(True)
    params.opt.audioCount, params.opt.videoCount = 1, 0
    call.makeCall(f"sip:bot@127.0.0.1:{arguments.port}", params)
    good = port.all_said.wait(said.size / RATE + WAIT)
    if call.isActive():
        call.hangup(pj.CallOpParam())
    good &= call.over.wait(WAIT)
    np.savez(arguments.tracks, **port.tracks())
    sys.stdout.flush()
    os._exit(0 if good else 1)


if __name__ == "__main__":
    main()
