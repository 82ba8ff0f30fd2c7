"""A SIP bot on pjsua2 (pip install pjsua2-python): a line of our own, and a Call on it.

pjsua2's callbacks run on its media thread, which must never block: Call's handlers don't.
"""

import collections
import queue
import sys
import time

import pjsua2 as pj

from bargein import AdaptiveInterruptionDetector
from bargein.audio import AudioFormat
from bargein.cli.answer import read_prompt
from bargein.telephony import Call

FRAME = 160  # samples: 20 ms at 8 kHz
detector = AdaptiveInterruptionDetector(backend="local")
samples, rate = read_prompt(sys.argv[1] if len(sys.argv) > 1 else None)


class PortLine(pj.AudioMediaPort):
    """A `bargein.telephony.Line`: what the conference bridge asks for and gives, every 20 ms."""

    format, frame = AudioFormat(8000), FRAME
    paced_by_peer, marks, details = False, False, {}

    def __init__(self, sip: pj.Call, name: str) -> None:
        super().__init__()
        self.id, self._sip, self._out, self.handler = name, sip, queue.SimpleQueue(), None
        media = pj.MediaFormatAudio()
        media.type, media.clockRate, media.channelCount = pj.PJMEDIA_TYPE_AUDIO, 8000, 1
        media.bitsPerSample, media.frameTimeUsec = 16, 20_000
        self.createPort(name, media)

    def write(self, audio: bytes) -> None:
        self._out.put(audio)

    def mark(self, name: str) -> None: ...
    def clear(self) -> None: ...

    def hang_up(self) -> None:
        pass  # main() does, on pjsua2's own thread

    def onFrameRequested(self, frame) -> None:
        data = self._out.get() if not self._out.empty() else bytes(2 * FRAME)
        frame.type, frame.buf, frame.size = pj.PJMEDIA_TYPE_AUDIO, pj.ByteVector(data), len(data)

    def onFrameReceived(self, frame) -> None:
        self.handler.on_audio(bytes(frame.buf)[: frame.size])


class SipCall(pj.Call):
    port = None

    def onCallMediaState(self, prm) -> None:
        if self.port is None:  # it isn't at the end of a hold
            self.port = PortLine(self, f"call-{self.getId()}")
            call = self.port.handler = Call(self.port, detector)
            call.on(
                "stopped", lambda event: print(f"stopped, {event.heard_up_to} ms heard", flush=True)
            )
            call.play(samples, sample_rate=rate)
        audio = self.getAudioMedia(-1)
        audio.startTransmit(self.port)
        self.port.startTransmit(audio)

    def onCallState(self, prm) -> None:
        ended = self.getInfo().state == pj.PJSIP_INV_STATE_DISCONNECTED
        if ended and self.port is not None:
            self.port.handler.on_end("hangup")
            print("over", flush=True)


class Bot(pj.Account):
    def __init__(self) -> None:
        super().__init__()
        # The newest are kept: pjsua2 frees a call and its port with their last references in
        # Python, and its bridge may use them for a while yet.
        self.calls = collections.deque(maxlen=100)

    def onIncomingCall(self, prm) -> None:
        call, answer = SipCall(self, prm.callId), pj.CallOpParam(True)
        self.calls.append(call)
        answer.statusCode = 200
        call.answer(answer)


def main(port: int = 5062) -> None:
    endpoint, config, transport = pj.Endpoint(), pj.EpConfig(), pj.TransportConfig()
    endpoint.libCreate()
    config.logConfig.level = config.logConfig.consoleLevel = 1
    config.medConfig.clockRate = 8000
    config.medConfig.ecTailLen = 0  # the canceller is ours
    config.medConfig.noVad = True
    endpoint.libInit(config)
    transport.port = port
    endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    account = pj.AccountConfig()
    account.idUri = "sip:bot@127.0.0.1"
    bot = Bot()
    bot.create(account)
    print(f"listening on {port}", flush=True)
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main()
