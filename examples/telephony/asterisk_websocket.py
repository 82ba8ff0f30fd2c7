"""A bridge for chan_websocket of Asterisk. Configuration: the .conf files beside it."""

import sys
import threading

from bargein import AdaptiveInterruptionDetector
from bargein.cli.answer import read_prompt
from bargein.telephony import AsteriskWebSocketServer, BargeInPolicy, Call, Line

detector = AdaptiveInterruptionDetector(backend="local")
samples, rate = read_prompt(sys.argv[1] if len(sys.argv) > 1 else None)

# Asterisk buffers here and drops its buffer when told to, so a pause takes effect at once.
policy = BargeInPolicy(on_speech="pause")


def answer(line: Line) -> Call:
    call = Call(line, detector, policy=policy)
    for kind in ("paused", "resumed", "stopped"):
        call.on(kind, lambda event: print(event.kind, event.heard_up_to, "ms", flush=True))
    call.play(samples, sample_rate=rate)
    return call


def main(port: int = 8787) -> None:
    with AsteriskWebSocketServer(answer, "127.0.0.1", port) as server:
        print(f"listening on {server.address[1]}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
