"""A softphone in this process: pjsua2 with a media port of our own for microphone and speaker.

pjsua2's conference bridge asks for a frame and gives one, every 20 ms, on a thread of its own that
must not be blocked. What was said and heard is kept frame by frame, so both are on one clock, and
the jitter buffer's delay is in what was heard.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .sounds import RATE, Samples

FRAME = RATE // 50
WAIT = 20.0


def _make_port(pj: Any, phone: Any) -> Any:
    class Port(pj.AudioMediaPort):  # type: ignore[misc, name-defined]
        def onFrameRequested(self, frame: Any) -> None:
            data = phone._say().tobytes()
            frame.type = pj.PJMEDIA_TYPE_AUDIO
            vector = pj.ByteVector()
            for byte in data:
                vector.append(byte)
            frame.buf = vector
            frame.size = len(data)

        def onFrameReceived(self, frame: Any) -> None:
            phone._hear(bytes(bytearray(frame.buf)))

    fmt = pj.MediaFormatAudio()
    fmt.type = pj.PJMEDIA_TYPE_AUDIO
    fmt.clockRate, fmt.channelCount, fmt.bitsPerSample, fmt.frameTimeUsec = RATE, 1, 16, 20_000
    port = Port()
    port.createPort(f"phone{id(phone)}", fmt)
    return port


class Phone:
    """One call's caller: says samples; may echo what it hears; keeps both."""

    def __init__(self, said: Samples, *, echo_db: float | None = None, delay: float = 0.06) -> None:
        self._script = said
        self._at = 0
        self._gain = None if echo_db is None else 10 ** (echo_db / 20)
        self._delay = round(delay * 50)
        self.said: list[Samples] = []
        self.heard: list[tuple[float, Samples]] = []
        self.begun = 0.0
        self.media = threading.Event()
        self.over = threading.Event()

    def _say(self) -> Samples:
        if not self.said:
            self.begun = time.monotonic()
        frame = np.zeros(FRAME, np.int16)
        part = self._script[self._at : self._at + FRAME]
        frame[: part.size] = part
        self._at += FRAME
        if self._gain is not None and len(self.heard) > self._delay:
            echo = self.heard[-1 - self._delay][1][:FRAME] * self._gain
            frame[: echo.size] += echo.astype(np.int16)
        self.said.append(frame)
        return frame

    def _hear(self, data: bytes) -> None:
        self.heard.append((time.monotonic(), np.frombuffer(data, np.int16).copy()))

    def tracks(self) -> tuple[Samples, Samples]:
        """Return what was said and heard, from the first frame said."""
        said = np.concatenate(self.said)
        heard = np.zeros(said.size + RATE, np.int16)
        for at, frame in self.heard:
            begin = int((at - self.begun) * RATE)
            if 0 <= begin <= heard.size - frame.size:
                heard[begin : begin + frame.size] = frame
        return said, heard


class Softphone:
    """A pjsua2 endpoint without a sound card. One a process."""

    def __init__(self) -> None:
        import pjsua2 as pj

        self._pj = pj
        self._endpoint = pj.Endpoint()
        self._endpoint.libCreate()
        config = pj.EpConfig()
        config.logConfig.level = config.logConfig.consoleLevel = 1
        config.medConfig.clockRate = config.medConfig.sndClockRate = RATE
        config.medConfig.ecTailLen = 0
        config.medConfig.noVad = True
        config.uaConfig.maxCalls = 30
        self._endpoint.libInit(config)
        self._endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, pj.TransportConfig())
        self._endpoint.libStart()
        self._endpoint.audDevManager().setNullDev()
        for codec in self._endpoint.codecEnum2():
            self._endpoint.codecSetPriority(codec.codecId, 0)
        self._endpoint.codecSetPriority("PCMU/8000", 255)
        account = pj.AccountConfig()
        account.idUri = "sip:ann@127.0.0.1"
        account.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
        self._account = pj.Account()
        self._account.create(account)

    def call(self, port: int, phone: Phone, act: Callable[[Any, Phone], None]) -> Phone:
        """Call the bot; once there is audio, run `act(call, phone)`, then hang up."""
        pj = self._pj

        class Call(pj.Call):  # type: ignore[misc, name-defined]
            def onCallState(self, prm: Any) -> None:
                if self.getInfo().state == pj.PJSIP_INV_STATE_DISCONNECTED:
                    phone.over.set()

            def onCallMediaState(self, prm: Any) -> None:
                info = self.getInfo()  # kept: what is in it lives as long as it does
                for index in range(len(info.media)):
                    media = info.media[index]
                    if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status in (
                        pj.PJSUA_CALL_MEDIA_ACTIVE,
                        pj.PJSUA_CALL_MEDIA_LOCAL_HOLD,
                    ):
                        audio = self.getAudioMedia(index)
                        audio.startTransmit(self.port)
                        self.port.startTransmit(audio)
                        phone.media.set()

        call = Call(self._account)
        call.port = _make_port(pj, phone)
        params = pj.CallOpParam(True)
        params.opt.audioCount, params.opt.videoCount = 1, 0
        call.makeCall(f"sip:bot@127.0.0.1:{port}", params)
        assert phone.media.wait(WAIT)
        try:
            act(call, phone)
        finally:
            if call.isActive():
                call.hangup(pj.CallOpParam())
            assert phone.over.wait(WAIT)
        return phone

    def close(self) -> None:
        self._account.shutdown()
        del self._account
        self._endpoint.libDestroy()
        del self._endpoint
