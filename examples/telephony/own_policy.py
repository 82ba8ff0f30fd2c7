"""A policy of one's own: duck for speech, grow patient with those who hum along, stop at a key.

A policy may be replaced in mid-call, and `Call.stop` is always there.
"""

import sys
import threading

from bargein import AdaptiveInterruptionDetector
from bargein.cli.answer import read_prompt
from bargein.telephony import AudioSocketServer, BargeInPolicy, Call, CallEvent, Line

detector = AdaptiveInterruptionDetector(backend="local")
samples, rate = read_prompt(sys.argv[1] if len(sys.argv) > 1 else None)
ducking = BargeInPolicy(on_speech="duck", duck_gain=-9.0, min_speech=0.3)
patient = BargeInPolicy(on_speech="go_on", min_speech=0.8)


def answer(line: Line) -> Call:
    call = Call(line, detector, policy=ducking)
    backchannels = 0

    @call.on("verdict")
    def verdict(event: CallEvent) -> None:
        """Whoever only hums along is given more patience each time."""
        nonlocal backchannels
        backchannels += event.verdict.outcome == "backchannel"
        if backchannels >= 3:
            call.policy = patient
        print(f"{event.verdict.outcome.value}; {backchannels} backchannels", flush=True)

    @call.on("dtmf")
    def key(event: CallEvent) -> None:
        """A key always stops the prompt."""
        call.stop()
        print(f"key {event.digit}", flush=True)

    call.play(samples, sample_rate=rate)
    return call


def main(port: int = 9092) -> None:
    with AudioSocketServer(answer, "127.0.0.1", port) as server:
        print(f"listening on {server.address[1]}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
