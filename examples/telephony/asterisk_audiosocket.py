"""A bridge for Asterisk's AudioSocket() in thirty lines. Dialplan: extensions-audiosocket.conf."""

import sys
import threading

from bargein import AdaptiveInterruptionDetector
from bargein.cli.answer import read_prompt
from bargein.telephony import AudioSocketServer, Call, Line

detector = AdaptiveInterruptionDetector(backend="local")
samples, rate = read_prompt(sys.argv[1] if len(sys.argv) > 1 else None)


def answer(line: Line) -> Call:
    """Called for each call; returns what is told of it."""
    call = Call(line, detector)

    @call.on("stopped")
    def stopped(event):
        print(f"{call.id}: interrupted after {event.heard_up_to} ms; listening", flush=True)

    @call.on("ended")
    def ended(event):
        print(f"{call.id}: over ({event.reason})", flush=True)

    call.play(samples, sample_rate=rate)
    return call


def main(port: int = 9092) -> None:
    with AudioSocketServer(answer, "127.0.0.1", port) as server:
        print(f"listening on {server.address[1]}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
